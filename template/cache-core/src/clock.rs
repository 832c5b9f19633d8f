//! Time, read from two clocks at once and handed in.
//!
//! **The rule: an entry's age is the larger of what the two clocks say, and a clock that ran
//! backwards means expired.** Lambda freezes an environment between invocations for minutes, and
//! nobody promises that the monotonic clock goes on meanwhile; the wall clock does, but it is
//! stepped. Each covers for the other.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::lock;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Since an origin that stays the same while the process lives.
    pub monotonic: Duration,
    /// Since the Unix epoch.
    pub wall: Duration,
}

impl Reading {
    /// The time since `earlier` by the clock that says more; `None` when either ran backwards.
    pub fn since(self, earlier: Reading) -> Option<Duration> {
        let monotonic = self.monotonic.checked_sub(earlier.monotonic)?;
        let wall = self.wall.checked_sub(earlier.wall)?;
        Some(monotonic.max(wall))
    }
}

/// Where a cache takes its time from.
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks. Called on every lookup: it must be cheap, and must not block nor use the
    /// cache.
    fn now(&self) -> Reading;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Reading {
        Reading {
            monotonic: self.0.elapsed(),
            // A wall clock before 1970 reads as 1970: entries then expire by the other clock.
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

/// A clock for tests: it stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock(Mutex<Reading>);

impl Default for ManualClock {
    /// Stands at a day in 2025.
    fn default() -> Self {
        let wall = Duration::from_secs(1_750_000_000);
        ManualClock(Mutex::new(Reading {
            monotonic: Duration::from_secs(1000),
            wall,
        }))
    }
}

impl ManualClock {
    /// Moves both clocks forward, as waiting does.
    pub fn advance(&self, by: Duration) {
        self.change(|now| {
            now.monotonic = now.monotonic.saturating_add(by);
            now.wall = now.wall.saturating_add(by);
        });
    }

    /// Sets the clocks to anything: one may stall, step, or run backwards.
    pub fn change(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut lock(&self.0));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Reading {
        *lock(&self.0)
    }
}
