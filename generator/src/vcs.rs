//! Version control, as `cargo new` does it.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether a repository is to be made for a workspace in `folder`: not inside another one, and
/// not where there is no git, unless it was asked for.
pub fn wanted(asked: Option<bool>, folder: &Path) -> bool {
    match asked {
        Some(asked) => asked,
        None => {
            let inside = git(folder, &["rev-parse", "--is-inside-work-tree"]);
            inside.is_ok_and(|output| !output.status.success())
        }
    }
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

fn git(folder: &Path, arguments: &[&str]) -> io::Result<std::process::Output> {
    let mut git = Command::new("git");
    // A hook sets them, and they would name its repository.
    for variable in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_COMMON_DIR",
    ] {
        git.env_remove(variable);
    }
    git.current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
}
