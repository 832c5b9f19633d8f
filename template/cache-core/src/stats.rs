//! What a cache has done since it was built.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A snapshot of a cache's counters. All but `entries` and `bytes` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys answered from a fresh entry, a cached absence included.
    pub hits: u64,
    /// Keys that had no fresh entry.
    pub misses: u64,
    /// The misses that joined a load already under way.
    pub coalesced: u64,
    /// The misses answered with an expired value, since no fresh one could be had, or not in time.
    pub stale_served: u64,
    /// Calls of the loader.
    pub loads: u64,
    /// Calls of the loader that failed for at least one key.
    pub load_errors: u64,
    /// Entries that had to make room.
    pub evictions: u64,
    /// Entries that a load was to read again ahead of their end.
    pub refreshes: u64,
    /// Time that [`Cache::refresh`](crate::Cache::refresh) took, added up.
    pub refreshing: Duration,
    /// Keys that a load found in the second level; none where there is no such level.
    pub shared_hits: u64,
    /// Keys that it asked the second level for in vain.
    pub shared_misses: u64,
    /// How often the second level failed, or had what cannot be used.
    pub shared_errors: u64,
    /// Time that callers waited for loads until they were answered, added up.
    pub waiting: Duration,
    /// Entries that are held now, cached absences included.
    pub entries: u64,
    /// Bytes that the entries take now. The cache's own tables come on top: see
    /// [`Builder::memory`](crate::Builder::memory).
    pub bytes: u64,
}

impl Stats {
    /// The share of lookups that were answered from a fresh entry, from 0 to 1; `None` before the first.
    pub fn hit_ratio(&self) -> Option<f64> {
        let lookups = self.hits + self.misses;
        (lookups > 0).then(|| self.hits as f64 / lookups as f64)
    }
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub hits: Counter,
    pub misses: Counter,
    pub coalesced: Counter,
    pub stale_served: Counter,
    pub loads: Counter,
    pub load_errors: Counter,
    pub evictions: Counter,
    pub refreshes: Counter,
    pub refreshing_micros: Counter,
    pub shared_hits: Counter,
    pub shared_misses: Counter,
    pub shared_errors: Counter,
    pub waiting_micros: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add_one(&self) {
        self.add(1);
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Time in microseconds.
    pub fn add_micros(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
