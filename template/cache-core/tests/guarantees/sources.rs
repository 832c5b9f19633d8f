//! Loaders from closures: what an error means for other keys, and what is said of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cache_core::{Cache, Deadline, Error, Failure, from_fn, from_fn_many};

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_closure_does_not_cost_one_load_for_each_key() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let away = from_fn(move |_: u32, _| {
        counter.fetch_add(1, Relaxed);
        async { Err::<Option<u32>, _>(Failure::from("away")) }
    });
    let cache = Cache::builder(away)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    for key in 0..20 {
        let answer = cache.get(&key, &Deadline::none()).await;
        assert!(matches!(answer, Err(Error::Load(error)) if *error == "away"));
    }
    // The first one's failure might have been its key's.
    assert_eq!(calls.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_about_a_key_is_that_keys_alone() {
    let numbers = from_fn(|key: u32, _| async move {
        match key {
            13 => Err(Failure::Key("unlucky")),
            14 => Ok(None),
            _ => Ok(Some(key)),
        }
    });
    let cache = Cache::builder(numbers)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let patient = Deadline::none();
    assert!(cache.get(&13, &patient).await.is_err());
    assert_eq!(cache.get(&1, &patient).await.unwrap(), Some(1));
    let answers = cache.get_many([2, 13, 14], &patient).await;
    assert_eq!(*answers[&2].as_ref().unwrap(), Some(2));
    assert_eq!(*answers[&14].as_ref().unwrap(), None);
    assert!(answers[&13].is_err());
}

#[tokio::test(start_paused = true)]
async fn a_closure_for_many_keys_is_called_once_and_what_it_leaves_out_is_absent() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let even = from_fn_many(move |keys: Vec<u32>, _| {
        counter.fetch_add(1, Relaxed);
        let even = keys.into_iter().filter(|key| key % 2 == 0);
        let even: HashMap<_, _> = even.map(|key| (key, key)).collect();
        async { Ok::<_, &str>(even) }
    });
    let cache = Cache::builder(even)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let answers = cache.get_many(0..10, &Deadline::none()).await;
    for (key, answer) in answers {
        assert_eq!(answer.unwrap(), (key % 2 == 0).then_some(key));
    }
    assert_eq!(calls.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_text_of_an_error_has_its_cause() {
    let away = from_fn(|_: (), _| async { Err::<Option<u32>, _>(Failure::from("no route")) });
    let cache = Cache::builder(away)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let error = cache.get(&(), &Deadline::none()).await.unwrap_err();
    assert_eq!(error.to_string(), "the value could not be read: no route");
}
