//! `cached-lambda`: makes a workspace for a Rust Lambda function with a cache in front of DynamoDB.
//!
//! Data goes one way: command line ([`cli`]), file and [`mod@prompt`] -> [`answers`], checked by
//! their [`parameters`] -> the [`template`] as a tree of files in memory ([`render`]) -> disk ([`mod@write`]) and
//! [`report`]. What is wrong on the way is an [`error`], with the [`problem`]s of what was given.

mod answers;
mod cargo_workspace;
mod cli;
mod error;
mod explain;
mod new;
mod parameters;
mod problem;
mod prompt;
mod render;
mod report;
mod template;
mod vcs;
mod write;

use std::io::{self, Write};
use std::process::ExitCode;

use cli::{Command, Parsed};
use error::Error;

fn main() -> ExitCode {
    let line = cli::line();
    // Before anything is parsed: what is wrong then is told in the same way.
    let json = line.flag("--json").is_some();
    cli::colours(&line).write_global();
    let Err(error) = cli::parse(line).and_then(run) else {
        return ExitCode::SUCCESS;
    };
    // Where neither can be printed nobody reads.
    let _ = if json {
        writeln!(io::stdout(), "{}", error.json())
    } else {
        writeln!(anstream::stderr(), "{}", error.text())
    };
    ExitCode::from(error.exit_code())
}

fn run(parsed: Parsed) -> Result<(), Error> {
    match parsed.command {
        Command::New(new) => new::run(&new, &parsed.line, parsed.problems),
        _ if !parsed.problems.is_empty() => Err(Error::Given(parsed.problems)),
        Command::Explain { parameter } => print(&cli::explain(parameter.as_deref(), &parsed.line)?),
        Command::Completions { shell } => print(&cli::completions(shell)),
        Command::Man => print(&cli::man()?),
    }
}

/// Prints to standard output. Who has stopped reading, as `head` does, has what it wants.
fn print(text: &str) -> Result<(), Error> {
    let mut output = anstream::stdout().lock();
    let printed = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Print(error)),
        _ => Ok(()),
    }
}
