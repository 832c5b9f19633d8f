//! Changes to files that exist: shown as a diff, or made all together or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use similar::TextDiff;

use crate::vcs;

/// What ends a process: Ctrl-C, those who manage processes, and a terminal that is closed.
#[cfg(unix)]
pub const ENDING: [i32; 3] = {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    [SIGHUP, SIGINT, SIGTERM]
};
#[cfg(not(unix))]
pub const ENDING: [i32; 2] = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {why}; nothing was changed", .file.display())]
    Read { file: PathBuf, why: io::Error },
    #[error("cannot write {}: {why}; nothing was changed", .file.display())]
    Write { file: PathBuf, why: io::Error },
    #[error("changes that are not committed: {}; nothing was changed", .0.join(", "))]
    Uncommitted(Vec<String>),
    #[error("git cannot tell what is committed: {0}; nothing was changed")]
    Git(String),
    /// What was found afterwards, and all is as it was before.
    #[error("{0}; all is as it was before")]
    Check(String),
    #[error("{why}. And not as it was before: {}", .left.join(", "))]
    Restore { why: String, left: Vec<String> },
    #[error("interrupted; nothing was changed")]
    Interrupted,
}

impl Error {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Uncommitted(_) | Error::Git(_) => {
                Some("commit or stash them first, or say --allow-dirty".into())
            }
            Error::Write { why, .. } if why.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it writable first".into())
            }
            _ => None,
        }
    }
}

/// A file before and after; it is not there where it is `None`.
struct Change {
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

/// By paths relative to a root, with `/` between their parts.
pub struct Changes {
    root: PathBuf,
    files: BTreeMap<String, Change>,
}

/// What happens to a file.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Add,
    Edit,
    Remove,
}

impl Verb {
    pub fn word(self) -> &'static str {
        match self {
            Verb::Add => "add",
            Verb::Edit => "edit",
            Verb::Remove => "remove",
        }
    }
}

impl Changes {
    /// None yet.
    pub fn new(root: &Path) -> Self {
        Changes {
            root: root.to_path_buf(),
            files: BTreeMap::new(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file as it will be: what it is now, unless it is changed already. `None` where there is none.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(change) = self.files.get(path) {
            return Ok(change.after.clone());
        }
        let file = self.root.join(path);
        match fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(why) if is_absence(&why) => Ok(None),
            Err(why) => Err(Error::Read { file, why }),
        }
    }

    /// Makes a file what it shall be. What is so already is no change.
    pub fn set(&mut self, path: &str, after: Option<Vec<u8>>) -> Result<(), Error> {
        let before = match self.files.remove(path) {
            Some(change) => change.before,
            None => self.read(path)?,
        };
        if before != after {
            self.files.insert(path.into(), Change { before, after });
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// In the order of their paths.
    pub fn list(&self) -> impl Iterator<Item = (&str, Verb)> {
        self.files.iter().map(|(path, change)| {
            let verb = match (&change.before, &change.after) {
                (None, _) => Verb::Add,
                (_, None) => Verb::Remove,
                _ => Verb::Edit,
            };
            (path.as_str(), verb)
        })
    }

    /// For people, a line for each file.
    pub fn summary(&self) -> String {
        let lines = self
            .list()
            .map(|(path, verb)| format!("  {:<6} {path}\n", verb.word()));
        lines.collect()
    }

    /// For scripts.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let files = self.list();
        let files = files.map(|(path, verb)| serde_json::json!({ "path": path, "change": verb }));
        files.collect()
    }

    /// As `git apply` takes it.
    pub fn diff(&self) -> Vec<u8> {
        let mut diffs = Vec::new();
        for (path, change) in &self.files {
            let name = |side: &str, bytes: &Option<Vec<u8>>| match bytes {
                Some(_) => format!("{side}/{path}"),
                None => "/dev/null".into(),
            };
            let (before, after) = (lines(&change.before), lines(&change.after));
            let mut config = TextDiff::configure();
            let diff = config.newline_terminated(true).diff_slices(&before, &after);
            let mut unified = diff.unified_diff();
            unified.header(&name("a", &change.before), &name("b", &change.after));
            // Writing to memory cannot fail.
            let _ = unified.to_writer(&mut diffs);
        }
        diffs
    }

    /// Refuses to touch what git does not have as it is now. Where there is no repository nobody asked for that.
    /// The lockfile is cargo's, which changes it with any build.
    pub fn refuse_uncommitted(&self) -> Result<(), Error> {
        let mut uncommitted = Vec::new();
        for (path, _) in self.files.iter().filter(|(_, it)| it.before.is_some()) {
            // What a link leads to is edited, in whose repository it may be.
            let file = real(&self.root.join(path));
            if file.exists() && !vcs::is_committed(&file, &self.root).map_err(Error::Git)? {
                uncommitted.push(path.to_string());
            }
        }
        match uncommitted.is_empty() {
            true => Ok(()),
            false => Err(Error::Uncommitted(uncommitted)),
        }
    }

    /// Makes them, then `check`s. Where that fails, or a file cannot be written, or an interrupt comes, every
    /// file is again what it was, and so are those that the check may change, `also`.
    pub fn make(
        &self,
        also: &[&str],
        check: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), Error> {
        // From here on an interrupt does not end the process, which has to tidy up first.
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in ENDING {
            let flag = Arc::clone(&interrupted);
            signal_hook::flag::register(signal, flag)
                .map_err(|why| Error::Check(why.to_string()))?;
        }
        for (path, change) in &self.files {
            self.refuse_read_only(path, change)?;
        }
        let mut undo = Undo::default();
        for path in also {
            undo.files
                .push((real(&self.root.join(path)), self.read(path)?));
        }
        let done = self.write(&mut undo, &interrupted).and_then(|()| {
            let checked = check().map_err(Error::Check);
            // Ctrl-C reaches what the check runs, too: its failure is not what to tell then.
            match interrupted.load(Ordering::Relaxed) {
                true => Err(Error::Interrupted),
                false => checked,
            }
        });
        let Err(error) = done else { return Ok(()) };
        match undo.run() {
            left if left.is_empty() => Err(error),
            left => Err(Error::Restore {
                why: error.to_string(),
                left,
            }),
        }
    }

    /// A rename would replace a file that its owner does not want written.
    fn refuse_read_only(&self, path: &str, change: &Change) -> Result<(), Error> {
        let file = self.root.join(path);
        match change.before.is_some()
            && fs::metadata(&file).is_ok_and(|it| it.permissions().readonly())
        {
            true => Err(Error::Write {
                file,
                why: io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"),
            }),
            false => Ok(()),
        }
    }

    fn write(&self, undo: &mut Undo, interrupted: &AtomicBool) -> Result<(), Error> {
        for (path, change) in &self.files {
            if interrupted.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            // Through a link: what it leads to is changed, and the link stays.
            let file = match change.after {
                Some(_) => real(&self.root.join(path)),
                None => self.root.join(path),
            };
            undo.folders.extend(missing_folders(&file));
            undo.files.push((file.clone(), change.before.clone()));
            put(&file, change.after.as_deref()).map_err(|why| Error::Write { file, why })?;
        }
        Ok(())
    }
}

/// Ended only where git says that a line ends.
fn lines(text: &Option<Vec<u8>>) -> Vec<&[u8]> {
    let text = text.as_deref().unwrap_or_default();
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Nothing is there: neither the file nor, it may be, its folder.
fn is_absence(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What gives back everything as it was.
#[derive(Default)]
struct Undo {
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// Made on the way, the outer ones first.
    folders: Vec<PathBuf>,
}

impl Undo {
    /// What could not be given back.
    fn run(self) -> Vec<String> {
        let mut left = Vec::new();
        for (file, before) in self.files.into_iter().rev() {
            if let Err(why) = put(&file, before.as_deref()) {
                left.push(format!("{} ({why})", file.display()));
            }
        }
        for folder in self.folders.into_iter().rev() {
            // What somebody else put there meanwhile stays.
            let _ = fs::remove_dir(folder);
        }
        left
    }
}

/// What a path leads to.
fn real(path: &Path) -> PathBuf {
    dunce::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

fn missing_folders(file: &Path) -> Vec<PathBuf> {
    let above = file.ancestors().skip(1);
    let missing = above.take_while(|folder| !folder.exists());
    let mut missing: Vec<_> = missing.map(Path::to_path_buf).collect();
    missing.reverse();
    missing
}

/// Makes a file what it shall be, in one step: no reader, and no full disk, finds half of it.
fn put(file: &Path, contents: Option<&[u8]>) -> io::Result<()> {
    let Some(contents) = contents else {
        return match fs::remove_file(file) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
    };
    // What is as it should be may be on a disk that takes nothing more.
    if fs::read(file).is_ok_and(|now| now == contents) {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = file.file_name().unwrap_or_default().display();
    let hidden = folder.join(format!(".{name}.cached-lambda"));
    let written = fs::File::create(&hidden).and_then(|mut new| {
        new.write_all(contents)?;
        if let Ok(old) = fs::metadata(file) {
            new.set_permissions(old.permissions())?;
        }
        fs::rename(&hidden, file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    written
}
