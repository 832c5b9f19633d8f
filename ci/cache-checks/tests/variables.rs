//! The book's table of the function's variables says what the function does.
#![allow(clippy::unwrap_used)]

use std::fs;

use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::{Client, Config};
use cache_core::environment::Environment;

/// Opens the caches with a variable set, beside the one that is required.
fn open(name: &str, value: &str) -> Result<(), String> {
    let config = Config::builder().behavior_version(BehaviorVersion::latest());
    let environment = Environment::of([("TABLE_NAME", "quotes"), (name, value)]);
    let caches = handler::open(Client::from_conf(config.build()), environment);
    caches.map(drop).map_err(|error| error.to_string())
}

/// Name, values and default of the rows of a table.
fn rows<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<[String; 3]> {
    let rows = lines.filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().replace('`', ""));
        [1, 0, 0].map(|skipped| cells.nth(skipped).unwrap())
    });
    cells.collect()
}

fn book() -> Vec<[String; 3]> {
    let book = fs::read_to_string(checks::root().join("docs/src/reference.md")).unwrap();
    let section = book
        .lines()
        .skip_while(|line| *line != "## Variables of the function");
    rows(section.skip(1).take_while(|line| !line.starts_with("## ")))
}

#[test]
fn each_variable_of_the_book_takes_its_values_and_no_others() {
    let mut numbers = 0;
    for [name, values, default] in book() {
        // A value that nothing allows names the variable, so it is read at all.
        let error = open(&name, "\0").unwrap_err();
        assert!(error.contains(&format!("{name} is ")), "{error}");
        if let Some((least, most)) = values.split_once("..") {
            let (least, most): (u64, u64) = (least.parse().unwrap(), most.parse().unwrap());
            for value in [least, most] {
                assert_eq!(open(&name, &value.to_string()), Ok(()), "{name}");
            }
            for value in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
                assert!(open(&name, &value.to_string()).is_err(), "{name} {value}");
            }
            numbers += 1;
        } else if values.contains(", ") {
            for value in values.split(", ") {
                assert_eq!(open(&name, value), Ok(()), "{name}");
            }
            assert!(error.contains(&format!("allowed: {values}")), "{error}");
        }
        if !["required", "the function's name"].contains(&default.as_str()) {
            assert_eq!(open(&name, &default), Ok(()), "{name}");
        }
    }
    assert_eq!(numbers, 9);
}

/// The rows of the table behind this text, in a page or in a comment.
fn table(text: &str, after: &str) -> Vec<[String; 3]> {
    let (_, text) = text.split_once(after).unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches(['/', ' ']));
    let lines = lines.skip_while(|line| !line.starts_with('|'));
    rows(lines.take_while(|line| line.starts_with('|')))
}

#[test]
fn the_book_says_the_same_of_the_second_level_as_the_code() {
    let path = "template/cache-core/src/shared/server.rs";
    let code = fs::read_to_string(checks::root().join(path)).unwrap();
    let code = table(&code, "The server of the environment's variables");
    let book = fs::read_to_string(checks::root().join("docs/src/reference.md")).unwrap();
    assert_eq!(table(&book, "## Variables of a second level"), code);
    assert_eq!(code.len(), 7);
}

/// The tests of cache-core hold that table against what is done without a variable.
#[test]
fn the_book_says_the_same_as_the_table_beside_the_code() {
    let path = "template/cache-core/src/environment.rs";
    let code = fs::read_to_string(checks::root().join(path)).unwrap();
    let mut of_code = rows(code.lines().filter_map(|line| line.strip_prefix("//! ")));
    let mut of_book = book();
    // The handler's own.
    of_book.retain(|[name, ..]| name != "TABLE_NAME");
    of_book.sort();
    of_code.sort();
    assert_eq!(of_book.len(), of_code.len());
    for ([name, values, default], of_code) in of_book.iter().zip(&of_code) {
        assert_eq!([name, default], [&of_code[0], &of_code[2]]);
        // Beside the code there is more about some.
        let is_said = of_code[1].starts_with(values.as_str());
        assert!(
            is_said || name == "METRICS_NAMESPACE",
            "{name}: {}",
            of_code[1]
        );
    }
}
