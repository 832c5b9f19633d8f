//! What it takes to make a rendered workspace one's own: a service of another domain out of the start
//! `minimal`, and one more kind by its declaration alone.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use checks::{cargo, passes_its_own_checks, root, succeed};

/// A file that a patch changed, with the lines that it added and removed.
struct Changed {
    file: String,
    added: u32,
    removed: u32,
}

fn git(workspace: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.current_dir(workspace).args(arguments);
    git
}

/// Applies a patch as a user does, in a repository: git passes over what is outside of it.
fn apply(workspace: &Path, patch: &Path) -> Vec<Changed> {
    succeed(&mut git(workspace, &["init", "--quiet"]));
    succeed(&mut git(workspace, &["add", "--all"]));
    succeed(git(workspace, &["apply"]).arg(patch));
    succeed(&mut git(workspace, &["add", "--all", "--intent-to-add"]));
    let diff = git(workspace, &["diff", "--numstat"]).output().unwrap();
    let diff = String::from_utf8(diff.stdout).unwrap();
    let changed = diff.lines().map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        Changed {
            file: columns[2].into(),
            added: columns[0].parse().unwrap(),
            removed: columns[1].parse().unwrap(),
        }
    });
    changed.collect()
}

/// `GET /users/{id}/features?tenant={id}` over an existing table with a sort key, with four kinds of
/// data of four policies, one of them a Query. With its tests and its infrastructure.
#[test]
fn another_service_is_made_of_the_minimal_start_by_a_small_patch() {
    let folder = tempfile::tempdir().unwrap();
    let chosen = [
        "--start",
        "minimal",
        "--trigger",
        "function-url",
        "--iac",
        "terraform",
    ];
    let workspace = checks::render(folder.path(), "entitlements", &chosen);
    let changed = apply(&workspace, &root().join("ci/checks/entitlements.patch"));
    for Changed {
        file,
        added,
        removed,
    } in &changed
    {
        println!("{file:<32} +{added:<3} -{removed}");
    }
    let added: u32 = changed.iter().map(|it| it.added).sum();
    let removed: u32 = changed.iter().map(|it| it.removed).sum();
    println!("{} files, +{added} -{removed}", changed.len());
    assert!((1..=10).contains(&changed.len()));
    assert!(added + removed <= 500);
    passes_its_own_checks(&workspace);
}

/// The diffs of the book's page up to where promotions are first asked for.
fn declaration_of_promotions() -> String {
    let page = fs::read_to_string(root().join("docs/src/yours.md")).unwrap();
    let diffs = page.split("\n```diff\n").skip(1);
    let diffs = diffs.map(|rest| rest.split_once("\n```").unwrap().0);
    let declaring = diffs.take_while(|diff| !diff.contains(".promotions."));
    declaring.map(|diff| format!("{diff}\n")).collect()
}

#[test]
fn one_more_kind_is_bounded_measured_alarmed_and_switched_off_by_its_declaration_alone() {
    let declaration = declaration_of_promotions();
    let hunks = declaration
        .lines()
        .filter(|line| line.starts_with("@@ "))
        .count();
    assert!((1..=3).contains(&hunks), "{hunks} hunks:\n{declaration}");

    let folder = tempfile::tempdir().unwrap();
    let workspace = checks::render(folder.path(), "my-quotes", &["--start", "quote"]);
    let patch = folder.path().join("declaration.patch");
    fs::write(&patch, declaration).unwrap();
    for Changed { file, .. } in apply(&workspace, &patch) {
        assert!(file.starts_with("handler/src/domain/"), "{file}");
    }
    let test = root().join("ci/checks/one_more_kind.rs");
    fs::copy(test, workspace.join("handler/tests/one_more_kind.rs")).unwrap();
    succeed(&mut cargo(&workspace, &["fmt", "--all", "--check"]));
    // With what the workspace's own tests say of each kind: they need not know of one more.
    let tests = [
        "test",
        "--locked",
        "--package",
        "handler",
        "--test",
        "one_more_kind",
    ];
    succeed(cargo(&workspace, &tests).args(["--test", "quote", "each_kind"]));
}
