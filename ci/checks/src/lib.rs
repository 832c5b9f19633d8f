//! What the checks of this repository share.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

pub mod container;
pub mod database;
pub mod lint;
pub mod log;
pub mod proxy;
pub mod server;
pub mod shared_cache;
pub mod variants;

/// A port on the loopback interface that nobody has just now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.unwrap_or_else(|error| panic!("no port is free: {error}"))
        .port()
}

/// Where this repository is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where everything is built, rendered workspaces too, so that nothing is built twice.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The library that fakes the wall clock of a process, for `LD_PRELOAD`.
///
/// # Panics
/// When it is not installed.
pub fn faketime() -> String {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let library = folders.map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"));
    let mut library = library.into_iter();
    let library = library.find(|library| Path::new(library).exists());
    library.expect("faketime is not installed: run ci/setup")
}

/// Has what `command` builds in [`target`], and without what cargo set for this process: a rendered
/// workspace is built without.
pub fn builds_as_a_user(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command.env("CARGO_TARGET_DIR", target())
}

/// cargo in a workspace, as [`builds_as_a_user`] has it.
pub fn cargo(workspace: &Path, arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    builds_as_a_user(cargo.current_dir(workspace).args(arguments));
    cargo
}

/// Runs a command.
///
/// # Panics
/// When it fails.
pub fn succeed(command: &mut Command) {
    match command.status() {
        Ok(status) => assert!(status.success(), "{command:?}: {status}"),
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// Runs what a rendered workspace's own workflow runs.
///
/// # Panics
/// When it fails.
pub fn passes_its_own_checks(workspace: &Path) {
    succeed(&mut cargo(workspace, &["fmt", "--all", "--check"]));
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked"];
    succeed(cargo(workspace, &clippy).args(["--", "-D", "warnings"]));
    succeed(&mut cargo(workspace, &["test", "--workspace", "--locked"]));
}

/// The generator, as it is now.
///
/// # Panics
/// When it cannot be built.
pub fn cached_lambda() -> Command {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(root()).env("CARGO_TARGET_DIR", target());
        succeed(build.args(["build", "--quiet", "--locked", "--package", "cached-lambda"]));
    });
    Command::new(target().join("debug").join("cached-lambda"))
}

/// Runs the generator, and returns the workspace that it made in `folder`.
///
/// # Panics
/// When it fails.
pub fn render(folder: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let mut new = cached_lambda();
    new.args(["new", name]).args(flags);
    let output = new
        .args(["--vcs", "none", "--yes", "--path"])
        .arg(folder)
        .output();
    let output = output.unwrap_or_else(|error| panic!("it cannot be run: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    folder.join(name)
}

/// As [`render`] does, with a variant's values.
///
/// # Panics
/// When it fails.
pub fn render_variant(folder: &Path, name: &str, variant: &variants::Variant) -> PathBuf {
    let answers = folder.join(format!("{name}.toml"));
    std::fs::write(&answers, variants::answers(variant)).unwrap_or_else(|why| panic!("{why}"));
    render(folder, name, &["--answers", &answers.to_string_lossy()])
}
