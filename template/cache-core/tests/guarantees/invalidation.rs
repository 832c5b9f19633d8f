//! Guarantee 7: invalidation wins over a load in flight.

use cache_core::Deadline;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_is_loaded_again() {
    let (cache, mut calls, _) = cache();
    load(&cache, &mut calls, "a", 1).await;
    load(&cache, &mut calls, "b", 1).await;
    cache.invalidate("a");
    assert_eq!(cached(&cache, "a").await, None);
    assert_eq!(cached(&cache, "b").await, Some(1));
    cache.invalidate_all();
    assert_eq!(cached(&cache, "b").await, None);
    assert_eq!(cache.stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_was_invalidated_answers_its_callers_and_stores_nothing() {
    for all in [false, true] {
        let (cache, mut calls, _) = cache();
        let earlier = spawn_get_many(&cache, &["a", "b"], Deadline::none());
        let old = calls.next().await;
        if all {
            cache.invalidate_all()
        } else {
            cache.invalidate("a")
        }
        old.all(1);
        assert_eq!(*earlier.await.unwrap()["a"].as_ref().unwrap(), Some(1));
        assert_eq!(cached(&cache, "a").await, None);
        assert_eq!(cached(&cache, "b").await, if all { None } else { Some(1) });
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_an_invalidation_does_not_join_the_load_from_before() {
    for old_lands_first in [true, false] {
        let (cache, mut calls, _) = cache();
        let earlier = spawn_get(&cache, "a", Deadline::none());
        let old = calls.next().await;
        cache.invalidate("a");
        let later = spawn_get(&cache, "a", Deadline::none());
        let new = calls.next().await;
        if old_lands_first {
            old.all(1);
            let_others_run().await;
            new.all(2);
        } else {
            new.all(2);
            let_others_run().await;
            old.all(1);
        }
        assert_eq!(earlier.await.unwrap().unwrap(), Some(1));
        assert_eq!(later.await.unwrap().unwrap(), Some(2));
        assert_eq!(
            cached(&cache, "a").await,
            Some(2),
            "the old load never overwrites the new"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_old_load_leaves_the_new_one_its_seat() {
    let (cache, mut calls, _) = cache();
    let earlier = spawn_get(&cache, "a", Deadline::none());
    let old = calls.next().await;
    cache.invalidate("a");
    let later = spawn_get(&cache, "a", Deadline::none());
    let new = calls.next().await;
    earlier.abort();
    old.cancelled().await;
    let joiner = spawn_get(&cache, "a", Deadline::none());
    let_others_run().await;
    calls.assert_none();
    new.all(2);
    assert_eq!(later.await.unwrap().unwrap(), Some(2));
    assert_eq!(joiner.await.unwrap().unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_right_after_an_invalidation_of_everything_stays() {
    let (cache, mut calls, _) = cache();
    for round in 0..2000 {
        load(&cache, &mut calls, "a", round).await;
        cache.invalidate_all();
        assert_eq!(cached(&cache, "a").await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_value_is_not_served_stale() {
    let (cache, mut calls, _) = cache_with(|builder| builder.stale_if_error(3600 * SECOND));
    load(&cache, &mut calls, "a", 1).await;
    cache.invalidate("a");
    let reader = spawn_get(&cache, "a", Deadline::none());
    calls.next().await.fail();
    assert!(reader.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_invalidated_during_its_load_does_not_back_off() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get_many(&cache, &["a", "b"], Deadline::none());
    let call = calls.next().await;
    cache.invalidate("a");
    let mut batch = Batch::default();
    for key in ["a", "b"] {
        batch.failed.insert(key.into(), Broken("both"));
    }
    call.batch(batch);
    assert!(reader.await.unwrap().values().all(Result::is_err));
    assert!(is_asked(&cache, &mut calls, "a").await);
    assert!(!is_asked(&cache, &mut calls, "b").await);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_was_under_way_does_not_answer_for_what_was_invalidated() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get_many(&cache, &["a", "b", "c"], Deadline::none());
    let call = calls.next().await;
    cache.invalidate("a");
    call.fail();
    assert!(reader.await.unwrap().values().all(Result::is_err));
    assert!(is_asked(&cache, &mut calls, "a").await);
    assert!(!is_asked(&cache, &mut calls, "b").await);
}
