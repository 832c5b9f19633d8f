//! What is read again ahead of its end, after the response and before the freeze.
//!
//! A hit in the last part of an entry's time leaves a mark, and a caller who does not wait any longer leaves the load.
//! Whoever runs the function calls [`Cache::refresh`] when the response is with its caller: Lambda freezes the
//! environment no sooner than it is asked for the next event. Nothing of this is a task, which a freeze could cut off.

use std::mem::take;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::cache::{Changing, Inner};
use crate::flight::{self, Ticket, Why};
use crate::ttl::Freshness;
use crate::{Cache, Deadline, Key, Loader, Value, lock};

/// How many keys are read again at once: as many as one BatchGetItem has. Of that many loads are kept, too.
pub(crate) const MOST: usize = 100;

/// How many loads are sent at once where each key is one.
const MOST_LOADS: usize = 16;

pub(crate) struct Ahead<K, V, E> {
    /// Of keys the hashes: what is evicted is freed at once. Few enough to be looked through.
    marked: Mutex<Vec<u64>>,
    /// The shares of callers who did not wait any longer, which keep their loads from being cancelled.
    left: Mutex<Vec<Ticket<K, V, E>>>,
    /// Somebody takes care of what is left.
    is_taken_care_of: AtomicBool,
}

impl<K, V, E> Default for Ahead<K, V, E> {
    fn default() -> Self {
        Ahead {
            marked: Mutex::default(),
            left: Mutex::default(),
            is_taken_care_of: AtomicBool::new(false),
        }
    }
}

impl<K, V, E> Ahead<K, V, E> {
    /// Of more than can be read at once those that were asked for first are.
    pub fn mark(&self, hash: u64) {
        let mut marked = lock(&self.marked);
        if marked.len() < MOST && !marked.contains(&hash) {
            marked.push(hash);
        }
    }

    pub fn take_marked(&self, most: usize) -> Vec<u64> {
        let mut marked = lock(&self.marked);
        let most = most.min(marked.len());
        marked.drain(..most).collect()
    }
}

impl<K: Key, V: Value, E: Send + Sync + 'static> Ahead<K, V, E> {
    /// Whether a caller may leave a load that has not landed. Else it would be frozen, or if it was cancelled never land
    /// where the source always takes longer than callers wait.
    pub fn may_be_left(&self) -> bool {
        self.is_taken_care_of.load(Relaxed)
    }

    pub fn leave(&self, ticket: Ticket<K, V, E>) {
        let mut left = lock(&self.left);
        let is_new = left
            .iter()
            .all(|other| other.flight_id() != ticket.flight_id());
        if is_new && left.len() < MOST {
            left.push(ticket);
        } else {
            // With the last share a load ends, which may be the user's code.
            drop(left);
            drop(ticket);
        }
    }

    /// From now on loads are left to whoever calls this.
    pub fn take_left(&self) -> Vec<Ticket<K, V, E>> {
        self.is_taken_care_of.store(true, Relaxed);
        take(&mut *lock(&self.left))
    }

    pub fn is_marked(&self) -> bool {
        !lock(&self.marked).is_empty()
    }

    pub fn is_left(&self) -> bool {
        !self.may_be_left() || !lock(&self.left).is_empty()
    }

    /// Ends what is left: nobody wants to know.
    pub fn forget_left(&self) {
        // Dropped after the lock: a load may be the user's code.
        let left = take(&mut *lock(&self.left));
        drop(left);
    }
}

// As in the rest of `Cache`: said to be `Send`.
#[allow(clippy::manual_async_fn)]
impl<K: Key, V: Value, L: Loader<K, V>> Cache<K, V, L> {
    /// Reads again what was asked for in the [last part](crate::Builder::refresh_ahead) of its time, and waits for
    /// the loads that a [soft time-out](crate::Builder::soft_timeout) has left behind, until they have landed or `until` has
    /// passed, which ends them. At most 100 keys in one load, or sixteen loads of one key
    /// ([`Loader::reads_together`]), and none that was evicted or invalidated meanwhile, or that the back-off holds. Where the read fails, an entry stays until its time is over.
    ///
    /// Call it after each response, and wait for it before Lambda is asked for the next event: that is when it
    /// freezes the environment. Once it has been called, loads are left to it: call it, or
    /// [`invalidate_all`](Self::invalidate_all), before a cache is given up, which what is left keeps alive.
    ///
    /// # Cancellation
    /// Safe to drop: its loads end, and the next hit asks for them again.
    pub fn refresh(&self, until: &Deadline) -> impl Future<Output = ()> + Send {
        async move {
            let start = Instant::now();
            let mut tickets = self.0.ahead.take_left();
            tickets
                .iter_mut()
                .for_each(|ticket| ticket.wait_behind(until));
            if !until.is_over() {
                let mut changing = self.0.lock();
                // One that hangs takes along what is in its load.
                let (most, at_once) = match self.0.loader.reads_together() {
                    true => (MOST, MOST),
                    false => (MOST_LOADS, 1),
                };
                let keys = self.0.to_refresh(&changing, most, &[]);
                let started = keys.chunks(at_once).map(|keys| {
                    let keys = keys.to_vec();
                    flight::start(&self.0, &mut changing, keys, Why::Ahead, until)
                });
                tickets.extend(started);
            }
            if tickets.is_empty() {
                return;
            }
            let landings: Vec<_> = tickets.iter().map(Ticket::wait).collect();
            until.limit(join_all(landings)).await;
            tickets.iter().for_each(Ticket::cut_off);
            self.0
                .counters
                .refreshing_micros
                .add_micros(start.elapsed());
        }
    }

    /// Whether [`refresh`](Self::refresh) has nothing to do.
    pub(crate) fn is_idle(&self, until: &Deadline) -> bool {
        !self.0.ahead.is_left() && (!self.0.ahead.is_marked() || until.is_over())
    }
}

impl<K: Key, V: Value, L: Loader<K, V>> Inner<K, V, L> {
    /// Of what is marked, up to so many keys whose entries are ending still and which no load has, nor a failure, nor
    /// `others`.
    pub fn to_refresh(
        &self,
        changing: &Changing<K, V, L::Error>,
        most: usize,
        others: &[K],
    ) -> Vec<K> {
        let marked = self.ahead.take_marked(most);
        let now = self.clock.now();
        let ending = marked.into_iter().filter_map(|hash| {
            let entry = self.entries.of_hash(hash)?;
            let freshness = entry.lifetime.freshness(|| now, &self.rules);
            let is_free = !changing.seats.contains_key(&entry.key)
                && changing.back_off.error(&entry.key, now).is_none()
                && !others.contains(&entry.key);
            (freshness == Freshness::Ending && is_free).then(|| entry.key.clone())
        });
        let keys: Vec<K> = ending.collect();
        self.counters.refreshes.add(keys.len() as u64);
        keys
    }
}
