//! What it takes to make a rendered workspace one's own: a service of another domain out of the start
//! `minimal`, and one more kind by its declaration alone.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use checks::{cargo, passes_its_own_checks, root, succeed};

/// One test renders and builds at a time. Cargo takes workspaces that are built into one folder for the
/// same by their crates' names, and tells them apart by when their files were written: what is built
/// has to be the last that was rendered.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A file that a patch changed, with the lines that it added and removed.
struct Changed {
    added: u32,
    removed: u32,
    file: String,
}

/// Applies a patch as a user does, in a repository: inside of another one git would apply nothing.
fn apply(workspace: &Path, patch: &Path) -> Vec<Changed> {
    succeed(Command::new("git").args(["init", "--quiet"]).arg(workspace));
    let mut apply = Command::new("git");
    apply.current_dir(workspace);
    apply.args(["apply", "--numstat", "--apply"]).arg(patch);
    let output = apply.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let changed = String::from_utf8(output.stdout).unwrap();
    let changed = changed.lines().map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        Changed {
            added: columns[0].parse().unwrap(),
            removed: columns[1].parse().unwrap(),
            file: columns[2].into(),
        }
    });
    changed.collect()
}

/// `GET /users/{id}/features?tenant={id}` over an existing table with a sort key, with four kinds of
/// data of four policies, one of them a Query. With its tests and its infrastructure.
///
/// Where the patch does not apply any more: render as here, `git apply --reject`, mend, `git diff`.
#[test]
fn another_service_is_made_of_the_minimal_start_by_a_small_patch() {
    let _alone = alone();
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
    for it in &changed {
        println!("{:<32} +{:<3} -{}", it.file, it.added, it.removed);
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
    let _alone = alone();
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
