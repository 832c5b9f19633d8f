//! Prints the manual page of `cached-lambda new`, for a release:
//! `cargo run --package cached-lambda --example man > cached-lambda-new.1`

use std::io;

fn main() -> io::Result<()> {
    let mut command = cached_lambda::command();
    command.build();
    let new = command.find_subcommand("new").cloned();
    let page = clap_mangen::Man::new(new.unwrap_or(command)).title("cached-lambda-new");
    page.render(&mut io::stdout())
}
