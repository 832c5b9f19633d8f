//! Asks a person at a terminal for what is not known yet.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use inquire::validator::Validation;
use inquire::{Confirm, InquireError, Select, Text, ui::RenderConfig};

use crate::answers::{Answers, Known};
use crate::parameters::{self, Choice, Parameter, TTL, TTL_POLICY};
use crate::problem::shell_quoted;

/// Why there are no answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("interrupted; nothing was made")]
    Interrupted,
    #[error("nothing was made")]
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
/// all are known. `make` says what a yes does.
pub fn complete(known: Known, folder: &Path, make: &str, colours: bool) -> Result<Answers, Error> {
    let style = if colours {
        RenderConfig::default_colored()
    } else {
        RenderConfig::empty()
    };
    let mut answers = known.clone();
    for parameter in parameters::ALL {
        // It does nothing there.
        let is_idle =
            std::ptr::eq(parameter, &TTL) && answers.get(&TTL_POLICY) == Some("immutable");
        if answers.get(parameter).is_none() && !is_idle {
            let value = ask(parameter, style)?;
            answers.set(parameter, value);
        }
    }
    let answers = answers.or_defaults();
    let asked = |parameter: &&Parameter| known.get(parameter).is_none();
    if parameters::ALL.iter().any(asked) {
        // What cannot be shown cannot be confirmed either.
        let _ = writeln!(io::stderr(), "\n{}", summary(&answers, folder));
        let confirm = Confirm::new(make).with_default(true);
        if !confirm.with_render_config(style).prompt()? {
            return Err(Error::Declined);
        }
    }
    Ok(answers)
}

fn ask(parameter: &'static Parameter, style: RenderConfig<'static>) -> Result<String, Error> {
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
    let validate = |text: &str| {
        let invalid =
            |refused: parameters::Refused| Validation::Invalid(refused.to_string().into());
        let checked = parameter.check(text.trim());
        Ok(checked.map_or_else(invalid, |_| Validation::Valid))
    };
    let mut text = Text::new(parameter.question)
        .with_validator(validate)
        .with_render_config(style);
    text.default = parameter.default;
    let answer = text.prompt()?;
    // The validator let it through.
    let refused = |refused: parameters::Refused| InquireError::Custom(refused.to_string().into());
    Ok(parameter.check(answer.trim()).map_err(refused)?)
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
fn summary(answers: &Answers, folder: &Path) -> String {
    let mut summary = String::new();
    let mut command = String::from("cached-lambda new");
    if folder != Path::new(".") {
        command += &format!(" --path {}", shell_quoted(&folder.display().to_string()));
    }
    for parameter in parameters::ALL {
        let value = answers.get(parameter);
        summary += &format!("  {:<13} {value}\n", parameter.key);
        command += &match parameter.default {
            None => format!(" {value}"),
            Some(_) => format!(" --{} {value}", parameter.flag),
        };
    }
    summary += &format!(
        "  {:<13} {}\n",
        "folder",
        folder.join(answers.name()).display()
    );
    format!("{summary}\nThe same without questions:\n  {command}\n")
}
