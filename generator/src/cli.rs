//! The command line: its grammar, its help, and what is wrong with one.

use std::path::PathBuf;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{
    Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
};
use clap_complete::Shell;

use crate::answers::Given;
use crate::error::Error;
use crate::explain;
use crate::parameters::{self, Choice, NAME, Parameter, closest, listed, one_of};
use crate::problem::{CommandLine, Problem, Repair};

/// A Lambda function in Rust with a cache in front of DynamoDB, ready to deploy.
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to use colours: auto, always or never
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        display_order = 1000
    )]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    color: Colour,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a new workspace
    New(New),
    /// Say what a parameter does, how to choose it and what it changes
    Explain {
        /// Such as ttl; without one, all of them in short
        #[arg(allow_hyphen_values = true)]
        parameter: Option<String>,
    },
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
    #[command(flatten)]
    pub parameters: Flags,
    /// The folder to make it in
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub path: PathBuf,
    /// Take answers from a cached-lambda.toml; flags win
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
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

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Vcs {
    Git,
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

/// The parameters as flags, with their values as they were given.
pub struct Flags(Vec<(&'static Parameter, String)>);

impl Flags {
    pub fn given(&self, line: &CommandLine) -> Vec<Given> {
        let given = self.0.iter().map(|(parameter, value)| Given {
            parameter,
            value: value.clone(),
            place: parameter.argument(),
            source: line.source.clone(),
            span: match parameter.default {
                Some(_) => line.span(line.value(&parameter.argument())),
                None => line.span(line.positional(1)),
            },
        });
        given.collect()
    }
}

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(parameters::ALL.map(|parameter| {
            let argument = Arg::new(parameter.key)
                .value_name(parameter.value_name)
                .value_parser(AnyOf(parameter.choices()))
                .hide_possible_values(true)
                // So that it is told what is wrong with -1.
                .allow_negative_numbers(true);
            match parameter.default {
                None => argument.help(parameter.help).action(ArgAction::Set),
                Some(default) => argument
                    .long(parameter.flag)
                    .help(format!("{} [default: {default}]", parameter.help)),
            }
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = parameters::ALL.into_iter().filter_map(|parameter| {
            let value: Option<&String> = matches.get_one(parameter.key);
            Some((parameter, value?.clone()))
        });
        Ok(Flags(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Takes any text, and offers the choices to completions: what is allowed is checked later, so
/// that everything wrong is told at once.
#[derive(Clone)]
struct AnyOf(&'static [Choice]);

impl TypedValueParser for AnyOf {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let choices = self.0.iter();
        let values = choices.map(|choice| PossibleValue::new(choice.value).help(choice.meaning));
        (!self.0.is_empty()).then(|| Box::new(values) as Box<_>)
    }
}

/// The command line that the process was given.
pub fn line() -> CommandLine {
    let command = Cli::command();
    let commands = command.get_subcommands().chain([&command]);
    let arguments = commands.flat_map(clap::Command::get_arguments);
    let with_value = arguments.filter(|argument| argument.get_action().takes_values());
    let with_value = with_value.filter_map(Arg::get_long);
    let with_value = with_value.map(|flag| format!("--{flag}"));
    CommandLine::new(std::env::args_os(), with_value.collect())
}

/// What `--color` says, without a look at the rest.
pub fn colours(line: &CommandLine) -> anstream::ColorChoice {
    match line.value("--color").map(|value| line.text(value)) {
        Some("always") => anstream::ColorChoice::Always,
        Some("never") => anstream::ColorChoice::Never,
        _ => anstream::ColorChoice::Auto,
    }
}

/// A command line that could be understood.
pub struct Parsed {
    pub command: Command,
    pub line: CommandLine,
    /// Flags that were misspelt, taken for what was meant so that the rest can be checked.
    pub problems: Vec<Problem>,
}

/// Parses the command line. Prints the help, or the version, and ends the process where that is
/// asked for.
pub fn parse(mut line: CommandLine) -> Result<Parsed, Error> {
    let colour = match anstream::ColorChoice::global() {
        anstream::ColorChoice::Always => clap::ColorChoice::Always,
        anstream::ColorChoice::Never => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    };
    let command = Cli::command().color(colour);
    let mut problems = Vec::new();
    loop {
        let parsed = command.clone().try_get_matches_from(line.arguments());
        let error = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
            Ok(Cli { command, .. }) => {
                return Ok(Parsed {
                    command,
                    line,
                    problems,
                });
            }
            Err(error) => error,
        };
        let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if is_help || !error.use_stderr() {
            if problems.is_empty() {
                error.exit();
            }
            return Err(Error::Given(problems));
        }
        let found = found(&error, &line);
        let is_repaired = line.repair(found.repair);
        problems.push(Problem {
            place: found.place,
            value: found.value,
            message: found.message,
            why: found.why,
            instead: found.instead,
            written: None,
            source: line.source.clone(),
            span: line.span(found.piece),
        });
        if !is_repaired {
            return Err(Error::Given(problems));
        }
    }
}

/// What clap found, at a piece of the line.
#[derive(Default)]
struct Found {
    place: String,
    value: Option<String>,
    message: String,
    why: String,
    instead: Option<String>,
    piece: Option<usize>,
    /// With what the rest can be looked at, too.
    repair: Option<Repair>,
}

fn found(error: &clap::Error, line: &CommandLine) -> Found {
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let text = |kind| texts(kind).into_iter().next();
    // `--vcs <VCS>`, and `--vcs` alone.
    let usage = text(ContextKind::InvalidArg).unwrap_or_default();
    let place = usage.split(' ').next().unwrap_or_default().to_string();
    let value = text(ContextKind::InvalidValue).filter(|value| !value.is_empty());
    let is_flag = place.starts_with('-');
    let piece = line.flag(&place);
    match error.kind() {
        ErrorKind::UnknownArgument if is_flag => {
            unknown_flag(place, text(ContextKind::SuggestedArg), line)
        }
        ErrorKind::UnknownArgument => Found {
            message: format!("`{place}` is one argument too many"),
            why: see_help(line),
            value: Some(place.clone()),
            place,
            piece,
            repair: piece.map(|piece| Repair::Without(vec![piece])),
            ..Found::default()
        },
        ErrorKind::InvalidSubcommand => unknown_command(
            text(ContextKind::InvalidSubcommand).unwrap_or_default(),
            line,
        ),
        ErrorKind::InvalidValue => {
            let allowed = texts(ContextKind::ValidValue);
            let allowed: Vec<_> = allowed.iter().map(String::as_str).collect();
            let why = match allowed.is_empty() {
                true => "a value is required".into(),
                false => format!("use {}", one_of(allowed.iter().copied())),
            };
            let Some(value) = value else {
                return Found {
                    message: format!("`{usage}` is given without its value"),
                    why,
                    place,
                    piece,
                    repair: piece.map(|piece| Repair::Without(vec![piece])),
                    ..Found::default()
                };
            };
            let piece = match is_flag {
                true => line.value(&place),
                false => line.positional(1),
            };
            let stand_in = allowed.first().map(|value| value.to_string());
            Found {
                message: format!("`{value}` is not allowed for `{place}`"),
                why,
                instead: closest(&value, allowed).map(Into::into),
                value: Some(value),
                place,
                piece,
                repair: piece.zip(stand_in).map(Repair::instead),
            }
        }
        ErrorKind::TooManyValues => {
            let piece = line.value(&place);
            Found {
                message: format!("`{place}` takes no value"),
                why: format!("use `{place}` alone"),
                value,
                place,
                piece,
                repair: piece.map(|piece| Repair::Without(vec![piece])),
                ..Found::default()
            }
        }
        ErrorKind::ArgumentConflict => {
            let again = line.last_flag(&place);
            let value = again.zip(line.value(&place)).map(|(_, value)| value);
            let value = value.filter(|_| usage != place);
            Found {
                message: format!("`{place}` is given more than once"),
                why: "use it once".into(),
                place,
                piece: again,
                repair: again.map(|again| {
                    Repair::Without([Some(again), value].into_iter().flatten().collect())
                }),
                ..Found::default()
            }
        }
        ErrorKind::InvalidUtf8 => Found {
            message: "an argument is not valid UTF-8".into(),
            why: "only --path and --answers take other bytes".into(),
            place,
            piece: line.not_text(),
            ..Found::default()
        },
        _ => {
            let text = error.to_string();
            let text = text.trim_start_matches("error: ");
            let first = text.split("\n\n").next().unwrap_or_default();
            Found {
                message: first.split_whitespace().collect::<Vec<_>>().join(" "),
                why: see_help(line),
                place,
                piece,
                ..Found::default()
            }
        }
    }
}

fn unknown_flag(place: String, suggested: Option<String>, line: &CommandLine) -> Found {
    let commands = Cli::command();
    let owner = commands
        .get_subcommands()
        .find(|command| has(command, &place));
    // What other programs call it.
    let instead = match place.as_str() {
        "--no-color" | "--no-colour" => Some("--color=never".into()),
        "--no-git" | "--no-vcs" => Some("--vcs=none".into()),
        "--output" | "--destination" => Some("--path".into()),
        _ => suggested,
    };
    let (message, why, instead) = match owner {
        Some(owner) => {
            let owner = owner.get_name();
            let message = format!("`{place}` is a flag of `cached-lambda {owner}`");
            (message, format!("it belongs behind `{owner}`"), None)
        }
        None => (
            format!("there is no flag `{place}`"),
            see_help(line),
            instead,
        ),
    };
    // `-5m` is told as `-5`.
    let piece = line.flag(&place).or_else(|| line.cluster(&place));
    let repair = piece.and_then(|piece| match &instead {
        Some(instead) => Some(Repair::instead((piece, instead.clone()))),
        // What follows could be its value.
        None => line
            .stands_alone(piece)
            .then(|| Repair::Without(vec![piece])),
    });
    Found {
        message,
        why,
        value: Some(place.clone()),
        place,
        instead,
        piece,
        repair,
    }
}

fn unknown_command(place: String, line: &CommandLine) -> Found {
    let command = Cli::command();
    let names = || command.get_subcommands().map(clap::Command::get_name);
    let close = match place.as_str() {
        "init" | "create" | "generate" | "make" => Some("new"),
        _ => closest(&place, names()),
    };
    let piece = line.positional(0);
    let instead = match place.as_str() {
        "help" => Some("--help".into()),
        // The name alone.
        _ if close.is_none() && NAME.check(&place).is_ok() => Some(format!("new {place}")),
        _ => close.map(Into::into),
    };
    Found {
        message: format!("there is no command `{place}`"),
        why: format!("the commands are {}", listed(names())),
        value: Some(place.clone()),
        place,
        instead,
        piece,
        repair: piece.zip(close.map(Into::into)).map(Repair::instead),
    }
}

fn see_help(line: &CommandLine) -> String {
    let command = line.positional(0).map(|command| line.text(command));
    let is_known = |name: &&str| Cli::command().find_subcommand(name).is_some();
    match command.filter(is_known) {
        Some(command) => format!("see `cached-lambda {command} --help`"),
        None => "see `cached-lambda --help`".into(),
    }
}

/// Whether a command has a flag of that name.
fn has(command: &clap::Command, flag: &str) -> bool {
    let mut flags = command.get_arguments().filter_map(Arg::get_long);
    flags.any(|long| flag.strip_prefix("--") == Some(long))
}

/// What is known of one parameter, or of all in short.
pub fn explain(parameter: Option<&str>, line: &CommandLine) -> Result<String, Error> {
    let Some(name) = parameter else {
        return Ok(explain::all());
    };
    if let Some(parameter) = explain::find(name) {
        return Ok(explain::one(parameter)?);
    }
    let flags = || parameters::ALL.iter().map(|parameter| parameter.flag);
    Err(Error::Given(vec![Problem {
        place: "[PARAMETER]".into(),
        value: Some(name.into()),
        message: format!("there is no parameter `{name}`"),
        why: format!("the parameters are {}", listed(flags())),
        instead: closest(name, flags()).map(Into::into),
        written: None,
        source: line.source.clone(),
        span: line.span(line.positional(1).or_else(|| line.flag(name))),
    }]))
}

/// The completions of a shell, for its start-up file.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cached-lambda", &mut script);
    let script = String::from_utf8_lossy(&script);
    // In bash, clap_complete looks for other names than it sets where a program has a hyphen in its
    // own: https://github.com/clap-rs/clap/issues/6421
    script.replace(
        "cached__subcmd__lambda__subcmd__",
        "cached__lambda__subcmd__",
    )
}

/// The manual page of `cached-lambda new`, in roff.
pub fn man() -> Result<String, Error> {
    let mut command = Cli::command();
    command.build();
    let new = command.find_subcommand("new").unwrap_or(&command);
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(new.clone()).title("cached-lambda-new");
    man.render(&mut page).map_err(Error::Print)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
