//! The cache itself: look up, join or start a flight, wait.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;

use crate::backoff::BackOff;
use crate::clock::Clock;
use crate::flight::{self, Seat, Ticket};
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
    /// For hits, which do not wait for what changes.
    pub entries: Reader<K, V>,
    /// Everything that changes. Never held across an await.
    pub changing: Mutex<Changing<K, V, L::Error>>,
}

pub(crate) struct Changing<K, V, E> {
    pub entries: Writer<K, V>,
    /// The flight that a key is on: who asks for the key joins it, and only it may store the key.
    pub seats: HashMap<K, Seat<K, V, E>>,
    pub back_off: BackOff<K, E>,
}

/// How one key is answered.
enum Way<K, V, E> {
    Now(Answer<V, E>),
    Join(Ticket<K, V, E>),
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
        if let Some(answer) = self.0.hit(key) {
            return Ok(answer);
        }
        let ticket = {
            let mut changing = self.0.lock();
            match self.0.way(&mut changing, key, &deadline) {
                Way::Now(answer) => return answer,
                Way::Join(ticket) => ticket,
                Way::Load => flight::start(&self.0, &mut changing, vec![key.clone()], &deadline),
            }
        };
        deadline.limit(ticket.wait()).await;
        self.0.landed(key, &ticket)
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
        let mut missing = HashSet::new();
        for key in keys {
            if let Entry::Vacant(place) = answers.entry(key) {
                match self.0.hit(place.key()) {
                    Some(answer) => drop(place.insert(Ok(answer))),
                    None => drop(missing.insert(place.into_key())),
                }
            }
        }
        if missing.is_empty() {
            return answers;
        }
        // Declared before the lock is taken, so dropped after it: see `Ticket`.
        let mut waiting = Vec::new();
        {
            let mut changing = self.0.lock();
            let mut to_load = Vec::new();
            for key in missing {
                match self.0.way(&mut changing, &key, &deadline) {
                    Way::Now(answer) => drop(answers.insert(key, answer)),
                    Way::Join(ticket) => waiting.push((key, ticket)),
                    Way::Load => to_load.push(key),
                }
            }
            if !to_load.is_empty() {
                let ticket = flight::start(&self.0, &mut changing, to_load.clone(), &deadline);
                waiting.extend(to_load.into_iter().map(|key| (key, ticket.clone())));
            }
        }
        let tickets = waiting
            .iter()
            .map(|(_, ticket)| (ticket.flight_id(), ticket));
        let one_of_each = tickets.collect::<HashMap<_, _>>().into_values();
        deadline
            .limit(join_all(one_of_each.map(Ticket::wait)))
            .await;
        for (key, ticket) in waiting {
            let answer = self.0.landed(&key, &ticket);
            answers.insert(key, answer);
        }
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
    /// The entry of `key` if it may be served as fresh. Counts the hit.
    fn hit(&self, key: &K) -> Option<Option<V>> {
        match self.entry(key)? {
            (Freshness::Fresh, value) => {
                self.counters.hits.add_one();
                Some(value)
            }
            _ => None,
        }
    }

    fn entry(&self, key: &K) -> Option<(Freshness, Option<V>)> {
        if self.rules.bypass() {
            return None;
        }
        let entry = self.entries.get(key)?;
        Some((entry.lifetime.freshness(|| self.clock.now()), entry.value))
    }

    /// How a key without a fresh entry is answered. Counts the miss.
    fn way(
        &self,
        changing: &mut Changing<K, V, L::Error>,
        key: &K,
        deadline: &Deadline,
    ) -> Way<K, V, L::Error> {
        // A flight may have landed since the lookup, which took no lock.
        if let Some(answer) = self.hit(key) {
            return Way::Now(Ok(answer));
        }
        self.counters.misses.add_one();
        if let Some(flight) = changing.seats.get(key).and_then(|seat| seat.join(deadline)) {
            self.counters.coalesced.add_one();
            return Way::Join(flight);
        }
        if deadline.remaining() == Some(Duration::ZERO) {
            return Way::Now(self.or_stale(key, Error::DeadlineExceeded));
        }
        if !self.rules.bypass()
            && let Some(error) = changing.back_off.error(key, self.clock.now())
        {
            return Way::Now(self.or_stale(key, error));
        }
        Way::Load
    }

    /// The answer to a failure: the expired value if it may still serve, else the error.
    fn or_stale(&self, key: &K, error: Error<L::Error>) -> Answer<V, L::Error> {
        match self.entry(key) {
            Some((Freshness::Fresh, value)) => Ok(value),
            Some((Freshness::Stale, value)) => {
                self.counters.stale_served.add_one();
                Ok(value)
            }
            _ => Err(error),
        }
    }

    fn landed(&self, key: &K, ticket: &Ticket<K, V, L::Error>) -> Answer<V, L::Error> {
        ticket
            .answer(key)
            .or_else(|error| self.or_stale(key, error))
    }
}

impl<K, V, L: Loader<K, V>> Inner<K, V, L> {
    pub fn lock(&self) -> MutexGuard<'_, Changing<K, V, L::Error>> {
        // A panic under the lock leaves at most seats of a flight that has ended.
        self.changing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
