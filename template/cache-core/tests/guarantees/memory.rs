//! Guarantee 6: memory is bounded at every moment. 12: nothing leaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use cache_core::{Cache, ConfigError, Deadline, Found, LEAST_MEMORY, Loaded, Loader};

use crate::support::*;

const BOUND: u64 = 1 << 20;
/// Without the cache's own tables.
const ROOM: u64 = BOUND - 240 * 1024;

/// Answers each key with as many bytes.
struct Blobs;

impl Loader<(usize, u64), Arc<[u8]>> for Blobs {
    type Error = Broken;

    async fn load(
        &self,
        keys: Vec<(usize, u64)>,
        _: Deadline,
    ) -> Result<Loaded<(usize, u64), Arc<[u8]>, Broken>, Broken> {
        let blob = |key: (usize, u64)| {
            (
                key,
                Found {
                    value: vec![0; key.0].into(),
                    expires_at: None,
                },
            )
        };
        Ok(Loaded {
            found: keys.into_iter().map(blob).collect(),
            ..Loaded::default()
        })
    }
}

fn blobs() -> Cache<(usize, u64), Arc<[u8]>, Blobs> {
    Cache::builder(Blobs)
        .memory(BOUND, |_, blob: Option<&Arc<[u8]>>| {
            blob.map_or(0, |blob| blob.len())
        })
        .build()
        .unwrap()
}

/// A value that counts the bytes of all its kind that are alive, wherever they are held.
#[derive(Clone)]
struct Counted(#[expect(dead_code)] Arc<Alive>);

struct Alive(Arc<AtomicU64>);

const SIZE: u64 = 4096;

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(SIZE, SeqCst);
    }
}

struct Counting(Arc<AtomicU64>);

impl Loader<u64, Counted> for Counting {
    type Error = Broken;

    async fn load(
        &self,
        keys: Vec<u64>,
        _: Deadline,
    ) -> Result<Loaded<u64, Counted, Broken>, Broken> {
        let counted = |key| {
            self.0.fetch_add(SIZE, SeqCst);
            (
                key,
                Found {
                    value: Counted(Arc::new(Alive(self.0.clone()))),
                    expires_at: None,
                },
            )
        };
        Ok(Loaded {
            found: keys.into_iter().map(counted).collect(),
            ..Loaded::default()
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_stays_within_the_bound_at_every_moment_under_concurrent_inserts() {
    let alive = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicU64::new(0));
    let cache = Cache::builder(Counting(alive.clone())).memory(BOUND, |_, _| SIZE as usize);
    let cache = cache.build().unwrap();
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let (cache, alive, most) = (cache.clone(), alive.clone(), most.clone());
            tokio::spawn(async move {
                for n in 0..200 {
                    cache
                        .get(&(writer * 1000 + n), &Deadline::none())
                        .await
                        .unwrap();
                    most.fetch_max(alive.load(SeqCst), SeqCst);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    // What the four threads are just handing from the loader to the cache and to the caller.
    let most = most.load(SeqCst);
    assert!(most <= ROOM + 4 * SIZE, "{most} bytes of {ROOM}");
    let stats = cache.stats();
    assert!(
        stats.bytes > ROOM / 2,
        "the room is used: {} bytes",
        stats.bytes
    );
    assert!(stats.evictions > 12_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_returned_and_not_stored() {
    let cache = blobs();
    let large = (ROOM as usize / 8, 1);
    for _ in 0..2 {
        assert_eq!(
            cache
                .get(&large, &Deadline::none())
                .await
                .unwrap()
                .unwrap()
                .len(),
            large.0
        );
    }
    assert_eq!((cache.stats().loads, cache.stats().bytes), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_its_weigher_calls_endless_is_not_stored() {
    let (cache, mut calls, _) = cache_with(|builder| builder.memory(BOUND, |_, _| usize::MAX));
    assert_eq!(load(&cache, &mut calls, "a", 1).await, Some(1));
    assert_eq!(cache.stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn an_absence_weighs_its_key() {
    let (cache, mut calls, _) = cache();
    let key = "x".repeat(10_000);
    let reader = spawn_get(&cache, &key, Deadline::none());
    calls.next().await.absent();
    assert_eq!(reader.await.unwrap().unwrap(), None);
    assert!(cache.stats().bytes > 10_000);
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_entry_makes_room_and_the_one_just_loaded_stays() {
    let cache = blobs();
    let size = ROOM as usize / 16;
    for n in 0..40 {
        for key in [(size, 0), (size, n), (size, n)] {
            cache.get(&key, &Deadline::none()).await.unwrap();
        }
    }
    assert_eq!(
        cache.stats().loads,
        40,
        "each once: neither the hot entry nor a new one was lost"
    );
}

#[tokio::test(start_paused = true)]
async fn many_small_entries_make_room_for_a_large_one() {
    let cache = blobs();
    for n in 0..4000 {
        cache.get(&(10, n), &Deadline::none()).await.unwrap();
    }
    cache.get(&(100_000, 0), &Deadline::none()).await.unwrap();
    assert!(
        cache.stats().bytes <= ROOM - ROOM / 8,
        "the reserve is free again"
    );
}

#[test]
fn a_cache_that_cannot_be_bounded_is_not_built() {
    let builder = || Cache::<(usize, u64), Arc<[u8]>, _>::builder(Blobs);
    let memory = |bytes| {
        builder().memory(bytes, |_, blob: Option<&Arc<[u8]>>| {
            blob.map_or(0, |blob| blob.len())
        })
    };
    assert_eq!(builder().build().unwrap_err(), ConfigError::NoMemoryBound);
    assert_eq!(
        memory(278_527).build().unwrap_err(),
        ConfigError::MemoryTooSmall(278_527)
    );
    assert!(memory(LEAST_MEMORY).build().is_ok());
    assert!(memory(BOUND).jitter_percent(50).build().is_ok());
    let error = memory(BOUND).jitter_percent(51).build().unwrap_err();
    assert_eq!(error.to_string(), "the jitter is 51 %; 0 to 50 are allowed");
}

#[tokio::test(start_paused = true)]
async fn debug_output_says_nothing_of_what_is_cached() {
    let (cache, mut calls, _) = cache();
    load(&cache, &mut calls, "secret-key", 4711).await;
    assert_eq!(format!("{cache:?}"), "Cache { .. }");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_ends_what_was_there_before_it() {
    let (cache, mut calls, clock) = cache_with(|builder| {
        let weigh = |_: &String, value: Option<&u32>| value.map_or(0, |value| *value as usize);
        builder.stale_if_error(60 * SECOND).memory(BOUND, weigh)
    });
    load(&cache, &mut calls, "a", 1).await;
    clock.advance(60 * SECOND);
    load(&cache, &mut calls, "a", 1 << 20).await;
    let reader = spawn_get(&cache, "a", Deadline::none());
    calls.next().await.fail();
    assert!(
        reader.await.unwrap().is_err(),
        "it is older than what was read since"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_invalidated_or_replaced_is_not_evicted() {
    let (cache, mut calls, _) = cache();
    for value in 0..3 {
        load(&cache, &mut calls, "a", value).await;
        cache.put("a".into(), value);
        cache.invalidate("a");
    }
    load(&cache, &mut calls, "a", 1).await;
    cache.invalidate_all();
    assert_eq!(cache.stats().evictions, 0);
}
