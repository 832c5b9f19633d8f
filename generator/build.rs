//! Puts the template into the binary, with what cargo-generate.toml says of each file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let root = template()?;
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build.rs");

    let config: toml::Table = fs::read_to_string(root.join("cargo-generate.toml"))?.parse()?;
    let verbatim = verbatim(&root, &config)?;
    let conditions = conditions(&config)?;
    let hooks = config["hooks"]
        .as_table()
        .into_iter()
        .flat_map(|hooks| hooks.values());
    let hooks = hooks.filter_map(|scripts| scripts.as_array()).flatten();
    let mut not_rendered: Vec<_> = hooks
        .filter_map(|script| Some(root.join(script.as_str()?)))
        .collect();
    not_rendered.push(root.join("cargo-generate.toml"));

    let mut files = Vec::new();
    walk(&root, &mut files)?;
    files.retain(|file| !not_rendered.contains(file));
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let path = file.strip_prefix(&root)?;
        writeln!(
            code,
            "    Source {{ path: {path:?}, contents: include_bytes!({file:?}), executable: {}, verbatim: {}, left_out: &{:?} }},",
            is_executable(file)?,
            verbatim
                .matched_path_or_any_parents(path, false)
                .is_ignore(),
            left_out(path, &conditions),
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
        return Ok(beside.canonicalize()?);
    }
    let unpacked = PathBuf::from(env::var("OUT_DIR")?).join("template");
    let archive = fs::File::open(package.join("template.tar"))?;
    tar::Archive::new(archive).unpack(&unpacked)?;
    Ok(unpacked)
}

fn verbatim(root: &Path, config: &toml::Table) -> Outcome<Gitignore> {
    let mut builder = GitignoreBuilder::new(root);
    for pattern in config["template"]["exclude"]
        .as_array()
        .into_iter()
        .flatten()
    {
        builder.add_line(None, pattern.as_str().ok_or("exclude: not a string")?)?;
    }
    Ok(builder.build()?)
}

/// A placeholder and its value, and what is left out then.
type Condition = (String, String, Vec<PathBuf>);

/// The conditional sections: `placeholder == "value"`, with a list of what to ignore.
fn conditions(config: &toml::Table) -> Outcome<Vec<Condition>> {
    let mut conditions = Vec::new();
    for (expression, section) in config["conditional"].as_table().into_iter().flatten() {
        let wrong = || format!("not understood: [conditional.'{expression}']");
        let (name, value) = expression.split_once(" == ").ok_or_else(wrong)?;
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let ignored = section.get("ignore").and_then(toml::Value::as_array);
        let ignored = ignored.ok_or_else(wrong)?.iter();
        let ignored = ignored.filter_map(|path| path.as_str().map(PathBuf::from));
        let value = value.ok_or_else(wrong)?;
        conditions.push((name.into(), value.into(), ignored.collect()));
    }
    Ok(conditions)
}

fn left_out<'a>(path: &Path, conditions: &'a [Condition]) -> Vec<(&'a str, &'a str)> {
    let names_it =
        |(_, _, ignored): &&Condition| ignored.iter().any(|ignored| path.starts_with(ignored));
    conditions
        .iter()
        .filter(names_it)
        .map(|(name, value, _)| (name.as_str(), value.as_str()))
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_executable(file: &Path) -> Outcome<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(file)?.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> Outcome<bool> {
    Ok(false)
}
