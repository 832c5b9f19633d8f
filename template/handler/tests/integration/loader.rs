//! The cache's DynamoDB loader: what only a real database can show.

use std::collections::HashMap;
use std::time::Duration;

use cache_core::dynamodb::{ItemKey, ReadError, TableLoader};
use cache_core::{Deadline, Error, Loader};
use serde::Deserialize;
use serde_json::json;

use crate::support::Table;

#[derive(Clone, Deserialize)]
struct Blob {
    size: usize,
}

fn loader(table: &Table) -> TableLoader<String, Blob> {
    let key = |key: &String| ItemKey::partition("pk", key);
    TableLoader::new(table.client(), &table.name, key)
}

fn keys(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("key-{n}")).collect()
}

async fn found(loader: &TableLoader<String, Blob>, keys: Vec<String>) -> HashMap<String, usize> {
    let loaded = loader.load(keys, Deadline::none()).await.unwrap();
    assert!(loaded.failed.is_empty());
    loaded
        .found
        .into_iter()
        .map(|(key, found)| (key, found.value.size))
        .collect()
}

#[tokio::test]
async fn one_key_is_a_get_item_and_more_are_batches_of_at_most_a_hundred() {
    let table = Table::empty().await;
    for n in [0, 99, 100, 249] {
        table.put(&format!("key-{n}"), json!({"size": n})).await;
    }
    let loader = loader(&table);
    assert_eq!(found(&loader, keys(99..100)).await["key-99"], 99);
    assert_eq!(table.requests(), ["GetItem"]);
    let found = found(&loader, keys(0..250)).await;
    assert_eq!(found.len(), 4, "what does not exist is in neither map");
    assert_eq!(found["key-249"], 249);
    assert_eq!(table.requests(), ["BatchGetItem"; 3]);
}

#[tokio::test]
async fn keys_that_dynamodb_left_unprocessed_are_asked_for_again() {
    let table = Table::empty().await;
    // A BatchGetItem answers with at most 16 MB: 80 times 350 KB take two.
    let padding = "x".repeat(350 * 1024);
    for n in 0..80 {
        table
            .put(&format!("key-{n}"), json!({"size": n, "padding": padding}))
            .await;
    }
    let found = found(&loader(&table), keys(0..80)).await;
    assert_eq!(found.len(), 80);
    assert!(table.requests().len() >= 2, "nothing was left unprocessed");
}

#[tokio::test]
async fn one_failed_batch_fails_only_its_keys() {
    let table = Table::empty().await;
    table.put("key-1", json!({"size": 1})).await;
    let mut keys = keys(0..150);
    // DynamoDB refuses the second batch for it: a partition key has at most 2048 bytes.
    keys[120] = "x".repeat(2049);
    let loaded = loader(&table)
        .load(keys.clone(), Deadline::none())
        .await
        .unwrap();
    assert_eq!(loaded.found.len(), 1);
    assert_eq!(loaded.failed.len(), 50);
    assert!(
        keys[100..]
            .iter()
            .all(|key| loaded.failed.contains_key(key))
    );
}

#[tokio::test]
async fn different_keys_of_the_same_item_get_it_both() {
    let table = Table::empty().await;
    table.put("key-1", json!({"size": 1})).await;
    let key = |key: &String| ItemKey::partition("pk", key.to_lowercase());
    let loader = TableLoader::new(table.client(), &table.name, key);
    let keys = ["key-1", "KEY-1", "key-2"].map(String::from).to_vec();
    let found = found(&loader, keys).await;
    assert_eq!((found.len(), found["key-1"], found["KEY-1"]), (2, 1, 1));
    assert_eq!(table.requests(), ["BatchGetItem"]);
}

#[tokio::test]
async fn reads_are_consistent_only_on_demand() {
    let table = Table::empty().await;
    table.put("key-1", json!({"size": 1})).await;
    // DynamoDB Local is always consistent: that it was asked to be shows in the request alone.
    for consistent in [false, true] {
        let loader = loader(&table).consistent(consistent);
        assert_eq!(found(&loader, keys(1..2)).await["key-1"], 1);
        assert_eq!(found(&loader, keys(0..2)).await["key-1"], 1);
        let bodies = table.bodies();
        assert_eq!(bodies[0]["ConsistentRead"], consistent);
        assert_eq!(
            bodies[1]["RequestItems"][&table.name]["ConsistentRead"],
            consistent
        );
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_decoded_fails_alone_and_is_not_quoted() {
    let table = Table::empty().await;
    table.put("key-1", json!({"size": 1})).await;
    table.put("key-2", json!({"size": "secret"})).await;
    let loaded = loader(&table)
        .load(keys(1..3), Deadline::none())
        .await
        .unwrap();
    assert_eq!(loaded.found["key-1"].value.size, 1);
    let error = &loaded.failed["key-2"];
    assert!(matches!(error, ReadError::Decode(_)));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn a_database_that_never_answers_fails_the_whole_load_at_the_deadline() {
    let table = Table::empty().await;
    // Accepts connections, as the system does for any listener, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = table.client().config().to_builder();
    let config = config.endpoint_url(format!("http://{}", silent.local_addr().unwrap()));
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let key = |key: &String| ItemKey::partition("pk", key);
    let loader: TableLoader<String, Blob> = TableLoader::new(client, &table.name, key);
    for keys in [keys(0..1), keys(0..150)] {
        let load = loader.load(keys, Deadline::after(Duration::from_millis(300)));
        let load = tokio::time::timeout(Duration::from_secs(30), load)
            .await
            .unwrap();
        assert!(matches!(load, Err(ReadError::Deadline)));
    }
    let cache = cache_core::Cache::builder(loader)
        .memory(1 << 20, |_: &String, _| 8)
        .build()
        .unwrap();
    let answer = cache
        .get(&"key-1".into(), Deadline::after(Duration::from_millis(300)))
        .await;
    let Err(Error::Load(error)) = answer else {
        panic!("not failed by the load")
    };
    assert!(matches!(*error, ReadError::Deadline));
}

#[tokio::test]
async fn a_table_that_does_not_exist_fails_the_whole_load() {
    let table = Table::empty().await;
    let key = |key: &String| ItemKey::partition("pk", key);
    let loader: TableLoader<String, Blob> = TableLoader::new(table.client(), "no-such-table", key);
    let error = loader
        .load(keys(0..2), Deadline::none())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, ReadError::Request { code: Some(code), .. } if code == "ResourceNotFoundException"),
        "{error:?}"
    );
}
