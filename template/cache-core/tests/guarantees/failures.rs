//! Guarantees 3 and 4: errors are shared and never cached as values, with a back-off; an expired
//! value may stand in for a failed load, for a bounded time.

use std::time::Duration;

use cache_core::{Deadline, Error};

use crate::support::*;

const MS: Duration = Duration::from_millis(1);

async fn fail(cache: &TestCache, calls: &mut Calls, key: &str) -> Answer {
    let reader = spawn_get(cache, key, Deadline::none());
    calls.next().await.fail();
    reader.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_error_is_shared_by_all_who_waited() {
    let (cache, mut calls, _) = cache();
    let readers = [(); 3].map(|()| spawn_get(&cache, "a", Deadline::none()));
    let call = calls.next().await;
    let_others_run().await;
    call.fail();
    for reader in readers {
        assert!(matches!(reader.await.unwrap(), Err(Error::Load(error)) if error.0 == "down"));
    }
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_errors), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_answers_for_every_key_until_its_back_off_ends() {
    let (cache, mut calls, clock) = cache();
    for pause in [200, 400, 800, 1600, 2000, 2000] {
        assert!(fail(&cache, &mut calls, "a").await.is_err());
        clock.advance((pause - 1) * MS);
        for key in ["a", "b"] {
            let answer = get(&cache, key, Deadline::none()).await;
            assert!(matches!(answer, Err(Error::Load(error)) if error.0 == "down"));
        }
        calls.assert_none();
        clock.advance(MS);
    }
    assert_eq!(load(&cache, &mut calls, "b", 1).await, Some(1));
    assert!(fail(&cache, &mut calls, "a").await.is_err());
    clock.advance(200 * MS);
    assert_eq!(
        load(&cache, &mut calls, "a", 1).await,
        Some(1),
        "a success starts over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_key_backs_off_alone() {
    let (cache, mut calls, clock) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    let mut batch = Batch::default();
    batch.failed.insert("a".into(), Broken("only a"));
    calls.next().await.batch(batch);
    assert!(reader.await.unwrap().is_err());
    assert_eq!(load(&cache, &mut calls, "b", 1).await, Some(1));
    assert!(get(&cache, "a", Deadline::none()).await.is_err());
    calls.assert_none();
    clock.advance(200 * MS);
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn loads_that_fail_together_are_one_failure() {
    let (cache, mut calls, clock) = cache();
    let readers = ["a", "b", "c"].map(|key| spawn_get(&cache, key, Deadline::none()));
    let under_way = [calls.next().await, calls.next().await, calls.next().await];
    for (call, reader) in under_way.into_iter().zip(readers) {
        clock.advance(10 * MS);
        call.fail();
        assert!(reader.await.unwrap().is_err());
    }
    clock.advance(190 * MS);
    assert_eq!(
        load(&cache, &mut calls, "a", 1).await,
        Some(1),
        "200 ms after the first"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_that_fail_again_and_again_back_off_longer() {
    let (cache, mut calls, clock) = cache();
    for pause in [200, 400, 800] {
        let reader = spawn_get_many(&cache, &["a", "b"], Deadline::none());
        let mut batch = Batch::default();
        batch.failed.insert("a".into(), Broken("only a"));
        calls.next().await.batch(batch);
        assert!(reader.await.unwrap()["a"].is_err());
        clock.advance((pause - 1) * MS);
        assert!(get(&cache, "a", Deadline::none()).await.is_err());
        calls.assert_none();
        clock.advance(MS);
        cache.invalidate("b");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_from_before_an_invalidation_answers_nobody_who_asks_after_it() {
    let (cache, mut calls, _) = cache();
    let earlier = spawn_get(&cache, "a", Deadline::none());
    let old = calls.next().await;
    cache.invalidate_all();
    old.fail();
    assert!(earlier.await.unwrap().is_err());
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn keys_whose_part_of_a_load_was_cut_short_do_not_back_off() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get_many(&cache, &["a", "b"], Deadline::after(20 * MS));
    let call = calls.next().await;
    tokio::time::sleep(20 * MS).await;
    let mut batch = Batch::default();
    batch.found.insert("a".into(), present(1));
    batch.failed.insert("b".into(), Broken("cut short"));
    call.batch(batch);
    assert!(reader.await.unwrap()["b"].is_err());
    assert_eq!(load(&cache, &mut calls, "b", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn hits_are_served_during_a_back_off() {
    let (cache, mut calls, _) = cache();
    load(&cache, &mut calls, "a", 1).await;
    assert!(fail(&cache, &mut calls, "b").await.is_err());
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_ran_backwards_ends_a_back_off() {
    let (cache, mut calls, clock) = cache();
    assert!(fail(&cache, &mut calls, "a").await.is_err());
    clock.change(|now| now.wall -= SECOND);
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn invalidation_ends_a_keys_back_off() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    let mut batch = Batch::default();
    batch.failed.insert("a".into(), Broken("only a"));
    calls.next().await.batch(batch);
    assert!(reader.await.unwrap().is_err());
    cache.invalidate("a");
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_costs_one_time_out_per_back_off() {
    let (cache, mut calls, _) = cache();
    assert!(cache.get("a", &Deadline::after(SECOND)).await.is_err());
    calls.next().await.cancelled().await;
    for key in ["a", "b"] {
        let answer = spawn_get(&cache, key, Deadline::after(SECOND))
            .await
            .unwrap();
        assert!(matches!(answer, Err(Error::DeadlineExceeded)));
    }
    calls.assert_none();
}

#[tokio::test(start_paused = true)]
async fn a_load_that_got_no_fair_chance_causes_no_back_off() {
    let (cache, mut calls, _) = cache();
    assert!(cache.get("a", &Deadline::after(20 * MS)).await.is_err());
    calls.next().await.cancelled().await;
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_the_last_of_several_callers_waited_for_in_vain_causes_a_back_off() {
    let (cache, mut calls, clock) = cache();
    let patient = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    let late = spawn_get(&cache, "a", Deadline::after(2 * SECOND));
    let_others_run().await;
    patient.abort();
    assert!(matches!(late.await.unwrap(), Err(Error::DeadlineExceeded)));
    call.cancelled().await;
    let refused = get(&cache, "b", Deadline::none()).await;
    assert!(matches!(refused, Err(Error::DeadlineExceeded)));
    calls.assert_none();
    assert_eq!(cache.stats().load_errors, 1);
    clock.advance(200 * MS);
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_a_hurry_neither_hides_a_failure_nor_makes_one() {
    let (cache, mut calls, clock) = cache();
    let patient = spawn_get(&cache, "a", Deadline::after(5 * SECOND));
    let call = calls.next().await;
    for hurry in [Duration::ZERO, 10 * MS] {
        assert!(get(&cache, "a", Deadline::after(hurry)).await.is_err());
    }
    call.fail();
    assert!(patient.await.unwrap().is_err());
    assert!(get(&cache, "a", Deadline::none()).await.is_err());
    calls.assert_none();

    clock.advance(10 * SECOND);
    let patient = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    assert!(get(&cache, "a", Deadline::after(10 * MS)).await.is_err());
    tokio::time::sleep(SECOND).await;
    patient.abort();
    call.cancelled().await;
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_ran_backwards_does_not_end_the_back_off_for_good() {
    let (cache, mut calls, clock) = cache();
    assert!(fail(&cache, &mut calls, "a").await.is_err());
    clock.change(|now| now.wall -= 100 * SECOND);
    assert!(
        fail(&cache, &mut calls, "a").await.is_err(),
        "it loads again"
    );
    assert!(get(&cache, "a", Deadline::none()).await.is_err());
    calls.assert_none();
}

#[tokio::test(start_paused = true)]
async fn a_load_that_all_its_callers_gave_up_early_causes_no_back_off() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get(&cache, "a", Deadline::after(10 * SECOND));
    let call = calls.next().await;
    tokio::time::sleep(SECOND).await;
    reader.abort();
    call.cancelled().await;
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
    assert_eq!(cache.stats().load_errors, 0);
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_stands_in_for_a_failed_load_within_its_bound() {
    let (cache, mut calls, clock) = cache_with(|builder| builder.stale_if_error(30 * SECOND));
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(60 * SECOND);
    assert_eq!(fail(&cache, &mut calls, "a").await.unwrap(), Some(1));
    assert_eq!(
        cached(&cache, "a").await,
        Some(1),
        "and while the back-off lasts"
    );
    clock.advance(30 * SECOND - MS);
    assert_eq!(fail(&cache, &mut calls, "a").await.unwrap(), Some(1));
    clock.advance(MS);
    assert!(
        get(&cache, "a", Deadline::none()).await.is_err(),
        "counted from the load"
    );
    assert_eq!(cache.stats().stale_served, 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_recovers_is_asked_before_anything_stale_is_served() {
    let (cache, mut calls, clock) = cache_with(|builder| builder.stale_if_error(30 * SECOND));
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(61 * SECOND);
    assert_eq!(load(&cache, &mut calls, "a", 2).await, Some(2));
    assert_eq!(cache.stats().stale_served, 0);
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_never_served_stale() {
    let (cache, mut calls, clock) = cache_with(|builder| builder.stale_if_error(30 * SECOND));
    let reader = spawn_get(&cache, "a", Deadline::none());
    calls.next().await.absent();
    assert_eq!(reader.await.unwrap().unwrap(), None);
    clock.advance(5 * SECOND);
    assert!(fail(&cache, &mut calls, "a").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_never_replaces_a_value_nor_becomes_an_absence() {
    let (cache, mut calls, clock) = cache();
    assert!(fail(&cache, &mut calls, "a").await.is_err());
    clock.advance(SECOND);
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}
