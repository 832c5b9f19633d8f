//! One call of the loader, shared by all who wait for it.
//!
//! A flight is a shared future without a task of its own: its waiters drive it. When the last of
//! them leaves it is dropped, so no work is left running behind a response, where Lambda would
//! freeze it. A key has a seat on one flight at a time, and only that flight may store it:
//! invalidating a key takes its seat away, and the next caller starts a new flight.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::cache::{Answer, Changing, Inner};
use crate::clock::Reading;
use crate::store::{self, Entry};
use crate::{Deadline, Error, Key, Loaded, Loader, Value};

/// A load cut short before this time says nothing about the source: no back-off follows.
const FAIR_CHANCE: Duration = Duration::from_millis(200);

type Answers<K, V, E> = Arc<HashMap<K, Answer<V, E>>>;
type Load<K, V, E> = BoxFuture<'static, Answers<K, V, E>>;

/// A waiter's handle. Never dropped under the cache's lock: if it is the last one, dropping it
/// drops the load, which takes that lock.
pub(crate) struct Flight<K, V, E> {
    load: Shared<Load<K, V, E>>,
    driver: Arc<AtomicWaker>,
}

impl<K: Hash + Eq, V, E> Flight<K, V, E> {
    /// Drives the load to its end, together with all who wait for it.
    pub async fn wait(&self) {
        self.load.clone().await;
    }

    /// The answer for `key`, if the flight has landed.
    pub fn answer(&self, key: &K) -> Option<&Answer<V, E>> {
        self.load.peek()?.get(key)
    }

    pub fn is(&self, other: &Self) -> bool {
        self.load.ptr_eq(&other.load)
    }
}

impl<K, V, E> Clone for Flight<K, V, E> {
    fn clone(&self) -> Self {
        Flight {
            load: self.load.clone(),
            driver: Arc::clone(&self.driver),
        }
    }
}

impl<K, V, E> Drop for Flight<K, V, E> {
    /// A waiter that leaves may have been the one that drove the load, and may have swallowed its
    /// wake-up: one of the others has to go on. `Shared` alone forgets them
    /// (<https://github.com/rust-lang/futures-rs/issues/2706>).
    fn drop(&mut self) {
        self.driver.wake();
    }
}

/// A key's place on the flight that loads it.
pub(crate) struct Seat<K, V, E> {
    flight_number: u64,
    until: Deadline,
    load: WeakShared<Load<K, V, E>>,
    driver: Arc<AtomicWaker>,
}

impl<K, V, E> Seat<K, V, E> {
    /// The flight, for a caller who waits until `deadline`; `None` if it was cancelled, or its own
    /// time is up, which must not fail a caller who has more.
    pub fn join(&self, deadline: &Deadline) -> Option<Flight<K, V, E>> {
        // In this order: no handle that would have to be dropped here, under the lock.
        if !self.until.extend(deadline) {
            return None;
        }
        Some(Flight {
            load: self.load.upgrade()?,
            driver: Arc::clone(&self.driver),
        })
    }
}

/// Starts one load of `keys` and gives them their seats. Nothing is sent before it is polled.
pub(crate) fn start<K: Key, V: Value, L: Loader<K, V>>(
    cache: &Arc<Inner<K, V, L>>,
    changing: &mut Changing<K, V, L::Error>,
    keys: Vec<K>,
    deadline: &Deadline,
) -> Flight<K, V, L::Error> {
    let number = changing.next_flight;
    changing.next_flight += 1;
    let until = deadline.share();
    let driver = Arc::new(AtomicWaker::new());
    let running = Running {
        cache: Arc::clone(cache),
        number,
        keys: keys.clone(),
    };
    let load = running
        .fly(until.clone(), Arc::clone(&driver))
        .boxed()
        .shared();
    // There is none only for a future that was polled to its end.
    if let Some(weak) = load.downgrade() {
        for key in keys {
            let (until, driver) = (until.clone(), Arc::clone(&driver));
            let seat = Seat {
                flight_number: number,
                until,
                load: weak.clone(),
                driver,
            };
            changing.seats.insert(key, seat);
        }
    }
    Flight { load, driver }
}

/// A load under way. Dropped before it landed, it frees its seats.
struct Running<K: Hash + Eq, V, L: Loader<K, V>> {
    cache: Arc<Inner<K, V, L>>,
    number: u64,
    keys: Vec<K>,
}

/// What a load means for one key. The entry is there unless it failed or nothing is stored.
struct Outcome<K, V, E> {
    key: K,
    answer: Answer<V, E>,
    /// With what it costs in bytes.
    entry: Option<(Entry<V>, u64)>,
}

type Outcomes<K, V, E> = Vec<Outcome<K, V, E>>;

/// What is left alone for a while after a load.
enum Blame<E> {
    /// The keys that failed.
    Keys,
    /// Every key: the load failed as a whole.
    Loader(Error<E>),
    Nobody,
}

impl<K: Key, V: Value, L: Loader<K, V>> Running<K, V, L> {
    async fn fly(self, until: Deadline, driver: Arc<AtomicWaker>) -> Answers<K, V, L::Error> {
        self.cache.counters.loads.add_one();
        // Before the read is sent: what the source answers may be as old as that.
        let sent = self.cache.clock.now();
        let start = Instant::now();
        let load = async {
            let loaded = self
                .cache
                .loader
                .load(self.keys.clone(), until.clone())
                .await?;
            Ok(self.outcomes(loaded, sent))
        };
        let end = {
            let mut load = pin!(until.limit(AssertUnwindSafe(load).catch_unwind()));
            poll_fn(|context| {
                driver.register(context.waker());
                load.as_mut().poll(context)
            })
            .await
        };
        let cut_short = until.remaining() == Some(Duration::ZERO) && start.elapsed() < FAIR_CHANCE;
        let (outcomes, blame) = match end {
            Some(Ok(Ok(outcomes))) => (outcomes, Blame::Keys),
            Some(Ok(Err(error))) => {
                let error = Error::Load(Arc::new(error));
                (self.all_failed(&error), Blame::Loader(error))
            }
            None => (
                self.all_failed(&Error::DeadlineExceeded),
                Blame::Loader(Error::DeadlineExceeded),
            ),
            // A bug is no outage: the next call loads.
            Some(Err(_panic)) => (self.all_failed(&Error::LoaderPanicked), Blame::Nobody),
        };
        self.land(
            outcomes,
            if cut_short { Blame::Nobody } else { blame },
            sent,
        )
    }

    fn all_failed(&self, error: &Error<L::Error>) -> Outcomes<K, V, L::Error> {
        let failed = |key: &K| Outcome {
            key: key.clone(),
            answer: Err(error.clone()),
            entry: None,
        };
        self.keys.iter().map(failed).collect()
    }

    /// What each key gets. Runs outside the lock: the weigher is the user's.
    fn outcomes(
        &self,
        mut loaded: Loaded<K, V, L::Error>,
        sent: Reading,
    ) -> Outcomes<K, V, L::Error> {
        let rules = &self.cache.rules;
        let now = self.cache.clock.now();
        let outcome = |key: &K| {
            let key = key.clone();
            if let Some(error) = loaded.failed.remove(&key) {
                return Outcome {
                    key,
                    answer: Err(Error::Load(Arc::new(error))),
                    entry: None,
                };
            }
            let found = loaded
                .found
                .remove(&key)
                .filter(|found| !rules.is_past(found.expires_at, now));
            let entry = (!rules.bypass()).then(|| {
                let value = found.as_ref().map(|found| found.value.clone());
                let heap = (self.cache.weigher)(&key, value.as_ref());
                let shorten = fastrand::f64();
                let lifetime = match &found {
                    Some(found) => rules.found(sent, found.expires_at, shorten),
                    None => rules.absent(sent, shorten),
                };
                (Entry { value, lifetime }, store::entry_bytes::<K, V>(heap))
            });
            Outcome {
                key,
                answer: Ok(found.map(|found| found.value)),
                entry,
            }
        };
        self.keys.iter().map(outcome).collect()
    }

    /// Gives up the seats, and stores what was not invalidated meanwhile.
    fn land(
        mut self,
        outcomes: Outcomes<K, V, L::Error>,
        blame: Blame<L::Error>,
        sent: Reading,
    ) -> Answers<K, V, L::Error> {
        if outcomes.iter().any(|outcome| outcome.answer.is_err()) {
            self.cache.counters.load_errors.add_one();
        }
        let now = self.cache.clock.now();
        let mut answers = HashMap::with_capacity(outcomes.len());
        let mut still_wanted = false;
        let mut changing = self.cache.lock();
        changing.back_off.sweep(now);
        for Outcome { key, answer, entry } in outcomes {
            if changing.free_seat(&key, self.number) {
                still_wanted = true;
                match &answer {
                    Ok(_) => changing.back_off.succeeded(&key),
                    Err(error) if matches!(blame, Blame::Keys) => {
                        changing
                            .back_off
                            .key_failed(key.clone(), error.clone(), sent, now);
                    }
                    Err(_) => {}
                }
                if let Some((entry, bytes)) = entry {
                    changing.entries.put(key.clone(), entry, bytes);
                }
            }
            answers.insert(key, answer);
        }
        // A load whose every key was invalidated says nothing to those who ask from then on.
        if let Blame::Loader(error) = blame
            && still_wanted
        {
            changing.back_off.loader_failed(error, sent, now);
        }
        drop(changing);
        self.keys.clear();
        Arc::new(answers)
    }
}

impl<K: Hash + Eq, V, L: Loader<K, V>> Drop for Running<K, V, L> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut changing = self.cache.lock();
        for key in &self.keys {
            changing.free_seat(key, self.number);
        }
    }
}

impl<K: Hash + Eq, V, E> Changing<K, V, E> {
    /// Frees the seat of `key` on this flight; false if the key was invalidated meanwhile.
    fn free_seat(&mut self, key: &K, flight_number: u64) -> bool {
        let ours = self
            .seats
            .get(key)
            .is_some_and(|seat| seat.flight_number == flight_number);
        if ours {
            self.seats.remove(key);
        }
        ours
    }
}
