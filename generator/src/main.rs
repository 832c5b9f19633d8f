//! `cached-lambda`: makes a workspace for a Rust Lambda function with a cache in front of DynamoDB.
//!
//! Data goes one way: command line ([`cli`]) -> [`answers`] -> tree of files in memory
//! ([`render`]) -> [`mod@write`].

mod answers;
mod cli;
mod render;
mod vcs;
mod write;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli {
        command: Command::New(new),
    } = Cli::parse();
    match cli::run(new) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
