//! Puts the template into the binary, file by file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let root = template()?;

    let mut files = Vec::new();
    walk(&root, &mut files)?;
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let path = file.strip_prefix(&root)?;
        let path = path.to_string_lossy().replace('\\', "/");
        writeln!(
            code,
            "    Source {{ path: {path:?}, contents: include_bytes!({file:?}) }},"
        )?;
    }
    code.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("template.rs"), code)?;
    Ok(())
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
    if unpacked.exists() {
        // What an earlier archive held and this one does not.
        fs::remove_dir_all(&unpacked)?;
    }
    tar::Archive::new(fs::File::open(archive)?).unpack(&unpacked)?;
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
