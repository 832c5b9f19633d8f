//! `cached-lambda upgrade`: what changed in the template since a workspace was made of it, into the workspace. What its
//! owner did stays: each file is merged three ways, with what was rendered then as the base.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::answers::Answers;
use crate::changes::{self, Changes};
use crate::cli::Upgrade;
use crate::error::Error as AnyError;
use crate::render::{self, Tree};
use crate::template::{self, RECORD, SOURCES, Source, VENDORED_RECORD};
use crate::workspace::Workspace;
use crate::{parameters, prompt, vcs};

/// Why nothing is upgraded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is in no git repository, so that nobody could go back; nothing was changed", .0.display())]
    NoRepository(PathBuf),
    #[error("the commit {commit:?} is no base: {why}; nothing was changed")]
    Base { commit: String, why: String },
    #[error("cannot merge {file}: {why}; nothing was changed")]
    Merge { file: String, why: String },
    /// All is written, and the rest is its owner's. With what `--json` prints.
    #[error("to be settled by hand: {}", .files.join(", "))]
    Conflicts { files: Vec<String>, json: String },
}

impl Error {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::NoRepository(_) => {
                Some("`git init`, `git add .` and `git commit` first, or say --allow-dirty".into())
            }
            Error::Base { .. } => Some(
                "name the commit in which the workspace is as it was made; without --base the new files are put \
                 beside the old ones"
                    .into(),
            ),
            Error::Conflicts { .. } => Some(
                "in a conflict the lines are marked with <<<<<<<; what cannot be merged has a .new file beside it"
                    .into(),
            ),
            _ => None,
        }
    }
}

fn here() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// What is done with a file.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Add,
    Replace,
    Merge,
    Remove,
    /// Both changed the same lines, which are marked.
    Conflict,
    /// The new one is put beside it, with `.new` behind its name.
    Beside,
    /// Its owner deleted it, or changed what is no longer part.
    Keep,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Add => "add",
            Verb::Replace => "replace",
            Verb::Merge => "merge",
            Verb::Remove => "remove",
            Verb::Conflict => "conflict",
            Verb::Beside => "beside",
            Verb::Keep => "keep",
        }
    }
}

impl Workspace {
    /// What a template gives here.
    fn render(&self, files: &'static [Source], answers: &Answers) -> Result<Tree, AnyError> {
        if self.is_vendored {
            let files_of_it = files.iter().filter(|it| it.path.starts_with("cache-core/"));
            let mut tree: Tree = files_of_it
                .map(|it| (it.path.into(), it.contents.to_vec()))
                .collect();
            tree.insert(
                VENDORED_RECORD.into(),
                template::vendored_record(files).into_bytes(),
            );
            return Ok(tree);
        }
        Ok(render::tree(files, answers)?)
    }

    /// What was rendered then: by the template of a release, or as it is in a commit that its owner names. `None`
    /// where it is not known.
    fn base(
        &self,
        commit: Option<&str>,
        answers: &Answers,
        today: &Tree,
    ) -> Result<Option<Tree>, AnyError> {
        let hash = self
            .record
            .template_hash
            .as_deref()
            .unwrap_or("none is recorded");
        let Some(commit) = commit else {
            let files = template::with_hash(hash);
            return files.map(|files| self.render(files, answers)).transpose();
        };
        let failed = |why: &str| Error::Base {
            commit: commit.into(),
            why: why.into(),
        };
        let read = |path: &str| vcs::show(&self.root, commit, path);
        let record = if self.is_vendored {
            VENDORED_RECORD
        } else {
            RECORD
        };
        let recorded = read(record).ok_or_else(|| failed(&format!("it has no {record}")))?;
        if !String::from_utf8_lossy(&recorded).contains(hash) {
            return Err(failed("it is of another template than this workspace is now").into());
        }
        let tree = today
            .keys()
            .filter_map(|path| Some((path.clone(), read(path)?)));
        Ok(Some(tree.collect()))
    }
}

/// Brings the template of today into a workspace, or says how that would look.
pub fn run(upgrade: &Upgrade) -> Result<(), AnyError> {
    let workspace = Workspace::find(&upgrade.path)?;
    let there = workspace
        .record
        .template_version
        .clone()
        .unwrap_or_default();
    workspace.refuse_newer()?;
    if !upgrade.edit.dry_run && !upgrade.edit.allow_dirty {
        refuse_dirty(&workspace.root)?;
    }
    let (answers, mut notes) = answers(&workspace, upgrade)?;
    let today = workspace.render(SOURCES, &answers)?;
    let base = workspace.base(upgrade.base.as_deref(), &answers, &today)?;
    if base.is_none() {
        let record = if workspace.is_vendored {
            VENDORED_RECORD
        } else {
            RECORD
        };
        let first = vcs::commit_that_added(&workspace.root, record);
        let first = first.unwrap_or_else(|| "COMMIT".into());
        notes.push(format!(
            "no release had the template of this workspace, so what its owner changed is not known. Where a commit has \
             it as it was made: cached-lambda upgrade --base {first}"
        ));
    }
    let mut changes = Changes::new(&workspace.root);
    let done = merge_all(&mut changes, base.as_ref(), &today)?;
    let report = Report {
        upgrade,
        there,
        done,
        notes,
        answers: &answers,
    };
    if !upgrade.edit.dry_run {
        if !changes.is_empty() {
            if !upgrade.edit.allow_dirty {
                // Also what is ignored, or leads out of the repository.
                changes.refuse_uncommitted()?;
            }
            upgrade.edit.confirm(&report.list())?;
        }
        changes.make(&[], || Ok(()))?;
    }
    report.print(&changes)
}

/// Everything has to be committed: what an upgrade does is looked at, and taken back, with git.
fn refuse_dirty(root: &Path) -> Result<(), AnyError> {
    let uncommitted = vcs::uncommitted(root).map_err(changes::Error::Git)?;
    match (vcs::is_in_repository(root), uncommitted) {
        (false, _) => Err(Error::NoRepository(root.to_path_buf()).into()),
        (true, files) if files.is_empty() => Ok(()),
        (true, files) => Err(changes::Error::Uncommitted(files).into()),
    }
}

/// Those that are recorded. What was no parameter then is asked for, or takes its default.
fn answers(workspace: &Workspace, upgrade: &Upgrade) -> Result<(Answers, Vec<String>), AnyError> {
    let (mut answers, mut notes) = (workspace.record.answers.clone(), Vec::new());
    for parameter in parameters::all() {
        if workspace.is_vendored || answers.get(parameter.key).is_some() {
            continue;
        }
        let default = parameter.default.unwrap_or_default();
        if upgrade.edit.asks() {
            answers.set(parameter, prompt::ask(parameter, &workspace.root)?);
        } else {
            notes.push(format!(
                "the parameter {} is new, and is {default}",
                parameter.key
            ));
            answers.set(parameter, default.into());
        }
    }
    Ok((answers, notes))
}

fn merge_all(
    changes: &mut Changes,
    base: Option<&Tree>,
    today: &Tree,
) -> Result<Vec<(String, Verb)>, AnyError> {
    let mut done = Vec::new();
    let paths: BTreeSet<_> = base
        .into_iter()
        .flat_map(Tree::keys)
        .chain(today.keys())
        .collect();
    for path in paths {
        let old = base.and_then(|base| base.get(path));
        let new = today.get(path);
        if old == new {
            continue;
        }
        // A folder in its place is its owner's.
        if changes.root().join(path).is_dir() {
            done.push((path.clone(), Verb::Keep));
            continue;
        }
        let mine = changes.read(path)?;
        if mine.as_ref() == new {
            continue;
        }
        let verb = match (old, &mine, new) {
            // Of the record and of cargo's lockfile nobody knows better than their tools.
            (_, Some(_), Some(new)) if path == RECORD || path == VENDORED_RECORD => {
                changes.set(path, Some(new.clone()))?;
                Verb::Replace
            }
            (old, Some(mine), Some(_)) if path == "Cargo.lock" && old != Some(mine) => Verb::Keep,
            (Some(old), Some(mine), None) if old == mine => {
                changes.set(path, None)?;
                Verb::Remove
            }
            (_, _, None) | (Some(_), None, _) => Verb::Keep,
            (None, None, Some(new)) => {
                changes.set(path, Some(new.clone()))?;
                Verb::Add
            }
            (Some(old), Some(mine), Some(new)) if old == mine => {
                changes.set(path, Some(new.clone()))?;
                Verb::Replace
            }
            (Some(old), Some(mine), Some(new)) => match merged(path, old, mine, new)? {
                Some((text, is_settled)) => {
                    changes.set(path, Some(text))?;
                    if is_settled {
                        Verb::Merge
                    } else {
                        Verb::Conflict
                    }
                }
                None => beside(changes, path, new)?,
            },
            (None, Some(_), Some(new)) => beside(changes, path, new)?,
        };
        done.push((path.clone(), verb));
    }
    Ok(done)
}

/// Puts a file beside one that it cannot be merged with, under a name that is free.
fn beside(changes: &mut Changes, path: &str, new: &[u8]) -> Result<Verb, AnyError> {
    let mut name = format!("{path}.new");
    while changes.read(&name)?.is_some_and(|there| there != new) {
        name += ".new";
    }
    changes.set(&name, Some(new.to_vec()))?;
    Ok(Verb::Beside)
}

/// Merges as git does: the text, and whether nothing is left to settle. `None` of what is no text.
pub fn merged(
    path: &str,
    old: &[u8],
    mine: &[u8],
    new: &[u8],
) -> Result<Option<(Vec<u8>, bool)>, AnyError> {
    let failed = |why: io::Error| Error::Merge {
        file: path.into(),
        why: why.to_string(),
    };
    // An owner's line ends are no change, and are what most lines have.
    let lines = mine.iter().filter(|byte| **byte == b'\n').count();
    let crlf = mine.windows(2).filter(|pair| pair == b"\r\n").count();
    let replaced = |bytes: &[u8], from: &[u8], to: &[u8]| -> Vec<u8> {
        let mut parts = bytes.split_inclusive(|byte| *byte == b'\n');
        parts
            .by_ref()
            .fold(Vec::new(), |all, line| match line.strip_suffix(from) {
                Some(line) => [&all, line, to].concat(),
                None => [&all, line].concat(),
            })
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let written = |(name, bytes): (&str, Vec<u8>)| -> io::Result<PathBuf> {
        let file = folder.path().join(name);
        fs::write(&file, bytes)?;
        Ok(file)
    };
    let mine = replaced(mine, b"\r\n", b"\n");
    let files = [("mine", mine), ("old", old.to_vec()), ("new", new.to_vec())].map(written);
    let files = files
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .map_err(failed)?;
    let mut git = Command::new("git");
    git.args([
        "merge-file",
        "--stdout",
        "-L",
        "yours",
        "-L",
        "as it was made",
        "-L",
    ]);
    git.arg(format!("cached-lambda {}", here())).args(&files);
    let output = git.current_dir(folder.path()).output().map_err(failed)?;
    match output.status.code() {
        // How many there are to settle.
        Some(conflicts @ 0..=127) => {
            let is_crlf = crlf * 2 > lines;
            let text = match is_crlf {
                true => replaced(&output.stdout, b"\n", b"\r\n"),
                false => output.stdout,
            };
            Ok(Some((text, conflicts == 0)))
        }
        _ => Ok(None),
    }
}

struct Report<'a> {
    upgrade: &'a Upgrade,
    /// The version that the workspace was made with.
    there: String,
    done: Vec<(String, Verb)>,
    notes: Vec<String>,
    answers: &'a Answers,
}

impl Report<'_> {
    fn to_settle(&self) -> Vec<String> {
        let done = self.done.iter();
        let to_settle = done.filter(|(_, verb)| matches!(verb, Verb::Conflict | Verb::Beside));
        to_settle.map(|(path, _)| path.clone()).collect()
    }

    fn list(&self) -> String {
        let lines = self
            .done
            .iter()
            .map(|(path, verb)| format!("  {:<8} {path}\n", verb.word()));
        lines.collect()
    }

    fn print(&self, changes: &Changes) -> Result<(), AnyError> {
        let (edit, files) = (&self.upgrade.edit, self.to_settle());
        if edit.json && !files.is_empty() {
            let json = self.json().to_string();
            return Err(Error::Conflicts { files, json }.into());
        }
        edit.report(changes, &self.json(), &self.text(edit.dry_run, changes))?;
        match files.is_empty() {
            true => Ok(()),
            false => Err(Error::Conflicts {
                files,
                json: String::new(),
            }
            .into()),
        }
    }

    fn text(&self, is_dry: bool, changes: &Changes) -> String {
        let mut text = String::new();
        for note in &self.notes {
            text += &format!("note: {note}\n\n");
        }
        if self.done.is_empty() {
            return text + "all is up to date; nothing was changed";
        }
        text += &self.list();
        text += match is_dry {
            true => "nothing was written\n",
            false if changes.is_empty() => "nothing was changed\n",
            false => "upgraded\n",
        };
        let news = news(&self.there);
        if !news.is_empty() {
            text += &format!("\nnew since {}:\n\n{news}\n", self.there);
        }
        if !is_dry {
            text += "\nnext:\n  git diff\n  cargo test\n";
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let files = self
            .done
            .iter()
            .map(|(path, verb)| serde_json::json!({ "path": path, "done": verb }));
        serde_json::json!({
            "template_version": here(),
            "from_version": self.there,
            "dry_run": self.upgrade.edit.dry_run,
            "answers": self.answers.json(),
            "files": files.collect::<Vec<_>>(),
            "to_settle": self.to_settle(),
            "notes": self.notes,
            "changes": news(&self.there),
        })
    }
}

/// What the changelog says of the versions after one.
fn news(version: &str) -> String {
    let newer = changelog().take_while(|(of, _)| *of != version);
    let newer: Vec<_> = newer
        .map(|(_, section)| format!("## {}", section.trim_end()))
        .collect();
    newer.join("\n\n")
}

/// Its sections, newest first, each with the version that it is of.
fn changelog() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = include_str!(env!("CHANGELOG")).split("\n## ").skip(1);
    sections.map(|section| (section.split_whitespace().next().unwrap_or(""), section))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A file as it was made, as its owner has it, and as it is made today; what is done, and what is there then.
    type Case = (
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
        Option<(Verb, Option<&'static str>)>,
    );

    const CASES: [Case; 13] = [
        (Some("a\n"), Some("a\n"), Some("a\n"), None),
        (Some("a\n"), Some("mine\n"), Some("a\n"), None),
        (Some("a\n"), None, Some("a\n"), None),
        (Some("a\n"), Some("b\n"), Some("b\n"), None),
        (
            Some("a\n"),
            Some("a\n"),
            Some("b\n"),
            Some((Verb::Replace, Some("b\n"))),
        ),
        (Some("a\n"), None, Some("b\n"), Some((Verb::Keep, None))),
        (Some("a\n"), Some("a\n"), None, Some((Verb::Remove, None))),
        (
            Some("a\n"),
            Some("mine\n"),
            None,
            Some((Verb::Keep, Some("mine\n"))),
        ),
        (Some("a\n"), None, None, None),
        (None, None, Some("b\n"), Some((Verb::Add, Some("b\n")))),
        (None, Some("b\n"), Some("b\n"), None),
        (
            None,
            Some("mine\n"),
            Some("b\n"),
            Some((Verb::Beside, Some("mine\n"))),
        ),
        (
            Some("a\nb\nc\nd\ne\n"),
            Some("mine\nb\nc\nd\ne\n"),
            Some("a\nb\nc\nd\nE\n"),
            Some((Verb::Merge, Some("mine\nb\nc\nd\nE\n"))),
        ),
    ];

    fn tree(text: Option<&str>) -> Tree {
        let files = text.map(|text| ("f".to_string(), text.as_bytes().to_vec()));
        files.into_iter().collect()
    }

    /// What is done with the file `f`, and what is there then.
    fn upgraded(
        base: Option<Tree>,
        mine: Option<&str>,
        today: Option<&str>,
    ) -> (Option<Verb>, PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        if let Some(mine) = mine {
            fs::write(folder.path().join("f"), mine).unwrap();
        }
        let mut changes = Changes::new(folder.path());
        let done = merge_all(&mut changes, base.as_ref(), &tree(today)).unwrap();
        changes.make(&[], || Ok(())).unwrap();
        let file = folder.path().join("f");
        (done.first().map(|(_, verb)| *verb), file, folder)
    }

    #[test]
    fn what_is_done_with_a_file_follows_from_what_it_was_is_and_would_be() {
        for (old, mine, new, expected) in &CASES {
            let (verb, file, _folder) = upgraded(Some(tree(*old)), *mine, *new);
            let case = format!("{old:?} {mine:?} {new:?}");
            assert!(verb == expected.map(|(verb, _)| verb), "{case}");
            let there = fs::read_to_string(file).ok();
            let expected = expected.map_or(*mine, |(_, there)| there);
            assert_eq!(there.as_deref(), expected, "{case}");
        }
    }

    #[test]
    fn a_conflict_is_marked_as_git_marks_it() {
        let (verb, file, _folder) = upgraded(Some(tree(Some("a\n"))), Some("mine\n"), Some("b\n"));
        assert!(verb == Some(Verb::Conflict));
        let marked = format!(
            "<<<<<<< yours\nmine\n=======\nb\n>>>>>>> cached-lambda {}\n",
            here()
        );
        assert_eq!(fs::read_to_string(file).unwrap(), marked);
    }

    #[test]
    fn line_ends_of_an_owner_are_no_change_and_stay() {
        let (old, new) = ("a\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n");
        let mine = "a\nmine\nc\nd\ne\n".replace('\n', "\r\n");
        let (verb, file, _folder) = upgraded(Some(tree(Some(old))), Some(&mine), Some(new));
        assert!(verb == Some(Verb::Merge));
        let merged = "a\nmine\nc\nd\nE\n".replace('\n', "\r\n");
        assert_eq!(fs::read_to_string(file).unwrap(), merged);
        // One line of another editor.
        let (verb, _, _folder) =
            upgraded(Some(tree(Some(old))), Some("a\r\nb\nc\nd\ne\n"), Some(new));
        assert!(verb == Some(Verb::Merge));
    }

    #[test]
    fn what_is_no_text_or_a_folder_is_left_and_a_new_file_takes_nobodys_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::write(at("f"), b"\0mine").unwrap();
        fs::write(at("f.new"), "mine, too").unwrap();
        let mut changes = Changes::new(folder.path());
        let done = merge_all(&mut changes, Some(&tree(Some("a\n"))), &tree(Some("b\n"))).unwrap();
        changes.make(&[], || Ok(())).unwrap();
        assert!(done[0].1 == Verb::Beside);
        assert_eq!(fs::read(at("f")).unwrap(), b"\0mine");
        assert_eq!(fs::read(at("f.new")).unwrap(), b"mine, too");
        assert_eq!(fs::read(at("f.new.new")).unwrap(), b"b\n");
        fs::remove_file(at("f")).unwrap();
        fs::create_dir(at("f")).unwrap();
        let done = merge_all(&mut changes, Some(&tree(Some("a\n"))), &tree(Some("b\n"))).unwrap();
        assert!(done[0].1 == Verb::Keep);
    }

    #[test]
    fn without_a_base_the_new_comes_beside_the_old() {
        let (verb, file, _folder) = upgraded(None, Some("mine\n"), Some("b\n"));
        assert!(verb == Some(Verb::Beside));
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
        assert_eq!(
            fs::read_to_string(file.with_extension("new")).unwrap(),
            "b\n"
        );
        assert!(upgraded(None, Some("b\n"), Some("b\n")).0.is_none());
    }

    #[test]
    fn the_changelog_is_shown_up_to_the_version_that_was() {
        let news = news("0.1.0");
        assert!(
            news.starts_with("## ") && !news.contains("## 0.1.0"),
            "{news}"
        );
    }

    /// Before anything changes that an owner sees: `ci/keep`.
    #[test]
    fn what_every_earlier_release_made_is_kept() {
        let versions: Vec<_> = changelog().map(|(version, _)| version).collect();
        let earlier = &versions[1..];
        assert!(earlier.contains(&"0.1.0"), "{versions:?}");
        for version in earlier {
            let line = format!("template-version = {version:?}");
            let mut kept = template::RELEASES
                .iter()
                .map(|files| template::text_of(files, RECORD));
            assert!(
                kept.any(|record| record.contains(&line)),
                "run ci/keep {version}"
            );
        }
    }
}
