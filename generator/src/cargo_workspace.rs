//! The Cargo workspaces around a folder. A workspace cannot be a member of another one: where theirs
//! would take the new folder for a member, cargo would refuse theirs from then on.

use std::path::{Component, Path, PathBuf};
use std::{fs, io, path};

use serde::Deserialize;

/// A workspace that would take a folder for its member.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manifest: PathBuf,
    /// Of its `members` or `default-members`: a path or a pattern.
    pub member: String,
    /// What to write into its `exclude`, where that does it.
    pub exclude: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Workspace {
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    default_members: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

/// Looks at the workspaces around the folder `name`, to be made in `parent`, which exists, with the
/// folders `inside` it. A manifest that cannot be read or parsed has no say: cargo refuses it already.
pub fn conflict(parent: &Path, name: &str, inside: &[&Path]) -> io::Result<Option<Conflict>> {
    // Cargo follows links in patterns, so that both ways to the folder count.
    let parents = [
        dunce::canonicalize(parent)?,
        plain(&path::absolute(parent)?),
    ];
    Ok(parents.into_iter().find_map(|parent| {
        let target = parent.join(name);
        let folders = inside.iter().map(|folder| target.join(folder));
        let folders: Vec<_> = folders.chain([target.clone()]).collect();
        let mut roots = parent.ancestors();
        roots.find_map(|root| taken_by(root, &target, &folders))
    }))
}

/// Whether the workspace in the folder `root` takes a folder for its member, or says that it is none.
pub fn decides_about(root: &Path, folder: &Path) -> bool {
    let excludes = || {
        let text = fs::read_to_string(root.join("Cargo.toml")).ok()?;
        let Manifest { workspace } = toml::from_str(&text).ok()?;
        let mut excluded = workspace.exclude.iter();
        Some(excluded.any(|it| folder.starts_with(root.join(it))))
    };
    taken_by(root, folder, &[folder.to_path_buf()]).is_some() || excludes() == Some(true)
}

fn taken_by(root: &Path, target: &Path, folders: &[PathBuf]) -> Option<Conflict> {
    let manifest = root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).ok()?;
    let Manifest { workspace } = toml::from_str(&text).ok()?;
    // As cargo has it: paths lead to a folder by whole components, `..` is taken as it is written, and
    // `exclude` says nothing where a member that is no pattern leads there, such as ".".
    let leads = |paths: &[String], to: &Path| paths.iter().any(|it| to.starts_with(root.join(it)));
    let is_named = |folder: &PathBuf| leads(&workspace.members, folder);
    let is_in = |folder: &&PathBuf| !leads(&workspace.exclude, folder) || is_named(folder);
    let mut members = workspace.members.iter().chain(&workspace.default_members);
    let (member, folder) = members.find_map(|member| {
        let mut folders = folders.iter().filter(is_in);
        Some((
            member,
            folders.find(|folder| matches(root, member, folder))?,
        ))
    })?;
    let below = target.strip_prefix(root).ok()?.to_string_lossy();
    // As manifests have it everywhere.
    let below = below.replace(std::path::MAIN_SEPARATOR, "/");
    Some(Conflict {
        exclude: (!is_named(folder)).then_some(below),
        manifest,
        member: member.clone(),
    })
}

/// As Cargo matches, which walks with the crate `glob`: folder by folder, so that no pattern reaches
/// across a separator.
fn matches(root: &Path, member: &str, folder: &Path) -> bool {
    let root = glob::Pattern::escape(&root.to_string_lossy());
    let pattern = plain(&Path::new(&root).join(member));
    let options = glob::MatchOptions {
        require_literal_separator: true,
        ..glob::MatchOptions::new()
    };
    glob::Pattern::new(&pattern.to_string_lossy())
        .is_ok_and(|pattern| pattern.matches_path_with(folder, options))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
