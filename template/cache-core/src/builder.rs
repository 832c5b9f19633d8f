//! How a cache is configured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::ahead::Ahead;
use crate::backoff::BackOff;
use crate::cache::{Cache, Changing, Inner, Weigher};
use crate::clock::{Clock, SystemClock};
use crate::stats::Counters;
use crate::ttl::Rules;
use crate::{ConfigError, Key, Loader, TtlPolicy, Value, store};

/// Configures a [`Cache`]. Only [`memory`](Self::memory) is required.
///
/// # Back-off
/// A failed load answers for 200 ms, doubling to 2 s while failures follow each other: for its
/// key where a key failed, for every key where a whole load failed. That of a single key counts for
/// this one, until another's fails too before any succeeds. A success ends it, and `invalidate`
/// and `put` end it for their key. With a TTL of zero there is none: every call loads, or joins a
/// load.
#[must_use]
pub struct Builder<K, V, L> {
    loader: L,
    basics: Basics,
    absent: Option<fn() -> V>,
    public: bool,
    memory: Option<(u64, Box<Weigher<K, V>>)>,
}

/// What a cache has that its loader may need, too.
#[derive(Clone)]
pub(crate) struct Basics {
    pub name: &'static str,
    pub clock: Arc<dyn Clock>,
    pub rules: Rules,
    pub counters: Arc<Counters>,
}

impl Default for Basics {
    fn default() -> Self {
        Basics {
            name: "cache",
            clock: Arc::new(SystemClock::default()),
            rules: Rules {
                policy: TtlPolicy::Fixed(Duration::from_secs(60)),
                absent_ttl: Duration::from_secs(5),
                stale_if_error: Duration::ZERO,
                jitter_percent: 10,
                near_ttl: None,
                soft_timeout: None,
                ahead_percent: 0,
            },
            counters: Arc::default(),
        }
    }
}

impl<K: Key, V: Value, L: Loader<K, V>> Builder<K, V, L> {
    pub(crate) fn new(loader: L, basics: Basics) -> Self {
        Builder {
            loader,
            basics,
            absent: None,
            public: false,
            memory: None,
        }
    }

    /// Names the cache in its warnings. Default: "cache".
    pub fn name(mut self, name: &'static str) -> Self {
        self.basics.name = name;
        self
    }

    /// How long values live. Default: fixed, 60 seconds.
    pub fn ttl(mut self, policy: TtlPolicy) -> Self {
        self.basics.rules.policy = policy;
        self
    }

    /// How long an absence is believed. Default: 5 seconds.
    pub fn absent_ttl(mut self, ttl: Duration) -> Self {
        self.basics.rules.absent_ttl = ttl;
        self
    }

    /// The value that an absence stands for: who asks gets it, and never `None`. It is believed for
    /// the absent TTL, and served stale as any value is. Default: an absence is `None`.
    pub fn absent_as(mut self, value: fn() -> V) -> Self {
        self.absent = Some(value);
        self
    }

    /// How long past its TTL a value is served when the load fails, counted from the load that
    /// brought it. Default: zero, which is never.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.basics.rules.stale_if_error = time;
        self
    }

    /// How long a load is waited for, from its start on, where a value past its TTL may serve instead:
    /// as long as [`stale_if_error`](Self::stale_if_error) lets it. Default: until the deadline.
    ///
    /// What a caller has left behind [`Cache::refresh`](crate::Cache::refresh) waits for, so this is for who calls that after each
    /// response: before the first call loads are waited for until the deadline.
    pub fn soft_timeout(mut self, time: Duration) -> Self {
        self.basics.rules.soft_timeout = Some(time);
        self
    }

    /// The last part of an entry's time, 0 to 50 per cent, in which a hit has it read again ahead of its end: by
    /// [`Cache::refresh`](crate::Cache::refresh), or with a load of several keys that is sent anyway, where the source reads
    /// many keys in one request. What is fresh for less than a second is not read ahead. Default: 0, which is never.
    pub fn refresh_ahead(mut self, percent: u8) -> Self {
        self.basics.rules.ahead_percent = percent;
        self
    }

    /// By how much at most a TTL is randomly shortened, 0 to 50 per cent. Default: 10.
    pub fn jitter_percent(mut self, percent: u8) -> Self {
        self.basics.rules.jitter_percent = percent;
        self
    }

    /// The bound in bytes, at least [`LEAST_MEMORY`](crate::LEAST_MEMORY), and what the key and
    /// the value of an entry have allocated on the heap, in bytes; there is no value where an
    /// absence is cached. The cache adds the entry itself, and takes 240 KiB of the bound for its
    /// own tables, and of the rest a sixteenth or 256 KiB, whichever is less, for keys that fail: of
    /// those that are remembered the oldest makes room.
    ///
    /// The largest entry is an eighth of the rest or 1 MiB, whichever is less; a larger value is
    /// returned and not stored. Not under the bound is what is in flight: a load's keys and answers,
    /// while somebody waits for it, and what callers have left until the next
    /// [`Cache::refresh`](crate::Cache::refresh); up to 1,000 hashes of keys that were invalidated during an outage;
    /// and what moka frees late, some 4 KB for each of the last sixteen entries evicted.
    ///
    /// The weigher is called once for each key that is loaded. It must not use the cache.
    pub fn memory(
        mut self,
        bytes: u64,
        weigher: impl Fn(&K, Option<&V>) -> usize + Send + Sync + 'static,
    ) -> Self {
        self.memory = Some((bytes, Box::new(weigher)));
        self
    }

    pub(crate) fn public(mut self, public: bool) -> Self {
        self.public = public;
        self
    }

    /// The clock. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.basics.clock = clock;
        self
    }

    /// Builds the cache.
    ///
    /// # Errors
    /// When no memory bound is set, or a value is out of its range.
    pub fn build(self) -> Result<Cache<K, V, L>, ConfigError> {
        let (bytes, weigher) = self.memory.ok_or(ConfigError::NoMemoryBound)?;
        if bytes < store::LEAST_MEMORY {
            return Err(ConfigError::MemoryTooSmall(bytes));
        }
        let Rules {
            jitter_percent,
            ahead_percent,
            ..
        } = self.basics.rules;
        if jitter_percent > 50 {
            return Err(ConfigError::JitterTooLarge(jitter_percent));
        }
        if ahead_percent > 50 {
            return Err(ConfigError::AheadTooLarge(ahead_percent));
        }
        let Basics {
            name,
            clock,
            rules,
            counters,
        } = self.basics;
        let (reader, writer) = store::open(bytes, Arc::clone(&counters));
        let inner = Inner {
            name,
            loader: self.loader,
            clock,
            rules,
            absent: self.absent,
            public: self.public,
            weigher,
            counters,
            entries: reader,
            ahead: Ahead::default(),
            changing: Mutex::new(Changing {
                entries: writer,
                seats: HashMap::new(),
                back_off: BackOff::new(store::room_for_failures(bytes)),
            }),
        };
        Ok(Cache(Arc::new(inner)))
    }
}
