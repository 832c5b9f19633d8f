//! Metrics in CloudWatch's embedded metric format.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use cache_core::Stats;
use cache_core::clock::{Clock, ManualClock};
use cache_core::metrics::Metrics;
use serde_json::{Value, json};

const INTERVAL: Duration = Duration::from_secs(60);

fn metrics(interval: Duration) -> Metrics {
    Metrics::new("quotes".into(), "my-quotes".into(), "7".into(), interval)
}

fn stats(hits: u64) -> Stats {
    Stats {
        hits,
        misses: 1,
        bytes: 500,
        ..Stats::default()
    }
}

#[test]
fn a_line_has_the_counts_since_the_last_one_and_the_bytes_now() {
    let (metrics, clock) = (metrics(INTERVAL), ManualClock::default());
    metrics.lines([("customers", stats(5))].into_iter(), clock.now());
    clock.advance(INTERVAL);
    let lines = metrics.lines([("customers", stats(12))].into_iter(), clock.now());
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let unit = |name| json!({"Name": name, "Unit": "Count"});
    assert_eq!(
        line,
        json!({
            "_aws": {
                "Timestamp": clock.now().wall.as_millis() as u64,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "quotes",
                        "Dimensions": [["FunctionName", "Cache"]],
                        "Metrics": [
                            unit("CacheHits"), unit("CacheMisses"), unit("CacheCoalesced"),
                            unit("CacheStaleServed"), unit("CacheLoads"), unit("CacheLoadErrors"),
                            unit("CacheEvictions"), {"Name": "CacheBytes", "Unit": "Bytes"},
                        ],
                    },
                    {
                        "Namespace": "quotes",
                        "Dimensions": [["FunctionName"]],
                        "Metrics": [unit("CacheLoadErrors")],
                    },
                ],
            },
            "FunctionName": "my-quotes", "Cache": "customers",
            "CacheHits": 7, "CacheMisses": 0, "CacheCoalesced": 0, "CacheStaleServed": 0,
            "CacheLoads": 0, "CacheLoadErrors": 0, "CacheEvictions": 0, "CacheBytes": 500,
        })
    );
}

#[test]
fn there_are_lines_at_most_once_in_an_interval_and_none_are_lost() {
    let (metrics, clock) = (metrics(INTERVAL), ManualClock::default());
    let count = |hits| {
        metrics
            .lines([("customers", stats(hits))].into_iter(), clock.now())
            .len()
    };
    assert_eq!(count(1), 1);
    clock.advance(INTERVAL - Duration::from_nanos(1));
    assert_eq!(count(2), 0);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(count(2), 1);
    clock.change(|now| now.wall -= Duration::from_secs(1));
    assert_eq!(
        count(3),
        1,
        "a clock that ran backwards does not silence them"
    );
}

#[test]
fn what_did_nothing_says_nothing() {
    let (metrics, clock) = (metrics(INTERVAL), ManualClock::default());
    assert_eq!(
        metrics.lines([("customers", Stats::default())].into_iter(), clock.now()),
        [""; 0]
    );
    let caches = |hits| [("customers", stats(1)), ("products", stats(hits))].into_iter();
    assert_eq!(metrics.lines(caches(1), clock.now()).len(), 2);
    clock.advance(INTERVAL);
    let lines = metrics.lines(caches(2), clock.now());
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("products"));
    clock.advance(INTERVAL);
    assert_eq!(metrics.lines(caches(2), clock.now()), [""; 0]);
}

#[test]
fn an_interval_of_zero_is_off() {
    let clock = ManualClock::default();
    assert_eq!(
        metrics(Duration::ZERO).lines([("customers", stats(1))].into_iter(), clock.now()),
        [""; 0]
    );
}

#[test]
fn an_error_is_counted_at_once_by_whose_it_is_by_version_and_by_type() {
    let (metrics, clock) = (metrics(INTERVAL), ManualClock::default());
    for (error_type, status, name) in [
        ("InvalidRequest", 400, "ClientErrors"),
        ("NotFound", 499, "ClientErrors"),
        ("Internal", 500, "ServerErrors"),
        ("Unavailable", 503, "ServerErrors"),
    ] {
        let line = metrics.error(error_type, status, clock.now()).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line[name], 1);
        assert_eq!(line["ErrorType"], error_type);
        assert_eq!(
            (&line["FunctionName"], &line["FunctionVersion"]),
            (&json!("my-quotes"), &json!("7"))
        );
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            directive["Metrics"],
            json!([{"Name": name, "Unit": "Count"}])
        );
        let by = json!([
            ["FunctionName"],
            ["FunctionName", "FunctionVersion"],
            ["FunctionName", "ErrorType"]
        ]);
        assert_eq!(directive["Dimensions"], by);
    }
}

#[test]
fn an_error_makes_no_line_where_metrics_are_off() {
    let now = ManualClock::default().now();
    assert_eq!(metrics(Duration::ZERO).error("Internal", 500, now), None);
}

#[test]
fn what_was_read_ahead_is_told_of_a_cache_that_does_that() {
    let (metrics, clock) = (metrics(INTERVAL), ManualClock::default());
    let ahead = |refreshes, milliseconds| Stats {
        refreshes,
        refreshing: Duration::from_millis(milliseconds),
        ..stats(1)
    };
    for (stats, told) in [
        (ahead(0, 0), None),
        (ahead(3, 12), Some((3, 12))),
        (ahead(4, 512), Some((1, 500))),
        // What a soft time-out left behind.
        (ahead(4, 530), Some((0, 18))),
    ] {
        let lines = metrics.lines([("customers", stats)].into_iter(), clock.now());
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        let of = |name: &str| line.get(name).and_then(Value::as_u64);
        let found = of("CacheRefreshes").zip(of("CacheRefreshTime"));
        assert_eq!(found, told);
        clock.advance(INTERVAL);
    }
}
