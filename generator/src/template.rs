//! The template as it is embedded, and what its cargo-generate.toml says of its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

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

/// cargo-generate.toml, as far as it is used: what is not understood is an error, since both ways of
/// rendering have to do the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    template: TemplateSection,
    #[serde(default)]
    hooks: Hooks,
    /// A test compares them with the parameters.
    #[serde(default, rename = "placeholders")]
    _placeholders: toml::Table,
    #[serde(default)]
    conditional: BTreeMap<String, Conditional>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateSection {
    #[serde(rename = "cargo_generate_version")]
    _version: Option<String>,
    exclude: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hooks {
    init: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditional {
    ignore: Vec<PathBuf>,
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
        let file: ConfigFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let verbatim = file.template.exclude.iter().map(|text| pattern(text));
        let conditional = file.conditional.into_iter();
        Ok(Config {
            verbatim: verbatim.collect::<Result<_, _>>()?,
            conditions: conditional
                .map(|(expression, section)| condition(&expression, section.ignore))
                .collect::<Result<_, _>>()?,
            hidden: file.hooks.init.into_iter().chain([CONFIG.into()]).collect(),
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

/// Of the patterns of a .gitignore, which cargo-generate takes, the two whose meaning has no corners:
/// `**/*.rs`, and the name of a file that no folder has.
fn pattern(text: &str) -> Result<glob::Pattern, String> {
    let is_name = |text: &str| {
        let mut letters = text.chars();
        letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_'))
    };
    let name = text.strip_prefix("**/*.").unwrap_or(text);
    if !is_name(name) {
        return Err(format!(
            "`exclude` has {text:?}, a form that the generator does not know"
        ));
    }
    glob::Pattern::new(text).map_err(|error| format!("`exclude` has {text:?}: {error}"))
}

fn condition(expression: &str, left_out: Vec<PathBuf>) -> Result<Condition, String> {
    let unknown =
        || format!("[conditional.'{expression}'] has a form that the generator does not know");
    let (placeholder, value) = expression.split_once(" == ").ok_or_else(unknown)?;
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    Ok(Condition {
        placeholder: placeholder.into(),
        value: value.ok_or_else(unknown)?.into(),
        left_out,
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
            "template.exclude = [\"a/b\"]",
            "template.exclude = [\"*.rs\"]",
            "template.exclude = 1",
            "template.ignore = []",
            "hooks.post = []",
            "[other]",
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
