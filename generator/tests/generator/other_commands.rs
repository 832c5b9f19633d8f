//! `explain`, `completions`, `man`, the help, and what holds for every command.

use std::path::Path;
use std::process::Command;

use snapbox::{Data, assert_data_eq, str};

use crate::{BINARY, succeeds};

#[test]
fn each_parameter_is_explained_by_each_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (by_flag, _) = succeeds(folder.path(), &["explain", "ttl-policy"]);
    for name in ["--ttl-policy", "ttl_policy"] {
        assert_eq!(succeeds(folder.path(), &["explain", name]).0, by_flag);
    }
    assert_data_eq!(
        by_flag,
        str![[r#"
--ttl-policy  Lifetime: fixed, per-item or immutable
ttl_policy in cached-lambda.toml and for cargo generate

When a cached item is too old to be used. `fixed` suits data that changes now and then and may
be stale for the TTL. `per-item` is for items that know their own end: `expires_at`, in epoch
seconds, which is DynamoDB's TTL attribute; an item past it counts as absent. `immutable` is for
data that is never changed under its key, such as versions or hashes: without a TTL, a wrong value
stays until Lambda ends the environment, which takes hours.

It is for each kind of item that declares no policy of its own. It can be changed with each
deployment, also for one kind, and the kill switch turns every cache off.

Values
  fixed         every item for the TTL
  per-item      until the item's own expires_at, at most for the TTL
  immutable     as long as the environment: for data that never changes

Default
  fixed

What it changes (~ changed, + added, - left out)
  --ttl-policy per-item:
    ~ README.md
    ~ cached-lambda.toml
    ~ infra/template.yaml
  --ttl-policy immutable:
    ~ README.md
    ~ cached-lambda.toml
    ~ infra/template.yaml

"#]]
    );
}

#[test]
fn what_a_parameter_changes_is_read_from_what_is_rendered() {
    let folder = tempfile::tempdir().unwrap();
    for (parameter, changes) in [
        ("trigger", "- handler/src/bin/direct.rs"),
        ("trigger", "+ handler/src/bin/function_url.rs"),
        ("iac", "+ infra/main.tf"),
        ("start", "+ samples/minimal/request.json"),
        ("start", "+ handler/src/domain.rs"),
        ("start", "- handler/src/domain/mod.rs"),
        ("memory", "~ infra/template.yaml"),
        ("arch", "~ infra/template.yaml"),
        ("name", "~ README.md"),
    ] {
        let (text, _) = succeeds(folder.path(), &["explain", parameter]);
        assert!(text.contains(changes), "{text}");
    }
}

#[test]
fn all_parameters_are_explained_in_short() {
    let folder = tempfile::tempdir().unwrap();
    assert_data_eq!(
        succeeds(folder.path(), &["explain"]).0,
        str![[r#"
<NAME>         Names the folder, the stack and its resources
--arch         Processor: arm64 or x86_64 [default: arm64]
--memory       Memory in MB, 128 to 10240 [default: 256]
--ttl-policy   Lifetime: fixed, per-item or immutable [default: fixed]
--ttl          Time to live: 90, 30s, 5m; up to 24h [default: 60]
--trigger      Trigger: direct or function-url [default: direct]
--iac          What deploys it: sam or terraform [default: sam]
--start        Start: quote (the example) or minimal [default: quote]

`cached-lambda explain <PARAMETER>` says more about one, such as `explain ttl`.

"#]]
    );
}

#[test]
fn colours_are_for_people_who_see_them() {
    let folder = tempfile::tempdir().unwrap();
    let has_colours = |arguments: &[&str], variable: &str| {
        let mut command = crate::generator(folder.path());
        let output = command.args(arguments).env(variable, "1").output().unwrap();
        output.stdout.contains(&0x1b) || output.stderr.contains(&0x1b)
    };
    for command in [&["explain"][..], &["new", "--ttl", "0"], &["new", "--help"]] {
        let with = |color: &'static str| [command, &[color]].concat();
        assert!(!has_colours(command, "ANY"), "{command:?} is piped");
        assert!(has_colours(&with("--color=always"), "NO_COLOR"));
        assert!(!has_colours(&with("--color=never"), "CLICOLOR_FORCE"));
        assert!(!has_colours(command, "NO_COLOR"));
    }
}

#[test]
fn the_help_is_one_screen() {
    let folder = tempfile::tempdir().unwrap();
    let (help, _) = succeeds(folder.path(), &["new", "--help"]);
    assert!(help.lines().count() <= 24, "{help}");
}

/// The page of the book: `SNAPSHOTS=overwrite` records it anew.
#[test]
fn the_book_has_what_each_command_says_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut page =
        String::from("# Command line\n\nWhat the command says of itself, recorded by its tests.\n");
    let names = |line: &str| line.split_whitespace().next().unwrap().to_string();
    let (parameters, _) = succeeds(folder.path(), &["explain"]);
    let (list, _) = parameters.split_once("\n\n").unwrap();
    let helps = ["", "new ", "explain ", "completions ", "man "];
    let helps = helps.map(|command| format!("{command}--help"));
    let explained = list.lines().map(|line| format!("explain {}", names(line)));
    for arguments in helps.into_iter().chain(explained) {
        let words: Vec<_> = arguments.split(' ').collect();
        let (said, _) = succeeds(folder.path(), &words);
        let said = said.trim_end();
        page += &format!("\n## `cached-lambda {arguments}`\n\n```text\n{said}\n```\n");
    }
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/command-line.md");
    assert_data_eq!(page, Data::read_from(&recorded, None).raw());
}

#[test]
fn completions_and_the_manual_name_every_flag() {
    let folder = tempfile::tempdir().unwrap();
    let (man, _) = succeeds(folder.path(), &["man"]);
    let man = man.replace('\\', "");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, _) = succeeds(folder.path(), &["completions", shell]);
        for flag in ["ttl-policy", "dry-run", "trigger", "iac", "start"] {
            assert!(
                script.contains(flag) && man.contains(flag),
                "{shell} {flag}"
            );
        }
    }
}

#[test]
fn bash_completes_flags_and_their_values() {
    let folder = tempfile::tempdir().unwrap();
    for (words, completed) in [
        ("ne", "new"),
        ("new --me", "--memory"),
        ("new --arch x", "x86_64"),
        ("new x --ttl-policy pe", "per-item"),
        ("new x --start m", "minimal"),
    ] {
        let script = format!(
            "source <('{BINARY}' completions bash)
             COMP_WORDS=(cached-lambda {words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             _cached__lambda cached-lambda \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
             echo \"${{COMPREPLY[@]}}\""
        );
        let mut bash = Command::new("bash");
        let output = bash
            .current_dir(folder.path())
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            completed,
            "{words}: {output:?}"
        );
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
        let script = format!("set -o pipefail; {} {arguments} | true", BINARY);
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
