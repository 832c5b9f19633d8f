//! Where values come from when the cache has none.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::time::Duration;

use crate::Deadline;

/// What a key has to be. Every type that can be one is one. Hashing, comparing and cloning must not
/// use the cache nor panic. A key appears in the log where it cannot be read: keep secrets out of its `Debug`.
pub trait Key: Hash + Eq + Clone + Debug + Send + Sync + 'static {}

impl<T: Hash + Eq + Clone + Debug + Send + Sync + 'static> Key for T {}

/// What a value has to be. Every hit clones it, while others wait for that value: put large ones into an
/// [`Arc`](std::sync::Arc).
/// Cloning and dropping must neither use the cache nor panic.
pub trait Value: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> Value for T {}

/// Reads values from the source of truth.
pub trait Loader<K, V>: Send + Sync + 'static {
    /// Why a read failed. Shared among all who waited for it, and in the log: its text must not
    /// hold what was read.
    type Error: Display + Send + Sync + 'static;

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
    ///
    /// # Panics
    /// A load that panics fails those who wait with [`Error::LoaderPanicked`](crate::Error). So does
    /// one whose runtime is shut down. Do not ask the same cache for what is being loaded: where that
    /// is seen it fails likewise, and where not, it waits until the deadline.
    fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> impl Future<Output = Result<Loaded<K, V, Self::Error>, Self::Error>> + Send;

    /// As [`load`](Self::load), where a source can say that nothing has changed: `known` gives the value
    /// of a key that the cache still holds, fresh no more. Without an implementation of its own it loads.
    fn reload(
        &self,
        keys: Vec<K>,
        known: &(dyn Fn(&K) -> Option<V> + Send + Sync),
        until: Deadline,
    ) -> impl Future<Output = Result<Loaded<K, V, Self::Error>, Self::Error>> + Send {
        let _ = known;
        self.load(keys, until)
    }

    /// Whether it reads many keys better in one load than in one for each. Then what is to be read ahead of its end is
    /// one load, and joins one of several keys that is sent anyway. Else there is a load for each key, sixteen at a time.
    fn reads_together(&self) -> bool {
        false
    }

    /// Whether it can answer without its source: whether there is any use in [`load_near`](Self::load_near).
    const HAS_NEAR: bool = false;

    /// What is known of `keys` without their source, which has failed and is left alone for a moment. A key that has
    /// no [`Loaded::age`] is not known.
    fn load_near(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> impl Future<Output = Loaded<K, V, Self::Error>> + Send {
        drop((keys, until));
        async { Loaded::default() }
    }
}

/// What a load brought. A key in neither map does not exist: that is cached as its absence.
pub struct Loaded<K, V, E> {
    /// The values that exist.
    pub found: HashMap<K, Found<V>>,
    /// The keys that could not be read. Never cached.
    pub failed: HashMap<K, E>,
    /// For how long from its read on the source wants an answer to be kept, a value or an absence, where it
    /// says so. Zero: not at all. Who joined the load while it was under way has its answer all the same. Only
    /// [`TtlPolicy::PerItem`](crate::TtlPolicy::PerItem) looks at this.
    pub fresh_for: HashMap<K, Duration>,
    /// How old an answer already was when it came, where somebody else had read it. It counts from its read on, and
    /// is no success of the source.
    pub age: HashMap<K, Duration>,
    /// Whether the source failed for all of `failed` as a whole, as an `Err` says where nothing is known without it.
    pub is_outage: bool,
}

impl<K, V, E> Default for Loaded<K, V, E> {
    fn default() -> Self {
        Loaded {
            found: HashMap::new(),
            failed: HashMap::new(),
            fresh_for: HashMap::new(),
            age: HashMap::new(),
            is_outage: false,
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

impl<V> From<V> for Found<V> {
    /// A value without an end of its own.
    fn from(value: V) -> Self {
        Found {
            value,
            expires_at: None,
        }
    }
}

/// Why one read of several failed: what it says about the others.
#[derive(Debug, Clone)]
pub enum Failure<E> {
    /// It is about the key alone, or about its item: the others' reads are as good as ever.
    Key(E),
    /// The source failed, and would have failed for any other key.
    Source(E),
}

impl<E> From<E> for Failure<E> {
    /// An error is about the source unless somebody says that it is about its key.
    fn from(error: E) -> Self {
        Failure::Source(error)
    }
}

impl<K: Hash + Eq, V, E> Loaded<K, V, E> {
    /// Puts together what single reads brought: `None` where there is no such item.
    ///
    /// # Errors
    /// The first error, if every read failed and no key is to blame: then that is the source's
    /// failure as a whole, and holds back further loads for a moment: see [`Builder`](crate::Builder).
    pub fn of_reads(
        reads: impl IntoIterator<Item = (K, Result<Option<Found<V>>, Failure<E>>)>,
    ) -> Result<Self, E> {
        let mut loaded = Loaded::default();
        let mut is_outage = true;
        for (key, read) in reads {
            is_outage &= matches!(read, Err(Failure::Source(_)));
            match read {
                Ok(Some(found)) => drop(loaded.found.insert(key, found)),
                Ok(None) => {}
                Err(Failure::Key(error) | Failure::Source(error)) => {
                    loaded.failed.insert(key, error);
                }
            }
        }
        if !is_outage {
            return Ok(loaded);
        }
        match loaded.failed.into_values().next() {
            Some(error) => Err(error),
            None => Ok(Loaded::default()),
        }
    }
}
