//! `cached-lambda add`: the cache into a package that exists. What is there is read, edits are made in memory, and
//! then all of them are written, or none.

mod kind;
pub mod manifest;
pub mod project;
mod reads;
mod report;

use std::fs;
use std::path::Path;

use cargo_metadata::semver::VersionReq;
use toml_edit::{DocumentMut, Value};

use crate::changes::Changes;
use crate::cli::Add;
use crate::error::Error;
use crate::template::{self, SOURCES};
use crate::{cargo_workspace, cli};

use kind::Names;
pub use kind::{Kind, is_keyword};
use manifest::Edited;
use project::Project;
use report::Report;

const CACHE_CORE: &str = "cache-core";
/// What `src/caches.rs` uses beside it.
const NEEDED: [&str; 3] = ["aws-sdk-dynamodb", "mem_dbg", "serde"];
/// Where cargo's configuration is read from, the older name first, as cargo has it.
const CONFIGURATION: [&str; 2] = [".cargo/config", ".cargo/config.toml"];
const ENTROPY: &str = "AWS_LC_SYS_NO_JITTER_ENTROPY";

/// Puts the cache into a package, or says how that would look.
pub fn run(add: &Add) -> Result<(), Error> {
    for (index, kind) in add.kinds.iter().enumerate() {
        if add.kinds[..index].iter().any(|it| it.name == kind.name) {
            return Err(cli::refuse(&format!(
                "the kind `{}` is given twice",
                kind.name
            )));
        }
    }
    let project = Project::find(
        Path::new("."),
        add.manifest_path.as_deref(),
        add.package.as_deref(),
    )?;
    let (changes, report) = plan(&project, add)?;
    add.edit.make(&changes, &report.summary(&changes))?;
    let dry_run = add.edit.dry_run;
    add.edit.report(
        &changes,
        &report.json(dry_run, &changes),
        &report.text(dry_run, &changes),
    )
}

fn plan(project: &Project, add: &Add) -> Result<(Changes, Report), Error> {
    let mut changes = Changes::new(project.root());
    let mut report = Report::of(project, add);
    project.fits(&needs(), &["aws-sdk-dynamodb", "mem_dbg"])?;
    for name in project.optional(&NEEDED) {
        report.note(format!(
            "{name} is optional, and src/caches.rs needs it: name it in the feature that has the module"
        ));
    }
    let is_there = project.has_cache_core()?;
    if is_there && add.git.is_some() {
        report.note("cache-core is a dependency already: --git was left alone".into());
    }
    depend(project, add.git.as_deref(), is_there, &mut changes)?;
    configure(&mut changes, &mut report)?;
    declare(project, is_there, &mut changes, &mut report)?;
    report.note_rust_version(project);
    Ok((changes, report))
}

/// The package's dependencies, and cache-core itself unless it is there or comes from a repository.
fn depend(
    project: &Project,
    git: Option<&str>,
    is_there: bool,
    changes: &mut Changes,
) -> Result<(), Error> {
    let vendored = project.vendored();
    if !is_there && git.is_none() && vendored.is_none() {
        vendor(project, changes)?;
    }
    let path = project.below("Cargo.toml");
    let mut manifest = edited(changes, &path)?;
    if !is_there {
        let up = "../".repeat(path.matches('/').count());
        let vendored = vendored.as_deref().unwrap_or(CACHE_CORE);
        let source = match git {
            Some(url) => ("git", url.into()),
            None => ("path", format!("{up}{vendored}").into()),
        };
        manifest.depend(CACHE_CORE, &[source])?;
    }
    for name in NEEDED {
        if project.name_of(name).is_none() {
            manifest.depend(name, &dependency(project, changes, name)?)?;
        }
    }
    Ok(changes.set(&path, Some(manifest.bytes()))?)
}

/// The kinds, in a file that may be there from an earlier run.
fn declare(
    project: &Project,
    is_there: bool,
    changes: &mut Changes,
    report: &mut Report,
) -> Result<(), Error> {
    let name_of = |name: &str| {
        project
            .name_of(name)
            .unwrap_or_else(|| name.replace('-', "_"))
    };
    let names = Names {
        cache_core: name_of(CACHE_CORE),
        dynamodb: name_of("aws-sdk-dynamodb"),
        mem_dbg: name_of("mem_dbg"),
        serde: name_of("serde"),
        runtime: project
            .runtime()
            .map(|runtime| (runtime, name_of(runtime.name()))),
    };
    let text = kind::file(&report.tables(), &report.tags, &names);
    let edition = project.package.edition.as_str();
    let text = project::formatted(&text, edition, &project.path()).into_bytes();
    let path = project.below("src/caches.rs");
    let other =
        [project.below("src/caches/mod.rs"), path.clone()].map(|it| project.root().join(it));
    match changes.read(&path)? {
        // Somebody works in it already.
        Some(there) if is_there || there == text => {
            report.declared_in(&String::from_utf8_lossy(&there));
            Ok(())
        }
        _ => match other.into_iter().find(|it| it.exists()) {
            Some(other) => Err(project::Error::Exists(other).into()),
            None => {
                report.note_types(project);
                Ok(changes.set(&path, Some(text))?)
            }
        },
    }
}

/// The least versions that cache-core needs, as its manifest says them.
fn needs() -> Vec<(String, VersionReq)> {
    let manifest = parsed(template::text("cache-core/Cargo.toml"));
    let dependencies = manifest["dependencies"].as_table_like();
    let dependencies = dependencies.into_iter().flat_map(|it| it.iter());
    let needed = dependencies.filter(|(_, it)| it.get("optional").is_none());
    let needed = needed.filter_map(|(name, it)| {
        let version = it.as_str().or_else(|| it.get("version")?.as_str())?;
        Some((name.to_string(), version.parse().ok()?))
    });
    needed.collect()
}

/// A manifest of the template, which a test has parsed.
fn parsed(text: &str) -> DocumentMut {
    text.parse().unwrap_or_default()
}

/// How a new dependency is written: as the workspace has it, or as a workspace of the template has it.
fn dependency(
    project: &Project,
    changes: &Changes,
    name: &str,
) -> Result<Vec<(&'static str, Value)>, Error> {
    let root = edited(changes, "Cargo.toml")?;
    if let Some(there) = root.get(&["workspace", "dependencies", name]) {
        let version = there.as_str().or_else(|| there.get("version")?.as_str());
        let is_it = there
            .get("package")
            .is_none_or(|it| it.as_str() == Some(name));
        if !is_it {
            let why = format!("[workspace.dependencies] has another crate under the name `{name}`");
            return Err(manifest::Error {
                file: "Cargo.toml".into(),
                why,
            }
            .into());
        }
        project.workspace_version_fits(name, version, &needs())?;
        return Ok(vec![("workspace", true.into())]);
    }
    let ours = parsed(template::text("Cargo.toml.liquid"));
    let ours = ours["workspace"]["dependencies"][name].clone();
    let field = |key: &'static str| Some((key, ours.get(key)?.as_value()?.clone()));
    let fields = ["version", "default-features", "features"];
    Ok(fields.into_iter().filter_map(field).collect())
}

fn edited(changes: &Changes, path: &str) -> Result<Edited, Error> {
    let bytes = changes.read(path)?.unwrap_or_default();
    Ok(Edited::parse(path, &bytes)?)
}

/// cache-core as a folder of the workspace, and as its member.
fn vendor(project: &Project, changes: &mut Changes) -> Result<(), Error> {
    let root = project.root();
    let folder = root.join(CACHE_CORE);
    if !project::is_ours(&folder) {
        if fs::symlink_metadata(&folder).is_ok() {
            return Err(project::Error::Exists(folder).into());
        }
        for source in SOURCES
            .iter()
            .filter(|it| it.path.starts_with("cache-core/"))
        {
            changes.set(source.path, Some(source.contents.to_vec()))?;
        }
        let record = template::vendored_record(SOURCES);
        changes.set(template::VENDORED_RECORD, Some(record.into_bytes()))?;
    }
    let mut manifest = edited(changes, "Cargo.toml")?;
    let has_list = manifest.get(&["workspace", "members"]).is_some();
    if has_list && !cargo_workspace::decides_about(root, &folder) {
        manifest.add_member(CACHE_CORE)?;
        changes.set("Cargo.toml", Some(manifest.bytes()))?;
    }
    Ok(())
}

/// How the TLS library is built: one variable, left alone where it is set.
fn configure(changes: &mut Changes, report: &mut Report) -> Result<(), Error> {
    let ours = template::text(".cargo/config.toml");
    let mut there = None;
    for path in CONFIGURATION {
        if there.is_none() && changes.read(path)?.is_some() {
            there = Some(path);
        }
    }
    let Some(path) = there else {
        return Ok(changes.set(CONFIGURATION[1], Some(ours.into()))?);
    };
    let mut configuration = edited(changes, path)?;
    match configuration.get(&["env", ENTROPY]) {
        Some(set) => {
            let value = set
                .as_str()
                .or_else(|| set.get("value")?.as_str())
                .unwrap_or_default();
            if value != "1" {
                report.note(format!(
                    "{path} sets {ENTROPY}, and was left alone. With \"1\" a new environment starts 35 ms earlier"
                ));
            }
        }
        None => {
            let comment = "Without it the SDK's TLS library measures the processor's timing at each start: 35 ms.";
            configuration.set_env(ENTROPY, "1", comment)?;
            changes.set(path, Some(configuration.bytes()))?;
        }
    }
    Ok(())
}
