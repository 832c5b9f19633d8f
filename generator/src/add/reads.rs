//! What a package's code asks of DynamoDB: where it reads, and what each read could become.

use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use serde::Serialize;

use crate::add::kind::{KeyParts, Tags};

/// A request to DynamoDB in the code.
#[derive(Debug, Serialize)]
pub struct Call {
    /// Relative to the workspace, with `/` between its parts.
    pub file: String,
    pub line: usize,
    /// As the SDK calls it.
    pub call: String,
    /// Of a read: what it could become. Of a write: what it has to do then.
    pub becomes: String,
    #[serde(skip)]
    pub is_read: bool,
    #[serde(skip)]
    pub key: KeyParts,
}

/// Looks through the files of a package. Text and not syntax: a read in a macro counts, and one in a comment at the
/// beginning of a line does not.
pub fn find(folder: &Path, root: &Path) -> Vec<Call> {
    let mut files = Vec::new();
    sources(folder, &mut files);
    files.sort();
    files.iter().flat_map(|file| calls(file, root)).collect()
}

/// Where a package has types with these names, but for the file that `add` writes.
pub fn types(folder: &Path, root: &Path, names: &[&str]) -> Vec<(String, String)> {
    let (mut files, mut found) = (Vec::new(), Vec::new());
    sources(folder, &mut files);
    files.sort();
    let definition = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum) (\w+)");
    for file in files.iter().filter(|file| !file.ends_with("src/caches.rs")) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let defined = definition.iter().flat_map(|it| it.captures_iter(&text));
        let names = defined
            .filter_map(|it| it.get(1))
            .filter(|it| names.contains(&it.as_str()));
        for name in names {
            let line = text[..name.start()].matches('\n').count() + 1;
            let place = format!("{}:{line}", relative(file, root));
            found.push((place, name.as_str().to_string()));
        }
    }
    found
}

fn relative(file: &Path, root: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    below.to_string_lossy().replace('\\', "/")
}

/// What keys begin with up to a `#` in the code of a package that reads, as far as they are written out.
pub fn tags(calls: &[Call], root: &Path) -> Tags {
    let mut files: Vec<_> = calls.iter().map(|call| root.join(&call.file)).collect();
    files.dedup();
    let tag = Regex::new(r#""(\w+)#"#);
    let texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    let found = texts.flat_map(|text| {
        let found = tag.iter().flat_map(|tag| tag.captures_iter(&text));
        found.map(|found| found[1].to_string()).collect::<Vec<_>>()
    });
    Tags((!files.is_empty()).then(|| found.collect()))
}

/// Rust files, without what is built and without packages inside.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        let is_skipped = name == "target" || name.to_string_lossy().starts_with('.');
        if kind.is_dir() && !is_skipped && !path.join("Cargo.toml").exists() {
            sources(&path, files);
        } else if kind.is_file() && path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

fn calls(file: &Path, root: &Path) -> Vec<Call> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // The SDK's calls have no arguments, unlike those of other libraries with such a name.
    let Ok(call) = Regex::new(
        r"\.\s*(get_item|batch_get_item|query|scan|put_item|update_item|delete_item|batch_write_item|transact_write_items)\s*\(\s*\)",
    ) else {
        return Vec::new();
    };
    let relative = relative(file, root);
    let found = call.captures_iter(&text).filter_map(|found| {
        let (name, at) = (found.get(1)?, found.get(0)?);
        let start = text[..at.start()].rfind('\n').map_or(0, |end| end + 1);
        if text[start..].trim_start().starts_with("//") {
            return None;
        }
        // Up to where it is sent: further away it is another request.
        let rest = &text[at.end()..];
        let request = &rest[..rest.find(".send(").unwrap_or(0)];
        // Others have queries, too; the SDK's say of what.
        let has_table = rest
            .split(';')
            .next()
            .is_some_and(|it| it.contains("table_name("));
        if matches!(name.as_str(), "query" | "scan") && !has_table {
            return None;
        }
        let key = key(request);
        let (is_read, becomes) = match name.as_str() {
            "get_item" => (true, item(request)),
            "batch_get_item" => (
                true,
                "get_many(keys, ..) of the kind whose items these are".into(),
            ),
            "query" => (true, "Rows<K, V> = table.query(|key| ..)".into()),
            "scan" => (true, "nothing: a Scan has no key to remember it by".into()),
            _ => (false, String::new()),
        };
        Some(Call {
            file: relative.clone(),
            line: text[..name.start()].matches('\n').count() + 1,
            call: name.as_str().into(),
            becomes,
            is_read,
            key,
        })
    });
    found.collect()
}

/// The names and types in `.key("pk", AttributeValue::S(..))`.
fn key(request: &str) -> KeyParts {
    let part = Regex::new(r#"\.key\(\s*"(\w+)"\s*,\s*(?:\w+::)*([SNB])\("#);
    let parts = part.iter().flat_map(|part| part.captures_iter(request));
    parts
        .map(|part| (part[1].to_string(), part[2].to_string()))
        .collect()
}

/// The declaration that a GetItem could become, with the key as it is written there where that is a text.
fn item(request: &str) -> String {
    let literal = Regex::new(r#"[SNB]\(\s*format!\(\s*"([^"{}]*)\{[^}]*\}"\s*[,)]"#);
    let prefix = literal
        .ok()
        .and_then(|it| Some(it.captures(request)?.get(1)?.as_str().to_string()));
    match (prefix, key(request).len()) {
        (Some(prefix), 0 | 1) => {
            format!("Items<String, V> = table.item(|id| format!(\"{prefix}{{id}}\"))")
        }
        (_, 2) => "Items<(P, S), V> = table.item(|(partition, sort)| ..)".into(),
        _ => "Items<K, V> = table.item(|key| ..)".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_seen_with_their_lines_and_keys_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("src/main.rs");
        fs::create_dir(folder.path().join("src")).unwrap();
        let code = r#"
async fn all(client: &Client) {
    // client.get_item()
    let one = client.get_item().table_name("t")
        .key("PK", AttributeValue::S(format!("USER#{}", id)))
        .key("SK", aws_sdk_dynamodb::types::AttributeValue::N("1".into()))
        .send().await;
    let two = client
        .get_item()
        .key("pk", AttributeValue::S(format!("USER#{id}")))
        .send().await;
    http.query(&[("a", "b")]).send().await;
    client.query().table_name("t").send().await;
    request.uri().query().send().await;
    client.put_item().send().await;
}
"#;
        fs::write(source, code).unwrap();
        // Of another package.
        fs::create_dir(folder.path().join("other")).unwrap();
        fs::write(folder.path().join("other/Cargo.toml"), "").unwrap();
        fs::write(folder.path().join("other/x.rs"), "a.get_item()").unwrap();
        let calls = find(folder.path(), folder.path());
        let said = calls
            .iter()
            .map(|it| (it.line, it.call.as_str(), it.is_read));
        let said: Vec<_> = said.collect();
        assert_eq!(
            said,
            [
                (4, "get_item", true),
                (9, "get_item", true),
                (13, "query", true),
                (15, "put_item", false)
            ]
        );
        let part = |name: &str, kind: &str| (name.to_string(), kind.to_string());
        assert_eq!(calls[0].key, [part("PK", "S"), part("SK", "N")]);
        assert_eq!(
            calls[0].becomes,
            "Items<(P, S), V> = table.item(|(partition, sort)| ..)"
        );
        assert_eq!(
            calls[1].becomes,
            "Items<String, V> = table.item(|id| format!(\"USER#{id}\"))"
        );
        assert_eq!(calls[3].file, "src/main.rs");
    }
}
