//! Guarantee 1: staleness is bounded by both clocks. 4, 5, 9, 10: what else bounds it.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_core::clock::{Clock, SystemClock};
use cache_core::{Deadline, Found, TtlPolicy};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn an_entry_is_fresh_until_its_ttl_and_not_a_moment_longer() {
    let (cache, mut calls, clock) = cache();
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(60 * SECOND - Duration::from_nanos(1));
    assert_eq!(cached(&cache, "a").await, Some(1));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_entry_expires_by_the_wall_clock_when_the_monotonic_clock_stalls() {
    let (cache, mut calls, clock) = cache();
    load(&cache, &mut calls, "a", 1).await;
    clock.change(|now| now.wall += 60 * SECOND);
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_entry_expires_by_the_monotonic_clock_when_the_wall_clock_stalls() {
    let (cache, mut calls, clock) = cache();
    load(&cache, &mut calls, "a", 1).await;
    clock.change(|now| now.monotonic += 60 * SECOND);
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_ran_backwards_expires_an_entry() {
    let (cache, mut calls, clock) = cache();
    load(&cache, &mut calls, "a", 1).await;
    clock.change(|now| now.wall -= SECOND);
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_monotonic_clock_that_ran_backwards_expires_an_entry() {
    let (cache, mut calls, clock) = cache();
    load(&cache, &mut calls, "a", 1).await;
    clock.change(|now| now.monotonic -= SECOND);
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_load_is_joined_only_as_long_as_its_answer_would_be_fresh() {
    let minute = TtlPolicy::Fixed(60 * SECOND);
    for (policy, absent_ttl, limit) in [
        (minute, 90, 60),
        (minute, 5, 5),
        (TtlPolicy::PerItem(60 * SECOND), 5, 5),
        (TtlPolicy::Immutable, 90, 90),
        // Where an answer is never fresh, those of the same moment share it.
        (minute, 0, 1),
        (TtlPolicy::Fixed(Duration::ZERO), 5, 1),
    ] {
        let (cache, mut calls, clock) =
            cache_with(|builder| builder.ttl(policy).absent_ttl(absent_ttl * SECOND));
        // Its waiter was frozen, say.
        let first = spawn_get(&cache, "a", Deadline::none());
        let old = calls.next().await;
        clock.advance(limit * SECOND - Duration::from_nanos(1));
        let joiner = spawn_get(&cache, "a", Deadline::none());
        let_others_run().await;
        calls.assert_none();
        clock.advance(Duration::from_nanos(1));
        let late = spawn_get(&cache, "a", Deadline::none());
        let new = calls.next().await;
        old.all(1);
        new.all(2);
        assert_eq!(first.await.unwrap().unwrap(), Some(1));
        assert_eq!(joiner.await.unwrap().unwrap(), Some(1));
        assert_eq!(late.await.unwrap().unwrap(), Some(2), "{policy:?}");
        // A clock that ran backwards: nobody knows how old it is.
        let first = spawn_get(&cache, "b", Deadline::none());
        let old = calls.next().await;
        clock.change(|now| now.wall -= SECOND);
        let late = spawn_get(&cache, "b", Deadline::none());
        calls.next().await.all(2);
        assert_eq!(late.await.unwrap().unwrap(), Some(2));
        old.all(1);
        assert_eq!(first.await.unwrap().unwrap(), Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_never_fresh_takes_no_place_and_ends_what_was_there() {
    let (cache, mut calls, clock) = cache_with(|builder| {
        builder
            .absent_ttl(Duration::ZERO)
            .stale_if_error(60 * SECOND)
    });
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(60 * SECOND);
    let reader = spawn_get(&cache, "a", Deadline::none());
    calls.next().await.absent();
    assert_eq!(reader.await.unwrap().unwrap(), None);
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn age_counts_from_before_the_read_was_sent() {
    let (cache, mut calls, clock) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    clock.advance(40 * SECOND);
    call.all(1);
    assert_eq!(reader.await.unwrap().unwrap(), Some(1));
    clock.advance(20 * SECOND);
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_took_longer_than_its_ttl_to_load_is_returned_and_never_served_again() {
    let (cache, mut calls, clock) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    clock.advance(61 * SECOND);
    call.all(1);
    assert_eq!(reader.await.unwrap().unwrap(), Some(1));
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_cached_for_its_own_ttl() {
    let (cache, mut calls, clock) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    calls.next().await.absent();
    assert_eq!(reader.await.unwrap().unwrap(), None);
    clock.advance(5 * SECOND - Duration::from_nanos(1));
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), None);
    calls.assert_none();
    clock.advance(Duration::from_nanos(1));
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_neither_stores_nor_serves_but_still_coalesces() {
    for policy in [
        TtlPolicy::Fixed(Duration::ZERO),
        TtlPolicy::PerItem(Duration::ZERO),
    ] {
        let (cache, mut calls, _) = cache_with(|builder| builder.ttl(policy));
        let readers = [(); 3].map(|()| spawn_get(&cache, "a", Deadline::none()));
        let call = calls.next().await;
        let_others_run().await;
        call.all(1);
        for reader in readers {
            assert_eq!(reader.await.unwrap().unwrap(), Some(1));
        }
        assert_eq!(load(&cache, &mut calls, "a", 2).await, Some(2));
        let stats = cache.stats();
        assert_eq!(
            (stats.loads, stats.coalesced, stats.hits, stats.bytes),
            (2, 2, 0, 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_ttls_overflow_nothing() {
    let (cache, mut calls, clock) = cache_with(|builder| {
        let builder = builder
            .ttl(TtlPolicy::Fixed(Duration::MAX))
            .absent_ttl(Duration::MAX);
        builder.stale_if_error(Duration::MAX).jitter_percent(50)
    });
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(Duration::from_secs(1 << 40));
    assert_eq!(cached(&cache, "a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_and_spreads_and_never_lengthens() {
    let (cache, mut calls, clock) = cache_with(|builder| builder.jitter_percent(50));
    let keys: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for key in &keys {
        load(&cache, &mut calls, key, 1).await;
    }
    let mut alive = Vec::new();
    for seconds in [30, 15, 15] {
        clock.advance(seconds * SECOND - Duration::from_nanos(1));
        let mut count = 0;
        for key in &keys {
            count += usize::from(cached(&cache, key).await.is_some());
        }
        alive.push(count);
        clock.advance(Duration::from_nanos(1));
    }
    assert_eq!(alive[0], 200, "at most half is lost");
    assert!(
        (40..160).contains(&alive[1]),
        "half are gone at three quarters: {alive:?}"
    );
    assert!(
        alive[2] < 20,
        "nearly all are gone just before the end: {alive:?}"
    );
}

async fn load_until(cache: &TestCache, calls: &mut Calls, expires_at: Option<u64>) -> Option<u32> {
    let reader = spawn_get(cache, "a", Deadline::none());
    let mut batch = Batch::default();
    batch.found.insert(
        "a".into(),
        Found {
            value: 1,
            expires_at,
        },
    );
    calls.next().await.batch(batch);
    reader.await.unwrap().unwrap()
}

fn per_item(
    ttl: Duration,
) -> (
    TestCache,
    Calls,
    std::sync::Arc<cache_core::clock::ManualClock>,
) {
    cache_with(|builder| {
        builder
            .ttl(TtlPolicy::PerItem(ttl))
            .stale_if_error(3600 * SECOND)
    })
}

#[tokio::test(start_paused = true)]
async fn per_item_ends_with_the_item_by_the_wall_clock_even_if_the_source_fails() {
    let (cache, mut calls, clock) = per_item(60 * SECOND);
    let end = clock.now().wall.as_secs() + 10;
    assert_eq!(load_until(&cache, &mut calls, Some(end)).await, Some(1));
    clock.change(|now| now.wall += 9 * SECOND);
    assert_eq!(cached(&cache, "a").await, Some(1));
    clock.change(|now| now.wall += SECOND);
    assert_eq!(cached(&cache, "a").await, None, "not even as a stale value");
}

#[tokio::test(start_paused = true)]
async fn per_item_never_outlives_the_ttl_nor_needs_the_attribute() {
    let (cache, mut calls, clock) = per_item(60 * SECOND);
    let end = clock.now().wall.as_secs() + 1000;
    for end in [Some(end), None] {
        assert_eq!(load_until(&cache, &mut calls, end).await, Some(1));
        clock.advance(60 * SECOND);
        assert_eq!(
            load(&cache, &mut calls, "a", 2).await,
            Some(2),
            "it was loaded again"
        );
        clock.advance(100 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn per_item_takes_an_item_past_its_end_for_absent() {
    let (cache, mut calls, clock) = per_item(60 * SECOND);
    let end = clock.now().wall.as_secs();
    assert_eq!(load_until(&cache, &mut calls, Some(end)).await, None);
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), None);
    calls.assert_none();
}

/// Loads `a`, of which the source says how long it may be kept: a value, or its absence.
async fn load_fresh_for(
    cache: &TestCache,
    calls: &mut Calls,
    value: Option<u32>,
    fresh_for: Duration,
) {
    let reader = spawn_get(cache, "a", Deadline::none());
    let mut batch = Batch::default();
    batch
        .found
        .extend(value.map(|value| ("a".into(), present(value))));
    batch.fresh_for.insert("a".into(), fresh_for);
    calls.next().await.batch(batch);
    assert_eq!(reader.await.unwrap().unwrap(), value);
}

#[tokio::test(start_paused = true)]
async fn per_item_lives_as_long_as_its_source_says_and_no_longer_than_the_ttl() {
    for (value, fresh_for, seconds) in [
        (Some(1), 10 * SECOND, 10),
        (Some(1), 99 * SECOND, 60),
        (Some(1), Duration::MAX, 60),
        // An absence has a TTL of its own, 5 s.
        (None, 3 * SECOND, 3),
        (None, 99 * SECOND, 5),
    ] {
        let (cache, mut calls, clock) = per_item(60 * SECOND);
        load_fresh_for(&cache, &mut calls, value, fresh_for).await;
        clock.advance((seconds - 1) * SECOND);
        assert!(!is_asked(&cache, &mut calls, "a").await);
        clock.advance(SECOND);
        assert!(is_asked(&cache, &mut calls, "a").await);
        // Beyond it, it stands in as any other.
        assert_eq!(cached(&cache, "a").await, value);
    }
}

/// Of an answer that somebody else read before: it is fresh, and stands in, as long as if it were the cache's own.
#[tokio::test(start_paused = true)]
async fn an_age_that_the_loader_states_counts_from_the_read_on() {
    for (age, fresh, stale) in [(0, 60, 90), (50, 10, 40), (70, 0, 20), (90, 0, 0)] {
        let (cache, mut calls, clock) = cache_with(|builder| {
            let builder = builder.ttl(TtlPolicy::Fixed(60 * SECOND));
            builder.stale_if_error(30 * SECOND)
        });
        let reader = spawn_get(&cache, "a", Deadline::none());
        let mut batch = Batch::default();
        batch.found.insert("a".into(), present(1));
        batch.age.insert("a".into(), age * SECOND);
        calls.next().await.batch(batch);
        assert_eq!(reader.await.unwrap().unwrap(), Some(1));
        for (after, is_fresh) in [(fresh, false), (fresh - 1, true)] {
            if after >= 0 {
                let at = clock.now();
                clock.advance(u32::try_from(after).unwrap() * SECOND);
                assert_eq!(
                    !is_asked(&cache, &mut calls, "a").await,
                    is_fresh,
                    "{age} {after}"
                );
                clock.change(|now| *now = at);
            }
        }
        for (after, is_held) in [(stale - 1, true), (stale, false)] {
            if after >= 0 {
                let at = clock.now();
                clock.advance(u32::try_from(after).unwrap() * SECOND);
                assert_eq!(
                    cached(&cache, "a").await.is_some(),
                    is_held,
                    "{age} {after}"
                );
                clock.change(|now| *now = at);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_its_source_wants_nobody_to_keep_is_not_kept_even_to_stand_in() {
    for value in [Some(1), None] {
        let (cache, mut calls, _) = per_item(60 * SECOND);
        load(&cache, &mut calls, "a", 7).await;
        cache.invalidate("a");
        load_fresh_for(&cache, &mut calls, value, Duration::ZERO).await;
        assert_eq!(cached(&cache, "a").await, None);
        assert_eq!(cache.stats().entries, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn only_per_item_looks_at_what_the_source_says() {
    for policy in [TtlPolicy::Fixed(60 * SECOND), TtlPolicy::Immutable] {
        let (cache, mut calls, _) = cache_with(|builder| builder.ttl(policy));
        load_fresh_for(&cache, &mut calls, Some(1), Duration::ZERO).await;
        assert_eq!(cached(&cache, "a").await, Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_is_told_what_is_still_held_until_it_is_invalidated() {
    let (cache, mut calls, clock) = cache();
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(3600 * SECOND);
    let known = async |calls: &mut Calls| {
        let reader = spawn_get_many(&cache, &["a", "b"], Deadline::none());
        let call = calls.next().await;
        let known = call.known.clone();
        call.absent();
        reader.await.unwrap();
        known
    };
    assert_eq!(known(&mut calls).await, HashMap::from([("a".into(), 1)]));
    // An absence is no value.
    clock.advance(3600 * SECOND);
    assert_eq!(known(&mut calls).await, HashMap::new());
    clock.advance(3600 * SECOND);
    load(&cache, &mut calls, "a", 1).await;
    cache.invalidate("a");
    clock.advance(3600 * SECOND);
    assert_eq!(known(&mut calls).await, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn only_per_item_looks_at_an_items_end() {
    for policy in [TtlPolicy::Fixed(60 * SECOND), TtlPolicy::Immutable] {
        let (cache, mut calls, _) = cache_with(|builder| builder.ttl(policy));
        assert_eq!(load_until(&cache, &mut calls, Some(1)).await, Some(1));
        assert_eq!(cached(&cache, "a").await, Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn immutable_values_live_on_whatever_the_clocks_do_but_absences_do_not() {
    let (cache, mut calls, clock) = cache_with(|builder| builder.ttl(TtlPolicy::Immutable));
    load(&cache, &mut calls, "a", 1).await;
    let reader = spawn_get(&cache, "b", Deadline::none());
    calls.next().await.absent();
    assert_eq!(reader.await.unwrap().unwrap(), None);
    clock.advance(Duration::from_secs(1 << 40));
    assert_eq!(cached(&cache, "a").await, Some(1));
    clock.change(|now| *now = Default::default());
    assert_eq!(cached(&cache, "a").await, Some(1));
    assert_eq!(load(&cache, &mut calls, "b", 2).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn with_a_ttl_of_zero_there_is_no_back_off() {
    let zero = TtlPolicy::Fixed(Duration::ZERO);
    let (cache, mut calls, _) = cache_with(|builder| builder.ttl(zero));
    for _ in 0..3 {
        let reader = spawn_get_many(&cache, &["a", "b"], Deadline::none());
        calls.next().await.fail();
        assert!(reader.await.unwrap()["a"].is_err());
    }
}

#[test]
fn the_systems_clocks_are_the_systems() {
    let clock = SystemClock::default();
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (before, first) = (wall(), clock.now());
    // A monotonic clock may show the same time twice, and not for ever.
    let mut later = std::iter::repeat_with(|| clock.now()).take(1 << 20);
    let second = later.find(|now| now.monotonic > first.monotonic);
    let (second, after) = (second.unwrap(), wall());
    assert!(before <= first.wall && first.wall <= second.wall && second.wall <= after);
}
