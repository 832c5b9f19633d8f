//! After a failed load: how long its error is the answer.
//!
//! Without this an outage costs every request a full time-out.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::Error;
use crate::clock::Reading;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(2);
/// A failure this old starts again at [`FIRST`], and is forgotten.
const FORGET: Duration = Duration::from_secs(4);

/// Bounds the memory that failing keys take.
const MOST_KEYS: usize = 1000;

struct Failure<E> {
    at: Reading,
    pause: Duration,
    error: Error<E>,
}

impl<E> Failure<E> {
    fn younger_than(&self, limit: Duration, now: Reading) -> bool {
        // A clock that ran backwards ends a pause, as it ends an entry.
        now.since(self.at).is_some_and(|age| age < limit)
    }
}

/// The failures that still answer: of single keys, and of the loader as a whole.
pub(crate) struct BackOff<K, E> {
    keys: HashMap<K, Failure<E>>,
    loader: Option<Failure<E>>,
}

impl<K: Hash + Eq, E> BackOff<K, E> {
    pub fn new() -> Self {
        BackOff {
            keys: HashMap::new(),
            loader: None,
        }
    }

    /// The error to answer with instead of loading `key`, if any.
    pub fn error(&self, key: &K, now: Reading) -> Option<Error<E>> {
        [self.loader.as_ref(), self.keys.get(key)]
            .into_iter()
            .flatten()
            .find(|failure| failure.younger_than(failure.pause, now))
            .map(|failure| failure.error.clone())
    }

    /// Notes that a key failed in a load that was sent at `sent`.
    pub fn key_failed(&mut self, key: K, error: Error<E>, sent: Reading, now: Reading) {
        let last = self.keys.remove(&key);
        // Where so many fail at once their own pauses are the least of the problems.
        if self.keys.len() < MOST_KEYS {
            self.keys.insert(key, next(last, error, sent, now));
        }
    }

    /// Notes that a load failed as a whole.
    pub fn loader_failed(&mut self, error: Error<E>, sent: Reading, now: Reading) {
        self.loader = Some(next(self.loader.take(), error, sent, now));
    }

    /// Forgets the failures of keys that have become old.
    pub fn sweep(&mut self, now: Reading) {
        self.keys
            .retain(|_, failure| failure.younger_than(FORGET, now));
    }

    pub fn succeeded(&mut self, key: &K) {
        self.keys.remove(key);
        self.loader = None;
    }

    pub fn forget<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.keys.remove(key);
    }

    pub fn forget_all(&mut self) {
        *self = BackOff::new();
    }
}

fn next<E>(last: Option<Failure<E>>, error: Error<E>, sent: Reading, now: Reading) -> Failure<E> {
    let pause = match last.filter(|last| last.younger_than(FORGET, now)) {
        // Sent before that failure was known: the same incident, not a further one.
        Some(last) if sent.since(last.at).is_none() => return last,
        Some(last) => LONGEST.min(last.pause * 2),
        None => FIRST,
    };
    Failure {
        at: now,
        pause,
        error,
    }
}
