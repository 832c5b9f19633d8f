//! Until when a caller waits, and until when a load that several callers share may run.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::lock;
use crate::max_age::MaxAge;

/// What is further away is no deadline: the timer does not go on for ever.
const FAR: Duration = Duration::from_secs(365 * 86_400);

/// The moment after which an answer is of no more use. Cheap to clone.
///
/// Deadlines run on tokio's timer, not on the cache's [`Clock`](crate::clock::Clock): they bound waiting
/// inside one invocation, during which nothing is frozen.
#[derive(Clone, Debug)]
pub struct Deadline {
    until: Until,
    /// Where an invocation notes how long what it has looked up is fresh.
    pub(crate) max_age: Option<Arc<MaxAge>>,
}

#[derive(Clone, Debug)]
enum Until {
    Never,
    At(Instant),
    /// The latest deadline of all who wait for one load: it moves when a later caller joins.
    Latest(Arc<Mutex<Latest>>),
}

#[derive(Debug)]
struct Latest {
    /// `None`: somebody waits without a deadline.
    at: Option<Instant>,
    /// Somebody was told that the time is up. From then on it cannot move any more.
    over: bool,
}

impl Deadline {
    /// No deadline: wait as long as it takes.
    pub fn none() -> Self {
        Deadline::new(Until::Never)
    }

    /// That long from now. More than a year means no deadline.
    pub fn after(time: Duration) -> Self {
        match time {
            _ if time > FAR => Deadline::none(),
            _ => Deadline::new(Until::At(Instant::now() + time)),
        }
    }

    fn new(until: Until) -> Self {
        Deadline {
            until,
            max_age: None,
        }
    }

    pub(crate) fn noting(mut self, max_age: &Arc<MaxAge>) -> Self {
        self.max_age = Some(Arc::clone(max_age));
        self
    }

    /// The time left; zero once it has passed, `None` without a deadline.
    ///
    /// Of the deadline that a [`Loader`](crate::Loader) is given this is a snapshot: it grows
    /// when a caller with more time joins. Prefer [`limit`](Self::limit), which follows. Handed on
    /// to another cache it counts as it stands then.
    pub fn remaining(&self) -> Option<Duration> {
        self.instant()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Runs `work` until it is done or the deadline has passed; `None` in the second case, with
    /// `work` dropped. Work that is done at the very moment of the deadline counts as done.
    pub async fn limit<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        loop {
            // A deadline only ever moves later, so "none" stays none.
            let Some(at) = self.instant() else {
                return Some(work.await);
            };
            match timeout_at(at, work.as_mut()).await {
                Ok(output) => return Some(output),
                Err(_) if self.close(at) => return None,
                Err(_) => {}
            }
        }
    }

    /// A deadline for a load that `self` starts and others may [`extend`](Self::extend).
    pub(crate) fn share(&self) -> Self {
        let latest = Latest {
            at: self.instant(),
            over: false,
        };
        Deadline::new(Until::Latest(Arc::new(Mutex::new(latest))))
    }

    /// Makes a shared deadline no earlier than `other`. False when it is over: whoever runs
    /// under it has been told so, and `other` must not be failed by that.
    pub(crate) fn extend(&self, other: &Deadline) -> bool {
        let Until::Latest(latest) = &self.until else {
            return false;
        };
        // Before the lock: a loader may ask for what it is loading itself, with this deadline.
        let other = other.instant();
        let mut latest = lock(latest);
        if !latest.over {
            latest.at = latest.at.zip(other).map(|(a, b)| a.max(b));
        }
        !latest.over
    }

    fn instant(&self) -> Option<Instant> {
        match &self.until {
            Until::Never => None,
            Until::At(at) => Some(*at),
            Until::Latest(latest) => lock(latest).at,
        }
    }

    /// Ends the deadline if it still is `at`; false if it was moved meanwhile.
    fn close(&self, at: Instant) -> bool {
        let Until::Latest(latest) = &self.until else {
            return true;
        };
        let mut latest = lock(latest);
        latest.over |= latest.at == Some(at);
        latest.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn work_is_cut_off_at_the_deadline_and_not_before() {
        let start = Instant::now();
        assert!(
            Deadline::after(SECOND)
                .limit(pending::<()>())
                .await
                .is_none()
        );
        assert_eq!(start.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn work_done_at_the_moment_of_the_deadline_counts_as_done() {
        let done = Deadline::after(SECOND)
            .limit(tokio::time::sleep(SECOND))
            .await;
        assert!(done.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_extension_is_followed_while_work_is_under_way() {
        let shared = Deadline::after(SECOND).share();
        let start = Instant::now();
        let (cut, ()) = tokio::join!(shared.limit(pending::<()>()), async {
            tokio::time::sleep(SECOND / 2).await;
            assert!(shared.extend(&Deadline::after(3 * SECOND)));
        });
        assert!(cut.is_none());
        assert_eq!(start.elapsed(), SECOND / 2 + 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_never_moves_to_earlier_nor_back_from_none() {
        let shared = Deadline::after(2 * SECOND).share();
        assert!(shared.extend(&Deadline::after(SECOND)));
        assert_eq!(shared.remaining(), Some(2 * SECOND));
        assert!(shared.extend(&Deadline::none()));
        assert!(shared.extend(&Deadline::after(SECOND)));
        assert_eq!(shared.remaining(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_to_be_over_cannot_be_extended() {
        let shared = Deadline::after(SECOND).share();
        assert!(shared.limit(pending::<()>()).await.is_none());
        assert!(!shared.extend(&Deadline::none()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_times_mean_no_deadline() {
        let longest = (0..64).map(|bit| Duration::from_secs(1 << bit));
        for time in longest.chain([Duration::MAX]) {
            let deadline = Deadline::after(time);
            assert!(deadline.remaining().is_none_or(|left| left == time));
            assert_eq!(deadline.limit(async { 1 }).await, Some(1));
        }
    }
}
