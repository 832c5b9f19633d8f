//! cargo-generate's library behind its own command line: its binary, for where that is not installed.

use std::process::ExitCode;

use cargo_generate::Cli;
use clap::Parser;

fn main() -> ExitCode {
    let Cli::Generate(arguments) = Cli::parse();
    // What went wrong it has told itself.
    cargo_generate::generate(arguments).map_or(ExitCode::FAILURE, |_| ExitCode::SUCCESS)
}
