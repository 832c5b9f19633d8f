//! Fills a cache of so many MB with ten times what it holds, by 64 tasks at once, and prints the most
//! memory that the process ever had.

use std::convert::Infallible;
use std::sync::Arc;

use cache_core::{Cache, Deadline, Failure, from_fn};

const TASKS: u64 = 64;

/// From 10 bytes to 300 KB, many small and few large.
fn size(key: u64) -> usize {
    [10, 100, 1000, 1000, 10_000, 10_000, 100_000, 300_000][(key % 8) as usize]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes: u64 = std::env::args().nth(1).ok_or("how many MB?")?.parse()?;
    let bound = megabytes * 1024 * 1024;
    let heap = |_: &u64, value: Option<&Arc<[u8]>>| value.map_or(0, |value| 16 + value.len());
    let values = from_fn(|key, _| async move {
        // As a read does: others get their turn in the middle.
        tokio::task::yield_now().await;
        Ok::<_, Failure<Infallible>>(Some(vec![1; size(key)].into()))
    });
    let cache = Cache::builder(values).memory(bound, heap).build()?;
    let each: u64 = (0..8).map(|key| size(key) as u64).sum::<u64>() / 8;
    let items = 10 * bound / each / TASKS;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for item in 0..items {
                    let _ = cache.get(&(item * TASKS + task), &Deadline::none()).await;
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
