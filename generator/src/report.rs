//! What is said of a workspace that was made, or would be: for people, or as one JSON object.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::answers::Answers;
use crate::parameters::{ARCH, IAC};
use crate::problem::shell_quoted;
use crate::render::{self, File};

/// What `--json` prints. Fields are only ever added.
#[derive(Serialize)]
pub struct Report<'a> {
    template_version: &'a str,
    /// The folder, as given with `--path`.
    workspace: Cow<'a, str>,
    /// Nothing was written.
    dry_run: bool,
    answers: serde_json::Map<String, serde_json::Value>,
    files: Vec<FileReport<'a>>,
    /// Commands for a shell, one after the other.
    next: [String; 3],
}

#[derive(Serialize)]
struct FileReport<'a> {
    path: &'a Path,
    bytes: usize,
    executable: bool,
}

impl<'a> Report<'a> {
    pub fn new(answers: &Answers, workspace: &'a Path, tree: &'a [File], dry_run: bool) -> Self {
        let files = tree.iter().map(|file| FileReport {
            path: &file.path,
            bytes: file.contents.len(),
            executable: file.executable,
        });
        Report {
            template_version: env!("CARGO_PKG_VERSION"),
            workspace: workspace.to_string_lossy(),
            dry_run,
            answers: answers.by_key(),
            files: files.collect(),
            next: next(answers, workspace),
        }
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        // All keys are text and all values are plain: serde_json cannot fail on these.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What was made and how to go on.
    pub fn text(&self, answers: &Answers) -> String {
        let [cd, test, deploy] = &self.next;
        let stack = render::stack_name(answers.name());
        let (folder, files) = (&self.workspace, self.files.len());
        let what = match answers.get(&IAC) {
            "terraform" => "asks where the state is".into(),
            _ => format!("makes the stack {stack}"),
        };
        plain(&format!(
            "made {folder}, {files} files\n\nnext:\n  {cd}\n  {test:35}   # starts DynamoDB Local in \
             Docker\n  {deploy}   # {what}\n"
        ))
    }

    /// The files as a tree, with their sizes.
    pub fn tree(&self) -> String {
        let mut root = Folder::default();
        for file in &self.files {
            let mut folder = &mut root;
            let mut parts: Vec<_> = file
                .path
                .iter()
                .map(|part| part.to_string_lossy())
                .collect();
            let name = parts.pop().unwrap_or_default();
            for part in parts {
                folder = folder.folders.entry(part.into_owned()).or_default();
            }
            folder.files.insert(name.into_owned(), file.bytes);
        }
        let mut text = format!("{}\n", self.workspace);
        root.draw("", &mut text);
        let bytes: usize = self.files.iter().map(|file| file.bytes).sum();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{} files, {}; nothing was written\n",
            self.files.len(),
            size(bytes)
        );
        plain(&text)
    }
}

#[derive(Default)]
struct Folder {
    folders: BTreeMap<String, Folder>,
    files: BTreeMap<String, usize>,
}

impl Folder {
    fn draw(&self, indent: &str, text: &mut String) {
        let mut left = self.folders.len() + self.files.len();
        let mut lines = |name: String, inside: Option<&Folder>| {
            left -= 1;
            let (branch, below) = if left == 0 {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            *text += &format!("{indent}{branch}{name}\n");
            if let Some(folder) = inside {
                folder.draw(&format!("{indent}{below}"), text);
            }
        };
        for (name, folder) in &self.folders {
            lines(name.clone(), Some(folder));
        }
        for (name, bytes) in &self.files {
            lines(format!("{name} ({})", size(*bytes)), None);
        }
    }
}

fn size(bytes: usize) -> String {
    if bytes < 1000 {
        format!("{bytes} B")
    } else {
        format!("{:.1} kB", bytes as f64 / 1000.0)
    }
}

/// A text as it is safe on a terminal: what is in a path could move the cursor.
pub fn plain(text: &str) -> String {
    let escaped = |letter: char| match letter.is_control() && letter != '\n' {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// The next commands: into the workspace, its tests, its deployment.
fn next(answers: &Answers, workspace: &Path) -> [String; 3] {
    let deploy = match answers.get(&IAC) {
        "terraform" => format!(
            "cargo lambda build --release --{} --output-format zip && \
             terraform -chdir=infra init && terraform -chdir=infra apply",
            answers.get(&ARCH).replace('_', "-")
        ),
        _ => "cd infra && sam build && sam deploy".to_string(),
    };
    let folder = workspace.display().to_string();
    let folder = match folder.starts_with('-') {
        true => format!("./{folder}"),
        false => folder,
    };
    [
        format!("cd {}", shell_quoted(&folder)),
        "cargo test".into(),
        deploy,
    ]
}
