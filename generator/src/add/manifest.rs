//! Edits of manifests and of cargo's configuration. Comments, order and line ends stay as they are.

use similar::{ChangeTag, TextDiff};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// What cannot be edited, and why.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}; nothing was changed")]
pub struct Error {
    pub file: String,
    pub why: String,
}

/// A file of TOML under edit.
pub struct Edited {
    file: String,
    before: String,
    document: DocumentMut,
}

/// Before the text of a file, as some editors have it.
const MARK: char = '\u{feff}';

impl Edited {
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let failed = |why: String| Error {
            file: file.into(),
            why,
        };
        let text = std::str::from_utf8(bytes).map_err(|why| failed(why.to_string()))?;
        // A line end inside the document would be part of what stands around each value.
        let plain = text.trim_start_matches(MARK).replace("\r\n", "\n");
        let document = plain.parse::<DocumentMut>();
        Ok(Edited {
            file: file.into(),
            before: text.into(),
            document: document.map_err(|why| failed(why.to_string()))?,
        })
    }

    /// With the line ends that were there. New lines have those that most have.
    pub fn bytes(&self) -> Vec<u8> {
        let (before, after) = (
            self.before.trim_start_matches(MARK),
            self.document.to_string(),
        );
        let ends: Vec<_> = before.split_inclusive('\n').collect();
        let crlf = ends.iter().filter(|line| line.ends_with("\r\n")).count();
        let plain = before.replace("\r\n", "\n");
        let diff = TextDiff::from_lines(&plain, &after);
        let mark = if self.before.starts_with(MARK) {
            "\u{feff}"
        } else {
            ""
        };
        let mut text = mark.to_string();
        for change in diff.iter_all_changes() {
            match (change.tag(), change.old_index()) {
                (ChangeTag::Delete, _) => {}
                (_, Some(old)) => text += ends.get(old).copied().unwrap_or_default(),
                (_, None) if crlf * 2 > ends.len() => text += &change.value().replace('\n', "\r\n"),
                (_, None) => text += change.value(),
            }
        }
        text.into_bytes()
    }

    /// A table, which is made where there is none.
    fn table(&mut self, name: &str) -> Result<&mut dyn TableLike, Error> {
        let failed = || Error {
            file: self.file.clone(),
            why: format!("`{name}` is no table"),
        };
        let error = failed();
        let item = self
            .document
            .entry(name)
            .or_insert(Item::Table(Table::new()));
        item.as_table_like_mut().ok_or(error)
    }

    /// What stands at a path of keys.
    pub fn get(&self, path: &[&str]) -> Option<&Item> {
        let root: &Item = self.document.as_item();
        path.iter().try_fold(root, |item, key| item.get(key))
    }

    /// Adds a dependency, among the others in their order if they have one.
    pub fn depend(&mut self, name: &str, dependency: &[(&str, Value)]) -> Result<(), Error> {
        let file = self.file.clone();
        let table = self.table("dependencies")?;
        if table.contains_key(name) {
            let why = format!(
                "`{name}` is another crate's name there, and has to be free for the one that it names"
            );
            return Err(Error { file, why });
        }
        let is_dotted = |item: &Item| item.as_table().is_some_and(Table::is_dotted);
        let has_dotted = table.iter().any(|(_, item)| is_dotted(item));
        let names: Vec<_> = table.iter().map(|(name, _)| name.to_string()).collect();
        let value: Value = match dependency {
            [("version", version)] => version.clone(),
            fields => {
                let mut table = InlineTable::from_iter(fields.iter().cloned());
                table.fmt();
                table.into()
            }
        };
        table.insert(name, Item::Value(value));
        // What is dotted would be sorted inside, too.
        if names.is_sorted() && !has_dotted {
            table.sort_values();
        }
        Ok(())
    }

    /// Adds a member to the workspace's list, in the way in which the list is written.
    pub fn add_member(&mut self, member: &str) -> Result<(), Error> {
        let members = self.table("workspace")?.get_mut("members");
        if let Some(members) = members.and_then(Item::as_array_mut) {
            push(members, member);
        }
        Ok(())
    }

    /// Sets a variable of `[env]`, with a comment of one line.
    pub fn set_env(&mut self, name: &str, value: &str, comment: &str) -> Result<(), Error> {
        let table = self.table("env")?;
        table.insert(name, Item::Value(value.into()));
        // An inline table has no room for one.
        let is_inline = self.get(&["env"]).is_some_and(Item::is_inline_table);
        let table = self.table("env")?;
        if let (false, Some(mut key)) = (is_inline, table.key_mut(name)) {
            key.leaf_decor_mut().set_prefix(format!("# {comment}\n"));
        }
        Ok(())
    }
}

fn push(array: &mut Array, text: &str) {
    let trailing = array.trailing().as_str().unwrap_or_default().to_string();
    let of = |value: &Value, raw: fn(&toml_edit::Decor) -> Option<&toml_edit::RawString>| {
        let raw = raw(value.decor()).and_then(|raw| raw.as_str());
        raw.unwrap_or_default().to_string()
    };
    let prefix = array
        .iter()
        .last()
        .map(|last| of(last, toml_edit::Decor::prefix));
    let suffix = array
        .iter()
        .last()
        .map(|last| of(last, toml_edit::Decor::suffix));
    let (prefix, suffix) = (prefix.unwrap_or_default(), suffix.unwrap_or_default());
    let Some((_, indent)) = prefix.rsplit_once('\n') else {
        // On one line.
        array.push(text);
        return;
    };
    // A comment behind the last one stays there.
    let comment = match array.trailing_comma() {
        true => suffix.trim_end().to_string() + &trailing,
        false => suffix,
    };
    let mut value = Value::from(text);
    let prefix = format!("{}\n{indent}", comment.trim_end());
    value.decor_mut().set_prefix(prefix);
    if let Some(last) = array.iter_mut().last() {
        last.decor_mut().set_suffix("");
    }
    array.push_formatted(value);
    let closing = comment.rsplit_once('\n').map_or("", |(_, closing)| closing);
    array.set_trailing(format!("\n{closing}"));
    array.set_trailing_comma(true);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: impl Fn(&mut Edited)) -> String {
        let mut edited = Edited::parse("Cargo.toml", text.as_bytes()).unwrap();
        edit(&mut edited);
        String::from_utf8(edited.bytes()).unwrap()
    }

    #[test]
    fn a_member_is_added_as_the_list_is_written() {
        for (before, after) in [
            ("[\"a\"]", "[\"a\", \"cache-core\"]"),
            ("[]", "[\"cache-core\"]"),
            ("[\n    \"a\",\n]", "[\n    \"a\",\n    \"cache-core\",\n]"),
            ("[\n  \"a\"\n]", "[\n  \"a\",\n  \"cache-core\",\n]"),
            (
                "[\n  # one\n  \"a\",\n  \"b\", # two\n  ]",
                "[\n  # one\n  \"a\",\n  \"b\", # two\n  \"cache-core\",\n  ]",
            ),
            (
                "[\n  \"b\"\n  # end\n  ,\n]",
                "[\n  \"b\",\n  # end\n  \"cache-core\",\n]",
            ),
            (
                "[\n  \"b\" # two\n]",
                "[\n  \"b\", # two\n  \"cache-core\",\n]",
            ),
        ] {
            for head in ["[workspace]\nmembers = ", "workspace.members = "] {
                let text = format!("# mine\n{head}{before} # mine, too\n");
                let expected = format!("# mine\n{head}{after} # mine, too\n");
                let is = edited(&text, |it| it.add_member("cache-core").unwrap());
                assert_eq!(is, expected);
                let crlf = edited(&text.replace('\n', "\r\n"), |it| {
                    it.add_member("cache-core").unwrap();
                });
                assert_eq!(crlf, expected.replace('\n', "\r\n"));
            }
        }
        let inline = "workspace = { members = [\"a\"] }\n";
        let is = edited(inline, |it| it.add_member("b").unwrap());
        assert_eq!(is, "workspace = { members = [\"a\", \"b\"] }\n");
    }

    #[test]
    fn a_dependency_goes_where_the_others_are_and_changes_none() {
        let path = [("path", Value::from("c"))];
        for (before, after) in [
            (
                "[dependencies]\na = \"1\" # a\n# about d\nd = \"1\"\n\n[features]\n",
                "[dependencies]\na = \"1\" # a\nc = { path = \"c\" }\n# about d\nd = \"1\"\n\n[features]\n",
            ),
            (
                "[dependencies]\nz = \"1\"\na = \"1\"\n",
                "[dependencies]\nz = \"1\"\na = \"1\"\nc = { path = \"c\" }\n",
            ),
            (
                "[package]\nname = \"x\"\n",
                "[package]\nname = \"x\"\n\n[dependencies]\nc = { path = \"c\" }\n",
            ),
            (
                "dependencies = { a = \"1\" }\n",
                "dependencies = { a = \"1\" , c = { path = \"c\" } }\n",
            ),
            (
                "[dependencies.a]\nversion = \"1\"\n",
                "[dependencies]\nc = { path = \"c\" }\n[dependencies.a]\nversion = \"1\"\n",
            ),
            (
                "[dependencies]\na.version = \"1\"\na.features = []\nz = \"1\"\n",
                "[dependencies]\na.version = \"1\"\na.features = []\nz = \"1\"\nc = { path = \"c\" }\n",
            ),
            (
                "\u{feff}[dependencies]\r\na = \"1\"\n\n",
                "\u{feff}[dependencies]\r\na = \"1\"\nc = { path = \"c\" }\n\n",
            ),
            (
                "dependencies.a = \"1\"\n",
                "dependencies.a = \"1\"\ndependencies.c = { path = \"c\" }\n",
            ),
        ] {
            let is = edited(before, |it| it.depend("c", &path).unwrap());
            assert_eq!(is, after);
        }
        let taken = Edited::parse("Cargo.toml", b"[dependencies]\nc.package = \"d\"\n");
        let error = taken.unwrap().depend("c", &path).unwrap_err().to_string();
        assert!(
            error.contains("`c` is another crate's name there"),
            "{error}"
        );
        let version = [("version", Value::from("1"))];
        let is = edited("[dependencies]\n", |it| it.depend("c", &version).unwrap());
        assert_eq!(is, "[dependencies]\nc = \"1\"\n");
        let error = Edited::parse("Cargo.toml", b"dependencies = 1").unwrap();
        let mut error = error;
        let error = error.depend("c", &path).unwrap_err().to_string();
        assert_eq!(
            error,
            "Cargo.toml: `dependencies` is no table; nothing was changed"
        );
    }

    #[test]
    fn a_variable_is_set_among_the_others() {
        for (before, after) in [
            (
                "[build]\njobs = 1\n",
                "[build]\njobs = 1\n\n[env]\n# why\nX = \"1\"\n",
            ),
            ("[env]\nA = \"0\"\n", "[env]\nA = \"0\"\n# why\nX = \"1\"\n"),
            ("env = { A = \"0\" }\n", "env = { A = \"0\" , X = \"1\" }\n"),
        ] {
            let is = edited(before, |it| it.set_env("X", "1", "why").unwrap());
            assert_eq!(is, after);
        }
    }
}
