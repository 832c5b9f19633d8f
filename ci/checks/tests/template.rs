//! The template's promises: nothing in it exists twice, and everything in it renders.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use checks::root;
use toml::{Table, Value};

fn table(path: &str) -> Table {
    fs::read_to_string(root().join(path))
        .unwrap()
        .parse()
        .unwrap()
}

/// Every file of the repository that git knows or would add, below `folder`.
fn files(folder: &str) -> Vec<String> {
    let list = [
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        folder,
    ];
    let output = Command::new("git")
        .current_dir(root())
        .args(list)
        .output()
        .unwrap();
    assert!(output.status.success());
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines()
        .map(String::from)
        .filter(|file| root().join(file).is_file())
        .collect()
}

#[test]
fn the_rendered_manifest_agrees_with_this_workspace() {
    let mut ours = table("Cargo.toml");
    let mut rendered = table("template/Cargo.toml.liquid");
    for manifest in [&mut ours, &mut rendered] {
        let workspace = manifest["workspace"].as_table_mut().unwrap();
        workspace.remove("members");
        workspace.remove("exclude");
        let path = &mut workspace["dependencies"]["cache-core"]["path"];
        assert_eq!(
            path.as_str().unwrap().trim_start_matches("template/"),
            "cache-core"
        );
        *path = Value::String(String::new());
    }
    assert_eq!(ours, rendered);
}

#[test]
fn the_template_records_the_version_of_the_generator() {
    // Not yet TOML: its placeholders are rendered first.
    let recorded = fs::read_to_string(root().join("template/cached-lambda.toml")).unwrap();
    let version = table("generator/Cargo.toml")["package"]["version"].clone();
    assert!(
        recorded.contains(&format!("template-version = {version}\n")),
        "{version}"
    );
}

#[test]
fn there_is_one_cargo_generate_toml() {
    let found = files(".")
        .into_iter()
        .filter(|file| file.ends_with("cargo-generate.toml"));
    assert_eq!(found.collect::<Vec<_>>(), ["template/cargo-generate.toml"]);
}

#[test]
fn the_template_uses_declared_placeholders_and_no_more() {
    let config = table("template/cargo-generate.toml");
    let declared = config["placeholders"].as_table().unwrap().keys().cloned();
    let declared: BTreeSet<String> = declared.chain(["project-name".to_string()]).collect();
    let mut seen = String::new();
    for file in files("template") {
        assert!(
            !file.contains(['{', '}']),
            "{file}: a placeholder in a path"
        );
        if file.ends_with(".rs")
            || file.ends_with("Cargo.lock")
            || file.ends_with("cargo-generate.toml")
        {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).unwrap();
        assert_eq!(checks::lint::lint(&text, &declared), [""; 0], "{file}");
        seen.push_str(&text);
    }
    for name in declared {
        assert!(
            seen.contains(&format!("{{{{{name}")),
            "`{name}` is declared and never used"
        );
    }
}

#[test]
fn rust_and_crate_manifests_hold_no_placeholder() {
    // Double braces in Rust are its own, as in format strings: a placeholder would be one of ours.
    for file in files("template") {
        if file.ends_with(".rs") || file.ends_with("/Cargo.toml") {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            for name in [
                "project-name",
                "arch",
                "memory_mb",
                "ttl_policy",
                "ttl_seconds",
            ] {
                assert!(!text.contains(&format!("{{{{{name}")), "{file}");
            }
            assert!(!text.contains("{%"), "{file}");
        }
    }
}

#[test]
fn every_choice_renders_without_a_tag_left_and_without_a_word_of_this_repository() {
    let folder = tempfile::tempdir().unwrap();
    for arch in ["arm64", "x86_64"] {
        for policy in ["fixed", "per-item", "immutable"] {
            let name = format!("made-{arch}-{policy}").replace('_', "-");
            let values = [
                "--memory",
                "10240",
                "--ttl",
                "24h",
                "--arch",
                arch,
                "--ttl-policy",
                policy,
            ];
            let workspace = checks::render(folder.path(), &name, &values);
            check_rendered(&workspace);
        }
    }
}

fn check_rendered(workspace: &Path) {
    let list = Command::new("find")
        .arg(workspace)
        .args(["-type", "f"])
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().count() > 40, "{list}");
    for file in list.lines().filter(|file| !file.ends_with("Cargo.lock")) {
        let text = fs::read_to_string(file).unwrap();
        if !file.ends_with(".rs") {
            assert_eq!(checks::lint::unrendered(&text), [""; 0], "{file}");
        }
        for back in ["ci/checks", "template/", "generator", "github.com/"] {
            // Actions and upstream issues are others' repositories.
            let ours = text
                .lines()
                .filter(|line| line.contains(back) && !line.contains("issues/"));
            assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{file} speaks of {back}");
        }
    }
}
