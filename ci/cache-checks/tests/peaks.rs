//! The bound of the memory, attacked: by an allocator that counts, at the peak and at rest, in a
//! process of its own for each workload.
//!
//! `cargo test --package cache-checks --test peaks -- --nocapture` prints the table.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use cache_core::{
    Cache, Deadline, Failure, FromFn, Key, LEAST_MEMORY, Loader, Value, from_fn, from_fn_many,
};
use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MIB: u64 = 1 << 20;
/// The cache's own tables, which are there whatever is in them.
const TABLES: u64 = 240 * 1024;
const LONGEST_KEY: usize = 2048;

/// Its name, the bound, what the callers and the loader hold at the same time, what may be left at
/// rest, and the work.
type Workload = (&'static str, u64, u64, u64, fn(u64) -> Box<dyn Held>);

/// What is alive while the rest is measured.
trait Held {}
impl<T> Held for T {}

const WORKLOADS: &[Workload] = &[
    // A handful of keys: the caller's, the loader's, the one of the answer.
    ("absent keys of 2 KB", MIB, 8 * 2048, MIB, absent_keys),
    (
        "absent keys of 2 KB, least bound",
        LEAST_MEMORY,
        8 * 2048,
        LEAST_MEMORY,
        absent_keys,
    ),
    (
        "invalidate_all of 2 KB keys",
        MIB,
        8 * 2048,
        TABLES + 32 * 1024,
        invalidated,
    ),
    // What the batch itself takes is its caller's and its loader's.
    ("a batch of 200,000 keys", MIB, 256 * MIB, MIB, large_batch),
    (
        "full, 2,000 failing keys, errors of 10 KB",
        MIB,
        8 * 11 * 1024,
        MIB,
        failing_keys,
    ),
    (
        "full, failing keys in batches",
        MIB,
        8 * 101 * 11 * 1024,
        MIB,
        failing_batches,
    ),
    (
        "5,000 cancelled loads of 2 KB keys",
        MIB,
        8 * 2048,
        TABLES + 32 * 1024,
        cancelled_loads,
    ),
    (
        "full, an outage whose error has 20 MB",
        MIB,
        64 * MIB,
        MIB,
        large_outage,
    ),
    (
        "100,000 keys invalidated in flight",
        MIB,
        64 * MIB,
        MIB,
        invalidated_in_flight,
    ),
    // Each of eight tasks is interrupted anywhere, with what it just loads and what it was answered.
    (
        "2 writers, 6 readers, 16 KB shared",
        MIB,
        8 * 6 * 16 * 1024,
        MIB,
        shared_values,
    ),
    (
        "2 writers, 6 readers, 16 KB inline",
        MIB,
        8 * 6 * 16 * 1024,
        MIB,
        inline_values,
    ),
    (
        "sizes from 1 byte to 64 KB",
        MIB,
        12 * 64 * 1024,
        MIB,
        mixed_sizes,
    ),
    (
        "10,000 small entries, then large ones",
        4 * MIB,
        8 * 64 * 1024,
        4 * MIB,
        small_then_large,
    ),
];

#[test]
fn memory_is_bounded_at_every_moment_and_freed_at_once() {
    if let Ok(name) = std::env::var("WORKLOAD") {
        return measure(&name);
    }
    let mut wrong = Vec::new();
    println!("workload                                      bound  peak %  rest %");
    for (name, bound, held, rest, _) in WORKLOADS {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--nocapture", "--test-threads", "1"])
            .env("WORKLOAD", name)
            .env("RUST_BACKTRACE", "0");
        let output = child.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}: {said}");
        let measured = said.lines().find_map(|line| line.strip_prefix("measured "));
        let (peak, at_rest) = measured.unwrap().split_once(' ').unwrap();
        let [peak, at_rest] = [peak, at_rest].map(|bytes| bytes.parse::<u64>().unwrap());
        let percent = |bytes: u64| bytes as f64 * 100.0 / *bound as f64;
        let row = format!(
            "{name:42} {bound:8} {:7.0} {:7.0}",
            percent(peak),
            percent(at_rest)
        );
        println!("{row}");
        if peak > bound + held || at_rest > *rest {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn measure(name: &str) {
    let (_, bound, _, _, work) = WORKLOADS.iter().find(|(it, ..)| *it == name).unwrap();
    let before = ALLOCATOR.allocated();
    let held = work(*bound);
    let at_rest = ALLOCATOR.allocated().saturating_sub(before);
    let peak = ALLOCATOR.max_allocated() - before;
    println!("\nmeasured {peak} {at_rest}");
    drop(held);
}

fn run<F: Future>(work: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap().block_on(work)
}

fn keep<K: Key, V: Value, L: Loader<K, V>>(cache: Cache<K, V, L>) -> Box<dyn Held>
where
    L::Error: 'static,
{
    Box::new(cache)
}

fn key(number: usize, length: usize) -> String {
    format!("{number:0length$}")
}

fn weigh(key: &String, value: Option<&Arc<[u8]>>) -> usize {
    key.capacity() + value.map_or(0, |value| 16 + value.len())
}

type Blobs = Cache<String, Arc<[u8]>, FromFn<String, Arc<[u8]>, String>>;

fn nothing(bound: u64) -> Blobs {
    let nothing = from_fn(|_: String, _| async { Ok::<Option<Arc<[u8]>>, Failure<String>>(None) });
    Cache::builder(nothing)
        .memory(bound, weigh)
        .build()
        .unwrap()
}

async fn ask(cache: &Blobs, count: usize, length: usize) {
    for number in 0..count {
        let key = key(number, length);
        cache.get(&key, &Deadline::none()).await.unwrap();
    }
}

fn absent_keys(bound: u64) -> Box<dyn Held> {
    let cache = nothing(bound);
    run(ask(&cache, 20_000, LONGEST_KEY));
    keep(cache)
}

fn invalidated(bound: u64) -> Box<dyn Held> {
    let cache = nothing(bound);
    run(async {
        ask(&cache, 2000, LONGEST_KEY).await;
        assert!(cache.stats().entries > 200);
        cache.invalidate_all();
        assert_eq!((cache.stats().entries, cache.stats().bytes), (0, 0));
    });
    keep(cache)
}

fn large_batch(bound: u64) -> Box<dyn Held> {
    let cache = nothing(bound);
    run(async {
        let keys = (0..200_000).map(|number| key(number, 10));
        cache.get_many(keys, &Deadline::none()).await;
    });
    keep(cache)
}

/// Full of values, then asked for what fails.
fn failing(bound: u64) -> Blobs {
    let broken = from_fn(|key: String, _| async move {
        match key.len() {
            1024 => Err(Failure::Key(self::key(0, 10 * 1024))),
            _ => Ok(Some(vec![1; 1000].into())),
        }
    });
    let cache = Cache::builder(broken).memory(bound, weigh).build().unwrap();
    run(ask(&cache, 2000, 10));
    cache
}

fn failing_keys(bound: u64) -> Box<dyn Held> {
    let cache = failing(bound);
    run(async {
        for number in 0..2000 {
            let answer = cache.get(&key(number, 1024), &Deadline::none()).await;
            answer.unwrap_err();
        }
    });
    keep(cache)
}

fn failing_batches(bound: u64) -> Box<dyn Held> {
    let cache = failing(bound);
    run(async {
        for batch in 0..20 {
            let keys = (0..100).map(|number| key(batch * 100 + number, 1024));
            cache.get_many(keys, &Deadline::none()).await;
        }
    });
    keep(cache)
}

fn large_outage(bound: u64) -> Box<dyn Held> {
    let away = from_fn_many(|_: Vec<String>, _| async {
        Err::<HashMap<String, Arc<[u8]>>, _>("x".repeat(20 << 20))
    });
    let cache = Cache::builder(away).memory(bound, weigh).build().unwrap();
    run(async {
        for number in 0..2000 {
            cache.put(key(number, 10), Arc::<[u8]>::from(vec![1; 1000]));
        }
        let keys = (0..2).map(|number| key(number, 11));
        cache.get_many(keys, &Deadline::none()).await;
    });
    keep(cache)
}

fn invalidated_in_flight(bound: u64) -> Box<dyn Held> {
    let slow = from_fn(|_: String, _| async {
        tokio::task::yield_now().await;
        Ok::<Option<Arc<[u8]>>, Failure<String>>(None)
    });
    let cache = Cache::builder(slow).memory(bound, weigh).build().unwrap();
    run(async {
        let never = Deadline::none();
        let keys = || (0..100_000).map(|number| key(number, 10));
        let invalidate = async { keys().for_each(|key| cache.invalidate(&key)) };
        tokio::join!(cache.get_many(keys(), &never), invalidate);
    });
    keep(cache)
}

/// Each caller leaves before the answer comes.
fn cancelled_loads(bound: u64) -> Box<dyn Held> {
    let silent = from_fn(|_: String, _| std::future::pending::<Result<_, Failure<String>>>());
    let cache: Blobs = Cache::builder(silent).memory(bound, weigh).build().unwrap();
    run(async {
        for number in 0..5000 {
            let (key, never) = (key(number, LONGEST_KEY), Deadline::none());
            tokio::select! {
                biased;
                _ = cache.get(&key, &never) => unreachable!(),
                () = std::future::ready(()) => {}
            }
        }
    });
    keep(cache)
}

/// Two tasks load ever new keys, six read what is there, on as many threads as there are.
fn churn<V: Value, L: Loader<usize, V>>(cache: Cache<usize, V, L>) -> Box<dyn Held>
where
    L::Error: std::fmt::Debug,
{
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(8).enable_time().build().unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..6)
        .map(|reader| {
            let (cache, is_over) = (cache.clone(), is_over.clone());
            runtime.spawn(async move {
                let never = Deadline::none();
                while !is_over.load(SeqCst) {
                    for n in 0..20 {
                        cache.get(&((reader + n) % 10), &never).await.unwrap();
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (1..=2)
        .map(|writer| {
            let cache = cache.clone();
            runtime.spawn(async move {
                for number in 0..5_000 {
                    let key = writer * 1_000_000 + number;
                    cache.get(&key, &Deadline::none()).await.unwrap();
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for writer in writers {
            writer.await.unwrap();
        }
        is_over.store(true, SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
    });
    drop(runtime);
    // Each thread leaves behind what it evicted last; the next loads free that.
    run(async {
        for number in 0..10 {
            let _ = cache.get(&(9_000_000 + number), &Deadline::none()).await;
        }
    });
    keep(cache)
}

fn shared_values(bound: u64) -> Box<dyn Held> {
    let values = from_fn(|_: usize, _| async {
        Ok::<Option<Arc<[u8]>>, Failure<String>>(Some(vec![1; 16 * 1024].into()))
    });
    let weigh = |_: &usize, value: Option<&Arc<[u8]>>| value.map_or(0, |value| 16 + value.len());
    churn(Cache::builder(values).memory(bound, weigh).build().unwrap())
}

fn inline_values(bound: u64) -> Box<dyn Held> {
    let values = from_fn(|_: usize, _| async { Ok::<_, Failure<String>>(Some([1_u8; 16 * 1024])) });
    churn(
        Cache::builder(values)
            .memory(bound, |_, _| 0)
            .build()
            .unwrap(),
    )
}

fn mixed_sizes(bound: u64) -> Box<dyn Held> {
    let values = from_fn(|key: usize, _| async move {
        let size = 1 << (key % 17);
        Ok::<Option<Arc<[u8]>>, Failure<String>>(Some(vec![1; size].into()))
    });
    let weigh = |_: &usize, value: Option<&Arc<[u8]>>| value.map_or(0, |value| 16 + value.len());
    churn(Cache::builder(values).memory(bound, weigh).build().unwrap())
}

fn small_then_large(bound: u64) -> Box<dyn Held> {
    let values = from_fn(|key: String, _| async move {
        let size = if key.len() > 6 { 64 * 1024 } else { 0 };
        Ok::<Option<Arc<[u8]>>, Failure<String>>(Some(vec![1; size].into()))
    });
    let cache = Cache::builder(values).memory(bound, weigh).build().unwrap();
    run(async {
        ask(&cache, 10_000, 6).await;
        ask(&cache, 500, 7).await;
    });
    keep(cache)
}
