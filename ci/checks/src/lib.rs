//! What the checks of this repository share.

use std::path::{Path, PathBuf};
use std::process::Command;

pub mod database;
pub mod lint;
pub mod proxy;

/// Where this repository is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the generator, and returns the workspace that it made in `folder`.
///
/// # Panics
/// When it fails.
pub fn render(folder: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let mut new = Command::new(env!("CARGO"));
    new.current_dir(root());
    new.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "cached-lambda",
        "--",
        "new",
        name,
    ]);
    new.args(flags)
        .args(["--vcs", "none", "--yes", "--path"])
        .arg(folder);
    let output = new
        .output()
        .unwrap_or_else(|error| panic!("cargo cannot be run: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    folder.join(name)
}
