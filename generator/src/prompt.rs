//! Asks a person at a terminal for what is not known yet.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use inquire::validator::Validation;
use inquire::{Confirm, InquireError, Select, Text, ui::RenderConfig};

use crate::answers::{Answers, Known};
use crate::cli::{New, Vcs};
use crate::parameters::{self, Choice, NAME, Parameter, TTL, TTL_POLICY};
use crate::problem::shell_quoted;
use crate::report::plain;
use crate::write::Target;

/// Why there are no answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("interrupted; nothing was made")]
    Interrupted,
    #[error("not confirmed; nothing was made")]
    Declined,
    #[error("cannot ask: {0}; nothing was made")]
    Terminal(InquireError),
}

impl From<InquireError> for Error {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => {
                Error::Interrupted
            }
            other => Error::Terminal(other),
        }
    }
}

/// Whether there is a person to ask: one who can read the question and answer it.
pub fn is_possible() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdin().is_terminal() && io::stderr().is_terminal() && !is_dumb
}

/// Asks for every answer that is missing, then whether they are right. Does not ask anything where
/// all are known.
pub fn complete(known: Known, new: &New) -> Result<Answers, Error> {
    let style = match anstream::AutoStream::choice(&io::stderr()) {
        anstream::ColorChoice::Never => RenderConfig::empty(),
        _ => RenderConfig::default_colored(),
    };
    let mut answers = known.clone();
    for parameter in parameters::ALL {
        // It does nothing there.
        let is_idle =
            std::ptr::eq(parameter, &TTL) && answers.get(&TTL_POLICY) == Some("immutable");
        if answers.get(parameter).is_none() && !is_idle {
            let value = ask(parameter, &new.path, style)?;
            answers.set(parameter, value);
        }
    }
    let answers = answers.or_defaults();
    let asked = |parameter: &&Parameter| known.get(parameter).is_none();
    if parameters::ALL.iter().any(asked) {
        // What cannot be shown cannot be confirmed either.
        let _ = writeln!(io::stderr(), "\n{}", summary(&answers, new));
        let make = match new.dry_run {
            true => "List what would be made?",
            false => "Make it?",
        };
        let confirm = Confirm::new(make).with_default(true);
        if !confirm.with_render_config(style).prompt()? {
            return Err(Error::Declined);
        }
    }
    Ok(answers)
}

fn ask(
    parameter: &'static Parameter,
    folder: &Path,
    style: RenderConfig<'static>,
) -> Result<String, Error> {
    let choices = parameter.choices();
    if !choices.is_empty() {
        let select = Select::new(parameter.question, choices.iter().map(Line).collect());
        let answer = |line: inquire::list_option::ListOption<&Line>| line.value.0.value.to_string();
        let chosen = select
            .with_starting_cursor(0)
            .without_filtering()
            .with_formatter(&answer)
            .with_help_message("arrow keys to choose, enter to take")
            .with_render_config(style)
            .prompt()?;
        return Ok(chosen.0.value.into());
    }
    let check = |text: &str| match parameter.check(text.trim()) {
        Ok(value) if std::ptr::eq(parameter, &NAME) => Target::new(folder, &value)
            .map(|_| value)
            .map_err(|error| error.to_string()),
        checked => checked.map_err(|refused| refused.to_string()),
    };
    let validate = |text: &str| {
        let invalid = |why: String| Validation::Invalid(why.into());
        Ok(check(text).map_or_else(invalid, |_| Validation::Valid))
    };
    // What is taken, where it is not what was typed.
    let taken = |text: &str| match parameter.check(text.trim()) {
        Ok(value) if value != text => format!("{text} becomes {value}"),
        _ => text.into(),
    };
    let mut text = Text::new(parameter.question)
        .with_validator(validate)
        .with_formatter(&taken)
        .with_render_config(style);
    text.default = parameter.default;
    let answer = text.prompt()?;
    // The validator let it through.
    Ok(check(&answer).map_err(|why| InquireError::Custom(why.into()))?)
}

/// A choice as a line to choose.
struct Line(&'static Choice);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choice { value, meaning, .. } = self.0;
        write!(f, "{value:<13} {meaning}")
    }
}

/// What will be made, and the command line that makes it without a question.
fn summary(answers: &Answers, new: &New) -> String {
    let mut summary = String::new();
    let mut command = String::from("cached-lambda new");
    for parameter in parameters::ALL {
        let value = answers.get(parameter);
        summary += &format!("  {:<13} {value}\n", parameter.key);
        command += &match parameter.default {
            None => format!(" {value}"),
            Some(_) => format!(" --{} {value}", parameter.flag),
        };
    }
    if new.path != Path::new(".") {
        let path = new.path.display().to_string();
        // A path may start with a hyphen.
        command += &format!(" --path={}", shell_quoted(&path));
    }
    command += match new.vcs {
        Some(Vcs::Git) => " --vcs git",
        Some(Vcs::None) => " --vcs none",
        None => "",
    };
    if new.dry_run {
        command += " --dry-run";
    }
    let folder = new.path.join(answers.name());
    summary += &format!("  {:<13} {}\n", "folder", folder.display());
    plain(&format!(
        "{summary}\nThe same without questions:\n  {command}\n"
    ))
}
