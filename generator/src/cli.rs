//! The command line, and what it does.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::answers::{Answers, Arch, Iac, Memory, ProjectName, Trigger, Ttl, TtlPolicy};
use crate::report::Report;
use crate::{render, vcs, write};

/// A Lambda function in Rust with a cache in front of DynamoDB, ready to deploy.
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a new workspace
    New(New),
    /// Print the completions of a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },
    /// Print the manual page of `cached-lambda new`
    Man,
}

#[derive(Args)]
pub struct New {
    /// Names the folder, the stack and its resources
    name: ProjectName,
    /// The folder to make it in
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Processor architecture: arm64 or x86_64
    #[arg(long, default_value = "arm64")]
    arch: Arch,
    /// Memory of the function in MB, 128 to 10240
    #[arg(long, value_name = "MB", default_value = "256")]
    memory: Memory,
    /// How long items live: fixed, per-item or immutable
    #[arg(long, value_name = "POLICY", default_value = "fixed")]
    ttl_policy: TtlPolicy,
    /// Time to live, such as 90, 30s, 5m or 1h; up to 24h
    #[arg(long, value_name = "TIME", default_value = "60")]
    ttl: Ttl,
    /// How it is invoked: direct or function-url
    #[arg(long, default_value = "direct")]
    trigger: Trigger,
    /// What deploys it: sam or terraform
    #[arg(long, value_name = "TOOL", default_value = "sam")]
    iac: Iac,
    /// git or none [default: git, unless inside a repository]
    #[arg(long, hide_possible_values = true)]
    vcs: Option<Vcs>,
    /// List what would be made, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Say nothing but errors
    #[arg(long, short)]
    quiet: bool,
    /// Use the defaults, never ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Vcs {
    Git,
    None,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Render(#[from] render::Error),
    #[error(transparent)]
    Write(#[from] write::Error),
    #[error("cannot print: {0}")]
    Print(io::Error),
}

impl Error {
    /// What the process exits with: 2 is for a command line that is wrong.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Write(write::Error::Folder { .. }) => 2,
            _ => 1,
        }
    }
}

/// Makes a workspace, or says what it would be.
pub fn run(new: New) -> Result<(), Error> {
    let answers = Answers {
        name: new.name,
        arch: new.arch,
        memory: new.memory,
        ttl_policy: new.ttl_policy,
        ttl: new.ttl,
        trigger: new.trigger,
        iac: new.iac,
    };
    let name = &answers.name;
    if name.used != name.given && !new.quiet {
        eprintln!("note: the name `{}` becomes `{}`", name.given, name.used);
    }
    let tree = render::render(&answers)?;
    let target = write::Target::new(&new.path, &name.used)?;
    let workspace = target.path().to_path_buf();
    let report = Report::new(&answers, &workspace, &tree, new.dry_run);
    if !new.dry_run {
        target.write(&tree, vcs::wanted(new.vcs, &new.path))?;
    }
    if new.json {
        print(&format!("{}\n", report.json()))?;
    } else if new.dry_run {
        print(&report.tree())?;
    } else if !new.quiet {
        eprint!("{}", report.text(&answers));
    }
    Ok(())
}

/// Prints the completions of a shell, for its start-up file.
pub fn completions(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cached-lambda", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of `cached-lambda new`, in roff.
pub fn man() -> Result<(), Error> {
    let mut command = Cli::command();
    command.build();
    let new = command.find_subcommand("new").unwrap_or(&command);
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(new.clone()).title("cached-lambda-new");
    man.render(&mut page).map_err(Error::Print)?;
    print(&String::from_utf8_lossy(&page))
}

/// Prints to standard output. Who has stopped reading, as `head` does, has what it wants.
fn print(text: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    let printed = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Print(error)),
        _ => Ok(()),
    }
}
