//! `cached-lambda add function`: another function in a workspace that was made of the template. What the template gives
//! for its trigger and its start becomes a crate and a part of the infrastructure with another name.

mod crates;
mod sam;
mod terraform;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use heck::{ToSnakeCase, ToUpperCamelCase};
use serde_json::json;

use crate::add::manifest::{self, Edited};
use crate::add::project;
use crate::answers::Answers;
use crate::changes::Changes;
use crate::cli::Function;
use crate::error::Error as AnyError;
use crate::parameters;
use crate::report::plain;
use crate::template::SOURCES;
use crate::workspace::Workspace;
use crate::{print, prompt, render};

/// Why there is no function more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} exists; nothing was changed", .0.display())]
    Exists(PathBuf),
    #[error("{} has a cache-core alone, and no functions; nothing was changed", .0.display())]
    Vendored(PathBuf),
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    #[error("{file}: {why}; nothing was changed")]
    Infra { file: String, why: String },
}

impl Error {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Exists(_) => Some("choose another name".into()),
            Error::Vendored(_) => Some("`cached-lambda add` puts the cache into a package".into()),
            Error::Manifest(_) | Error::Infra { .. } => None,
        }
    }
}

/// Those that a function has of its own, and what they are where no flag says it.
pub const PARAMETERS: [(&str, &str); 2] = [("trigger", "as the workspace"), ("start", "minimal")];

/// A name in the forms that are needed.
struct Name {
    /// Of the folder and the package.
    folder: String,
    /// Of the crate in Rust, and of what Terraform has.
    snake: String,
    /// Of SAM's resources.
    camel: String,
}

/// Checks a name, and brings it into its case.
///
/// # Errors
/// What is allowed.
pub fn name(given: &str) -> Result<String, String> {
    let name = parameters::all()
        .iter()
        .find(|it| it.key == parameters::NAME);
    name.map_or(Ok(String::new()), |name| name.check(given))?;
    let name = parameters::converted(given);
    let is_taken = |it: &&&str| it.to_snake_case() == name.to_snake_case();
    let taken = [
        "cache-core",
        "handler",
        "infra",
        "samples",
        "target",
        "test",
        "function",
        "core",
        "std",
        "alloc",
    ];
    match taken.iter().find(is_taken) {
        Some(taken) => Err(format!("`{taken}` is something else already")),
        None => Ok(name),
    }
}

/// Adds a function, or says how that would look.
pub fn run(function: &Function) -> Result<(), AnyError> {
    let workspace = Workspace::find(&function.path)?;
    let root = &workspace.root;
    if workspace.is_vendored {
        return Err(Error::Vendored(root.clone()).into());
    }
    let name = Name {
        folder: function.name.clone(),
        snake: function.name.to_snake_case(),
        camel: function.name.to_upper_camel_case(),
    };
    if fs::symlink_metadata(root.join(&name.folder)).is_ok() {
        return Err(Error::Exists(root.join(&name.folder)).into());
    }
    let theirs = workspace.record.answers.clone().or_defaults();
    let answers = of_function(function, &theirs);
    let mut changes = Changes::new(root);
    let tree = render::render(SOURCES, &answers)?;
    for (path, contents) in crates::files(tree, &name, &answers) {
        if changes.read(&path)?.is_none() {
            changes.set(&path, Some(contents))?;
        }
    }
    let manifest = changes.read("Cargo.toml")?.unwrap_or_default();
    let mut manifest = Edited::parse("Cargo.toml", &manifest).map_err(Error::from)?;
    manifest.add_member(&name.folder).map_err(Error::from)?;
    changes.set("Cargo.toml", Some(manifest.bytes()))?;
    match theirs.get("iac") {
        Some("terraform") => terraform::add(&mut changes, &name, &answers, &theirs)?,
        _ => sam::add(&mut changes, &name, &answers)?,
    }

    let also = ["Cargo.lock"];
    if !function.dry_run {
        if !function.allow_dirty {
            changes.refuse_uncommitted(&also)?;
        }
        if prompt::is_possible() && !function.yes && !function.json && !function.quiet {
            say!("{}", plain(&list(&changes)));
            prompt::confirm("Make these changes?")?;
        }
        changes.make(&also, || project::resolve(root))?;
    }
    report(function, &changes, &answers)
}

/// The workspace's answers, but for what the function has of its own.
fn of_function(function: &Function, theirs: &Answers) -> Answers {
    let start = parameters::all().iter().find(|it| it.key == "start");
    let mut answers = function.flags.clone();
    if let (Some(start), None) = (start, answers.get("start")) {
        answers.set(start, "minimal".into());
    }
    answers.or(theirs.clone())
}

fn list(changes: &Changes) -> String {
    let lines = changes
        .list()
        .map(|(path, verb)| format!("  {:<6} {path}\n", verb.word()));
    lines.collect()
}

fn report(function: &Function, changes: &Changes, answers: &Answers) -> Result<(), AnyError> {
    let Function { name, dry_run, .. } = function;
    let next = [format!("cargo test --package {name}")];
    if function.json {
        let files = changes
            .list()
            .map(|(path, verb)| json!({ "path": path, "change": verb }));
        let report = json!({
            "template_version": env!("CARGO_PKG_VERSION"),
            "function": name,
            "dry_run": dry_run,
            "trigger": answers.get("trigger"),
            "start": answers.get("start"),
            "files": files.collect::<Vec<_>>(),
            "next": next,
        });
        return print(&format!("{report}\n"));
    }
    if *dry_run {
        print(&changes.diff())?;
    }
    if !function.quiet {
        let done = match dry_run {
            true => "nothing was written".into(),
            false => format!(
                "added the function {name}\n\nnext:\n  {}",
                next.join("\n  ")
            ),
        };
        say!("{}", plain(&format!("{}{done}", list(changes))));
    }
    Ok(())
}
