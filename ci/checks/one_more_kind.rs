//! What follows from the declaration of promotions in docs/src/yours.md, and from nothing else.
//! `tests/yours.rs` puts this file into `handler/tests/` of a workspace with that declaration.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use cache_core::environment::Environment;
use cache_core::{Deadline, LEAST_MEMORY};
use handler::Caches;
use handler::domain::{Customer, Product, Promotion};
use serde_json::{Value, json};

use crate::support::Table;

const ITEMS: &str = include_str!("../../samples/quote/items.json");

/// The kinds by name, with their weights.
const KINDS: [(&str, u64); 4] = [
    ("customers", 4),
    ("pricing", 1),
    ("products", 5),
    ("promotions", 1),
];

async fn table() -> Table {
    let table = Table::of(ITEMS).await;
    table.put("PROMOTION#SPRING", json!({"percent": 20})).await;
    table
}

/// Asks each kind for one key, and says which of them answered.
async fn ask(caches: &Caches) -> [bool; KINDS.len()] {
    let soon = &Deadline::after(Duration::from_secs(5));
    [
        caches.customers.get("c-1", soon).await.is_ok(),
        caches.pricing.get(&(), soon).await.is_ok(),
        caches.products.get("A-1", soon).await.is_ok(),
        caches.promotions.get("SPRING", soon).await.is_ok(),
    ]
}

#[tokio::test]
async fn each_kind_is_counted_and_its_failed_loads_are_what_the_alarm_watches() {
    let mut table = table().await;
    let caches = table.environment(&[]).caches;
    table.stop_database().await;
    assert_eq!(ask(&caches).await, [false; KINDS.len()]);
    let stats = caches.stats();
    let names: Vec<_> = stats.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, KINDS.map(|(name, _)| name));
    assert!(
        stats.iter().all(|(_, stats)| stats.misses == 1),
        "{stats:?}"
    );
    let lines = caches.metrics();
    assert_eq!(lines.len(), KINDS.len());
    for (line, name) in lines.iter().zip(names) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["Cache"], &line["CacheLoadErrors"]),
            (&json!(name), &json!(1))
        );
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        let of_the_function = json!([["FunctionName"]]);
        let mut alarmed = directives
            .iter()
            .filter(|it| it["Dimensions"] == of_the_function);
        assert_eq!(
            alarmed.next().unwrap()["Metrics"][0]["Name"],
            "CacheLoadErrors"
        );
    }
}

#[tokio::test]
async fn each_kind_is_switched_off_by_its_own_variable_and_with_all_others() {
    let table = table().await;
    for off in KINDS.map(|(name, _)| Some(name)).into_iter().chain([None]) {
        let variable = match off {
            Some(name) => (format!("CACHE_{}_TTL_SECONDS", name.to_uppercase()), "0"),
            None => ("CACHE_ENABLED".into(), "false"),
        };
        let caches = table.environment(&[(&variable.0, variable.1)]).caches;
        for _ in 0..2 {
            assert_eq!(ask(&caches).await, [true; KINDS.len()]);
        }
        for (name, stats) in caches.stats() {
            let is_off = off.is_none_or(|off| off == name);
            let expected = if is_off { (0, 2, 0) } else { (1, 1, 1) };
            let seen = (stats.hits, stats.loads, stats.entries);
            assert_eq!(seen, expected, "{name} with {variable:?}");
        }
    }
}

#[tokio::test]
async fn each_kind_is_named_where_its_variable_is_misspelt() {
    let table = table().await;
    for (name, _) in KINDS.map(|(name, weight)| (name.to_uppercase(), weight)) {
        let misspelt = format!("CACHE_{name}S_TTL_SECONDS");
        let variables = [("TABLE_NAME", table.name.as_str()), (&misspelt, "5")];
        let error = handler::open(table.client(), Environment::of(variables))
            .err()
            .unwrap();
        let expected = format!("{misspelt} names no kind, did you mean CACHE_{name}_TTL_SECONDS?");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[tokio::test]
async fn each_kind_keeps_to_its_share_and_all_of_them_to_the_memory() {
    let table = Table::empty().await;
    let caches = table
        .environment(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")])
        .caches;
    // More than any share, with keys of a kilobyte. Of pricing there is one item.
    for n in 0..10_000 {
        let key = format!("{n:01024}");
        let (tier, name) = (String::new(), String::new());
        let product = Product {
            name,
            unit_price_cents: 1,
        };
        caches
            .customers
            .put(key.clone(), Arc::new(Customer { tier }));
        caches.products.put(key.clone(), Arc::new(product));
        caches
            .promotions
            .put(key, Arc::new(Promotion { percent: 20 }));
    }
    // A quarter of what the process leaves.
    let all = (128 - 48) * 1024 * 1024 / 4;
    let spare = all - KINDS.len() as u64 * LEAST_MEMORY;
    let weights: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
    let tables = 240 * 1024;
    let mut taken = 0;
    for ((name, stats), (_, weight)) in caches.stats().into_iter().zip(KINDS) {
        let share = LEAST_MEMORY + spare * weight / weights;
        let room = share - tables;
        assert!(stats.bytes <= room, "{name} has {} of {room}", stats.bytes);
        // An eighth is reserved for the entry that is being stored.
        let is_full = stats.bytes > room * 4 / 5;
        assert_eq!(
            is_full,
            name != "pricing",
            "{name} has {} of {room}",
            stats.bytes
        );
        taken += tables + stats.bytes;
    }
    assert!(taken <= all, "{taken} of {all}");
}
