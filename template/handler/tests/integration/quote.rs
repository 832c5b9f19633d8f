//! What the function answers, and what it asks DynamoDB for it.

use std::time::Duration;

use cache_core::Deadline;
use handler::error::QuoteError;
use handler::lambda::{log_level, time_to_read};
use serde_json::{Value, json};

use crate::support::{Table, request};

const COLD: [&str; 3] = ["BatchGetItem", "GetItem", "GetItem"];

#[tokio::test]
async fn a_cold_quote_reads_three_times_and_a_warm_one_not_at_all() {
    let table = Table::seeded().await;
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
    let table = Table::seeded().await;
    let environment = table.environment(&[]);
    environment
        .answer(request("c-1", &["A-1", "A-1"]))
        .await
        .unwrap();
    assert_eq!(table.requests(), ["GetItem"; 3]);
}

#[tokio::test]
async fn a_hundred_lines_with_repeats_keep_their_order_in_one_batch() {
    let table = Table::seeded().await;
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
    let table = Table::seeded().await;
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
async fn switched_off_every_read_goes_to_dynamodb() {
    let table = Table::seeded().await;
    for off in [("CACHE_ENABLED", "false"), ("CACHE_TTL_SECONDS", "0")] {
        for policy in ["fixed", "per-item", "immutable"] {
            let environment = table.environment(&[off, ("CACHE_TTL_POLICY", policy)]);
            for _ in 0..2 {
                environment
                    .answer(request("c-1", &["A-1", "B-2"]))
                    .await
                    .unwrap();
                assert_eq!(table.requests(), COLD);
            }
        }
    }
}

#[tokio::test]
async fn per_item_respects_the_items_own_end() {
    let table = Table::seeded().await;
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
            .map_err(|error| error.error_type())
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
async fn immutable_items_are_read_once() {
    let table = Table::seeded().await;
    let environment = table.environment(&[("CACHE_TTL_POLICY", "immutable")]);
    environment
        .answer(request("c-1", &["A-1", "B-2"]))
        .await
        .unwrap();
    environment.clock.advance(Duration::from_secs(1_000_000));
    environment
        .answer(request("c-1", &["A-1", "B-2"]))
        .await
        .unwrap();
    assert_eq!(table.requests(), COLD);
}

#[tokio::test]
async fn an_absence_is_cached_for_a_shorter_time() {
    let table = Table::seeded().await;
    let environment = table.environment(&[]);
    for _ in 0..2 {
        let error = environment
            .answer(request("c-1", &["new", "A-1", "newer", "new"]))
            .await;
        let names = vec!["new".to_string(), "newer".to_string()];
        assert_eq!(error.unwrap_err(), QuoteError::ProductNotFound(names));
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
    let table = Table::seeded().await;
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
    let table = Table::seeded().await;
    let error = async |sku: &str, product: Value| {
        table.put(&format!("PRODUCT#{sku}"), product).await;
        let lines = json!([{"sku": sku, "quantity": 1000}, {"sku": "A-1", "quantity": 1}]);
        let request = json!({"customer_id": "c-1", "lines": lines});
        let error = table.environment(&[]).answer(request).await.unwrap_err();
        assert!(!error.to_string().contains("4711"), "{error}");
        error.error_type()
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
    let refused = async |json: &str| match environment.service.answer(json, Deadline::none()).await
    {
        Err(QuoteError::InvalidRequest(message)) => message,
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

#[tokio::test]
async fn with_the_database_stopped_warm_quotes_go_on_and_others_are_unavailable_until_it_is_back() {
    let mut table = Table::seeded().await;
    let environment = table.environment(&[]);
    let warm = environment
        .answer(request("c-1", &["A-1", "B-2"]))
        .await
        .unwrap();
    table.stop_database().await;
    assert_eq!(
        environment
            .answer(request("c-1", &["A-1", "B-2"]))
            .await
            .unwrap(),
        warm
    );
    // Far less than the test's own patience: it answers in time rather than hang.
    let answer = environment.error(request("c-2", &["A-1"]));
    let answer = tokio::time::timeout(Duration::from_secs(30), answer).await;
    assert_eq!(answer.unwrap(), "Unavailable");
    assert_eq!(
        environment
            .answer(request("c-1", &["A-1"]))
            .await
            .unwrap()
            .customer_id,
        "c-1"
    );
    table.start_database().await;
    environment.clock.advance(Duration::from_secs(2));
    assert_eq!(
        environment
            .answer(request("c-2", &["A-1"]))
            .await
            .unwrap()
            .customer_id,
        "c-2"
    );
}

#[tokio::test]
async fn an_expired_quote_stands_in_while_the_database_is_stopped_as_long_as_configured() {
    let mut table = Table::seeded().await;
    let variables = [
        ("CACHE_STALE_IF_ERROR_SECONDS", "30"),
        ("CACHE_JITTER_PERCENT", "0"),
    ];
    let environment = table.environment(&variables);
    let warm = environment.answer(request("c-1", &["A-1"])).await.unwrap();
    table.stop_database().await;
    environment.clock.advance(Duration::from_secs(60 + 29));
    assert_eq!(
        environment.answer(request("c-1", &["A-1"])).await.unwrap(),
        warm
    );
    environment.clock.advance(Duration::from_secs(2));
    assert_eq!(
        environment.error(request("c-1", &["A-1"])).await,
        "Unavailable"
    );
}

#[tokio::test]
async fn without_time_left_what_is_cached_is_answered_and_the_rest_is_unavailable() {
    let table = Table::seeded().await;
    let environment = table.environment(&[]);
    environment.answer(request("c-1", &["A-1"])).await.unwrap();
    let at_once = async |id| {
        let json = request(id, &["A-1"]).to_string();
        environment
            .service
            .answer(&json, Deadline::after(Duration::ZERO))
            .await
    };
    assert_eq!(at_once("c-1").await.unwrap().customer_id, "c-1");
    assert_eq!(
        at_once("c-2").await.unwrap_err().error_type(),
        "Unavailable"
    );
}

#[test]
fn an_invocation_reads_until_its_deadline_less_200_ms_if_that_makes_sense() {
    let now = Duration::from_millis(1_000_000);
    let time = |deadline_ms| time_to_read(deadline_ms, now).as_millis();
    assert_eq!(time(1_003_000), 2800);
    assert_eq!(time(1_000_100), 0);
    assert_eq!(time(1_900_000), 899_800);
    for senseless in [0, 999_999, 1_000_000, 1_900_001, u64::MAX] {
        assert_eq!(time(senseless), 2000, "{senseless}");
    }
}

#[test]
fn without_a_level_or_with_one_that_does_not_exist_the_log_has_warnings() {
    for name in ["", "loud"] {
        assert_eq!(log_level(name), log_level("info"), "{name}");
    }
    assert!(log_level("DEBUG") > log_level("INFO"));
}
