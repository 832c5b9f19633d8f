//! The cache itself: look up, join or start a flight, wait.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;

use crate::backoff::BackOff;
use crate::clock::Clock;
use crate::flight::{self, Flight, Seat};
use crate::stats::Counters;
use crate::store::{Reader, Writer};
use crate::ttl::{Freshness, Rules};
use crate::{Builder, Deadline, Error, Key, Loader, Stats, Value};

/// An answer for one key: the value, its absence, or why neither is known.
pub(crate) type Answer<V, E> = Result<Option<V>, Error<E>>;
pub(crate) type Weigher<K, V> = dyn Fn(&K, Option<&V>) -> usize + Send + Sync;

/// A read-through cache for one Lambda execution environment. Cheap to clone: clones share
/// everything.
///
/// The crate's documentation has the idea and an example.
pub struct Cache<K, V, L: Loader<K, V>>(pub(crate) Arc<Inner<K, V, L>>);

pub(crate) struct Inner<K, V, L: Loader<K, V>> {
    pub loader: L,
    pub clock: Arc<dyn Clock>,
    pub rules: Rules,
    pub weigher: Box<Weigher<K, V>>,
    pub counters: Arc<Counters>,
    /// For hits, which take no lock of ours.
    pub entries: Reader<K, V>,
    /// Everything that changes. Never held across an await.
    pub changing: Mutex<Changing<K, V, L::Error>>,
}

pub(crate) struct Changing<K, V, E> {
    pub entries: Writer<K, V>,
    /// The flight that a key is on: who asks for the key joins it, and only it may store the key.
    pub seats: HashMap<K, Seat<K, V, E>>,
    pub back_off: BackOff<K, E>,
    pub next_flight: u64,
}

/// How one key is answered.
enum Way<K, V, E> {
    Now(Answer<V, E>),
    Join(Flight<K, V, E>),
    Load,
}

impl<K, V, L: Loader<K, V>> Clone for Cache<K, V, L> {
    fn clone(&self) -> Self {
        Cache(Arc::clone(&self.0))
    }
}

impl<K, V, L: Loader<K, V>> fmt::Debug for Cache<K, V, L> {
    /// Says nothing of keys and values: caches end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl<K: Key, V: Value, L: Loader<K, V>> Cache<K, V, L> {
    /// Starts the configuration of a cache in front of `loader`.
    pub fn builder(loader: L) -> Builder<K, V, L> {
        Builder::new(loader)
    }

    /// The value of `key`, from the cache or from the loader; `None` if there is no such item.
    ///
    /// # Errors
    /// When the value is neither cached nor could be loaded before `deadline`.
    ///
    /// # Cancellation
    /// Safe to drop: others that wait for the same load go on, and the last one to leave ends it.
    pub async fn get(&self, key: &K, deadline: Deadline) -> Answer<V, L::Error> {
        if let Some(answer) = self.0.fresh(key) {
            self.0.counters.hits.add_one();
            return Ok(answer);
        }
        let flight = {
            let mut changing = self.0.lock();
            match self.0.way(&mut changing, key, &deadline) {
                Way::Now(answer) => return answer,
                Way::Join(flight) => flight,
                Way::Load => flight::start(&self.0, &mut changing, vec![key.clone()], &deadline),
            }
        };
        deadline.limit(flight.wait()).await;
        self.0.landed(key, &flight)
    }

    /// The values of many keys, as [`get`](Self::get) gives each. What must be loaded is loaded
    /// in one call of the loader; what is already being loaded is waited for. Duplicates are
    /// answered once. What is cached is fresh at the time of the call.
    pub async fn get_many(
        &self,
        keys: impl IntoIterator<Item = K>,
        deadline: Deadline,
    ) -> HashMap<K, Answer<V, L::Error>> {
        let mut answers = HashMap::new();
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        for key in keys {
            if answers.contains_key(&key) || seen.contains(&key) {
                continue;
            }
            if let Some(answer) = self.0.fresh(&key) {
                self.0.counters.hits.add_one();
                answers.insert(key, Ok(answer));
            } else {
                seen.insert(key.clone());
                missing.push(key);
            }
        }
        if missing.is_empty() {
            return answers;
        }
        // Declared before the lock is taken, so dropped after it: see `Flight`.
        let mut boarded = Vec::new();
        {
            let mut changing = self.0.lock();
            let mut to_load = Vec::new();
            for key in missing {
                match self.0.way(&mut changing, &key, &deadline) {
                    Way::Now(answer) => drop(answers.insert(key, answer)),
                    Way::Join(flight) => boarded.push((key, flight)),
                    Way::Load => to_load.push(key),
                }
            }
            if !to_load.is_empty() {
                let flight = flight::start(&self.0, &mut changing, to_load.clone(), &deadline);
                boarded.extend(to_load.into_iter().map(|key| (key, flight.clone())));
            }
        }
        let mut flights: Vec<&Flight<K, V, L::Error>> = Vec::new();
        for (_, flight) in &boarded {
            if !flights.iter().any(|known| known.is(flight)) {
                flights.push(flight);
            }
        }
        deadline
            .limit(join_all(flights.iter().map(|flight| flight.wait())))
            .await;
        answers.extend(boarded.into_iter().map(|(key, flight)| {
            let answer = self.0.landed(&key, &flight);
            (key, answer)
        }));
        answers
    }

    /// Forgets `key`. Who asks from now on gets what the source says from now on, also if a load
    /// of it is under way: its earlier callers get its answer, which is not stored.
    ///
    /// Reaches this execution environment only.
    pub fn invalidate(&self, key: &K) {
        let mut changing = self.0.lock();
        changing.seats.remove(key);
        changing.back_off.forget(key);
        changing.entries.remove(key);
    }

    /// Forgets everything, as [`invalidate`](Self::invalidate) forgets one key.
    pub fn invalidate_all(&self) {
        let mut changing = self.0.lock();
        changing.seats.clear();
        changing.back_off.forget_all();
        changing.entries.clear();
    }

    /// What this cache has done since it was built.
    pub fn stats(&self) -> Stats {
        let counters = &self.0.counters;
        Stats {
            hits: counters.hits.get(),
            misses: counters.misses.get(),
            coalesced: counters.coalesced.get(),
            stale_served: counters.stale_served.get(),
            loads: counters.loads.get(),
            load_errors: counters.load_errors.get(),
            evictions: counters.evictions.get(),
            bytes: self.0.entries.bytes(),
        }
    }
}

impl<K: Key, V: Value, L: Loader<K, V>> Inner<K, V, L> {
    fn fresh(&self, key: &K) -> Option<Option<V>> {
        if self.rules.bypass() {
            return None;
        }
        let entry = self.entries.get(key)?;
        (entry.lifetime.freshness(|| self.clock.now()) == Freshness::Fresh).then_some(entry.value)
    }

    /// How a key without a fresh entry is answered. Counts the miss.
    fn way(
        &self,
        changing: &mut Changing<K, V, L::Error>,
        key: &K,
        deadline: &Deadline,
    ) -> Way<K, V, L::Error> {
        // A flight may have landed since the lookup, which took no lock.
        if let Some(answer) = self.fresh(key) {
            self.counters.hits.add_one();
            return Way::Now(Ok(answer));
        }
        self.counters.misses.add_one();
        if let Some(flight) = changing.seats.get(key).and_then(|seat| seat.join(deadline)) {
            self.counters.coalesced.add_one();
            return Way::Join(flight);
        }
        let refused = if deadline.remaining() == Some(Duration::ZERO) {
            Some(Error::DeadlineExceeded)
        } else if self.rules.bypass() {
            None
        } else {
            changing.back_off.error(key, self.clock.now())
        };
        refused.map_or(Way::Load, |error| Way::Now(self.or_stale(key, error)))
    }

    /// The answer to a failure: the expired value if it may still serve, else the error.
    fn or_stale(&self, key: &K, error: Error<L::Error>) -> Answer<V, L::Error> {
        let entry = if self.rules.bypass() {
            None
        } else {
            self.entries.get(key)
        };
        match entry.map(|entry| (entry.lifetime.freshness(|| self.clock.now()), entry.value)) {
            Some((Freshness::Fresh, value)) => Ok(value),
            Some((Freshness::Stale, value)) => {
                self.counters.stale_served.add_one();
                Ok(value)
            }
            _ => Err(error),
        }
    }

    /// The flight's answer for `key`; a flight still in the air has missed the deadline.
    fn landed(&self, key: &K, flight: &Flight<K, V, L::Error>) -> Answer<V, L::Error> {
        match flight.answer(key) {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(error)) => self.or_stale(key, error.clone()),
            None => self.or_stale(key, Error::DeadlineExceeded),
        }
    }
}

impl<K, V, L: Loader<K, V>> Inner<K, V, L> {
    pub fn lock(&self) -> MutexGuard<'_, Changing<K, V, L::Error>> {
        // A panic under the lock leaves at most a seat too many, on a flight that is gone.
        self.changing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
