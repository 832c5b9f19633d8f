//! From what was given, as flags or in a file, to answers that are allowed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use toml::Spanned;

use crate::parameters::{self, NAME, Parameter};
use crate::problem::{Problem, Source};

/// A value as it was given, and where.
pub struct Given {
    pub parameter: &'static Parameter,
    pub value: String,
    /// The flag or the key.
    pub place: String,
    pub source: Rc<Source>,
    pub span: Range<usize>,
}

/// The answers so far, each of them allowed, as they are rendered.
#[derive(Debug, Default, Clone)]
pub struct Known(BTreeMap<&'static str, String>);

impl Known {
    /// Takes what is allowed and tells what is not.
    pub fn check(given: Vec<Given>) -> (Self, Vec<Problem>) {
        let mut known = Known::default();
        let mut problems = Vec::new();
        for given in given {
            match given.parameter.check(&given.value) {
                Ok(value) => known.set(given.parameter, value),
                Err(refused) => problems.push(Problem {
                    written: given.source.name.as_ref().and_then(|_| {
                        let instead = given.parameter.check(refused.instead.as_deref()?).ok()?;
                        Some(in_toml(given.parameter, &instead))
                    }),
                    message: format!("`{}` is not allowed for `{}`", given.value, given.place),
                    place: given.place,
                    value: Some(given.value),
                    why: refused.why,
                    instead: refused.instead,
                    source: given.source,
                    span: given.span,
                }),
            }
        }
        (known, problems)
    }

    /// A value that [`Parameter::check`] gave.
    pub fn set(&mut self, parameter: &Parameter, value: String) {
        self.0.insert(parameter.key, value);
    }

    pub fn get(&self, parameter: &Parameter) -> Option<&str> {
        self.0.get(parameter.key).map(String::as_str)
    }

    /// The defaults for the rest. What has none, the name, must be known.
    pub fn or_defaults(mut self) -> Answers {
        for parameter in parameters::ALL {
            if self.get(parameter).is_none() {
                self.set(parameter, parameter.default.unwrap_or_default().into());
            }
        }
        Answers(self)
    }
}

/// Everything that decides about what is rendered.
#[derive(Debug, Clone)]
pub struct Answers(Known);

impl Answers {
    pub fn get(&self, parameter: &Parameter) -> &str {
        // `or_defaults` leaves none out.
        self.0.get(parameter).unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.get(&NAME)
    }

    /// By the names of the placeholders in cargo-generate.toml, and of the keys that scripts read.
    pub fn by_key(&self) -> serde_json::Map<String, serde_json::Value> {
        parameters::ALL
            .into_iter()
            .map(|parameter| {
                let text = self.get(parameter);
                let number = parameter
                    .is_number()
                    .then(|| text.parse::<u32>().ok())
                    .flatten();
                let value = number.map_or_else(|| text.into(), Into::into);
                (parameter.key.into(), value)
            })
            .collect()
    }
}

/// A value as cached-lambda.toml records it.
fn in_toml(parameter: &Parameter, value: &str) -> String {
    // No value that is allowed needs an escape.
    match parameter.is_number() {
        true => value.into(),
        false => format!("\"{value}\""),
    }
}

/// The key that records the template's version.
const VERSION: &str = "template-version";

/// In bytes: far more than every answer takes.
const LARGEST_FILE: u64 = 64_000;

/// What a file of answers, such as a cached-lambda.toml, says.
pub struct AnswersFile {
    pub given: Vec<Given>,
    pub problems: Vec<Problem>,
    /// What it was made with, if it says so.
    pub template_version: Option<String>,
}

impl AnswersFile {
    /// # Errors
    /// Those of the file system. What is wrong in the file is in `problems`.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        let file = fs::File::open(path)?;
        file.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST_FILE {
            let why = format!("it is larger than {} kB", LARGEST_FILE / 1000);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(Self::parse(path.display().to_string(), text))
    }

    fn parse(name: String, text: String) -> Self {
        let source = Rc::new(Source {
            name: Some(name.clone()),
            text,
        });
        let mut file = AnswersFile {
            given: Vec::new(),
            problems: Vec::new(),
            template_version: None,
        };
        type Table = BTreeMap<Spanned<String>, Spanned<toml::Value>>;
        let table: Table = match toml::from_str(&source.text) {
            Ok(table) => table,
            Err(error) => {
                let end = source.text.len();
                file.problems.push(Problem {
                    message: format!("`{name}` is not valid TOML"),
                    place: name,
                    value: None,
                    why: error.message().into(),
                    instead: None,
                    written: None,
                    span: error.span().unwrap_or(end..end),
                    source,
                });
                return file;
            }
        };
        for (key, value) in table {
            let place = key.get_ref().clone();
            let span = value.span();
            let text = match value.into_inner() {
                toml::Value::String(text) => text,
                // As it is written there.
                _ => source.text.get(span.clone()).unwrap_or_default().into(),
            };
            if place == VERSION {
                file.template_version = Some(text);
                continue;
            }
            let mut meant = parameters::by_key(&place);
            if meant.is_none() {
                let keys = parameters::ALL.iter().map(|parameter| parameter.key);
                let keys: Vec<_> = keys.chain([VERSION]).collect();
                let instead = parameters::closest(&place, keys.iter().copied());
                // So that its value is checked, too.
                meant = instead.and_then(parameters::by_key);
                file.problems.push(Problem {
                    message: format!("there is no parameter `{place}`"),
                    instead: instead.map(Into::into),
                    why: format!("the keys are {}", parameters::listed(keys)),
                    place: place.clone(),
                    value: Some(text.clone()),
                    written: None,
                    source: Rc::clone(&source),
                    span: key.span(),
                });
            }
            if let Some(parameter) = meant {
                file.given.push(Given {
                    parameter,
                    value: text,
                    place,
                    source: Rc::clone(&source),
                    span,
                });
            }
        }
        // As they stand in the file, not in the order of their keys.
        file.problems.sort_by_key(|problem| problem.span.start);
        file
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::parameters::{MEMORY, TTL};

    fn file(text: &str) -> (Known, Vec<String>) {
        let file = AnswersFile::parse("answers.toml".into(), text.into());
        let (known, problems) = Known::check(file.given);
        let problems = file.problems.into_iter().chain(problems);
        (known, problems.map(|problem| problem.message).collect())
    }

    #[test]
    fn a_file_of_answers_says_what_flags_say() {
        let (known, problems) = file("memory_mb = 512\nttl_seconds = \"5m\"\nproject-name = \"X\"");
        assert_eq!(problems, [""; 0]);
        let values = [&NAME, &MEMORY, &TTL].map(|parameter| known.get(parameter));
        assert_eq!(values, [Some("x"), Some("512"), Some("300")]);
    }

    #[test]
    fn what_a_file_of_answers_should_not_say_is_named() {
        for (text, problem) in [
            ("memory_mb = 64", "`64` is not allowed for `memory_mb`"),
            (
                "memory_mb = 512.0",
                "`512.0` is not allowed for `memory_mb`",
            ),
            (
                "ttl_seconds = true",
                "`true` is not allowed for `ttl_seconds`",
            ),
            (
                "arch = [\"arm64\"]",
                "`[\"arm64\"]` is not allowed for `arch`",
            ),
            ("ram = 1", "there is no parameter `ram`"),
            ("[arch]", "`[arch]` is not allowed for `arch`"),
            ("arch =", "`answers.toml` is not valid TOML"),
            (
                "arch = \"arm64\"\narch = \"arm64\"",
                "`answers.toml` is not valid TOML",
            ),
        ] {
            assert_eq!(file(text).1, [problem], "{text}");
        }
    }
}
