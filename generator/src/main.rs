//! `cached-lambda`: makes a workspace for a Rust Lambda function with a cache in front of DynamoDB.
//!
//! Data goes one way: command line ([`cli`]) -> [`answers`] -> tree of files in memory
//! ([`render`]) -> disk ([`mod@write`]) and [`report`].

mod answers;
mod cli;
mod render;
mod report;
mod vcs;
mod write;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    // Also for a command line that cannot be parsed.
    let json = std::env::args_os().any(|argument| argument == "--json");
    let failed = match Cli::try_parse() {
        Ok(cli) => run(cli).map_err(|error| (error.to_string(), error.exit_code())),
        Err(error) if json && error.use_stderr() => {
            let text = error.to_string();
            let message = text.split("\n\nFor more").next().unwrap_or_default();
            let message = message.trim_start_matches("error: ").trim_end();
            Err((message.to_string(), 2))
        }
        Err(error) => error.exit(),
    };
    let Err((message, exit_code)) = failed else {
        return ExitCode::SUCCESS;
    };
    // Where neither can be printed nobody reads.
    let _ = if json {
        writeln!(io::stdout(), "{}", report::json_error(&message, exit_code))
    } else {
        writeln!(io::stderr(), "error: {message}")
    };
    ExitCode::from(exit_code)
}

fn run(cli: Cli) -> Result<(), cli::Error> {
    match cli.command {
        Command::New(new) => cli::run(new),
        Command::Completions { shell } => cli::completions(shell),
        Command::Man => cli::man(),
    }
}
