//! What is wrong in what was given, where it stands, and how to put it right.

use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
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
    /// How `instead` is written where it stands, if not as it is.
    #[serde(skip)]
    pub written: Option<String>,
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

/// What people read of one line or file.
const MOST_SHOWN: usize = 20;

/// For people: each problem in its place, then all corrections at once.
pub fn text(problems: &[Problem], renderer: &Renderer) -> String {
    let (problems, more) = problems.split_at(problems.len().min(MOST_SHOWN));
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
                    let instead = problem.written.as_ref().or(problem.instead.as_ref())?;
                    Some(Patch::new(problem.span.clone(), instead.clone()))
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
    if !more.is_empty() {
        let more = format!("{} more problems are not shown", more.len());
        let more = Group::with_title(Level::NOTE.secondary_title(&more));
        reports.push(renderer.render(&[more]));
    }
    reports.join("\n\n")
}

/// The command line as a text, in pieces: `--ttl=5m` is two of them.
pub struct CommandLine {
    pub source: Rc<Source>,
    /// As they go to the parser, the program first; those that it is spared are none.
    arguments: Vec<Option<OsString>>,
    pieces: Vec<Piece>,
    /// Flags whose value is the next piece.
    with_value: Vec<String>,
}

struct Piece {
    text: String,
    span: Range<usize>,
    /// Of which argument it is all, or a part.
    argument: usize,
    /// Behind `--`.
    is_escaped: bool,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    AsGiven,
    Replaced,
    Gone,
}

/// How to go on where a piece is wrong.
pub enum Repair {
    Instead(usize, String),
    Without(Vec<usize>),
}

impl Repair {
    pub fn instead((piece, right): (usize, String)) -> Self {
        Repair::Instead(piece, right)
    }
}

impl CommandLine {
    pub fn new(given: impl IntoIterator<Item = OsString>, with_value: Vec<String>) -> Self {
        let arguments: Vec<OsString> = given.into_iter().collect();
        let mut text = String::new();
        let mut pieces = Vec::new();
        let mut is_escaped = false;
        for (argument, given) in arguments.iter().enumerate() {
            let given = given.to_string_lossy();
            let parts = match given.split_once('=') {
                _ if argument == 0 => vec!["cached-lambda"],
                Some((flag, value)) if flag.starts_with("--") && !is_escaped => vec![flag, value],
                _ => vec![given.as_ref()],
            };
            for (index, part) in parts.into_iter().enumerate() {
                let separator = match (argument, index) {
                    (0, _) => "",
                    (_, 0) => " ",
                    _ => "=",
                };
                text.push_str(separator);
                let start = text.len();
                // As a shell takes it, so that it can be copied.
                text.push_str(&shell_quoted(part));
                pieces.push(Piece {
                    text: part.into(),
                    span: start..text.len(),
                    argument,
                    is_escaped,
                    state: State::AsGiven,
                });
            }
            is_escaped |= given == "--";
        }
        CommandLine {
            source: Rc::new(Source { name: None, text }),
            arguments: arguments.into_iter().map(Some).collect(),
            pieces,
            with_value,
        }
    }

    /// For the parser.
    pub fn arguments(&self) -> impl Iterator<Item = &OsString> {
        self.arguments.iter().flatten()
    }

    /// The first argument of that text that was given so: a flag, or one too many.
    pub fn flag(&self, name: &str) -> Option<usize> {
        self.pieces.iter().position(|piece| {
            piece.text == name && piece.state == State::AsGiven && !piece.is_escaped
        })
    }

    /// The last flag of that name, given so or stood in for.
    pub fn last_flag(&self, name: &str) -> Option<usize> {
        self.pieces.iter().rposition(|piece| {
            piece.text == name && piece.state != State::Gone && !piece.is_escaped
        })
    }

    /// The value of a flag.
    pub fn value(&self, flag: &str) -> Option<usize> {
        let flag = self.last_flag(flag)?;
        Some(flag + 1).filter(|value| *value < self.pieces.len())
    }

    /// Short flags in one argument, with a flag such as `-5` among them.
    pub fn cluster(&self, flag: &str) -> Option<usize> {
        let letter = flag.strip_prefix('-')?;
        self.pieces.iter().position(|piece| {
            let letters = piece.text.strip_prefix('-');
            letters.is_some_and(|letters| !letters.starts_with('-') && letters.contains(letter))
                && piece.state == State::AsGiven
        })
    }

    /// Whether what follows a flag is no value that it could have.
    pub fn stands_alone(&self, piece: usize) -> bool {
        let next = self.pieces.get(piece + 1);
        next.is_none_or(|next| {
            next.text.starts_with('-') || next.argument == self.pieces[piece].argument
        })
    }

    /// What is neither a flag nor a flag's value, by its number; the command is number 0.
    pub fn positional(&self, number: usize) -> Option<usize> {
        let mut found = Vec::new();
        let mut is_escaped = false;
        let mut index = 1;
        while let Some(piece) = self.pieces.get(index) {
            let next = self.pieces.get(index + 1);
            if piece.state == State::Gone {
                index += 1;
                continue;
            }
            if is_escaped || !piece.text.starts_with('-') || piece.text == "-" {
                found.push(index);
            } else if piece.text == "--" {
                is_escaped = true;
            } else if next.is_some_and(|next| next.argument == piece.argument)
                || self.with_value.contains(&piece.text)
            {
                index += 1;
            }
            index += 1;
        }
        found.get(number).copied()
    }

    /// The first piece that is no text.
    pub fn not_text(&self) -> Option<usize> {
        let is_text = |piece: &Piece| {
            let argument = self.arguments[piece.argument].as_ref();
            argument.is_none_or(|argument| argument.to_str().is_some())
        };
        self.pieces.iter().position(|piece| !is_text(piece))
    }

    /// What a piece is taken for.
    pub fn text(&self, piece: usize) -> &str {
        &self.pieces[piece].text
    }

    /// Where a piece stands; behind the last one if there is none.
    pub fn span(&self, piece: Option<usize>) -> Range<usize> {
        let end = self.source.text.len();
        piece.map_or(end..end, |piece| self.pieces[piece].span.clone())
    }

    /// Makes the line one whose rest can be looked at; each piece once. What is shown stays as it was
    /// given. False where nothing could be done.
    pub fn repair(&mut self, repair: Option<Repair>) -> bool {
        let (pieces, right) = match repair {
            Some(Repair::Instead(piece, right)) => (vec![piece], Some(right)),
            Some(Repair::Without(pieces)) => (pieces, None),
            None => return false,
        };
        for &index in &pieces {
            let piece = &mut self.pieces[index];
            if piece.state != State::AsGiven && right.is_some() {
                return false;
            }
            match &right {
                Some(right) => (piece.text, piece.state) = (right.clone(), State::Replaced),
                None => piece.state = State::Gone,
            }
            let argument = piece.argument;
            let of_it = self
                .pieces
                .iter()
                .filter(|piece| piece.argument == argument);
            let mut parts = of_it
                .enumerate()
                .filter(|(_, piece)| piece.state != State::Gone);
            // A value goes with its flag.
            self.arguments[argument] =
                parts
                    .next()
                    .filter(|(first, _)| *first == 0)
                    .map(|(_, flag)| {
                        let rest: String =
                            parts.map(|(_, value)| format!("={}", value.text)).collect();
                        format!("{}{rest}", flag.text).into()
                    });
        }
        true
    }
}

/// As a POSIX shell takes it.
pub fn shell_quoted(text: &str) -> String {
    // It fails at a null byte alone, which no argument can hold.
    shlex::try_quote(text).map_or_else(|_| text.into(), Into::into)
}
