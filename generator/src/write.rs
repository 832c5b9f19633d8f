//! From the tree in memory to the disk, in one step: everything is written to a hidden folder
//! beside the target, which is then renamed. A run that fails leaves nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::render::File;
use crate::vcs;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--path {}: {why}; give a folder that exists", .folder.display())]
    Folder { folder: PathBuf, why: io::Error },
    #[error("{} exists; nothing was changed. Choose another name, or another folder with --path", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {why}; nothing was made", .file.display())]
    Write { file: PathBuf, why: io::Error },
    #[error("git cannot make a repository: {0}; nothing was made. Use --vcs none to do without")]
    Git(io::Error),
}

/// A folder that does not exist yet, in one that does.
pub struct Target {
    folder: PathBuf,
    path: PathBuf,
    name: String,
}

impl Target {
    /// Refuses whatever has that name already: an empty folder or a broken link, too.
    pub fn new(folder: &Path, name: &str) -> Result<Self, Error> {
        let refuse = |why| Error::Folder {
            folder: folder.to_path_buf(),
            why,
        };
        if !fs::metadata(folder).map_err(refuse)?.is_dir() {
            return Err(refuse(io::ErrorKind::NotADirectory.into()));
        }
        let path = if folder == Path::new(".") {
            name.into()
        } else {
            folder.join(name)
        };
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Err(Error::Exists(path)),
            Err(why) => return Err(Error::Write { file: path, why }),
        }
        Ok(Target {
            folder: folder.to_path_buf(),
            path,
            name: name.to_string(),
        })
    }

    /// Where the workspace will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the tree.
    pub fn write(self, tree: &[File], git: bool) -> Result<(), Error> {
        let failed = |file: &Path| {
            let file = file.to_path_buf();
            |why| Error::Write { file, why }
        };
        // Removed when it is dropped, unless it was renamed.
        let hidden = hidden_sibling(&self.folder, &self.name).map_err(failed(&self.path))?;
        for file in tree {
            let path = hidden.path().join(&file.path);
            let shown = self.path.join(&file.path);
            write_file(&path, file).map_err(failed(&shown))?;
        }
        if git {
            vcs::init(hidden.path()).map_err(Error::Git)?;
        }
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

fn hidden_sibling(folder: &Path, name: &str) -> io::Result<tempfile::TempDir> {
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix);
    // It becomes the workspace: as open as any folder that the user makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(folder)
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
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems cannot do it in one step.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => look_and_rename(from, to),
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
        target.write(&tree(), false).unwrap();
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
                target.write(&tree(), false),
                Err(Error::Exists(_))
            ));
            assert!(!path.join("c").exists());
            assert_eq!(names(parent.path()), ["made"]);
        }
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
        let error = target.write(&tree, false).unwrap_err().to_string();
        assert!(
            error.contains("made/a/b") && error.contains("nothing was made"),
            "{error}"
        );
        assert_eq!(names(parent.path()), [""; 0]);
    }
}
