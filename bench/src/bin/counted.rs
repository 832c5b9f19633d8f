//! With an allocator that counts: what hits allocate, and what a full cache does.

use std::alloc::System;
use std::sync::Arc;

use cache_core::{Cache, Deadline, Found, Loaded, Loader, TtlPolicy};
use cap::Cap;
use futures_util::FutureExt;
use handler::config::Config;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Values of so many bytes.
struct Values(usize);

impl Loader<u64, Arc<[u8]>> for Values {
    type Error = std::convert::Infallible;

    async fn load(
        &self,
        keys: Vec<u64>,
        _: Deadline,
    ) -> Result<Loaded<u64, Arc<[u8]>, Self::Error>, Self::Error> {
        let found = keys.into_iter().map(|key| {
            let value = vec![1; self.0].into();
            (
                key,
                Found {
                    value,
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

fn cache(
    bound: u64,
    bytes: usize,
) -> Result<Cache<u64, Arc<[u8]>, Values>, cache_core::ConfigError> {
    let heap = |_: &u64, value: Option<&Arc<[u8]>>| value.map_or(0, |value| 16 + value.len());
    let cache = Cache::builder(Values(bytes)).memory(bound, heap);
    cache.ttl(TtlPolicy::Immutable).build()
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

fn get(cache: &Cache<u64, Arc<[u8]>, Values>, key: u64) -> bool {
    let got = cache.get(&key, Deadline::none()).now_or_never();
    matches!(got, Some(Ok(Some(_))))
}

/// What a thousand hits allocate, in bytes, after a thousand to warm up.
fn hits() -> Outcome<usize> {
    let cache = cache(16 << 20, 100)?;
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
    let config = Config::read(|name| match name {
        "TABLE_NAME" | "AWS_LAMBDA_FUNCTION_NAME" => Some("quotes".into()),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" => Some(megabytes.into()),
        _ => None,
    })?;
    let bound = config.cache_bytes;
    let (before, resident_before) = (ALLOCATOR.allocated(), resident()?);
    let cache = cache(bound, bytes)?;
    let keys = 10 * bound / (bytes as u64 + 300);
    let mut most = 0;
    for key in 0..keys {
        get(&cache, key);
        most = most.max(ALLOCATOR.allocated() - before);
    }
    let stats = cache.stats();
    Ok(json!({
        "bound": bound,
        "entries": stats.loads - stats.evictions,
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
