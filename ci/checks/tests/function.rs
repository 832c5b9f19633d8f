//! `cached-lambda add function`: what it makes passes the checks of the workspace, for each trigger and start.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use checks::{cached_lambda, cargo, root, succeed};

#[test]
fn functions_that_were_added_pass_the_checks_of_their_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = checks::render(folder.path(), "my-quotes", &[]);
    for (name, trigger, start) in [
        ("price-list", "http-api", "minimal"),
        ("audit", "direct", "quote"),
    ] {
        let mut add = cached_lambda();
        add.args([
            "add",
            "function",
            name,
            "--trigger",
            trigger,
            "--start",
            start,
        ]);
        succeed(add.args(["--quiet", "--path"]).arg(&workspace));
    }
    let cargo = |arguments: &[&str]| succeed(&mut cargo(&workspace, arguments));
    cargo(&["fmt", "--all", "--check"]);
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]);
    cargo(&[
        "test",
        "--locked",
        "--package",
        "price-list",
        "--package",
        "audit",
    ]);
    // What is deployed is the binary that the infrastructure names.
    cargo(&["build", "--locked", "--bin", "price-list", "--bin", "audit"]);
    let lint = root().join("target/ci/python/bin/cfn-lint");
    assert!(
        Path::new(&lint).exists(),
        "cfn-lint is not installed: run ci/setup"
    );
    succeed(std::process::Command::new(lint).arg(workspace.join("infra/sam/template.yaml")));
}
