//! What is read again ahead of its end, after the response and before the freeze.
//!
//! A hit in the last part of an entry's time leaves a mark, and a caller who does not wait any longer leaves the load.
//! Whoever runs the function calls [`Cache::refresh`] when the response is with its caller: Lambda freezes the
//! environment no sooner than it is asked for the next event. Nothing of this is a task, which a freeze could cut off.

use std::mem::take;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::flight::Ticket;
use crate::lock;

/// How many keys are read again at once: as many as one BatchGetItem has. Of that many loads are kept, too.
pub(crate) const MOST: usize = 100;

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

impl<K: crate::Key, V: crate::Value, E: Send + Sync + 'static> Ahead<K, V, E> {
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
        let left = take(&mut *lock(&self.left));
        drop(left);
    }
}
