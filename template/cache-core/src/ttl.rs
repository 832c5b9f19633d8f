//! How long an entry lives: the policies, and the one place where they are applied.

use std::time::Duration;

use crate::Found;
use crate::clock::Reading;

/// How long a value that exists is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlPolicy {
    /// So long from before its read was sent.
    Fixed(Duration),
    /// Until the item's own [`expires_at`](crate::Found::expires_at) by the wall clock, but never
    /// longer than this, which also serves where the item has none. An item already past its end
    /// is absent: DynamoDB deletes such items days later.
    PerItem(Duration),
    /// As long as the environment, for data that never changes. No clock is read for it.
    Immutable,
}

/// How long a load is joined where nothing is kept.
const SAME_MOMENT: Duration = Duration::from_secs(1);

/// What the source answered for one key.
pub(crate) struct Answer<V> {
    pub found: Option<Found<V>>,
    /// As in [`Loaded`](crate::Loaded).
    pub fresh_for: Option<Duration>,
    /// How old it already was when it came.
    pub age: Duration,
    /// When its read was sent.
    pub sent: Reading,
}

/// Everything that decides about an entry's time.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub policy: TtlPolicy,
    pub absent_ttl: Duration,
    pub stale_if_error: Duration,
    pub jitter_percent: u8,
    /// For how long an entry is fresh in this environment at most, where there is a level behind it.
    pub near_ttl: Option<Duration>,
    /// How long a load is waited for where a stale value may serve instead.
    pub soft_timeout: Option<Duration>,
    /// The last part of an entry's time, in which it is read again ahead of its end. Zero: never.
    pub ahead_percent: u8,
}

/// What is fresh for less is not read ahead of its end. From another level come answers whose time is almost over:
/// each would be read again in the next moment, until it is.
const SHORTEST_AHEAD: Duration = Duration::from_secs(1);

impl Rules {
    /// A TTL of zero stores nothing and serves nothing stored.
    pub fn bypass(&self) -> bool {
        matches!(self.policy, TtlPolicy::Fixed(ttl) | TtlPolicy::PerItem(ttl) if ttl.is_zero())
    }

    /// How old a load may be for its answer to be fresh whatever it is. Where nothing is ever fresh,
    /// callers of the same moment still share one.
    pub fn joinable_for(&self) -> Duration {
        let shortest = match self.policy {
            TtlPolicy::Fixed(ttl) | TtlPolicy::PerItem(ttl) => ttl.min(self.absent_ttl),
            TtlPolicy::Immutable => self.absent_ttl,
        };
        let shortest = shortest.min(self.near_ttl.unwrap_or(shortest));
        if shortest.is_zero() {
            SAME_MOMENT
        } else {
            shortest
        }
    }

    /// What is believed of a key, and for how long, from what the source answered. `shorten` is a random
    /// number in 0..=1: the part of the jitter that is lost. `absent` makes the value that an absence stands
    /// for, if it is none of its own.
    pub fn judge<V>(
        &self,
        answer: Answer<V>,
        now: Reading,
        shorten: f64,
        absent: Option<fn() -> V>,
    ) -> (Option<V>, Lifetime) {
        let per_item = self.is_per_item();
        let longest = answer.fresh_for.filter(|_| per_item);
        let lifetime = |ttl: Duration, stale_for: Duration, expires_at| {
            let whole = ttl.min(longest.unwrap_or(ttl));
            let left = self.jittered(whole.saturating_sub(answer.age), shorten);
            let near = self.near_ttl.map(|near| self.jittered(near, shorten));
            let fresh_for = left.min(near.unwrap_or(left));
            // To the same end as without another level, and counted from the same read.
            let over = answer.age.saturating_sub(whole);
            let stale_for = match longest {
                _ if stale_for.is_zero() => Duration::ZERO,
                Some(Duration::ZERO) => Duration::ZERO,
                _ => stale_for.saturating_sub(over) + (left - fresh_for),
            };
            Lifetime::Until {
                sent: answer.sent,
                fresh_for,
                stale_for,
                expires_at,
            }
        };
        let found = answer.found;
        let found = found.filter(|found| !(per_item && has_ended(found.expires_at, now)));
        let Some(Found { value, expires_at }) = found else {
            // An absence is never served stale; a value that it stands for is, as any other.
            let stale_for = absent.map_or(Duration::ZERO, |_| self.stale_if_error);
            let value = absent.map(|value| value());
            let ttl = if self.bypass() {
                Duration::ZERO
            } else {
                self.absent_ttl
            };
            return (value, lifetime(ttl, stale_for, None));
        };
        let lifetime = match self.policy {
            TtlPolicy::Immutable if self.near_ttl.is_none() => Lifetime::Forever,
            TtlPolicy::Immutable => lifetime(Duration::MAX, self.stale_if_error, None),
            TtlPolicy::Fixed(ttl) => lifetime(ttl, self.stale_if_error, None),
            TtlPolicy::PerItem(ttl) => lifetime(ttl, self.stale_if_error, expires_at),
        };
        (Some(value), lifetime)
    }

    /// For how long an answer is fresh from now on, wherever it is kept: to the last moment of its whole TTL.
    #[cfg(feature = "shared")]
    pub fn left<V>(&self, answer: &Answer<V>, now: Reading) -> Duration {
        let expires_at = answer.found.as_ref().map(|found| found.expires_at);
        if expires_at.is_some_and(|end| has_ended(end, now)) && self.is_per_item() {
            return Duration::ZERO;
        }
        let rules = Rules {
            near_ttl: None,
            ..*self
        };
        let found = expires_at.map(|expires_at| Found {
            value: (),
            expires_at,
        });
        let Answer {
            fresh_for,
            age,
            sent,
            ..
        } = *answer;
        let answer = Answer {
            found,
            fresh_for,
            age,
            sent,
        };
        rules.judge(answer, now, 0.0, None).1.left(now)
    }

    /// Whether this age is in the last part of a time.
    fn is_ahead(&self, fresh_for: Duration, age: Duration) -> bool {
        self.ahead_percent > 0
            && fresh_for >= SHORTEST_AHEAD
            && fresh_for.saturating_sub(age) <= fresh_for / 100 * u32::from(self.ahead_percent)
    }

    fn is_per_item(&self) -> bool {
        matches!(self.policy, TtlPolicy::PerItem(_))
    }

    /// Entries loaded together would expire together, and all environments would load again at
    /// once. Jitter only shortens: the TTL stays the bound. Integers, since floating point
    /// panics near `Duration::MAX`.
    fn jittered(&self, ttl: Duration, shorten: f64) -> Duration {
        const UNIT: u128 = 1_000_000;
        let parts = UNIT
            - (f64::from(self.jitter_percent) / 100.0 * shorten.clamp(0.0, 1.0) * UNIT as f64)
                as u128;
        let nanos = ttl.as_nanos() / UNIT * parts + ttl.as_nanos() % UNIT * parts / UNIT;
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        Duration::new(seconds, (nanos % 1_000_000_000) as u32)
    }
}

/// When one entry ends. Fixed when it is stored, and never stamped anew.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifetime {
    Forever,
    Until {
        sent: Reading,
        fresh_for: Duration,
        stale_for: Duration,
        expires_at: Option<u64>,
    },
}

/// What an entry is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// Fresh, and in the last part of its time.
    Ending,
    /// Only if the source fails.
    Stale,
    Expired,
}

impl Lifetime {
    /// Nothing of it is left from the start.
    pub fn is_empty(&self) -> bool {
        matches!(self, Lifetime::Until { fresh_for, stale_for, .. }
            if fresh_for.is_zero() && stale_for.is_zero())
    }

    pub fn freshness(&self, now: impl FnOnce() -> Reading, rules: &Rules) -> Freshness {
        let Lifetime::Until {
            sent,
            fresh_for,
            stale_for,
            expires_at,
        } = *self
        else {
            return Freshness::Fresh;
        };
        let now = now();
        match now.since(sent) {
            _ if has_ended(expires_at, now) => Freshness::Expired,
            Some(age) if age < fresh_for && rules.is_ahead(fresh_for, age) => Freshness::Ending,
            Some(age) if age < fresh_for => Freshness::Fresh,
            Some(age) if age < fresh_for.saturating_add(stale_for) => Freshness::Stale,
            _ => Freshness::Expired,
        }
    }

    /// For how long it is fresh from now on.
    pub fn left(&self, now: Reading) -> Duration {
        let Lifetime::Until {
            sent,
            fresh_for,
            expires_at,
            ..
        } = *self
        else {
            return Duration::MAX;
        };
        let age = now.since(sent).unwrap_or(Duration::MAX);
        let end = expires_at.map_or(Duration::MAX, Duration::from_secs);
        fresh_for
            .saturating_sub(age)
            .min(end.saturating_sub(now.wall))
    }
}

fn has_ended(expires_at: Option<u64>, now: Reading) -> bool {
    expires_at.is_some_and(|end| end <= now.wall.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_takes_its_part_of_a_ttl_to_the_nanosecond() {
        let jittered = |ttl, jitter_percent, shorten| {
            let rules = Rules {
                policy: TtlPolicy::Immutable,
                absent_ttl: Duration::ZERO,
                stale_if_error: Duration::ZERO,
                jitter_percent,
                near_ttl: None,
                soft_timeout: None,
                ahead_percent: 0,
            };
            rules.jittered(ttl, shorten)
        };
        let odd = Duration::new(7, 123_456_789);
        for (ttl, percent, shorten, expected) in [
            (odd, 0, 1.0, odd),
            (odd, 50, 0.0, odd),
            (odd, 50, 1.0, Duration::new(3, 561_728_394)),
            (odd, 50, 0.5, Duration::new(5, 342_592_591)),
            (Duration::from_nanos(3), 50, 1.0, Duration::from_nanos(1)),
            (Duration::MAX, 0, 1.0, Duration::MAX),
        ] {
            assert_eq!(jittered(ttl, percent, shorten), expected);
        }
    }
}
