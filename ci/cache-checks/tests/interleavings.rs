//! The flight table under a scheduler that tries out who runs next.
//!
//! Shuttle decides who goes on wherever a task awaits, and in the middle of a poll of the loader:
//! in every possible order (`check_dfs`) where that can be done, else in many random ones. It polls
//! only tasks that were woken, so a waiter that nobody wakes shows as a deadlock. What the cache
//! does between two such points is one step: moka, tokio's locks and the standard library's do not
//! run on shuttle's primitives. Threads inside a step are left to the stress test.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cache_core::clock::ManualClock;
use cache_core::{Cache, Deadline, Error, Loaded, Loader};
use shuttle::future::{block_on, spawn, yield_now};

/// A source whose every key has the same version, and whose first loads may panic.
#[derive(Clone, Default)]
struct Source(Arc<State>);

#[derive(Default)]
struct State {
    version: AtomicU64,
    panics: AtomicU64,
    in_flight: Mutex<HashMap<char, u64>>,
    most_in_flight: AtomicU64,
}

/// A load of these keys, from its start until it ends in whatever way.
struct UnderWay<'a>(&'a State, Vec<char>);

impl<'a> UnderWay<'a> {
    fn new(state: &'a State, keys: Vec<char>) -> Self {
        let mut in_flight = state.in_flight.lock().unwrap();
        for key in &keys {
            let loads = in_flight.entry(*key).or_default();
            *loads += 1;
            state.most_in_flight.fetch_max(*loads, SeqCst);
        }
        UnderWay(state, keys)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.0.in_flight.lock().unwrap();
        for key in &self.1 {
            *in_flight.get_mut(key).unwrap() -= 1;
        }
    }
}

/// Becomes ready while it is being polled: others run between the wake-up and the end of the poll.
async fn pause() {
    let mut is_ready = false;
    poll_fn(|context| {
        if is_ready {
            return Poll::Ready(());
        }
        is_ready = true;
        context.waker().wake_by_ref();
        shuttle::thread::yield_now();
        Poll::Pending
    })
    .await;
}

impl Loader<char, u64> for Source {
    type Error = std::convert::Infallible;

    async fn load(
        &self,
        keys: Vec<char>,
        _: Deadline,
    ) -> Result<Loaded<char, u64, Self::Error>, Self::Error> {
        let state = &self.0;
        let _under_way = UnderWay::new(state, keys.clone());
        let value = state.version.load(SeqCst);
        pause().await;
        let panics = state
            .panics
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        assert!(panics.is_err(), "the loader's own panic");
        pause().await;
        Ok(Loaded {
            found: keys.into_iter().map(|key| (key, value.into())).collect(),
            ..Loaded::default()
        })
    }
}

type TestCache = Cache<char, u64, Source>;

fn cache() -> (TestCache, Source) {
    let (cache, source, _) = cache_and_clock();
    (cache, source)
}

fn cache_and_clock() -> (TestCache, Source, Arc<ManualClock>) {
    let (source, clock) = (Source::default(), Arc::new(ManualClock::default()));
    let cache = Cache::builder(source.clone())
        .clock(clock.clone())
        .refresh_ahead(50)
        .jitter_percent(0)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    (cache, source, clock)
}

fn reader(cache: &TestCache, key: char) -> shuttle::future::JoinHandle<Option<u64>> {
    let cache = cache.clone();
    spawn(async move { cache.get(&key, &Deadline::none()).await.unwrap() })
}

/// Some who wait for a load leave it, and one stays.
fn leave(leavers: usize) {
    block_on(async {
        let (cache, source) = cache();
        let leavers: Vec<_> = (0..leavers).map(|_| reader(&cache, 'a')).collect();
        let stays = reader(&cache, 'a');
        yield_now().await;
        for leaver in leavers {
            leaver.abort();
        }
        assert_eq!(stays.await.unwrap(), Some(0));
        assert_eq!(cache.get(&'a', &Deadline::none()).await.unwrap(), Some(0));
        assert_eq!(source.0.most_in_flight.load(SeqCst), 1);
    });
}

#[test]
fn a_waiter_that_leaves_at_any_moment_leaves_the_others_their_load() {
    shuttle::check_dfs(|| leave(1), None);
}

#[test]
fn several_waiters_that_leave_leave_the_last_one_its_load() {
    shuttle::check_random(|| leave(3), 20_000);
}

#[test]
fn an_invalidation_at_any_moment_wins_over_the_loads_under_way() {
    shuttle::check_dfs(
        || {
            block_on(async {
                let (cache, source) = cache();
                let early = reader(&cache, 'a');
                yield_now().await;
                source.0.version.store(1, SeqCst);
                cache.invalidate(&'a');
                let late = reader(&cache, 'a');
                assert_eq!(late.await.unwrap(), Some(1));
                early.await.unwrap();
                assert_eq!(cache.get(&'a', &Deadline::none()).await.unwrap(), Some(1));
                assert!(cache.stats().loads <= 2);
            });
        },
        None,
    );
}

#[test]
fn a_panic_reaches_every_waiter_once_and_whoever_asks_then_loads() {
    shuttle::check_dfs(
        || {
            block_on(async {
                let (cache, source) = cache();
                source.0.panics.store(1, SeqCst);
                let readers = [(); 2].map(|()| {
                    let cache = cache.clone();
                    spawn(async move { cache.get(&'a', &Deadline::none()).await })
                });
                let mut panics = 0;
                for reader in readers {
                    match reader.await.unwrap() {
                        Err(Error::LoaderPanicked) => panics += 1,
                        answer => assert_eq!(answer.unwrap(), Some(0)),
                    }
                }
                assert!(panics >= 1);
                assert_eq!(cache.get(&'a', &Deadline::none()).await.unwrap(), Some(0));
            });
        },
        None,
    );
}

#[test]
fn overlapping_batches_neither_wait_for_each_other_nor_load_a_key_twice() {
    shuttle::check_random(
        || {
            block_on(async {
                let (cache, source) = cache();
                let batch = |keys: &'static str| {
                    let cache = cache.clone();
                    spawn(async move { cache.get_many(keys.chars(), &Deadline::none()).await })
                };
                let batches = ["abc", "cba", "bd", "dca"].map(batch);
                let leaves = batch("abcd");
                let single = reader(&cache, 'b');
                yield_now().await;
                leaves.abort();
                for batch in batches {
                    for answer in batch.await.unwrap().into_values() {
                        assert_eq!(answer.unwrap(), Some(0));
                    }
                }
                assert_eq!(single.await.unwrap(), Some(0));
                assert_eq!(source.0.most_in_flight.load(SeqCst), 1);
            });
        },
        20_000,
    );
}

/// What was asked for in the last half of its time, and has changed since.
async fn ending() -> (TestCache, Source, Arc<ManualClock>) {
    let (cache, source, clock) = cache_and_clock();
    assert_eq!(cache.get(&'a', &Deadline::none()).await.unwrap(), Some(0));
    clock.advance(Duration::from_secs(58));
    assert_eq!(cache.get(&'a', &Deadline::none()).await.unwrap(), Some(0));
    source.0.version.store(1, SeqCst);
    (cache, source, clock)
}

fn refresh(cache: &TestCache) -> shuttle::future::JoinHandle<()> {
    let cache = cache.clone();
    spawn(async move { cache.refresh(&Deadline::none()).await })
}

#[test]
fn a_refresh_that_is_cut_off_at_any_moment_keeps_nobody_waiting() {
    shuttle::check_dfs(
        || {
            block_on(async {
                let (cache, source, clock) = ending().await;
                let refreshing = refresh(&cache);
                yield_now().await;
                // From now on callers wait for it.
                clock.advance(Duration::from_secs(2));
                let reader = reader(&cache, 'a');
                yield_now().await;
                refreshing.abort();
                assert_eq!(reader.await.unwrap(), Some(1));
                let _ = refreshing.await;
                assert_eq!(source.0.most_in_flight.load(SeqCst), 1);
                assert_eq!(source.0.in_flight.lock().unwrap()[&'a'], 0);
            });
        },
        None,
    );
}

#[test]
fn an_invalidation_at_any_moment_wins_over_a_refresh() {
    shuttle::check_dfs(
        || {
            block_on(async {
                let (cache, source, _) = ending().await;
                let refreshing = refresh(&cache);
                yield_now().await;
                source.0.version.store(2, SeqCst);
                cache.invalidate(&'a');
                let late = reader(&cache, 'a');
                assert_eq!(late.await.unwrap(), Some(2));
                refreshing.await.unwrap();
                assert_eq!(cache.get(&'a', &Deadline::none()).await.unwrap(), Some(2));
            });
        },
        None,
    );
}
