//! Version control: made as `cargo new` does it, and asked what is committed.

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
    match repository(folder) {
        Some(root) if !succeeds(&["check-ignore", "--quiet", &format!("{name}/")]) => {
            Found::Inside(root)
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

/// The repository that a folder is in. A look for it and not a question to git, which denies one that is another user's.
fn repository(folder: &Path) -> Option<PathBuf> {
    let real = dunce::canonicalize(folder).unwrap_or_default();
    let mut above = real.ancestors();
    Some(
        above
            .find(|above| above.join(".git").exists())?
            .to_path_buf(),
    )
}

/// Whether a folder, or one above it, is a repository.
pub fn is_in_repository(folder: &Path) -> bool {
    repository(folder).is_some()
}

/// A file of a folder, as it is in a commit.
pub fn show(folder: &Path, commit: &str, path: &str) -> Option<Vec<u8>> {
    let file = format!("{commit}:./{path}");
    let output = git(folder, &["show", "--end-of-options", &file]).ok()?;
    output.status.success().then_some(output.stdout)
}

/// The short name of the commit that added a file.
pub fn commit_that_added(folder: &Path, path: &str) -> Option<String> {
    let arguments = ["log", "--diff-filter=A", "--format=%h", "-1", "--", path];
    let output = git(folder, &arguments).ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    Some(commit.trim().to_string()).filter(|commit| !commit.is_empty())
}

/// Whether git has a file as it is now: the repository that the file is in. One that is in none counts as committed where
/// the project in `root` is in none either.
///
/// # Errors
/// Where there is one, and git cannot tell.
pub fn is_committed(file: &Path, root: &Path) -> Result<bool, String> {
    let folder = file.parent().unwrap_or(root);
    if !is_in_repository(folder) {
        return Ok(!is_in_repository(root));
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(status(folder, &["--ignored", "--", &name])?.is_empty())
}

/// The files in a folder that git does not have as they are now. None where there is no repository.
///
/// # Errors
/// Where there is one, and git cannot tell.
pub fn uncommitted(folder: &Path) -> Result<Vec<String>, String> {
    if !is_in_repository(folder) {
        return Ok(Vec::new());
    }
    // Two letters and a blank before each path.
    let said = status(folder, &["--no-renames", "-z", "--", "."])?;
    let paths = said.split('\0').filter_map(|entry| entry.get(3..));
    Ok(paths.map(str::to_string).collect())
}

fn status(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let status = [
        "--literal-pathspecs",
        "status",
        "--porcelain",
        "--untracked-files=all",
    ];
    let output = git(folder, &[&status, arguments].concat()).map_err(|why| why.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(said(&output.stdout)),
        false => Err(said(&output.stderr).trim().to_string()),
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
