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

async fn fail_both(cache: &TestCache, calls: &mut Calls, keys: [&str; 2]) {
    let reader = spawn_get_many(cache, &keys, Deadline::none());
    calls.next().await.fail();
    assert!(reader.await.unwrap().values().all(Result::is_err));
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_answers_for_every_key_until_its_back_off_ends() {
    let (cache, mut calls, clock) = cache();
    for pause in [200, 400, 800, 1600, 2000, 2000] {
        fail_both(&cache, &mut calls, ["a", "c"]).await;
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
async fn the_failure_of_a_single_keys_load_is_its_own_until_anothers_fails_too() {
    let (cache, mut calls, clock) = cache();
    // One after the other, with a success between them: a source with a slow tail.
    for key in ["a", "b"] {
        assert!(fail(&cache, &mut calls, key).await.is_err());
        assert!(get(&cache, key, Deadline::none()).await.is_err());
        calls.assert_none();
        assert_eq!(load(&cache, &mut calls, "c", 1).await, Some(1));
        cache.invalidate("c");
    }
    clock.advance(10 * SECOND);
    // The same key again says nothing more about the others; another one does.
    for (key, others_are_asked) in [("a", true), ("a", true), ("b", false)] {
        assert!(fail(&cache, &mut calls, key).await.is_err());
        assert_eq!(is_asked(&cache, &mut calls, "c").await, others_are_asked);
        clock.advance(10 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_back_off_doubles_however_long_a_failure_takes() {
    let (cache, mut calls, clock) = cache();
    for pause in [200, 400, 800, 1600, 2000, 2000] {
        let readers = ["a", "b"].map(|key| spawn_get_many(&cache, &[key, key], Deadline::none()));
        let under_way = [calls.next().await, calls.next().await];
        clock.advance(10 * SECOND);
        for (call, reader) in under_way.into_iter().zip(readers) {
            call.fail();
            reader.await.unwrap();
        }
        clock.advance((pause - 1) * MS);
        assert!(get(&cache, "c", Deadline::none()).await.is_err());
        calls.assert_none();
        clock.advance(MS);
    }
    // Four seconds after the last failure, of which two were its pause.
    clock.advance(2 * SECOND);
    fail_both(&cache, &mut calls, ["a", "b"]).await;
    clock.advance(200 * MS);
    fail_both(&cache, &mut calls, ["a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_failures_of_more_keys_than_there_is_room_for_are_forgotten_oldest_first() {
    let (cache, mut calls, clock) = cache();
    let long = |n: usize| format!("{n:01024}");
    let keys: Vec<String> = (0..100).map(long).collect();
    for key in &keys {
        let reader = spawn_get_many(&cache, &[key, "other"], Deadline::none());
        let mut batch = Batch::default();
        batch.failed.insert(key.clone(), Broken("only this"));
        calls.next().await.batch(batch);
        assert!(reader.await.unwrap()[key].is_err());
        clock.advance(MS);
    }
    // A sixteenth of what is left of 1 MiB without the tables, and 1.3 KB for each.
    for (n, is_remembered) in [(0, false), (60, false), (80, true), (99, true)] {
        assert_eq!(
            !is_asked(&cache, &mut calls, &keys[n]).await,
            is_remembered,
            "{n}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_an_invalidation_is_not_answered_with_an_outage_from_before_it() {
    let (cache, mut calls, _) = cache();
    for forget in [
        (|cache: &TestCache| cache.invalidate("a")) as fn(&TestCache),
        |cache| cache.invalidate_all(),
    ] {
        fail_both(&cache, &mut calls, ["b", "c"]).await;
        forget(&cache);
        // Of this key alone the failure is forgotten.
        assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
        cache.invalidate_all();
    }
    fail_both(&cache, &mut calls, ["b", "c"]).await;
    cache.invalidate("a");
    assert!(get(&cache, "b", Deadline::none()).await.is_err());
    calls.assert_none();
    // A failure that is news counts for it too.
    fail_both(&cache, &mut calls, ["a", "a2"]).await;
    assert!(get(&cache, "a", Deadline::none()).await.is_err());
    calls.assert_none();
    // What takes a place for each key has an end: then all are asked.
    for key in 0..1001 {
        cache.invalidate(&format!("x{key}"));
    }
    assert_eq!(load(&cache, &mut calls, "b", 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_a_put_brought_is_served_in_an_outage_and_what_it_replaced_is_forgotten() {
    let (cache, mut calls, _) = cache();
    fail_both(&cache, &mut calls, ["a", "b"]).await;
    cache.put("a".into(), 7);
    assert_eq!(get(&cache, "a", Deadline::none()).await.unwrap(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_hangs_is_asked_for_again_while_others_still_wait_for_it() {
    let (cache, mut calls, clock) = cache();
    let mut hung = Vec::new();
    let mut readers = Vec::new();
    // Each 500 ms a caller with a second of patience: there is always one who waits.
    for _ in 0..4 {
        readers.push(spawn_get(&cache, "a", Deadline::after(SECOND)));
        tokio::time::sleep(500 * MS).await;
        clock.advance(500 * MS);
        hung.extend(calls.pending());
    }
    assert!(hung.len() > 1, "{} loads in two seconds", hung.len());
    for call in hung.drain(..) {
        call.cancelled().await;
    }
    tokio::time::sleep(5 * SECOND).await;
    clock.advance(5 * SECOND);
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
    for reader in readers {
        assert!(matches!(
            reader.await.unwrap(),
            Err(Error::DeadlineExceeded)
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_from_a_hung_load_stores_and_the_hung_one_answers_its_own() {
    let (cache, mut calls, _) = cache();
    let in_vain = spawn_get(&cache, "a", Deadline::after(SECOND));
    let hung = calls.next().await;
    let patient = spawn_get(&cache, "a", Deadline::none());
    assert!(in_vain.await.unwrap().is_err());
    let next = spawn_get(&cache, "a", Deadline::none());
    let second = calls.next().await;
    let joiner = spawn_get(&cache, "a", Deadline::none());
    let_others_run().await;
    hung.all(1);
    assert_eq!(patient.await.unwrap().unwrap(), Some(1));
    assert_eq!(cached(&cache, "a").await, None, "it has lost its seat");
    second.all(2);
    assert_eq!(next.await.unwrap().unwrap(), Some(2));
    assert_eq!(joiner.await.unwrap().unwrap(), Some(2));
    assert_eq!(cached(&cache, "a").await, Some(2));
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
    clock.advance(199 * MS);
    assert!(!is_asked(&cache, &mut calls, "a").await);
    clock.advance(MS);
    assert_eq!(
        load(&cache, &mut calls, "a", 1).await,
        Some(1),
        "200 ms after the last, and not twice that"
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
async fn a_source_that_hangs_costs_two_time_outs_and_then_one_per_back_off() {
    let (cache, mut calls, clock) = cache();
    for (round, time_outs) in [(0, 2), (1, 1), (2, 1)] {
        let mut loads = 0;
        for key in ["a", "b", "c", "d"] {
            let answer = spawn_get(&cache, key, Deadline::after(SECOND));
            assert!(matches!(
                answer.await.unwrap(),
                Err(Error::DeadlineExceeded)
            ));
            loads += calls.pending().len();
        }
        assert_eq!(loads, time_outs, "in round {round}");
        clock.advance(SECOND);
    }
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
    let refused = get(&cache, "a", Deadline::none()).await;
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

#[tokio::test(start_paused = true)]
async fn a_hung_batch_is_loaded_again_as_a_batch() {
    let (cache, mut calls, _) = cache();
    let patient = spawn_get_many(&cache, &["a", "b", "c"], Deadline::none());
    let hung = calls.next().await;
    assert!(get(&cache, "a", Deadline::after(SECOND)).await.is_err());
    let next = spawn_get_many(&cache, &["a", "b", "c", "d"], Deadline::none());
    let second = calls.next().await;
    assert_eq!(second.keys, ["a", "b", "c", "d"]);
    second.all(2);
    assert!(next.await.unwrap().values().all(Result::is_ok));
    hung.all(1);
    assert!(patient.await.unwrap().values().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_hung_load_that_lost_its_seat_counts_as_a_failure_when_it_is_given_up() {
    let (cache, mut calls, _) = cache();
    let first = spawn_get(&cache, "a", Deadline::after(SECOND));
    let hung = calls.next().await;
    tokio::time::sleep(SECOND / 2).await;
    let joiner = spawn_get(&cache, "a", Deadline::after(SECOND));
    assert!(first.await.unwrap().is_err());
    let next = spawn_get(&cache, "a", Deadline::none());
    let second = calls.next().await;
    assert!(joiner.await.unwrap().is_err());
    hung.cancelled().await;
    // Who took its seat goes on; who comes after that is held back.
    next.abort();
    second.cancelled().await;
    assert!(!is_asked(&cache, &mut calls, "a").await);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_succeeds_is_a_success_also_if_its_key_was_invalidated() {
    let (cache, mut calls, _) = cache();
    assert!(fail(&cache, &mut calls, "a").await.is_err());
    let reader = spawn_get(&cache, "b", Deadline::none());
    let call = calls.next().await;
    cache.invalidate("b");
    call.all(1);
    assert!(reader.await.unwrap().is_ok());
    assert!(fail(&cache, &mut calls, "c").await.is_err());
    assert!(is_asked(&cache, &mut calls, "d").await);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_too_large_to_be_remembered_displaces_no_other() {
    let (cache, mut calls, _) = cache();
    let large = "x".repeat(100_000);
    for key in ["a", &large] {
        let reader = spawn_get_many(&cache, &[key, "other"], Deadline::none());
        let mut batch = Batch::default();
        batch.failed.insert(key.into(), Broken("only this"));
        calls.next().await.batch(batch);
        assert!(reader.await.unwrap()[key].is_err());
    }
    assert!(is_asked(&cache, &mut calls, &large).await);
    assert!(!is_asked(&cache, &mut calls, "a").await);
}
