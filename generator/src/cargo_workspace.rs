//! The Cargo workspaces around a folder. A workspace cannot be a member of another one: where theirs
//! would take the new folder for a member, cargo would refuse theirs from then on.

use std::path::{Component, Path, PathBuf};
use std::{fs, io, path};

/// A workspace that would take a folder for its member.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manifest: PathBuf,
    /// Of its `members` or `default-members`: a path or a pattern.
    pub member: String,
    /// What to change in the manifest, if one line does it.
    pub way_out: Option<String>,
}

/// Looks at the workspaces around the folder `name`, to be made in `parent`, which exists, with the
/// folders `inside` it. A manifest that cannot be read or parsed has no say: cargo refuses it already.
pub fn conflict<'a>(
    parent: &Path,
    name: &str,
    inside: impl IntoIterator<Item = &'a Path>,
) -> io::Result<Option<Conflict>> {
    let inside: Vec<_> = inside.into_iter().collect();
    // Cargo follows links in patterns, so that both ways to the folder count.
    let parents = [parent.canonicalize()?, plain(&path::absolute(parent)?)];
    Ok(parents.into_iter().find_map(|parent| {
        let target = parent.join(name);
        let folders = inside.iter().map(|folder| target.join(folder));
        let folders: Vec<_> = folders.chain([target.clone()]).collect();
        parent
            .ancestors()
            .find_map(|root| taken_by(root, &target, &folders))
    }))
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
    let [members, default_members, exclude] = ["members", "default-members", "exclude"].map(list);
    // As cargo has it: by whole components, with `..` as it is written, and for naught where a
    // member that is no pattern leads there, such as ".".
    let leading = |paths: &[String], to: &Path| {
        let mut paths = paths.iter();
        paths.find(|path| to.starts_with(root.join(path))).cloned()
    };
    let named = |folder| leading(&members, folder);
    let is_excluded = |folder| leading(&exclude, folder).is_some() && named(folder).is_none();
    let all = members.iter().chain(&default_members);
    let (member, folder) = all.into_iter().find_map(|member| {
        let mut folders = folders.iter().filter(|folder| !is_excluded(folder));
        Some((
            member,
            folders.find(|folder| matches(root, member, folder))?,
        ))
    })?;
    let way_out = match named(folder) {
        None => {
            let target = target.strip_prefix(root).ok()?.display();
            Some(format!(
                "add \"{target}\" to the `exclude` of its [workspace]"
            ))
        }
        Some(named) if named == *member => Some(format!("remove \"{member}\" from its `members`")),
        Some(_) => None,
    };
    Some(Conflict {
        manifest,
        member: member.clone(),
        way_out,
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
