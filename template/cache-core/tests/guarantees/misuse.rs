//! Callers that are kept and not polled, loaders that ask their own cache, panics at the wrong
//! moment: what they break is theirs alone.

use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use cache_core::{Cache, Deadline, Error, Failure, Loaded, Loader, from_fn};
use tokio::sync::Notify;

use crate::support::*;

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Woken {
    fn poll<F: Future + ?Sized>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        future.poll(&mut Context::from_waker(&waker))
    }

    fn times(&self) -> usize {
        self.0.load(SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_kept_and_not_polled_again_takes_no_answer_from_the_others() {
    for kept in [0, 1] {
        let (cache, mut calls, _) = cache();
        let patient = Deadline::none();
        let mut waiters = [(); 2].map(|()| Box::pin(cache.get("a", &patient)));
        let woken = [(); 2].map(|()| Arc::new(Woken::default()));
        for (waiter, woken) in waiters.iter_mut().zip(&woken) {
            assert!(woken.poll(waiter.as_mut()).is_pending());
        }
        calls.next().await.all(1);
        let other = 1 - kept;
        // Nobody knows which of them will be polled.
        assert_eq!(woken.each_ref().map(|woken| woken.times()), [1, 1]);
        let answer = woken[other].poll(waiters[other].as_mut());
        assert!(matches!(answer, Poll::Ready(Ok(Some(1)))));
        assert_eq!(woken[kept].times(), 1);
        let answer = woken[kept].poll(waiters[kept].as_mut());
        assert!(matches!(answer, Poll::Ready(Ok(Some(1)))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_wakes_nobody() {
    let (cache, mut calls, _) = cache();
    let patient = Deadline::none();
    let woken = Arc::new(Woken::default());
    let mut waiters: Vec<_> = (0..100)
        .map(|_| Box::pin(cache.get("a", &patient)))
        .collect();
    for waiter in &mut waiters {
        assert!(woken.poll(waiter.as_mut()).is_pending());
    }
    let call = calls.next().await;
    waiters.truncate(1);
    assert_eq!(woken.times(), 0);
    // Who waits is told once, though it was polled more often.
    assert!(woken.poll(waiters[0].as_mut()).is_pending());
    call.all(1);
    assert_eq!(woken.times(), 1);
    assert!(woken.poll(waiters[0].as_mut()).is_ready());
}

/// A loader that asks the cache that it belongs to.
#[derive(Clone, Default)]
struct Circular(Arc<OnceLock<Cache<u32, u32, Circular>>>);

impl Loader<u32, u32> for Circular {
    type Error = Infallible;

    async fn load(
        &self,
        keys: Vec<u32>,
        _: Deadline,
    ) -> Result<Loaded<u32, u32, Infallible>, Infallible> {
        let mut loaded = Loaded::default();
        for key in keys {
            // 1 needs 1, 2 needs 3 and that 2 again; 4 needs 5, which needs nothing.
            let needs = [key, 1, 3, 2, 5, key][key as usize];
            if needs != key || key == 1 {
                let cache = self.0.get().unwrap();
                let answer = cache.get(&needs, &Deadline::none()).await;
                assert!(answer.is_ok(), "what it needs cannot be had");
            }
            loaded.found.insert(key, key.into());
        }
        Ok(loaded)
    }
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_asks_for_what_it_loads_fails_at_once_or_at_the_deadline() {
    let loader = Circular::default();
    let cache = Cache::builder(loader.clone()).memory(1 << 20, |_, _| 0);
    let cache = cache.build().unwrap();
    assert!(loader.0.set(cache.clone()).is_ok());
    let never = Deadline::none();
    let answer = patiently(cache.get(&1, &never)).await;
    assert!(matches!(answer, Err(Error::LoaderPanicked)));
    let answers = patiently(cache.get_many([1, 0], &never)).await;
    assert!(matches!(answers[&0], Err(Error::LoaderPanicked)));
    // In a circle of two nobody knows it.
    let soon = Deadline::after(SECOND);
    let answer = patiently(cache.get(&2, &soon)).await;
    assert!(matches!(answer, Err(Error::DeadlineExceeded)));
    assert_eq!(patiently(cache.get(&4, &never)).await.unwrap(), Some(4));
}

#[test]
fn a_load_whose_runtime_is_gone_fails_those_who_wait_on_another() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let slow = from_fn(|key: u32, _| async move {
        tokio::time::sleep(SECOND).await;
        Ok::<_, Failure<Infallible>>(Some(key))
    });
    let cache = Cache::builder(slow)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let never = Deadline::none();
    let mut first = Box::pin(cache.get(&1, &never));
    let gone = runtime();
    gone.block_on(async {
        tokio::select! {
            biased;
            _ = &mut first => unreachable!(),
            () = tokio::task::yield_now() => {}
        }
    });
    drop(gone);
    let other = runtime();
    let joined = other.block_on(patiently(cache.get(&1, &never)));
    assert!(matches!(joined, Err(Error::LoaderPanicked)));
    let first = other.block_on(first);
    assert!(matches!(first, Err(Error::LoaderPanicked)));
    assert_eq!(other.block_on(cache.get(&1, &never)).unwrap(), Some(1));
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_panics_when_it_is_dropped_reaches_nobody() {
    let release = Arc::new(Notify::new());
    let released = release.clone();
    let loader = from_fn(move |key: u32, _| {
        let released = released.clone();
        async move {
            let _guard = PanicsWhenDropped;
            released.notified().await;
            Ok::<_, Failure<Infallible>>(Some(key))
        }
    });
    let cache = Cache::builder(loader)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    // At the deadline, by the last waiter that leaves, and where it has come to its end.
    let two = [(); 2].map(|()| Deadline::after(SECOND));
    let (one, other) = tokio::join!(cache.get(&1, &two[0]), cache.get(&1, &two[1]));
    assert!(one.is_err() && other.is_err());
    let never = Deadline::none();
    let mut leaver = Box::pin(cache.get(&3, &never));
    assert!(
        Arc::new(Woken::default())
            .poll(leaver.as_mut())
            .is_pending()
    );
    drop(leaver);
    release.notify_one();
    assert!(matches!(
        cache.get(&4, &never).await,
        Err(Error::LoaderPanicked)
    ));
}

static ARMED: AtomicBool = AtomicBool::new(false);

/// Its hashing panics when armed, after so many more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Explosive(u32);

static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);

impl Hash for Explosive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if ARMED.load(SeqCst) {
            let left = LEFT.fetch_sub(1, SeqCst);
            assert!(left > 0, "hash");
        }
        self.0.hash(state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_panics_when_it_is_hashed_locks_nobody_out() {
    let echo = from_fn(|key: Explosive, _| async move {
        tokio::task::yield_now().await;
        Ok::<_, Failure<Infallible>>(Some(key.0))
    });
    let cache = Cache::builder(echo)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    for panics_after in 0..20 {
        let tried = tokio::spawn({
            let cache = cache.clone();
            async move {
                LEFT.store(panics_after, SeqCst);
                ARMED.store(true, SeqCst);
                let both = [Explosive(1), Explosive(2)];
                cache.get_many(both, &Deadline::none()).await
            }
        });
        drop(tried.await);
        ARMED.store(false, SeqCst);
        let never = Deadline::none();
        let answers = cache.get_many([Explosive(1), Explosive(2)], &never);
        for (key, answer) in patiently(answers).await {
            assert_eq!(answer.unwrap(), Some(key.0), "after {panics_after}");
        }
        cache.invalidate_all();
    }
}

#[tokio::test(start_paused = true)]
async fn keys_may_be_borrowed_for_ever_in_a_task_too() {
    let lengths =
        from_fn(
            |key: &'static str, _| async move { Ok::<_, Failure<Infallible>>(Some(key.len())) },
        );
    let cache = Cache::builder(lengths)
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let task = tokio::spawn(async move {
        let never = Deadline::none();
        let one = cache.get(&"four", &never).await.unwrap();
        let more = cache.get_many(["four", "seven"], &never).await;
        let default = cache.get_or_default(&"", &never).await.unwrap();
        (one, more.len(), default)
    });
    assert_eq!(task.await.unwrap(), (Some(4), 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_stands_twice_in_a_batch_is_one_lookup() {
    let (cache, mut calls, _) = cache();
    let reader = spawn_get_many(&cache, &["a", "a", "b", "a"], Deadline::none());
    calls.next().await.all(1);
    reader.await.unwrap();
    spawn_get_many(&cache, &["a", "a"], Deadline::none())
        .await
        .unwrap();
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_weigher_that_panics_for_an_absence_hides_no_error_and_keeps_no_seat() {
    let (cache, mut calls, _) = cache_with(|builder| {
        let weigh = |_: &String, value: Option<&u32>| *value.expect("no absences here") as usize;
        builder.memory(1 << 20, weigh)
    });
    for _ in 0..2 {
        let kept = spawn_get(&cache, "a", Deadline::none());
        let call = calls.next().await;
        let reader = spawn_get(&cache, "a", Deadline::none());
        let_others_run().await;
        call.fail();
        for reader in [kept, reader] {
            assert!(matches!(reader.await.unwrap(), Err(Error::Load(_))));
        }
    }
    assert!(get(&cache, "a", Deadline::after(SECOND)).await.is_err());
    calls.next().await.cancelled().await;
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
}
