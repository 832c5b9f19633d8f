//! Guarantee 2: one load per key and generation, shared by all who ask. 11: batches.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use cache_core::{Cache, Deadline, Error, Found, Loaded, Loader};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn all_who_ask_for_a_key_share_one_load() {
    let (cache, mut calls, _) = cache();
    let readers: Vec<_> = (0..10)
        .map(|_| spawn_get(&cache, "a", Deadline::none()))
        .collect();
    let call = calls.next().await;
    let_others_run().await;
    call.all(1);
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap(), Some(1));
    }
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.misses, stats.coalesced), (1, 10, 9));
}

#[tokio::test(start_paused = true)]
async fn overlapping_batches_and_single_gets_load_each_key_once() {
    let (cache, mut calls, _) = cache();
    let single = spawn_get(&cache, "b", Deadline::none());
    let first = calls.next().await;
    let batch = spawn_get_many(&cache, &["a", "b", "c"], Deadline::none());
    let second = calls.next().await;
    let overlapping = spawn_get_many(&cache, &["c", "b", "d"], Deadline::none());
    let third = calls.next().await;
    assert_eq!(first.keys, ["b"]);
    assert_eq!(second.keys, ["a", "c"]);
    assert_eq!(third.keys, ["d"]);
    // In reverse: nobody waits for a load in the order in which it was asked for.
    third.all(3);
    second.all(2);
    first.all(1);
    assert_eq!(single.await.unwrap().unwrap(), Some(1));
    let batch = batch.await.unwrap();
    assert_eq!(
        ["a", "b", "c"].map(|key| *batch[key].as_ref().unwrap()),
        [Some(2), Some(1), Some(2)]
    );
    let batch = overlapping.await.unwrap();
    assert_eq!(
        ["b", "c", "d"].map(|key| *batch[key].as_ref().unwrap()),
        [Some(1), Some(2), Some(3)]
    );
}

#[tokio::test(start_paused = true)]
async fn two_batches_that_wait_for_each_others_keys_do_not_deadlock() {
    let (cache, mut calls, _) = cache();
    let a = spawn_get(&cache, "a", Deadline::none());
    let b = spawn_get(&cache, "b", Deadline::none());
    let (first, second) = (calls.next().await, calls.next().await);
    let ab = spawn_get_many(&cache, &["a", "b"], Deadline::none());
    let ba = spawn_get_many(&cache, &["b", "a"], Deadline::none());
    let_others_run().await;
    // The single readers leave: the batches alone drive both loads now.
    a.abort();
    b.abort();
    let_others_run().await;
    second.all(2);
    first.all(1);
    assert_eq!(*ab.await.unwrap()["b"].as_ref().unwrap(), Some(2));
    assert_eq!(*ba.await.unwrap()["a"].as_ref().unwrap(), Some(1));
    assert_eq!(cache.stats().loads, 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_take_the_load_with_it() {
    let (cache, mut calls, _) = cache();
    let starter = spawn_get(&cache, "a", Deadline::none());
    let call = calls.next().await;
    let joiner = spawn_get(&cache, "a", Deadline::none());
    let_others_run().await;
    starter.abort();
    let_others_run().await;
    assert!(!call.is_cancelled());
    call.all(1);
    assert_eq!(joiner.await.unwrap().unwrap(), Some(1));
    assert_eq!(cached(&cache, "a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_nobody_waits_for_is_cancelled_and_the_next_caller_loads_anew() {
    let (cache, mut calls, _) = cache();
    let readers = [(); 2].map(|()| spawn_get(&cache, "a", Deadline::none()));
    let call = calls.next().await;
    let_others_run().await;
    readers.iter().for_each(|reader| reader.abort());
    call.cancelled().await;
    assert_eq!(load(&cache, &mut calls, "a", 2).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_panics_fails_every_waiter_once_and_the_next_call_works() {
    let (cache, mut calls, _) = cache();
    let readers = [(); 3].map(|()| spawn_get(&cache, "a", Deadline::none()));
    let call = calls.next().await;
    let_others_run().await;
    call.panic();
    for reader in readers {
        assert!(matches!(reader.await.unwrap(), Err(Error::LoaderPanicked)));
    }
    assert_eq!(load(&cache, &mut calls, "a", 2).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_weigher_that_panics_is_a_loader_that_panics() {
    let (cache, mut calls, _) = cache_with(|builder| {
        builder.memory(1 << 20, |_, value: Option<&u32>| {
            if value == Some(&1) {
                panic!("weigher")
            } else {
                0
            }
        })
    });
    let readers = [(); 2].map(|()| spawn_get(&cache, "a", Deadline::none()));
    let call = calls.next().await;
    let_others_run().await;
    call.all(1);
    for reader in readers {
        assert!(matches!(reader.await.unwrap(), Err(Error::LoaderPanicked)));
    }
    assert_eq!(load(&cache, &mut calls, "a", 2).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_removes_duplicates() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get_many(&cache, &["c", "a", "c", "b", "a"], Deadline::none());
    let call = calls.next().await;
    assert_eq!(call.keys, ["a", "b", "c"]);
    call.all(1);
    assert_eq!(reader.await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_asks_only_for_what_is_not_cached() {
    let (cache, mut calls, _) = cache();
    load(&cache, &mut calls, "a", 1).await;
    let reader = spawn_get_many(&cache, &["a", "b"], Deadline::none());
    let call = calls.next().await;
    assert_eq!(call.keys, ["b"]);
    call.all(2);
    assert_eq!(*reader.await.unwrap()["a"].as_ref().unwrap(), Some(1));
    assert!(cache.get_many([], &Deadline::none()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_failed_key_of_a_batch_fails_alone() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get_many(&cache, &["a", "b", "c"], Deadline::none());
    let mut batch = Batch::default();
    batch.found.insert("a".into(), present(1));
    batch.failed.insert("b".into(), Broken("only b"));
    batch.found.insert("unasked".into(), present(9));
    calls.next().await.batch(batch);
    let answers = reader.await.unwrap();
    assert_eq!(*answers["a"].as_ref().unwrap(), Some(1));
    assert!(matches!(&answers["b"], Err(Error::Load(error)) if error.0 == "only b"));
    assert_eq!(
        *answers["c"].as_ref().unwrap(),
        None,
        "in neither map is absent"
    );
    assert_eq!(answers.len(), 3);
    assert_eq!(cached(&cache, "unasked").await, None);
    assert_eq!(cache.stats().load_errors, 1);
}

/// Yields between its steps, so that tasks on several threads get between them.
struct Yielding {
    under_way: AtomicUsize,
    loads: Arc<AtomicUsize>,
}

impl Loader<u32, u32> for Yielding {
    type Error = Broken;

    async fn load(&self, keys: Vec<u32>, _: Deadline) -> Result<Loaded<u32, u32, Broken>, Broken> {
        self.loads.fetch_add(keys.len(), SeqCst);
        self.under_way.fetch_add(1, SeqCst);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.under_way.fetch_sub(1, SeqCst);
        let found = keys.into_iter().map(|key| {
            (
                key,
                Found {
                    value: key * 2,
                    expires_at: None,
                },
            )
        });
        Ok(Loaded {
            found: found.collect(),
            ..Loaded::default()
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_each_key_is_loaded_exactly_once() {
    for _ in 0..50 {
        let loads = Arc::new(AtomicUsize::new(0));
        let loader = Yielding {
            under_way: AtomicUsize::new(0),
            loads: loads.clone(),
        };
        let cache = Cache::builder(loader)
            .memory(1 << 20, |_, _| 0)
            .build()
            .unwrap();
        let readers: Vec<_> = (0..32u32)
            .map(|reader| {
                let cache = cache.clone();
                tokio::spawn(async move {
                    let keys: Vec<u32> = (0..10).map(|n| (n * 7 + reader) % 20).collect();
                    let answers = cache.get_many(keys.clone(), &Deadline::none()).await;
                    for key in keys {
                        assert_eq!(*answers[&key].as_ref().unwrap(), Some(key * 2));
                        assert_eq!(
                            cache.get(&key, &Deadline::none()).await.unwrap(),
                            Some(key * 2)
                        );
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(loads.load(SeqCst), 20);
    }
}

/// Pending until told that it is ready, and runs something in the middle of each poll.
struct Interrupted {
    ready: AtomicBool,
    waker: Mutex<Option<Waker>>,
    in_the_middle: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

struct InterruptedLoader(Arc<Interrupted>);

impl Loader<u32, u32> for InterruptedLoader {
    type Error = Broken;

    async fn load(&self, keys: Vec<u32>, _: Deadline) -> Result<Loaded<u32, u32, Broken>, Broken> {
        std::future::poll_fn(|context| {
            *self.0.waker.lock().unwrap() = Some(context.waker().clone());
            let ready = self.0.ready.load(SeqCst);
            if let Some(interrupt) = self.0.in_the_middle.lock().unwrap().take() {
                interrupt();
            }
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let found = keys.into_iter().map(|key| {
            (
                key,
                Found {
                    value: key,
                    expires_at: None,
                },
            )
        });
        Ok(Loaded {
            found: found.collect(),
            ..Loaded::default()
        })
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Between two threads: one waiter polls the load when it becomes ready, too late for this poll;
/// the other is woken, finds it being polled and waits on; then the first one leaves.
#[test]
fn a_waiter_that_leaves_after_it_swallowed_a_wake_up_passes_it_on() {
    let load = Arc::new(Interrupted {
        ready: AtomicBool::new(false),
        waker: Mutex::new(None),
        in_the_middle: Mutex::new(None),
    });
    let loader = InterruptedLoader(load.clone());
    let cache = Cache::builder(loader)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let get = |cache: Cache<u32, u32, InterruptedLoader>| {
        Box::pin(async move { cache.get(&1, &Deadline::none()).await.unwrap() })
    };
    let (mut leaver, mut stayer) = (get(cache.clone()), get(cache.clone()));
    let woken = Arc::new(Woken::default());
    let stayers_waker = Waker::from(woken.clone());
    assert!(
        leaver
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    assert!(
        stayer
            .as_mut()
            .poll(&mut Context::from_waker(&stayers_waker))
            .is_pending()
    );

    load.waker.lock().unwrap().take().unwrap().wake();
    woken.0.store(false, SeqCst);
    let poll = stayer.as_mut();
    assert!(
        poll.poll(&mut Context::from_waker(&stayers_waker))
            .is_pending()
    );
    load.waker.lock().unwrap().take().unwrap().wake();
    let stayer = Arc::new(Mutex::new(stayer));
    let (interrupted, interrupting, flag) = (load.clone(), stayer.clone(), woken.clone());
    *load.in_the_middle.lock().unwrap() = Some(Box::new(move || {
        interrupted.ready.store(true, SeqCst);
        interrupted.waker.lock().unwrap().take().unwrap().wake();
        assert!(flag.0.swap(false, SeqCst), "both waiters are woken");
        let waker = Waker::from(flag.clone());
        let mut stayer = interrupting.lock().unwrap();
        assert!(
            stayer
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }));
    assert!(
        leaver
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(leaver);

    assert!(woken.0.load(SeqCst), "the one that stays is woken again");
    let answer = stayer
        .lock()
        .unwrap()
        .as_mut()
        .poll(&mut Context::from_waker(&stayers_waker));
    assert_eq!(answer, Poll::Ready(Some(1)));
}
