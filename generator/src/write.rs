//! From the tree in memory to the disk, in one step: everything is written to a hidden folder
//! beside the target, which is then renamed. A run that fails or is interrupted leaves nothing.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cargo_workspace::{self, Conflict};
use crate::render::File;
use crate::template::SOURCES;
use crate::vcs;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} exists; nothing was changed", .0.display())]
    Exists(PathBuf),
    #[error(
        "the Cargo workspace {} would take {} for a member, by \"{}\", and cargo would refuse both; \
         nothing was made",
        .conflict.manifest.display(), .target.display(), .conflict.member
    )]
    Workspace { target: PathBuf, conflict: Conflict },
    #[error("cannot write {}: {why}; nothing was made", .file.display())]
    Write { file: PathBuf, why: io::Error },
    #[error("git cannot make a repository: {0}; nothing was made")]
    Git(io::Error),
    #[error("interrupted; nothing was made")]
    Interrupted,
}

impl Error {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        const ELSEWHERE: &str = "choose another name, or another folder with --path";
        match self {
            Error::Exists(_) => Some(ELSEWHERE.into()),
            Error::Workspace { conflict, .. } => Some(match &conflict.way_out {
                Some(way_out) => format!("{way_out}, or {ELSEWHERE}"),
                None => ELSEWHERE.into(),
            }),
            Error::Write { why, .. } => match why.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("make room there, or choose another folder with --path".into())
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("choose a folder that you may write to with --path".into())
                }
                _ => None,
            },
            Error::Git(_) => Some("use --vcs none to do without".into()),
            Error::Interrupted => None,
        }
    }
}

/// A folder that does not exist yet, in one that does.
pub struct Target {
    path: PathBuf,
    /// Where everything is written first.
    staging: PathBuf,
    name: String,
}

impl Target {
    /// Refuses whatever has that name already, an empty folder or a broken link too, and a place
    /// that breaks a Cargo workspace.
    pub fn new(folder: &Path, name: &str) -> Result<Self, Error> {
        let path = match folder == Path::new(".") {
            true => name.into(),
            false => folder.join(name),
        };
        let failed = |why| Error::Write {
            file: path.clone(),
            why,
        };
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Err(Error::Exists(path)),
            Err(why) => return Err(failed(why)),
        }
        if let Some(conflict) = conflict(folder, name).map_err(failed)? {
            let target = path;
            return Err(Error::Workspace { target, conflict });
        }
        // Beside the target, unless a workspace takes that for a member: then further up.
        let hidden = hidden_prefix(name);
        let mut staging = folder.to_path_buf();
        if conflict(folder, &hidden).map_err(failed)?.is_some() {
            let above = folder.canonicalize().map_err(failed)?;
            let free = |above: &&Path| matches!(conflict(above, &hidden), Ok(None));
            staging = above.ancestors().find(free).unwrap_or(folder).into();
        }
        Ok(Target {
            path,
            staging,
            name: name.to_string(),
        })
    }

    /// Where the workspace will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a killed run for the same target has left, if not what a running one is writing.
    pub fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.staging).into_iter().flatten().flatten();
        let prefix = hidden_prefix(&self.name);
        let mut left: Vec<_> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| match self.staging == Path::new(".") {
                true => entry.file_name().into(),
                false => entry.path(),
            })
            .collect();
        left.sort();
        left
    }

    /// Writes the tree, unless `interrupted` becomes true before it is done.
    pub fn write(self, tree: &[File], git: bool, interrupted: &AtomicBool) -> Result<(), Error> {
        let failed = |file: &Path| {
            let file = file.to_path_buf();
            |why| Error::Write { file, why }
        };
        let go_on = || match interrupted.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        };
        // Removed when it is dropped, unless it was renamed.
        let hidden = hidden_folder(&self.staging, &self.name).map_err(failed(&self.path))?;
        for file in tree {
            go_on()?;
            let path = hidden.path().join(&file.path);
            let shown = self.path.join(&file.path);
            write_file(&path, file).map_err(failed(&shown))?;
        }
        let repository = if git {
            vcs::init(hidden.path())
        } else {
            Ok(())
        };
        // Ctrl-C reaches git, too: its failure is not what to tell then.
        go_on()?;
        repository.map_err(Error::Git)?;
        rename_without_replacing(hidden.path(), &self.path).map_err(|why| match why.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists(self.path.clone()),
            _ => Error::Write {
                file: self.path.clone(),
                why,
            },
        })?;
        // Nothing is left under the hidden name.
        let _ = hidden.keep();
        Ok(())
    }
}

/// The Cargo workspace that would take a folder of that name, or one that the template makes in it.
fn conflict(parent: &Path, name: &str) -> io::Result<Option<Conflict>> {
    let files = SOURCES.iter().map(|source| Path::new(source.path));
    let folders = files.flat_map(|file| file.ancestors().skip(1));
    let inside: BTreeSet<_> = folders.filter(|folder| *folder != Path::new("")).collect();
    cargo_workspace::conflict(parent, name, inside)
}

/// Hidden, and telling whose it is where a killed run leaves it.
fn hidden_prefix(name: &str) -> String {
    format!(".{name}.cached-lambda-")
}

fn hidden_folder(folder: &Path, name: &str) -> io::Result<tempfile::TempDir> {
    let prefix = hidden_prefix(name);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    // It becomes the workspace: as open as any folder that the user makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(folder).map_err(without_path)
}

/// The hidden folder's is not the one to tell.
fn without_path(why: io::Error) -> io::Error {
    let cause = why.get_ref().and_then(std::error::Error::source);
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => why.kind().into(),
    }
}

fn write_file(path: &Path, file: &File) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if file.executable {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o777);
    }
    options.open(path)?.write_all(&file.contents)
}

/// A target that appeared meanwhile is not replaced, an empty folder included.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems cannot do it in one step.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => look_and_rename(from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    look_and_rename(from, to)
}

fn look_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn tree() -> Vec<File> {
        let file = |path: &str| File {
            path: path.into(),
            contents: b"x".into(),
            executable: false,
        };
        vec![file("a/b"), file("c")]
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_tree_appears_whole_and_nothing_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let target = Target::new(parent.path(), "made").unwrap();
        let made = target.path().to_path_buf();
        target.write(&tree(), false, &NEVER).unwrap();
        assert_eq!(fs::read(made.join("a/b")).unwrap(), b"x");
        assert_eq!(names(parent.path()), ["made"]);
    }

    #[test]
    fn a_target_that_appears_meanwhile_is_left_as_it_is() {
        for make in [
            |path: &Path| fs::create_dir(path),
            |path: &Path| fs::write(path, "theirs"),
        ] {
            let parent = tempfile::tempdir().unwrap();
            let target = Target::new(parent.path(), "made").unwrap();
            let path = parent.path().join("made");
            make(&path).unwrap();
            assert!(matches!(
                target.write(&tree(), false, &NEVER),
                Err(Error::Exists(_))
            ));
            assert!(!path.join("c").exists());
            assert_eq!(names(parent.path()), ["made"]);
        }
    }

    #[test]
    fn an_interrupt_between_two_files_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = Target::new(parent.path(), "made").unwrap();
        let error = target.write(&tree(), false, &AtomicBool::new(true));
        assert!(matches!(error, Err(Error::Interrupted)));
        assert_eq!(names(parent.path()), [""; 0]);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = Target::new(parent.path(), "made").unwrap();
        // A file where a folder has to be.
        let mut tree = tree();
        tree.insert(
            0,
            File {
                path: "a".into(),
                contents: Vec::new(),
                executable: false,
            },
        );
        let error = target.write(&tree, false, &NEVER).unwrap_err().to_string();
        assert!(
            error.contains("made/a/b") && error.contains("nothing was made"),
            "{error}"
        );
        assert_eq!(names(parent.path()), [""; 0]);
    }
}
