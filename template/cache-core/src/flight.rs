//! One call of the loader, shared by all who wait for it.
//!
//! A flight has no task of its own: those who wait for it drive it. When the last of them leaves,
//! its load is dropped, so that no work is left running behind a response, where Lambda would freeze
//! it. A key has a seat on one flight at a time, and only that flight may store it: invalidating a
//! key takes its seat away, and the next caller starts a new flight.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::cache::{Changing, Inner};
use crate::clock::Reading;
use crate::store::Entry;
use crate::ttl::Answer;
use crate::{Deadline, Error, Key, Loaded, Loader, Value, lock};

/// A load cut short before this time says nothing about the source: no back-off follows.
const FAIR_CHANCE: Duration = Duration::from_millis(200);

/// What is known of each key of a load, or why it failed as a whole.
pub(crate) type Landed<K, V, E> = Arc<Result<Outcomes<K, V, E>, Error<E>>>;
type Outcomes<K, V, E> = HashMap<K, Result<Arc<Entry<K, V>>, Error<E>>>;

pub(crate) struct Flight<K, V, E> {
    /// The latest of the deadlines of all who wait.
    until: Deadline,
    /// Before the read is sent: what the source answers may be as old as that.
    sent: Reading,
    started: Instant,
    /// It does not ask the source, which is left alone.
    is_near: bool,
    progress: Mutex<Progress<K, V, E>>,
}

struct Progress<K, V, E> {
    /// Away while somebody drives it, and gone once it has landed or nobody waits.
    load: Option<BoxFuture<'static, Landed<K, V, E>>>,
    /// The load was woken since it was last polled.
    woken: bool,
    landed: Option<Landed<K, V, E>>,
    /// All who wait, with a waker from when one is polled until it is woken.
    waiters: HashMap<u64, Option<Waker>>,
    next_waiter: u64,
    /// Somebody gave up after having waited for a fair time.
    in_vain: bool,
    /// Nobody waits but behind a response, where there is less time than a caller has.
    is_behind: bool,
    /// A failure is news even if the flight has no seat left.
    counts: bool,
}

impl<K, V, E> Flight<K, V, E> {
    /// A ticket for a caller who waits until `deadline`; `None` if the answer could be older than
    /// `oldest`, or will not come: nobody drives the load, somebody waited for it in vain, or its
    /// own time is up, which must not fail a caller who has more.
    pub fn join(
        self: &Arc<Self>,
        deadline: &Deadline,
        now: Reading,
        oldest: Duration,
    ) -> Option<Ticket<K, V, E>> {
        let mut progress = lock(&self.progress);
        let is_young = now.since(self.sent).is_some_and(|age| age < oldest);
        let is_hopeless =
            progress.in_vain || progress.waiters.is_empty() || progress.landed.is_some();
        let joins = is_young && !is_hopeless && self.until.extend(deadline);
        progress.is_behind &= !joins;
        joins.then(|| self.ticket(&mut progress))
    }

    /// Another flight takes its seat. If that is since somebody waited in vain, its failure counts
    /// all the same.
    pub fn supersede(&self) {
        let mut progress = lock(&self.progress);
        progress.counts = progress.in_vain;
    }

    fn ticket(self: &Arc<Self>, progress: &mut Progress<K, V, E>) -> Ticket<K, V, E> {
        let waiter = progress.next_waiter;
        progress.next_waiter += 1;
        progress.waiters.insert(waiter, None);
        Ticket {
            flight: Arc::clone(self),
            waiter,
            since: Instant::now(),
        }
    }

    /// Wakes all who wait: of one alone nobody knows whether it will be polled again.
    fn wake_all(&self, mut progress: MutexGuard<'_, Progress<K, V, E>>) {
        let wakers = progress.waiters.values_mut().filter_map(Option::take);
        let wakers: Vec<Waker> = wakers.collect();
        drop(progress);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn was_cut_short(&self) -> bool {
        self.until.is_over() && self.started.elapsed() < FAIR_CHANCE
    }
}

impl<K: Key, V: Value, E: Send + Sync + 'static> Flight<K, V, E> {
    /// One waiter's turn.
    ///
    /// # Panics
    /// Within a load that waits for itself, which fails it.
    fn poll(self: &Arc<Self>, waiter: u64, waker: &Waker) -> Poll<()> {
        let is_circular = waker.data() == Arc::as_ptr(self).cast();
        assert!(
            !is_circular,
            "a loader asks its own cache for what it loads"
        );
        // Before the lock, so that it is dropped after it: with its waker a task may go, and tickets.
        let _replaced;
        let mut progress = lock(&self.progress);
        if progress.landed.is_some() {
            return Poll::Ready(());
        }
        _replaced = progress.waiters.insert(waiter, Some(waker.clone()));
        let is_woken = progress.woken;
        let Some(mut load) = progress.load.take_if(|_| is_woken) else {
            return Poll::Pending;
        };
        progress.woken = false;
        drop(progress);

        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        // The loader's panics are caught further inside. This is for keys that panic.
        let polled = catch_unwind(AssertUnwindSafe(|| load.as_mut().poll(&mut context)));
        let polled = polled.unwrap_or_else(|_| Poll::Ready(Arc::new(Err(Error::LoaderPanicked))));

        let mut progress = lock(&self.progress);
        match polled {
            Poll::Ready(landed) => {
                progress.landed = Some(landed);
                self.wake_all(progress);
                discard(load);
                Poll::Ready(())
            }
            Poll::Pending => {
                progress.load = Some(load);
                // Who was woken meanwhile found the load away.
                if progress.woken {
                    self.wake_all(progress);
                }
                Poll::Pending
            }
        }
    }
}

impl<K: Key, V: Value, E: Send + Sync + 'static> Wake for Flight<K, V, E> {
    fn wake(self: Arc<Self>) {
        let mut progress = lock(&self.progress);
        progress.woken = true;
        self.wake_all(progress);
    }
}

/// Drops a load; a future that panics when it is dropped is nobody's failure any more.
fn discard<T>(load: BoxFuture<'static, T>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(load)));
}

/// A waiter's share in a flight. The last one is never dropped under the cache's lock: that drops
/// the load, which takes the lock.
pub(crate) struct Ticket<K, V, E> {
    flight: Arc<Flight<K, V, E>>,
    waiter: u64,
    since: Instant,
}

impl<K: Key, V: Value, E: Send + Sync + 'static> Ticket<K, V, E> {
    /// Drives the load to its end, together with all who wait for it.
    pub async fn wait(&self) {
        poll_fn(|context| self.flight.poll(self.waiter, context.waker())).await;
    }

    /// What the flight brought. One still in the air has missed the caller's deadline.
    pub fn landed(&self) -> Option<Landed<K, V, E>> {
        let mut progress = lock(&self.flight.progress);
        if progress.landed.is_none() {
            progress.in_vain |= self.since.elapsed() >= FAIR_CHANCE;
        }
        progress.landed.clone()
    }

    /// Waits from now on, behind a response, until `until`.
    pub fn wait_behind(&mut self, until: &Deadline) {
        self.since = Instant::now();
        self.flight.until.extend(until);
        let mut progress = lock(&self.flight.progress);
        progress.is_behind = progress.waiters.len() == 1;
    }

    /// Waits no longer behind a response. That says something about the keys of the load if nobody else waits, and
    /// nothing about what a caller with more time would get of others.
    pub fn cut_off(&self) {
        let mut progress = lock(&self.flight.progress);
        if progress.is_behind {
            progress.in_vain |= self.since.elapsed() >= FAIR_CHANCE;
        }
    }

    pub fn is_landed(&self) -> bool {
        lock(&self.flight.progress).landed.is_some()
    }

    /// Since when.
    pub fn flies_for(&self) -> Duration {
        self.flight.started.elapsed()
    }

    /// The answer for `key`.
    pub fn answer(&self, key: &K) -> Result<Arc<Entry<K, V>>, Error<E>> {
        let landed = self.landed().ok_or(Error::DeadlineExceeded)?;
        let outcomes = landed.as_ref().as_ref().map_err(Error::clone)?;
        // There is none only where keys that are equal hash differently.
        outcomes
            .get(key)
            .cloned()
            .unwrap_or(Err(Error::LoaderPanicked))
    }

    /// Whether it answers without the source.
    pub fn is_near(&self) -> bool {
        self.flight.is_near
    }

    /// The same for all tickets of one flight.
    pub fn flight_id(&self) -> usize {
        Arc::as_ptr(&self.flight).addr()
    }
}

impl<K, V, E> Drop for Ticket<K, V, E> {
    fn drop(&mut self) {
        let mut progress = lock(&self.flight.progress);
        let waker = progress.waiters.remove(&self.waiter);
        let is_last = progress.waiters.is_empty();
        let load = progress.load.take_if(|_| is_last);
        drop(progress);
        drop(waker);
        if let Some(load) = load {
            discard(load);
        }
    }
}

/// Why there is a load.
pub(crate) enum Why<K, E> {
    /// Keys that are `held_back` fail like that if they are not known without the source.
    Asked {
        held_back: HashMap<K, Error<E>>,
    },
    Ahead,
}

/// Starts one load of `keys` and gives them their seats. Nothing is sent before it is polled.
pub(crate) fn start<K: Key, V: Value, L: Loader<K, V>>(
    cache: &Arc<Inner<K, V, L>>,
    changing: &mut Changing<K, V, L::Error>,
    keys: Vec<K>,
    why: Why<K, L::Error>,
    deadline: &Deadline,
) -> Ticket<K, V, L::Error> {
    let is_ahead = matches!(why, Why::Ahead);
    let held_back = match why {
        Why::Asked { held_back } => held_back,
        Why::Ahead => HashMap::new(),
    };
    let is_near = !held_back.is_empty();
    cache.counters.loads.add(u64::from(!is_near));
    let flight = Arc::new(Flight {
        until: deadline.share(),
        sent: cache.clock.now(),
        started: Instant::now(),
        is_near,
        progress: Mutex::new(Progress {
            load: None,
            woken: true,
            landed: None,
            waiters: HashMap::new(),
            next_waiter: 0,
            in_vain: false,
            is_behind: is_ahead,
            counts: false,
        }),
    });
    let ticket = flight.ticket(&mut lock(&flight.progress));
    // Before there is a load: a key that panics here leaves nothing that would take the lock.
    let seats = keys.iter().map(|key| (key.clone(), Arc::clone(&flight)));
    changing.seats.extend(seats);
    let load = Running {
        cache: Arc::clone(cache),
        flight: Arc::clone(&flight),
        keys,
        held_back,
    };
    lock(&flight.progress).load = Some(load.fly().boxed());
    ticket
}

/// A load under way.
struct Running<K: Key, V: Value, L: Loader<K, V>> {
    cache: Arc<Inner<K, V, L>>,
    flight: Arc<Flight<K, V, L::Error>>,
    /// Empty once the flight has landed.
    keys: Vec<K>,
    held_back: HashMap<K, Error<L::Error>>,
}

impl<K: Key, V: Value, L: Loader<K, V>> Running<K, V, L> {
    async fn fly(mut self) -> Landed<K, V, L::Error> {
        let load = async {
            let (keys, until) = (self.keys.clone(), self.flight.until.clone());
            if self.flight.is_near {
                let loaded = self.cache.loader.load_near(keys, until).await;
                return Ok((false, false, self.outcomes(loaded)));
            }
            let known = |key: &K| self.cache.known(key);
            let loaded = self.cache.loader.reload(keys, &known, until).await?;
            let of_source = |key| !loaded.age.contains_key(key) && !loaded.failed.contains_key(key);
            let source_answered = self.keys.iter().any(of_source);
            Ok((source_answered, loaded.is_outage, self.outcomes(loaded)))
        };
        let error = match AssertUnwindSafe(load).catch_unwind().await {
            Ok(Ok((source_answered, is_outage, outcomes))) => {
                self.land(&outcomes, source_answered, is_outage);
                return Arc::new(Ok(outcomes));
            }
            Ok(Err(error)) => Error::Load(Arc::new(error)),
            Err(_panic) => Error::LoaderPanicked,
        };
        self.fail(&error);
        Arc::new(Err(error))
    }

    /// What is known of each key now. Runs outside the lock, and where a panic is caught: weighing
    /// and cloning is the user's code.
    fn outcomes(&self, mut loaded: Loaded<K, V, L::Error>) -> Outcomes<K, V, L::Error> {
        let cache = &self.cache;
        let now = cache.clock.now();
        let mut outcome = |key: &K| {
            let age = loaded.age.remove(key);
            match (loaded.failed.remove(key), self.held_back.get(key)) {
                (Some(error), _) => return Err(Error::Load(Arc::new(error))),
                (None, Some(error)) if age.is_none() => return Err(error.clone()),
                _ => {}
            }
            let answer = Answer {
                found: loaded.found.remove(key),
                fresh_for: loaded.fresh_for.remove(key),
                age: age.unwrap_or_default(),
                sent: self.flight.sent,
            };
            let entry = cache.entry_of(key.clone(), answer, now);
            Ok(Arc::new(entry))
        };
        let keys = self.keys.iter();
        keys.map(|key| (key.clone(), outcome(key))).collect()
    }

    /// Gives up the seats, and stores what was not invalidated meanwhile. Key by key, so that others
    /// wait for one of them and not for a batch.
    fn land(
        &mut self,
        outcomes: &Outcomes<K, V, L::Error>,
        source_answered: bool,
        is_outage: bool,
    ) {
        let failed = outcomes
            .iter()
            .filter_map(|(key, outcome)| Some((key, outcome.as_ref().err()?)));
        // Who was held back fails for what has been counted.
        let failed: Vec<_> = failed.filter(|_| !self.flight.is_near).collect();
        let first = failed.first().copied();
        // An outage takes care of its keys itself.
        let outage = first.filter(|_| is_outage);
        self.keys = match (outage, first) {
            (Some(_), _) => failed.iter().map(|(key, _)| (*key).clone()).collect(),
            (None, Some((key, error))) => {
                // Of many the first: they mostly fail for one reason.
                self.count_failure(key, error, failed.len());
                Vec::new()
            }
            (None, None) => Vec::new(),
        };
        let (sent, cut_short) = (self.flight.sent, self.flight.was_cut_short());
        let now = self.cache.clock.now();
        for (key, outcome) in outcomes {
            if outage.is_some() && outcome.is_err() {
                continue;
            }
            let weigh = |error| self.cache.failure_bytes(key, error);
            let bytes = outcome.as_ref().err().map_or(0, weigh);
            let mut changing = self.cache.lock();
            if source_answered && outcome.is_ok() {
                changing.back_off.source_answered();
            }
            if !changing.free_seat(key, &self.flight) {
                continue;
            }
            match outcome {
                Ok(entry) if self.flight.is_near => self.cache.store(&mut changing, entry),
                Err(_) if self.flight.is_near => {}
                Ok(entry) => {
                    changing.back_off.take(key);
                    self.cache.store(&mut changing, entry);
                }
                Err(_) if cut_short => {}
                Err(error) => changing.back_off.key_failed(key, error, bytes, sent, now),
            }
        }
        if let Some((_, error)) = outage {
            self.fail(error);
        }
    }

    /// Gives up the seats of a load that brought nothing.
    fn fail(&mut self, error: &Error<L::Error>) {
        let Some(first) = self.keys.first() else {
            return;
        };
        if self.flight.is_near {
            return;
        }
        self.count_failure(first, error, self.keys.len());
        // A bug is no outage: the next call loads.
        let is_outage = !matches!(error, Error::LoaderPanicked) && !self.flight.was_cut_short();
        let (sent, now) = (self.flight.sent, self.cache.clock.now());
        let bytes = self.cache.failure_bytes(first, error);
        let (counts, is_cut_off) = {
            let progress = lock(&self.flight.progress);
            // By its waiter, or by the source in its place.
            let is_ended = matches!(error, Error::DeadlineExceeded) || self.flight.until.is_over();
            (progress.counts, progress.is_behind && is_ended)
        };
        let keys = take(&mut self.keys);
        let mut changing = self.cache.lock();
        let freed = |key: &&K| changing.free_seat(key, &self.flight);
        let (freed, lost): (Vec<_>, Vec<_>) = keys.iter().partition(freed);
        // A load whose every key was invalidated says nothing to those who ask from then on.
        if is_outage && is_cut_off {
            let back_off = &mut changing.back_off;
            for key in freed {
                back_off.key_failed(key, error, bytes, sent, now);
            }
        } else if is_outage && (counts || !freed.is_empty()) {
            let back_off = &mut changing.back_off;
            back_off.load_failed(&keys, error, bytes, sent, now);
            // What was invalidated meanwhile is asked for again.
            if !counts {
                lost.into_iter().for_each(|key| back_off.forget(key));
            }
        }
    }

    /// With one line for each failed load; the back-off bounds how many there are. Of a long key it has the beginning.
    fn count_failure(&self, key: &K, error: &Error<L::Error>, keys: usize) {
        self.cache.counters.load_errors.add_one();
        let kind = self.cache.name;
        let key: String = format!("{key:?}").chars().take(200).collect();
        tracing::warn!(kind, %key, keys, %error, "a load failed");
    }
}

impl<K: Key, V: Value, L: Loader<K, V>> Drop for Running<K, V, L> {
    /// Where it is still in the air its last waiter has left.
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        if lock(&self.flight.progress).in_vain {
            // In the log stands what the user's code says: it may panic, here while it unwinds.
            let fail = AssertUnwindSafe(|| self.fail(&Error::DeadlineExceeded));
            let _ = catch_unwind(fail);
        }
        let mut changing = self.cache.lock();
        for key in take(&mut self.keys) {
            changing.free_seat(&key, &self.flight);
        }
    }
}
