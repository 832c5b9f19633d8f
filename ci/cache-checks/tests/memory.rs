//! What the cache says that it holds, against an allocator that counts.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::sync::Arc;

use cache_core::{Cache, Deadline, Found, Loaded, Loader};
use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Makes values of one size.
struct Values(usize);

impl Loader<String, Arc<str>> for Values {
    type Error = std::convert::Infallible;

    async fn load(
        &self,
        keys: Vec<String>,
        _: Deadline,
    ) -> Result<Loaded<String, Arc<str>, Self::Error>, Self::Error> {
        let value = |key| {
            (
                key,
                Found {
                    value: "x".repeat(self.0).into(),
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

/// One test alone: others would allocate meanwhile.
#[test]
fn what_is_accounted_for_is_within_a_quarter_of_what_is_allocated() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let bound = 8 << 20;
    println!("    key   value  entries  accounted  allocated  ratio");
    let mut wrong = Vec::new();
    for key_size in [10, 100, 1000] {
        for value_size in [10, 100, 1000, 10_000, 100_000, 300_000] {
            let before = ALLOCATOR.allocated();
            let heap = |key: &String, value: Option<&Arc<str>>| {
                key.capacity() + value.map_or(0, |value| 16 + value.len())
            };
            let cache = Cache::builder(Values(value_size))
                .memory(bound, heap)
                .build()
                .unwrap();
            let size = (key_size + value_size + 300) as u64;
            // Twice what fits: the store has been full and has evicted.
            for number in 0..2 * bound / size {
                let key = format!("{number:0key_size$}");
                runtime.block_on(cache.get(&key, Deadline::none())).unwrap();
            }
            let stats = cache.stats();
            let allocated = (ALLOCATOR.allocated() - before) as f64;
            let ratio = stats.bytes as f64 / allocated;
            let entries = stats.loads - stats.evictions;
            println!(
                "{key_size:7} {value_size:7} {entries:8} {:10} {allocated:10} {ratio:6.2}",
                stats.bytes
            );
            assert!(stats.bytes <= bound);
            if !(0.75..=1.25).contains(&ratio) {
                wrong.push((key_size, value_size, ratio));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "key, value, accounted / allocated: {wrong:?}"
    );
}
