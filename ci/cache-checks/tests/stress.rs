//! Real threads: writers that change the source and invalidate, readers of single keys and batches,
//! and readers that give up. Who asks after an invalidation never sees what was before it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use cache_core::{Cache, Deadline, Loaded, Loader};

const KEYS: usize = 8;
const ROUNDS: u64 = 3000;

/// The version of each key at the source.
#[derive(Default)]
struct Versions([AtomicU64; KEYS]);

struct Source(Arc<Versions>);

impl Loader<usize, u64> for Source {
    type Error = std::convert::Infallible;

    async fn load(
        &self,
        keys: Vec<usize>,
        _: Deadline,
    ) -> Result<Loaded<usize, u64, Self::Error>, Self::Error> {
        let read: Vec<_> = keys
            .into_iter()
            .map(|key| (key, self.0.0[key].load(SeqCst)))
            .collect();
        // The answer is on its way while the source changes.
        for _ in 0..fastrand::u8(0..4) {
            tokio::task::yield_now().await;
        }
        let found = read.into_iter().map(|(key, version)| (key, version.into()));
        Ok(Loaded {
            found: found.collect(),
            ..Loaded::default()
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_from_before_an_invalidation_is_seen_after_it_and_nobody_is_left_waiting() {
    let source = Arc::new(Versions::default());
    // What every reader may count on: versions that were invalidated up to.
    let promised = Arc::new(Versions::default());
    let cache = Cache::builder(Source(source.clone()))
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    let mut tasks = Vec::new();
    for writer in 0..2 {
        let (cache, source, promised) = (cache.clone(), source.clone(), promised.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let key = (round as usize * 3 + writer) % KEYS;
                let version = source.0[key].fetch_add(1, SeqCst) + 1;
                if round % 50 == 0 {
                    cache.invalidate_all();
                } else {
                    cache.invalidate(&key);
                }
                promised.0[key].fetch_max(version, SeqCst);
                tokio::task::yield_now().await;
            }
        }));
    }
    for reader in 0..8 {
        let (cache, promised) = (cache.clone(), promised.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..ROUNDS as usize {
                let keys: Vec<_> = (0..1 + round % 4)
                    .map(|n| (round + reader + n * 3) % KEYS)
                    .collect();
                let least: Vec<_> = keys
                    .iter()
                    .map(|key| promised.0[*key].load(SeqCst))
                    .collect();
                // Some have no patience.
                let patience = if round % 5 == 0 {
                    Duration::ZERO
                } else {
                    Duration::from_secs(60)
                };
                let forever = Deadline::none();
                let answers = cache.get_many(keys.clone(), &forever);
                let Ok(answers) = tokio::time::timeout(patience, answers).await else {
                    assert!(patience.is_zero(), "left waiting");
                    continue;
                };
                for (key, least) in keys.into_iter().zip(least) {
                    let version = answers[&key].as_ref().unwrap().unwrap();
                    assert!(
                        version >= least,
                        "{key} is of {version}, invalidated up to {least}"
                    );
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let stats = cache.stats();
    assert!(stats.coalesced > 0 && stats.hits > 0, "{stats:?}");
}
