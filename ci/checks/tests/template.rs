//! The template's promises: nothing in it exists twice, and everything in it renders.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
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

/// A file of the start `minimal` has the suffix here, and loses it when it is rendered.
fn is_rust(file: &str) -> bool {
    file.trim_end_matches(".liquid").ends_with(".rs")
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
    // Where a copy of it alone comes from.
    let vendored = fs::read_to_string(root().join("template/cache-core/Cargo.toml")).unwrap();
    let from = format!("# From cached-lambda {},", version.as_str().unwrap());
    assert!(vendored.starts_with(&from), "{from}");
    let crate_of_it = table("template/cache-core/Cargo.toml");
    assert_eq!(crate_of_it["package"]["version"], version);
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
    let choices = checks::variants::choices();
    let declared: BTreeMap<_, _> = checks::variants::placeholders()
        .into_iter()
        .map(|(name, _)| name)
        .chain(["project-name".to_string()])
        .map(|name| {
            (
                name.clone(),
                choices.get(&name).cloned().unwrap_or_default(),
            )
        })
        .collect();
    let mut seen = String::new();
    for file in files("template") {
        assert!(
            !file.contains(['{', '}']),
            "{file}: a placeholder in a path"
        );
        if is_rust(&file) || file.ends_with("Cargo.lock") || file.ends_with("cargo-generate.toml") {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).unwrap();
        assert_eq!(checks::lint::lint(&text, &declared), [""; 0], "{file}");
        seen.push_str(&text);
    }
    for name in declared.keys() {
        assert!(
            seen.contains(&format!("{{{{{name}")),
            "`{name}` is declared and never used"
        );
    }
}

#[test]
fn rust_and_crate_manifests_hold_no_placeholder() {
    let declared = checks::variants::placeholders();
    let names: Vec<_> = declared
        .keys()
        .map(String::as_str)
        .chain(["project-name"])
        .collect();
    // Double braces in Rust are its own, as in format strings: a placeholder would be one of ours.
    for file in files("template") {
        if is_rust(&file) || file.ends_with("/Cargo.toml") {
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
            let path = path.as_str().unwrap();
            let is_there = |path: &str| root().join("template").join(path).exists();
            let there = is_there(path) || is_there(&format!("{path}.liquid"));
            assert!(there, "{condition}: {path}");
        }
    }
}

/// cargo-generate takes the suffix off before it leaves anything out: one would replace the other.
#[test]
fn no_two_files_of_the_template_have_one_path() {
    let files = files("template");
    for plain in files.iter().filter_map(|file| file.strip_suffix(".liquid")) {
        assert!(!files.iter().any(|file| file == plain), "{plain}");
    }
}

#[test]
fn every_combination_renders_without_a_tag_left_and_without_a_word_of_this_repository() {
    let folder = tempfile::tempdir().unwrap();
    let conditional = &table("template/cargo-generate.toml")["conditional"];
    let variants = checks::variants::product();
    for (index, variant) in variants.iter().enumerate() {
        let name = format!("made-{index}");
        let workspace = checks::render_variant(folder.path(), &name, variant);
        check_rendered(&workspace);
        // Only what was chosen is there.
        let (mut named, mut left_out) = (Vec::new(), Vec::new());
        for (condition, section) in conditional.as_table().unwrap() {
            let parts = condition.split_once(" == ").map(|parts| (true, parts));
            let parts = parts.or(condition.split_once(" != ").map(|parts| (false, parts)));
            let (equal, (placeholder, value)) = parts.unwrap();
            let holds = (format!("{:?}", variant[placeholder]) == value) == equal;
            let paths = section["ignore"].as_array().unwrap();
            for path in paths.iter().map(|path| path.as_str().unwrap()) {
                named.push(path);
                left_out.extend(holds.then(|| Path::new(path)));
            }
        }
        for path in named {
            let is_out = left_out.iter().any(|out| Path::new(path).starts_with(out));
            assert_eq!(workspace.join(path).exists(), !is_out, "{path}");
        }
        let files = files_of(&workspace);
        let is_left = |file: &PathBuf| file.extension() == Some("liquid".as_ref());
        assert!(!files.iter().any(is_left), "{files:?}");
    }
    assert!(variants.len() >= 72);
}

/// The example comes out in one step: infrastructure and CI do not depend on it, and what stays
/// does not speak of it.
#[test]
fn nothing_but_its_own_files_and_the_readme_knows_the_example() {
    let folder = tempfile::tempdir().unwrap();
    let word = regex::Regex::new("(?i)quote|pricing|customer|products?\\b|\\bsku").unwrap();
    for (trigger, iac) in [("direct", "sam"), ("function-url", "terraform")] {
        let [quote, minimal] = ["quote", "minimal"].map(|start| {
            let place = folder.path().join(format!("{iac}-{start}"));
            fs::create_dir(&place).unwrap();
            let chosen = ["--trigger", trigger, "--iac", iac, "--start", start];
            checks::render(&place, "same", &chosen)
        });
        let mut diff = Command::new("diff");
        diff.args([
            "--recursive",
            "--brief",
            "--exclude=handler",
            "--exclude=samples",
        ]);
        let output = diff.args([&quote, &minimal]).output().unwrap();
        let differ = String::from_utf8(output.stdout).unwrap();
        let differ = differ
            .lines()
            .map(|line| line.split("/same/").last().unwrap());
        let expected = ["README.md differ", "cached-lambda.toml differ"];
        assert_eq!(differ.collect::<Vec<_>>(), expected, "{iac}");

        for file in files_of(&minimal) {
            // The cache's own examples are its affair, and there is a crate of that name.
            if file.starts_with(minimal.join("cache-core")) || file.ends_with("Cargo.lock") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let told = text.lines().filter(|line| word.is_match(line));
            assert_eq!(told.collect::<Vec<_>>(), [""; 0], "{}", file.display());
        }
    }
}

/// Every file of a rendered workspace.
fn files_of(workspace: &Path) -> Vec<PathBuf> {
    let mut find = Command::new("find");
    let output = find.arg(workspace).args(["-type", "f"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().map(PathBuf::from).collect()
}

fn check_rendered(workspace: &Path) {
    let files = files_of(workspace);
    assert!(files.len() > 40, "{files:?}");
    for file in files.iter().filter(|file| !file.ends_with("Cargo.lock")) {
        let text = fs::read_to_string(file).unwrap();
        let file = file.display();
        if !is_rust(&file.to_string()) {
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
    let variants = [
        ("direct", "sam", "quote"),
        ("function-url", "terraform", "minimal"),
    ];
    for (trigger, iac, start) in variants {
        let chosen = ["--trigger", trigger, "--iac", iac, "--start", start];
        texts.push(checks::render(folder.path(), iac, &chosen).join("README.md"));
    }
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut followed = 0;
    for file in texts {
        let text = fs::read_to_string(&file).unwrap();
        for target in link.captures_iter(&text).filter_map(|found| found.get(1)) {
            let target = target.as_str().split('#').next().unwrap();
            // Pages of the repository where it is on the web.
            let pages = ["../../releases/latest", "../../security/advisories/new"];
            let is_of_the_site = pages.contains(&target);
            if target.is_empty() || target.contains("://") || is_of_the_site {
                continue;
            }
            let there = file.parent().unwrap().join(target).exists();
            assert!(there, "{}: {target}", file.display());
            followed += 1;
        }
    }
    assert!(followed > 0);
}

/// Less would be a lie, and more would keep people out.
#[test]
fn each_package_says_the_least_rust_that_its_locked_dependencies_need() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--locked",
        "--all-features",
        "--format-version",
        "1",
    ]);
    let output = cargo.current_dir(root()).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let by_id = |list: &serde_json::Value| -> BTreeMap<String, serde_json::Value> {
        let entries = list.as_array().unwrap().iter();
        entries
            .map(|it| (it["id"].as_str().unwrap().into(), it.clone()))
            .collect()
    };
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let least = |id: &str| -> Vec<u32> {
        let version = packages[id]["rust_version"].as_str().unwrap_or("0");
        let mut parts: Vec<_> = version.split('.').map(|it| it.parse().unwrap()).collect();
        parts.resize(3, 0);
        parts
    };
    for name in ["cached-lambda", "cache-core", "handler"] {
        let (root, _) = packages.iter().find(|(_, it)| it["name"] == name).unwrap();
        let (mut all, mut next) = (Vec::new(), vec![root.clone()]);
        while let Some(id) = next.pop() {
            let used = nodes[&id]["deps"].as_array().unwrap().iter();
            // What a test alone needs is not needed to build it.
            let used = used.filter(|it| {
                let kinds = it["dep_kinds"].as_array().unwrap();
                kinds.iter().any(|it| it["kind"] != "dev")
            });
            let used = used.map(|it| it["pkg"].as_str().unwrap().to_string());
            next.extend(used.filter(|id| !all.contains(id)));
            all.push(id);
        }
        let others = all.iter().filter(|id| *id != root);
        let needed = others.map(|id| least(id)).max().unwrap();
        assert_eq!(least(root), needed, "the rust-version of {name}");
    }
}

/// Who may push a branch may write a workflow: without this it would have the role.
#[test]
fn the_roles_of_the_workflows_are_for_main_alone() {
    let roles = fs::read_to_string(root().join("template/infra/deploy-role.yaml")).unwrap();
    let (trusts, branches) = (
        roles.matches("sts:AssumeRoleWithWebIdentity").count(),
        roles
            .matches("token.actions.githubusercontent.com:ref: refs/heads/main\n")
            .count(),
    );
    assert_eq!((trusts, branches), (2, 2));
}

/// The tests that the page of threats names, by a part of their names.
#[test]
fn what_holds_a_threat_is_a_test_that_there_is() {
    let page = fs::read_to_string(root().join("docs/src/threats.md")).unwrap();
    let rust: String = files(".")
        .iter()
        .filter(|file| is_rust(file) || file.ends_with(".tftest.hcl"))
        .map(|file| fs::read_to_string(root().join(file)).unwrap())
        .collect();
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let Some(tests) = row.split('|').nth(4) else {
            continue;
        };
        for name in tests.split('`').skip(1).step_by(2) {
            let is_there = root().join(name).is_file() || {
                let mut tests = rust.lines().map(str::trim_start);
                tests.any(|line| {
                    let test = line.trim_start_matches("async ").strip_prefix("fn ");
                    test.is_some_and(|test| test.contains(name))
                })
            };
            assert!(is_there, "{name}: {row}");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
}
