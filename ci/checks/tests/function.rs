//! `cached-lambda add function`: what it makes passes the checks of the workspace, for each trigger and start.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

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
    succeed(Command::new(lint).arg(workspace.join("infra/sam/template.yaml")));
}

/// With a Terraform, an AWS and a curl that only say what they are asked.
#[test]
fn the_kill_switch_of_terraform_reaches_every_function() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = checks::render(folder.path(), "my-quotes", &["--iac", "terraform"]);
    let mut add = cached_lambda();
    add.args(["add", "function", "price", "--quiet", "--path"]);
    succeed(add.arg(&workspace));
    let stage = workspace.join("infra/terraform/stages/test");
    fs::write(
        stage.join("ours.tf"),
        "module \"network\" {\n  source = \"./network\"\n}\n",
    )
    .unwrap();
    let said = folder.path().join("said");
    let terraform = format!(
        "case \"$1 $3\" in \"output network\") exit 1;; output*) echo \"{{\\\"function_alias\\\": \\\"arn:$3\\\"}}\";; \
         *) printf '%s\\n' \"$@\" >'{}';; esac",
        said.display()
    );
    for (name, script) in [
        ("terraform", terraform.as_str()),
        ("aws", "echo \"https://$4\""),
        ("curl", "for last; do :; done; echo \"$last\" >\"$5\""),
    ] {
        let program = folder.path().join(name);
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let mut configure = Command::new("bash");
    configure.arg(workspace.join("infra/terraform/configure.sh"));
    succeed(
        configure
            .args(["test", "cache_enabled=false"])
            .env("PATH", path),
    );
    let said = fs::read_to_string(said).unwrap();
    for part in [
        "-target=module.function.aws_lambda_function.function\n-target=module.function.aws_lambda_alias.live\n-var\npackage=",
        "-target=module.price.aws_lambda_function.function\n-target=module.price.aws_lambda_alias.live\n-var\nprice_package=",
        "-var\ncache_enabled=false\n",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("network"), "{said}");
}
