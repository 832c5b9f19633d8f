//! The function's lines of metrics against the rules that CloudWatch publishes for its embedded
//! metric format.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use cache_core::Stats;
use cache_core::clock::{Clock, ManualClock};
use cache_core::metrics::Metrics;
use serde_json::{Value, json};

/// The format's schema, and the limits that its specification states beside it.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn schema() -> Value {
    let text = |longest: u32| json!({"type": "string", "minLength": 1, "maxLength": longest});
    let units = [
        "Seconds",
        "Microseconds",
        "Milliseconds",
        "Bytes",
        "Kilobytes",
        "Percent",
        "Count",
        "None",
    ];
    let definition = json!({
        "type": "object",
        "required": ["Name"],
        "additionalProperties": false,
        "properties": {
            "Name": text(1024),
            "Unit": {"enum": units},
            "StorageResolution": {"enum": [1, 60]},
        },
    });
    let dimension_set = json!({"type": "array", "maxItems": 30, "items": text(250)});
    let directive = json!({
        "type": "object",
        "required": ["Namespace", "Dimensions", "Metrics"],
        "additionalProperties": false,
        "properties": {
            "Namespace": text(1024),
            "Dimensions": {"type": "array", "minItems": 1, "items": dimension_set},
            "Metrics": {"type": "array", "maxItems": 100, "items": definition},
        },
    });
    let metadata = json!({
        "type": "object",
        "required": ["Timestamp", "CloudWatchMetrics"],
        "properties": {
            "Timestamp": {"type": "integer"},
            "CloudWatchMetrics": {"type": "array", "items": directive},
        },
    });
    json!({"type": "object", "required": ["_aws"], "properties": {"_aws": metadata}})
}

fn lines() -> Vec<Value> {
    let metrics = Metrics::new(
        "a/b".into(),
        "my-quotes".into(),
        "7".into(),
        Duration::from_secs(60),
    );
    let busy = Stats {
        hits: u64::MAX / 2,
        misses: 2,
        bytes: 3,
        ..Stats::default()
    };
    let caches = [("customers", busy), ("products", busy)];
    let lines = metrics.lines(caches.into_iter(), ManualClock::default().now());
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_line_is_valid_and_holds_what_it_announces() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let lines = lines();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert!(schema.is_valid(line), "{line}");
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        let announced = [
            (json!([["FunctionName", "Cache"]]), 8),
            (json!([["FunctionName"]]), 1),
        ];
        assert_eq!(directives.len(), announced.len());
        for (directive, (dimensions, metrics)) in directives.iter().zip(announced) {
            assert_eq!(directive["Dimensions"], dimensions);
            // Members that a directive refers to are at the root: dimensions text, metrics numbers.
            for dimension in dimensions[0].as_array().unwrap() {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
            }
            let definitions = directive["Metrics"].as_array().unwrap();
            assert_eq!(definitions.len(), metrics);
            for definition in definitions {
                let name = definition["Name"].as_str().unwrap();
                assert!(line[name].is_number(), "{definition}");
            }
        }
    }
}

/// Of a kind that has asked its second level, and of no other.
#[test]
fn a_second_level_has_three_metrics_more() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let metrics = Metrics::new("a".into(), "b".into(), "7".into(), Duration::from_secs(60));
    let shared = Stats {
        shared_hits: 3,
        shared_misses: 2,
        shared_errors: 1,
        ..Stats::default()
    };
    let alone = Stats {
        hits: 1,
        ..Stats::default()
    };
    let kinds = [("shared", shared), ("alone", alone)].into_iter();
    let lines = metrics.lines(kinds, ManualClock::default().now());
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names = ["SharedHits", "SharedMisses", "SharedErrors"];
    assert_eq!(
        names.map(|name| lines[0][name].as_u64()),
        [Some(3), Some(2), Some(1)]
    );
    assert_eq!(names.map(|name| lines[1][name].as_u64()), [None; 3]);
    for (line, announced) in lines.iter().zip([11, 8]) {
        assert!(schema.is_valid(line), "{line}");
        let definitions = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!(definitions.as_array().unwrap().len(), announced);
    }
}

#[test]
fn the_line_of_an_error_is_valid_and_holds_what_it_announces() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let metrics = Metrics::new("a".into(), "b".into(), "7".into(), Duration::from_secs(60));
    let line = metrics.error("Unavailable", 503, ManualClock::default().now());
    let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
    assert!(schema.is_valid(&line), "{line}");
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    for dimension in directives[0]["Dimensions"].as_array().unwrap() {
        for name in dimension.as_array().unwrap() {
            assert!(line[name.as_str().unwrap()].is_string(), "{name}");
        }
    }
    assert_eq!(line["ServerErrors"], 1);
}

#[test]
fn a_line_that_breaks_a_rule_would_be_noticed() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for (pointer, wrong) in [
        ("/_aws/Timestamp", json!("now")),
        ("/_aws/CloudWatchMetrics/0/Namespace", json!("")),
        ("/_aws/CloudWatchMetrics/0/Dimensions", json!(["Cache"])),
        (
            "/_aws/CloudWatchMetrics/0/Metrics/0",
            json!({"Name": "CacheHits", "Unit": "Hits"}),
        ),
        (
            "/_aws/CloudWatchMetrics/0/Metrics/0",
            json!({"Unit": "Count"}),
        ),
        ("/_aws/CloudWatchMetrics/1/Namespace", json!("")),
        ("/_aws/CloudWatchMetrics/1/Dimensions", json!([])),
    ] {
        let mut line = lines().remove(0);
        *line.pointer_mut(pointer).unwrap() = wrong;
        assert!(!schema.is_valid(&line), "{pointer}");
    }
}
