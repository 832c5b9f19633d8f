//! What the template becomes with the answers: a tree of files in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use liquid::model::Value;
use liquid::{Parser, ParserBuilder};

use crate::answers::Answers;
use crate::parameters;
use crate::template::{Config, Source};

/// A file of the workspace to be written.
#[derive(Debug)]
pub struct File {
    /// Relative to the workspace.
    pub path: PathBuf,
    pub contents: Vec<u8>,
}

/// The template cannot be rendered: its mistake, not the user's.
#[derive(Debug, thiserror::Error)]
#[error("the template's {file} cannot be rendered: {why}. This is a bug in cached-lambda")]
pub struct Error {
    file: &'static str,
    why: String,
}

/// What a template becomes, by paths with `/` between their parts on every platform.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Renders every file of a template.
pub fn tree(files: &'static [Source], answers: &Answers) -> Result<Tree, Error> {
    let rendered = render(files, answers)?.into_iter();
    let path = |path: &Path| path.to_string_lossy().replace('\\', "/");
    Ok(rendered
        .map(|file| (path(&file.path), file.contents))
        .collect())
}

/// Renders every file of a template, in the order of their paths.
pub fn render(files: &'static [Source], answers: &Answers) -> Result<Vec<File>, Error> {
    // All of them text, as cargo-generate's are.
    let mut values = liquid::Object::new();
    for parameter in parameters::all() {
        let value = answers.get(parameter.key).unwrap_or_default();
        values.insert(parameter.key.into(), Value::scalar(value.to_string()));
    }
    let config = Config::of(files);
    let parser = ParserBuilder::with_stdlib()
        .build()
        .map_err(|error| Error {
            file: "liquid",
            why: error.to_string(),
        })?;
    files
        .iter()
        // The suffix first, as cargo-generate does it: conditions and patterns are for what is left.
        .map(|source| {
            (
                source,
                source.path.strip_suffix(".liquid").unwrap_or(source.path),
            )
        })
        .filter(|(_, path)| config.has(path, answers))
        .map(|(source, path)| {
            let failed = |why: String| Error {
                file: source.path,
                why,
            };
            let contents = match config.is_verbatim(path) {
                true => source.contents.to_vec(),
                false => render_file(source.contents, &parser, &values).map_err(failed)?,
            };
            // By components, so that it has the platform's separators.
            let path = Path::new(path).components().collect();
            Ok(File { path, contents })
        })
        .collect()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_variable_is_an_error_and_not_nothing() {
        let values = liquid::object!({"known": "a b"});
        let parser = ParserBuilder::with_stdlib().build().unwrap();
        let render = |contents| render_file(contents, &parser, &values);
        assert_eq!(render(b"{{known | upcase}}").unwrap(), b"A B");
        assert!(render(b"{{unknown}}").unwrap_err().contains("unknown"));
        assert!(render(b"{% nonsense %}").is_err());
    }
}
