//! `cached-lambda add function`: another function in a workspace that was made of the template. What the template gives
//! for its trigger and its start becomes a crate and a part of the infrastructure with another name.

mod crates;
mod sam;
mod terraform;

use std::fs;
use std::path::PathBuf;

use heck::{ToSnakeCase, ToUpperCamelCase};
use serde_json::json;

use crate::add::manifest::Edited;
use crate::add::{is_keyword, project};
use crate::answers::Answers;
use crate::changes::Changes;
use crate::cli::Function;
use crate::error::Error as AnyError;
use crate::parameters;
use crate::render::{self, Tree};
use crate::template::SOURCES;
use crate::workspace::Workspace;
use crate::{template, upgrade};

/// Why there is no function more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} exists; nothing was changed", .0.display())]
    Exists(PathBuf),
    #[error("the workspace has a target `{0}` already; nothing was changed")]
    Taken(String),
    #[error(
        "the workspace is of another template than this, and its infrastructure, too; nothing was changed"
    )]
    Outdated,
    #[error("{} has a cache-core alone, and no functions; nothing was changed", .0.display())]
    Vendored(PathBuf),
    /// Of the infrastructure.
    #[error("{file}: {why}; nothing was changed")]
    Infra { file: String, why: String },
}

impl Error {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Exists(_) | Error::Taken(_) => Some("choose another name".into()),
            Error::Outdated => Some("`cached-lambda upgrade` first".into()),
            Error::Vendored(_) => Some("`cached-lambda add` puts the cache into a package".into()),
            Error::Infra { .. } => None,
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
    let snake = name.to_snake_case();
    let is_taken = |it: &str| it.to_snake_case() == snake;
    // Crates that the function uses, and what cargo, Terraform and the other function have by that name.
    let crates = template::text("Cargo.toml.liquid").lines();
    let mut crates = crates.filter_map(|line| line.split_once(" = {").or(line.split_once(" = \"")));
    let is_crate = crates.any(|(name, _)| is_taken(name)) || TAKEN.split_whitespace().any(is_taken);
    // Terraform merges such a file into others; the others are how alarms and stages are named.
    let ends = ["_override", "_load"]
        .iter()
        .any(|end| snake.ends_with(end));
    if is_crate || is_keyword(&snake) || ends || snake.starts_with("test_") {
        return Err(format!(
            "`{name}` is the name of something else, or would be part of one"
        ));
    }
    Ok(name)
}

const TAKEN: &str = "alloc build core deployment deps direct domain examples function generic handler http incremental infra lambda \
    lambda_runtime load main override production providers samples source stages std support target test tests \
    version count for_each depends_on";

/// Adds a function, or says how that would look.
pub fn run(function: &Function) -> Result<(), AnyError> {
    let workspace = Workspace::find(&function.path)?;
    let root = &workspace.root;
    if workspace.is_vendored {
        return Err(Error::Vendored(root.clone()).into());
    }
    workspace.refuse_newer()?;
    // What it makes goes together with the workflows and the scripts of today.
    if workspace.record.template_hash.as_deref() != template::hash() {
        return Err(Error::Outdated.into());
    }
    let name = Name {
        folder: function.name.clone(),
        snake: function.name.to_snake_case(),
        camel: function.name.to_upper_camel_case(),
    };
    // By any spelling of the name.
    let mut there = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_it = |it: &PathBuf| {
        it.file_name()
            .is_some_and(|it| it.to_string_lossy().to_snake_case() == name.snake)
    };
    if let Some(there) = there.find(is_it) {
        return Err(Error::Exists(there).into());
    }
    let mut targets = project::targets(root)?.into_iter();
    if let Some(taken) = targets.find(|it| it.to_snake_case() == name.snake) {
        return Err(Error::Taken(taken).into());
    }
    let theirs = workspace.record.answers.clone().or_defaults();
    let answers = of_function(function, &theirs);
    let mut notes = Vec::new();
    let mut changes = Changes::new(root);
    let tree = render::tree(SOURCES, &answers)?;
    for (path, contents) in crates::files(&tree, &name, &answers, root) {
        // The samples may be there.
        if changes.read(&path)?.is_none() {
            changes.set(&path, Some(contents))?;
        }
    }
    let is_same = answers.get("trigger") == theirs.get("trigger");
    if !is_same {
        notes.extend(permit(&mut changes, &tree, &answers, &theirs)?);
    }
    let manifest = changes.read("Cargo.toml")?.unwrap_or_default();
    let mut manifest = Edited::parse("Cargo.toml", &manifest)?;
    manifest.add_member(&name.folder)?;
    changes.set("Cargo.toml", Some(manifest.bytes()))?;
    match theirs.get("iac") {
        Some("terraform") => notes.extend(terraform::add(&mut changes, &name, &tree, is_same)?),
        _ => sam::add(&mut changes, &name, &tree, &answers)?,
    }

    let edit = &function.edit;
    edit.make(&changes, &changes.summary())?;
    let next = format!("cargo test --package {}", name.folder);
    let json = json!({
        "template_version": env!("CARGO_PKG_VERSION"),
        "function": name.folder,
        "dry_run": edit.dry_run,
        "trigger": answers.get("trigger"),
        "start": answers.get("start"),
        "files": changes.json(),
        "notes": notes,
        "next": [next],
    });
    let done = match edit.dry_run {
        true => "nothing was written".into(),
        false => format!("added the function {}\n\nnext:\n  {next}", name.folder),
    };
    let notes: String = notes
        .iter()
        .map(|note| format!("\n\nnote: {note}"))
        .collect();
    edit.report(
        &changes,
        &json,
        &format!("{}{done}{notes}", changes.summary()),
    )
}

/// Lets the role that deploys make what the other trigger has: the difference between the two, into what is there. Or
/// notes what is left to do.
fn permit(
    changes: &mut Changes,
    tree: &Tree,
    answers: &Answers,
    theirs: &Answers,
) -> Result<Option<String>, AnyError> {
    const FILE: &str = "infra/deploy-role.yaml";
    let file = |tree: &Tree| tree.get(FILE).cloned().unwrap_or_default();
    let (with, without) = (file(tree), file(&render::tree(SOURCES, theirs)?));
    let there = changes.read(FILE)?;
    // What the first function's trigger has stays.
    if with.len() <= without.len() {
        return Ok(None);
    }
    let merged = there.map(|there| upgrade::merged(FILE, &without, &there, &with));
    if let Some(Some((merged, true))) = merged.transpose()? {
        changes.set(FILE, Some(merged))?;
        return Ok(None);
    }
    let trigger = answers.get("trigger").unwrap_or_default();
    Ok(Some(format!(
        "{FILE} could not be merged: let the role that deploys make what it has with `new --trigger {trigger}`"
    )))
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
