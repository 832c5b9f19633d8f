//! The cache's DynamoDB loaders: what only a real database can show.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache_core::clock::{Clock, ManualClock};
use cache_core::dynamodb::{ItemKey, ItemLoader, KeyType, Number, Query, QueryLoader, TableKey};
use cache_core::{Deadline, Error, Loader, ReadError};
use serde::Deserialize;
use serde_json::json;

use crate::support::Table;

const PK: TableKey = TableKey::partition("pk", KeyType::S);
const PK_SK: TableKey = TableKey::partition("PK", KeyType::S).sort("SK", KeyType::S);

#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Blob {
    size: usize,
}

fn table_of(table: &Table, key: TableKey) -> cache_core::dynamodb::Table {
    cache_core::dynamodb::Table::new(table.client(), &table.name, key)
}

fn loader(table: &Table) -> ItemLoader<String, Blob> {
    ItemLoader::new(&table_of(table, PK), |key: &String| key.clone())
}

fn keys(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("key-{n}")).collect()
}

async fn found(loader: &ItemLoader<String, Blob>, keys: Vec<String>) -> HashMap<String, usize> {
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
    let table = Table::with_key(PK).await;
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
    let table = Table::with_key(PK).await;
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
async fn different_keys_of_the_same_item_get_it_both() {
    let table = Table::with_key(PK).await;
    table.put("key-1", json!({"size": 1})).await;
    let loader = ItemLoader::new(&table_of(&table, PK), |key: &String| key.to_lowercase());
    let keys = ["key-1", "KEY-1", "key-2"].map(String::from).to_vec();
    let found = found(&loader, keys).await;
    assert_eq!((found.len(), found["key-1"], found["KEY-1"]), (2, 1, 1));
    assert_eq!(table.requests(), ["BatchGetItem"]);
}

#[tokio::test]
async fn reads_are_consistent_only_on_demand() {
    let table = Table::with_key(PK).await;
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
async fn an_item_that_cannot_be_decoded_fails_alone_and_is_not_shown() {
    let table = Table::with_key(PK).await;
    table.put("key-1", json!({"size": 1})).await;
    table.put("key-2", json!({"size": "secret"})).await;
    let loaded = loader(&table)
        .load(keys(1..3), Deadline::none())
        .await
        .unwrap();
    assert_eq!(loaded.found["key-1"].value.size, 1);
    let error = &loaded.failed["key-2"];
    assert!(matches!(error, ReadError::Decode { at, .. } if at == "size"));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn a_database_that_never_answers_fails_the_whole_load_at_the_deadline() {
    let table = Table::with_key(PK).await;
    // Accepts connections, as the system does for any listener, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = table.client().config().to_builder();
    let config = config.endpoint_url(format!("http://{}", silent.local_addr().unwrap()));
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let hung = cache_core::dynamodb::Table::new(client, &table.name, PK);
    let loader: ItemLoader<String, Blob> = ItemLoader::new(&hung, |key: &String| key.clone());
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
    let soon = Deadline::after(Duration::from_millis(300));
    let answer = cache.get("key-1", &soon).await;
    let Err(Error::Load(error)) = answer else {
        panic!("not failed by the load")
    };
    assert!(matches!(*error, ReadError::Deadline));
}

#[tokio::test]
async fn a_table_that_does_not_exist_fails_the_whole_load() {
    let table = Table::with_key(PK).await;
    let no_table = cache_core::dynamodb::Table::new(table.client(), "no-such-table", PK);
    let loader: ItemLoader<String, Blob> = ItemLoader::new(&no_table, |key: &String| key.clone());
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

#[tokio::test]
async fn the_field_that_cannot_be_decoded_is_named_and_its_value_is_not() {
    #[derive(Debug, Deserialize)]
    struct Order {
        #[expect(dead_code)]
        lines: Vec<Blob>,
    }
    let table = Table::with_key(PK).await;
    table
        .put("a", json!({"lines": [{"size": 1}, {"size": "secret"}]}))
        .await;
    table
        .put("b", json!({"lines": [{"width": "secret"}]}))
        .await;
    let loader: ItemLoader<String, Order> =
        ItemLoader::new(&table_of(&table, PK), |key: &String| key.clone());
    for (key, at) in [("a", "lines[1].size"), ("b", "missing field `size`")] {
        let loaded = loader
            .load(vec![key.into()], Deadline::none())
            .await
            .unwrap();
        let error = loaded.failed[key].to_string();
        assert!(error.ends_with(at) && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn keys_are_numbers_bytes_and_pairs_of_any_name_also_in_a_batch() {
    let key = TableKey::partition("when", KeyType::N).sort("what", KeyType::B);
    let table = Table::with_key(key).await;
    // JSON has no bytes.
    for (when, what) in [("1.50", b"a"), ("-2", b"b"), ("1E2", b"c")] {
        use aws_sdk_dynamodb::types::AttributeValue::{B, N};
        let put = table.client().put_item().table_name(&table.name);
        let put = put.item("when", N(when.into()));
        let put = put.item(
            "what",
            B(aws_sdk_dynamodb::primitives::Blob::new(what.to_vec())),
        );
        put.item("size", N("7".into())).send().await.unwrap();
    }
    table.requests();
    let loader: ItemLoader<(&'static str, u8), Blob> = ItemLoader::new(
        &table_of(&table, key),
        |(when, what): &(&'static str, u8)| {
            let when: Number = when.parse().unwrap();
            ItemKey::from((when, vec![*what]))
        },
    );
    // DynamoDB writes the numbers in its own way.
    let keys = vec![
        ("15E-1", b'a'),
        ("-2.0", b'b'),
        ("100", b'c'),
        ("100", b'd'),
    ];
    let loaded = loader.load(keys.clone(), Deadline::none()).await.unwrap();
    assert_eq!(table.requests(), ["BatchGetItem"]);
    assert_eq!((loaded.found.len(), loaded.failed.len()), (3, 0));
    assert!(!loaded.found.contains_key(&keys[3]));
    let single = loader.load(vec![keys[0]], Deadline::none()).await.unwrap();
    assert_eq!(single.found[&keys[0]].value.size, 7);
}

#[tokio::test]
async fn a_key_that_is_none_of_the_tables_fails_and_is_not_the_databases_fault() {
    let table = Table::with_key(PK_SK).await;
    let one: ItemLoader<String, Blob> =
        ItemLoader::new(&table_of(&table, PK_SK), |key: &String| key.clone());
    let number: ItemLoader<u64, Blob> =
        ItemLoader::new(&table_of(&table, PK_SK), |key: &u64| (*key, *key));
    let failed = one
        .load(vec!["a".into()], Deadline::none())
        .await
        .unwrap()
        .failed;
    assert!(matches!(failed["a"], ReadError::Key(_)));
    let failed = number.load(vec![1], Deadline::none()).await.unwrap().failed;
    assert!(failed[&1].is_about_the_key(), "{:?}", failed[&1]);
}

#[tokio::test]
async fn a_key_that_dynamodb_would_refuse_takes_no_other_of_its_batch_with_it() {
    let table = Table::with_key(PK).await;
    table.put("a", json!({"size": 1})).await;
    table.requests();
    let wrong = [String::new(), "x".repeat(2049)];
    let keys = wrong.iter().cloned().chain(["a".into(), "b".into()]);
    let loaded = loader(&table).load(keys.collect(), Deadline::none()).await;
    let loaded = loaded.unwrap();
    assert_eq!(table.requests(), ["BatchGetItem"]);
    assert_eq!((loaded.found.len(), loaded.failed.len()), (1, 2));
    assert!(
        wrong
            .iter()
            .all(|key| loaded.failed[key].is_about_the_key())
    );
    // Nothing is left to ask.
    let failed = loader(&table).load(wrong.to_vec(), Deadline::none()).await;
    assert_eq!(failed.unwrap().failed.len(), 2);
    assert!(table.requests().is_empty());
}

#[tokio::test]
async fn of_an_item_only_what_is_asked_for_comes() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Part {
        size: usize,
        name: Option<String>,
    }
    let table = Table::with_key(PK).await;
    for key in ["a", "b"] {
        table
            .put(key, json!({"size": 1, "name": "x", "expires_at": 5}))
            .await;
    }
    let of = table_of(&table, PK).end_attribute("expires_at");
    let loader: ItemLoader<String, Part> = ItemLoader::new(&of, |key: &String| key.clone());
    // `size` is a reserved word.
    let loader = loader.attributes(["size", "pk"]);
    for keys in [vec!["a"], vec!["a", "b"]] {
        let keys: Vec<_> = keys.into_iter().map(String::from).collect();
        let loaded = loader.load(keys.clone(), Deadline::none()).await.unwrap();
        assert_eq!(loaded.found.len(), keys.len());
        let found = &loaded.found["a"];
        assert_eq!(
            *found.value,
            Part {
                size: 1,
                name: None
            }
        );
        assert_eq!(found.expires_at, Some(5));
    }
}

/// `PLAN#p`: twelve features, and what is none.
async fn plan() -> Table {
    let table = Table::with_key(PK_SK).await;
    for n in 0..12 {
        let sort = format!("FEATURE#{n:02}");
        let row = json!({"PK": "PLAN#p", "SK": sort, "size": n, "padding": "x".repeat(150_000)});
        table.put_item(row).await;
    }
    table
        .put_item(json!({"PK": "PLAN#p", "SK": "META", "size": 100}))
        .await;
    table
}

async fn rows(loader: QueryLoader<String, Blob>) -> Option<Vec<usize>> {
    let loaded = loader
        .load(vec!["p".into()], Deadline::none())
        .await
        .unwrap();
    assert!(loaded.failed.is_empty());
    let rows = loaded.found.get("p")?.value.iter().map(|row| row.size);
    Some(rows.collect())
}

#[tokio::test]
async fn a_query_reads_a_partition_or_a_part_of_it_in_either_order_up_to_its_limit() {
    let table = plan().await;
    let query = |query: fn(Query) -> Query| {
        QueryLoader::new(&table_of(&table, PK_SK), move |plan: &String| {
            query(Query::partition(format!("PLAN#{plan}")))
        })
    };
    let all: Vec<usize> = (0..12).chain([100]).collect();
    assert_eq!(rows(query(|it| it)).await, Some(all));
    // A page has at most 1 MB.
    assert_eq!(table.requests(), ["Query", "Query"]);
    let features = rows(query(|it| it.begins_with("FEATURE#"))).await;
    assert_eq!(features, Some((0..12).collect()));
    let between = rows(query(|it| it.between("FEATURE#03", "FEATURE#05"))).await;
    assert_eq!(between, Some(vec![3, 4, 5]));
    table.requests();
    let last = query(|it| it.begins_with("FEATURE#").descending().limit(2));
    assert_eq!(rows(last).await, Some(vec![11, 10]));
    assert_eq!(table.requests(), ["Query"]);
    let over_a_page = query(|it| it.limit(9));
    assert_eq!(rows(over_a_page).await, Some((0..9).collect()));
}

#[tokio::test]
async fn an_index_is_queried_by_its_own_key() {
    use aws_sdk_dynamodb::types::{GlobalSecondaryIndex, Projection, ProjectionType};
    let by_plan = TableKey::partition("plan", KeyType::N).sort("size", KeyType::N);
    let table = Table::with_key(PK_SK).await;
    let (schema, of_index) = by_plan.schema().unwrap();
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-plan")
        .set_key_schema(Some(schema))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::All)
                .build(),
        );
    let (schema, of_table) = PK_SK.schema().unwrap();
    let name = format!("{}-indexed", table.name);
    let create = table.client().create_table().table_name(&name);
    let create = create.set_key_schema(Some(schema));
    let create = create.set_attribute_definitions(Some([of_table, of_index].concat()));
    let create = create.billing_mode(aws_sdk_dynamodb::types::BillingMode::PayPerRequest);
    let create = create.global_secondary_indexes(index.build().unwrap());
    create.send().await.unwrap();
    for (sort, plan, size) in [("a", 1, 3), ("b", 1, 2), ("c", 2, 1)] {
        let row = json!({"PK": "p", "SK": sort, "plan": plan, "size": size});
        let row = serde_dynamo::aws_sdk_dynamodb_1::to_item(row).unwrap();
        let put = table.client().put_item().table_name(&name);
        put.set_item(Some(row)).send().await.unwrap();
    }
    let of = cache_core::dynamodb::Table::new(table.client(), &name, PK_SK);
    let loader: QueryLoader<u64, Blob> = QueryLoader::new(&of, |plan: &u64| *plan);
    let loader = loader.index("by-plan", by_plan);
    let loaded = loader.load(vec![1, 2, 3], Deadline::none()).await.unwrap();
    let sizes = |plan| {
        loaded.found[&plan]
            .value
            .iter()
            .map(|row| row.size)
            .collect()
    };
    let sizes: Vec<Vec<usize>> = [1, 2, 3].map(sizes).into();
    assert_eq!(sizes, [vec![2, 3], vec![1], vec![]]);
}

#[tokio::test]
async fn no_rows_are_an_empty_list_or_an_absence_and_a_wrong_range_is_an_error() {
    let table = plan().await;
    let nothing = || {
        QueryLoader::new(&table_of(&table, PK_SK), |plan: &String| {
            Query::partition(format!("PLAN#{plan}")).begins_with("NOTHING")
        })
    };
    assert_eq!(rows(nothing()).await, Some(vec![]));
    assert_eq!(rows(nothing().empty_is_absent()).await, None);

    let no_sort = QueryLoader::<String, Blob>::new(&table_of(&table, PK), |plan: &String| {
        Query::partition(plan).begins_with("x")
    });
    let failed = no_sort
        .load(vec!["p".into()], Deadline::none())
        .await
        .unwrap()
        .failed;
    assert!(matches!(failed["p"], ReadError::Key(_)));
}

#[tokio::test]
async fn rows_end_one_by_one_and_the_list_is_fresh_until_the_first_of_them_does() {
    let table = Table::with_key(PK_SK).await;
    for (sort, end) in [("a", 10), ("b", 20), ("c", 30)] {
        table
            .put_item(json!({"PK": "p", "SK": sort, "size": end, "ends": end}))
            .await;
    }
    let clock = Arc::new(ManualClock::default());
    clock.change(|now| now.wall = Duration::from_secs(15));
    let of = table_of(&table, PK_SK).end_attribute("ends");
    let loader: QueryLoader<String, Blob> = QueryLoader::new(&of, |key: &String| key.clone());
    let loader = loader.without_ended(clock.clone() as Arc<dyn Clock>);
    let loaded = loader
        .load(vec!["p".into()], Deadline::none())
        .await
        .unwrap();
    assert_eq!(
        *loaded.found["p"].value,
        [Blob { size: 20 }, Blob { size: 30 }]
    );
    assert_eq!(loaded.found["p"].expires_at, Some(20));
}

#[tokio::test]
async fn a_database_that_is_gone_fails_a_query_as_a_whole() {
    let mut table = plan().await;
    table.stop_database().await;
    let loader: QueryLoader<String, Blob> =
        QueryLoader::new(&table_of(&table, PK_SK), |plan: &String| plan.clone());
    let load = loader
        .load(vec!["p".into(), "q".into()], Deadline::none())
        .await;
    assert!(matches!(load, Err(ReadError::Request { .. })));
}
