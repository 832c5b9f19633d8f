//! What the log says of failures, without anything to switch on: kind, key and cause, and no value.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use cache_core::clock::ManualClock;
use cache_core::{Cache, Deadline, Failure, from_fn};
use checks::log::Log;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::test]
async fn failed_loads_and_stale_answers_are_warnings_once_for_each_load() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone());
    let _guard = subscriber.finish().set_default();

    let fails = Arc::new(AtomicBool::new(false));
    let failing = fails.clone();
    let source = from_fn(move |_: String, _| {
        let fails = failing.load(Relaxed);
        async move {
            match fails {
                true => Err(Failure::Source("no route to the source")),
                false => Ok(Some("4711".to_string())),
            }
        }
    });
    let clock = Arc::new(ManualClock::default());
    let cache = Cache::builder(source)
        .name("customers")
        .stale_if_error(Duration::from_secs(60))
        .clock(clock.clone())
        .memory(1 << 20, |_, _| 100)
        .build()
        .unwrap();
    let patient = Deadline::none();
    cache.get("c-1", &patient).await.unwrap();
    assert_eq!(log.lines(), [""; 0], "what goes well is not told");

    fails.store(true, Relaxed);
    clock.advance(Duration::from_secs(61));
    // The first loads, the others are answered out of the back-off.
    for _ in 0..10 {
        cache.get("c-1", &patient).await.unwrap();
    }
    // The second key's load fails too; from then on no other is tried.
    let long = format!("c-2{}", "x".repeat(2_000));
    for key in [&long, "c-3", "c-4"] {
        assert!(cache.get(key, &patient).await.is_err());
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[2].contains("c-2xxx"), "{lines:#?}");
    assert!(lines[2].len() < 500, "of a long key there is the beginning");
    for (line, what) in lines
        .iter()
        .zip(["a load failed", "a stale value was served"])
    {
        assert!(line.contains("WARN"), "{line}");
        for part in [
            what,
            r#"kind="customers""#,
            r#"key="c-1""#,
            "no route to the source",
        ] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains("4711"), "{line}");
    }
}
