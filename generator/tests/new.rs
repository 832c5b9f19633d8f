//! `cached-lambda new` from the outside: what it prints, what it exits with, what it leaves.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use snapbox::{assert_data_eq, str};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cached-lambda"));
    // Wide, so that no message depends on a terminal.
    command
        .current_dir(folder)
        .args(arguments)
        .env("COLUMNS", "90")
        .output()
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The error of a run that must fail and leave nothing, and what it exits with.
fn fails(arguments: &[&str]) -> (String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), arguments);
    assert_eq!(names(folder.path()), [""; 0], "{arguments:?}");
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    let error = error.split("\n\nFor more").next().unwrap().to_string();
    (error, output.status.code().unwrap())
}

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
  cargo test                            # starts DynamoDB Local in Docker
  cd infra && sam build && sam deploy   # makes the stack my-quotes

"#]]
    );
    assert_eq!(names(folder.path()), ["my-quotes"]);
    let record = fs::read_to_string(folder.path().join("my-quotes/cached-lambda.toml")).unwrap();
    assert_data_eq!(
        record,
        str![[r#"
# How this workspace was made, for the record. Nothing reads it when it is built or run.
template-version = "0.1.0"
project-name = "my-quotes"
arch = "arm64"
memory_mb = 512
ttl_policy = "fixed"
ttl_seconds = 300
trigger = "direct"
iac = "sam"

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
fn each_wrong_value_is_named_with_what_is_allowed_and_exits_with_2() {
    for (flag, value, message) in [
        (
            "--memory",
            "127",
            "'127' for '--memory <MB>': allowed is a whole number of MB from 128 to 10240, such as 256",
        ),
        (
            "--memory",
            "10241",
            "'10241' for '--memory <MB>': allowed is a whole number of MB from 128 to 10240, such as 256",
        ),
        (
            "--memory",
            "256.5",
            "'256.5' for '--memory <MB>': allowed is a whole number of MB from 128 to 10240, such as 256",
        ),
        (
            "--memory",
            "0x100",
            "'0x100' for '--memory <MB>': allowed is a whole number of MB from 128 to 10240, such as 256",
        ),
        (
            "--arch",
            "aarch64",
            "'aarch64' for '--arch <ARCH>': allowed are arm64 and x86_64; Lambda calls it arm64",
        ),
        (
            "--arch",
            "amd64",
            "'amd64' for '--arch <ARCH>': allowed are arm64 and x86_64; Lambda calls it x86_64",
        ),
        (
            "--arch",
            "mips",
            "'mips' for '--arch <ARCH>': allowed are arm64 and x86_64",
        ),
        (
            "--ttl",
            "0",
            "'0' for '--ttl <TIME>': that is 0 seconds; allowed are 1 second to 24 hours, such as 30s, 5m or 1h",
        ),
        (
            "--ttl",
            "25h",
            "'25h' for '--ttl <TIME>': that is 90000 seconds; allowed are 1 second to 24 hours, such as 30s, 5m or 1h",
        ),
        (
            "--ttl",
            "1.5s",
            "'1.5s' for '--ttl <TIME>': allowed is a whole number of seconds, or one with s, m or h behind it, such as 90, 30s, 5m or 1h; from 1 second to 24 hours",
        ),
        (
            "--ttl-policy",
            "Fixed",
            "'Fixed' for '--ttl-policy <POLICY>': allowed are fixed (for the TTL), per-item (until the item's own expires_at) and immutable (as long as the environment lives)",
        ),
    ] {
        assert_eq!(
            fails(&["new", "x", flag, value]),
            (format!("error: invalid value {message}"), 2)
        );
    }
}

#[test]
fn a_name_that_makes_trouble_is_refused_with_the_reason() {
    let long = "a".repeat(41);
    for (name, reason) in [
        ("1bad", "it does not start with a letter: a name starts"),
        ("a b", "it holds ' ': a name starts"),
        ("../x", "it does not start with a letter: a name starts"),
        ("a/../x", "it holds '/': a name starts"),
        ("é", "it does not start with a letter: a name starts"),
        ("con", "`con` is the name of a device on Windows"),
        (&long, "has 41 characters: a name starts"),
    ] {
        let (error, code) = fails(&["new", name]);
        assert!(
            error.contains(&format!("invalid value '{name}' for '<NAME>'")),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
        assert_eq!(code, 2);
    }
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let (error, code) = fails(&["new", "x", "--path", "nowhere"]);
    assert_eq!(
        error,
        "error: --path nowhere: No such file or directory (os error 2); give a folder that exists\n"
    );
    assert_eq!(code, 2);
}

#[test]
fn whatever_is_there_already_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| folder.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("file"), "theirs").unwrap();
    std::os::unix::fs::symlink("empty", at("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("broken")).unwrap();
    let before = names(folder.path());
    for name in ["empty", "file", "link", "broken"] {
        let output = run(folder.path(), &["new", name]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!(
                "error: {name} exists; nothing was changed. Choose another name, or another folder with --path\n"
            )
        );
    }
    assert_eq!(names(folder.path()), before);
    assert_eq!(names(&at("empty")), [""; 0]);
    assert_eq!(fs::read(at("file")).unwrap(), b"theirs");
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
fn the_help_is_one_screen() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["new", "--help"]);
    assert_data_eq!(
        String::from_utf8(output.stdout).unwrap(),
        str![[r#"
Make a new workspace

Usage: cached-lambda new [OPTIONS] <NAME>

Arguments:
  <NAME>  Names the folder, the stack and its resources

Options:
      --path <DIR>           The folder to make it in [default: .]
      --arch <ARCH>          Processor architecture: arm64 or x86_64 [default: arm64]
      --memory <MB>          Memory of the function in MB, 128 to 10240 [default: 256]
      --ttl-policy <POLICY>  How long items live: fixed, per-item or immutable [default:
                             fixed]
      --ttl <TIME>           Time to live, such as 90, 30s, 5m or 1h; up to 24h [default:
                             60]
      --trigger <TRIGGER>    How it is invoked: direct or function-url [default: direct]
      --iac <TOOL>           What deploys it: sam or terraform [default: sam]
      --vcs <VCS>            git or none [default: git, unless inside a repository]
      --dry-run              List what would be made, write nothing
      --json                 Print one JSON object on standard output
  -q, --quiet                Say nothing but errors
  -y, --yes                  Use the defaults, never ask
  -h, --help                 Print help

"#]]
    );
}

fn succeeds(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = run(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    (String::from_utf8(output.stdout).unwrap(), error)
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
dry
├── .github
│   ├── workflows
│   │   ├── ci.yml ([..]B)
│   │   └── deploy.yml ([..]B)
│   └── dependabot.yml ([..]B)
...
├── infra
│   ├── tests
│   │   └── plan.tftest.hcl ([..]B)
│   ├── main.tf ([..]B)
│   ├── observability.tf ([..]B)
│   ├── outputs.tf ([..]B)
│   └── variables.tf ([..]B)
...
└── cached-lambda.toml ([..]B)

[..] files, [..] kB; nothing was written

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
        "ttl_seconds": 300, "trigger": "direct", "iac": "sam",
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
    assert_eq!(report["next"].as_array().unwrap().len(), 3);
}

#[test]
fn json_is_also_what_an_error_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("there")).unwrap();
    for (arguments, exit_code, part) in [
        (&["new", "there", "--json"][..], 1, "there exists"),
        (
            &["new", "x", "--json", "--ttl", "0"],
            2,
            "that is 0 seconds",
        ),
        (&["new", "x", "--json", "--path", "nowhere"], 2, "nowhere"),
        (&["new", "--json"], 2, "<NAME>"),
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(exit_code));
        assert!(output.stderr.is_empty(), "{arguments:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(error["error"]["exit_code"], exit_code);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    }
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
fn completions_and_the_manual_name_every_flag() {
    let folder = tempfile::tempdir().unwrap();
    let (man, _) = succeeds(folder.path(), &["man"]);
    let man = man.replace('\\', "");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, _) = succeeds(folder.path(), &["completions", shell]);
        for flag in ["ttl-policy", "dry-run", "trigger", "iac"] {
            assert!(
                script.contains(flag) && man.contains(flag),
                "{shell} {flag}"
            );
        }
    }
}

/// `head` closes its end.
#[cfg(unix)]
#[test]
fn a_reader_that_stops_reading_is_no_error() {
    for arguments in [
        "new x --dry-run",
        "new x --dry-run --json",
        "completions bash",
        "man",
    ] {
        let script = format!(
            "set -o pipefail; {} {arguments} | true",
            env!("CARGO_BIN_EXE_cached-lambda")
        );
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("bash");
        let output = shell
            .current_dir(folder.path())
            .args(["-c", &script])
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
}
