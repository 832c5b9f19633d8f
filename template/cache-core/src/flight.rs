//! One call of the loader, shared by all who wait for it.
//!
//! A flight is a shared future without a task of its own: its waiters drive it. When the last of
//! them leaves it is dropped, so no work is left running behind a response, where Lambda would
//! freeze it. A key has a seat on one flight at a time, and only that flight may store it:
//! invalidating a key takes its seat away, and the next caller starts a new flight.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use crate::cache::{Answer, Changing, Inner};
use crate::clock::Reading;
use crate::store::{self, Entry};
use crate::{Deadline, Error, Loaded, Loader};

/// A load cut short before this time says nothing about the source: no back-off follows.
const FAIR_CHANCE: Duration = Duration::from_millis(200);

pub(crate) type Answers<K, V, E> = Arc<HashMap<K, Answer<V, E>>>;
pub(crate) type Flight<K, V, E> = Shared<BoxFuture<'static, Answers<K, V, E>>>;

/// A key's place on the flight that loads it.
pub(crate) struct Seat<K, V, E> {
    flight_number: u64,
    until: Deadline,
    flight: WeakShared<BoxFuture<'static, Answers<K, V, E>>>,
}

impl<K, V, E> Seat<K, V, E> {
    /// The flight, for a caller who waits until `deadline`; `None` if it was cancelled or its own
    /// time is up, which must not fail a caller who has more.
    pub fn join(&self, deadline: &Deadline) -> Option<Flight<K, V, E>> {
        // In this order: whoever holds a flight without waiting for it could be the last to drop
        // it, inside the lock that its drop takes.
        self.until
            .extend(deadline)
            .then(|| self.flight.upgrade())
            .flatten()
    }
}

/// Starts one load of `keys` and gives them their seats. Nothing is sent before it is polled.
pub(crate) fn start<K, V, L>(
    cache: &Arc<Inner<K, V, L>>,
    changing: &mut Changing<K, V, L::Error>,
    keys: Vec<K>,
    deadline: &Deadline,
) -> Flight<K, V, L::Error>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    L: Loader<K, V>,
{
    let number = changing.next_flight;
    changing.next_flight += 1;
    let until = deadline.share();
    let crew = Crew {
        cache: Arc::clone(cache),
        number,
        keys: keys.clone(),
    };
    let flight = crew.fly(until.clone()).boxed().shared();
    // There is none only for a flight that was polled to its end.
    if let Some(weak) = flight.downgrade() {
        changing.seats.extend(keys.into_iter().map(|key| {
            (
                key,
                Seat {
                    flight_number: number,
                    until: until.clone(),
                    flight: weak.clone(),
                },
            )
        }));
    }
    flight
}

/// What makes up a running flight. Dropped before it landed, it frees its seats.
struct Crew<K: Hash + Eq, V, L: Loader<K, V>> {
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

/// What is left alone for a while after a load.
enum Blame<E> {
    /// Those that failed.
    Keys,
    /// The load failed as a whole.
    Loader(Error<E>),
    Nobody,
}

impl<K, V, L> Crew<K, V, L>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    L: Loader<K, V>,
{
    async fn fly(self, until: Deadline) -> Answers<K, V, L::Error> {
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
        let error = match until.limit(AssertUnwindSafe(load).catch_unwind()).await {
            Some(Ok(Ok(outcomes))) => return self.land(outcomes, Blame::Keys),
            Some(Ok(Err(error))) => Error::Load(Arc::new(error)),
            Some(Err(_panic)) => Error::LoaderPanicked,
            None => Error::DeadlineExceeded,
        };
        // A bug is no outage, and a load that got no fair chance says nothing about the source.
        let cut_short = until.remaining() == Some(Duration::ZERO) && start.elapsed() < FAIR_CHANCE;
        let nobody = cut_short || matches!(error, Error::LoaderPanicked);
        let blame = if nobody {
            Blame::Nobody
        } else {
            Blame::Loader(error.clone())
        };
        let failed = |key: &K| Outcome {
            key: key.clone(),
            answer: Err(error.clone()),
            entry: None,
        };
        let outcomes = self.keys.iter().map(failed).collect();
        self.land(outcomes, blame)
    }

    /// What each key gets. Runs outside the lock: the weigher is the user's.
    fn outcomes(
        &self,
        mut loaded: Loaded<K, V, L::Error>,
        sent: Reading,
    ) -> Vec<Outcome<K, V, L::Error>> {
        let outcome = |key: &K| {
            let key = key.clone();
            if let Some(error) = loaded.failed.remove(&key) {
                return Outcome {
                    key,
                    answer: Err(Error::Load(Arc::new(error))),
                    entry: None,
                };
            }
            let rules = &self.cache.rules;
            let now = self.cache.clock.now();
            let found = loaded
                .found
                .remove(&key)
                .filter(|found| !rules.is_past(found.expires_at, now));
            let entry = (!rules.bypass()).then(|| {
                let shorten = fastrand::f64();
                let (lifetime, heap) = match &found {
                    Some(found) => (
                        rules.found(sent, found.expires_at, shorten),
                        (self.cache.weigher)(&key, &found.value),
                    ),
                    None => (rules.absent(sent, shorten), 0),
                };
                let value = found.as_ref().map(|found| found.value.clone());
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
        outcomes: Vec<Outcome<K, V, L::Error>>,
        blame: Blame<L::Error>,
    ) -> Answers<K, V, L::Error> {
        if outcomes.iter().any(|outcome| outcome.answer.is_err()) {
            self.cache.counters.load_errors.add_one();
        }
        let now = self.cache.clock.now();
        let mut changing = self.cache.lock();
        let mut answers = HashMap::with_capacity(outcomes.len());
        for Outcome { key, answer, entry } in outcomes {
            if changing.free_seat(&key, self.number) {
                match &answer {
                    Ok(_) => changing.back_off.succeeded(&key),
                    Err(error) if matches!(blame, Blame::Keys) => {
                        changing
                            .back_off
                            .key_failed(key.clone(), error.clone(), now);
                    }
                    Err(_) => {}
                }
                if let Some((entry, bytes)) = entry {
                    changing.entries.put(key.clone(), entry, bytes);
                }
            }
            answers.insert(key, answer);
        }
        if let Blame::Loader(error) = blame {
            changing.back_off.loader_failed(error, now);
        }
        drop(changing);
        self.keys.clear();
        Arc::new(answers)
    }
}

impl<K: Hash + Eq, V, L: Loader<K, V>> Drop for Crew<K, V, L> {
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
