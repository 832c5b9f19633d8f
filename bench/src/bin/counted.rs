//! With an allocator that counts: what hits allocate, and what a full cache does.

use std::alloc::System;
use std::convert::Infallible;
use std::sync::Arc;

use cache_core::environment::Environment;
use cache_core::kinds::Kind;
use cache_core::{Cache, Deadline, FromFn, caches, from_fn};
use cap::Cap;
use futures_util::FutureExt;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type Value = Arc<Vec<u8>>;
type Values = Cache<u64, Value, FromFn<u64, Value, Infallible>>;

caches! {
    /// One kind, with all the memory. Each value has that many bytes.
    struct Caches(bytes: usize) {
        values: Values = Kind::of(of_bytes(*bytes)).immutable();
    }
}

fn of_bytes(bytes: usize) -> FromFn<u64, Value, Infallible> {
    from_fn(move |_, _| async move { Ok(Some(Arc::new(vec![1; bytes]))) })
}

/// The cache of a function of so many megabytes.
fn cache(megabytes: &str, bytes: usize) -> Outcome<Values> {
    let environment = Environment::of([("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", megabytes)]);
    Ok(Caches::new(environment, bytes)?.values)
}

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["hits"] => println!("{}", json!({ "ours": hits()?, "moka": hits_of_moka() })),
        ["fill", megabytes, bytes] => println!("{}", fill(megabytes, bytes.parse()?)?),
        _ => return Err("hits, or fill MEGABYTES BYTES".into()),
    }
    Ok(())
}

fn get(cache: &Values, key: u64) -> bool {
    let got = cache.get(&key, &Deadline::none()).now_or_never();
    matches!(got, Some(Ok(Some(_))))
}

/// What a thousand hits allocate, in bytes, after a thousand to warm up.
fn hits() -> Outcome<usize> {
    let cache = cache("128", 100)?;
    let warm = (0..1000).all(|key| get(&cache, key % 100));
    let before = ALLOCATOR.total_allocated();
    let all = (0..1000).all(|key| get(&cache, key % 100));
    let allocated = ALLOCATOR.total_allocated() - before;
    if !(warm && all) || cache.stats().loads != 100 {
        return Err("these are no hits".into());
    }
    Ok(allocated)
}

/// The same of the store underneath.
fn hits_of_moka() -> usize {
    let cache = moka::sync::Cache::new(1000);
    (0..100).for_each(|key| cache.insert(key, Arc::new([1; 100])));
    let warm = (0..1000).filter(|key| cache.get(&(key % 100)).is_some());
    assert_eq!(warm.count(), 1000);
    let before = ALLOCATOR.total_allocated();
    let hits = (0..1000).filter(|key| cache.get(&(key % 100)).is_some());
    assert_eq!(hits.count(), 1000);
    ALLOCATOR.total_allocated() - before
}

/// Ten times what the caches of a function of so many megabytes hold.
fn fill(megabytes: &str, bytes: usize) -> Outcome<serde_json::Value> {
    // What the book promises: a quarter of what 48 MB for the runtime leave.
    let bound = (megabytes.parse::<u64>()? - 48) * 1024 * 1024 / 4;
    let (before, resident_before) = (ALLOCATOR.allocated(), resident()?);
    let cache = cache(megabytes, bytes)?;
    let keys = 10 * bound / (bytes as u64 + 300);
    let mut most = 0;
    for key in 0..keys {
        get(&cache, key);
        most = most.max(ALLOCATOR.allocated() - before);
    }
    let stats = cache.stats();
    Ok(json!({
        "bound": bound,
        "entries": stats.entries,
        "accounted": stats.bytes,
        "allocated": ALLOCATOR.allocated() - before,
        "most_allocated": most,
        "resident": resident()? - resident_before,
    }))
}

/// Bytes of this process in memory.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1024)
}
