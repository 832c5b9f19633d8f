//! Where values come from when the cache has none.

use std::collections::HashMap;
use std::hash::Hash;

use crate::Deadline;

/// What a key has to be. Every type that can be one is one. Hashing and comparing must not use the
/// cache.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}

impl<T: Hash + Eq + Clone + Send + Sync + 'static> Key for T {}

/// What a value has to be. Every hit clones it: put large ones into an [`Arc`](std::sync::Arc).
/// Cloning and dropping must neither use the cache nor panic.
pub trait Value: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> Value for T {}

/// Reads values from the source of truth.
pub trait Loader<K, V>: Send + Sync + 'static {
    /// Why a read failed. Shared among all who waited for it.
    type Error: Send + Sync + 'static;

    /// Reads `keys`: at least one, without duplicates, in any order.
    ///
    /// An `Err` fails every key. Whoever loads in pieces reports what failed in
    /// [`Loaded::failed`] and keeps the rest.
    ///
    /// `until` is the latest deadline of the callers that wait, and it moves when another joins.
    /// The load is ended there in any case; one that wants to keep what it has got so far
    /// bounds its steps with [`Deadline::limit`].
    ///
    /// # Cancellation
    /// The future is dropped when the last caller that waits for it is gone. It is polled by
    /// those callers only, so nothing runs behind a response.
    fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> impl Future<Output = Result<Loaded<K, V, Self::Error>, Self::Error>> + Send;
}

/// What a load brought. A key in neither map does not exist: that is cached as its absence.
pub struct Loaded<K, V, E> {
    /// The values that exist.
    pub found: HashMap<K, Found<V>>,
    /// The keys that could not be read. Never cached.
    pub failed: HashMap<K, E>,
}

impl<K, V, E> Default for Loaded<K, V, E> {
    fn default() -> Self {
        Loaded {
            found: HashMap::new(),
            failed: HashMap::new(),
        }
    }
}

/// A value that exists.
#[derive(Clone)]
pub struct Found<V> {
    /// The value, decoded.
    pub value: V,
    /// When it ends, in seconds since the Unix epoch, if it says so itself. Only
    /// [`TtlPolicy::PerItem`](crate::TtlPolicy::PerItem) looks at this.
    pub expires_at: Option<u64>,
}
