//! After a failed load: how long its error is the answer.
//!
//! Without this an outage costs every request a full time-out.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use crate::Error;
use crate::clock::Reading;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(2);
/// A load that is sent so long after a failure starts again at [`FIRST`] if it fails too.
const FORGET: Duration = Duration::from_secs(4);

/// What it takes to remember a failing key beside the key and the text of its error.
pub(crate) const OVERHEAD: u64 = 256;

/// More keys that were invalidated during an outage than this end its back-off for all.
const MOST_SPARED: usize = 1000;

pub(crate) struct Failure<E> {
    at: Reading,
    pause: Duration,
    error: Error<E>,
    bytes: u64,
}

impl<E> Failure<E> {
    fn is_paused(&self, now: Reading) -> bool {
        // A clock that ran backwards ends a pause, as it ends an entry.
        now.since(self.at).is_some_and(|age| age < self.pause)
    }
}

/// The failures that still answer: of single keys, and of the loader as a whole.
pub(crate) struct BackOff<K, E> {
    keys: HashMap<K, Failure<E>>,
    /// What `keys` takes, and may take.
    bytes: u64,
    most: u64,
    loader: Option<Failure<E>>,
    /// The hashes of the keys that were invalidated since the loader failed.
    spared: HashSet<u64>,
    /// The hash of the key whose load failed, of all loads since the last success: about the others
    /// it says nothing yet.
    suspect: Option<u64>,
    hasher: RandomState,
}

impl<K: Hash + Eq + Clone, E> BackOff<K, E> {
    /// Remembers failing keys within `most` bytes.
    pub fn new(most: u64) -> Self {
        BackOff {
            keys: HashMap::new(),
            bytes: 0,
            most,
            loader: None,
            spared: HashSet::new(),
            suspect: None,
            hasher: RandomState::new(),
        }
    }

    /// The error to answer with instead of loading `key`, if any.
    pub fn error(&self, key: &K, now: Reading) -> Option<Error<E>> {
        let is_spared = !self.spared.is_empty() && self.spared.contains(&self.hash(key));
        let loader = self.loader.as_ref().filter(|_| !is_spared);
        [loader, self.keys.get(key)]
            .into_iter()
            .flatten()
            .find(|failure| failure.is_paused(now))
            .map(|failure| failure.error.clone())
    }

    /// Notes that a load of `keys` failed as a whole. That of a single key counts for that key, until
    /// another's fails too before any load succeeds.
    pub fn load_failed(
        &mut self,
        keys: &[K],
        error: &Error<E>,
        bytes: u64,
        sent: Reading,
        now: Reading,
    ) {
        if let [key] = keys
            && self.loader.is_none()
            && self.suspect.is_none_or(|suspect| suspect == self.hash(key))
        {
            self.suspect = Some(self.hash(key));
            return self.key_failed(key, error, bytes, sent, now);
        }
        self.loader = Some(next(self.loader.take(), error, bytes, sent, now));
        self.spared.clear();
        self.make_room();
    }

    /// Notes that `key` failed in a load that was sent at `sent`. To remember it takes so many bytes.
    pub fn key_failed(
        &mut self,
        key: &K,
        error: &Error<E>,
        bytes: u64,
        sent: Reading,
        now: Reading,
    ) {
        let failure = next(self.take(key), error, bytes, sent, now);
        // What is too large for all of the room is not remembered, and displaces nothing.
        if failure.bytes <= self.most {
            self.bytes += failure.bytes;
            self.keys.insert(key.clone(), failure);
            self.make_room();
        }
    }

    /// The oldest failures of keys make room; that of the loader is not remembered if it is too large.
    fn make_room(&mut self) {
        self.loader.take_if(|failure| failure.bytes > self.most);
        let most = self.most - self.loader.as_ref().map_or(0, |failure| failure.bytes);
        while self.bytes > most {
            let keys = self.keys.iter();
            let oldest = keys.min_by_key(|(_, failure)| failure.at.monotonic);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            self.take(&key);
        }
    }

    /// A load has succeeded, for whatever key.
    pub fn source_answered(&mut self) {
        self.loader = None;
        self.suspect = None;
    }

    fn hash(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Who asks for `key` from now on is not answered with a failure from before.
    pub fn forget(&mut self, key: &K) {
        self.take(key);
        if self.loader.is_some() {
            self.spared.insert(self.hash(key));
        }
        if self.spared.len() > MOST_SPARED {
            self.loader = None;
            self.spared = HashSet::new();
        }
    }

    pub fn forget_all(&mut self) {
        *self = BackOff::new(self.most);
    }

    pub fn take(&mut self, key: &K) -> Option<Failure<E>> {
        let failure = self.keys.remove(key)?;
        self.bytes -= failure.bytes;
        Some(failure)
    }
}

fn next<E>(
    last: Option<Failure<E>>,
    error: &Error<E>,
    bytes: u64,
    sent: Reading,
    now: Reading,
) -> Failure<E> {
    // One from before a clock ran backwards would never end.
    let pause = match last.filter(|last| now.since(last.at).is_some()) {
        // From that failure to the load, which itself may take longer than any pause.
        Some(last) => match sent.since(last.at) {
            // Sent before that failure was known: the same incident, not a further one.
            None => last.pause,
            Some(after) if after < FORGET => LONGEST.min(last.pause * 2),
            Some(_) => FIRST,
        },
        None => FIRST,
    };
    Failure {
        at: now,
        pause,
        error: error.clone(),
        bytes,
    }
}
