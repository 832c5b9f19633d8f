//! Version control, as `cargo new` does it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What there is for a new workspace.
pub enum Found {
    /// The repository of that folder, which does not ignore the workspace.
    Inside(PathBuf),
    Git,
    Nothing,
}

/// Looks for a repository around a workspace `name` in `folder`, and for git.
pub fn find(folder: &Path, name: &str) -> Found {
    let succeeds =
        |arguments: &[&str]| git(folder, arguments).is_ok_and(|output| output.status.success());
    // A look for it and not a question to git, which denies one that is another user's.
    let folder = dunce::canonicalize(folder).unwrap_or_default();
    let mut above = folder.ancestors();
    match above.find(|above| above.join(".git").exists()) {
        Some(root) if !succeeds(&["check-ignore", "--quiet", &format!("{name}/")]) => {
            Found::Inside(root.to_path_buf())
        }
        Some(_) => Found::Git,
        None if succeeds(&["--version"]) => Found::Git,
        None => Found::Nothing,
    }
}

/// Makes a repository in `folder`, with the branch that the rendered workflow runs on.
pub fn init(folder: &Path) -> io::Result<()> {
    let arguments = ["-c", "init.defaultBranch=main", "init", "--quiet"];
    let output = git(folder, &arguments).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => io::Error::new(why.kind(), "it is not installed"),
        _ => why,
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(said.trim().to_string())),
    }
}

fn git(folder: &Path, arguments: &[&str]) -> io::Result<Output> {
    let mut git = Command::new("git");
    // A hook sets them, and they would name its repository.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(variable);
    }
    git.current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
}
