//! The function in an execution environment: warm, expired, switched off, in an outage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use cache_core::Deadline;
use cache_core::clock::Clock;
use serde_json::{Value, json};

use crate::support::{Environment, Table};
use crate::{ITEMS, REQUEST};

const SECOND: Duration = Duration::from_secs(1);

/// An environment in which each kind lives exactly 60 seconds, whatever its declaration says, but for
/// these `values`: `TTL_SECONDS` stands for `CACHE_<KIND>_TTL_SECONDS` of all kinds.
fn with_each_kind(table: &Table, values: &[(&str, &str)]) -> Environment {
    let mut of_each = BTreeMap::from([
        ("TTL_POLICY", "fixed"),
        ("TTL_SECONDS", "60"),
        ("STALE_IF_ERROR_SECONDS", "0"),
    ]);
    of_each.extend(values.iter().copied());
    let mut variables = vec![("CACHE_JITTER_PERCENT".to_string(), "0")];
    for (kind, _) in table.environment(&[]).caches.stats() {
        let kind = kind.to_uppercase();
        let of_kind = of_each
            .iter()
            .map(|(name, value)| (format!("CACHE_{kind}_{name}"), *value));
        variables.extend(of_kind);
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (name.as_str(), *value));
    table.environment(&variables.collect::<Vec<_>>())
}

async fn answer(environment: &Environment) -> Result<Value, &'static str> {
    let request = serde_json::from_str(REQUEST).unwrap();
    let answer = environment.answer(request).await;
    let answer = answer.map(|answer| serde_json::to_value(answer).unwrap());
    answer.map_err(|error| error.kind().0)
}

/// The kinds that were read: the sample request need not ask for each that is declared.
fn kinds_read(environment: &Environment) -> Vec<&'static str> {
    let kinds = environment.caches.stats().into_iter();
    let read = kinds.filter(|(_, stats)| stats.loads > 0);
    read.map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_warm_environment_answers_without_a_read_until_the_ttl_is_over() {
    let table = Table::of(ITEMS).await;
    let environment = with_each_kind(&table, &[]);
    let cold = answer(&environment).await.unwrap();
    let reads = table.requests();
    assert!(!reads.is_empty());
    for _ in 0..2 {
        environment.clock.advance(29 * SECOND);
        assert_eq!(answer(&environment).await.unwrap(), cold);
        assert_eq!(table.requests(), [""; 0]);
    }
    environment.clock.advance(2 * SECOND);
    assert_eq!(answer(&environment).await.unwrap(), cold);
    assert_eq!(table.requests(), reads);
}

#[tokio::test]
async fn what_was_fresh_before_a_freeze_is_not_after_it_by_either_clock() {
    let table = Table::of(ITEMS).await;
    let environment = with_each_kind(&table, &[]);
    for frozen in [0, 1] {
        answer(&environment).await.unwrap();
        table.requests();
        environment.clock.change(|now| match frozen {
            0 => now.wall += 3600 * SECOND,
            _ => now.monotonic += 3600 * SECOND,
        });
        answer(&environment).await.unwrap();
        assert!(!table.requests().is_empty());
    }
}

#[tokio::test]
async fn switched_off_every_read_goes_to_dynamodb() {
    let table = Table::of(ITEMS).await;
    let policies = ["fixed", "per-item", "immutable"];
    let by_ttl = policies
        .map(|policy| with_each_kind(&table, &[("TTL_SECONDS", "0"), ("TTL_POLICY", policy)]));
    let by_switch = policies.map(|policy| {
        table.environment(&[("CACHE_ENABLED", "false"), ("CACHE_TTL_POLICY", policy)])
    });
    for environment in by_ttl.into_iter().chain(by_switch) {
        answer(&environment).await.unwrap();
        let reads = table.requests();
        answer(&environment).await.unwrap();
        assert_eq!(table.requests(), reads);
        assert!(!reads.is_empty());
    }
}

#[tokio::test]
async fn each_kind_has_variables_of_its_own() {
    let table = Table::of(ITEMS).await;
    let plain = table.environment(&[]);
    answer(&plain).await.unwrap();
    let kinds = kinds_read(&plain);
    for kind in &kinds {
        let name = format!("CACHE_{}_TTL_SECONDS", kind.to_uppercase());
        let environment = table.environment(&[(&name, "0")]);
        for _ in 0..2 {
            answer(&environment).await.unwrap();
        }
        for (name, stats) in environment.caches.stats() {
            let is_kept = kinds.contains(&name) && name != *kind;
            assert_eq!(stats.entries > 0, is_kept, "{name}");
        }
    }
}

#[tokio::test]
async fn immutable_items_are_read_once_and_per_item_they_end_when_they_say() {
    let table = Table::of(ITEMS).await;
    let immutable = with_each_kind(&table, &[("TTL_POLICY", "immutable")]);
    let first = answer(&immutable).await.unwrap();
    let reads = table.requests();
    immutable.clock.advance(1_000_000 * SECOND);
    assert_eq!(answer(&immutable).await.unwrap(), first);
    assert_eq!(table.requests(), [""; 0]);

    let per_item = with_each_kind(&table, &[("TTL_POLICY", "per-item")]);
    let end = per_item.clock.now().wall.as_secs() + 10;
    for mut item in serde_json::from_str::<Vec<Value>>(ITEMS).unwrap() {
        item["expires_at"] = json!(end);
        table.put_item(item).await;
    }
    assert_eq!(answer(&per_item).await.unwrap(), first);
    per_item.clock.advance(9 * SECOND);
    assert_eq!(answer(&per_item).await.unwrap(), first);
    assert_eq!(table.requests(), reads);
    per_item.clock.advance(SECOND);
    let error = answer(&per_item)
        .await
        .expect_err("DynamoDB has not deleted them yet");
    assert_ne!(error, "Unavailable");
}

#[tokio::test]
async fn with_the_database_stopped_what_is_warm_goes_on_and_what_is_not_is_unavailable_until_it_is_back()
 {
    let mut table = Table::of(ITEMS).await;
    let environment = with_each_kind(&table, &[]);
    let warm = answer(&environment).await.unwrap();
    table.stop_database().await;
    assert_eq!(answer(&environment).await.unwrap(), warm);
    environment.clock.advance(60 * SECOND);
    // Far less than the test's own patience: it answers in time rather than hang.
    let late = tokio::time::timeout(30 * SECOND, answer(&environment)).await;
    assert_eq!(late.unwrap(), Err("Unavailable"));
    table.start_database().await;
    // Past the back-off.
    environment.clock.advance(2 * SECOND);
    assert_eq!(answer(&environment).await.unwrap(), warm);
}

#[tokio::test]
async fn what_is_expired_stands_in_while_the_database_is_stopped_as_long_as_configured() {
    let mut table = Table::of(ITEMS).await;
    let environment = with_each_kind(&table, &[("STALE_IF_ERROR_SECONDS", "30")]);
    let warm = answer(&environment).await.unwrap();
    table.stop_database().await;
    environment.clock.advance(89 * SECOND);
    assert_eq!(answer(&environment).await.unwrap(), warm);
    environment.clock.advance(2 * SECOND);
    assert_eq!(answer(&environment).await, Err("Unavailable"));
}

#[tokio::test]
async fn without_time_left_what_is_cached_is_answered_and_the_rest_is_unavailable() {
    let table = Table::of(ITEMS).await;
    let environment = table.environment(&[]);
    let at_once = async || {
        let now = Deadline::after(Duration::ZERO);
        handler::answer(&environment.caches, REQUEST, &now).await
    };
    assert_eq!(at_once().await.err().unwrap().kind().0, "Unavailable");
    answer(&environment).await.unwrap();
    assert!(at_once().await.is_ok());
}

#[tokio::test]
async fn each_kind_reports_its_metrics_and_the_function_its_failed_loads() {
    let table = Table::of(ITEMS).await;
    let environment = table.environment(&[]);
    assert_eq!(environment.caches.metrics(), [""; 0]);
    answer(&environment).await.unwrap();
    let lines = environment.caches.metrics();
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["Cache"].as_str().unwrap())
        .collect();
    assert_eq!(names, kinds_read(&environment));
    for line in &lines {
        let directives = &line["_aws"]["CloudWatchMetrics"];
        assert_eq!(directives[1]["Dimensions"], json!([["FunctionName"]]));
        assert_eq!(directives[1]["Metrics"][0]["Name"], "CacheLoadErrors");
        assert_eq!(line["CacheLoads"], 1);
    }
    assert_eq!(environment.caches.metrics(), [""; 0]);
}

#[tokio::test]
async fn a_wrong_environment_is_told_on_one_line() {
    let table = Table::empty().await;
    let kind = table.environment(&[]).caches.stats()[0].0.to_uppercase();
    let misspelt = format!("CACHE_{kind}X_TTL_SECONDS");
    let wrong = [(misspelt.as_str(), "1"), ("CACHE_ENABLED", "yes")];
    let wrong = cache_core::environment::Environment::of(wrong);
    let error = handler::open(table.client(), wrong)
        .err()
        .unwrap()
        .to_string();
    assert_eq!(error.lines().count(), 1);
    for part in [
        "TABLE_NAME is not set, allowed: a table name",
        r#"CACHE_ENABLED is "yes", allowed: true, false"#,
        &format!("did you mean CACHE_{kind}_TTL_SECONDS?"),
    ] {
        assert!(error.contains(part), "{error}");
    }
}

/// The words behind `before` in the files of `infra/`, where any white space is one space.
fn words_in_infra(before: &str) -> BTreeSet<String> {
    fn files(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            match path.is_dir() {
                // Terraform keeps its providers there: hundreds of megabytes.
                _ if entry.file_name() == ".terraform" => {}
                true => files(&path, found),
                false => found.extend(fs::read_to_string(path)),
            }
        }
    }
    let mut texts = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra"),
        &mut texts,
    );
    let mut words = BTreeSet::new();
    for text in &texts {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for behind in text.split(before).skip(1) {
            let word = behind.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            words.extend(word.take(1).map(String::from));
        }
    }
    words
}

#[tokio::test]
async fn the_functions_role_allows_what_it_asks_and_its_table_has_the_key_that_it_reads_by() {
    let table = Table::of(ITEMS).await;
    answer(&table.environment(&[])).await.unwrap();
    let allowed = words_in_infra("dynamodb:");
    for operation in table.requests() {
        assert!(
            allowed.contains(&operation),
            "{operation} is not in the role: {allowed:?}"
        );
    }
    let places = ["AttributeName: ", "hash_key = \"", "range_key = \""];
    let names: BTreeSet<_> = places.into_iter().flat_map(words_in_infra).collect();
    for name in handler::KEY.names() {
        assert!(
            names.contains(name),
            "{name} is no key in infra/: {names:?}"
        );
    }
}

#[test]
fn without_a_level_or_with_one_that_does_not_exist_the_log_has_warnings() {
    use handler::lambda::log_level;
    for name in ["", "loud"] {
        assert_eq!(log_level(name), log_level("info"), "{name}");
    }
    assert!(log_level("DEBUG") > log_level("INFO"));
}
