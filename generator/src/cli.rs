//! The command line. clap parses it, with a check for each value, and says what is wrong.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;

use clap::builder::{
    NonEmptyStringValueParser, PathBufValueParser, PossibleValue, PossibleValuesParser,
    TypedValueParser,
};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde_json::Value;

use crate::add::{Kind, project};
use crate::answers::{Answers, AnswersFile};
use crate::changes::Changes;
use crate::error::Error;
use crate::parameters::{self, Added, Parameter};
use crate::report::plain;
use crate::{function, print, prompt, unless_nobody_reads};

/// A Lambda function in Rust with a cache in front of DynamoDB, ready to deploy.
#[derive(Parser)]
#[command(name = "cached-lambda", version = env!("VERSION"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    color: colorchoice_clap::Color,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a new workspace
    #[command(aliases = ["init", "create", "generate", "make"])]
    New(Box<New>),
    /// Put the cache into a package that exists
    ///
    /// Vendors cache-core, depends on it, and declares kinds in src/caches.rs, all or nothing. Nothing of yours is
    /// edited but manifests and cargo's configuration: the lines for your handler are printed.
    Add(Box<Add>),
    /// Bring what changed in the template since into a workspace
    ///
    /// Merges three ways: what was made then, what its owner made of it, and what the same answers give today. A file
    /// that was never changed is replaced, one that was deleted stays deleted, and a conflict is marked as git marks
    /// it. The same for a cache-core that `add` vendored.
    Upgrade(Upgrade),
    /// Print the completions of a shell
    Completions { shell: Shell },
}

#[derive(Args)]
#[command(next_display_order = 100)]
pub struct New {
    /// What the parameters' flags say, which are made of [`parameters`].
    #[arg(skip)]
    pub flags: Answers,
    /// The folder to make it in
    #[arg(long, value_name = "DIR", default_value = ".", aliases = ["output", "destination"])]
    #[arg(value_parser = folder())]
    pub path: PathBuf,
    /// Take answers from a cached-lambda.toml; flags win
    #[arg(long, value_name = "FILE")]
    #[arg(value_parser = PathBufValueParser::new().try_map(|path| AnswersFile::read(&path)))]
    pub answers: Option<AnswersFile>,
    /// git or none [default: git, unless in a repository]
    #[arg(long, hide_possible_values = true)]
    pub vcs: Option<Vcs>,
    /// List what would be made, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object on standard output, never ask
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors, never ask
    #[arg(long, short)]
    pub quiet: bool,
    /// Use the defaults, never ask
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Add {
    #[command(subcommand)]
    pub part: Option<Part>,
    /// The Cargo.toml of the package or its workspace [default: the one here or above]
    #[arg(long, value_name = "FILE")]
    pub manifest_path: Option<PathBuf>,
    /// Which package of the workspace
    #[arg(long, short, value_name = "NAME")]
    pub package: Option<String>,
    /// A kind to declare, such as customers:String:Customer; more than one
    ///
    /// KEY is what the function asks with: String, Vec<u8>, a whole number such as u64, () where there is one item
    /// alone, or a partition and a sort key, (String,u64). VALUE is a new type, Customer, or Vec<Order> for what a
    /// Query finds. Quote what a shell would read itself.
    #[arg(long = "kind", value_name = "NAME:KEY:VALUE", value_parser = Kind::parse)]
    pub kinds: Vec<Kind>,
    /// Depend on cache-core in a git repository, instead of vendoring it
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
    #[command(flatten)]
    pub edit: Edit,
}

#[derive(Subcommand)]
pub enum Part {
    /// Add another function to a workspace that `new` made
    ///
    /// Its crate with its tests, and its part of the infrastructure, by which CI tests and deploys it with the first. It
    /// reads the same table.
    Function(Box<Function>),
}

#[derive(Args)]
#[command(next_display_order = 100)]
pub struct Function {
    /// Names its folder, its crate and its resources
    #[arg(value_parser = |name: &str| function::name(name))]
    pub name: String,
    /// What the parameters' flags say, those of [`function::PARAMETERS`].
    #[arg(skip)]
    pub flags: Answers,
    /// The workspace, or a folder in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    #[arg(value_parser = folder())]
    pub path: PathBuf,
    #[command(flatten)]
    pub edit: Edit,
}

#[derive(Args)]
pub struct Upgrade {
    /// The workspace, or a folder in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    #[arg(value_parser = folder())]
    pub path: PathBuf,
    /// The commit in which it is as it was made, where no release made it
    #[arg(long, value_name = "COMMIT", value_parser = NonEmptyStringValueParser::new())]
    pub base: Option<String>,
    #[command(flatten)]
    pub edit: Edit,
}

/// How files that exist are edited.
#[derive(Args)]
#[command(next_display_order = 200)]
pub struct Edit {
    /// Print the diff, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object on standard output, never ask
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors, never ask
    #[arg(long, short)]
    pub quiet: bool,
    /// Edit what has changes that are not committed
    #[arg(long)]
    pub allow_dirty: bool,
    /// Never ask
    #[arg(long, short)]
    pub yes: bool,
}

impl Edit {
    /// Whether there is somebody to ask, who wants to be asked.
    pub fn asks(&self) -> bool {
        prompt::is_possible() && !(self.dry_run || self.json || self.quiet || self.yes)
    }

    /// Shows what will be done, and asks whether to do it.
    pub fn confirm(&self, list: &str) -> Result<(), Error> {
        if self.asks() {
            say!("{}", plain(list));
            prompt::confirm("Make these changes?")?;
        }
        Ok(())
    }

    /// Edits a Cargo workspace, unless it is a dry run or somebody says no. Where cargo cannot resolve the result, all is as
    /// it was.
    pub fn make(&self, changes: &Changes, list: &str) -> Result<(), Error> {
        let lockfile = ["Cargo.lock"];
        if self.dry_run || changes.is_empty() {
            return Ok(());
        }
        if !self.allow_dirty {
            changes.refuse_uncommitted()?;
        }
        self.confirm(list)?;
        Ok(changes.make(&lockfile, || project::resolve(changes.root()))?)
    }

    /// Says what was done, or would be: as JSON, or for people, with the diff of a dry run on standard output.
    pub fn report(&self, changes: &Changes, json: &Value, text: &str) -> Result<(), Error> {
        if self.json {
            return print(&format!("{json}\n"));
        }
        if self.dry_run {
            // As it is: anstream would take control characters out of it.
            let printed = std::io::stdout().lock().write_all(&changes.diff());
            printed.or_else(unless_nobody_reads)?;
        }
        if !self.quiet {
            say!("{}", plain(text.trim_end()));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Vcs {
    Git,
    None,
}

/// A folder that is there.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| path.read_dir().map(|_| path))
}

/// The flag of a parameter, which takes what [`Parameter::check`] takes.
fn argument(parameter: &'static Parameter) -> Arg {
    let (Added { flag, about, .. }, question) = (&parameter.added, parameter.question());
    let argument = Arg::new(parameter.key)
        .value_name(parameter.added.value_name.as_str())
        // So that it is told what is allowed instead of -1.
        .allow_negative_numbers(true);
    let argument = match parameter.default {
        None => argument
            .help(&question)
            .long_help(format!("{question}.\n\n{about}")),
        // Not clap's: a default must not win over a file of answers.
        Some(default) => argument
            .long(flag.as_str())
            .help(format!("{question} [default: {default}]"))
            .long_help(format!("{question}.\n\n{about}\n\n[default: {default}]")),
    };
    match parameter.choices.is_empty() {
        true => argument.value_parser(|value: &str| parameter.check(value)),
        false => argument.value_parser(OneOf(parameter)),
    }
}

/// One of a parameter's choices. clap suggests what is spelt alike; other names are known here.
#[derive(Clone)]
struct OneOf(&'static Parameter);

impl TypedValueParser for OneOf {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let choices = PossibleValuesParser::new(self.0.choices.iter());
        let mut parsed = choices.parse_ref(command, argument, value);
        let meant = value.to_str().and_then(|value| self.0.meant(value));
        if let (Err(error), Some(meant)) = (&mut parsed, meant) {
            let meant = ContextValue::String(meant.into());
            error.insert(ContextKind::SuggestedValue, meant);
        }
        parsed
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let choices = self.0.choices.iter().copied();
        let with_help = |choice| PossibleValue::new(choice).help(self.0.meaning(choice));
        Some(Box::new(choices.map(with_help)))
    }
}

/// The whole command line.
pub fn command() -> clap::Command {
    let command = Cli::command().mut_arg("color", |color| {
        color.display_order(1000).hide_possible_values(true)
    });
    let command = command.mut_subcommand("add", |add| {
        add.mut_subcommand("function", |function| {
            let arguments = function::PARAMETERS
                .into_iter()
                .filter_map(|(key, default)| {
                    let parameter = parameters::all().iter().find(|it| it.key == key)?;
                    let help = format!("{} [default: {default}]", parameter.question());
                    Some(
                        argument(parameter)
                            .help(help.clone())
                            .long_help(help)
                            .display_order(1),
                    )
                });
            function.args(arguments)
        })
    });
    command.mut_subcommand("new", |new| {
        // Before the others in the help.
        let arguments = parameters::all().iter().map(argument).enumerate();
        new.args(arguments.map(|(index, argument)| argument.display_order(index)))
    })
}

/// Whether errors are JSON, and where colours go: looked for without a look at the rest of the command
/// line, which may be wrong.
pub fn early() -> (bool, anstream::ColorChoice) {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<_> = words.take_while(|word| word != "--").collect();
    let says = |when: &str| {
        let mut pairs = words.windows(2);
        words.contains(&format!("--color={when}")) || pairs.any(|pair| pair == ["--color", when])
    };
    let colours = match (says("always"), says("never")) {
        (true, _) => anstream::ColorChoice::Always,
        (_, true) => anstream::ColorChoice::Never,
        _ => anstream::ColorChoice::Auto,
    };
    (words.contains(&"--json".into()), colours)
}

/// Parses the command line. Prints the help, or the version, and ends the process where that is
/// asked for.
pub fn parse() -> Result<Command, Error> {
    let matches = command().try_get_matches();
    match matches.and_then(|matches| parsed(&matches)) {
        Ok(command) => Ok(command),
        Err(error) if error.use_stderr() => Err(error.into()),
        Err(help) => help.exit(),
    }
}

fn parsed(matches: &ArgMatches) -> Result<Command, clap::Error> {
    let mut command = Cli::from_arg_matches(matches)?.command;
    let mut innermost = matches;
    while let Some((_, matches)) = innermost.subcommand() {
        innermost = matches;
    }
    let flags = match &mut command {
        Command::New(new) => &mut new.flags,
        Command::Add(add) => match &mut add.part {
            Some(Part::Function(function)) => &mut function.flags,
            None => return Ok(command),
        },
        _ => return Ok(command),
    };
    for parameter in parameters::all() {
        if let Ok(Some(value)) = innermost.try_get_one::<String>(parameter.key) {
            flags.set(parameter, value.clone());
        }
    }
    Ok(command)
}

/// Says in clap's words that the values of a flag do not go together.
pub fn refuse(why: &str) -> Error {
    let mut command = command();
    command.error(ErrorKind::ValueValidation, why).into()
}

/// Says that a name is missing, in clap's words, where nobody can be asked for it.
pub fn require_name() -> Result<(), Error> {
    let command = command().mut_subcommand("new", |new| {
        new.mut_arg(parameters::NAME, |name| name.required(true))
    });
    command.try_get_matches_from(["cached-lambda", "new"])?;
    Ok(())
}

/// The completions of a shell, for its start-up file.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "cached-lambda", &mut script);
    let script = String::from_utf8_lossy(&script);
    // In bash, clap_complete looks for other names than it sets where a program has a hyphen in its
    // own: https://github.com/clap-rs/clap/issues/6421
    script.replace(
        "cached__subcmd__lambda__subcmd__",
        "cached__lambda__subcmd__",
    )
}
