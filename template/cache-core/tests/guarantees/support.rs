//! A source of values whose every answer is the test's to give.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache_core::clock::ManualClock;
use cache_core::{Builder, Cache, Deadline, Error, Found, Loaded, Loader};
use tokio::sync::{mpsc, oneshot};

pub const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub &'static str);

pub type Answer = Result<Option<u32>, Error<Broken>>;
pub type Batch = Loaded<String, u32, Broken>;
pub type TestCache = Cache<String, u32, Source>;

/// Hands each load to the test, which answers it through [`Calls`].
pub struct Source(mpsc::UnboundedSender<Call>);

/// A load under way.
pub struct Call {
    /// Sorted: they come in any order.
    pub keys: Vec<String>,
    /// What the cache still holds of them.
    pub known: HashMap<String, u32>,
    pub until: Deadline,
    answer: oneshot::Sender<Result<Batch, Broken>>,
}

impl Loader<String, u32> for Source {
    type Error = Broken;

    fn reads_together(&self) -> bool {
        true
    }

    async fn load(&self, keys: Vec<String>, until: Deadline) -> Result<Batch, Broken> {
        self.reload(keys, &|_| None, until).await
    }

    async fn reload(
        &self,
        mut keys: Vec<String>,
        known: &(dyn Fn(&String) -> Option<u32> + Send + Sync),
        until: Deadline,
    ) -> Result<Batch, Broken> {
        keys.sort();
        let held = keys
            .iter()
            .filter_map(|key| Some((key.clone(), known(key)?)));
        let known = held.collect();
        let (answer, answered) = oneshot::channel();
        self.0
            .send(Call {
                keys,
                known,
                until,
                answer,
            })
            .unwrap();
        answered
            .await
            .expect("the test drops a call to make the loader panic")
    }
}

impl Call {
    /// Answers with one value for every key.
    pub fn all(self, value: u32) {
        let found = self
            .keys
            .iter()
            .map(|key| (key.clone(), present(value)))
            .collect();
        self.batch(Loaded {
            found,
            ..Loaded::default()
        });
    }

    pub fn batch(self, batch: Batch) {
        assert!(
            self.answer.send(Ok(batch)).is_ok(),
            "the load was cancelled"
        );
    }

    /// Answers that none of the keys exists.
    pub fn absent(self) {
        self.batch(Loaded::default());
    }

    pub fn fail(self) {
        assert!(
            self.answer.send(Err(Broken("down"))).is_ok(),
            "the load was cancelled"
        );
    }

    pub fn panic(self) {
        drop(self.answer);
    }

    /// Waits until the load is cancelled; hangs if it is not.
    pub async fn cancelled(mut self) {
        self.answer.closed().await;
    }

    pub fn is_cancelled(&self) -> bool {
        self.answer.is_closed()
    }
}

pub fn present(value: u32) -> Found<u32> {
    Found {
        value,
        expires_at: None,
    }
}

/// The loads that the cache starts, in order.
pub struct Calls(mpsc::UnboundedReceiver<Call>);

impl Calls {
    pub async fn next(&mut self) -> Call {
        // So that a test in which no load is started fails rather than hangs.
        let call = tokio::time::timeout(10 * SECOND, self.0.recv()).await;
        call.expect("no load was started").unwrap()
    }

    /// The loads that were started since the last look.
    pub fn pending(&mut self) -> Vec<Call> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }

    /// No load is waiting for an answer.
    pub fn assert_none(&mut self) {
        assert!(self.0.try_recv().is_err(), "a load was started");
    }
}

/// A cache with a TTL of 60 s and no jitter, so that tests can name the moment of expiry.
pub fn cache() -> (TestCache, Calls, Arc<ManualClock>) {
    cache_with(|builder| builder)
}

pub fn cache_with(
    change: impl FnOnce(Builder<String, u32, Source>) -> Builder<String, u32, Source>,
) -> (TestCache, Calls, Arc<ManualClock>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let clock = Arc::new(ManualClock::default());
    let builder = Cache::builder(Source(sender))
        .clock(clock.clone())
        .jitter_percent(0)
        .memory(1 << 20, |key: &String, _| key.capacity());
    (change(builder).build().unwrap(), Calls(calls), clock)
}

/// A `get` in the test's own task.
pub async fn get(cache: &TestCache, key: &str, deadline: Deadline) -> Answer {
    patiently(cache.get(key, &deadline)).await
}

/// Starts a `get` as a task of its own and waits until it runs or waits.
pub fn spawn_get(
    cache: &TestCache,
    key: &str,
    deadline: Deadline,
) -> tokio::task::JoinHandle<Answer> {
    let (cache, key) = (cache.clone(), key.to_string());
    tokio::spawn(async move { patiently(cache.get(&key, &deadline)).await })
}

pub fn spawn_get_many(
    cache: &TestCache,
    keys: &[&str],
    deadline: Deadline,
) -> tokio::task::JoinHandle<HashMap<String, Answer>> {
    let cache = cache.clone();
    let keys: Vec<String> = keys.iter().map(|key| key.to_string()).collect();
    tokio::spawn(async move { patiently(cache.get_many(keys, &deadline)).await })
}

/// Fails rather than hangs where the timer is paused and nothing else moves it.
pub async fn patiently<F: Future>(work: F) -> F::Output {
    let year = Duration::from_secs(365 * 86_400);
    tokio::time::timeout(year, work)
        .await
        .expect("it waits for ever")
}

/// Lets every other task of a single-threaded test run until it waits.
pub async fn let_others_run() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Loads `key` and answers it, or takes it from the cache.
pub async fn load(cache: &TestCache, calls: &mut Calls, key: &str, value: u32) -> Option<u32> {
    let patient = Deadline::none();
    tokio::select! {
        answer = cache.get(key, &patient) => answer.unwrap(),
        _ = async {
            loop {
                calls.next().await.all(value);
            }
        } => unreachable!(),
    }
}

/// Whether the source is asked for `key` now, by a caller who leaves at once.
pub async fn is_asked(cache: &TestCache, calls: &mut Calls, key: &str) -> bool {
    let reader = spawn_get(cache, key, Deadline::none());
    let_others_run().await;
    reader.abort();
    let_others_run().await;
    !calls.pending().is_empty()
}

/// What the cache holds for `key` without asking the source.
pub async fn cached(cache: &TestCache, key: &str) -> Option<u32> {
    let now = Deadline::after(Duration::ZERO);
    get(cache, key, now).await.ok().flatten()
}
