//! The book's table of the function's variables says what the function does.
#![allow(clippy::unwrap_used)]

use std::fs;

use handler::config::Config;

/// With a variable set, beside the one that is required.
fn read(name: &str, value: &str) -> Result<Config, String> {
    let config = Config::read(|asked| match asked {
        _ if asked == name => Some(value.into()),
        "TABLE_NAME" => Some("quotes".into()),
        _ => None,
    });
    config.map_err(|error| error.to_string())
}

#[test]
fn each_variable_of_the_book_has_its_values_and_its_default() {
    let book = fs::read_to_string(checks::root().join("docs/src/reference.md")).unwrap();
    let rows = book
        .lines()
        .skip_while(|line| *line != "## Variables of the function");
    let rows = rows.skip(1).take_while(|line| !line.starts_with("## "));
    let mut numbers = 0;
    for row in rows.filter(|row| row.starts_with("| `")) {
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect();
        let [name, values, default] = [&cells[1], &cells[2], &cells[3]];
        // A value that nothing allows names the variable, so it is read at all.
        let error = read(name, "\0").unwrap_err();
        assert!(error.contains(name.as_str()), "{name}");
        if let Some((least, most)) = values.split_once("..") {
            let (least, most): (u64, u64) = (least.parse().unwrap(), most.parse().unwrap());
            for value in [least, most] {
                assert!(read(name, &value.to_string()).is_ok(), "{name} {value}");
            }
            for value in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
                assert!(read(name, &value.to_string()).is_err(), "{name} {value}");
            }
            numbers += 1;
        } else if values.contains(", ") {
            for value in values.split(", ") {
                assert!(read(name, value).is_ok(), "{name} {value}");
                assert!(error.contains(value), "{name} {value}");
            }
        }
        if !["required", "the function's name"].contains(&default.as_str()) {
            assert_eq!(read(name, default), read("NONE", ""), "{name}");
        }
    }
    assert_eq!(numbers, 6);
}
