//! Guarantee 8: loads respect each caller's deadline.

use std::time::Duration;

use cache_core::{Deadline, Error};
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_fails_the_caller_at_its_deadline() {
    let (cache, mut calls, _) = cache();
    let start = Instant::now();
    let answer = spawn_get(&cache, "a", Deadline::after(SECOND))
        .await
        .unwrap();
    assert!(matches!(answer, Err(Error::DeadlineExceeded)));
    assert_eq!(start.elapsed(), SECOND);
    calls.next().await.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn each_waiter_leaves_at_its_own_deadline_and_the_last_one_ends_the_load() {
    let (cache, mut calls, _) = cache();
    let start = Instant::now();
    let readers =
        [2, 1, 3].map(|seconds| spawn_get(&cache, "a", Deadline::after(seconds * SECOND)));
    let call = calls.next().await;
    for (reader, seconds) in readers.into_iter().zip([2, 1, 3]) {
        assert!(matches!(
            reader.await.unwrap(),
            Err(Error::DeadlineExceeded)
        ));
        assert!(start.elapsed() >= seconds * SECOND);
        assert_eq!(call.is_cancelled(), start.elapsed() == 3 * SECOND);
    }
    assert_eq!(start.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_joiner_with_a_later_deadline_is_not_failed_by_the_earlier_one() {
    let (cache, mut calls, _) = cache();
    let starter = spawn_get(&cache, "a", Deadline::after(SECOND));
    let call = calls.next().await;
    let joiner = spawn_get(&cache, "a", Deadline::after(5 * SECOND));
    assert!(matches!(
        starter.await.unwrap(),
        Err(Error::DeadlineExceeded)
    ));
    assert!(!call.is_cancelled());
    assert_eq!(
        call.until.remaining(),
        Some(4 * SECOND),
        "the loader knows that it has more time"
    );
    call.all(1);
    assert_eq!(joiner.await.unwrap().unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_joiner_with_an_earlier_deadline_does_not_cut_the_load_short() {
    let (cache, mut calls, _) = cache();
    let starter = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    let joiner = spawn_get(&cache, "a", Deadline::after(SECOND));
    assert!(matches!(
        joiner.await.unwrap(),
        Err(Error::DeadlineExceeded)
    ));
    assert_eq!(call.until.remaining(), None);
    call.all(1);
    assert_eq!(starter.await.unwrap().unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_on_two_loads_only_the_late_part_fails() {
    let (cache, mut calls, _) = cache();
    let other = spawn_get(&cache, "slow", Deadline::none());
    let slow = calls.next().await;
    let batch = spawn_get_many(&cache, &["slow", "quick"], Deadline::after(SECOND));
    calls.next().await.all(1);
    let answers = batch.await.unwrap();
    assert_eq!(*answers["quick"].as_ref().unwrap(), Some(1));
    assert!(matches!(answers["slow"], Err(Error::DeadlineExceeded)));
    slow.all(2);
    assert_eq!(other.await.unwrap().unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_very_moment_of_the_deadline_counts() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get(&cache, "a", Deadline::after(SECOND));
    let call = calls.next().await;
    tokio::time::sleep(SECOND).await;
    call.all(1);
    assert_eq!(reader.await.unwrap().unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn no_deadline_means_none() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    call.all(1);
    assert_eq!(reader.await.unwrap().unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn with_no_time_left_a_hit_is_served_and_nothing_is_loaded() {
    let (cache, mut calls, _) = cache();
    load(&cache, &mut calls, "a", 1).await;
    let late = Deadline::after(Duration::ZERO);
    assert_eq!(get(&cache, "a", late.clone()).await.unwrap(), Some(1));
    let answers = cache.get_many(["a".into(), "b".into()], &late).await;
    assert_eq!(*answers["a"].as_ref().unwrap(), Some(1));
    assert!(matches!(answers["b"], Err(Error::DeadlineExceeded)));
    calls.assert_none();
}
