//! What is kept: moka stores, counts the bytes and evicts the least recently used.
//!
//! moka evicts behind an insert, so concurrent inserts overshoot its bound many times over. Here
//! only the [`Writer`] inserts, which exists once, behind the cache's lock, and waits for moka's
//! eviction before the next insert. The one entry that is there beside a full store meanwhile has
//! its room reserved: the bound holds at every moment.
//!
//! moka also frees behind an eviction: its table is reclaimed by epochs, so what was evicted lives
//! on while any thread stands in a lookup, half as much as the bound when a core was busy. So moka
//! holds nothing that can be large: it knows an entry by the hash of its key, and has a [`Slot`] for
//! it that is emptied at once. Two keys of one hash displace each other.

use std::borrow::Borrow;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Moka;

use crate::stats::Counters;
use crate::ttl::Lifetime;
use crate::{Key, Value, lock};

/// The smallest bound of a cache's memory, in bytes: its own tables, and some sixty small entries.
pub const LEAST_MEMORY: u64 = 272 * 1024;

/// What moka allocates for its tables whatever is in them, measured: two channels and 64 segments.
/// Part of the bound; without it a bound of 64 KiB came to 269 KB.
const TABLES: u64 = 240 * 1024;

/// What is allocated for an entry beside what key and value are, measured: moka's bucket, the
/// hash, the record, its place in the queue and its share of the table; the slot; two counters.
const ENTRY_OVERHEAD: u64 = 288;

/// The largest entry: no room is reserved for more.
const LARGEST_ENTRY: u64 = 1024 * 1024;

/// The most that may be kept of failing keys, beside a sixteenth of the room.
const MOST_FAILURES: u64 = 256 * 1024;

/// How many evicted entries may leave their records behind, of which each comes to 4 KB with what
/// frees it.
const MOST_UNFREED: usize = 16;

/// How often moka is asked to evict before a writer goes on: it must not hang.
const MOST_ROUNDS: usize = 1000;

/// How many entries are removed under the lock at a time when all are.
const AT_ONCE: usize = 256;

/// What is known of a key.
pub(crate) struct Entry<K, V> {
    pub key: K,
    /// `None`: the source has no such item.
    pub value: Option<V>,
    pub lifetime: Lifetime,
    /// What it costs, key and bookkeeping included.
    bytes: u64,
}

impl<K, V> Entry<K, V> {
    /// Key and value have allocated `heap` bytes.
    pub fn new(key: K, value: Option<V>, lifetime: Lifetime, heap: usize) -> Self {
        let flat = ENTRY_OVERHEAD + size_of::<Self>() as u64;
        Entry {
            key,
            value,
            lifetime,
            bytes: flat.saturating_add(heap as u64),
        }
    }
}

/// Where an entry is until it is evicted, removed or replaced.
struct Slot<K, V> {
    bytes: u32,
    entry: Mutex<Option<Arc<Entry<K, V>>>>,
}

type Slots<K, V> = Moka<u64, Arc<Slot<K, V>>, BuildHasherDefault<Hashed>>;

/// moka's keys are hashes.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a u64 is written as one");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Of a bound of `bytes`, what may be kept of failing keys.
pub(crate) fn room_for_failures(bytes: u64) -> u64 {
    MOST_FAILURES.min((bytes - TABLES) / 16)
}

/// Two handles on one new store within a bound of `bytes`.
pub(crate) fn open<K: Key, V: Value>(
    bytes: u64,
    counters: Arc<Counters>,
) -> (Reader<K, V>, Writer<K, V>) {
    let room = bytes - TABLES - room_for_failures(bytes);
    let largest = LARGEST_ENTRY.min(room / 8);
    let capacity = room - largest;
    let unfreed = Arc::new(AtomicUsize::new(0));
    let letting_go = Arc::clone(&unfreed);
    let slots: Slots<K, V> = Moka::builder()
        .max_capacity(capacity)
        .weigher(|_, slot: &Arc<Slot<K, V>>| slot.bytes)
        // The default policy can refuse an entry that was just loaded in favour of older ones.
        .eviction_policy(EvictionPolicy::lru())
        .eviction_listener(move |_, slot: Arc<Slot<K, V>>, cause| {
            let evicted = lock(&slot.entry).take();
            drop(evicted);
            // Called back when moka's record of it is freed.
            letting_go.fetch_add(1, Relaxed);
            let freed = Arc::clone(&letting_go);
            crossbeam_epoch::pin().defer(move || freed.fetch_sub(1, Relaxed));
            if cause == RemovalCause::Size {
                counters.evictions.add_one();
            }
        })
        .build_with_hasher(BuildHasherDefault::default());
    let reader = Reader {
        slots,
        hasher: RandomState::new(),
    };
    let writer = Writer {
        reader: reader.clone(),
        capacity,
        largest,
        unfreed,
    };
    (reader, writer)
}

#[derive(Clone)]
pub(crate) struct Reader<K, V> {
    slots: Slots<K, V>,
    hasher: RandomState,
}

impl<K: Key, V: Value> Reader<K, V> {
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<Entry<K, V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.of_hash(self.hash(key))?;
        (entry.key.borrow() == key).then_some(entry)
    }

    /// The value of `key` and its end. A hit does not need the rest.
    pub fn value<Q>(&self, key: &Q) -> Option<(Option<V>, Lifetime)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let slot = self.slots.get(&self.hash(key))?;
        let entry = lock(&slot.entry);
        let entry = entry.as_ref().filter(|entry| entry.key.borrow() == key)?;
        Some((entry.value.clone(), entry.lifetime))
    }

    pub fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    pub fn of_hash(&self, hash: u64) -> Option<Arc<Entry<K, V>>> {
        lock(&self.slots.get(&hash)?.entry).clone()
    }

    /// All that are there.
    pub fn hashes(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().map(|(hash, _)| *hash)
    }

    pub fn count(&self) -> u64 {
        self.slots.entry_count()
    }

    pub fn bytes(&self) -> u64 {
        self.slots.weighted_size()
    }
}

pub(crate) struct Writer<K, V> {
    reader: Reader<K, V>,
    capacity: u64,
    largest: u64,
    /// How many records moka has let go of and not freed.
    unfreed: Arc<AtomicUsize>,
}

impl<K: Key, V: Value> Writer<K, V> {
    /// Stores an entry and evicts what it displaces. One that is too large or over already is not
    /// stored, and what was there before it is removed: it is older than what the source says now.
    pub fn put(&mut self, entry: &Arc<Entry<K, V>>) {
        if entry.bytes > self.largest || entry.lifetime.is_empty() {
            return self.remove(&entry.key);
        }
        let slot = Slot {
            bytes: u32::try_from(entry.bytes).unwrap_or(u32::MAX),
            entry: Mutex::new(Some(Arc::clone(entry))),
        };
        let hash = self.reader.hash(&entry.key);
        self.reader.slots.insert(hash, Arc::new(slot));
        self.settle();
    }

    pub fn remove(&mut self, key: &K) {
        let hash = self.reader.hash(key);
        self.reader.slots.invalidate(&hash);
        self.settle();
    }

    /// Removes the next entries of [`Reader::hashes`]; false if there are none. moka's own
    /// `invalidate_all` compares timestamps, and its entries of the same tick survive it.
    pub fn remove_some(&mut self, hashes: &mut impl Iterator<Item = u64>) -> bool {
        let mut is_any = false;
        for hash in hashes.take(AT_ONCE) {
            self.reader.slots.invalidate(&hash);
            is_any = true;
        }
        self.settle();
        is_any
    }

    /// moka stops evicting after a while, and keeps for the moment what is just being read. What it
    /// has let go of is not freed while a thread is interrupted in a lookup: that one goes first. A
    /// flush takes 2 KB of its own, so there is none for few.
    fn settle(&mut self) {
        for _ in 0..MOST_ROUNDS {
            self.reader.slots.run_pending_tasks();
            let is_freed = self.unfreed.load(Relaxed) <= MOST_UNFREED;
            if is_freed && self.reader.bytes() <= self.capacity {
                break;
            }
            crossbeam_epoch::pin().flush();
            std::thread::yield_now();
        }
    }
}
