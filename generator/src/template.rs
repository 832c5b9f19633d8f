//! The template as it is embedded, and what its cargo-generate.toml says of its files.

use std::path::{Path, PathBuf};

/// A file of the template.
pub struct Source {
    pub path: &'static str,
    pub contents: &'static [u8],
    pub executable: bool,
}

/// Embedded: no network, and no path to a template.
pub const SOURCES: &[Source] = include!(concat!(env!("OUT_DIR"), "/template.rs"));

const CONFIG: &str = "cargo-generate.toml";

/// What cargo-generate.toml says of the files, in the forms that it uses here.
pub struct Config {
    /// Patterns of files that are copied as they are: `exclude`.
    verbatim: Vec<glob::Pattern>,
    /// `[conditional.'placeholder == "value"']`: what is left out then.
    conditions: Vec<Condition>,
    /// Not part of what is made: the configuration itself, and its hooks.
    hidden: Vec<PathBuf>,
}

struct Condition {
    placeholder: String,
    value: String,
    left_out: Vec<PathBuf>,
}

impl Config {
    /// # Errors
    /// What is in a form that is not understood.
    pub fn of_template() -> Result<Self, String> {
        let source = SOURCES.iter().find(|source| source.path == CONFIG);
        let text = std::str::from_utf8(source.ok_or("it is missing")?.contents);
        Self::parse(text.map_err(|error| error.to_string())?)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        let section = |name: &str| config.get(name).and_then(toml::Value::as_table);
        let hooks = section("hooks")
            .into_iter()
            .flat_map(|hooks| hooks.values());
        let hidden = hooks.flat_map(texts).map(PathBuf::from);
        let excluded = section("template").and_then(|template| template.get("exclude"));
        let conditional = section("conditional").into_iter().flatten();
        Ok(Config {
            verbatim: excluded
                .into_iter()
                .flat_map(texts)
                .map(pattern)
                .collect::<Result<_, _>>()?,
            conditions: conditional
                .map(|(expression, section)| condition(expression, section))
                .collect::<Result<_, _>>()?,
            hidden: hidden.chain([CONFIG.into()]).collect(),
        })
    }

    /// Whether a file is copied as it is.
    pub fn is_verbatim(&self, path: &str) -> bool {
        self.verbatim.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether a file is part of what is made, with the answers by their placeholders.
    pub fn has<'a>(&self, path: &str, answer: impl Fn(&str) -> Option<&'a str>) -> bool {
        let path = Path::new(path);
        let left_out = self.conditions.iter().any(|condition| {
            let holds = answer(&condition.placeholder) == Some(condition.value.as_str());
            holds
                && condition
                    .left_out
                    .iter()
                    .any(|left_out| path.starts_with(left_out))
        });
        !left_out && !self.hidden.iter().any(|hidden| hidden == path)
    }
}

fn texts(list: &toml::Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
}

/// Of the patterns of a .gitignore, which cargo-generate takes, those that mean the same as a glob
/// of the whole path: `**/*.rs`, or a name that no other folder has.
fn pattern(text: &str) -> Result<glob::Pattern, String> {
    if text.starts_with(['!', '/']) || text.ends_with('/') {
        return Err(format!(
            "`exclude` holds {text:?}, a form that the generator does not know"
        ));
    }
    glob::Pattern::new(text).map_err(|error| format!("`exclude` holds {text:?}: {error}"))
}

fn condition(expression: &str, section: &toml::Value) -> Result<Condition, String> {
    let unknown =
        || format!("[conditional.'{expression}'] has a form that the generator does not know");
    let (placeholder, value) = expression.split_once(" == ").ok_or_else(unknown)?;
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let ignore = section.get("ignore").ok_or_else(unknown)?;
    Ok(Condition {
        placeholder: placeholder.into(),
        value: value.ok_or_else(unknown)?.into(),
        left_out: texts(ignore).map(PathBuf::from).collect(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_are_used_are_understood_and_others_refused() {
        let config = Config::parse(
            "hooks.init = [\"check.rhai\"]\ntemplate.exclude = [\"**/*.rs\", \"Cargo.lock\"]\n\
             [conditional.'iac == \"sam\"']\nignore = [\"infra/tests\"]",
        );
        let config = config.unwrap();
        for (path, verbatim) in [
            ("a.rs", true),
            ("a/b/c.rs", true),
            ("Cargo.lock", true),
            ("a.rst", false),
            ("README.md", false),
        ] {
            assert_eq!(config.is_verbatim(path), verbatim, "{path}");
        }
        let iac = |value| move |name: &str| (name == "iac").then_some(value);
        for (path, with_sam, with_terraform) in [
            ("infra/tests/x", false, true),
            ("infra/testsuite", true, true),
            ("check.rhai", false, false),
            ("cargo-generate.toml", false, false),
        ] {
            assert_eq!(config.has(path, iac("sam")), with_sam, "{path}");
            assert_eq!(config.has(path, iac("terraform")), with_terraform, "{path}");
        }
        for text in [
            "template.exclude = [\"!a\"]",
            "template.exclude = [\"a/\"]",
            "template.exclude = [\"***\"]",
            "[conditional.'iac != \"sam\"']\nignore = []",
            "[conditional.'iac == sam']\nignore = []",
            "[conditional.'iac == \"sam\"']\ninclude = []",
            "[",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
