//! What `new` makes, what it says, and what it leaves alone.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::{names, run, succeeds};

#[test]
fn a_workspace_is_made_and_the_next_steps_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--arch",
        "arm64",
        "--memory",
        "512",
        "--ttl-policy",
        "fixed",
        "--ttl",
        "5m",
    ];
    let output = run(folder.path(), &[&["new", "my-quotes"][..], &flags].concat());
    assert!(output.status.success() && output.stdout.is_empty());
    assert_data_eq!(
        String::from_utf8(output.stderr).unwrap(),
        str![[r#"
made my-quotes, [..] files

next:
  cd my-quotes
  cargo test   # starts DynamoDB Local in Docker
  cd infra/sam
  sam build
  sam deploy

"#]]
    );
    assert_eq!(names(folder.path()), ["my-quotes"]);
    let record = fs::read_to_string(folder.path().join("my-quotes/cached-lambda.toml")).unwrap();
    assert_data_eq!(
        record,
        str![[r#"
# How this workspace was made. Nothing that is built or run reads it; `cached-lambda upgrade` does.
template-version = "[..]"
template-hash = "[..]"
project-name = "my-quotes"
arch = "arm64"
memory_mb = 512
ttl_policy = "fixed"
ttl_seconds = 300
trigger = "direct"
iac = "sam"
start = "quote"

"#]]
    );
}

#[test]
fn a_name_that_is_converted_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["new", "MyLambda", "--vcs", "none"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("note: the name `MyLambda` becomes `my-lambda`\n"),
        "{said}"
    );
    assert_eq!(names(folder.path()), ["my-lambda"]);
}

#[test]
fn a_repository_is_made_unless_there_is_one_around_it_or_none_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let has_git = |name: &str| folder.path().join(name).join(".git").is_dir();
    for (arguments, name, expected) in [
        (&["new", "outer"][..], "outer", true),
        (&["new", "inner", "--path", "outer"], "outer/inner", false),
        (
            &["new", "asked", "--path", "outer", "--vcs", "git"],
            "outer/asked",
            true,
        ),
        (&["new", "without", "--vcs", "none"], "without", false),
    ] {
        assert!(run(folder.path(), arguments).status.success());
        assert_eq!(has_git(name), expected, "{name}");
    }
}

#[test]
fn a_repository_is_made_where_the_one_around_it_ignores_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let work = |name: &str| folder.path().join("outer").join(name);
    assert!(run(folder.path(), &["new", "outer"]).status.success());
    fs::write(work(".gitignore"), "/scratch/\n").unwrap();
    let has_git = |name: &str| {
        let output = run(&work(""), &["new", name]);
        assert!(output.status.success(), "{output:?}");
        work(name).join(".git").is_dir()
    };
    assert!(has_git("scratch"));
    assert!(!has_git("kept"));
    // Where GitHub does not look for them is said.
    let (_, said) = succeeds(&work(""), &["new", "told"]);
    assert!(
        said.contains("outer is a repository, so none was made in it"),
        "{said}"
    );
    assert!(said.contains("move those of told/.github there"), "{said}");
}

/// Such as one that git does not trust, since another user owns it.
#[test]
fn no_repository_is_made_inside_one_that_git_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".git"), "gitdir: nowhere").unwrap();
    assert!(run(folder.path(), &["new", "x"]).status.success());
    assert!(!folder.path().join("x/.git").exists());
}

#[cfg(unix)]
#[test]
fn a_folder_cannot_play_with_the_terminal_or_be_taken_for_a_flag() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("-\x1b[2J")).unwrap();
    let arguments = ["new", "x", "--path=-\x1b[2J", "--color=always"];
    for more in ["--vcs=none", "--dry-run"] {
        let output = run(folder.path(), &[&arguments[..], &[more]].concat());
        let (made, said) = (
            String::from_utf8(output.stdout),
            String::from_utf8(output.stderr),
        );
        let text = made.unwrap() + &said.unwrap();
        assert!(text.contains("-\\u{1b}[2J/x"), "{text}");
        assert!(!text.contains("\x1b[2J"), "{text}");
        fs::remove_dir_all(folder.path().join("-\x1b[2J/x")).ok();
    }
    let output = run(
        folder.path(),
        &["new", "x", "--path=-\x1b[2J", "--dry-run", "--json"],
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["workspace"], "-\x1b[2J/x");
    assert_eq!(report["next"][0], "cd './-\x1b[2J/x'");
}

#[test]
fn a_dry_run_lists_the_files_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (list, said) = succeeds(
        folder.path(),
        &["new", "dry", "--dry-run", "--iac", "terraform"],
    );
    assert_eq!(names(folder.path()), [""; 0]);
    assert_eq!(said, "");
    assert_data_eq!(
        list,
        str![[r#"
[..] dry/.cargo/config.toml
[..] dry/.gitattributes
[..] dry/.github/dependabot.yml
...
[..] dry/infra/terraform/main.tf
[..] dry/infra/terraform/observability.tf
[..] dry/infra/terraform/outputs.tf
[..] dry/infra/terraform/shared.tf
[..] dry/infra/terraform/stages/production/main.tf
[..] dry/infra/terraform/stages/test/main.tf
[..] dry/infra/terraform/tests/plan.tftest.hcl
...
[..] files, [..] bytes; nothing was written

"#]]
    );
    // It is checked as a real run is.
    fs::create_dir(folder.path().join("there")).unwrap();
    assert!(
        !run(folder.path(), &["new", "there", "--dry-run"])
            .status
            .success()
    );
}

#[test]
fn json_is_one_object_that_says_what_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["new", "MySvc", "--json", "--vcs", "none", "--ttl", "5m"];
    let (json, said) = succeeds(folder.path(), &flags);
    assert_eq!(said, "note: the name `MySvc` becomes `my-svc`\n");
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["template_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&report["workspace"], &report["dry_run"]),
        (&"my-svc".into(), &false.into())
    );
    let answers = serde_json::json!({
        "project-name": "my-svc", "arch": "arm64", "memory_mb": 256, "ttl_policy": "fixed",
        "ttl_seconds": 300, "trigger": "direct", "iac": "sam", "start": "quote",
    });
    assert_eq!(report["answers"], answers);
    let files = report["files"].as_array().unwrap();
    assert!(files.len() > 40);
    for file in files {
        let path = folder
            .path()
            .join("my-svc")
            .join(file["path"].as_str().unwrap());
        assert_eq!(file["bytes"], fs::metadata(path).unwrap().len());
    }
    assert_eq!(report["next"].as_array().unwrap().len(), 5);
}

#[test]
fn quiet_says_nothing_but_errors() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = ["new", "MySvc", "--quiet", "--vcs", "none"];
    assert_eq!(
        succeeds(folder.path(), &quiet),
        (String::new(), String::new())
    );
    let again = run(folder.path(), &quiet);
    assert!(!again.status.success() && !again.stderr.is_empty());
}

#[test]
fn flags_win_over_a_file_of_answers_and_its_version_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let answers =
        "template-version = \"0.0.1\"\nproject-name = \"x\"\narch = \"arm64\"\nmemory_mb = 512\n";
    fs::write(folder.path().join("team.toml"), answers).unwrap();
    let flags = [
        "new",
        "--answers",
        "team.toml",
        "--arch",
        "x86_64",
        "--vcs",
        "none",
    ];
    let (_, said) = succeeds(folder.path(), &flags);
    let note = format!(
        "note: these answers are from version \"0.0.1\"; this is {}\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(said.starts_with(&note), "{said}");
    let record = fs::read_to_string(folder.path().join("x/cached-lambda.toml")).unwrap();
    for answer in ["arch = \"x86_64\"", "memory_mb = 512", "ttl_seconds = 60"] {
        assert!(record.contains(answer), "{record}");
    }
}
