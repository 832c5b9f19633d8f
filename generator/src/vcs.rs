//! Version control, as `cargo new` does it.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Whether a repository is to be made for a workspace `name` in `folder`: not inside another one,
/// unless that ignores it, and not where there is no git, unless it was asked for.
pub fn wanted(asked: Option<bool>, folder: &Path, name: &str) -> bool {
    asked.unwrap_or_else(|| {
        let succeeds =
            |arguments: &[&str]| git(folder, arguments).is_ok_and(|output| output.status.success());
        // A look for it and not a question to git, which denies one that is another user's.
        let is_inside = folder.canonicalize().is_ok_and(|folder| {
            let mut above = folder.ancestors();
            above.any(|above| above.join(".git").exists())
        });
        match is_inside {
            true => succeeds(&["check-ignore", "--quiet", &format!("{name}/")]),
            false => succeeds(&["--version"]),
        }
    })
}

/// Makes a repository in `folder`, with the branch that the rendered workflow runs on.
pub fn init(folder: &Path) -> io::Result<()> {
    let output = git(
        folder,
        &["-c", "init.defaultBranch=main", "init", "--quiet"],
    )?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).trim().to_string(),
    ))
}

fn git(folder: &Path, arguments: &[&str]) -> io::Result<Output> {
    let mut git = Command::new("git");
    // A hook sets them, and they would name its repository.
    for variable in OF_A_REPOSITORY {
        git.env_remove(variable);
    }
    let output = git
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    output.map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => io::Error::new(why.kind(), "it is not installed"),
        _ => why,
    })
}

/// What `git rev-parse --local-env-vars` lists.
const OF_A_REPOSITORY: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];
