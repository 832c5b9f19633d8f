//! For how long who asked may keep an answer: never longer than it is fresh here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use cache_core::clock::{Clock, ManualClock};
use cache_core::environment::Environment;
use cache_core::kinds::Kind;
use cache_core::{Cache, Deadline, Failure, Found, FromFn, caches, from_fn};

type Numbers = Cache<u64, u64, FromFn<u64, u64, &'static str>>;

caches! {
    /// Even numbers are there.
    struct Caches(source: &Source) {
        long: Numbers = source.kind().ttl(60).absent_ttl(9).stale_if_error(60).public();
        short: Numbers = source.kind().ttl(10).public();
        for_ever: Numbers = source.kind().immutable().public();
        per_item: Numbers = source.kind().ttl(60).per_item().public();
        bypassed: Numbers = source.kind().ttl(0).public();
        private: Numbers = source.kind().ttl(60);
        hanging: Numbers = source.hanging().public();
    }
}

#[derive(Clone, Default)]
struct Source {
    fails: Arc<AtomicBool>,
}

impl Source {
    fn hanging(&self) -> Kind<u64, u64, FromFn<u64, u64, &'static str>> {
        Kind::of(from_fn(|_, _| std::future::pending()))
    }

    fn kind(&self) -> Kind<u64, u64, FromFn<u64, u64, &'static str>> {
        let fails = Arc::clone(&self.fails);
        Kind::of(from_fn(move |key: u64, _| {
            let fails = fails.load(Relaxed);
            async move {
                match key {
                    _ if fails => Err(Failure::from("away")),
                    _ if key.is_multiple_of(2) => Ok(Some(key)),
                    _ => Ok(None),
                }
            }
        }))
    }
}

struct Function {
    caches: Caches,
    clock: Arc<ManualClock>,
    source: Source,
}

fn function() -> Function {
    let clock = Arc::new(ManualClock::default());
    let variables = [
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
        ("CACHE_JITTER_PERCENT", "0"),
    ];
    let environment = Environment::of(variables).with_clock(clock.clone());
    let source = Source::default();
    let caches = Caches::new(environment, &source).unwrap();
    Function {
        caches,
        clock,
        source,
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_kept_for_the_least_time_that_is_left() {
    let Function { caches, clock, .. } = function();
    let max_age = async |kinds: &[(&Numbers, u64)]| {
        let invocation = caches.invocation(0);
        for (kind, key) in kinds {
            kind.get(key, invocation.deadline()).await.unwrap();
        }
        invocation.max_age().map(|left| left.as_secs())
    };
    let Caches {
        long,
        short,
        for_ever,
        bypassed,
        ..
    } = &caches;
    assert_eq!(max_age(&[]).await, None, "nobody looked");
    // As loaded, and as it was in memory.
    for _ in 0..2 {
        assert_eq!(max_age(&[(long, 2)]).await, Some(60));
    }
    assert_eq!(
        max_age(&[(long, 1)]).await,
        Some(9),
        "an absence has its own time"
    );
    clock.advance(3 * SECOND + SECOND / 2);
    assert_eq!(max_age(&[(long, 2)]).await, Some(56), "rounded down");
    assert_eq!(
        max_age(&[(long, 2), (short, 2), (for_ever, 2)]).await,
        Some(10)
    );
    assert_eq!(max_age(&[(for_ever, 2)]).await, Some(365 * 86_400));
    assert_eq!(max_age(&[(bypassed, 2), (long, 2)]).await, Some(0));
    assert_eq!(
        max_age(&[(bypassed, 1)]).await,
        Some(0),
        "nor is an absence"
    );
    let invocation = caches.invocation(0);
    long.get_many([2, 4], invocation.deadline()).await;
    assert_eq!(invocation.max_age(), Some(56 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_public_or_failed_is_kept_by_nobody() {
    let Function { caches, source, .. } = function();
    for order in [
        [&caches.private, &caches.long],
        [&caches.long, &caches.private],
    ] {
        let invocation = caches.invocation(0);
        for kind in order {
            kind.get(&2, invocation.deadline()).await.unwrap();
        }
        assert_eq!(invocation.max_age(), None);
    }
    source.fails.store(true, Relaxed);
    let invocation = caches.invocation(0);
    caches.long.get(&2, invocation.deadline()).await.unwrap();
    assert!(caches.long.get(&4, invocation.deadline()).await.is_err());
    assert_eq!(
        invocation.max_age(),
        None,
        "an answer without what could not be read"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_served_stale_is_not_kept() {
    let Function {
        caches,
        clock,
        source,
    } = function();
    let patient = Deadline::none();
    caches.long.get(&2, &patient).await.unwrap();
    clock.advance(61 * SECOND);
    source.fails.store(true, Relaxed);
    // Once by the load that failed, once by its back-off.
    for _ in 0..2 {
        let invocation = caches.invocation(0);
        let stale = caches.long.get(&2, invocation.deadline()).await.unwrap();
        assert_eq!(stale, Some(2));
        assert_eq!(invocation.max_age(), Some(Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn an_items_own_end_and_a_clock_that_jumps_count() {
    let Function { caches, clock, .. } = function();
    let max_age = async || {
        let invocation = caches.invocation(0);
        caches
            .per_item
            .get(&2, invocation.deadline())
            .await
            .unwrap();
        invocation.max_age().map(|left| left.as_secs())
    };
    let end = clock.now().wall.as_secs() + 20;
    let ending = Found {
        value: 2,
        expires_at: Some(end),
    };
    caches.per_item.put(2, ending);
    assert_eq!(max_age().await, Some(20));
    clock.change(|now| now.wall += 5 * SECOND);
    assert_eq!(max_age().await, Some(15));
    clock.change(|now| now.wall += 15 * SECOND);
    assert_eq!(max_age().await, Some(60), "it was loaded again");
}

#[tokio::test(start_paused = true)]
async fn what_the_invocation_takes_until_it_answers_counts() {
    let Function { caches, .. } = function();
    let invocation = caches.invocation(0);
    let found = caches.long.get(&2, invocation.deadline()).await;
    assert_eq!(found.unwrap(), Some(2));
    tokio::time::advance(4 * SECOND).await;
    assert_eq!(invocation.max_age(), Some(56 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_place_of_a_lookup_that_was_dropped_is_kept_by_nobody() {
    let Function { caches, .. } = function();
    let invocation = caches.invocation(0);
    let found = caches.long.get(&2, invocation.deadline()).await;
    assert_eq!(found.unwrap(), Some(2));
    let hanging = caches.hanging.get(&2, invocation.deadline());
    assert!(tokio::time::timeout(SECOND, hanging).await.is_err());
    assert_eq!(invocation.max_age(), None);
}
