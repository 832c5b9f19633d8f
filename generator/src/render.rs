//! What the template becomes with the answers: a tree of files in memory.

use std::path::{Path, PathBuf};

use heck::ToKebabCase;
use liquid::{Parser, ParserBuilder};
use liquid_core::{
    Display_filter, Filter, FilterReflection, ParseFilter, Runtime, Value, ValueView,
};

use crate::answers::Answers;
use crate::parameters;
use crate::template::{Config, SOURCES};

/// A file of the workspace to be written.
#[derive(Debug)]
pub struct File {
    /// Relative to the workspace.
    pub path: PathBuf,
    pub contents: Vec<u8>,
    pub executable: bool,
}

/// The template cannot be rendered: its mistake, not the user's.
#[derive(Debug, thiserror::Error)]
#[error("the template's {file} cannot be rendered: {why}. This is a bug in cached-lambda")]
pub struct Error {
    file: &'static str,
    why: String,
}

/// Renders every file of the template, in the order of their paths.
pub fn render(answers: &Answers) -> Result<Vec<File>, Error> {
    // All of them text, as cargo-generate's are.
    let values: liquid::Object = parameters::ALL
        .into_iter()
        .map(|parameter| {
            let value = Value::scalar(answers.get(parameter).to_string());
            (parameter.key.into(), value)
        })
        .collect();
    let config = Config::of_template().map_err(|why| Error {
        file: "cargo-generate.toml",
        why,
    })?;
    let answer = |placeholder: &str| {
        let parameter = parameters::by_key(placeholder)?;
        Some(answers.get(parameter))
    };
    let parser = parser().map_err(|error| Error {
        file: "liquid",
        why: error.to_string(),
    })?;
    SOURCES
        .iter()
        // The suffix first, as cargo-generate does it: conditions and patterns are for what is left.
        .map(|source| (source, source.path.strip_suffix(".liquid")))
        .map(|(source, stripped)| (source, stripped.unwrap_or(source.path)))
        .filter(|(_, path)| config.has(path, answer))
        .map(|(source, path)| {
            let failed = |why: String| Error {
                file: source.path,
                why,
            };
            let contents = if config.is_verbatim(path) {
                source.contents.to_vec()
            } else {
                render_file(source.contents, &parser, &values).map_err(failed)?
            };
            Ok(File {
                path: Path::new(path).to_path_buf(),
                contents,
                executable: source.executable,
            })
        })
        .collect()
}

/// The language of the template, as cargo-generate knows it.
fn parser() -> liquid_core::Result<Parser> {
    ParserBuilder::with_stdlib().filter(KebabCaseParser).build()
}

/// Fails on an unknown variable, which cargo-generate renders as nothing.
fn render_file(
    contents: &[u8],
    parser: &Parser,
    values: &liquid::Object,
) -> Result<Vec<u8>, String> {
    let is_tag = |pair: &[u8]| matches!(pair, b"{{" | b"{%");
    // Parsing costs, and most files have no tag.
    if !contents.windows(2).any(is_tag) {
        return Ok(contents.to_vec());
    }
    let text = std::str::from_utf8(contents).map_err(|error| error.to_string())?;
    let template = parser.parse(text);
    let rendered = template.and_then(|template| template.render(values));
    Ok(rendered.map_err(|error| error.to_string())?.into_bytes())
}

/// The project's name as CloudFormation takes it, which knows no `_`.
pub fn stack_name(project_name: &str) -> String {
    project_name.to_kebab_case()
}

/// cargo-generate's filter of that name.
#[derive(Clone, ParseFilter, FilterReflection)]
#[filter(
    name = "kebab_case",
    description = "Change text to kebab case",
    parsed(KebabCase)
)]
struct KebabCaseParser;

#[derive(Debug, Default, Display_filter)]
#[name = "kebab_case"]
struct KebabCase;

impl Filter for KebabCase {
    fn evaluate(&self, input: &dyn ValueView, _: &dyn Runtime) -> liquid_core::Result<Value> {
        Ok(Value::scalar(stack_name(&input.to_kstr())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_variable_is_an_error_and_not_nothing() {
        let values = liquid::object!({"known": "a b"});
        let parser = parser().unwrap();
        let render = |contents| render_file(contents, &parser, &values);
        assert_eq!(render(b"{{known | kebab_case}}").unwrap(), b"a-b");
        assert!(render(b"{{unknown}}").unwrap_err().contains("unknown"));
        assert!(render(b"{% nonsense %}").is_err());
    }
}
