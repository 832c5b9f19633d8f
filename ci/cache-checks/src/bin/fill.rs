//! Fills a cache of so many MB with ten times what it holds, by 64 tasks at once, and prints the most
//! memory that the process ever had.

use std::sync::Arc;

use cache_core::{Cache, Deadline, Found, Loaded, Loader};

const TASKS: u64 = 64;

struct Values;

impl Loader<u64, Arc<[u8]>> for Values {
    type Error = std::convert::Infallible;

    async fn load(
        &self,
        keys: Vec<u64>,
        _: Deadline,
    ) -> Result<Loaded<u64, Arc<[u8]>, Self::Error>, Self::Error> {
        // As a read does: others get their turn in the middle.
        tokio::task::yield_now().await;
        let value = |key| {
            (
                key,
                Found {
                    value: vec![1; size(key)].into(),
                    expires_at: None,
                },
            )
        };
        Ok(Loaded {
            found: keys.into_iter().map(value).collect(),
            ..Loaded::default()
        })
    }
}

/// From 10 bytes to 300 KB, many small and few large.
fn size(key: u64) -> usize {
    [10, 100, 1000, 1000, 10_000, 10_000, 100_000, 300_000][(key % 8) as usize]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes: u64 = std::env::args().nth(1).ok_or("how many MB?")?.parse()?;
    let bound = megabytes * 1024 * 1024;
    let heap = |_: &u64, value: Option<&Arc<[u8]>>| value.map_or(0, |value| 16 + value.len());
    let cache = Cache::builder(Values).memory(bound, heap).build()?;
    let each: u64 = (0..8).map(|key| size(key) as u64).sum::<u64>() / 8;
    let items = 10 * bound / each / TASKS;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for item in 0..items {
                    let _ = cache.get(&(item * TASKS + task), Deadline::none()).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("unknown");
    let stats = cache.stats();
    println!(
        "{} loads, {} bytes held, peak {}",
        stats.loads,
        stats.bytes,
        peak.trim()
    );
    Ok(())
}
