//! The Cargo workspaces around a folder. A workspace cannot be a member of another one: where a
//! pattern of theirs would take the new folder for a member, cargo would refuse theirs from then on.

use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// A workspace that would take a folder for its member.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manifest: PathBuf,
    /// Of its `members`.
    pub pattern: String,
    /// What to add to its `exclude`.
    pub exclude: String,
}

/// Looks at the workspaces around `target`, a folder to be made in `parent`, which exists, with the
/// folders `inside` it. A manifest that cannot be read or parsed has no say: cargo refuses it already.
pub fn conflict<'a>(
    parent: &Path,
    name: &str,
    inside: impl IntoIterator<Item = &'a Path>,
) -> io::Result<Option<Conflict>> {
    let target = parent.canonicalize()?.join(name);
    let folders = inside.into_iter().map(|folder| target.join(folder));
    let folders: Vec<_> = folders.chain([target.clone()]).collect();
    Ok(target
        .ancestors()
        .skip(1)
        .find_map(|root| taken_by(root, &target, &folders)))
}

fn taken_by(root: &Path, target: &Path, folders: &[PathBuf]) -> Option<Conflict> {
    let manifest = root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).ok()?;
    let table: toml::Table = toml::from_str(&text).ok()?;
    let workspace = table.get("workspace")?;
    let list = |key: &str| -> Vec<String> {
        let list = workspace.get(key).and_then(toml::Value::as_array);
        let texts = list.into_iter().flatten().filter_map(toml::Value::as_str);
        texts.map(Into::into).collect()
    };
    let is_excluded = list("exclude")
        .iter()
        .any(|excluded| target.starts_with(plain(&root.join(excluded))));
    let pattern = list("members").into_iter().find(|member| {
        let is_pattern = member.contains(['*', '?', '[']);
        // What is named in full is a member even where it is excluded.
        !(is_pattern && is_excluded) && folders.iter().any(|folder| matches(root, member, folder))
    })?;
    Some(Conflict {
        manifest,
        pattern,
        exclude: target.strip_prefix(root).ok()?.display().to_string(),
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
