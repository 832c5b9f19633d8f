//! The cache itself: look up, join or start a flight, wait.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::ahead::{self, Ahead};
use crate::backoff::{self, BackOff};
use crate::builder::Basics;
use crate::clock::{Clock, Reading};
use crate::flight::{self, Flight, Ticket, Why};
use crate::stats::Counters;
use crate::store::{Entry, Reader, Writer};
use crate::ttl::{self, Freshness, Lifetime, Rules};
use crate::{Builder, Deadline, Error, Found, Key, Loader, Stats, Value, lock};

/// An answer for one key: the value, its absence, or why neither is known.
pub(crate) type Answer<V, E> = Result<Option<V>, Error<E>>;
/// An entry, and what it is good for.
type Usable<K, V> = (Freshness, Arc<Entry<K, V>>);
pub(crate) type Weigher<K, V> = dyn Fn(&K, Option<&V>) -> usize + Send + Sync;

/// A read-through cache for one Lambda execution environment. Cheap to clone: clones share
/// everything.
///
/// The crate's documentation has the idea and an example.
pub struct Cache<K, V, L: Loader<K, V>>(pub(crate) Arc<Inner<K, V, L>>);

pub(crate) struct Inner<K, V, L: Loader<K, V>> {
    /// In the log.
    pub name: &'static str,
    pub loader: L,
    pub clock: Arc<dyn Clock>,
    pub rules: Rules,
    /// What an absence stands for, if it is not an answer of its own.
    pub absent: Option<fn() -> V>,
    /// Whoever asks the function may keep what is in here.
    pub public: bool,
    pub weigher: Box<Weigher<K, V>>,
    pub counters: Arc<Counters>,
    /// For hits, which do not wait for what changes.
    pub entries: Reader<K, V>,
    pub ahead: Ahead<K, V, L::Error>,
    /// Everything that changes. Never held across an await.
    pub changing: Mutex<Changing<K, V, L::Error>>,
}

pub(crate) struct Changing<K, V, E> {
    pub entries: Writer<K, V>,
    /// The flight that a key is on: who asks for the key joins it, and only it may store the key.
    pub seats: HashMap<K, Arc<Flight<K, V, E>>>,
    pub back_off: BackOff<K, E>,
}

/// How one key is answered.
enum Way<K, V, E> {
    Now(Answer<V, E>),
    Join(Ticket<K, V, E>),
    Load,
    /// The source failed like this and is left alone, and there may be an answer without it.
    Near(Error<E>),
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

// Said to be `Send`: of an `async fn` the compiler cannot infer it where keys have a lifetime.
#[allow(clippy::manual_async_fn)]
impl<K: Key, V: Value, L: Loader<K, V>> Cache<K, V, L> {
    /// Starts the configuration of a cache in front of `loader`.
    pub fn builder(loader: L) -> Builder<K, V, L> {
        Builder::new(loader, Basics::default())
    }

    #[cfg(feature = "shared")]
    pub(crate) fn loader(&self) -> &L {
        &self.0.loader
    }

    /// Its name, as the log, metrics and variables have it.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The value of `key`, from the cache or from the loader; `None` if there is no such item.
    /// `key` may be any borrowed form of the key: `"c-1"` where keys are `String`.
    ///
    /// # Errors
    /// When the value is neither cached nor could be loaded before `deadline`.
    ///
    /// # Cancellation
    /// Safe to drop: others that wait for the same load go on, and the last one to leave ends it.
    pub fn get<Q>(
        &self,
        key: &Q,
        deadline: &Deadline,
    ) -> impl Future<Output = Answer<V, L::Error>> + Send
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + Sync + ?Sized,
    {
        async move {
            if let Some(answer) = self.0.hit(key, deadline) {
                return Ok(answer);
            }
            let mut answers = HashMap::new();
            let missing = vec![key.to_owned()];
            self.load_missing(missing, deadline, &mut answers).await;
            // There is none only where keys that are equal hash differently.
            answers.remove(key).unwrap_or(Err(Error::LoaderPanicked))
        }
    }

    /// As [`get`](Self::get), with the type's default where there is no such item.
    ///
    /// # Errors
    /// As `get`.
    pub fn get_or_default<Q>(
        &self,
        key: &Q,
        deadline: &Deadline,
    ) -> impl Future<Output = Result<V, Error<L::Error>>> + Send
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + Sync + ?Sized,
        V: Default,
    {
        async move { Ok(self.get(key, deadline).await?.unwrap_or_default()) }
    }

    /// The values of many keys, as [`get`](Self::get) gives each. What must be loaded is loaded
    /// in one call of the loader; what is already being loaded is waited for. Duplicates are
    /// answered once. What is cached is fresh at the time of the call.
    pub fn get_many(
        &self,
        keys: impl IntoIterator<Item = K>,
        deadline: &Deadline,
    ) -> impl Future<Output = HashMap<K, Answer<V, L::Error>>> + Send {
        let keys: HashSet<K> = keys.into_iter().collect();
        async move {
            let mut answers = HashMap::with_capacity(keys.len());
            let mut missing = Vec::new();
            for key in keys {
                match self.0.hit(&key, deadline) {
                    Some(answer) => drop(answers.insert(key, Ok(answer))),
                    None => missing.push(key),
                }
            }
            if !missing.is_empty() {
                self.load_missing(missing, deadline, &mut answers).await;
            }
            answers
        }
    }

    async fn load_missing(
        &self,
        missing: Vec<K>,
        deadline: &Deadline,
        answers: &mut HashMap<K, Answer<V, L::Error>>,
    ) {
        if let Some(max_age) = &deadline.max_age {
            max_age.begin();
        }
        // Declared before the lock is taken, so dropped after it: see `Ticket`.
        let mut flights = HashMap::new();
        {
            let mut changing = self.0.lock();
            let (mut to_load, mut held_back) = (Vec::new(), HashMap::new());
            for key in missing {
                match self.0.way(&mut changing, &key, deadline) {
                    Way::Now(answer) => drop(answers.insert(key, answer)),
                    Way::Join(ticket) => {
                        let flight = flights.entry(ticket.flight_id());
                        flight.or_insert((ticket, Vec::new())).1.push(key);
                    }
                    Way::Load => to_load.push(key),
                    Way::Near(error) => drop(held_back.insert(key, error)),
                }
            }
            let near = held_back.keys().cloned().collect();
            for (keys, held_back) in [(to_load, HashMap::new()), (near, held_back)] {
                if !keys.is_empty() {
                    let (cache, mut asked) = (&self.0, keys.clone());
                    // One key may be another request, which takes longer and another permission.
                    // And behind another level a key that is missing there.
                    let is_batch = (2..ahead::MOST).contains(&asked.len());
                    if is_batch && cache.loader.reads_together() && !L::HAS_NEAR {
                        let room = ahead::MOST - asked.len();
                        asked.extend(cache.to_refresh(&changing, room, &keys));
                    }
                    let (why, until) = (Why::Asked { held_back }, deadline);
                    let ticket = flight::start(cache, &mut changing, asked, why, until);
                    flights.insert(ticket.flight_id(), (ticket, keys));
                }
            }
        }
        let flights: Vec<_> = flights.into_values().collect();
        let start = Instant::now();
        // All are decided about at once, when there is nothing more to wait for: what is stale has to serve then.
        let served = loop {
            let waits: Vec<_> = flights
                .iter()
                .map(|(ticket, keys)| self.0.wait(ticket, keys, deadline))
                .collect();
            join_all(waits).await;
            let is_over = deadline.is_over();
            let served = flights.iter().map(|(ticket, keys)| {
                if is_over || ticket.is_landed() {
                    return Some(None);
                }
                self.0.all_usable(keys).map(Some)
            });
            if let Some(served) = served.collect::<Option<Vec<_>>>() {
                break served;
            }
        };
        for ((ticket, keys), served) in flights.into_iter().zip(served) {
            match served {
                Some(usable) => {
                    self.0.ahead.leave(ticket);
                    let values = usable.into_iter().map(|it| Ok(self.0.serve(it, deadline)));
                    answers.extend(keys.into_iter().zip(values));
                }
                None => answers.extend(keys.into_iter().map(|key| {
                    let answer = self.0.landed(&key, &ticket, deadline);
                    (key, answer)
                })),
            }
        }
        self.0.counters.waiting_micros.add_micros(start.elapsed());
        if let Some(max_age) = &deadline.max_age {
            max_age.end();
        }
    }

    /// Forgets `key`. Who asks from now on gets what the source says from now on, also if a load
    /// of it is under way: its earlier callers get its answer, which is not stored.
    ///
    /// Reaches this execution environment only; a kind with a second level has its own.
    pub fn invalidate<Q>(&self, key: &Q)
    where
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let key = key.to_owned();
        let mut changing = self.0.lock();
        changing.forget(&key);
        changing.entries.remove(&key);
    }

    /// Stores what was just written to the source, so that nobody has to read it. Wins over a load
    /// under way, as [`invalidate`](Self::invalidate) does. Its time to live starts now,
    /// so call it right behind the write; with a [`Found`], an end of its own counts as if it had been
    /// read. Two writes at once may be put in another order than they were made: invalidate then.
    ///
    /// Call it after the write has succeeded. Where it is not known whether it has, invalidate.
    pub fn put(&self, key: K, value: impl Into<Found<V>>) {
        self.put_entry(key, value.into());
    }

    pub(crate) fn put_entry(&self, key: K, found: Found<V>) -> Arc<Entry<K, V>> {
        let now = self.0.clock.now();
        let answer = ttl::Answer {
            found: Some(found),
            fresh_for: None,
            age: Duration::ZERO,
            sent: now,
        };
        let entry = Arc::new(self.0.entry_of(key, answer, now));
        let mut changing = self.0.lock();
        changing.forget(&entry.key);
        self.0.store(&mut changing, &entry);
        entry
    }

    /// Forgets the key of an entry, unless that is what is held of it.
    #[cfg(feature = "shared")]
    pub(crate) fn keep_only(&self, entry: &Arc<Entry<K, V>>) {
        let mut changing = self.0.lock();
        let held = self.0.entries.get(&entry.key);
        if !held.is_some_and(|held| Arc::ptr_eq(&held, entry)) {
            changing.forget(&entry.key);
            changing.entries.remove(&entry.key);
        }
    }

    /// Forgets everything, as [`invalidate`](Self::invalidate) forgets one key.
    pub fn invalidate_all(&self) {
        let mut changing = self.0.lock();
        changing.seats = HashMap::new();
        changing.back_off.forget_all();
        drop(changing);
        self.0.ahead.forget_left();
        // Whoever has to wait meanwhile waits for some of them alone.
        let mut hashes = self.0.entries.hashes();
        while self.0.lock().entries.remove_some(&mut hashes) {}
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
            refreshes: counters.refreshes.get(),
            refreshing: Duration::from_micros(counters.refreshing_micros.get()),
            shared_hits: counters.shared_hits.get(),
            shared_misses: counters.shared_misses.get(),
            shared_errors: counters.shared_errors.get(),
            waiting: Duration::from_micros(counters.waiting_micros.get()),
            entries: self.0.entries.count(),
            bytes: self.0.entries.bytes(),
        }
    }
}

impl<K: Key, V: Value, L: Loader<K, V>> Inner<K, V, L> {
    /// The answer of a fresh entry. Counts the hit.
    fn hit<Q>(&self, key: &Q, deadline: &Deadline) -> Option<Option<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.rules.bypass() {
            return None;
        }
        let (value, lifetime) = self.entries.value(key)?;
        match lifetime.freshness(|| self.clock.now(), &self.rules) {
            Freshness::Fresh => {}
            Freshness::Ending => self.ahead.mark(self.entries.hash(key)),
            Freshness::Stale | Freshness::Expired => return None,
        }
        self.counters.hits.add_one();
        self.note(Some(&lifetime), deadline);
        Some(value)
    }

    /// Tells the invocation how long what it is answered is fresh.
    fn note(&self, lifetime: Option<&Lifetime>, deadline: &Deadline) {
        match (&deadline.max_age, lifetime) {
            (None, _) => {}
            (Some(max_age), Some(lifetime)) if self.public => {
                max_age.note(lifetime.left(self.clock.now()));
            }
            (Some(max_age), _) => max_age.note_private(),
        }
    }

    fn cached<Q>(&self, key: &Q) -> Option<Usable<K, V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.rules.bypass() {
            return None;
        }
        let entry = self.entries.get(key)?;
        let freshness = entry.lifetime.freshness(|| self.clock.now(), &self.rules);
        Some((freshness, entry))
    }

    /// The value that is still there, fresh or not.
    pub fn known(&self, key: &K) -> Option<V> {
        self.cached(key)?.1.value.clone()
    }

    /// How a key without a fresh entry is answered. Counts the miss.
    fn way(
        &self,
        changing: &mut Changing<K, V, L::Error>,
        key: &K,
        deadline: &Deadline,
    ) -> Way<K, V, L::Error> {
        // A flight may have landed since the lookup, which took no lock.
        if let Some(answer) = self.hit(key, deadline) {
            return Way::Now(Ok(answer));
        }
        self.counters.misses.add_one();
        let now = self.clock.now();
        let seat = changing.seats.get(key);
        let oldest = self.rules.joinable_for();
        if let Some(ticket) = seat.and_then(|flight| flight.join(deadline, now, oldest)) {
            self.counters.coalesced.add_one();
            return Way::Join(ticket);
        }
        if deadline.is_over() {
            return Way::Now(self.or_stale(key, Error::DeadlineExceeded, deadline));
        }
        if !self.rules.bypass()
            && let Some(error) = changing.back_off.error(key, now)
        {
            // Who is on a flight already is left there.
            if L::HAS_NEAR && seat.is_none() {
                return Way::Near(error);
            }
            return Way::Now(self.or_stale(key, error, deadline));
        }
        if let Some(flight) = seat {
            flight.supersede();
        }
        Way::Load
    }

    /// What may serve without a load.
    fn usable(&self, key: &K) -> Option<Usable<K, V>> {
        let cached = self.cached(key);
        cached.filter(|(freshness, _)| *freshness != Freshness::Expired)
    }

    /// The answer to a failure: the expired value if it may still serve, else the error.
    fn or_stale(
        &self,
        key: &K,
        error: Error<L::Error>,
        deadline: &Deadline,
    ) -> Answer<V, L::Error> {
        let Some(usable) = self.usable(key) else {
            self.note(None, deadline);
            return Err(error);
        };
        Ok(self.serve(usable, deadline))
    }

    fn serve(&self, (freshness, entry): Usable<K, V>, deadline: &Deadline) -> Option<V> {
        self.note(Some(&entry.lifetime), deadline);
        if freshness == Freshness::Stale {
            self.counters.stale_served.add_one();
        }
        entry.value.clone()
    }

    /// All of them or none: they come together.
    fn all_usable(&self, keys: &[K]) -> Option<Vec<Usable<K, V>>> {
        keys.iter().map(|key| self.usable(key)).collect()
    }

    /// Waits for a flight; no longer than the soft time-out where stale values of `keys` may serve.
    async fn wait(&self, ticket: &Ticket<K, V, L::Error>, keys: &[K], deadline: &Deadline) {
        let landing = deadline.limit(ticket.wait());
        if let Some(time) = self.rules.soft_timeout
            && self.ahead.may_be_left()
            && self.all_usable(keys).is_some()
        {
            let soon = Deadline::after(time.saturating_sub(ticket.flies_for()));
            soon.limit(landing).await;
        } else {
            landing.await;
        }
    }

    fn landed(
        &self,
        key: &K,
        ticket: &Ticket<K, V, L::Error>,
        deadline: &Deadline,
    ) -> Answer<V, L::Error> {
        let error = match ticket.answer(key) {
            Ok(entry) => {
                self.note(Some(&entry.lifetime), deadline);
                return Ok(entry.value.clone());
            }
            Err(error) => error,
        };
        // Here alone: what a back-off answers would be a line for each request of an outage.
        if !ticket.is_near()
            && let Some((Freshness::Stale, _)) = self.cached(key)
        {
            tracing::warn!(kind = self.name, ?key, cause = %error, "a stale value was served");
        }
        self.or_stale(key, error, deadline)
    }

    /// What is stored of an answer of the source, or of a write of one's own.
    pub fn entry_of(&self, key: K, answer: ttl::Answer<V>, now: Reading) -> Entry<K, V> {
        let shorten = fastrand::f64();
        let (value, lifetime) = self.rules.judge(answer, now, shorten, self.absent);
        let heap = (self.weigher)(&key, value.as_ref());
        Entry::new(key, value, lifetime, heap)
    }

    /// What it takes to remember that `key` failed: everything where the user's code panics.
    pub fn failure_bytes(&self, key: &K, error: &Error<L::Error>) -> u64 {
        let heap = || (self.weigher)(key, None).saturating_add(error.to_string().len());
        let heap = catch_unwind(AssertUnwindSafe(heap)).unwrap_or(usize::MAX);
        // A table has up to three times the room of what is in it.
        let flat = backoff::OVERHEAD + 3 * size_of::<K>() as u64;
        flat.saturating_add(heap as u64)
    }

    pub fn store(&self, changing: &mut Changing<K, V, L::Error>, entry: &Arc<Entry<K, V>>) {
        if !self.rules.bypass() {
            changing.entries.put(entry);
        }
    }
}

impl<K, V, L: Loader<K, V>> Inner<K, V, L> {
    pub fn lock(&self) -> MutexGuard<'_, Changing<K, V, L::Error>> {
        lock(&self.changing)
    }
}

impl<K: Key, V: Value, E> Changing<K, V, E> {
    /// Ends what a load or a failure from before would say of `key`.
    fn forget(&mut self, key: &K) {
        self.remove_seat(key);
        self.back_off.forget(key);
    }

    fn remove_seat(&mut self, key: &K) {
        self.seats.remove(key);
        // The table of a large batch is not kept.
        if self.seats.len() < self.seats.capacity() / 8 {
            self.seats.shrink_to_fit();
        }
    }

    /// Frees the seat of `key` on this flight; false if the key was invalidated meanwhile.
    pub fn free_seat(&mut self, key: &K, flight: &Arc<Flight<K, V, E>>) -> bool {
        let seat = self.seats.get(key);
        let ours = seat.is_some_and(|seat| Arc::ptr_eq(seat, flight));
        if ours {
            self.remove_seat(key);
        }
        ours
    }
}
