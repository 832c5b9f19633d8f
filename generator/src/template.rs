//! The template as it is embedded, and what its cargo-generate.toml says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::answers::Answers;

/// A file of the template.
pub struct Source {
    pub path: &'static str,
    pub contents: &'static [u8],
}

/// Embedded: no network, and no path to a template.
pub const SOURCES: &[Source] = include!(concat!(env!("OUT_DIR"), "/template.rs"));

/// The templates of earlier releases, from which a workspace that they made is upgraded.
pub const RELEASES: &[&[Source]] = include!(concat!(env!("OUT_DIR"), "/releases.rs"));

/// What a workspace was made with, in it.
pub const RECORD: &str = "cached-lambda.toml";
/// The same, of a cache-core that was vendored.
pub const VENDORED_RECORD: &str = "cache-core/cached-lambda.toml";

/// A file of the template, as it is there.
pub fn text(path: &str) -> &'static str {
    text_of(SOURCES, path)
}

pub fn text_of(files: &'static [Source], path: &str) -> &'static str {
    let source = files.iter().find(|source| source.path == path);
    std::str::from_utf8(source.map_or(&[], |source| source.contents)).unwrap_or_default()
}

/// The lines of a record that say which template it is of.
fn identity(files: &'static [Source]) -> impl Iterator<Item = &'static str> {
    let record = text_of(files, RECORD).lines();
    record.filter(|line| line.starts_with("template-"))
}

/// What names the template of today.
pub fn hash() -> Option<&'static str> {
    let hash = identity(SOURCES).find_map(|line| line.strip_prefix("template-hash = "));
    hash.map(|hash| hash.trim_matches('"'))
}

/// The template that has this hash, if a release had it, or this is it.
pub fn with_hash(hash: &str) -> Option<&'static [Source]> {
    let line = format!("template-hash = {hash:?}");
    let releases = RELEASES.iter().copied();
    let mut all = releases.chain([SOURCES]);
    all.find(|files| identity(files).any(|it| it == line))
}

/// The record beside a cache-core that was vendored into somebody else's workspace.
pub fn vendored_record(files: &'static [Source]) -> String {
    let identity: Vec<_> = identity(files).collect();
    let about = "Put here by `cached-lambda add`. `cached-lambda upgrade` brings a newer one.";
    format!("# {about}\n{}\n", identity.join("\n"))
}

const CONFIG: &str = "cargo-generate.toml";

/// What cargo-generate.toml says, as far as it is used here. What is not understood is an error, since
/// both ways of rendering have to do the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    template: TemplateSection,
    #[serde(default)]
    hooks: BTreeMap<String, Vec<PathBuf>>,
    pub placeholders: toml::Table,
    /// By `placeholder != "value"` or `placeholder == "value"`; and by `ignore` what is left out then.
    #[serde(default)]
    conditional: BTreeMap<String, BTreeMap<String, Vec<PathBuf>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateSection {
    #[serde(rename = "cargo_generate_version")]
    _version: Option<String>,
    /// What is copied as it is: `**/*.rs`, and names of files that no folder has.
    exclude: Vec<String>,
}

impl Config {
    pub fn of_template() -> &'static Self {
        static PARSED: LazyLock<Config> = LazyLock::new(|| Config::of(SOURCES));
        &PARSED
    }

    /// # Panics
    /// Where the embedded file is not understood, which a test would tell first.
    pub fn of(files: &'static [Source]) -> Self {
        let parsed = toml::from_str(text_of(files, CONFIG));
        parsed.unwrap_or_else(|why| panic!("the template's {CONFIG}: {why}"))
    }

    /// Whether a file is copied as it is.
    pub fn is_verbatim(&self, path: &str) -> bool {
        let mut patterns = self.template.exclude.iter();
        patterns.any(|pattern| match pattern.strip_prefix("**/*") {
            Some(ending) => path.ends_with(ending),
            None => path == pattern,
        })
    }

    /// Whether a file is part of what is made: the configuration and its hooks are not.
    pub fn has(&self, path: &str, answers: &Answers) -> bool {
        let path = Path::new(path);
        let is_below = |paths: &Vec<PathBuf>| paths.iter().any(|it| path.starts_with(it));
        let holds = |condition: &str| {
            let (is_equal, (placeholder, value)) = parts(condition);
            let answer = answers.get(placeholder).map(|answer| format!("{answer:?}"));
            (answer.as_deref() == Some(value)) == is_equal
        };
        let mut conditions = self.conditional.iter();
        let left_out = conditions.any(|(it, paths)| holds(it) && paths.values().any(is_below));
        !left_out && path != Path::new(CONFIG) && !self.hooks.values().any(is_below)
    }
}

/// Whether it is `==`, and both sides.
fn parts(condition: &str) -> (bool, (&str, &str)) {
    match condition.split_once(" == ") {
        Some(parts) => (true, parts),
        None => (false, condition.split_once(" != ").unwrap_or_default()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Another would be left out, or copied, by one of the two ways of rendering alone.
    #[test]
    fn what_the_template_says_is_in_the_forms_that_are_known_here() {
        let config = Config::of_template();
        for pattern in &config.template.exclude {
            let plain = pattern.strip_prefix("**/*").unwrap_or(pattern);
            assert!(!plain.contains(['*', '?', '[', '!', '/']), "{pattern}");
        }
        for (condition, paths) in &config.conditional {
            let (_, (placeholder, value)) = parts(condition);
            let choices = config.placeholders[placeholder]["choices"]
                .as_array()
                .unwrap();
            let is_choice =
                |choice: &toml::Value| format!("{:?}", choice.as_str().unwrap()) == value;
            assert!(choices.iter().any(is_choice), "{condition}");
            assert_eq!(paths.keys().collect::<Vec<_>>(), ["ignore"]);
        }
    }

    #[test]
    fn a_file_is_in_for_one_value_alone() {
        let config = Config::of_template();
        let parameters = crate::parameters::all();
        let iac = parameters.iter().find(|parameter| parameter.key == "iac");
        for value in ["sam", "terraform"] {
            let mut answers = Answers::default();
            answers.set(iac.unwrap(), value.into());
            for (path, of) in [("infra/sam/x", "sam"), ("infra/terraform/a/b", "terraform")] {
                assert_eq!(config.has(path, &answers), value == of, "{path} {value}");
            }
            assert!(config.has("infra/sample", &answers));
            assert!(!config.has("cargo-generate.toml", &answers));
            assert!(!config.has("check-name.rhai", &answers));
        }
        assert!(config.is_verbatim("a/b.rs") && config.is_verbatim("Cargo.lock"));
        assert!(!config.is_verbatim("a/b.rst") && !config.is_verbatim("README.md"));
    }
}
