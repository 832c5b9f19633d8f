//! `explain`, `completions`, `man`, the help, and what holds for every command.

use std::process::Command;

use snapbox::{assert_data_eq, str};

use crate::{BINARY, run, succeeds};

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
--ttl-policy  How long items live: fixed, per-item or immutable
ttl_policy in cached-lambda.toml and for cargo generate

When a cached item is too old to be used. `fixed` suits data that changes now and then and may
be stale for the TTL. `per-item` is for items that know their own end: `expires_at`, in epoch
seconds, which is DynamoDB's TTL attribute; an item past it counts as absent. `immutable` is for
data that is never changed under its key, such as versions or hashes: without a TTL, a wrong value
stays until Lambda ends the environment, which takes hours.

It can be changed with each deployment, and the kill switch turns every cache off.

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
--ttl-policy   How long items live: fixed, per-item or immutable [default: fixed]
--ttl          Time to live: 90, 30s, 5m; up to 24h [default: 60]
--trigger      Trigger: direct or function-url [default: direct]
--iac          What deploys it: sam or terraform [default: sam]

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
    let output = run(folder.path(), &["new", "--help"]);
    assert_data_eq!(
        String::from_utf8(output.stdout).unwrap(),
        str![[r#"
Make a new workspace

Usage: cached-lambda new [OPTIONS] [NAME]

Arguments:
  [NAME]  Names the folder, the stack and its resources

Options:
      --arch <ARCH>          Processor: arm64 or x86_64 [default: arm64]
      --memory <MB>          Memory in MB, 128 to 10240 [default: 256]
      --ttl-policy <POLICY>  How long items live: fixed, per-item or immutable [default:
                             fixed]
      --ttl <TIME>           Time to live: 90, 30s, 5m; up to 24h [default: 60]
      --trigger <TRIGGER>    Trigger: direct or function-url [default: direct]
      --iac <TOOL>           What deploys it: sam or terraform [default: sam]
      --path <DIR>           The folder to make it in [default: .]
      --answers <FILE>       Take answers from a cached-lambda.toml; flags win
      --vcs <VCS>            git or none [default: git, unless in a repository]
      --dry-run              List what would be made, write nothing
      --json                 Print one JSON object on standard output, never ask
  -q, --quiet                Say nothing but errors, never ask
  -y, --yes                  Use the defaults, never ask
  -h, --help                 Print help
      --color <WHEN>         When to use colours: auto, always or never

"#]]
    );
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

#[test]
fn bash_completes_flags_and_their_values() {
    let folder = tempfile::tempdir().unwrap();
    for (words, completed) in [
        ("ne", "new"),
        ("new --me", "--memory"),
        ("new --arch x", "x86_64"),
        ("new x --ttl-policy pe", "per-item"),
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
