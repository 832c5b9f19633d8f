//! How long an answer may be kept by whoever asked for it: as long as everything that it was made of is
//! fresh here, if all of that is public.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What stands for ever is kept for a year, which is what HTTP's caches take for it.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The least time left of what the lookups of one invocation have answered.
#[derive(Debug)]
pub(crate) struct MaxAge(AtomicU64);

/// Nothing was looked up so far.
const NOTHING: u64 = u64::MAX;
/// Something that is for nobody else. As a time it is the least of all, so it stays.
const PRIVATE: u64 = 0;

impl Default for MaxAge {
    fn default() -> Self {
        MaxAge(AtomicU64::new(NOTHING))
    }
}

impl MaxAge {
    /// Notes a public answer that is fresh for so long.
    pub fn note(&self, left: Duration) {
        let seconds = left.min(LONGEST).as_secs();
        self.0.fetch_min(1 + seconds, Ordering::Relaxed);
    }

    /// Notes an answer that is for nobody else, or none.
    pub fn note_private(&self) {
        self.0.store(PRIVATE, Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            NOTHING | PRIVATE => None,
            seconds => Some(Duration::from_secs(seconds - 1)),
        }
    }
}
