//! A workspace that was made of the template, or a vendored cache-core, as its record tells of it.

use std::path::{Path, PathBuf};

use cargo_metadata::semver::Version;

use crate::add::project;
use crate::answers::AnswersFile;
use crate::template::{RECORD, VENDORED_RECORD};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no {RECORD} in {}, above it, or in a cache-core there; nothing was changed", .0.display())]
    NoRecord(PathBuf),
    #[error(
        "this workspace is of {there}, which is newer than this: {}; nothing was changed",
        env!("CARGO_PKG_VERSION")
    )]
    Newer { there: String },
    #[error("{}: {why}; nothing was changed", .file.display())]
    Record { file: PathBuf, why: String },
}

impl Error {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::NoRecord(_) => Some(
                "go to a workspace that `cached-lambda new` made, or into the cache-core that `cached-lambda add` made"
                    .into(),
            ),
            Error::Newer { .. } => Some("install the newest cached-lambda".into()),
            Error::Record { .. } => None,
        }
    }
}

pub struct Workspace {
    pub root: PathBuf,
    pub record: AnswersFile,
    /// It is somebody else's, and has a cache-core alone.
    pub is_vendored: bool,
}

impl Workspace {
    /// In a folder, or above it.
    pub fn find(folder: &Path) -> Result<Self, Error> {
        let folder = dunce::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
        let found = folder.ancestors().find_map(|root| {
            let record = [RECORD, VENDORED_RECORD]
                .into_iter()
                .find(|it| root.join(it).is_file());
            Some((root.to_path_buf(), record?))
        });
        let (mut root, name) = found.ok_or_else(|| Error::NoRecord(folder.clone()))?;
        let file = root.join(name);
        let record = AnswersFile::read(&file);
        let record = record.map_err(|why| Error::Record {
            file: file.clone(),
            why,
        })?;
        let is_vendored = record.answers.name().is_empty();
        // Found from inside of the vendored folder, which is known by its name.
        if is_vendored && name == RECORD {
            if !root.ends_with("cache-core") || !project::is_ours(&root) {
                let why = "it has no project-name, and is not that of a folder cache-core".into();
                return Err(Error::Record { file, why });
            }
            root.pop();
        }
        Ok(Workspace {
            root,
            record,
            is_vendored,
        })
    }

    /// Refuses what a later version of this made.
    pub fn refuse_newer(&self) -> Result<(), Error> {
        let there = self.record.template_version.clone().unwrap_or_default();
        let version = |text: &str| Version::parse(text).ok();
        match version(&there) > version(env!("CARGO_PKG_VERSION")) {
            true => Err(Error::Newer { there }),
            false => Ok(()),
        }
    }
}
