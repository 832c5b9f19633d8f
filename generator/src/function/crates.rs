//! The crate of a function: the template's handler under another name, with its binary as `main.rs`.

use std::path::Path;

use regex_lite::Regex;

use crate::add::project;
use crate::answers::Answers;
use crate::function::Name;
use crate::render::Tree;

/// The files of the crate, and the samples that its tests use.
pub fn files(tree: &Tree, name: &Name, answers: &Answers, root: &Path) -> Tree {
    let samples = format!("samples/{}/", answers.get("start").unwrap_or_default());
    let files = tree.iter().filter_map(|(path, contents)| {
        if path.starts_with(&samples) {
            return Some((path.clone(), contents.clone()));
        }
        let below = path.strip_prefix("handler/")?;
        // It fills the table, which the first function's does already.
        if below.starts_with("examples/") {
            return None;
        }
        let below = match below {
            "src/bin/direct.rs" | "src/bin/http.rs" => "src/main.rs".into(),
            // The binary's modules are where its root is.
            below => below.replace("src/bin/", "src/"),
        };
        let text = String::from_utf8_lossy(contents);
        let text = match below.as_str() {
            "Cargo.toml" => text.replacen(
                "name = \"handler\"",
                &format!("name = {:?}", name.folder),
                1,
            ),
            path if path.ends_with(".rs") => {
                project::formatted(&renamed(&text, &name.snake), "2024", root)
            }
            _ => text.into_owned(),
        };
        Some((format!("{}/{below}", name.folder), text.into_bytes()))
    });
    files.collect()
}

/// Paths of the crate, and what names it for the log.
fn renamed(text: &str, name: &str) -> String {
    let Ok(handler) = Regex::new(r#"\bhandler(::|")"#) else {
        return text.into();
    };
    handler.replace_all(text, format!("{name}$1")).into_owned()
}
