//! Why the process ends without having done what it was asked.

use std::io;

use annotate_snippets::{Level, Renderer};

use crate::problem::{self, Problem};
use crate::{prompt, render, write};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, or a file that it names: all that is wrong there.
    #[error("{}", messages(.0))]
    Given(Vec<Problem>),
    #[error(transparent)]
    Prompt(#[from] prompt::Error),
    #[error(transparent)]
    Render(#[from] render::Error),
    #[error(transparent)]
    Write(#[from] write::Error),
    #[error("cannot watch for interrupts: {0}; nothing was made")]
    Signals(io::Error),
    #[error("cannot print: {0}")]
    Print(io::Error),
}

impl Error {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Given(_) => 2,
            Error::Prompt(prompt::Error::Interrupted) | Error::Write(write::Error::Interrupted) => {
                130
            }
            _ => 1,
        }
    }

    /// What to do about it, where that is not told with each problem.
    fn help(&self) -> Option<String> {
        match self {
            Error::Write(error) => error.help(),
            _ => None,
        }
    }

    /// For people, on several lines.
    pub fn text(&self) -> String {
        // Colours are taken out where it is printed, if nobody sees them.
        let renderer = Renderer::styled();
        if let Error::Given(problems) = self {
            return problem::text(problems, &renderer);
        }
        let (message, help) = (self.to_string(), self.help());
        let title = Level::ERROR.primary_title(&message);
        let help = help.iter().map(|help| Level::HELP.message(help));
        renderer.render(&[title.elements(help)])
    }

    /// What `--json` prints: one line.
    pub fn json(&self) -> String {
        let problems: &[Problem] = match self {
            Error::Given(problems) => problems,
            _ => &[],
        };
        let (message, exit_code) = (self.to_string(), self.exit_code());
        let error = serde_json::json!({
            "message": message, "help": self.help(), "exit_code": exit_code, "problems": problems,
        });
        serde_json::json!({ "error": error }).to_string()
    }
}

fn messages(problems: &[Problem]) -> String {
    let messages = problems.iter().map(Problem::to_string);
    messages.collect::<Vec<_>>().join("\n")
}
