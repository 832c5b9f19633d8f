//! `cached-lambda`: makes a workspace for a Rust Lambda function with a cache in front of DynamoDB, and puts that cache into
//! what is there already.
//!
//! Data goes one way. For `new`: the command line (`cli`, where each flag is checked), a file of `answers` and the
//! `prompt`s -> answers, each allowed by its parameter (`parameters`) -> the `template` as a tree of
//! files in memory (`render`) -> disk (`write`) and `report`. For the others: what is there (`add::project`, or a
//! `workspace` that was made here) -> edits in memory -> `changes`, which are shown, or made all together. `add` edits
//! manifests and writes a skeleton, `function` renders another crate and its infrastructure, `upgrade` merges what the
//! template gave then with what it gives today.

/// Tells people something. Where nobody can read it there is nobody to tell that.
macro_rules! say {
    ($($argument:tt)*) => {{
        let _ = writeln!(anstream::stderr(), $($argument)*);
    }};
}

mod add;
mod answers;
mod cargo_workspace;
mod changes;
mod cli;
mod error;
mod function;
mod new;
mod parameters;
mod prompt;
mod render;
mod report;
mod template;
mod upgrade;
mod vcs;
mod workspace;
mod write;

use std::io::{self, Write};
use std::process::ExitCode;

use cli::{Command, Part};
pub use cli::{command, completions};
use error::Error;

/// What the binary does.
pub fn main() -> ExitCode {
    let (json, colours) = cli::early();
    colours.write_global();
    let Err(error) = cli::parse().and_then(run) else {
        return ExitCode::SUCCESS;
    };
    // Where neither can be printed nobody reads.
    let _ = match json {
        true => writeln!(io::stdout(), "{}", error.json()),
        false => writeln!(anstream::stderr(), "{}", error.text()),
    };
    ExitCode::from(error.exit_code())
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::New(new) => new::run(*new),
        Command::Add(add) => match &add.part {
            Some(Part::Function(function)) => function::run(function),
            None => add::run(&add),
        },
        Command::Upgrade(upgrade) => upgrade::run(&upgrade),
        Command::Completions { shell } => print(&cli::completions(shell)),
    }
}

/// Prints to standard output. Who has stopped reading, as `head` does, has what it wants.
fn print(text: &str) -> Result<(), Error> {
    let mut output = anstream::stdout().lock();
    let printed = output.write_all(text.as_bytes());
    printed
        .and_then(|()| output.flush())
        .or_else(unless_nobody_reads)
}

fn unless_nobody_reads(error: io::Error) -> Result<(), Error> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Error::Print(error)),
    }
}
