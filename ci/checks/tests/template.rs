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
    let config = table("template/cargo-generate.toml");
    let declared = config["placeholders"].as_table().unwrap().keys();
    let names: Vec<_> = declared
        .map(String::as_str)
        .chain(["project-name"])
        .collect();
    // Double braces in Rust are its own, as in format strings: a placeholder would be one of ours.
    for file in files("template") {
        if file.ends_with(".rs") || file.ends_with("/Cargo.toml") {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            for name in &names {
                assert!(!text.contains(&format!("{{{{{name}")), "{file}");
            }
            assert!(!text.contains("{%"), "{file}");
        }
    }
}

#[test]
fn what_a_condition_leaves_out_is_in_the_template() {
    let config = table("template/cargo-generate.toml");
    for (condition, section) in config["conditional"].as_table().unwrap() {
        for path in section["ignore"].as_array().unwrap() {
            let path = root().join("template").join(path.as_str().unwrap());
            assert!(path.exists(), "{condition}: {}", path.display());
        }
    }
}

#[test]
fn every_combination_renders_without_a_tag_left_and_without_a_word_of_this_repository() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = 0;
    for arch in ["arm64", "x86_64"] {
        for policy in ["fixed", "per-item", "immutable"] {
            for trigger in ["direct", "function-url"] {
                for iac in ["sam", "terraform"] {
                    // The edges take turns.
                    let (memory, ttl) = [("128", "1"), ("10240", "24h")][made % 2];
                    made += 1;
                    let values = [
                        ["--arch", arch],
                        ["--ttl-policy", policy],
                        ["--trigger", trigger],
                        ["--iac", iac],
                        ["--memory", memory],
                        ["--ttl", ttl],
                    ];
                    let name = format!("made-{made}");
                    let workspace = checks::render(folder.path(), &name, &values.concat());
                    check_rendered(&workspace);
                    check_parts(&workspace, trigger, iac);
                }
            }
        }
    }
    assert_eq!(made, 24);
}

/// Only what was chosen is there.
fn check_parts(workspace: &Path, trigger: &str, iac: &str) {
    let is_there = |path: &str| workspace.join(path).exists();
    let of_trigger =
        ["direct", "function_url"].map(|bin| is_there(&format!("handler/src/bin/{bin}.rs")));
    assert_eq!(of_trigger, [trigger == "direct", trigger == "function-url"]);
    for path in ["infra/template.yaml", "infra/samconfig.toml"] {
        assert_eq!(is_there(path), iac == "sam", "{path}");
    }
    for path in [
        "infra/main.tf",
        "infra/variables.tf",
        "infra/tests/plan.tftest.hcl",
    ] {
        assert_eq!(is_there(path), iac == "terraform", "{path}");
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
            let ours = text.lines().filter(|line| {
                line.contains(back)
                    && !line.contains("issues/")
                    && !line.contains("docs.github.com/")
            });
            assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{file} speaks of {back}");
        }
    }
}

/// Others' sites are not asked: the tests stay on this machine.
#[test]
fn links_in_markdown_lead_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut texts: Vec<_> = files(".")
        .into_iter()
        .filter(|file| file.ends_with(".md") && !file.starts_with("template/"))
        .map(|file| root().join(file))
        .collect();
    for (trigger, iac) in [("direct", "sam"), ("function-url", "terraform")] {
        let chosen = ["--trigger", trigger, "--iac", iac];
        texts.push(checks::render(folder.path(), iac, &chosen).join("README.md"));
    }
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut followed = 0;
    for file in texts {
        let text = fs::read_to_string(&file).unwrap();
        for target in link.captures_iter(&text).filter_map(|found| found.get(1)) {
            let target = target.as_str().split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let there = file.parent().unwrap().join(target).exists();
            assert!(there, "{}: {target}", file.display());
            followed += 1;
        }
    }
    assert!(followed > 0);
}
