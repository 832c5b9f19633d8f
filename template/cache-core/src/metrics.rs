//! What the caches do, as CloudWatch metrics: lines of its embedded metric format in the log, from
//! which CloudWatch makes metrics by itself. No call, no agent, no permission.
//!
//! Eight metrics for each kind and one for the function: with three kinds 25 custom metrics, at the
//! time of writing 0.30 USD each a month, 7.50 USD while the function runs. Three more for each kind with a
//! second level, and two for each that is read ahead of its end. One more for each type of
//! error, and one for its version, in the hours in which there are errors.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Stats;
use crate::clock::Reading;

/// Makes the lines, no more often than once in an interval.
pub struct Metrics {
    namespace: String,
    function_name: String,
    function_version: String,
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
    pub fn new(
        namespace: String,
        function_name: String,
        function_version: String,
        interval: Duration,
    ) -> Self {
        Metrics {
            namespace,
            function_name,
            function_version,
            interval,
            reported: Mutex::default(),
        }
    }

    /// The lines to print at the end of an invocation: one for each cache that has anything to say,
    /// if the interval is over. Counts are since the cache's last line.
    pub fn lines<'a>(
        &self,
        caches: impl ExactSizeIterator<Item = (&'a str, Stats)>,
        now: Reading,
    ) -> Vec<String> {
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
        for ((cache, stats), last) in caches.zip(&mut reported.stats) {
            if stats != *last {
                lines.push(self.line(cache, &stats, last, now).to_string());
                *last = stats;
            }
        }
        if !lines.is_empty() {
            reported.at = Some(now);
        }
        lines
    }

    /// The line of an invocation that ended with an error of this type: `ServerErrors` from the status 500
    /// on, else `ClientErrors`. At once and stamped, since alarms compare it with Lambda's own metrics of the
    /// same minute.
    pub fn error(&self, error_type: &str, status: u16, now: Reading) -> Option<String> {
        if self.interval.is_zero() {
            return None;
        }
        let name = match status {
            500.. => "ServerErrors",
            _ => "ClientErrors",
        };
        let line = json!({
            "_aws": {
                "Timestamp": now.wall.as_millis() as u64,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace,
                    "Dimensions": [
                        ["FunctionName"],
                        ["FunctionName", "FunctionVersion"],
                        ["FunctionName", "ErrorType"],
                    ],
                    "Metrics": [{"Name": name, "Unit": "Count"}],
                }],
            },
            "FunctionName": self.function_name,
            "FunctionVersion": self.function_version,
            "ErrorType": error_type,
            name: 1,
        });
        Some(line.to_string())
    }

    fn line(&self, cache: &str, stats: &Stats, last: &Stats, now: Reading) -> Value {
        let since = |count: fn(&Stats) -> u64| count(stats) - count(last);
        let mut metrics = vec![
            ("CacheHits", "Count", since(|it| it.hits)),
            ("CacheMisses", "Count", since(|it| it.misses)),
            ("CacheCoalesced", "Count", since(|it| it.coalesced)),
            ("CacheStaleServed", "Count", since(|it| it.stale_served)),
            ("CacheLoads", "Count", since(|it| it.loads)),
            ("CacheLoadErrors", "Count", since(|it| it.load_errors)),
            ("CacheEvictions", "Count", since(|it| it.evictions)),
            ("CacheBytes", "Bytes", stats.bytes),
        ];
        if stats.shared_hits + stats.shared_misses + stats.shared_errors > 0 {
            metrics.extend([
                ("SharedHits", "Count", since(|it| it.shared_hits)),
                ("SharedMisses", "Count", since(|it| it.shared_misses)),
                ("SharedErrors", "Count", since(|it| it.shared_errors)),
            ]);
        }
        if stats.refreshes > 0 || !stats.refreshing.is_zero() {
            let time = stats.refreshing - last.refreshing;
            metrics.extend([
                ("CacheRefreshes", "Count", since(|it| it.refreshes)),
                ("CacheRefreshTime", "Milliseconds", time.as_millis() as u64),
            ]);
        }
        let definitions = metrics.iter();
        let definitions = definitions.map(|(name, unit, _)| json!({"Name": name, "Unit": unit}));
        let definitions: Vec<_> = definitions.collect();
        let mut line = json!({
            "_aws": {
                "Timestamp": now.wall.as_millis() as u64,
                "CloudWatchMetrics": [
                    {
                        "Namespace": self.namespace,
                        "Dimensions": [["FunctionName", "Cache"]],
                        "Metrics": definitions,
                    },
                    // The sum over all caches, so that an alarm need not know their names.
                    {
                        "Namespace": self.namespace,
                        "Dimensions": [["FunctionName"]],
                        "Metrics": [{"Name": "CacheLoadErrors", "Unit": "Count"}],
                    },
                ],
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
