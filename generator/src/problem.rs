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
    reports.join("\n\n")
}

/// The command line as a text, in pieces: `--ttl=5m` is two of them.
pub struct CommandLine {
    pub source: Rc<Source>,
    /// As they go to the parser, the program first.
    arguments: Vec<OsString>,
    pieces: Vec<Piece>,
    /// Flags whose value is the next piece.
    with_value: Vec<String>,
}

struct Piece {
    text: String,
    span: Range<usize>,
    /// Of which argument it is all, or a part.
    argument: usize,
    replaced: bool,
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
            is_escaped |= given == "--";
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
                    replaced: false,
                });
            }
        }
        CommandLine {
            source: Rc::new(Source { name: None, text }),
            arguments,
            pieces,
            with_value,
        }
    }

    /// For the parser.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// The first flag of that name that was given so.
    pub fn flag(&self, name: &str) -> Option<usize> {
        self.pieces
            .iter()
            .position(|piece| piece.text == name && !piece.replaced)
    }

    /// The value of a flag.
    pub fn value(&self, flag: &str) -> Option<usize> {
        let flag = self.pieces.iter().rposition(|piece| piece.text == flag)?;
        Some(flag + 1).filter(|value| *value < self.pieces.len())
    }

    /// What is neither a flag nor a flag's value, by its number; the command is number 0.
    pub fn positional(&self, number: usize) -> Option<usize> {
        let mut found = Vec::new();
        let mut is_escaped = false;
        let mut index = 1;
        while let Some(piece) = self.pieces.get(index) {
            let next = self.pieces.get(index + 1);
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
        let is_text = |piece: &Piece| self.arguments[piece.argument].to_str().is_some();
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

    /// Takes a piece for another, so that the rest can be looked at, too; each of them once. What is
    /// shown stays as it was given.
    pub fn replace(&mut self, piece: usize, right: &str) -> Option<()> {
        let replaced = self.pieces.get_mut(piece).filter(|piece| !piece.replaced)?;
        replaced.text = right.into();
        replaced.replaced = true;
        let argument = replaced.argument;
        let of_it = self
            .pieces
            .iter()
            .filter(|piece| piece.argument == argument);
        let texts: Vec<_> = of_it.map(|piece| piece.text.as_str()).collect();
        self.arguments[argument] = texts.join("=").into();
        Some(())
    }
}

/// As a POSIX shell takes it.
pub fn shell_quoted(text: &str) -> String {
    // It fails at a null byte alone, which no argument can hold.
    shlex::try_quote(text).map_or_else(|_| text.into(), Into::into)
}
