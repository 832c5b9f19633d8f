//! Asks a person at a terminal for what is not known yet. Each question is a line that is edited as
//! in a shell; where there are choices, the arrow keys go through them.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Behavior, Config, Editor};

use crate::answers::Answers;
use crate::cli::{New, Vcs};
use crate::parameters::{self, NAME, Parameter};
use crate::report::{plain, quoted};
use crate::write::Target;

/// Why there are no answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("interrupted; nothing was made")]
    Interrupted,
    #[error("not confirmed; nothing was made")]
    Declined,
    #[error("cannot ask: {0}; nothing was made")]
    Terminal(ReadlineError),
}

impl From<ReadlineError> for Error {
    fn from(error: ReadlineError) -> Self {
        match error {
            ReadlineError::Eof | ReadlineError::Interrupted => Error::Interrupted,
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
pub fn complete(mut answers: Answers, new: &New) -> Result<Answers, Error> {
    let mut is_asked = false;
    for parameter in parameters::all() {
        // It does nothing there.
        let is_idle =
            parameter.key == "ttl_seconds" && answers.get("ttl_policy") == Some("immutable");
        if answers.get(parameter.key).is_none() && !is_idle {
            answers.set(parameter, ask(parameter, &new.path)?);
            answers.convert_name(new.quiet);
            is_asked = true;
        }
    }
    let answers = answers.or_defaults();
    if !is_asked {
        return Ok(answers);
    }
    say!("\n{}", summary(&answers, new));
    let question = match new.dry_run {
        true => "List what would be made?",
        false => "Make it?",
    };
    confirm(question)?;
    Ok(answers)
}

/// Asks whether to go on.
pub fn confirm(question: &str) -> Result<(), Error> {
    loop {
        let answer = editor(&[])?.readline(&format!("{question} [Y/n] "))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "" | "y" | "yes" => return Ok(()),
            "n" | "no" => return Err(Error::Declined),
            _ => say!("  answer y or n"),
        }
    }
}

/// Asks for one.
pub fn ask(parameter: &'static Parameter, folder: &Path) -> Result<String, Error> {
    let mut editor = editor(&parameter.choices)?;
    let default = parameter.default.unwrap_or_default();
    say!("{}", parameter.question());
    for choice in &parameter.choices {
        say!("  {choice:<13} {}", parameter.meaning(choice));
    }
    let prompt = match default {
        "" => "> ".into(),
        default => format!("[{default}] > "),
    };
    let mut typed = String::new();
    loop {
        typed = editor.readline_with_initial(&prompt, (&typed, ""))?;
        let given = Some(typed.trim()).filter(|typed| !typed.is_empty());
        let checked = parameter.check(given.unwrap_or(default)).and_then(|value| {
            if parameter.key == NAME {
                let target = Target::new(folder, &parameters::converted(&value));
                target.map_err(|why| format!("{why}; {}", why.help().unwrap_or_default()))?;
            }
            Ok(value)
        });
        match checked {
            Ok(value) => return Ok(value),
            Err(why) => say!("  {}", plain(&why)),
        }
    }
}

fn editor(choices: &[&str]) -> Result<Editor<(), MemHistory>, Error> {
    // At the terminal: standard output is for what is made.
    let config = Config::builder().behavior(Behavior::PreferTerm).build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    for choice in choices.iter().rev() {
        editor.add_history_entry(*choice)?;
    }
    Ok(editor)
}

/// What will be made, and the command line that makes it without a question.
fn summary(answers: &Answers, new: &New) -> String {
    let mut summary = String::new();
    let mut command = String::from("cached-lambda new");
    for parameter in parameters::all() {
        let value = answers.get(parameter.key).unwrap_or_default();
        summary += &format!("  {:<13} {value}\n", parameter.key);
        command += &format!(" {}", parameter.argument(value));
    }
    if new.path != Path::new(".") {
        command += &format!(" --path={}", quoted(&new.path));
    }
    command += match new.vcs {
        Some(Vcs::Git) => " --vcs git",
        Some(Vcs::None) => " --vcs none",
        None => "",
    };
    if new.dry_run {
        command += " --dry-run";
    }
    plain(&format!(
        "{summary}\nThe same without questions:\n  {command}\n"
    ))
}
