//! From the tree in memory to the disk, in one step: everything is written to a hidden folder
//! beside the target, which is then renamed. A run that fails or is interrupted leaves nothing.

use std::fs;
use std::hash::{BuildHasher, RandomState};
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
            Error::Workspace { conflict, .. } => Some(match &conflict.exclude {
                Some(path) => {
                    format!("add {path:?} to the `exclude` of its [workspace], or {ELSEWHERE}")
                }
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

fn cannot_write(file: &Path) -> impl FnOnce(io::Error) -> Error {
    let file = file.to_path_buf();
    |why| Error::Write { file, why }
}

/// A folder that does not exist yet, in one that does.
pub struct Target(PathBuf);

impl Target {
    /// Refuses whatever has that name already, an empty folder or a broken link too, and a place
    /// that breaks a Cargo workspace.
    pub fn new(folder: &Path, name: &str) -> Result<Self, Error> {
        // Below the current folder without that one.
        let target = folder.strip_prefix(".").unwrap_or(folder).join(name);
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Err(Error::Exists(target)),
            Err(why) => return Err(cannot_write(&target)(why)),
        }
        let files = SOURCES.iter().map(|source| Path::new(source.path));
        let folders: Vec<_> = files.filter_map(Path::parent).collect();
        let conflict = cargo_workspace::conflict(folder, name, &folders);
        match conflict.map_err(cannot_write(&target))? {
            Some(conflict) => Err(Error::Workspace { target, conflict }),
            None => Ok(Target(target)),
        }
    }

    /// Where the workspace will be.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the tree, unless `interrupted` becomes true before it is done.
    pub fn write(&self, tree: &[File], git: bool, interrupted: &AtomicBool) -> Result<(), Error> {
        let go_on = || match interrupted.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        };
        let hidden = Hidden::beside(&self.0).map_err(cannot_write(&self.0))?;
        for file in tree {
            go_on()?;
            let written = write_file(&hidden.0.join(&file.path), file);
            written.map_err(cannot_write(&self.0.join(&file.path)))?;
        }
        let repository = if git { vcs::init(&hidden.0) } else { Ok(()) };
        // Ctrl-C reaches git, too: its failure is not what to tell then.
        go_on()?;
        repository.map_err(Error::Git)?;
        let renamed = rename_without_replacing(&hidden.0, &self.0);
        renamed.map_err(|why| match why.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists(self.0.clone()),
            _ => cannot_write(&self.0)(why),
        })
    }
}

/// A folder of a new name beside the target, removed when it is dropped. Once it is renamed there is
/// nothing left to remove.
struct Hidden(PathBuf);

impl Hidden {
    fn beside(target: &Path) -> io::Result<Self> {
        let random = RandomState::new().hash_one(());
        let name = target.file_name().unwrap_or_default().display();
        // Telling whose it is where a killed run leaves it.
        let path = target.with_file_name(format!(".{name}.cached-lambda-{random:016x}"));
        fs::create_dir(&path)?;
        Ok(Hidden(path))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write_file(path: &Path, file: &File) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create_new(path)?.write_all(&file.contents)
}

/// A target that appeared meanwhile is not replaced, an empty folder included.
fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some network file systems cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return Ok(renamed?),
        }
    }
    // Elsewhere a look comes just before.
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
        Err(why) => Err(why),
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
            },
        );
        let error = target.write(&tree, false, &NEVER).unwrap_err().to_string();
        assert!(
            error.contains("nothing was made")
                && error.contains(&Path::new("made").join("a/b").display().to_string()),
            "{error}"
        );
        assert_eq!(names(parent.path()), [""; 0]);
    }
}
