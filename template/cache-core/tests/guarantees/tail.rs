//! Guarantee 13: nothing runs behind a freeze. And that a caller waits for no expiry and no slow read, within the
//! bounds of 1 and 4.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use cache_core::clock::{Clock, ManualClock};
use cache_core::{Cache, Deadline, Error, Failure, Loaded, Loader, TtlPolicy, from_fn};
use tokio::time::Instant;

use crate::support::*;

const SOFT: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_millis(500);

/// Values past their TTL of a minute serve for another, and loads are waited for 20 ms.
async fn impatient() -> (TestCache, Calls, Arc<ManualClock>) {
    let (cache, calls, clock) = untended();
    refresh(&cache).await;
    (cache, calls, clock)
}

/// Before it is refreshed for the first time.
fn untended() -> (TestCache, Calls, Arc<ManualClock>) {
    cache_with(|builder| builder.stale_if_error(60 * SECOND).soft_timeout(SOFT))
}

/// The last 12 s of a minute.
fn ahead() -> (TestCache, Calls, Arc<ManualClock>) {
    cache_with(|builder| builder.refresh_ahead(20))
}

/// Values of callers who are impatient, past their TTL.
async fn expired(keys: &[&str]) -> (TestCache, Calls, Arc<ManualClock>) {
    let (cache, mut calls, clock) = impatient().await;
    for key in keys {
        load(&cache, &mut calls, key, 1).await;
    }
    clock.advance(60 * SECOND);
    (cache, calls, clock)
}

/// Values that were asked for in the last part of their time.
async fn marked(keys: &[&str]) -> (TestCache, Calls, Arc<ManualClock>) {
    let (cache, mut calls, clock) = ahead();
    for key in keys {
        load(&cache, &mut calls, key, 1).await;
    }
    clock.advance(50 * SECOND);
    for key in keys {
        assert_eq!(cached(&cache, key).await, Some(1));
    }
    (cache, calls, clock)
}

async fn refresh(cache: &TestCache) {
    patiently(cache.refresh(&Deadline::after(LIMIT))).await;
}

fn spawn_refresh(cache: &TestCache) -> tokio::task::JoinHandle<()> {
    let cache = cache.clone();
    tokio::spawn(async move { refresh(&cache).await })
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_is_not_waited_for_where_a_stale_value_may_serve() {
    let (cache, mut calls, _) = expired(&["a"]).await;
    let start = Instant::now();
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(1));
    assert_eq!(start.elapsed(), SOFT);
    let stats = cache.stats();
    assert_eq!((stats.stale_served, stats.load_errors), (1, 0));
    // What it left behind is the same load.
    let slow = calls.next().await;
    let refreshing = spawn_refresh(&cache);
    let_others_run().await;
    slow.all(2);
    refreshing.await.unwrap();
    assert_eq!(cached(&cache, "a").await, Some(2));
    calls.assert_none();
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_fast_enough_is_waited_for() {
    let (cache, mut calls, _) = expired(&["a"]).await;
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    tokio::time::sleep(SOFT - Duration::from_millis(1)).await;
    call.all(2);
    assert_eq!(reader.await.unwrap().unwrap(), Some(2));
    assert_eq!(cache.stats().stale_served, 0);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_refreshes_a_load_is_waited_for() {
    let (cache, mut calls, clock) = untended();
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(60 * SECOND);
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    tokio::time::sleep(2 * SOFT).await;
    call.all(2);
    assert_eq!(reader.await.unwrap().unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn without_a_stale_value_a_caller_waits_until_its_deadline() {
    let (cache, mut calls, clock) = impatient().await;
    let start = Instant::now();
    let never_read = get(&cache, "a", Deadline::after(SECOND)).await;
    assert!(matches!(never_read, Err(Error::DeadlineExceeded)));
    assert_eq!(start.elapsed(), SECOND);
    calls.next().await;
    load(&cache, &mut calls, "b", 1).await;
    // Past the bound.
    clock.advance(120 * SECOND);
    let expired = get(&cache, "b", Deadline::after(SECOND)).await;
    assert!(matches!(expired, Err(Error::DeadlineExceeded)));
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_value_whose_bound_passes_meanwhile_does_not_serve() {
    let (cache, mut calls, clock) = impatient().await;
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(120 * SECOND - Duration::from_nanos(1));
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    clock.advance(Duration::from_nanos(1));
    tokio::time::sleep(2 * SOFT).await;
    assert!(!reader.is_finished());
    call.all(2);
    assert_eq!(reader.await.unwrap().unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_serve_any_more_when_the_rest_is_there_is_waited_for() {
    let (cache, mut calls, clock) = impatient().await;
    load(&cache, &mut calls, "stale", 1).await;
    clock.advance(60 * SECOND);
    // On a flight of its own, which somebody else drives.
    let other = spawn_get(&cache, "stale", Deadline::none());
    let slow = calls.next().await;
    let many = spawn_get_many(&cache, &["stale", "new"], Deadline::none());
    let new = calls.next().await;
    assert_eq!(new.keys, ["new"]);
    tokio::time::sleep(2 * SOFT).await;
    assert!(!many.is_finished());
    clock.advance(60 * SECOND);
    new.all(3);
    tokio::time::sleep(2 * SOFT).await;
    assert!(!many.is_finished());
    slow.all(2);
    let answers = many.await.unwrap();
    assert_eq!(*answers["stale"].as_ref().unwrap(), Some(2));
    assert_eq!(*answers["new"].as_ref().unwrap(), Some(3));
    other.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_loaded_together_are_waited_for_together() {
    let (cache, mut calls, clock) = impatient().await;
    load(&cache, &mut calls, "stale", 1).await;
    clock.advance(60 * SECOND);
    let many = spawn_get_many(&cache, &["stale", "new"], Deadline::none());
    let call = calls.next().await;
    tokio::time::sleep(2 * SOFT).await;
    call.all(2);
    let answers = many.await.unwrap();
    assert_eq!(*answers["stale"].as_ref().unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_load_that_is_late_already_does_not_wait() {
    let (cache, mut calls, _) = expired(&["a"]).await;
    get(&cache, "a", Deadline::none()).await.unwrap();
    let slow = calls.next().await;
    let start = Instant::now();
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(1));
    assert_eq!(start.elapsed(), Duration::ZERO);
    // But it drives the load, and has what is there.
    slow.all(2);
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(2));
    calls.assert_none();
    assert_eq!(cache.stats().stale_served, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_ends_with_the_refresh_and_holds_back_the_next() {
    let (cache, mut calls, clock) = expired(&["a"]).await;
    get(&cache, "a", Deadline::none()).await.unwrap();
    let stalled = calls.next().await;
    let start = Instant::now();
    refresh(&cache).await;
    assert_eq!(start.elapsed(), LIMIT);
    assert!(stalled.is_cancelled());
    assert_eq!(cache.stats().load_errors, 1);
    // It was waited for in vain, so nobody waits for the next.
    let start = Instant::now();
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(1));
    assert_eq!(start.elapsed(), Duration::ZERO);
    calls.assert_none();
    clock.advance(Duration::from_millis(200));
    assert!(is_asked(&cache, &mut calls, "a").await);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_nobody_drove_for_a_while_has_its_time_behind_the_response() {
    let (cache, mut calls, _) = expired(&["a", "b"]).await;
    // Its caller had no more time than that.
    let deadline = Deadline::after(2 * SOFT);
    assert_eq!(get(&cache, "a", deadline).await.unwrap(), Some(1));
    let slow = calls.next().await;
    tokio::time::sleep(SECOND).await;
    let refreshing = spawn_refresh(&cache);
    let_others_run().await;
    tokio::time::sleep(LIMIT / 2).await;
    slow.all(2);
    refreshing.await.unwrap();
    assert_eq!(cached(&cache, "a").await, Some(2));
    // A moment behind the response is no time to learn anything from.
    assert_eq!(get(&cache, "b", Deadline::none()).await.unwrap(), Some(1));
    let slow = calls.next().await;
    tokio::time::sleep(SECOND).await;
    cache.refresh(&Deadline::after(SOFT)).await;
    assert!(slow.is_cancelled());
    assert_eq!(cache.stats().load_errors, 0);
    assert!(is_asked(&cache, &mut calls, "b").await);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_ends_when_everything_is_forgotten() {
    let (cache, mut calls, _) = expired(&["a"]).await;
    get(&cache, "a", Deadline::none()).await.unwrap();
    let slow = calls.next().await;
    cache.invalidate_all();
    assert!(slow.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_is_not_stored_over_an_invalidation() {
    let (cache, mut calls, _) = expired(&["a"]).await;
    get(&cache, "a", Deadline::none()).await.unwrap();
    let slow = calls.next().await;
    cache.invalidate("a");
    slow.all(2);
    refresh(&cache).await;
    assert!(is_asked(&cache, &mut calls, "a").await);
}

#[tokio::test(start_paused = true)]
async fn the_longest_soft_time_out_is_none() {
    let (cache, mut calls, clock) = cache_with(|builder| {
        let builder = builder.stale_if_error(60 * SECOND);
        builder.soft_timeout(Duration::MAX).refresh_ahead(50)
    });
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(60 * SECOND);
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    tokio::time::sleep(86_400 * SECOND).await;
    call.all(2);
    assert_eq!(reader.await.unwrap().unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_in_the_last_part_of_its_time_is_answered_and_read_again_in_one_load() {
    let (cache, mut calls, clock) = ahead();
    for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
        load(&cache, &mut calls, key, value).await;
    }
    clock.advance(48 * SECOND - Duration::from_nanos(1));
    assert_eq!(cached(&cache, "c").await, Some(3));
    clock.advance(Duration::from_nanos(1));
    for _ in 0..3 {
        assert_eq!(cached(&cache, "a").await, Some(1));
        assert_eq!(cached(&cache, "b").await, Some(2));
    }
    calls.assert_none();
    let refreshing = spawn_refresh(&cache);
    let call = calls.next().await;
    assert_eq!(call.keys, ["a", "b"]);
    // Who asks meanwhile has what there is.
    assert_eq!(cached(&cache, "a").await, Some(1));
    call.all(9);
    refreshing.await.unwrap();
    // From when that read was sent.
    clock.advance(48 * SECOND - Duration::from_nanos(1));
    assert_eq!(cached(&cache, "a").await, Some(9));
    assert_eq!(cached(&cache, "c").await, None);
    refresh(&cache).await;
    calls.assert_none();
    clock.advance(12 * SECOND + Duration::from_nanos(1));
    assert_eq!(cached(&cache, "a").await, None);
    assert_eq!(cache.stats().refreshes, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_new_or_over_is_not_read_ahead() {
    let (cache, mut calls, clock) = ahead();
    for key in ["invalidated", "put", "over", "read already"] {
        load(&cache, &mut calls, key, 1).await;
    }
    clock.advance(50 * SECOND);
    for key in ["invalidated", "put"] {
        assert_eq!(cached(&cache, key).await, Some(1));
    }
    cache.invalidate("invalidated");
    cache.put("put".into(), 2);
    refresh(&cache).await;
    calls.assert_none();
    // Who asks meanwhile leaves a mark, but it has a load.
    assert_eq!(cached(&cache, "read already").await, Some(1));
    let refreshing = spawn_refresh(&cache);
    let call = calls.next().await;
    assert_eq!(cached(&cache, "read already").await, Some(1));
    refresh(&cache).await;
    calls.assert_none();
    call.all(2);
    refreshing.await.unwrap();
    assert_eq!(cached(&cache, "over").await, Some(1));
    clock.advance(10 * SECOND);
    refresh(&cache).await;
    calls.assert_none();
    assert_eq!(cache.stats().refreshes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_ran_backwards_ends_what_was_to_be_read_ahead() {
    let (cache, mut calls, clock) = marked(&["a"]).await;
    clock.change(|now| now.wall -= 51 * SECOND);
    refresh(&cache).await;
    calls.assert_none();
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_leaves_the_entry_until_its_end_and_is_held_back() {
    let (cache, mut calls, clock) = marked(&["a"]).await;
    let refreshing = spawn_refresh(&cache);
    calls.next().await.fail();
    refreshing.await.unwrap();
    assert_eq!(cached(&cache, "a").await, Some(1));
    refresh(&cache).await;
    calls.assert_none();
    // Once the back-off is over the next who asks leaves a mark again.
    clock.advance(SECOND);
    assert_eq!(cached(&cache, "a").await, Some(1));
    let refreshing = spawn_refresh(&cache);
    calls.next().await.all(2);
    refreshing.await.unwrap();
    assert_eq!(cached(&cache, "a").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_dropped_or_out_of_time_ends_its_load() {
    let (cache, mut calls, _) = marked(&["a"]).await;
    let refreshing = spawn_refresh(&cache);
    let call = calls.next().await;
    refreshing.abort();
    patiently(call.cancelled()).await;
    assert_eq!(cached(&cache, "a").await, Some(1));
    cache.refresh(&Deadline::after(Duration::ZERO)).await;
    calls.assert_none();
    // There was no time to begin: the mark is still there.
    let refreshing = spawn_refresh(&cache);
    let call = calls.next().await;
    refreshing.await.unwrap();
    assert!(call.is_cancelled());
    assert_eq!(cached(&cache, "a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_panics_leaves_the_entry() {
    let (cache, mut calls, _) = marked(&["a"]).await;
    let refreshing = spawn_refresh(&cache);
    calls.next().await.panic();
    refreshing.await.unwrap();
    assert_eq!(cached(&cache, "a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_read_ahead_joins_a_batch_that_is_read_anyway() {
    let (cache, mut calls, clock) = ahead();
    load(&cache, &mut calls, "a", 1).await;
    load(&cache, &mut calls, "b", 1).await;
    clock.advance(50 * SECOND);
    assert_eq!(cached(&cache, "a").await, Some(1));
    let reader = spawn_get_many(&cache, &["new", "newer", "b"], Deadline::none());
    let call = calls.next().await;
    // What the same caller has from the cache is among it.
    assert_eq!(call.keys, ["a", "b", "new", "newer"]);
    let failed = [("a".into(), Broken("down"))].into();
    let found = ["new", "newer", "b"]
        .map(|key| (key.into(), present(2)))
        .into();
    call.batch(Loaded {
        found,
        failed,
        ..Loaded::default()
    });
    // That it fails is nothing to who asked for others.
    let answers = reader.await.unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(*answers["new"].as_ref().unwrap(), Some(2));
    assert_eq!(*answers["b"].as_ref().unwrap(), Some(1));
    assert_eq!(cached(&cache, "b").await, Some(2));
    assert_eq!(cached(&cache, "a").await, Some(1));
    let stats = cache.stats();
    assert_eq!((stats.refreshes, stats.misses, stats.loads), (2, 4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_read_of_one_key_stays_that() {
    let (cache, mut calls, _) = marked(&["a"]).await;
    let reader = spawn_get(&cache, "new", Deadline::none());
    let call = calls.next().await;
    assert_eq!(call.keys, ["new"]);
    call.all(2);
    reader.await.unwrap().unwrap();
    // The mark is still there.
    let refreshing = spawn_refresh(&cache);
    assert_eq!(calls.next().await.keys, ["a"]);
    refreshing.abort();
}

#[tokio::test(start_paused = true)]
async fn that_a_read_behind_a_response_is_cut_off_fails_no_other_key() {
    let (cache, mut calls, _) = marked(&["a", "b"]).await;
    refresh(&cache).await;
    assert!(calls.next().await.is_cancelled());
    // A caller has more time than there is behind a response.
    assert_eq!(load(&cache, &mut calls, "other", 2).await, Some(2));
    // But what was cut off is not read again at once.
    assert_eq!(cached(&cache, "a").await, Some(1));
    refresh(&cache).await;
    calls.assert_none();
}

#[tokio::test(start_paused = true)]
async fn that_what_was_left_is_cut_off_fails_no_other_key() {
    let (cache, mut calls, clock) = expired(&["a", "b"]).await;
    let stale = spawn_get_many(&cache, &["a", "b"], Deadline::none());
    let slow = calls.next().await;
    stale.await.unwrap();
    refresh(&cache).await;
    assert!(slow.is_cancelled());
    assert_eq!(load(&cache, &mut calls, "other", 2).await, Some(2));
    // Nor where the source ends it.
    clock.advance(SECOND);
    let stale = spawn_get_many(&cache, &["a", "b"], Deadline::after(2 * SOFT));
    let slow = calls.next().await;
    stale.await.unwrap();
    let refreshing = spawn_refresh(&cache);
    let_others_run().await;
    let until = slow.until.clone();
    tokio::time::sleep(LIMIT - Duration::from_millis(1)).await;
    assert_eq!(until.remaining(), Some(Duration::from_millis(1)));
    refreshing.await.unwrap();
    assert_eq!(load(&cache, &mut calls, "another", 2).await, Some(2));
}

/// Ends at the deadline by itself once it is slow, as the sources of this crate do.
struct Bounded(Arc<AtomicBool>);

impl Loader<u8, u8> for Bounded {
    type Error = Broken;

    fn reads_together(&self) -> bool {
        true
    }

    async fn load(&self, keys: Vec<u8>, until: Deadline) -> Result<Loaded<u8, u8, Broken>, Broken> {
        if self.0.load(Relaxed) {
            until.limit(std::future::pending::<()>()).await;
            return Err(Broken("late"));
        }
        Ok(Loaded {
            found: keys.into_iter().map(|key| (key, key.into())).collect(),
            ..Loaded::default()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_source_is_too_slow_behind_a_response_fails_no_other_key() {
    let (is_slow, clock) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(ManualClock::default()),
    );
    let cache = Cache::builder(Bounded(is_slow.clone()))
        .clock(clock.clone())
        .jitter_percent(0)
        .refresh_ahead(20)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let patient = Deadline::none();
    cache.get_many([1, 2], &patient).await;
    clock.advance(50 * SECOND);
    cache.get_many([1, 2], &patient).await;
    is_slow.store(true, Relaxed);
    cache.refresh(&Deadline::after(LIMIT)).await;
    assert_eq!((cache.stats().loads, cache.stats().load_errors), (2, 1));
    is_slow.store(false, Relaxed);
    assert_eq!(cache.get(&3, &patient).await.unwrap(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_no_more_than_a_request_can_and_the_rest_is_read_another_time() {
    let (cache, mut calls, clock) = ahead();
    let keys: Vec<String> = (0..150).map(|number| format!("{number:03}")).collect();
    for key in &keys {
        load(&cache, &mut calls, key, 1).await;
    }
    clock.advance(50 * SECOND);
    for key in &keys {
        assert_eq!(cached(&cache, key).await, Some(1));
    }
    let refreshing = spawn_refresh(&cache);
    let call = calls.next().await;
    assert_eq!(call.keys.len(), 100);
    call.all(2);
    refreshing.await.unwrap();
    refresh(&cache).await;
    calls.assert_none();
    for key in &keys {
        assert!(cached(&cache, key).await.is_some());
    }
    let reader = spawn_get_many(&cache, &["new", "newer"], Deadline::none());
    let call = calls.next().await;
    assert_eq!(call.keys.len(), 52);
    call.all(2);
    reader.await.unwrap();
    let large: Vec<String> = (0..99).map(|number| format!("new {number}")).collect();
    clock.advance(50 * SECOND);
    for key in ["000", "001"] {
        assert_eq!(cached(&cache, key).await, Some(2));
    }
    let large: Vec<_> = large.iter().map(String::as_str).collect();
    let reader = spawn_get_many(&cache, &large, Deadline::none());
    let call = calls.next().await;
    assert_eq!(call.keys.len(), 100);
    call.all(3);
    reader.await.unwrap();
    // One found no room, and waits for the next.
    let refreshing = spawn_refresh(&cache);
    assert_eq!(calls.next().await.keys, ["001"]);
    refreshing.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_read_one_by_one_is_not_joined_by_others() {
    let clock = Arc::new(ManualClock::default());
    let cache = Cache::builder(from_fn(|key: String, _| async move {
        Ok::<_, Failure<Broken>>(Some(key.len()))
    }))
    .clock(clock.clone())
    .jitter_percent(0)
    .refresh_ahead(20)
    .memory(1 << 20, |_, _| 0)
    .build()
    .unwrap();
    let deadline = Deadline::none();
    cache.get("a", &deadline).await.unwrap();
    clock.advance(50 * SECOND);
    cache.get("a", &deadline).await.unwrap();
    let two = ["b".to_string(), "c".to_string()];
    cache.get_many(two, &deadline).await;
    assert_eq!(cache.stats().refreshes, 0);
    cache.refresh(&deadline).await;
    assert_eq!((cache.stats().refreshes, cache.stats().loads), (1, 3));
    clock.advance(15 * SECOND);
    cache.get("a", &deadline).await.unwrap();
    assert_eq!(cache.stats().loads, 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_takes_none_along_that_is_read_by_itself() {
    let (clock, loads) = (
        Arc::new(ManualClock::default()),
        Arc::new(AtomicU32::new(0)),
    );
    let source = from_fn(move |key: &str, _| {
        let load = loads.fetch_add(1, Relaxed);
        async move {
            if key == "hangs" && load >= 2 {
                std::future::pending::<()>().await;
            }
            Ok::<_, Failure<Broken>>(Some(load))
        }
    });
    let cache = Cache::builder(source)
        .clock(clock.clone())
        .jitter_percent(0)
        .refresh_ahead(20)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let patient = Deadline::none();
    let keys = ["hangs", "answers"];
    cache.get_many(keys, &patient).await;
    clock.advance(50 * SECOND);
    cache.get_many(keys, &patient).await;
    cache.refresh(&Deadline::after(LIMIT)).await;
    assert!(cache.get(&"hangs", &patient).await.unwrap() < Some(2));
    assert!(cache.get(&"answers", &patient).await.unwrap() >= Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_or_is_never_kept_or_ends_at_once_is_not_read_ahead() {
    for policy in [
        TtlPolicy::Immutable,
        TtlPolicy::Fixed(Duration::ZERO),
        TtlPolicy::Fixed(SECOND - Duration::from_nanos(1)),
        TtlPolicy::Fixed(Duration::MAX),
    ] {
        let (cache, mut calls, clock) = cache_with(|it| it.ttl(policy).refresh_ahead(50));
        load(&cache, &mut calls, "a", 1).await;
        for _ in 0..9 {
            clock.advance(Duration::from_millis(100));
            cached(&cache, "a").await;
        }
        refresh(&cache).await;
        calls.assert_none();
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_of_its_own_is_not_read_ahead_again_and_again() {
    let (cache, mut calls, clock) = cache_with(|builder| {
        builder
            .ttl(TtlPolicy::PerItem(60 * SECOND))
            .refresh_ahead(20)
    });
    let end = clock.now().wall.as_secs() + 58;
    let ending = |value| cache_core::Found {
        value,
        expires_at: Some(end),
    };
    let reader = spawn_get(&cache, "a", Deadline::none());
    let found = [("a".to_string(), ending(1))].into();
    calls.next().await.batch(Loaded {
        found,
        ..Loaded::default()
    });
    reader.await.unwrap().unwrap();
    clock.advance(50 * SECOND);
    assert_eq!(cached(&cache, "a").await, Some(1));
    let refreshing = spawn_refresh(&cache);
    let found = [("a".to_string(), ending(2))].into();
    calls.next().await.batch(Loaded {
        found,
        ..Loaded::default()
    });
    refreshing.await.unwrap();
    clock.advance(SECOND);
    assert_eq!(cached(&cache, "a").await, Some(2));
    refresh(&cache).await;
    calls.assert_none();
}

#[test]
fn a_part_that_is_too_large_is_refused() {
    let builder = Cache::builder(from_fn(|_: u8, _| async {
        Ok::<Option<u8>, Failure<Broken>>(None)
    }));
    let error = builder.memory(1 << 20, |_, _| 0).refresh_ahead(51).build();
    assert_eq!(
        error.unwrap_err().to_string(),
        "the last 51 % of an entry's time are to be read ahead; 0 to 50 are allowed"
    );
}
