//! The help, `completions`, the manual page, and what holds for every command.

#[cfg(unix)]
use std::{path::Path, process::Command};

#[cfg(unix)]
use snapbox::{Data, assert_data_eq};

#[cfg(unix)]
use crate::BINARY;
use crate::succeeds;

#[test]
fn colours_are_for_people_who_see_them() {
    let folder = tempfile::tempdir().unwrap();
    let has_colours = |arguments: &[&str], variable: &str| {
        let mut command = crate::generator(folder.path());
        let output = command.args(arguments).env(variable, "1").output().unwrap();
        output.stdout.contains(&0x1b) || output.stderr.contains(&0x1b)
    };
    for command in [&["new", "--ttl", "0"][..], &["new", "--help"]] {
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
    let (help, _) = succeeds(folder.path(), &["new", "-h"]);
    assert!(help.lines().count() <= 32, "{help}");
}

/// The page of the book: `SNAPSHOTS=overwrite` records it anew. On Windows the command ends in `.exe`.
#[cfg(unix)]
#[test]
fn the_book_has_what_each_command_says_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut page =
        String::from("# Command line\n\nWhat the command says of itself, recorded by its tests.\n");
    for arguments in [
        "--help",
        "new -h",
        "new --help",
        "add --help",
        "add function --help",
        "upgrade --help",
        "completions --help",
    ] {
        let words: Vec<_> = arguments.split(' ').collect();
        let (said, _) = succeeds(folder.path(), &words);
        let said = said.trim_end();
        page += &format!("\n## `cached-lambda {arguments}`\n\n```text\n{said}\n```\n");
    }
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/command-line.md");
    assert_data_eq!(page, Data::read_from(&recorded, None).raw());
}

/// As somebody reports it: the commit is that of the clone. An archive of the sources has none.
#[test]
fn the_version_says_its_commit() {
    if !std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../.git")
        .exists()
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (said, _) = succeeds(folder.path(), &["--version"]);
    let commit = said.strip_prefix(concat!("cached-lambda ", env!("CARGO_PKG_VERSION"), " ("));
    let commit = commit
        .and_then(|commit| commit.strip_suffix(")\n"))
        .unwrap();
    assert!(
        commit.len() == 10 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{said}"
    );
}

#[test]
fn completions_and_the_manual_name_every_flag() {
    let folder = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(cached_lambda::command(), folder.path()).unwrap();
    assert!(folder.path().join("cached-lambda-add-function.1").exists());
    let man = std::fs::read_to_string(folder.path().join("cached-lambda-new.1")).unwrap();
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
fn common_other_spellings_do_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (list, _) = succeeds(folder.path(), &["new", "x", "--dry-run"]);
    for arguments in [
        &["init", "x", "--dry-run"][..],
        &["create", "x", "--dry-run", "--output", "."],
    ] {
        assert_eq!(succeeds(folder.path(), arguments).0, list);
    }
    let (help, _) = succeeds(folder.path(), &["help", "new"]);
    assert_eq!(succeeds(folder.path(), &["new", "--help"]).0, help);
}

#[cfg(unix)]
#[test]
fn bash_completes_flags_and_their_values() {
    let folder = tempfile::tempdir().unwrap();
    for (words, completed) in [
        ("ne", "new"),
        ("new --me", "--memory"),
        ("new --arch x", "x86_64"),
        ("new x --ttl-policy pe", "per-item"),
        ("new x --start m", "minimal"),
        ("add fu", "function"),
        ("add function x --trigger d", "direct"),
        ("upgrade --ba", "--base"),
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
