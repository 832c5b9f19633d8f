//! Failure, for real: DynamoDB Local behind a proxy that delays, cuts, answers with errors, falls
//! silent, and recovers.
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{self, BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, BillingMode};
use cache_core::clock::ManualClock;
use cache_core::dynamodb::{ItemLoader, Items, Table, with_limits};
use cache_core::environment::Environment;
use cache_core::{Cache, Deadline, Error, Loader, ReadError};
use checks::database::Database;
use checks::proxy::{Fault, Proxy};
use serde_json::json;
use tokio::sync::Notify;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Numbers = Items<String, Number>;

#[derive(serde::Deserialize)]
struct Number {
    number: u64,
}

/// One database for the tests that run, and a table and a proxy of its own for each.
struct Setup {
    table: String,
    direct: Client,
    proxy: Proxy,
    clock: Arc<ManualClock>,
    _database: Arc<Database>,
}

static DATABASE: LazyLock<Mutex<Weak<Database>>> = LazyLock::new(Mutex::default);

fn config(endpoint: &str) -> config::Builder {
    aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
        .endpoint_url(endpoint)
}

/// As the function has it.
fn client(endpoint: &str) -> Client {
    Client::from_conf(with_limits(config(endpoint)).build())
}

impl Setup {
    async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let database = {
            let mut shared = DATABASE
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            shared.upgrade().unwrap_or_else(|| {
                let database = Arc::new(Database::start());
                *shared = Arc::downgrade(&database);
                database
            })
        };
        let table = format!("outage-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        // Without limits: on a busy machine they repeat what creates a table.
        let direct = Client::from_conf(config(&database.endpoint).build());
        let (schema, definitions) = handler::KEY.schema().unwrap();
        direct
            .create_table()
            .table_name(&table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(schema))
            .set_attribute_definitions(Some(definitions))
            .send()
            .await
            .unwrap();
        let proxy = Proxy::start(&database.endpoint).await.unwrap();
        Setup {
            table,
            direct,
            proxy,
            clock: Arc::default(),
            _database: database,
        }
    }

    async fn put(&self, key: &str, number: u64) {
        let number = AttributeValue::N(number.to_string());
        let put = self
            .direct
            .put_item()
            .table_name(&self.table)
            .item("number", number);
        put.item("pk", AttributeValue::S(key.into()))
            .send()
            .await
            .unwrap();
    }

    fn loader(&self) -> ItemLoader<String, Number> {
        let table = Table::new(client(&self.proxy.endpoint), &self.table, handler::KEY);
        ItemLoader::new(&table, |key: &String| key.clone())
    }

    /// A TTL of 60 s and 30 s of stale-if-error.
    fn cache(&self) -> Numbers {
        Cache::builder(self.loader())
            .jitter_percent(0)
            .stale_if_error(30 * SECOND)
            .clock(self.clock.clone())
            .memory(1 << 20, |key: &String, _| key.capacity())
            .build()
            .unwrap()
    }
}

/// Patience of the test: what it waits for must come long before.
async fn in_time<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(60 * SECOND, work)
        .await
        .expect("it hangs")
}

async fn get(cache: &Numbers, key: &str) -> Result<Option<u64>, Error<ReadError>> {
    let answer = in_time(cache.get(key, &Deadline::after(20 * SECOND))).await;
    answer.map(|found| found.map(|found| found.number))
}

#[tokio::test]
async fn a_single_failure_is_repeated_and_nobody_sees_it() {
    for fault in [
        Fault::Cut,
        Fault::CutAnswer,
        Fault::Error(500, "InternalServerError"),
        Fault::Error(400, "ProvisionedThroughputExceededException"),
        Fault::Error(400, "ThrottlingException"),
    ] {
        let setup = Setup::new().await;
        setup.put("a", 1).await;
        let mut first = Some(fault);
        setup
            .proxy
            .decide(move |_, _| first.take().unwrap_or(Fault::None));
        let cache = setup.cache();
        assert_eq!(get(&cache, "a").await.unwrap(), Some(1));
        assert_eq!(setup.proxy.seen(), 2);
        assert_eq!(cache.stats().load_errors, 0);
    }
}

#[tokio::test]
async fn an_outage_is_served_from_stale_values_then_as_errors_and_costs_one_load_per_back_off() {
    for fault in [Fault::Cut, Fault::Error(500, "InternalServerError")] {
        let setup = Setup::new().await;
        let keys = ["a", "b", "c", "d"];
        for (number, key) in keys.iter().enumerate() {
            setup.put(key, number as u64).await;
        }
        let cache = setup.cache();
        for key in keys {
            get(&cache, key).await.unwrap();
        }
        setup.proxy.all(fault);
        setup.clock.advance(60 * SECOND);

        // Traffic goes on: every 50 ms all keys.
        let mut back_offs = 0;
        let mut next_load = Duration::ZERO;
        let mut pause = 200 * MS;
        for tick in 0..80 {
            let before = cache.stats();
            for (number, key) in keys.iter().enumerate() {
                assert_eq!(
                    get(&cache, key).await.unwrap(),
                    Some(number as u64),
                    "stale"
                );
            }
            let loads = cache.stats().loads - before.loads;
            let due = tick * 50 * MS >= next_load;
            // At first two: the failure of one key may be its own.
            let expected = u64::from(due) + u64::from(tick == 0);
            assert_eq!(loads, expected, "at {} ms", tick * 50);
            if due {
                back_offs += 1;
                next_load = tick * 50 * MS + pause;
                pause = (2 * pause).min(2 * SECOND);
            }
            setup.clock.advance(50 * MS);
        }
        assert_eq!(cache.stats().load_errors, back_offs + 1);
        assert_eq!(cache.stats().stale_served, 80 * 4);

        // Past the stale bound there are errors, no less quickly.
        setup.clock.advance(26 * SECOND);
        let before = cache.stats().loads;
        for key in keys {
            assert!(get(&cache, key).await.is_err());
        }
        assert_eq!(cache.stats().loads - before, 1);

        // Recovery shows with the first load after the back-off.
        setup.proxy.all(Fault::None);
        setup.clock.advance(2 * SECOND);
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(get(&cache, key).await.unwrap(), Some(number as u64));
        }
    }
}

#[tokio::test]
async fn a_database_that_falls_silent_costs_one_deadline_per_back_off() {
    let setup = Setup::new().await;
    setup.put("a", 1).await;
    let cache = setup.cache();
    setup.proxy.all(Fault::Silence);
    for _ in 0..11 {
        let soon = Deadline::after(300 * MS);
        assert!(in_time(cache.get("a", &soon)).await.is_err());
    }
    assert_eq!(cache.stats().loads, 1);
    setup.proxy.all(Fault::None);
    setup.clock.advance(200 * MS);
    assert_eq!(get(&cache, "a").await.unwrap(), Some(1));
}

#[tokio::test]
async fn early_and_late_callers_of_one_load_each_get_what_their_time_allows() {
    let setup = Setup::new().await;
    setup.put("a", 1).await;
    for early_first in [true, false] {
        let cache = setup.cache();
        let release = Arc::new(Notify::new());
        setup.proxy.all(Fault::Hold(release.clone()));
        let (soon, later) = (Deadline::after(200 * MS), Deadline::after(20 * SECOND));
        let early = async {
            let answer = in_time(cache.get("a", &soon)).await;
            // Only now may the database answer.
            release.notify_one();
            answer
        };
        let late = in_time(cache.get("a", &later));
        let (early, late) = if early_first {
            tokio::join!(early, late)
        } else {
            let (late, early) = tokio::join!(late, early);
            (early, late)
        };
        assert!(early.is_err());
        assert_eq!(late.unwrap().unwrap().number, 1);
        assert_eq!(cache.stats().loads, 1, "one load served both");
        setup.proxy.all(Fault::None);
    }
}

#[tokio::test]
async fn of_several_batches_the_one_that_is_late_or_fails_takes_no_other_with_it() {
    for fault in [Fault::Silence, Fault::Error(500, "InternalServerError")] {
        let setup = Setup::new().await;
        for n in [0, 99, 100, 149] {
            setup.put(&format!("key-{n}"), n).await;
        }
        setup.proxy.decide(move |_, body| {
            if body.contains("\"key-120\"") {
                fault.clone()
            } else {
                Fault::None
            }
        });
        let keys: Vec<_> = (0..150).map(|n| format!("key-{n}")).collect();
        let loaded = in_time(setup.loader().load(keys.clone(), Deadline::after(SECOND)))
            .await
            .unwrap();
        assert_eq!(loaded.found.len(), 2);
        assert_eq!(loaded.failed.len(), 50);
        assert!(
            keys[100..]
                .iter()
                .all(|key| loaded.failed.contains_key(key))
        );

        // Where nothing else exists it is absent, and no part of an outage.
        let keys = keys[100..]
            .iter()
            .cloned()
            .chain((0..100).map(|n| format!("other-{n}")));
        let loader = setup.loader();
        let loaded = loader.load(keys.rev().collect(), Deadline::after(SECOND));
        let loaded = in_time(loaded).await.unwrap();
        assert_eq!((loaded.found.len(), loaded.failed.len()), (0, 50));
    }
}

#[tokio::test]
async fn retries_of_unprocessed_keys_end_with_the_deadline_and_keep_what_came() {
    let setup = Setup::new().await;
    let padding = "x".repeat(350 * 1024);
    for n in 0..60 {
        let put = setup.direct.put_item().table_name(&setup.table);
        let put = put.item("pk", AttributeValue::S(format!("key-{n}")));
        let put = put.item("number", AttributeValue::N(n.to_string()));
        put.item("padding", AttributeValue::S(padding.clone()))
            .send()
            .await
            .unwrap();
    }
    // The first answer holds 16 MB and leaves the rest unprocessed; the second never comes.
    let mut first = true;
    setup.proxy.decide(move |_, _| {
        if std::mem::take(&mut first) {
            Fault::None
        } else {
            Fault::Silence
        }
    });
    let keys: Vec<_> = (0..60).map(|n| format!("key-{n}")).collect();
    let loaded = in_time(setup.loader().load(keys, Deadline::after(3 * SECOND)))
        .await
        .unwrap();
    assert!(loaded.found.len() > 30, "{} came", loaded.found.len());
    assert_eq!(
        loaded.found.len() + loaded.failed.len(),
        60,
        "none is taken for absent"
    );
    assert!(
        loaded
            .failed
            .values()
            .all(|error| matches!(error, ReadError::Deadline))
    );
}

#[tokio::test]
async fn the_function_is_unavailable_in_time_when_the_database_accepts_and_never_answers() {
    let setup = Setup::new().await;
    setup.proxy.all(Fault::Silence);
    let environment = Environment::of([("TABLE_NAME", &setup.table)]);
    let caches = handler::open(client(&setup.proxy.endpoint), environment).unwrap();
    for skus in [vec!["A-1"], vec!["A-1", "B-2"]] {
        let lines: Vec<_> = skus
            .iter()
            .map(|sku| json!({"sku": sku, "quantity": 1}))
            .collect();
        let request = json!({"customer_id": "c-1", "lines": lines}).to_string();
        let soon = Deadline::after(500 * MS);
        let answer = in_time(handler::answer(&caches, &request, &soon)).await;
        assert_eq!(answer.unwrap_err().kind().0, "Unavailable");
    }
}

#[tokio::test]
async fn a_slow_database_delays_and_does_not_fail() {
    let setup = Setup::new().await;
    setup.put("a", 1).await;
    setup.proxy.all(Fault::Delay(300 * MS));
    assert_eq!(get(&setup.cache(), "a").await.unwrap(), Some(1));
}
