//! Why the process ends without having done what it was asked.

use std::io;

use regex_lite::Regex;
use serde_json::json;

use crate::add::{manifest, project};
use crate::report::plain;
use crate::{changes, function, prompt, render, upgrade, workspace, write};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, or a file that it names, in clap's words.
    #[error("{}", message(.0))]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    Prompt(#[from] prompt::Error),
    #[error(transparent)]
    Render(#[from] render::Error),
    #[error(transparent)]
    Write(#[from] write::Error),
    #[error(transparent)]
    Project(#[from] project::Error),
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    #[error(transparent)]
    Changes(#[from] changes::Error),
    #[error(transparent)]
    Workspace(#[from] workspace::Error),
    #[error(transparent)]
    Function(#[from] function::Error),
    #[error(transparent)]
    Upgrade(#[from] upgrade::Error),
    #[error("cannot watch for interrupts: {0}; nothing was made")]
    Signals(io::Error),
    #[error("cannot print: {0}")]
    Print(io::Error),
}

/// Without what clap puts before and behind it.
fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.trim_start_matches("error: ");
    let end = text.find("\n\nFor more information").unwrap_or(text.len());
    text[..end].to_string()
}

impl Error {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Prompt(prompt::Error::Interrupted)
            | Error::Write(write::Error::Interrupted)
            | Error::Changes(changes::Error::Interrupted) => 130,
            _ => 1,
        }
    }

    /// What to do about it, where clap does not tell that.
    fn help(&self) -> Option<String> {
        match self {
            Error::Write(error) => error.help(),
            Error::Project(error) => error.help(),
            Error::Changes(error) => error.help(),
            Error::Upgrade(error) => error.help(),
            Error::Workspace(error) => error.help(),
            Error::Function(error) => error.help(),
            _ => None,
        }
    }

    /// For people, as clap writes it. Colours are taken out where it is printed, if nobody sees them;
    /// other control characters, which were given, here.
    pub fn text(&self) -> String {
        if let Error::Usage(error) = self {
            let text = error.render().ansi().to_string();
            let colours = Regex::new(r"\x1b\[[\d;]*m").map(|it| it.replace_all(&text, "").into());
            let bare: String = colours.unwrap_or_default();
            let is_safe = plain(&bare) == bare;
            let text = if is_safe { text } else { plain(&bare) };
            return text.trim_end().to_string();
        }
        let styles = clap::builder::Styles::styled();
        let (error, valid) = (styles.get_error(), styles.get_valid());
        let mut text = format!("{error}error:{error:#} {}", plain(&self.to_string()));
        if let Some(help) = self.help() {
            text += &format!("\n\n  {valid}tip:{valid:#} {}", plain(&help));
        }
        text
    }

    /// What `--json` prints: one line.
    pub fn json(&self) -> String {
        if let Error::Upgrade(upgrade::Error::Conflicts { json, .. }) = self {
            return json.clone();
        }
        let (message, help) = (self.to_string(), self.help());
        let error = json!({ "message": message, "help": help, "exit_code": self.exit_code() });
        json!({ "error": error }).to_string()
    }
}
