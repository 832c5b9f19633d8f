//! A second level that all environments share: Valkey or Redis, such as ElastiCache.
//!
//! A kind that is declared [`shared`](crate::kinds::Kind::shared) is looked up in this environment's memory, then in
//! the second level, then in its source, and fills both.
//!
//! ```
//! use cache_core::caches;
//! use cache_core::dynamodb::{Items, Table};
//! use cache_core::shared::{Shared, Valkey};
//! use mem_dbg::MemSize;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, MemSize, Serialize)]
//! pub struct Plan { name: String }
//!
//! caches! {
//!     pub struct Caches(table: &Table, valkey: &Valkey) {
//!         plans: Shared<Items<String, Plan>> =
//!             table.item(|id| format!("PLAN#{id}")).shared(&valkey).ttl(600).near_ttl(5);
//!     }
//! }
//! ```
//!
//! # What is promised
//! - **A value is as old as its read from the source**, whoever read it: its age counts on in the second level and in
//!   every environment, until its TTL is over for all of them. This rests on the wall clocks of the environments: as
//!   far as they differ, so far may a value outlive its TTL. One from the future is a miss, and the server ends
//!   each value by its own clock.
//! - **An invalidation or a put that has returned wins over loads in flight**, here and elsewhere: what they read is not
//!   stored. Other environments answer with what is in their memory for the near TTL at most, and past it as a stale
//!   value where the source fails. As far as the server keeps what it was told: see its replication.
//! - **It may fail.** Then the source answers. What is asked of it, once before the source and once behind it, takes no
//!   longer than `CACHE_SHARED_TIMEOUT_MS` and half of the caller's time, and after a failure it is left alone for
//!   200 ms, doubling to 2 s. While it is away memory still asks again after the near TTL, so the source is asked
//!   more often.
//! - **The source may fail.** The second level answers what it has, also while the source is left alone. A source that
//!   hangs has to end by itself for that, by [`Deadline::limit`]: those of this crate do.
//! - **Nothing runs behind a response**: who loads a value waits until it is stored.
//!
//! # How a load in flight is kept from storing what is old
//! Each content begins with a random stamp. Who finds none leaves one behind for 30 seconds: a lease. What was
//! read from the source is stored only if the stamp that was there before is there still. An
//! invalidation removes the stamp, a put replaces it, and a lost one only means that nothing is stored.
//!
//! A read that is eventually consistent may bring back what was before a write, and then for all: declare the source
//! `consistent()` where you invalidate.
//!
//! # What never changes
//! An immutable kind is not asked for again in an environment that has it, and its values outlive deployments in the
//! second level: one that was wrong goes away by `invalidate`, or with the next
//! [`schema`](crate::kinds::Kind::schema).
//!
//! # Values
//! They go there as JSON, and have to come back as they went: not what serde skips, nor maps whose keys are no
//! strings. What is larger than 1 MiB is not stored.
//!
//! # Who can read it
//! Whoever may connect to the server reads the values of all who use it. Keys begin with
//! `CACHE_SHARED_NAME`, the kind's name and its schema.

mod iam;
mod server;

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::time::Duration;

use redis::{Cmd, Value as Reply, cmd};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use server::Valkey;

use crate::builder::Basics;
use crate::kinds::{CacheType, Kind, Prepare};
use crate::ttl::Answer;
use crate::{Cache, Deadline, Found, Key, Loaded, Loader, TtlPolicy, Value};

/// How long who found nothing may take to store what the source answers.
const LEASE: Duration = Duration::from_secs(30);

/// Memory keeps a value for no longer, unless the kind says so.
const NEAR_TTL: Duration = Duration::from_secs(10);

/// In bytes. What is larger is not stored.
const LARGEST: usize = 1024 * 1024;

/// Stores what was read, if what was there before still is.
const FILL: &str = "if redis.call('GETRANGE', KEYS[1], 0, 15) == ARGV[1] then \
                    return redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end";

/// What a key of a shared kind has to be: others than this process have to know it. Keys must be equal exactly where
/// their JSON is: one that leaves out a field would answer with another's value.
pub trait SharedKey: Key + Serialize {}

impl<K: Key + Serialize> SharedKey for K {}

/// What a value of a shared kind has to be.
pub trait SharedValue: Value + Serialize + DeserializeOwned {}

impl<V: Value + Serialize + DeserializeOwned> SharedValue for V {}

/// The second level was not reached by a write. What it holds may be served, here too, until its TTL is over.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the second level was not reached: {0}")]
pub struct Unreached(String);

/// The cache of a kind, with a second level: `Shared<Items<String, Plan>>`.
pub type Shared<C> =
    SharedCache<<C as CacheType>::Key, <C as CacheType>::Value, <C as CacheType>::Loader>;

/// A [`Cache`] whose writes reach the second level. What else a cache has it has, too, by [`Deref`]:
/// [`Cache::invalidate_all`] forgets this environment's memory alone, as do the writes of a `&Cache` that it is taken
/// for.
pub struct SharedCache<K, V, L>(Cache<K, V, SharedLoader<K, V, L>>)
where
    K: SharedKey,
    V: SharedValue,
    L: Loader<K, V, Error: Clone>;

impl<K: SharedKey, V: SharedValue, L: Loader<K, V, Error: Clone>> Clone for SharedCache<K, V, L> {
    fn clone(&self) -> Self {
        SharedCache(self.0.clone())
    }
}

impl<K: SharedKey, V: SharedValue, L: Loader<K, V, Error: Clone>> Deref for SharedCache<K, V, L> {
    type Target = Cache<K, V, SharedLoader<K, V, L>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K: SharedKey, V: SharedValue, L: Loader<K, V, Error: Clone>> CacheType
    for SharedCache<K, V, L>
{
    type Key = K;
    type Value = V;
    type Loader = SharedLoader<K, V, L>;
    type Unshared = Cache<K, V, L>;

    fn of(cache: Cache<K, V, Self::Loader>) -> Self {
        SharedCache(cache)
    }
}

impl<K: SharedKey, V: SharedValue, L: Loader<K, V, Error: Clone>> SharedCache<K, V, L> {
    /// As [`Cache::invalidate`], and in the second level. Other environments answer with what is in their memory
    /// for the near TTL at most.
    ///
    /// # Errors
    /// Where the second level is not reached before `deadline`, or within two attempts of a second.
    ///
    /// # Cancellation
    /// Safe to drop; whether it has reached the second level is not known then.
    pub async fn invalidate<Q>(&self, key: &Q, deadline: &Deadline) -> Result<(), Unreached>
    where
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let key: K = key.to_owned();
        // Again behind it: what was read from the second level meanwhile was not gone there yet.
        self.0.invalidate(&key);
        let delete = |name: &String| cmd("DEL").arg(name).take();
        let reached = self.0.loader().write(&key, deadline, delete).await;
        self.0.invalidate(&key);
        reached.map(drop)
    }

    /// As [`Cache::put`], and in the second level. Other environments answer with what is in their memory for the
    /// near TTL at most.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate). This environment has the value all the same.
    ///
    /// # Cancellation
    /// Safe to drop; whether it has reached the second level is not known then.
    pub async fn put(
        &self,
        key: K,
        value: impl Into<Found<V>>,
        deadline: &Deadline,
    ) -> Result<(), Unreached> {
        let (found, loader) = (value.into(), self.0.loader());
        let answer = Answer {
            found: Some(found.clone()),
            fresh_for: None,
            age: Duration::ZERO,
            sent: loader.basics.clock.now(),
        };
        let entry = self.0.put_entry(key.clone(), found);
        let reached = loader.put(&key, &answer, deadline).await;
        // What came instead meanwhile may have been read from the second level before.
        self.0.keep_only(&entry);
        reached
    }
}

impl<K, V, L> Kind<K, V, L>
where
    K: SharedKey,
    V: SharedValue,
    L: Loader<K, V, Error: Clone>,
{
    /// Puts a second level behind this environment's memory, which all environments share: see
    /// [`shared`](crate::shared). What the source is told comes before it, `consistent()` say.
    pub fn shared(self, valkey: &Valkey) -> Kind<K, V, SharedLoader<K, V, L>> {
        let shared = |inner, prepare| SharedLoader {
            inner,
            prepare,
            valkey: valkey.clone(),
            schema: 1,
            near_ttl: None,
            basics: Basics::default(),
            caches: std::marker::PhantomData,
        };
        self.behind(shared, SharedLoader::prepared)
    }
}

impl<K, V, L> Kind<K, V, SharedLoader<K, V, L>> {
    /// This environment's memory answers for so many seconds before it asks the second level again: as
    /// long another environment's write may go unseen. Default: 10, or the TTL where that is less; an immutable kind
    /// is not asked for again. With 0 each lookup asks, or joins one of the last second.
    pub fn near_ttl(self, seconds: u64) -> Self {
        self.map(|loader| SharedLoader {
            near_ttl: Some(Duration::from_secs(seconds)),
            ..loader
        })
    }

    /// The number of the values' form, 1 from the start. Raise it with every change after which what older code
    /// stored would be read as what it is not. Each number has its own values.
    pub fn schema(self, number: u32) -> Self {
        self.map(|loader| SharedLoader {
            schema: number,
            ..loader
        })
    }
}

/// Asks the second level, and then the source.
pub struct SharedLoader<K, V, L> {
    inner: L,
    prepare: Prepare<L>,
    valkey: Valkey,
    schema: u32,
    near_ttl: Option<Duration>,
    /// The cache's, but with the whole TTL.
    basics: Basics,
    caches: std::marker::PhantomData<fn(K) -> V>,
}

/// A content, behind its stamp.
#[derive(Deserialize, Serialize)]
struct Content<V> {
    /// When its read from the source was sent, in milliseconds since the Unix epoch.
    sent: u64,
    /// For how many milliseconds the source wants it to be kept.
    keep: Option<u64>,
    /// Its own end, in seconds since the Unix epoch.
    end: Option<u64>,
    known: Known<V>,
}

#[derive(Deserialize, Serialize)]
enum Known<V> {
    Value(V),
    Absent,
}

/// The names in the second level of what may be stored there, and the stamps that have to be there still.
type Stamps<K> = HashMap<K, (String, Vec<u8>)>;

impl<K, V, L> SharedLoader<K, V, L> {
    fn prepared(mut self, basics: &mut Basics) -> Self {
        self.inner = (self.prepare)(self.inner, basics);
        self.basics = basics.clone();
        if self.valkey.prefix().is_some() {
            let never_changes = basics.rules.policy == TtlPolicy::Immutable;
            let default = (!never_changes).then_some(NEAR_TTL);
            basics.rules.near_ttl = self.near_ttl.or(default);
        }
        self
    }
}

impl<K: SharedKey, V: SharedValue, L: Loader<K, V, Error: Clone>> SharedLoader<K, V, L> {
    /// None where the second level is switched off.
    fn name(&self, key: &K) -> Option<String> {
        let prefix = self.valkey.prefix()?;
        match serde_json::to_string(key) {
            Ok(key) => Some(format!(
                "{prefix}:{}:{}:{key}",
                self.basics.name, self.schema
            )),
            Err(error) => {
                self.unusable(&error);
                None
            }
        }
    }

    /// Writes to the second level, and returns the name there; none where it is switched off. An attempt that is
    /// given up may still be carried out later.
    async fn write(
        &self,
        key: &K,
        deadline: &Deadline,
        mut command: impl FnMut(&String) -> Cmd + Send,
    ) -> Result<Option<String>, Unreached> {
        let Some(name) = self.name(key) else {
            return Ok(None);
        };
        let written = self.valkey.write(deadline, || command(&name)).await;
        match written {
            Ok(()) => Ok(Some(name)),
            Err(error) => {
                self.basics.counters.shared_errors.add_one();
                Err(Unreached(error))
            }
        }
    }

    /// In two steps: a stamp, behind which nothing older can be stored, and of which it does no harm when it comes
    /// late; then the value, in one attempt, if nobody else has written since.
    async fn put(&self, key: &K, answer: &Answer<V>, deadline: &Deadline) -> Result<(), Unreached> {
        let mut stamp = Vec::new();
        let set = |name: &String| {
            stamp = new_stamp();
            lease(name, &stamp)
        };
        if let Some(name) = self.write(key, deadline, set).await?
            && let Some(fill) = self.fill(name, stamp, answer)
        {
            self.ask(|| vec![fill.clone()], deadline).await;
        }
        Ok(())
    }

    /// Stores what was read, if the stamp is still there.
    fn fill(&self, name: String, stamp: Vec<u8>, answer: &Answer<V>) -> Option<Cmd> {
        let (content, left) = self.content(answer)?;
        let mut fill = cmd("EVAL");
        fill.arg(FILL).arg(1).arg(name).arg(stamp);
        Some(fill.arg(content).arg(left).take())
    }

    fn unusable(&self, cause: &dyn std::fmt::Display) {
        self.basics.counters.shared_errors.add_one();
        tracing::warn!(kind = self.basics.name, %cause, "the second level cannot hold this");
    }

    /// A content with a new stamp, and for how many milliseconds it is fresh.
    fn content(&self, answer: &Answer<V>) -> Option<(Vec<u8>, u64)> {
        let left = self.basics.rules.left(answer, self.basics.clock.now());
        // A TTL of a century is as good as none, and a number that the server takes.
        let left = left
            .min(Duration::from_secs(100 * 365 * 86_400))
            .as_millis() as u64;
        if left == 0 {
            return None;
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let content = Content {
            sent: millis(answer.sent.wall.saturating_sub(answer.age)),
            keep: answer.fresh_for.map(millis),
            end: answer.found.as_ref().and_then(|found| found.expires_at),
            known: match &answer.found {
                Some(found) => Known::Value(&found.value),
                None => Known::Absent,
            },
        };
        let mut bytes = Bounded(new_stamp());
        match serde_json::to_writer(&mut bytes, &content) {
            Ok(()) => return Some((bytes.0, left)),
            Err(error) if error.is_io() => {
                self.unusable(&format!("it is larger than {LARGEST} bytes"));
            }
            // The error's text is the user's code's.
            Err(_) => self.unusable(&"it cannot be written as JSON"),
        }
        None
    }

    /// The stamp of a content, and what of it can be used now.
    fn seen(&self, content: &[u8]) -> (Vec<u8>, Option<Answer<V>>) {
        let (stamp, text) = content.split_at(content.len().min(16));
        let stamp = stamp.to_vec();
        // Somebody is reading the source.
        if text.is_empty() && stamp.len() == 16 {
            return (stamp, None);
        }
        // Nobody here has written that.
        if content.len() > LARGEST {
            self.unusable(&format!("it is larger than {LARGEST} bytes"));
            return (stamp, None);
        }
        let now = self.basics.clock.now();
        let content: Content<V> = match serde_json::from_slice(text) {
            Ok(content) => content,
            // serde's message may quote the value.
            Err(error) => {
                self.unusable(&format!(
                    "what is there cannot be decoded: {:?}",
                    error.classify()
                ));
                return (stamp, None);
            }
        };
        let age = now.wall.checked_sub(Duration::from_millis(content.sent));
        let answer = age.map(|age| Answer {
            found: match content.known {
                Known::Value(value) => Some(Found {
                    value,
                    expires_at: content.end,
                }),
                Known::Absent => None,
            },
            fresh_for: content.keep.map(Duration::from_millis),
            age,
            sent: now,
        });
        let is_fresh = |answer: &Answer<V>| !self.basics.rules.left(answer, now).is_zero();
        (stamp, answer.filter(is_fresh))
    }

    /// What the second level has, and of what it has not what may be replaced there. Nothing where it cannot be
    /// asked.
    async fn look_up(&self, keys: &[K], until: &Deadline) -> (Loaded<K, V, L::Error>, Stamps<K>) {
        let (mut loaded, mut stamps) = (Loaded::default(), HashMap::new());
        let names = keys.iter();
        let names = names.filter_map(|key| Some((key.clone(), self.name(key)?)));
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            return (loaded, stamps);
        }
        // New ones for each attempt: one that was given up may still be carried out later.
        let mut leases = Vec::new();
        let commands = || {
            leases = names.iter().map(|_| new_stamp()).collect();
            let asked = names.iter().zip(&leases);
            let look_up = |((_, name), stamp): (&(K, String), &Vec<u8>)| {
                lease(name, stamp).arg("NX").arg("GET").take()
            };
            asked.map(look_up).collect()
        };
        let Some(replies) = self.ask(commands, until).await else {
            return (loaded, stamps);
        };
        let counters = &self.basics.counters;
        for (((key, name), lease), reply) in names.into_iter().zip(leases).zip(replies) {
            let (stamp, answer) = match reply {
                Some(Reply::Nil) => (lease, None),
                Some(Reply::BulkString(content)) => self.seen(&content),
                _ => {
                    self.unusable(&"what is there is not a string");
                    continue;
                }
            };
            let Some(answer) = answer else {
                counters.shared_misses.add_one();
                stamps.insert(key, (name, stamp));
                continue;
            };
            counters.shared_hits.add_one();
            loaded.age.insert(key.clone(), answer.age);
            loaded
                .fresh_for
                .extend(answer.fresh_for.map(|keep| (key.clone(), keep)));
            loaded.found.extend(answer.found.map(|found| (key, found)));
        }
        (loaded, stamps)
    }

    async fn ask(
        &self,
        commands: impl FnMut() -> Vec<Cmd> + Send,
        until: &Deadline,
    ) -> Option<Vec<Option<Reply>>> {
        match self.valkey.ask(until, commands).await {
            Ok(replies) => replies,
            Err((error, is_news)) => {
                self.basics.counters.shared_errors.add_one();
                if is_news {
                    tracing::warn!(kind = self.basics.name, %error, "the second level failed");
                }
                None
            }
        }
    }
}

/// From the system: environments that start together, or from one snapshot, must not have the same.
fn new_stamp() -> Vec<u8> {
    let mut stamp = fastrand::u128(..).to_be_bytes();
    // Where the system has none the first is still there.
    let _ = getrandom::fill(&mut stamp);
    stamp.to_vec()
}

/// Leaves a stamp behind.
fn lease(name: &String, stamp: &Vec<u8>) -> Cmd {
    let mut set = cmd("SET");
    set.arg(name)
        .arg(stamp)
        .arg("PX")
        .arg(LEASE.as_millis() as u64)
        .take()
}

/// Does not grow beyond what may be stored.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<K: SharedKey, V: SharedValue, L: Loader<K, V, Error: Clone>> Loader<K, V>
    for SharedLoader<K, V, L>
{
    type Error = L::Error;

    async fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> Result<Loaded<K, V, L::Error>, L::Error> {
        self.reload(keys, &|_| None, until).await
    }

    async fn reload(
        &self,
        keys: Vec<K>,
        known: &(dyn Fn(&K) -> Option<V> + Send + Sync),
        until: Deadline,
    ) -> Result<Loaded<K, V, L::Error>, L::Error> {
        if self.basics.rules.bypass() {
            return self.inner.reload(keys, known, until).await;
        }
        let (mut shared, stamps) = self.look_up(&keys, &until).await;
        let is_missing = |key: &K| !shared.age.contains_key(key);
        let missing: Vec<K> = keys.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(shared);
        }
        let sent = self.basics.clock.now();
        let loaded = match self
            .inner
            .reload(missing.clone(), known, until.clone())
            .await
        {
            Ok(loaded) => loaded,
            Err(error) if shared.age.is_empty() => return Err(error),
            // What the second level has is no less true.
            Err(error) => {
                let failed = missing.into_iter().map(|key| (key, error.clone()));
                shared.failed = failed.collect();
                shared.is_outage = true;
                return Ok(shared);
            }
        };
        let mut fills = Vec::new();
        for (key, (name, stamp)) in stamps {
            // Of a content without a stamp nobody could say whether it is still there.
            if loaded.failed.contains_key(&key) || stamp.is_empty() {
                continue;
            }
            let answer = Answer {
                found: loaded.found.get(&key).cloned(),
                fresh_for: loaded.fresh_for.get(&key).copied(),
                age: loaded.age.get(&key).copied().unwrap_or_default(),
                sent,
            };
            fills.extend(self.fill(name, stamp, &answer));
        }
        if !fills.is_empty() {
            self.ask(|| fills.clone(), &until).await;
        }
        shared.found.extend(loaded.found);
        shared.fresh_for.extend(loaded.fresh_for);
        shared.age.extend(loaded.age);
        shared.failed = loaded.failed;
        shared.is_outage = loaded.is_outage;
        Ok(shared)
    }

    fn reads_together(&self) -> bool {
        self.inner.reads_together()
    }

    const HAS_NEAR: bool = true;

    async fn load_near(&self, keys: Vec<K>, until: Deadline) -> Loaded<K, V, L::Error> {
        self.look_up(&keys, &until).await.0
    }
}
