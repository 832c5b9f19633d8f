//! One call of the loader, shared by all who wait for it.
//!
//! A flight is a shared future without a task of its own: its waiters drive it. When the last of
//! them leaves it is dropped, so no work is left running behind a response, where Lambda would
//! freeze it. A key has a seat on one flight at a time, and only that flight may store it:
//! invalidating a key takes its seat away, and the next caller starts a new flight.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::future::poll_fn;
use std::hash::Hash;
use std::mem::take;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use crate::cache::{Answer, Changing, Inner};
use crate::clock::Reading;
use crate::store::Entry;
use crate::{Deadline, Error, Key, Loaded, Loader, Value};

/// A load cut short before this time says nothing about the source: no back-off follows.
const FAIR_CHANCE: Duration = Duration::from_millis(200);

/// What a load brought: an answer for each key, or why it failed as a whole.
type Landed<K, V, E> = Arc<Result<HashMap<K, Answer<V, E>>, Error<E>>>;
type Load<K, V, E> = BoxFuture<'static, Landed<K, V, E>>;

/// What the load and those who wait for it know of each other.
struct Flight {
    /// The latest of the waiters' deadlines.
    until: Deadline,
    /// Wakes all who wait. There is one as soon as the load was polled.
    waiters: OnceLock<Waker>,
    /// Somebody gave up after having waited for a fair time.
    in_vain: AtomicBool,
}

/// A waiter's share in a flight. The last one is never dropped under the cache's lock: that drops
/// the load, which takes the lock.
pub(crate) struct Ticket<K, V, E> {
    load: Shared<Load<K, V, E>>,
    flight: Arc<Flight>,
    since: Instant,
}

impl<K: Hash + Eq, V: Clone, E> Ticket<K, V, E> {
    /// Drives the load to its end, together with all who wait for it.
    pub async fn wait(&self) {
        self.load.clone().await;
    }

    /// The answer for `key`. A flight still in the air has missed the caller's deadline.
    pub fn answer(&self, key: &K) -> Answer<V, E> {
        match self.load.peek().map(AsRef::as_ref) {
            Some(Ok(answers)) => answers.get(key).cloned().unwrap_or(Ok(None)),
            Some(Err(error)) => Err(error.clone()),
            None => {
                if self.since.elapsed() >= FAIR_CHANCE {
                    self.flight.in_vain.store(true, Relaxed);
                }
                Err(Error::DeadlineExceeded)
            }
        }
    }

    /// The same for all tickets of one flight.
    pub fn flight_id(&self) -> usize {
        Arc::as_ptr(&self.flight).addr()
    }
}

impl<K, V, E> Clone for Ticket<K, V, E> {
    fn clone(&self) -> Self {
        Ticket {
            load: self.load.clone(),
            flight: Arc::clone(&self.flight),
            since: self.since,
        }
    }
}

impl<K, V, E> Drop for Ticket<K, V, E> {
    /// A waiter that leaves may have been the one that drove the load, and may have swallowed its
    /// wake-up: one of the others has to go on. `Shared` alone forgets them
    /// (<https://github.com/rust-lang/futures-rs/issues/2706>).
    fn drop(&mut self) {
        if let Some(waiters) = self.flight.waiters.get() {
            waiters.wake_by_ref();
        }
    }
}

/// A key's place on the flight that loads it.
pub(crate) struct Seat<K, V, E> {
    load: WeakShared<Load<K, V, E>>,
    flight: Arc<Flight>,
}

impl<K, V, E> Seat<K, V, E> {
    /// A ticket for a caller who waits until `deadline`; `None` if the flight was cancelled, or
    /// its own time is up, which must not fail a caller who has more.
    pub fn join(&self, deadline: &Deadline) -> Option<Ticket<K, V, E>> {
        // In this order: no ticket that would have to be dropped here, under the lock.
        if !self.flight.until.extend(deadline) {
            return None;
        }
        Some(Ticket {
            load: self.load.upgrade()?,
            flight: Arc::clone(&self.flight),
            since: Instant::now(),
        })
    }
}

/// Starts one load of `keys` and gives them their seats. Nothing is sent before it is polled.
pub(crate) fn start<K: Key, V: Value, L: Loader<K, V>>(
    cache: &Arc<Inner<K, V, L>>,
    changing: &mut Changing<K, V, L::Error>,
    keys: Vec<K>,
    deadline: &Deadline,
) -> Ticket<K, V, L::Error> {
    cache.counters.loads.add_one();
    let flight = Arc::new(Flight {
        until: deadline.share(),
        waiters: OnceLock::new(),
        in_vain: AtomicBool::new(false),
    });
    let since = Instant::now();
    let running = Running {
        cache: Arc::clone(cache),
        flight: Arc::clone(&flight),
        keys: keys.clone(),
        sent: cache.clock.now(),
        started: since,
    };
    let load = running.fly().boxed().shared();
    // There is none only for a future that was polled to its end.
    if let Some(weak) = load.downgrade() {
        changing.seats.extend(keys.into_iter().map(|key| {
            let (load, flight) = (weak.clone(), Arc::clone(&flight));
            (key, Seat { load, flight })
        }));
    }
    Ticket {
        load,
        flight,
        since,
    }
}

/// What a load means for one key.
type Outcome<K, V, E> = (K, Result<Entry<V>, Error<E>>);

/// A load under way.
struct Running<K: Hash + Eq + Debug, V, L: Loader<K, V>> {
    cache: Arc<Inner<K, V, L>>,
    flight: Arc<Flight>,
    /// Empty once the flight has landed.
    keys: Vec<K>,
    /// Before the read is sent: what the source answers may be as old as that.
    sent: Reading,
    started: Instant,
}

impl<K: Key, V: Value, L: Loader<K, V>> Running<K, V, L> {
    async fn fly(mut self) -> Landed<K, V, L::Error> {
        let end = {
            let until = &self.flight.until;
            let load = async {
                let loading = self.cache.loader.load(self.keys.clone(), until.clone());
                let outcomes = self.outcomes(loading.await?);
                Ok((outcomes.iter().map(answer).collect(), outcomes))
            };
            let mut load = pin!(until.limit(AssertUnwindSafe(load).catch_unwind()));
            poll_fn(|context| {
                // `Shared` polls with the same waker always, which wakes all that it knows.
                let waker = || context.waker().clone();
                self.flight.waiters.get_or_init(waker);
                load.as_mut().poll(context)
            })
            .await
        };
        let error = match end {
            Some(Ok(Ok((answers, outcomes)))) => {
                self.land(outcomes);
                return Arc::new(Ok(answers));
            }
            Some(Ok(Err(error))) => Error::Load(Arc::new(error)),
            Some(Err(_panic)) => Error::LoaderPanicked,
            None => Error::DeadlineExceeded,
        };
        self.fail(&error);
        Arc::new(Err(error))
    }

    /// What is known of each key now. Runs outside the lock, and where a panic is caught: weighing
    /// and cloning is the user's code.
    fn outcomes(&self, mut loaded: Loaded<K, V, L::Error>) -> Vec<Outcome<K, V, L::Error>> {
        let cache = &self.cache;
        let now = cache.clock.now();
        let outcome = |key: &K| {
            if let Some(error) = loaded.failed.remove(key) {
                return (key.clone(), Err(Error::Load(Arc::new(error))));
            }
            let found = loaded.found.remove(key);
            (key.clone(), Ok(cache.entry_of(key, found, self.sent, now)))
        };
        self.keys.iter().map(outcome).collect()
    }

    /// Gives up the seats, and stores what was not invalidated meanwhile.
    fn land(&mut self, outcomes: Vec<Outcome<K, V, L::Error>>) {
        let mut failed = outcomes
            .iter()
            .filter_map(|(key, outcome)| Some((key, outcome.as_ref().err()?)));
        if let Some((key, error)) = failed.next() {
            self.cache.counters.load_errors.add_one();
            // Of many the first: they mostly fail for one reason.
            log_failure(self.cache.name, key, error, 1 + failed.count());
        }
        let cut_short = self.was_cut_short();
        let now = self.cache.clock.now();
        self.keys.clear();
        let mut changing = self.cache.lock();
        changing.back_off.sweep(now);
        for (key, outcome) in outcomes {
            if !changing.free_seat(&key, &self.flight) {
                continue;
            }
            match outcome {
                Ok(entry) => {
                    changing.back_off.succeeded(&key);
                    if !self.cache.rules.bypass() {
                        changing.entries.put(key, entry);
                    }
                }
                Err(_) if cut_short => {}
                Err(error) => changing.back_off.key_failed(key, error, self.sent, now),
            }
        }
    }
}

/// What the waiters get.
fn answer<K: Clone, V: Clone, E>((key, outcome): &Outcome<K, V, E>) -> (K, Answer<V, E>) {
    let answer = match outcome {
        Ok(entry) => Ok(entry.value.clone()),
        Err(error) => Err(error.clone()),
    };
    (key.clone(), answer)
}

/// One line for each failed load; the back-off bounds how many there are.
fn log_failure<K: Debug, E: Display>(kind: &str, key: &K, error: &Error<E>, keys: usize) {
    tracing::warn!(kind, ?key, keys, %error, "a load failed");
}

impl<K: Hash + Eq + Debug, V, L: Loader<K, V>> Running<K, V, L> {
    /// Gives up the seats of a load that brought nothing.
    fn fail(&mut self, error: &Error<L::Error>) {
        self.cache.counters.load_errors.add_one();
        if let Some(key) = self.keys.first() {
            log_failure(self.cache.name, key, error, self.keys.len());
        }
        // A bug is no outage: the next call loads.
        let is_outage = !matches!(error, Error::LoaderPanicked) && !self.was_cut_short();
        let now = self.cache.clock.now();
        let mut changing = self.cache.lock();
        // A load whose every key was invalidated says nothing to those who ask from then on.
        if changing.free_seats(take(&mut self.keys), &self.flight) && is_outage {
            changing
                .back_off
                .loader_failed(error.clone(), self.sent, now);
        }
    }

    fn was_cut_short(&self) -> bool {
        self.flight.until.remaining() == Some(Duration::ZERO)
            && self.started.elapsed() < FAIR_CHANCE
    }
}

impl<K: Hash + Eq + Debug, V, L: Loader<K, V>> Drop for Running<K, V, L> {
    /// Where it is still in the air its last waiter has left.
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        if self.flight.in_vain.load(Relaxed) {
            self.fail(&Error::DeadlineExceeded);
        } else {
            let keys = take(&mut self.keys);
            self.cache.lock().free_seats(keys, &self.flight);
        }
    }
}

impl<K: Hash + Eq, V, E> Changing<K, V, E> {
    /// Frees the seat of `key` on this flight; false if the key was invalidated meanwhile.
    fn free_seat(&mut self, key: &K, flight: &Arc<Flight>) -> bool {
        let seat = self.seats.get(key);
        let ours = seat.is_some_and(|seat| Arc::ptr_eq(&seat.flight, flight));
        if ours {
            self.seats.remove(key);
        }
        ours
    }

    /// Frees several; false if all of the keys were invalidated meanwhile.
    fn free_seats(&mut self, keys: Vec<K>, flight: &Arc<Flight>) -> bool {
        let freed = keys.iter().map(|key| self.free_seat(key, flight));
        freed.fold(false, |any, freed| any | freed)
    }
}
