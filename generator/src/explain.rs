//! What a parameter does, how to choose its value, and what it changes in what is rendered.

use std::fmt::Write;
use std::path::Path;

use anstyle::Style;

use crate::answers::Known;
use crate::parameters::{self, NAME, Parameter};
use crate::render::{self, File};

const HEADING: Style = Style::new().bold();

/// One line for each parameter.
pub fn all() -> String {
    let mut text = String::new();
    for parameter in parameters::ALL {
        let argument = parameter.argument();
        let default = match parameter.default {
            Some(default) => format!(" [default: {default}]"),
            None => String::new(),
        };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            text,
            "{HEADING}{argument:<14}{HEADING:#} {}{default}",
            parameter.help
        );
    }
    text + "\n`cached-lambda explain <PARAMETER>` says more about one, such as `explain ttl`.\n"
}

/// The parameter that someone means by `ttl`, `--ttl`, `TTL` or `ttl_seconds`.
pub fn find(name: &str) -> Option<&'static Parameter> {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    let name = name.trim_matches(['<', '>', '[', ']']);
    parameters::ALL
        .into_iter()
        .find(|parameter| [parameter.flag, parameter.key].contains(&name))
}

/// All about one.
///
/// # Errors
/// A template that cannot be rendered.
pub fn one(parameter: &'static Parameter) -> Result<String, render::Error> {
    let mut text = String::new();
    let Parameter {
        help,
        key,
        explanation,
        ..
    } = parameter;
    let argument = parameter.argument();
    let _ = writeln!(text, "{HEADING}{argument}{HEADING:#}  {help}");
    let _ = writeln!(text, "{key} in cached-lambda.toml and for cargo generate\n");
    let _ = writeln!(text, "{explanation}\n");
    if !parameter.choices().is_empty() {
        let _ = writeln!(text, "{HEADING}Values{HEADING:#}");
        for choice in parameter.choices() {
            let _ = writeln!(text, "  {:<13} {}", choice.value, choice.meaning);
        }
        text.push('\n');
    }
    if let Some(default) = parameter.default {
        let _ = writeln!(text, "{HEADING}Default{HEADING:#}\n  {default}\n");
    }
    let _ = writeln!(
        text,
        "{HEADING}What it changes{HEADING:#} (~ changed, + added, - left out)"
    );
    let before = rendered(parameter, parameter.default)?;
    for value in others(parameter) {
        let after = rendered(parameter, Some(value))?;
        let _ = writeln!(text, "  {} {value}:", parameter.argument());
        for line in changes(&before, &after) {
            let _ = writeln!(text, "    {line}");
        }
    }
    Ok(text)
}

/// Values that are not the default.
fn others(parameter: &Parameter) -> Vec<&'static str> {
    let choices = parameter.choices().iter().map(|choice| choice.value);
    choices
        .chain(parameter.examples.iter().copied())
        .filter(|value| Some(*value) != parameter.default)
        .collect()
}

fn rendered(parameter: &Parameter, value: Option<&str>) -> Result<Vec<File>, render::Error> {
    let mut known = Known::default();
    for (parameter, value) in [(&NAME, Some("a")), (parameter, value)] {
        // Defaults and examples are allowed: a test checks them all.
        if let Some(Ok(value)) = value.map(|value| parameter.check(value)) {
            known.set(parameter, value);
        }
    }
    render::render(&known.or_defaults())
}

fn changes(before: &[File], after: &[File]) -> Vec<String> {
    let find = |files: &[File], path: &Path| files.iter().position(|file| file.path == path);
    let mut lines = Vec::new();
    for file in after {
        match find(before, &file.path) {
            None => lines.push(format!("+ {}", file.path.display())),
            Some(index) if before[index].contents != file.contents => {
                lines.push(format!("~ {}", file.path.display()));
            }
            Some(_) => {}
        }
    }
    let gone = before
        .iter()
        .filter(|file| find(after, &file.path).is_none());
    lines.extend(gone.map(|file| format!("- {}", file.path.display())));
    lines
}
