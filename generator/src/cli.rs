//! The command line, and what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::answers::{Answers, Arch, Iac, Memory, ProjectName, Trigger, Ttl, TtlPolicy};
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

/// Makes a workspace.
pub fn run(new: New) -> Result<(), Error> {
    let New {
        name,
        path,
        arch,
        memory,
        ttl_policy,
        ttl,
        trigger,
        iac,
        vcs,
        yes: _,
    } = new;
    if name.used != name.given {
        eprintln!("note: the name `{}` becomes `{}`", name.given, name.used);
    }
    let answers = Answers {
        name,
        arch,
        memory,
        ttl_policy,
        ttl,
        trigger,
        iac,
    };
    let tree = render::render(&answers)?;
    let target = write::Target::new(&path, &answers.name.used)?;
    let git = vcs::wanted(vcs, &path);
    let made = target.write(&tree, git)?;

    let stack = render::stack_name(&answers.name.used);
    eprintln!("made {}, {} files", made.display(), tree.len());
    eprintln!();
    eprintln!("next:");
    eprintln!("  cd {}", made.display());
    eprintln!("  cargo test                            # starts DynamoDB Local in Docker");
    match answers.iac {
        Iac::Sam => {
            eprintln!("  cd infra && sam build && sam deploy   # makes the stack {stack}");
        }
        Iac::Terraform => {
            let target = match answers.arch {
                Arch::Arm64 => "--arm64",
                Arch::X86_64 => "--x86-64",
            };
            eprintln!(
                "  cargo lambda build --release {target} --output-format zip && cd infra && \
                 terraform init && terraform apply"
            );
        }
    }
    Ok(())
}
