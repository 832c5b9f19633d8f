//! `cached-lambda` from the outside: what it prints, what it exits with, what it leaves.
#![allow(clippy::unwrap_used)]

#[cfg(unix)]
mod add;
#[cfg(unix)]
mod cargo_workspaces;
#[cfg(target_os = "linux")]
mod disk;
mod errors;
#[cfg(unix)]
mod function;
mod new;
mod other_commands;
#[cfg(unix)]
mod prompts;
#[cfg(unix)]
mod upgrade;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_cached-lambda");

/// What would change what is said or made.
const OF_THE_USER: [&str; 8] = [
    "CI",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_WORK_TREE",
    "NO_COLOR",
    "TERM",
];

/// The generator, with nothing of the terminal or the user that the tests run in.
fn generator(folder: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).env("COLUMNS", "90");
    for variable in OF_THE_USER {
        command.env_remove(variable);
    }
    // Messages of git, too.
    command.env("LC_ALL", "C");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    generator(folder).args(arguments).output().unwrap()
}

/// What it prints, and what it says, where it succeeds.
fn succeeds(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = run(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    (String::from_utf8(output.stdout).unwrap(), error)
}

/// What it says where it fails, and what it exits with. It prints nothing then.
fn fails(folder: &Path, arguments: &[&str]) -> (String, i32) {
    let output = run(folder, arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    (error, output.status.code().unwrap())
}

/// Everything in a folder, hidden or not.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
