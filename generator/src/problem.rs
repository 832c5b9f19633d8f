//! What is wrong in what was given, where it stands, and how to put it right.

use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use annotate_snippets::{AnnotationKind, Level, Patch, Renderer, Snippet};
use serde::Serialize;

/// A text that was given: the command line, or a file.
#[derive(Debug)]
pub struct Source {
    /// Of a file. The command line has none, and no numbers for its one line.
    pub name: Option<String>,
    pub text: String,
}

/// Something that is not as it has to be.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The flag, the argument or the key.
    pub place: String,
    /// What was given, if anything was.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What is allowed.
    pub why: String,
    /// What may have been meant, and is allowed.
    pub instead: Option<String>,
    #[serde(skip)]
    pub source: Rc<Source>,
    /// Bytes of the source's text.
    #[serde(skip)]
    pub span: Range<usize>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.why)
    }
}

/// For people: each problem in its place, then all corrections at once.
pub fn text(problems: &[Problem], renderer: &Renderer) -> String {
    let mut reports: Vec<String> = Vec::new();
    for (index, problem) in problems.iter().enumerate() {
        let source = &problem.source;
        let place = AnnotationKind::Primary.span(problem.span.clone());
        let place = place.label(problem.why.as_str());
        let shown = Snippet::source(source.text.as_str())
            .line_numbering(source.name.is_some())
            .path(source.name.as_deref())
            .annotation(place);
        let mut groups = vec![Level::ERROR.primary_title(&problem.message).element(shown)];
        let is_last_of_source = problems[index + 1..]
            .iter()
            .all(|later| !Rc::ptr_eq(&later.source, source));
        if is_last_of_source {
            let same = problems
                .iter()
                .filter(|other| Rc::ptr_eq(&other.source, source));
            let patches: Vec<_> = same
                .filter_map(|problem| {
                    let instead = problem.instead.as_deref()?;
                    Some(Patch::new(problem.span.clone(), instead.to_string()))
                })
                .collect();
            if !patches.is_empty() {
                let corrected = Snippet::source(source.text.as_str())
                    .line_numbering(source.name.is_some())
                    .patches(patches);
                groups.push(Level::HELP.secondary_title("try this").element(corrected));
            }
        }
        reports.push(renderer.render(&groups));
    }
    reports.join("\n\n")
}

/// The command line as a text, and where its arguments are in it.
pub struct CommandLine {
    pub source: Rc<Source>,
    /// The program is the first of them.
    arguments: Vec<Argument>,
}

struct Argument {
    /// As it goes to the parser.
    given: OsString,
    /// `--ttl` of `--ttl=5m`, or all of it.
    name: String,
    span: Range<usize>,
    /// What follows the `=`.
    value: Option<(String, Range<usize>)>,
}

impl CommandLine {
    pub fn new(given: impl IntoIterator<Item = OsString>) -> Self {
        let mut text = String::new();
        let mut push = |separator: &str, piece: &str| {
            text.push_str(separator);
            let start = text.len();
            // As a shell takes it, so that it can be copied.
            text.push_str(&shell_quoted(piece));
            start..text.len()
        };
        let mut arguments = Vec::new();
        for given in given {
            let shown = given.to_string_lossy().into_owned();
            let (name, value) = match shown.split_once('=') {
                _ if arguments.is_empty() => ("cached-lambda", None),
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (shown.as_str(), None),
            };
            let separator = if arguments.is_empty() { "" } else { " " };
            arguments.push(Argument {
                given,
                name: name.into(),
                span: push(separator, name),
                value: value.map(|value| (value.into(), push("=", value))),
            });
        }
        CommandLine {
            source: Rc::new(Source { name: None, text }),
            arguments,
        }
    }

    /// For the parser.
    pub fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.arguments.iter().map(|argument| argument.given.clone())
    }

    /// Takes a flag or a value for another, so that the rest can be looked at, too. The text, and
    /// with it what is shown, stays as it was given.
    pub fn take_for(&mut self, wrong: &str, right: &str) -> Option<()> {
        self.arguments.iter_mut().skip(1).find_map(|argument| {
            match &mut argument.value {
                _ if argument.name == wrong => argument.name = right.into(),
                Some((value, _)) if value == wrong => *value = right.into(),
                _ => return None,
            }
            argument.given = match &argument.value {
                Some((value, _)) => format!("{}={value}", argument.name).into(),
                None => argument.name.clone().into(),
            };
            Some(())
        })
    }

    /// Where an argument stands, a flag or another.
    pub fn argument(&self, text: &str) -> Range<usize> {
        let same = |argument: &&Argument| argument.name == text;
        self.arguments
            .iter()
            .rfind(same)
            .map_or_else(|| self.end(), |argument| argument.span.clone())
    }

    /// Where the value of a flag stands.
    pub fn value(&self, flag: &str) -> Range<usize> {
        let Some(index) = self.arguments.iter().rposition(|other| other.name == flag) else {
            return self.end();
        };
        let next = self.arguments.get(index + 1);
        match (&self.arguments[index].value, next) {
            (Some((_, span)), _) => span.clone(),
            (None, Some(next)) => next.span.start..next.value_end(),
            (None, None) => self.end(),
        }
    }

    /// Behind the last argument.
    pub fn end(&self) -> Range<usize> {
        self.source.text.len()..self.source.text.len()
    }
}

impl Argument {
    fn value_end(&self) -> usize {
        self.value
            .as_ref()
            .map_or(self.span.end, |(_, span)| span.end)
    }
}

/// As a POSIX shell takes it.
pub fn shell_quoted(text: &str) -> String {
    // It fails at a null byte alone, which no argument can hold.
    shlex::try_quote(text).map_or_else(|_| text.into(), Into::into)
}
