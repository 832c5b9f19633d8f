//! What is kept: moka stores, counts the bytes and evicts the least recently used.
//!
//! moka evicts behind an insert, so concurrent inserts overshoot its bound many times over. Here
//! only the [`Writer`] inserts, which exists once, behind the cache's lock, and waits for moka's
//! eviction before the next insert. The one entry that is there beside a full store meanwhile has
//! its room reserved: the bound holds at every moment.
//!
//! moka also frees behind an eviction: its table is reclaimed by epochs, so what was evicted lives
//! on while any thread stands in a lookup, half as much as the bound when a core was busy. So moka
//! holds [`Slot`]s, and an evicted slot is emptied at once. Of the keys, which cannot be emptied,
//! some 600 were seen to live on: that is noise unless keys have kilobytes.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Moka;

use crate::stats::Counters;
use crate::ttl::Lifetime;
use crate::{Key, Value};

/// The smallest bound of a cache's memory, in bytes: its own tables, and some eighty small entries.
pub const LEAST_MEMORY: u64 = 272 * 1024;

/// What moka allocates for its tables whatever is in them, measured: two channels and 64 segments.
/// Part of the bound; without it a bound of 64 KiB came to 269 KB.
const TABLES: u64 = 240 * 1024;

/// What moka allocates for an entry beside the key and the value, measured: a bucket, the hashed
/// key, the entry's own record, its place in the queue, and its share of the table.
const ENTRY_OVERHEAD: u64 = 256;

/// The largest entry: no room is reserved for more.
const LARGEST_ENTRY: u64 = 1024 * 1024;

/// What is known of a key.
#[derive(Clone)]
pub(crate) struct Entry<V> {
    /// `None`: the source has no such item.
    pub value: Option<V>,
    pub lifetime: Lifetime,
    /// What it costs, key and bookkeeping included.
    bytes: u64,
}

impl<V> Entry<V> {
    /// An entry for a key of type `K`; key and value have allocated `heap` bytes.
    pub fn new<K>(value: Option<V>, lifetime: Lifetime, heap: usize) -> Self {
        let flat = ENTRY_OVERHEAD + (size_of::<K>() + size_of::<Slot<V>>()) as u64;
        Entry {
            value,
            lifetime,
            bytes: flat.saturating_add(heap as u64),
        }
    }
}

/// Where an entry is until it is evicted, removed or replaced.
type Slot<V> = Mutex<Option<Entry<V>>>;

fn entry<V>(slot: &Slot<V>) -> MutexGuard<'_, Option<Entry<V>>> {
    // A clone that panicked under the lock has changed nothing.
    slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Two handles on one new store that takes at most `bytes`.
pub(crate) fn open<K: Key, V: Value>(
    bytes: u64,
    counters: Arc<Counters>,
) -> (Reader<K, V>, Writer<K, V>) {
    let room = bytes - TABLES;
    let largest = LARGEST_ENTRY.min(room / 8);
    let capacity = room - largest;
    let entries = Moka::builder()
        .max_capacity(capacity)
        .weigher(|_, slot: &Arc<Slot<V>>| {
            let bytes = entry(slot).as_ref().map_or(0, |entry| entry.bytes);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        })
        // The default policy can refuse an entry that was just loaded in favour of older ones.
        .eviction_policy(EvictionPolicy::lru())
        .eviction_listener(move |_, slot: Arc<Slot<V>>, cause| {
            let evicted = entry(&slot).take();
            drop(evicted);
            if cause == RemovalCause::Size {
                counters.evictions.add_one();
            }
        })
        .build();
    let reader = Reader(entries.clone());
    let writer = Writer {
        entries,
        capacity,
        largest,
    };
    (reader, writer)
}

pub(crate) struct Reader<K, V>(Moka<K, Arc<Slot<V>>>);

impl<K: Key, V: Value> Reader<K, V> {
    pub fn get<Q>(&self, key: &Q) -> Option<Entry<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        entry(&*self.0.get(key)?).clone()
    }

    pub fn count(&self) -> u64 {
        self.0.entry_count()
    }

    pub fn bytes(&self) -> u64 {
        self.0.weighted_size()
    }
}

pub(crate) struct Writer<K, V> {
    entries: Moka<K, Arc<Slot<V>>>,
    capacity: u64,
    largest: u64,
}

impl<K: Key, V: Value> Writer<K, V> {
    /// Stores an entry and evicts what it displaces. One that is too large is not stored, and
    /// what was there before it is removed: it is older than what the source says now.
    pub fn put(&mut self, key: K, entry: Entry<V>) {
        if entry.bytes > self.largest {
            return self.remove(&key);
        }
        self.entries.insert(key, Arc::new(Mutex::new(Some(entry))));
        self.settle();
    }

    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.invalidate(key);
        self.settle();
    }

    /// One by one: moka's own `invalidate_all` compares timestamps, and its entries of the same
    /// tick survive it.
    pub fn clear(&mut self) {
        for (key, _) in &self.entries {
            self.entries.invalidate(&*key);
        }
        self.settle();
    }

    /// moka stops evicting after a while, and keeps for the moment what is just being read.
    fn settle(&mut self) {
        self.entries.run_pending_tasks();
        while self.entries.weighted_size() > self.capacity {
            self.entries.run_pending_tasks();
        }
    }
}
