//! Puts the template into the binary, file by file, and those of earlier releases; and the commit.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use flate2::read::GzDecoder;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("template.rs"), code(&template()?)?)?;

    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let releases = package.join("releases");
    println!("cargo::rerun-if-changed={}", releases.display());
    let mut all = String::from("&[\n");
    for entry in fs::read_dir(releases)? {
        let archive = entry?.path();
        let unpacked = out.join(archive.file_stem().unwrap_or_default());
        unpack(GzDecoder::new(fs::File::open(&archive)?), &unpacked)?;
        writeln!(all, "{},", code(&unpacked.join("template"))?)?;
    }
    fs::write(out.join("releases.rs"), all + "]")?;

    // In a published package it is beside the sources.
    let changelogs = ["../CHANGELOG.md", "CHANGELOG.md"].map(|path| package.join(path));
    let changelog = changelogs.iter().find(|path| path.exists());
    let changelog = changelog.ok_or("CHANGELOG.md is missing")?;
    println!("cargo::rerun-if-changed={}", changelog.display());
    println!("cargo::rustc-env=CHANGELOG={}", changelog.display());

    let version = env::var("CARGO_PKG_VERSION")?;
    let version = match commit(&package) {
        Some(commit) => format!("{version} ({})", &commit[..10]),
        None => version,
    };
    println!("cargo::rustc-env=VERSION={version}");
    Ok(())
}

/// The commit that this is built of: a published package says it in a file, a clone by git. `None` where neither does, or
/// where the sources lie in a repository of somebody else's.
fn commit(package: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let output = git.current_dir(package).args(arguments).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| said.trim().to_string())
    };
    let commit = match fs::read_to_string(package.join(".cargo_vcs_info.json")) {
        Ok(info) => info.split('"').find(|it| is_commit(it))?.to_string(),
        Err(_) => {
            let place = git(&["rev-parse", "--show-prefix"])?;
            let head = git(&[
                "rev-parse",
                "--path-format=absolute",
                "--git-path",
                "logs/HEAD",
            ])?;
            // What is not there would always have changed.
            if Path::new(&head).exists() {
                println!("cargo::rerun-if-changed={head}");
            }
            git(&["rev-parse", "HEAD"]).filter(|_| place == "generator/")?
        }
    };
    is_commit(&commit).then_some(commit)
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The files of a folder as an expression.
fn code(root: &Path) -> Outcome<String> {
    let mut files = Vec::new();
    walk(root, &mut files)?;
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let path = file.strip_prefix(root)?;
        let path = path.to_string_lossy().replace('\\', "/");
        writeln!(
            code,
            "    Source {{ path: {path:?}, contents: include_bytes!({file:?}) }},"
        )?;
    }
    code.push(']');
    Ok(code)
}

fn unpack(archive: impl Read, to: &Path) -> Outcome<()> {
    if to.exists() {
        // What an earlier archive held and this one does not.
        fs::remove_dir_all(to)?;
    }
    Ok(tar::Archive::new(archive).unpack(to)?)
}

/// The folder of the template. In a published package it is an archive: cargo leaves folders with
/// a manifest out of one, and the template has three.
fn template() -> Outcome<PathBuf> {
    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let beside = package.join("../template");
    if beside.join("cargo-generate.toml").exists() {
        println!("cargo::rerun-if-changed={}", beside.display());
        return Ok(beside.canonicalize()?);
    }
    let archive = package.join("template.tar");
    println!("cargo::rerun-if-changed={}", archive.display());
    let unpacked = PathBuf::from(env::var("OUT_DIR")?).join("template");
    unpack(fs::File::open(archive)?, &unpacked)?;
    Ok(unpacked)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name();
        // What `terraform init` and `sam build` leave where somebody tries the template.
        if name == ".terraform" || name == ".aws-sam" {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
