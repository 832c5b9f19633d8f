//! The Cargo project that the cache is put into, as cargo itself sees it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::semver::{Version, VersionReq};
use cargo_metadata::{
    Dependency, DependencyKind, Metadata, MetadataCommand, Package, Target, TargetKind,
};

use crate::add::CACHE_CORE;
use crate::template;

/// Why the cache cannot be put into it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}; nothing was changed", .0.trim())]
    Cargo(String),
    #[error("no Cargo.toml in {} or above it", .0.display())]
    NoManifest(PathBuf),
    #[error("the workspace {} has no package {name:?}; nothing was changed", .root.display())]
    NoSuchPackage {
        root: PathBuf,
        name: String,
        there: Vec<String>,
    },
    #[error("{} is a workspace, and which package is meant does not follow; nothing was changed", .root.display())]
    WhichPackage { root: PathBuf, there: Vec<String> },
    #[error(
        "{package} is of the edition 2015, and cache-core's macro needs 2018 or later; nothing was changed"
    )]
    Edition { package: String },
    #[error(
        "{owner} depends on {name} {there}, and cache-core needs {needed}; nothing was changed"
    )]
    Version {
        owner: String,
        name: String,
        there: String,
        needed: String,
    },
    #[error("{} is another one; nothing was changed", .0.display())]
    Exists(PathBuf),
    #[error(
        "{} is not below {}, the root of its workspace; nothing was changed",
        .package.display(),
        .root.display()
    )]
    Outside { package: PathBuf, root: PathBuf },
    #[error("{owner} calls mem_dbg {name}, and its derive needs its own name; nothing was changed")]
    Renamed { owner: String, name: String },
    #[error("{owner} has a package `cache-core` that is another one; nothing was changed")]
    Name { owner: String },
}

impl Error {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Cargo(_) => None,
            Error::NoManifest(_) => Some(
                "name one with --manifest-path, or make a new workspace: cached-lambda new".into(),
            ),
            Error::NoSuchPackage { there, .. } | Error::WhichPackage { there, .. } => {
                Some(format!("name one with --package: {}", there.join(", ")))
            }
            Error::Edition { .. } => {
                Some("`cargo fix --edition`, then `edition = \"2018\"`".into())
            }
            Error::Version { name, needed, .. } => {
                let major = needed.split('.').next().unwrap_or_default();
                Some(format!(
                    "allow {name} {needed} there, below {}, and mend what the build says then",
                    major.parse::<u32>().map_or(0, |major| major + 1)
                ))
            }
            Error::Outside { .. } => Some(
                "put cache-core beside it by hand: `cached-lambda new` makes a workspace that has it".into(),
            ),
            Error::Renamed { name, .. } => Some(format!("depend on it as `mem_dbg`, and use {name} no more")),
            Error::Exists(_) => Some("give it another name first".into()),
            Error::Name { .. } => {
                Some("give that one another name, since a workspace has one of each".into())
            }
        }
    }
}

/// What runs the function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runtime {
    Http,
    Events,
}

impl Runtime {
    /// Its crate.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Http => "lambda_http",
            Runtime::Events => "lambda_runtime",
        }
    }
}

/// A package in its workspace, which may be of it alone.
pub struct Project {
    metadata: Metadata,
    pub package: Package,
}

impl Project {
    /// Finds the package that is meant, in the folder `here` or by the path of its manifest.
    pub fn find(
        here: &Path,
        manifest: Option<&Path>,
        package: Option<&str>,
    ) -> Result<Self, Error> {
        let here = dunce::canonicalize(here).unwrap_or_else(|_| here.to_path_buf());
        let manifest = match manifest {
            // Not what a link leads to, which may have a name that cargo does not take.
            Some(manifest) => std::path::absolute(manifest).unwrap_or_else(|_| manifest.into()),
            None => {
                let mut manifests = here.ancestors().map(|folder| folder.join("Cargo.toml"));
                let found = manifests.find(|manifest| manifest.exists());
                found.ok_or_else(|| Error::NoManifest(here.clone()))?
            }
        };
        let mut command = MetadataCommand::new();
        let metadata = command.manifest_path(&manifest).no_deps().exec();
        let metadata = metadata.map_err(|error| Error::Cargo(said(&error)))?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let packages = metadata.workspace_packages();
        let there = packages
            .iter()
            .map(|package| package.name.to_string())
            .collect();
        let is_of_manifest = |it: &&&Package| {
            let real = |path: &Path| dunce::canonicalize(path).ok();
            real(it.manifest_path.as_std_path()) == real(&manifest)
        };
        let found = match package {
            Some(name) => packages.iter().find(|it| it.name.as_str() == name),
            None => packages.iter().find(is_of_manifest).or_else(|| {
                // The only one that is a function.
                let mut functions = packages.iter().filter(|it| runtime(it).is_some());
                functions.next().filter(|_| functions.next().is_none())
            }),
        };
        let found = found.map(|package| (*package).clone());
        match (found, package) {
            (Some(package), _) => match package.manifest_path.starts_with(&root) {
                true => Ok(Project { metadata, package }),
                false => Err(Error::Outside {
                    package: package.manifest_path.into_std_path_buf(),
                    root,
                }),
            },
            (None, Some(name)) => Err(Error::NoSuchPackage {
                root,
                name: name.into(),
                there,
            }),
            (None, None) => Err(Error::WhichPackage { root, there }),
        }
    }

    /// The folder of the workspace, where `Cargo.lock` is.
    pub fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// A path relative to the root, with `/` between its parts.
    pub fn relative(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root()).unwrap_or(path);
        below.to_string_lossy().replace('\\', "/")
    }

    /// The package's folder, relative to the root: empty where it is the root.
    pub fn folder(&self) -> String {
        let folder = self.package.manifest_path.parent();
        folder.map_or(String::new(), |folder| self.relative(folder.as_std_path()))
    }

    /// A path in the package, relative to the root.
    pub fn below(&self, path: &str) -> String {
        match self.folder().as_str() {
            "" => path.into(),
            folder => format!("{folder}/{path}"),
        }
    }

    /// The package's folder.
    pub fn path(&self) -> PathBuf {
        self.root().join(self.folder())
    }

    pub fn runtime(&self) -> Option<Runtime> {
        runtime(&self.package)
    }

    /// What the package calls a crate that it depends on.
    pub fn name_of(&self, name: &str) -> Option<String> {
        let dependency = normal(&self.package).find(|it| it.name == name)?;
        let name = dependency.rename.as_deref().unwrap_or(&dependency.name);
        Some(name.replace('-', "_"))
    }

    /// Refuses what cannot go together: a package that needs another version of what cache-core `needs`. Where
    /// both may be there, of two major versions, only those `in_common` have to be one.
    pub fn fits(&self, needs: &[(String, VersionReq)], in_common: &[&str]) -> Result<(), Error> {
        if self.package.edition == cargo_metadata::Edition::E2015 {
            let package = self.package.name.to_string();
            return Err(Error::Edition { package });
        }
        let renamed = normal(&self.package).find(|it| it.name == "mem_dbg" && it.rename.is_some());
        if let Some(name) = renamed.and_then(|it| it.rename.clone()) {
            let owner = self.relative(self.package.manifest_path.as_std_path());
            return Err(Error::Renamed { owner, name });
        }
        for package in self.metadata.workspace_packages() {
            let own = package.name == self.package.name;
            for dependency in normal(package) {
                let Some((name, needed)) = needs.iter().find(|(name, _)| *name == dependency.name)
                else {
                    continue;
                };
                let matters = own && in_common.contains(&name.as_str());
                if !go_together(&dependency.req, needed, matters) {
                    return Err(Error::Version {
                        owner: self.relative(package.manifest_path.as_std_path()),
                        name: name.clone(),
                        there: dependency.req.to_string(),
                        needed: plain(needed),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether the package depends on cache-core already. Refuses one of that name that is another, in the
    /// package or anywhere in its workspace.
    pub fn has_cache_core(&self) -> Result<bool, Error> {
        let named = |owner: &Path| Error::Name {
            owner: self.relative(owner),
        };
        for package in self.metadata.workspace_packages() {
            let folder = package.manifest_path.parent();
            if package.name.as_str() == CACHE_CORE
                && !folder.is_some_and(|it| is_ours(it.as_std_path()))
            {
                return Err(named(package.manifest_path.as_std_path()));
            }
        }
        let Some(dependency) = normal(&self.package).find(|it| it.name == CACHE_CORE) else {
            return Ok(false);
        };
        let is_it = match (&dependency.path, &dependency.source) {
            (Some(path), _) => is_ours(path.as_std_path()),
            // Which repository it is of, its owner has to know.
            (None, Some(source)) => source.repr.starts_with("git+"),
            (None, None) => false,
        };
        match is_it {
            true => Ok(true),
            false => Err(named(self.package.manifest_path.as_std_path())),
        }
    }

    /// Where the workspace has cache-core, relative to the root, if it does.
    pub fn vendored(&self) -> Option<String> {
        let packages = self.metadata.workspace_packages();
        let package = packages.iter().find(|it| it.name.as_str() == CACHE_CORE)?;
        Some(self.relative(package.manifest_path.parent()?.as_std_path()))
    }

    /// Those of the crates that the package has for some of its features alone.
    pub fn optional<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let is_optional =
            |name: &&&str| normal(&self.package).any(|it| it.name == **name && it.optional);
        names.iter().filter(is_optional).copied().collect()
    }

    /// Refuses a version of the workspace's own list of dependencies that is not what cache-core needs.
    pub fn workspace_version_fits(
        &self,
        name: &str,
        version: Option<&str>,
        needs: &[(String, VersionReq)],
    ) -> Result<(), Error> {
        let needed = needs
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, needed)| needed);
        let there = version.and_then(|version| version.parse().ok());
        match (there, needed) {
            (Some(there), Some(needed)) if !go_together(&there, needed, true) => {
                Err(Error::Version {
                    owner: "Cargo.toml, by [workspace.dependencies],".into(),
                    name: name.into(),
                    there: there.to_string(),
                    needed: plain(needed),
                })
            }
            _ => Ok(()),
        }
    }

    /// Where a file of the package belongs: to a binary, or to all of them.
    pub fn binary_of(&self, file: &Path) -> Option<&Target> {
        let mut binaries = self.package.targets.iter().filter(|it| it.is_bin());
        binaries.find(|it| {
            let source = it.src_path.as_std_path();
            let is_main = source.file_name().is_some_and(|name| name == "main.rs");
            // A folder of its own below src/bin.
            let folder = source
                .parent()
                .filter(|it| is_main && it.file_name().is_some_and(|name| name != "src"));
            file == source || folder.is_some_and(|folder| file.starts_with(folder))
        })
    }

    /// Where `mod caches;` has to be written: in the library, else in the binary that has the `reads`.
    pub fn root_of_modules(&self, reads: &[PathBuf]) -> Option<&Target> {
        let is_lib = |it: &&Target| it.is_lib() || it.is_kind(TargetKind::RLib);
        let lib = self.package.targets.iter().find(is_lib);
        let reading = || reads.iter().find_map(|file| self.binary_of(file));
        let main = || {
            let mut binaries = self.package.targets.iter().filter(|it| it.is_bin());
            binaries
                .clone()
                .find(|it| it.name == self.package.name.as_str())
                .or_else(|| binaries.next())
        };
        lib.or_else(reading).or_else(main)
    }
}

/// Rust as it is formatted in a folder, where rustfmt is installed.
pub fn formatted(text: &str, edition: &str, folder: &Path) -> String {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", edition]).current_dir(folder);
    rustfmt
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let formatted = rustfmt.spawn().and_then(|mut child| {
        // Dropped at once: rustfmt reads to the end.
        let written = child
            .stdin
            .take()
            .map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output();
        written.and(output)
    });
    let formatted = formatted.ok().filter(|output| output.status.success());
    let formatted = formatted.and_then(|output| String::from_utf8(output.stdout).ok());
    formatted.unwrap_or_else(|| text.into())
}

/// Whether a folder has this project's cache-core, as its manifest says it.
pub fn is_ours(folder: &Path) -> bool {
    let about = |text: &str| {
        let about = text.lines().find(|line| line.starts_with("description = "));
        about.map(str::to_string)
    };
    let there = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    about(&there).is_some_and(|there| Some(there) == about(template::text("cache-core/Cargo.toml")))
}

/// As people write it.
fn plain(version: &VersionReq) -> String {
    version.to_string().trim_start_matches('^').into()
}

fn normal(package: &Package) -> impl Iterator<Item = &Dependency> {
    let all = package.dependencies.iter();
    all.filter(|it| it.kind == DependencyKind::Normal && it.target.is_none())
}

fn runtime(package: &Package) -> Option<Runtime> {
    let has = |name: &str| normal(package).any(|it| it.name == name);
    match (has("lambda_http"), has("lambda_runtime")) {
        (true, _) => Some(Runtime::Http),
        (_, true) => Some(Runtime::Events),
        _ => None,
    }
}

/// Whether a version satisfies both, or cargo takes one for each: versions before and after a new major one.
pub fn go_together(there: &VersionReq, needed: &VersionReq, has_to_be_one: bool) -> bool {
    let bounds = there.comparators.iter().chain(&needed.comparators);
    // A range that is not empty has one of its bounds in it, or what comes right after one.
    let candidates: Vec<_> = bounds
        .flat_map(|it| {
            let (major, minor) = (it.major, it.minor.unwrap_or(0));
            let patch = it.patch.unwrap_or(0);
            let (next_minor, next_patch) = (minor.saturating_add(1), patch.saturating_add(1));
            [
                Version::new(major, minor, patch),
                Version::new(major, minor, next_patch),
                Version::new(major, next_minor, 0),
                Version::new(major, u64::MAX, 0),
            ]
        })
        .chain([Version::new(u64::MAX, 0, 0)])
        .collect();
    let is_in = |version: &&Version| needed.matches(version);
    let both = candidates.iter().filter(is_in).any(|it| there.matches(it));
    // Before 1.0 each minor version is as a major one.
    let major = |version: &Version| match version.major {
        0 => (0, version.minor),
        major => (major, 0),
    };
    let ours: Vec<_> = candidates.iter().filter(is_in).map(major).collect();
    let apart = || {
        let mut theirs = candidates.iter().filter(|it| there.matches(it));
        !theirs.any(|it| ours.contains(&major(it)))
    };
    both || (!has_to_be_one && apart())
}

/// The names of all that is built in a workspace.
pub fn targets(root: &Path) -> Result<Vec<String>, Error> {
    let mut command = MetadataCommand::new();
    command.manifest_path(root.join("Cargo.toml")).no_deps();
    let metadata = command.exec().map_err(|error| Error::Cargo(said(&error)))?;
    let packages = metadata.workspace_packages().into_iter();
    let targets = packages.flat_map(|package| package.targets.iter().map(|it| it.name.clone()));
    Ok(targets.collect())
}

/// Resolves the whole workspace, which writes its `Cargo.lock`.
pub fn resolve(root: &Path) -> Result<(), String> {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(root.join("Cargo.toml"))
        .current_dir(root);
    command.exec().map(drop).map_err(|error| said(&error))
}

/// What cargo says, without what the library puts around it.
fn said(error: &cargo_metadata::Error) -> String {
    match error {
        cargo_metadata::Error::CargoMetadata { stderr } => {
            stderr.trim().trim_start_matches("error: ").to_string()
        }
        other => format!("cargo metadata: {other}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_together_where_one_satisfies_both_or_cargo_takes_two() {
        for (there, needed, one, two) in [
            ("1", "1.60", true, true),
            ("1.136.0", "1.60", true, true),
            ("=1.80.2", "1.60", true, true),
            (">=1.10, <1.70", "1.60", true, true),
            ("~1.60", "1.60", true, true),
            ("<=1.60.18446744073709551615", "1.60", true, true),
            ("*", "1.60", true, true),
            ("=1.40.0", "1.60", false, false),
            ("~1.40", "1.60", false, false),
            ("0.30", "1.60", false, true),
            ("2", "1.60", false, true),
            (">=2", "1.60", false, true),
            ("0.3", "0.4.4", false, true),
            ("=0.4.3", "0.4.4", false, false),
        ] {
            let [there_req, needed_req] = [there, needed].map(|it| VersionReq::parse(it).unwrap());
            assert_eq!(go_together(&there_req, &needed_req, true), one, "{there}");
            assert_eq!(go_together(&there_req, &needed_req, false), two, "{there}");
        }
    }
}
