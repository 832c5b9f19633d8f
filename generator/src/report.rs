//! What is said of a workspace that was made, or would be: for people, or as one JSON object.

use std::path::Path;

use serde_json::{Value, json};

use crate::answers::Answers;
use crate::render::File;

pub struct Report<'a> {
    pub answers: &'a Answers,
    pub workspace: &'a Path,
    pub tree: &'a [File],
    /// Nothing was written.
    pub dry_run: bool,
}

impl Report<'_> {
    /// What `--json` prints, on one line. Fields are only ever added.
    pub fn json(&self) -> String {
        let files = self.tree.iter().map(
            |file| json!({ "path": file.path.to_string_lossy(), "bytes": file.contents.len() }),
        );
        let report = json!({
            "template_version": env!("CARGO_PKG_VERSION"),
            "workspace": self.workspace.to_string_lossy(),
            "dry_run": self.dry_run,
            "answers": self.answers.json(),
            "files": files.collect::<Vec<Value>>(),
            "next": self.next(),
        });
        report.to_string()
    }

    /// What was made and how to go on.
    pub fn text(&self) -> String {
        let (workspace, files) = (self.workspace.display(), self.tree.len());
        let mut text = format!("made {workspace}, {files} files\n\nnext:");
        for command in self.next() {
            text += &format!("\n  {command}");
            text += match command.as_str() {
                "cargo test" => "   # starts DynamoDB Local in Docker",
                "terraform -chdir=infra/terraform/stages/production init" => {
                    "   # asks where the state is"
                }
                _ => "",
            };
        }
        plain(&text)
    }

    /// The files with their sizes.
    pub fn list(&self) -> String {
        let (mut list, mut sum) = (String::new(), 0);
        for file in self.tree {
            let (path, bytes) = (self.workspace.join(&file.path), file.contents.len());
            list += &format!("{bytes:>9} {}\n", path.display());
            sum += bytes;
        }
        let files = self.tree.len();
        plain(&format!(
            "{list}{files} files, {sum} bytes; nothing was written\n"
        ))
    }

    /// Commands for a shell, one after the other: into the workspace, its tests, its deployment.
    fn next(&self) -> Vec<String> {
        let get = |key| self.answers.get(key).unwrap_or_default();
        let cd = format!("cd {}", quoted(self.workspace));
        let arch = get("arch").replace('_', "-");
        let deploy: &[&str] = match get("iac") {
            "sam" => &["cd infra/sam", "sam build", "sam deploy"],
            "terraform" => &[
                &format!("cargo lambda build --release --{arch} --output-format zip"),
                "terraform -chdir=infra/terraform/stages/production init",
                "terraform -chdir=infra/terraform/stages/production apply",
            ],
            _ => &[],
        };
        let commands = [&cd, "cargo test"]
            .into_iter()
            .chain(deploy.iter().copied());
        commands.map(Into::into).collect()
    }
}

/// A text as it is safe on a terminal: what is in a path could move the cursor or turn the line.
pub fn plain(text: &str) -> String {
    let is_harmful = |letter: char| match letter {
        '\n' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => letter.is_control(),
    };
    let escaped = |letter: char| match is_harmful(letter) {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// A path as shells take it; a first hyphen would be a flag.
pub fn quoted(path: &Path) -> String {
    let path = match path.to_string_lossy() {
        path if path.starts_with('-') => format!("./{path}"),
        path => path.into_owned(),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || "-_.:\\/".contains(char::from(byte));
    match cfg!(windows) {
        true if path.bytes().all(is_plain) => path,
        true => format!("\"{path}\""),
        // It fails at a null byte alone, which no path holds.
        false => shlex::try_quote(&path).map_or(path.clone(), Into::into),
    }
}
