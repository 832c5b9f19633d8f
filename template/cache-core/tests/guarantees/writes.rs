//! After a write of one's own: what is put wins over loads in flight, as an invalidation does.

use cache_core::Deadline;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn what_is_put_is_answered_without_a_load_for_the_time_to_live() {
    let (cache, mut calls, clock) = cache();
    cache.put("a".into(), 1);
    clock.advance(59 * SECOND);
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(1));
    calls.assert_none();
    clock.advance(SECOND);
    assert_eq!(cached(&cache, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_put_wins_over_a_load_in_flight_whose_callers_get_its_answer() {
    let (cache, mut calls, _) = cache();
    let earlier = spawn_get(&cache, "a", Deadline::none());
    let old = calls.next().await;
    cache.put("a".into(), 2);
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(2));
    old.all(1);
    assert_eq!(earlier.await.unwrap().unwrap(), Some(1));
    assert_eq!(cached(&cache, "a").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_put_ends_a_keys_back_off_and_replaces_an_absence() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    let mut batch = Batch::default();
    batch.failed.insert("a".into(), Broken("only a"));
    calls.next().await.batch(batch);
    assert!(reader.await.unwrap().is_err());
    cache.put("a".into(), 1);
    assert_eq!(cached(&cache, "a").await, Some(1));
    cache.invalidate("a");
    let reader = spawn_get(&cache, "a", Deadline::none());
    calls.next().await.absent();
    assert_eq!(reader.await.unwrap().unwrap(), None);
    cache.put("a".into(), 2);
    assert_eq!(cached(&cache, "a").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn with_a_ttl_of_zero_a_put_stores_nothing_and_still_ends_what_is_in_flight() {
    let ttl = cache_core::TtlPolicy::Fixed(std::time::Duration::ZERO);
    let (cache, mut calls, _) = cache_with(|builder| builder.ttl(ttl));
    let earlier = spawn_get(&cache, "a", Deadline::none());
    let old = calls.next().await;
    cache.put("a".into(), 2);
    assert_eq!(cache.stats().entries, 0);
    let later = spawn_get(&cache, "a", Deadline::none());
    calls.next().await.all(3);
    assert_eq!(later.await.unwrap().unwrap(), Some(3));
    old.all(1);
    assert_eq!(earlier.await.unwrap().unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn statistics_have_the_hit_ratio_the_entries_and_the_waiting() {
    let (cache, mut calls, _) = cache();
    assert_eq!(cache.stats().hit_ratio(), None);
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    tokio::time::sleep(SECOND).await;
    call.all(1);
    reader.await.unwrap().unwrap();
    for _ in 0..3 {
        get(&cache, "a", Deadline::none()).await.unwrap();
    }
    let stats = cache.stats();
    assert_eq!(stats.hit_ratio(), Some(0.75));
    assert_eq!((stats.entries, stats.waiting), (1, SECOND));
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_a_load_that_fails_gets_what_was_put_meanwhile() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    cache.put("a".into(), 7);
    call.fail();
    assert_eq!(reader.await.unwrap().unwrap(), Some(7));
    assert_eq!(cache.stats().stale_served, 0);
}
