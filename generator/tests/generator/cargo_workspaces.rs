//! Inside somebody's Cargo workspace: a clear refusal or a correct result, and theirs works on.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{names, run};

/// Whether cargo can read the workspace of a folder.
fn cargo_reads(folder: &Path) -> bool {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version=1",
        "--quiet",
    ]);
    metadata
        .current_dir(folder)
        .output()
        .unwrap()
        .status
        .success()
}

/// A workspace with a crate in `app` and room in `crates`.
fn workspace(members: &str, exclude: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let manifest = format!(
        "# theirs\n[workspace]\nresolver = \"3\"\nmembers = {members}\nexclude = {exclude}\n"
    );
    fs::write(root.path().join("Cargo.toml"), manifest).unwrap();
    fs::create_dir_all(root.path().join("app/src")).unwrap();
    fs::create_dir_all(root.path().join("crates")).unwrap();
    fs::create_dir_all(root.path().join("linked")).unwrap();
    std::os::unix::fs::symlink("linked", root.path().join("link")).unwrap();
    fs::write(root.path().join("app/src/lib.rs"), "").unwrap();
    let package = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    fs::write(root.path().join("app/Cargo.toml"), package).unwrap();
    root
}

#[test]
fn a_workspace_that_would_take_the_new_one_for_a_member_is_left_alone() {
    let exclude_it = "add \"crates/new\" to the `exclude` of its [workspace], or";
    let elsewhere = "tip: choose another name";
    for (members, exclude, member, help) in [
        (r#"["app", "crates/*"]"#, "[]", "crates/*", exclude_it),
        (r#"["app", "./crates/*"]"#, "[]", "./crates/*", exclude_it),
        (
            r#"["app", "app/../crates/n?w"]"#,
            "[]",
            "app/../crates/n?w",
            exclude_it,
        ),
        (r#"["app", "crates/*/*"]"#, "[]", "crates/*/*", exclude_it),
        (
            r#"["app", "crates/*"]"#,
            r#"["crates/newer"]"#,
            "crates/*",
            exclude_it,
        ),
        (
            r#"["app", "crates/*"]"#,
            r#"["app/../crates/new"]"#,
            "crates/*",
            exclude_it,
        ),
        (
            r#"["app", "crates/new"]"#,
            r#"["crates/new"]"#,
            "crates/new",
            elsewhere,
        ),
        (
            r#"["app", "crates/new/handler"]"#,
            r#"["crates/new"]"#,
            "crates/new/handler",
            elsewhere,
        ),
        (
            r#"[".", "app", "crates/*"]"#,
            r#"["crates/new"]"#,
            "crates/*",
            elsewhere,
        ),
        (
            "[\"app\"]\ndefault-members = [\"crates/*\"]",
            "[]",
            "crates/*",
            exclude_it,
        ),
        (r#"["app", "link/*"]"#, "[]", "link/*", "add \"link/new\""),
    ] {
        let root = workspace(members, exclude);
        let before = fs::read(root.path().join("Cargo.toml")).unwrap();
        let parent = if member == "link/*" { "link" } else { "crates" };
        let output = run(root.path(), &["new", "new", "--path", parent]);
        assert_eq!(output.status.code(), Some(1), "{members}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&format!("by \"{member}\"")), "{error}");
        assert!(error.contains(help), "{error}");
        assert_eq!(names(&root.path().join("crates")), [""; 0]);
        assert_eq!(fs::read(root.path().join("Cargo.toml")).unwrap(), before);
    }
}

#[test]
fn a_workspace_that_does_not_take_it_works_on_and_so_does_the_new_one() {
    for (members, exclude) in [
        (r#"["app"]"#, "[]"),
        (r#"["app", "crates/*"]"#, r#"["crates/new"]"#),
        (r#"["app", "crates/*"]"#, r#"["crates"]"#),
        (r#"["app", "crates/*/*"]"#, r#"["./crates/new"]"#),
        (r#"["ap*"]"#, "[]"),
    ] {
        let root = workspace(members, exclude);
        let before = fs::read(root.path().join("Cargo.toml")).unwrap();
        let output = run(
            root.path(),
            &["new", "new", "--path", "crates", "--vcs", "none"],
        );
        assert!(output.status.success(), "{members} {output:?}");
        assert_eq!(fs::read(root.path().join("Cargo.toml")).unwrap(), before);
        for folder in [
            "",
            "app",
            "crates/new",
            "crates/new/handler",
            "crates/new/cache-core",
        ] {
            assert!(cargo_reads(&root.path().join(folder)), "{members} {folder}");
        }
    }
}

/// Why there is a refusal at all: each of these was refused above.
#[test]
fn cargo_refuses_a_workspace_as_a_member() {
    for (members, exclude) in [
        (r#"["app", "crates/*"]"#, "other"),
        (r#"["app", "crates/*"]"#, "app/../crates/new"),
        (r#"["app", "crates/new"]"#, "crates/new"),
        (r#"["app", "crates/new/handler"]"#, "crates/new"),
        (r#"[".", "app", "crates/*"]"#, "crates/new"),
        ("[\"app\"]\ndefault-members = [\"crates/*\"]", "other"),
        (r#"["app", "link/*"]"#, "other"),
    ] {
        let root = workspace("[\"app\"]", "[]");
        let parent = if members.contains("link") {
            "link"
        } else {
            "crates"
        };
        let new = ["new", "new", "--path", parent, "--vcs", "none"];
        assert!(run(root.path(), &new).status.success());
        assert!(cargo_reads(root.path()));
        let manifest = root.path().join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let text = text.replace("[\"app\"]", members);
        let text = text.replace("exclude = []", &format!("exclude = [{exclude:?}]"));
        fs::write(&manifest, text).unwrap();
        assert!(!cargo_reads(root.path()), "{members} {exclude}");
    }
}
