//! Quotes: what the function answers, and what it asks DynamoDB for it.
#![allow(clippy::unwrap_used)]

mod generic;
mod support;

use std::time::Duration;

use cache_core::Deadline;
use handler::Error;
use serde_json::{Value, json};

use crate::support::Table;

/// What the tests of any function work with.
const ITEMS: &str = include_str!("../../samples/quote/items.json");
const REQUEST: &str = include_str!("../../samples/quote/request.json");

/// A request of a customer for one of each of some products.
fn request(customer_id: &str, skus: &[&str]) -> Value {
    let lines: Vec<_> = skus
        .iter()
        .map(|sku| json!({"sku": sku, "quantity": 1}))
        .collect();
    json!({"customer_id": customer_id, "lines": lines})
}

const COLD: [&str; 3] = ["BatchGetItem", "GetItem", "GetItem"];

#[tokio::test]
async fn a_cold_quote_reads_three_times_and_a_warm_one_not_at_all() {
    let table = Table::of(ITEMS).await;
    let environment = table.environment(&[]);
    let request = json!({"customer_id": "c-1", "note": "unknown fields are ignored", "lines": [
        {"sku": "A-1", "quantity": 2}, {"sku": "B-2", "quantity": 1}, {"sku": "A-1", "quantity": 1},
    ]});
    let cold = environment.answer(request.clone()).await.unwrap();
    assert_eq!(
        serde_json::to_value(&cold).unwrap(),
        json!({
            "customer_id": "c-1", "currency": "EUR", "discount_percent": 15,
            "lines": [
                {"sku": "A-1", "name": "Anvil", "quantity": 2,
                 "unit_price_cents": 1999, "amount_cents": 3998},
                {"sku": "B-2", "name": "Bolt", "quantity": 1,
                 "unit_price_cents": 5, "amount_cents": 5},
                {"sku": "A-1", "name": "Anvil", "quantity": 1,
                 "unit_price_cents": 1999, "amount_cents": 1999},
            ],
            // 15 % of 6002 is 900.3
            "subtotal_cents": 6002, "discount_cents": 900, "total_cents": 5102,
        })
    );
    assert_eq!(table.requests(), COLD);
    assert_eq!(environment.answer(request).await.unwrap(), cold);
    assert_eq!(table.requests(), [""; 0]);
}

#[tokio::test]
async fn one_distinct_product_is_three_single_reads() {
    let table = Table::of(ITEMS).await;
    let environment = table.environment(&[]);
    environment
        .answer(request("c-1", &["A-1", "A-1"]))
        .await
        .unwrap();
    assert_eq!(table.requests(), ["GetItem"; 3]);
}

#[tokio::test]
async fn a_hundred_lines_with_repeats_keep_their_order_in_one_batch() {
    let table = Table::of(ITEMS).await;
    for n in 0..40 {
        let product = json!({"name": n.to_string(), "unit_price_cents": n});
        table.put(&format!("PRODUCT#p{n}"), product).await;
    }
    let lines: Vec<_> = (0..100)
        .map(|n| json!({"sku": format!("p{}", n * 7 % 40), "quantity": n + 1}))
        .collect();
    let environment = table.environment(&[]);
    let quote = environment
        .answer(json!({"customer_id": "c-2", "lines": lines}))
        .await
        .unwrap();
    let answered: Vec<_> = quote
        .lines
        .iter()
        .map(|line| json!({"sku": line.sku, "quantity": line.quantity}))
        .collect();
    assert_eq!(answered, lines);
    let subtotal: u64 = (0..100).map(|n| n * 7 % 40 * (n + 1)).sum();
    assert_eq!(
        (quote.subtotal_cents, quote.discount_percent),
        (subtotal, 0)
    );
    assert_eq!(table.requests(), COLD);
}

#[tokio::test]
async fn a_write_shows_once_the_ttl_is_over_and_not_before() {
    let table = Table::of(ITEMS).await;
    let environment = table.environment(&[("CACHE_JITTER_PERCENT", "0")]);
    let total = async || {
        environment
            .answer(request("c-2", &["B-2"]))
            .await
            .unwrap()
            .total_cents
    };
    assert_eq!(total().await, 5);
    table
        .put(
            "PRODUCT#B-2",
            json!({"name": "dearer", "unit_price_cents": 6}),
        )
        .await;
    environment.clock.advance(Duration::from_secs(59));
    assert_eq!(total().await, 5);
    environment.clock.advance(Duration::from_secs(1));
    assert_eq!(total().await, 6);
}

#[tokio::test]
async fn per_item_respects_the_items_own_end() {
    let table = Table::of(ITEMS).await;
    let environment = table.environment(&[("CACHE_TTL_POLICY", "per-item")]);
    let now = cache_core::clock::Clock::now(&*environment.clock)
        .wall
        .as_secs();
    let customer = json!({"name": "Ada", "tier": "gold", "expires_at": now + 10});
    table.put("CUSTOMER#c-1", customer).await;
    let percent = async || {
        let answer = environment.answer(request("c-1", &["A-1"])).await;
        answer
            .map(|quote| quote.discount_percent)
            .map_err(|error| error.kind().0)
    };
    assert_eq!(percent().await, Ok(15));
    environment.clock.advance(Duration::from_secs(9));
    assert_eq!(percent().await, Ok(15));
    environment.clock.advance(Duration::from_secs(1));
    assert_eq!(
        percent().await,
        Err("CustomerNotFound"),
        "DynamoDB has not deleted it yet"
    );
}

#[tokio::test]
async fn an_absence_is_cached_for_a_shorter_time() {
    let table = Table::of(ITEMS).await;
    let environment = table.environment(&[]);
    for _ in 0..2 {
        let error = environment
            .answer(request("c-1", &["new", "A-1", "newer", "new"]))
            .await;
        let names = vec!["new".to_string(), "newer".to_string()];
        assert_eq!(error.unwrap_err(), Error::ProductNotFound(names));
    }
    assert_eq!(table.requests(), COLD);
    for sku in ["new", "newer"] {
        let product = json!({"name": sku, "unit_price_cents": 1});
        table.put(&format!("PRODUCT#{sku}"), product).await;
    }
    environment.clock.advance(Duration::from_secs(5));
    let quote = environment
        .answer(request("c-1", &["new", "A-1", "newer", "new"]))
        .await
        .unwrap();
    assert_eq!(quote.lines.len(), 4);
    assert_eq!(table.requests(), ["BatchGetItem"]);
}

#[tokio::test]
async fn what_is_missing_has_its_error_and_the_first_that_applies_wins() {
    let table = Table::of(ITEMS).await;
    // Each environment is cold: no absence that another one cached is in the way.
    let error = async |request: Value| table.environment(&[]).error(request).await;
    assert_eq!(error(request("c-9", &["A-1"])).await, "CustomerNotFound");
    assert_eq!(error(request("c-1", &["nothing"])).await, "ProductNotFound");
    assert_eq!(
        error(request("c-9", &["nothing"])).await,
        "CustomerNotFound"
    );
    table
        .put("PRODUCT#broken", json!({"name": "no price"}))
        .await;
    assert_eq!(error(request("c-1", &["broken"])).await, "Internal");
    assert_eq!(
        error(request("c-1", &["broken", "nothing"])).await,
        "ProductNotFound"
    );
    table.delete("CONFIG#pricing").await;
    assert_eq!(error(request("c-9", &["nothing"])).await, "ConfigMissing");
    assert_eq!(error(request("", &["nothing"])).await, "InvalidRequest");
}

#[tokio::test]
async fn items_that_cannot_be_worked_with_are_internal_errors_that_quote_nothing() {
    let table = Table::of(ITEMS).await;
    let error = async |sku: &str, product: Value| {
        table.put(&format!("PRODUCT#{sku}"), product).await;
        let lines = json!([{"sku": sku, "quantity": 1000}, {"sku": "A-1", "quantity": 1}]);
        let request = json!({"customer_id": "c-1", "lines": lines});
        let error = table.environment(&[]).answer(request).await.unwrap_err();
        assert!(!error.to_string().contains("4711"), "{error}");
        error.kind().0
    };
    assert_eq!(
        error("negative", json!({"name": "x", "unit_price_cents": -4711})).await,
        "Internal"
    );
    assert_eq!(
        error("text", json!({"name": "x", "unit_price_cents": "4711"})).await,
        "Internal"
    );
    assert_eq!(
        error("fraction", json!({"name": "x", "unit_price_cents": 0.4711})).await,
        "Internal"
    );
    assert_eq!(
        error(
            "product",
            json!({"name": "x", "unit_price_cents": u64::MAX})
        )
        .await,
        "Internal"
    );
    let sum = json!({"name": "x", "unit_price_cents": u64::MAX / 1000});
    assert_eq!(error("sum", sum).await, "Internal");
    table
        .put(
            "CONFIG#pricing",
            json!({"currency": "EUR", "discount_percent": {"gold": 101}}),
        )
        .await;
    assert_eq!(
        error("fine", json!({"name": "x", "unit_price_cents": 1})).await,
        "Internal"
    );
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_with_the_place_and_what_is_allowed() {
    let table = Table::empty().await;
    let environment = table.environment(&[]);
    let patient = Deadline::none();
    let refused =
        async |json: &str| match handler::answer(&environment.caches, json, &patient).await {
            Err(Error::InvalidRequest(message)) => message,
            other => panic!("{json}: {other:?}"),
        };
    let line = |line: &str| format!(r#"{{"customer_id":"c","lines":[{line}]}}"#);
    let longest = "x".repeat(65);
    for (request, message) in [
        ("[]".into(), "the request must be an object"),
        ("null".into(), "the request must be an object"),
        ("1e999".into(), "the request must be JSON"),
        (r#""\ud800""#.into(), "the request must be JSON"),
        (
            "{}".into(),
            "customer_id must be 1 to 64 of A-Z a-z 0-9 . _ -",
        ),
        (
            r#"{"customer_id":""}"#.into(),
            "customer_id must be 1 to 64 of A-Z a-z 0-9 . _ -",
        ),
        (
            r#"{"customer_id":"é"}"#.into(),
            "customer_id must be 1 to 64 of A-Z a-z 0-9 . _ -",
        ),
        (
            format!(r#"{{"customer_id":"{longest}"}}"#),
            "customer_id must be 1 to 64 of A-Z a-z 0-9 . _ -",
        ),
        (
            r#"{"customer_id":"c"}"#.into(),
            "lines must be an array of 1 to 100 lines",
        ),
        (line(""), "lines must be an array of 1 to 100 lines"),
        (
            line(&vec!["{}"; 101].join(",")),
            "lines must be an array of 1 to 100 lines",
        ),
        (line(r#"["A-1",1]"#), "lines[0] must be an object"),
        (
            line(r#"{"sku":"a b","quantity":1}"#),
            "lines[0].sku must be 1 to 64 of A-Z a-z 0-9 . _ -",
        ),
        (
            line(r#"{"sku":"a","quantity":0}"#),
            "lines[0].quantity must be a whole number from 1 to 1000",
        ),
        (
            line(r#"{"sku":"a","quantity":1001}"#),
            "lines[0].quantity must be a whole number from 1 to 1000",
        ),
        (
            line(r#"{"sku":"a","quantity":1.5}"#),
            "lines[0].quantity must be a whole number from 1 to 1000",
        ),
        (
            line(r#"{"sku":"a","quantity":1},{"sku":"b"}"#),
            "lines[1].quantity must be a whole number from 1 to 1000",
        ),
    ] {
        assert_eq!(refused(&request).await, message, "{request}");
    }
    assert_eq!(table.requests(), [""; 0]);
}
