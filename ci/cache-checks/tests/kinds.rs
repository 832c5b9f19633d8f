//! The memory of a function and its division among kinds, against an allocator that counts.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use cache_core::environment::Environment;
use cache_core::kinds::Kind;
use cache_core::{Cache, Deadline, FromFn, LEAST_MEMORY, caches, from_fn};
use cap::Cap;
use mem_dbg::MemSize;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What each cache takes of its bound for its tables.
const TABLES: u64 = 240 * 1024;

type Of<T> = Cache<String, Arc<T>, FromFn<String, Arc<T>, Infallible>>;

#[derive(MemSize)]
struct Shelf {
    name: Option<String>,
    boxes: Vec<Arc<Vec<String>>>,
}

caches! {
    struct Caches() {
        small: Of<u64> = any(|| 7);
        texts: Of<String> = any(|| "x".repeat(1000)).weight(2);
        large: Of<Vec<u8>> = any(|| vec![1; 200_000]).weight(10);
        maps: Of<HashMap<String, u8>> = any(|| (0..20).map(|n| (n.to_string(), n)).collect()).weight(3);
        shelves: Of<Shelf> = any(shelf).weight(4);
    }
}

/// A kind that has the same value for any key.
fn any<T: MemSize + Send + Sync + 'static>(
    value: fn() -> T,
) -> Kind<String, Arc<T>, FromFn<String, Arc<T>, Infallible>> {
    Kind::of(from_fn(
        move |_, _| async move { Ok(Some(Arc::new(value()))) },
    ))
}

fn shelf() -> Shelf {
    let texts = |count: usize| (0..count).map(|n| "x".repeat(n * 10)).collect();
    Shelf {
        name: Some("in the cellar".into()),
        boxes: (0..10).map(|count| Arc::new(texts(count))).collect(),
    }
}

/// One test alone: others would allocate meanwhile.
#[test]
fn all_kinds_full_stay_within_the_functions_share_and_each_gets_its_part() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    // 25 % without a variable.
    let bound = (128 - 48) * 1024 * 1024 / 4;
    let environment = Environment::of([("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")]);
    let patient = Deadline::none();
    let before = ALLOCATOR.allocated();
    let caches = Caches::new(environment).unwrap();
    // In turns, so that all are full at once. Of the small ones fit most, some 2,100.
    for number in 0..5000 {
        let key = &*format!("key-{number}");
        runtime.block_on(async {
            caches.small.get(key, &patient).await.unwrap();
            caches.texts.get(key, &patient).await.unwrap();
            caches.large.get(key, &patient).await.unwrap();
            caches.maps.get(key, &patient).await.unwrap();
            caches.shelves.get(key, &patient).await.unwrap();
        });
    }
    // At any moment: with the value that was just loaded.
    let most = (ALLOCATOR.max_allocated() - before) as u64;
    println!("bound {bound}, most allocated {most}");
    assert!(most <= bound, "{most}");
    // Not for want of entries.
    assert!(most >= bound * 3 / 4, "{most}");

    let spare = bound - 5 * LEAST_MEMORY;
    for ((name, stats), weight) in caches.stats().into_iter().zip([1, 2, 10, 3, 4]) {
        let part = LEAST_MEMORY + spare * weight / 20;
        println!("{name:7} {part:8} {stats:?}");
        assert!(stats.evictions > 0, "{name} was never full");
        // An eighth is for the entry that is coming.
        let held = stats.bytes as f64 / (part - TABLES) as f64;
        assert!((0.8..=1.0).contains(&held), "{name} has {held} of its part");
    }
}
