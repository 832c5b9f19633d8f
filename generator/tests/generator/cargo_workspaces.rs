//! Inside somebody's Cargo workspace: a clear refusal or a correct result, and theirs works on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::{generator, names, run};

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
    let elsewhere = "help: choose another name";
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
            "remove \"crates/new\" from its `members`, or",
        ),
        (
            r#"["app", "crates/new/handler"]"#,
            r#"["crates/new"]"#,
            "crates/new/handler",
            "remove \"crates/new/handler\" from its `members`, or",
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

/// Half of a workspace, beside the target, would be a member as well.
#[test]
fn nothing_is_written_where_a_workspace_takes_it_for_a_member() {
    let root = workspace(r#"["app", "crates/*"]"#, r#"["crates/new"]"#);
    let git = root.path().join("bin/git");
    fs::create_dir(root.path().join("bin")).unwrap();
    let seen = "ls -A \"$0/../../crates\" >\"$0/../../seen\"; pwd >\"$0/../../where\"";
    let script = format!("#!/bin/sh\n{}\n", seen.replace("$0/..", "${0%/*}"));
    fs::write(&git, script).unwrap();
    fs::set_permissions(&git, PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([
        git.parent().unwrap(),
        Path::new("/usr/bin"),
        Path::new("/bin"),
    ]);
    let mut new = generator(root.path());
    new.args(["new", "new", "--path", "crates", "--vcs", "git"]);
    let output = new.env("PATH", path.unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let written = fs::read_to_string(root.path().join("where")).unwrap();
    assert!(written.contains("/.new.cached-lambda-"), "{written}");
    assert_eq!(fs::read(root.path().join("seen")).unwrap(), b"");
    assert_eq!(names(&root.path().join("crates")), ["new"]);
    assert_eq!(names(root.path()).len(), 8);
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
