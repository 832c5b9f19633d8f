//! Writes what a release has beside the binary, the manual's pages and the completions, into a folder:
//! `cargo run --package cached-lambda --example extras -- FOLDER`

use std::path::Path;
use std::{env, fs, io};

use clap::ValueEnum;
use clap_complete::Shell;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let [pages, completions] = ["man", "completions"].map(|it| Path::new(&folder).join(it));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(cached_lambda::command(), pages)?;
    for shell in Shell::value_variants() {
        let file = completions.join(format!("cached-lambda.{shell}"));
        fs::write(file, cached_lambda::completions(*shell))?;
    }
    Ok(())
}
