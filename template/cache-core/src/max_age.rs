//! How long an answer may be kept by whoever asked for it: as long as everything that it was made of is
//! fresh here, if all of that is public.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// What stands for ever is kept for a year, which is what HTTP's caches take for it.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// When the first of what the lookups of one invocation have answered ends.
#[derive(Debug)]
pub(crate) struct MaxAge {
    /// Milliseconds count from here: inside one invocation nothing is frozen.
    start: Instant,
    end: AtomicU64,
    /// Lookups that have not ended. One that was dropped never does, and nobody knows what was answered
    /// in its place.
    pending: AtomicU64,
}

/// Nothing was looked up so far.
const NOTHING: u64 = u64::MAX;
/// Something that is for nobody else. As a time it is the first of all, so it stays.
const PRIVATE: u64 = 0;

impl Default for MaxAge {
    fn default() -> Self {
        MaxAge {
            start: Instant::now(),
            end: AtomicU64::new(NOTHING),
            pending: AtomicU64::new(0),
        }
    }
}

impl MaxAge {
    /// Since the invocation began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Notes a public answer that is fresh for so long.
    pub fn note(&self, left: Duration) {
        let end = self.elapsed() + left.min(LONGEST);
        self.end.fetch_min(1 + end.as_millis() as u64, Relaxed);
    }

    /// Notes an answer that is for nobody else, or none.
    pub fn note_private(&self) {
        self.end.store(PRIVATE, Relaxed);
    }

    pub fn begin(&self) {
        self.pending.fetch_add(1, Relaxed);
    }

    pub fn end(&self) {
        self.pending.fetch_sub(1, Relaxed);
    }

    /// In whole seconds, rounded down.
    pub fn get(&self) -> Option<Duration> {
        match self.end.load(Relaxed) {
            _ if self.pending.load(Relaxed) > 0 => None,
            NOTHING | PRIVATE => None,
            end => {
                let left = Duration::from_millis(end - 1).saturating_sub(self.elapsed());
                Some(Duration::from_secs(left.as_secs()))
            }
        }
    }
}
