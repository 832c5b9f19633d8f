//! What the caches do, as CloudWatch metrics: lines of its embedded metric format in the log, from
//! which CloudWatch makes metrics by itself. No call, no agent, no permission.
//!
//! Eight metrics for each of three caches are 24 custom metrics, at the time of writing 0.30 USD
//! each a month: 7.20 USD a month while the function runs.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::sync::Mutex;
use std::time::Duration;

use cache_core::Stats;
use cache_core::clock::Reading;
use serde_json::{Value, json};

/// Makes the lines, no more often than once in an interval.
pub struct Metrics {
    namespace: String,
    function_name: String,
    /// Zero is off.
    interval: Duration,
    reported: Mutex<Reported>,
}

#[derive(Default)]
struct Reported {
    at: Option<Reading>,
    /// In the order of the caches.
    stats: Vec<Stats>,
}

impl Metrics {
    /// `interval` of zero makes no lines.
    pub fn new(namespace: String, function_name: String, interval: Duration) -> Self {
        Metrics {
            namespace,
            function_name,
            interval,
            reported: Mutex::default(),
        }
    }

    /// The lines to print at the end of an invocation: one for each cache that has anything to say,
    /// if the interval is over. Counts are since the cache's last line.
    pub fn lines(&self, caches: &[(&'static str, Stats)], now: Reading) -> Vec<String> {
        let mut reported = self
            .reported
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // A clock that ran backwards ends an interval, as it ends a cache's entry.
        let early = |at| now.since(at).is_some_and(|age| age < self.interval);
        if self.interval.is_zero() || reported.at.is_some_and(early) {
            return Vec::new();
        }
        reported.stats.resize(caches.len(), Stats::default());
        let mut lines = Vec::new();
        for ((cache, stats), last) in caches.iter().zip(&mut reported.stats) {
            if stats != last {
                lines.push(self.line(cache, stats, last, now).to_string());
                *last = *stats;
            }
        }
        if !lines.is_empty() {
            reported.at = Some(now);
        }
        lines
    }

    fn line(&self, cache: &str, stats: &Stats, last: &Stats, now: Reading) -> Value {
        let metrics = [
            ("CacheHits", "Count", stats.hits - last.hits),
            ("CacheMisses", "Count", stats.misses - last.misses),
            ("CacheCoalesced", "Count", stats.coalesced - last.coalesced),
            (
                "CacheStaleServed",
                "Count",
                stats.stale_served - last.stale_served,
            ),
            ("CacheLoads", "Count", stats.loads - last.loads),
            (
                "CacheLoadErrors",
                "Count",
                stats.load_errors - last.load_errors,
            ),
            ("CacheEvictions", "Count", stats.evictions - last.evictions),
            ("CacheBytes", "Bytes", stats.bytes),
        ];
        let definitions = metrics.map(|(name, unit, _)| json!({"Name": name, "Unit": unit}));
        let mut line = json!({
            "_aws": {
                "Timestamp": now.wall.as_millis() as u64,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": [["FunctionName", "Cache"]],
                    "Metrics": definitions,
                }],
            },
            "FunctionName": self.function_name,
            "Cache": cache,
        });
        for (name, _, value) in metrics {
            line[name] = value.into();
        }
        line
    }
}
