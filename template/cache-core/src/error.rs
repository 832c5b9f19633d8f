//! What can go wrong, and how it is said.

use std::sync::Arc;

use crate::ReadError;

/// Why a value could not be had. Cheap to clone: all who waited for one load share its error.
/// Its text has the cause.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// A deadline passed first: the caller's, or during a back-off that of the load before.
    #[error("the value was not read before the deadline")]
    DeadlineExceeded,
    /// The loader failed, now or a moment ago: see [`Builder`](crate::Builder) on back-off.
    #[error("the value could not be read: {0}")]
    Load(Arc<E>),
    /// The loader panicked. The next call loads again.
    #[error("the loader panicked")]
    LoaderPanicked,
}

impl<E> Clone for Error<E> {
    fn clone(&self) -> Self {
        match self {
            Error::DeadlineExceeded => Error::DeadlineExceeded,
            Error::Load(error) => Error::Load(Arc::clone(error)),
            Error::LoaderPanicked => Error::LoaderPanicked,
        }
    }
}

impl Error<ReadError> {
    /// Whether it is about the item, which another try would not change, rather than about the source.
    pub fn is_about_the_key(&self) -> bool {
        matches!(self, Error::Load(error) if error.is_about_the_key())
    }
}

/// Why a cache cannot be built as it was configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Without a bound a cache grows until Lambda kills the environment.
    #[error("no memory bound is set: call `memory(bytes, weigher)`")]
    NoMemoryBound,
    /// Less than [`LEAST_MEMORY`](crate::LEAST_MEMORY).
    #[error("the memory bound is {0} bytes; at least {min} are needed", min = crate::LEAST_MEMORY)]
    MemoryTooSmall(u64),
    /// More would take the sense out of the TTL.
    #[error("the jitter is {0} %; 0 to 50 are allowed")]
    JitterTooLarge(u8),
    /// More would read an entry again before it has served half its time.
    #[error("the last {0} % of an entry's time are to be read ahead; 0 to 50 are allowed")]
    AheadTooLarge(u8),
}
