//! The kinds of data that a function caches: each is one declaration, and everything else follows.
//!
//! [`caches!`](crate::caches) makes a struct with one cache for each kind, and a constructor that
//! reads the [`environment`](crate::environment), divides the memory by weights, and registers each
//! cache for statistics and metrics. A kind cannot be left out of any of these.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use mem_dbg::{MemSize, SizeFlags};

use crate::builder::Basics;
use crate::clock::Clock;
use crate::dynamodb::{ItemKey, ItemLoader, Query, QueryLoader, Table, TableKey};
use crate::environment::{Environment, EnvironmentError, Policy, Settings, Stated};
use crate::invocation::{self, Invocation};
use crate::metrics::Metrics;
use crate::{Builder, Cache, Deadline, Key, LEAST_MEMORY, Loader, Stats, TtlPolicy, Value};

/// Declares the kinds of data that a function caches.
///
/// ```
/// use cache_core::caches;
/// use cache_core::dynamodb::{Items, Query, Rows, Table};
/// use mem_dbg::MemSize;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, MemSize)]
/// pub struct Customer { tier: String }
///
/// #[derive(Default, Deserialize, MemSize)]
/// #[mem_size(flat)] // it has nothing on the heap
/// pub struct Flags { dark_mode: bool }
///
/// #[derive(Deserialize, MemSize)]
/// pub struct Feature { name: String }
///
/// caches! {
///     /// What this function keeps in memory from one invocation to the next.
///     pub struct Caches(table: &Table) {
///         customers: Items<String, Customer> = table.item(|id| format!("CUSTOMER#{id}")).weight(4);
///         flags: Items<(), Flags> = table.item(|()| "FLAGS").ttl(5).stale_if_error(600).absent_is_default();
///         plans: Rows<String, Feature> =
///             table.query(|plan| Query::partition(format!("PLAN#{plan}")).begins_with("FEATURE#")).ttl(600);
///     }
/// }
/// ```
///
/// `Caches::new(environment, &table)` makes them. Each kind has a name, which is its metrics', its
/// variables' and its log lines'; a type of cache; and a [`Kind`]. The sources in parentheses, any
/// number of them, can be used in each. A source of your own is
/// [`Kind::of`] your [`Loader`].
///
/// What cannot be a kind does not compile, or is told by `new`:
///
/// ```compile_fail
/// # use cache_core::{Cache, FromFn, caches, from_fn, kinds::Kind};
/// # type Numbers = Cache<u8, u8, FromFn<u8, u8, String>>;
/// # fn source() -> FromFn<u8, u8, String> { from_fn(|_, _| async { Ok(None) }) }
/// caches! {
///     struct Caches() {
///         absent: Numbers = Kind::of(source()); // CACHE_ABSENT_TTL_SECONDS is every kind's
///     }
/// }
/// ```
#[macro_export]
macro_rules! caches {
    (
        $(#[$about:meta])*
        $visibility:vis struct $name:ident $sources:tt { $($kinds:tt)* }
    ) => {
        $crate::caches! { @made $sources $sources [$(#[$about])*] $visibility $name $($kinds)* }
    };
    (
        @made $sources:tt ($($source:ident: $type:ty),* $(,)?) [$($about:tt)*] $visibility:vis $name:ident
        $($(#[$of_kind:meta])* $kind:ident: $cache:ty = $declaration:expr);+ $(;)?
    ) => {
        $($about)*
        #[derive(Clone)]
        #[allow(missing_docs)] // the declaration says it
        $visibility struct $name {
            $($(#[$of_kind])* pub $kind: $cache,)+
            report: ::std::sync::Arc<$crate::kinds::Report>,
        }

        const _: () = {
            $(assert!(
                $crate::kinds::is_name(stringify!($kind)),
                concat!(
                    "`", stringify!($kind), "` cannot name a kind: use a-z, 0-9 and _, a letter first, ",
                    "at most 40, not `shared`, and no `absent` at the end"
                ),
            );)+
        };

        impl $name {
            /// Makes the caches.
            ///
            /// # Errors
            /// Names every variable and every declaration that is wrong, and what is allowed.
            $visibility fn new(
                environment: $crate::environment::Environment,
                $($source: $type),*
            ) -> ::std::result::Result<Self, $crate::environment::EnvironmentError> {
                let mut plan = $crate::kinds::Plan::new(environment, &[$(stringify!($kind)),+]);
                // Together, so that a kind that is called as a source does not hide it from the next.
                let ($($kind,)+) = ($(plan.declare::<$cache>(
                    stringify!($kind),
                    $crate::caches!(@kind $sources $cache, $declaration),
                ),)+);
                let mut plan = plan.check()?;
                ::std::result::Result::Ok($name {
                    $($kind: plan.build($kind),)+
                    report: ::std::sync::Arc::new(plan.report()),
                })
            }

            /// What each cache has done since the environment started.
            $visibility fn stats(&self) -> ::std::vec::Vec<(&'static str, $crate::Stats)> {
                self.report.stats().collect()
            }

            /// The lines of metrics that are due. [`invocation`](Self::invocation) prints them.
            $visibility fn metrics(&self) -> ::std::vec::Vec<::std::string::String> {
                self.report.metrics()
            }

            /// Reads again what is to be read ahead of its end, in one batch for each kind. Wait for it when a
            /// response is with its caller, and before the next event is asked for. The invocation ends at
            /// `deadline_ms` since the Unix epoch.
            $visibility async fn refresh(&self, deadline_ms: u64) {
                self.report.refresh(deadline_ms).await;
            }

            /// Begins an invocation that ends at `deadline_ms` since the Unix epoch. Keep what it
            /// returns until the answer is there.
            $visibility fn invocation(&self, deadline_ms: u64) -> $crate::invocation::Invocation<'_> {
                self.report.invocation(deadline_ms)
            }
        }
    };
    (@kind ($($source:ident: $type:ty),* $(,)?) $cache:ty, $declaration:expr) => {{
        // Each source with the kind's types, so that a closure need not name them.
        $(
            let $source = $crate::kinds::Source::<
                _,
                <$cache as $crate::kinds::CacheType>::Unshared,
            >::new(&$source);
            let _ = &$source;
        )*
        $declaration
    }};
}

/// A cache's types. Every [`Cache`] has them.
pub trait CacheType {
    /// Of its keys.
    type Key: Key;
    /// Of its values.
    type Value: Value;
    /// Of its loader.
    type Loader: Loader<Self::Key, Self::Value>;
    /// It without a second level: what a source makes.
    type Unshared;

    /// One that was made.
    fn of(cache: Cache<Self::Key, Self::Value, Self::Loader>) -> Self;
}

impl<K: Key, V: Value, L: Loader<K, V>> CacheType for Cache<K, V, L> {
    type Key = K;
    type Value = V;
    type Loader = L;
    type Unshared = Self;

    fn of(cache: Self) -> Self {
        cache
    }
}

/// The kind of a cache.
pub type KindOf<C> = Kind<<C as CacheType>::Key, <C as CacheType>::Value, <C as CacheType>::Loader>;

/// A source in the declaration of a kind: it knows the types of the kind's cache.
pub struct Source<'a, S, C> {
    source: &'a S,
    cache: PhantomData<fn() -> C>,
}

impl<'a, S, C> Source<'a, S, C> {
    /// For [`caches!`](crate::caches).
    pub fn new(source: &'a S) -> Self {
        Source {
            source,
            cache: PhantomData,
        }
    }
}

impl<S, C> Deref for Source<'_, S, C> {
    type Target = S;

    fn deref(&self) -> &S {
        self.source
    }
}

impl<S, K, T> Source<'_, S, Cache<K, Arc<T>, ItemLoader<K, T>>>
where
    S: Borrow<Table>,
    K: Key + MemSize,
    T: serde::de::DeserializeOwned + MemSize + Send + Sync + 'static,
{
    /// The item whose key `item_key` makes: one value, or two where the table has a sort key.
    pub fn item<I: Into<ItemKey>>(
        &self,
        item_key: impl Fn(&K) -> I + Send + Sync + 'static,
    ) -> Kind<K, Arc<T>, ItemLoader<K, T>> {
        Kind::of(ItemLoader::new(self.source.borrow(), item_key))
    }
}

impl<S, K, T> Source<'_, S, Cache<K, Arc<Vec<T>>, QueryLoader<K, T>>>
where
    S: Borrow<Table>,
    K: Key + MemSize,
    T: serde::de::DeserializeOwned + MemSize + Send + Sync + 'static,
    Vec<T>: MemSize,
{
    /// The rows of the Query that `query` makes. Its role needs `dynamodb:Query`.
    pub fn query<Q: Into<Query>>(
        &self,
        query: impl Fn(&K) -> Q + Send + Sync + 'static,
    ) -> Kind<K, Arc<Vec<T>>, QueryLoader<K, T>> {
        let mut kind = Kind::of(QueryLoader::new(self.source.borrow(), query));
        kind.prepare = |loader, basics| match basics.rules.policy {
            TtlPolicy::PerItem(_) => loader.without_ended(Arc::clone(&basics.clock)),
            TtlPolicy::Fixed(_) | TtlPolicy::Immutable => loader,
        };
        kind
    }
}

/// Gives a loader what it needs of its cache, and the cache what its loader asks for.
pub(crate) type Prepare<L> = fn(L, &mut Basics) -> L;

/// What is declared of one kind: where it comes from, how long it lives, and how much of the memory
/// it gets. What is not stated here the [`environment`](crate::environment) says.
#[must_use]
pub struct Kind<K, V, L> {
    loader: L,
    stated: Stated,
    weight: u32,
    absent: Option<fn() -> V>,
    public: bool,
    /// What key and value have allocated, in bytes.
    heap: fn(&K, Option<&V>) -> usize,
    prepare: Prepare<L>,
}

/// What `value` has allocated beside itself. What an `Arc` holds counts for each value that has it.
fn heap<T: MemSize>(value: &T) -> usize {
    value.mem_size(SizeFlags::CAPACITY | SizeFlags::FOLLOW_RCS) - size_of::<T>()
}

impl<K: MemSize, V: MemSize, L> Kind<K, V, L> {
    /// A kind that a loader of one's own reads.
    ///
    /// How large keys and values are is derived: `#[derive(MemSize)]`, with `#[mem_size(flat)]` where a
    /// type has nothing on the heap, which the build asks for. It is there for what the standard
    /// library has, but not for `Arc<str>` and `serde_json::Value`: `Box<str>` and `Arc<String>` do.
    /// Exact but for B-trees, which count for up to twice what they take, and for a map or set from
    /// which entries were taken out again, which counts for less: shrink it to fit.
    pub fn of(loader: L) -> Self {
        Kind {
            loader,
            stated: Stated::default(),
            weight: 1,
            absent: None,
            public: false,
            heap: |key, value| heap(key) + value.map_or(0, heap),
            prepare: |loader, _| loader,
        }
    }
}

impl<K, V, L> Kind<K, V, L> {
    /// Values live so many seconds; zero bypasses the cache. Without
    /// [`per_item`](Self::per_item) that is the policy, too, where it would be `immutable` otherwise.
    pub fn ttl(mut self, seconds: u64) -> Self {
        self.stated.ttl = Some(seconds);
        self
    }

    /// Values live until their own end, at most for the TTL.
    pub fn per_item(mut self) -> Self {
        self.stated.policy = Some(Policy::PerItem);
        self
    }

    /// Values live as long as the environment: for data that never changes.
    pub fn immutable(mut self) -> Self {
        self.stated.policy = Some(Policy::Immutable);
        self
    }

    /// It is believed for so many seconds that there is no such item.
    pub fn absent_ttl(mut self, seconds: u64) -> Self {
        self.stated.absent_ttl = Some(seconds);
        self
    }

    /// Values serve for so many seconds past their TTL while the source fails.
    pub fn stale_if_error(mut self, seconds: u64) -> Self {
        self.stated.stale_if_error = Some(seconds);
        self
    }

    /// A read is waited for so many milliseconds where a value past its TTL may serve instead: see
    /// [`stale_if_error`](Self::stale_if_error).
    pub fn soft_timeout(mut self, milliseconds: u64) -> Self {
        self.stated.soft_timeout_ms = Some(milliseconds);
        self
    }

    /// What is asked for in the last 20 % of its TTL is read again behind the response, so that nobody waits
    /// for it. `CACHE_<KIND>_REFRESH_AHEAD_PERCENT` takes another part.
    pub fn refresh_ahead(mut self) -> Self {
        self.stated.ahead_percent = Some(20);
        self
    }

    /// Its part of the memory, against the sum of all weights. Default: 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// An absence stands for the type's default, which is served stale as any value is.
    pub fn absent_is_default(mut self) -> Self
    where
        V: Default,
    {
        self.absent = Some(V::default);
        self
    }

    /// Everybody may see it, and keep it while it is fresh here: browsers and content delivery networks
    /// too. See [`Invocation::max_age`].
    pub fn public(mut self) -> Self {
        self.public = true;
        self
    }

    pub(crate) fn map(mut self, change: impl FnOnce(L) -> L) -> Self {
        self.loader = change(self.loader);
        self
    }

    /// With a loader in front of the one that it has.
    #[cfg(feature = "shared")]
    pub(crate) fn behind<M>(
        self,
        front: impl FnOnce(L, Prepare<L>) -> M,
        prepare: Prepare<M>,
    ) -> Kind<K, V, M> {
        Kind {
            loader: front(self.loader, self.prepare),
            stated: self.stated,
            weight: self.weight,
            absent: self.absent,
            public: self.public,
            heap: self.heap,
            prepare,
        }
    }
}

impl<K, T: serde::de::DeserializeOwned> Kind<K, Arc<T>, ItemLoader<K, T>> {
    /// See [`ItemLoader::consistent`].
    pub fn consistent(self) -> Self {
        self.map(|loader| loader.consistent(true))
    }

    /// See [`ItemLoader::attributes`].
    pub fn attributes<const N: usize>(self, names: [&str; N]) -> Self {
        self.map(|loader| loader.attributes(names))
    }
}

impl<K, T: serde::de::DeserializeOwned> Kind<K, Arc<Vec<T>>, QueryLoader<K, T>> {
    /// See [`QueryLoader::consistent`].
    pub fn consistent(self) -> Self {
        self.map(|loader| loader.consistent(true))
    }

    /// See [`QueryLoader::index`].
    pub fn index(self, name: &'static str, key: TableKey) -> Self {
        self.map(|loader| loader.index(name, key))
    }

    /// See [`QueryLoader::empty_is_absent`].
    pub fn empty_is_absent(self) -> Self {
        self.map(QueryLoader::empty_is_absent)
    }
}

/// Whether variables and metrics can have a kind's name. `CACHE_ABSENT_TTL_SECONDS` is every kind's, and
/// `CACHE_SHARED_TIMEOUT_MS` the second level's, so none may be called `absent` or `shared`; and
/// `CACHE_A_ABSENT_TTL_SECONDS` is the kind `a`'s.
pub const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 40 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut n = 0;
    while n < bytes.len() {
        if !(bytes[n].is_ascii_lowercase() || bytes[n].is_ascii_digit() || bytes[n] == b'_') {
            return false;
        }
        n += 1;
    }
    !matches!(
        bytes,
        b"absent" | b"shared" | [.., b'_', b'a', b'b', b's', b'e', b'n', b't']
    )
}

/// The kinds, before they are checked: what [`caches!`](crate::caches) works with.
pub struct Plan {
    environment: Environment,
    settings: Settings,
    weights: u64,
    declared: usize,
}

/// A kind of the plan.
pub struct Declared<C: CacheType> {
    name: &'static str,
    kind: KindOf<C>,
    /// From the kind's variables and its declaration.
    stated: Stated,
}

impl Plan {
    /// Reads the variables of these kinds.
    pub fn new(mut environment: Environment, kinds: &[&'static str]) -> Self {
        Plan {
            settings: environment.settings(kinds),
            environment,
            weights: 0,
            declared: 0,
        }
    }

    /// The next kind.
    pub fn declare<C: CacheType>(&mut self, name: &'static str, kind: KindOf<C>) -> Declared<C> {
        if kind.weight == 0 {
            let problem = format!("the kind {name} has the weight 0, allowed: from 1 on");
            self.environment.reject(problem);
        }
        self.weights += u64::from(kind.weight);
        let stated = self.settings.of_kinds[self.declared].or(kind.stated);
        self.declared += 1;
        Declared { name, kind, stated }
    }

    /// # Errors
    /// Everything that is wrong.
    pub fn check(mut self) -> Result<Checked, EnvironmentError> {
        let least = LEAST_MEMORY * self.declared as u64;
        let bytes = self.settings.cache_bytes;
        if bytes < least {
            self.environment.reject(format!(
                "CACHE_MEMORY_PERCENT leaves {bytes} bytes, and {} kinds need {least}: \
                 raise it, or the function's memory",
                self.declared
            ));
        }
        self.environment.check()?;
        Ok(Checked {
            clock: self.environment.clock(),
            spare: bytes - least,
            settings: self.settings,
            weights: self.weights,
            caches: Vec::new(),
        })
    }
}

/// A cache of whatever types.
trait Registered: Send + Sync {
    fn about(&self) -> (&'static str, Stats);

    /// Nothing where there is nothing to do.
    fn refresh<'a>(&'a self, until: &'a Deadline) -> Option<BoxFuture<'a, ()>>;
}

impl<K: Key, V: Value, L: Loader<K, V>> Registered for Cache<K, V, L> {
    fn about(&self) -> (&'static str, Stats) {
        (self.name(), self.stats())
    }

    fn refresh<'a>(&'a self, until: &'a Deadline) -> Option<BoxFuture<'a, ()>> {
        (!self.is_idle(until)).then(|| self.refresh(until).boxed())
    }
}

/// The kinds, checked, as caches are made of them.
pub struct Checked {
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// What is left of the memory when each kind has the least.
    spare: u64,
    weights: u64,
    caches: Vec<Box<dyn Registered>>,
}

impl Checked {
    /// Makes the cache of a kind, and registers it.
    pub fn build<C: CacheType>(&mut self, declared: Declared<C>) -> C {
        let Declared { name, kind, stated } = declared;
        let mut rules = stated.within(self.settings.for_all, self.settings.jitter_percent);
        if !self.settings.enabled {
            rules.policy = TtlPolicy::Fixed(Duration::ZERO);
        }
        let share = u128::from(self.spare) * u128::from(kind.weight) / u128::from(self.weights);
        let mut basics = Basics {
            name,
            clock: Arc::clone(&self.clock),
            rules,
            counters: Arc::default(),
        };
        let loader = (kind.prepare)(kind.loader, &mut basics);
        let mut builder = Builder::new(loader, basics)
            .memory(LEAST_MEMORY + share as u64, kind.heap)
            .public(kind.public);
        if let Some(absent) = kind.absent {
            builder = builder.absent_as(absent);
        }
        // Memory and jitter were checked, so there is nothing to refuse.
        let cache = builder
            .build()
            .unwrap_or_else(|error| unreachable!("{error}"));
        self.caches.push(Box::new(cache.clone()));
        C::of(cache)
    }

    /// All that were made.
    pub fn report(self) -> Report {
        let settings = self.settings;
        Report {
            caches: self.caches,
            metrics: Metrics::new(
                settings.metrics_namespace,
                settings.function_name,
                settings.function_version,
                settings.metrics_interval,
            ),
            clock: self.clock,
            refresh_limit: settings.refresh_limit,
        }
    }
}

/// The caches of a function, whatever their types.
pub struct Report {
    caches: Vec<Box<dyn Registered>>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    refresh_limit: Duration,
}

impl Report {
    /// What each cache has done since the environment started.
    pub fn stats(&self) -> impl ExactSizeIterator<Item = (&'static str, Stats)> {
        self.caches.iter().map(|cache| cache.about())
    }

    /// The lines of metrics that are due.
    pub fn metrics(&self) -> Vec<String> {
        self.metrics.lines(self.stats(), self.clock.now())
    }

    /// An invocation that ends at `deadline_ms` since the Unix epoch.
    pub fn invocation(&self, deadline_ms: u64) -> Invocation<'_> {
        Invocation::new(self, deadline_ms)
    }

    /// What is to be done between a response and the freeze: see [`Cache::refresh`]. All caches at once, in the time
    /// that the [`environment`](crate::environment) says, and not past the end of the invocation, which is at
    /// `deadline_ms` since the Unix epoch.
    pub async fn refresh(&self, deadline_ms: u64) {
        if self.refresh_limit.is_zero() {
            return;
        }
        let left = invocation::time_left(deadline_ms);
        let until = Deadline::after(left.min(self.refresh_limit));
        loop {
            let caches = self.caches.iter();
            let refreshes: Vec<_> = caches.filter_map(|cache| cache.refresh(&until)).collect();
            if refreshes.is_empty() {
                break;
            }
            // Behind a response a panic of a key's own code would be the end of the process, and of the cache.
            let refreshed = AssertUnwindSafe(join_all(refreshes)).catch_unwind().await;
            // Once more: a loader may have asked another cache, and left something there.
            if refreshed.is_err() {
                break;
            }
        }
    }

    pub(crate) fn error(&self, error_type: &str, status: u16) -> Option<String> {
        self.metrics.error(error_type, status, self.clock.now())
    }

    pub(crate) fn lookups(&self) -> (u64, u64, Duration) {
        self.stats().fold(Default::default(), |sum, (_, stats)| {
            (
                sum.0 + stats.hits,
                sum.1 + stats.misses,
                sum.2 + stats.waiting,
            )
        })
    }
}
