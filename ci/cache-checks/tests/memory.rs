//! What the cache says that it holds, against an allocator that counts.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::convert::Infallible;
use std::sync::Arc;

use cache_core::{Cache, Deadline, Failure, LEAST_MEMORY, from_fn};
use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// One test alone: others would allocate meanwhile.
#[test]
fn a_full_cache_keeps_its_bound_and_accounts_for_what_it_allocated() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    println!("   bound     key   value  entries  accounted  allocated  ratio");
    let mut wrong = Vec::new();
    for (bound, key_size, value_size) in sizes() {
        let before = ALLOCATOR.allocated();
        let heap = |key: &String, value: Option<&Arc<str>>| {
            key.capacity() + value.map_or(0, |value| 16 + value.len())
        };
        let values = from_fn(move |_, _| async move {
            Ok::<_, Failure<Infallible>>(Some("x".repeat(value_size).into()))
        });
        let cache = Cache::builder(values).memory(bound, heap).build().unwrap();
        let size = (key_size + value_size + 300) as u64;
        // Twice what fits: the store has been full and has evicted.
        for number in 0..2 * bound / size {
            let key = format!("{number:0key_size$}");
            runtime
                .block_on(cache.get(&key, &Deadline::none()))
                .unwrap();
        }
        let stats = cache.stats();
        let allocated = (ALLOCATOR.allocated() - before) as u64;
        let ratio = stats.bytes as f64 / allocated as f64;
        let row = format!(
            "{bound:8} {key_size:7} {value_size:7} {:8} {:10} {allocated:10} {ratio:6.2}",
            stats.entries, stats.bytes
        );
        println!("{row}");
        // In a smaller cache its own tables, which are no entries, are a large part of it.
        if allocated > bound || bound >= 2 << 20 && !(0.75..=1.25).contains(&ratio) {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Bound, key and value in bytes. Small caches keep no large values, and evicted keys, which moka
/// frees late, weigh in them if they are long.
fn sizes() -> Vec<(u64, usize, usize)> {
    let mut sizes = Vec::new();
    for bound in [LEAST_MEMORY, 1 << 20, 2 << 20, 8 << 20] {
        for key in [10, 64, 1000] {
            for value in [10, 100, 1000, 10_000, 100_000, 300_000] {
                sizes.push((bound, key, value));
            }
        }
    }
    sizes.retain(|(bound, key, value)| *bound == 8 << 20 || *key < 1000 && *value < 10_000);
    sizes
}
