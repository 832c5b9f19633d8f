//! What is asked: the parameters, their values, and the help for each. cargo-generate.toml says
//! the same to cargo-generate; a test holds the two together.

use std::fmt;

use heck::{ToKebabCase, ToSnakeCase};

/// One question, with what is allowed as its answer.
#[derive(Debug)]
pub struct Parameter {
    /// In cargo-generate.toml, in cached-lambda.toml and in JSON.
    pub key: &'static str,
    /// On the command line, without its dashes. The name has no flag: it is an argument.
    pub flag: &'static str,
    /// Stands for the value in the help.
    pub value_name: &'static str,
    /// One line of the help.
    pub help: &'static str,
    /// As it is asked, by cargo-generate too.
    pub question: &'static str,
    /// What has none is required.
    pub default: Option<&'static str>,
    pub kind: Kind,
    /// What it does and how to choose, for `explain`.
    pub explanation: &'static str,
    /// Values that show, beside the default, what it changes.
    pub examples: &'static [&'static str],
}

/// The shape of a value.
#[derive(Debug)]
pub enum Kind {
    Name,
    Choice(&'static [Choice]),
    Megabytes,
    Duration,
}

/// One of several values.
#[derive(Debug)]
pub struct Choice {
    pub value: &'static str,
    pub meaning: &'static str,
    /// What others call it.
    also_called: &'static [&'static str],
}

pub const LEAST_MEMORY_MB: u32 = 128;
pub const MOST_MEMORY_MB: u32 = 10_240;
pub const MOST_TTL_SECONDS: u32 = 86_400;
pub const LONGEST_NAME: usize = 40;

pub static NAME: Parameter = Parameter {
    key: "project-name",
    flag: "name",
    value_name: "NAME",
    help: "Names the folder, the stack and its resources",
    question: "Name of the project",
    default: None,
    kind: Kind::Name,
    explanation: "\
The folder that is made, the CloudFormation stack or the Terraform resources, and with them the
function, its role, log group, table and alarms. The crates keep their names, `handler` and
`cache-core`, so code never changes with it.

It starts with an ASCII letter and goes on with letters, digits, `-` and `_`; at most 40
characters, so that AWS takes the names made of it. `MyQuotes` becomes `my-quotes`; `my_quotes`
stays, and is `my-quotes` where AWS takes no `_`.",
    examples: &["my-quotes"],
};

pub static ARCH: Parameter = Parameter {
    key: "arch",
    flag: "arch",
    value_name: "ARCH",
    help: "Processor: arm64 or x86_64",
    question: "Processor architecture of the function",
    default: Some("arm64"),
    kind: Kind::Choice(&[
        Choice {
            value: "arm64",
            meaning: "Graviton: a lower price per millisecond",
            also_called: &["aarch64", "arm", "arm64v8", "graviton"],
        },
        Choice {
            value: "x86_64",
            meaning: "Intel and AMD",
            also_called: &["x86-64", "x86", "x64", "amd64", "intel", "amd"],
        },
    ]),
    explanation: "\
The processor that Lambda runs the function on, and so what it is built for. Nothing here needs
one or the other, and AWS charges less for arm64. Choose x86_64 where a library of yours, or an
extension, exists for it alone.",
    examples: &[],
};

pub static MEMORY: Parameter = Parameter {
    key: "memory_mb",
    flag: "memory",
    value_name: "MB",
    help: "Memory in MB, 128 to 10240",
    question: "Memory of the function in MB (128 to 10240)",
    default: Some("256"),
    kind: Kind::Megabytes,
    explanation: "\
What Lambda gives the function, and charges for; processor time grows with it. The
caches share it: together they take a quarter of what the runtime leaves, (memory - 48 MB) / 4,
which is 20 MB of 128, 52 MB of 256 and 116 MB of 512. CACHE_MEMORY_PERCENT changes the share.

Start with 256. The dashboard shows evictions: where they go on, the items that are read do not
fit, and more memory, or a larger share of it, pays. It can be changed with each deployment.",
    examples: &["512"],
};

pub static TTL_POLICY: Parameter = Parameter {
    key: "ttl_policy",
    flag: "ttl-policy",
    value_name: "POLICY",
    help: "Lifetime: fixed, per-item or immutable",
    question: "How long cached items live: for the TTL, until their own expires_at, or for ever",
    default: Some("fixed"),
    kind: Kind::Choice(&[
        Choice {
            value: "fixed",
            meaning: "every item for the TTL",
            also_called: &["ttl", "static", "global"],
        },
        Choice {
            value: "per-item",
            meaning: "until the item's own expires_at, at most for the TTL",
            also_called: &["peritem", "item", "expires_at"],
        },
        Choice {
            value: "immutable",
            meaning: "as long as the environment: for data that never changes",
            also_called: &["forever", "never", "permanent"],
        },
    ]),
    explanation: "\
When a cached item is too old to be used. `fixed` suits data that changes now and then and may
be stale for the TTL. `per-item` is for items that know their own end: `expires_at`, in epoch
seconds, which is DynamoDB's TTL attribute; an item past it counts as absent. `immutable` is for
data that is never changed under its key, such as versions or hashes: without a TTL, a wrong value
stays until Lambda ends the environment, which takes hours.

It is for each kind of item that declares no policy of its own. It can be changed with each
deployment, also for one kind, and the kill switch turns every cache off.",
    examples: &[],
};

pub static TTL: Parameter = Parameter {
    key: "ttl_seconds",
    flag: "ttl",
    value_name: "TIME",
    help: "Time to live: 90, 30s, 5m; up to 24h",
    question: "Time to live in seconds (1 to 86400)",
    default: Some("60"),
    kind: Kind::Duration,
    explanation: "\
How old an answer may be, counted from before the item was read; up to a tenth less, so that
items that were read together are not read again together. It is what you promise your callers:
longer means fewer reads of DynamoDB and older answers. Each environment has a cache of its own, so
two callers may see answers of different ages.

A minute already spares nearly every read of an item that is read several times a second. With
`per-item` it is the most, and the whole where an item has no `expires_at`; with `immutable` it
does nothing. It is for each kind of item that declares none of its own, and can be changed with each
deployment, also for one kind.",
    examples: &["5m"],
};

pub static TRIGGER: Parameter = Parameter {
    key: "trigger",
    flag: "trigger",
    value_name: "TRIGGER",
    help: "Trigger: direct or function-url",
    question: "How the function is invoked",
    default: Some("direct"),
    kind: Kind::Choice(&[
        Choice {
            value: "direct",
            meaning: "the Invoke API: other functions, Step Functions, EventBridge",
            also_called: &["invoke", "lambda", "sdk"],
        },
        Choice {
            value: "function-url",
            meaning: "HTTPS, signed with IAM",
            also_called: &["url", "http", "https", "functionurl", "lambda-url"],
        },
    ]),
    explanation: "\
Who calls the function. `direct` takes the request as the event and answers errors as Lambda's
own. `function-url` takes `POST /` over HTTPS, answers errors with a status and a JSON body, and
lets in only callers that sign with IAM. Of the handler, one file differs.",
    examples: &[],
};

pub static IAC: Parameter = Parameter {
    key: "iac",
    flag: "iac",
    value_name: "TOOL",
    help: "What deploys it: sam or terraform",
    question: "What deploys it",
    default: Some("sam"),
    kind: Kind::Choice(&[
        Choice {
            value: "sam",
            meaning: "CloudFormation, with gradual deployments",
            also_called: &["cloudformation", "cfn", "serverless", "aws-sam"],
        },
        Choice {
            value: "terraform",
            meaning: "Terraform 1.11 or later, with tests of the plan",
            also_called: &["tf", "tofu", "opentofu", "hcl"],
        },
    ]),
    explanation: "\
Infrastructure as code: function, alias, role, logs, table, alarms and dashboard, the same from
both. Take what the team has already. SAM needs nothing but an account and can shift traffic to a
new version by degrees; Terraform needs a bucket for its state and checks its plan without an
account.",
    examples: &[],
};

pub static START: Parameter = Parameter {
    key: "start",
    flag: "start",
    value_name: "START",
    help: "Start: quote (the example) or minimal",
    question: "What it starts with",
    default: Some("quote"),
    kind: Kind::Choice(&[
        Choice {
            value: "quote",
            meaning: "the example: price quotes from three kinds of items",
            also_called: &["example", "demo", "sample", "full", "quotes"],
        },
        Choice {
            value: "minimal",
            meaning: "one kind of item, one key, one answer",
            also_called: &["empty", "blank", "bare", "none", "min"],
        },
    ]),
    explanation: "\
What the function answers before you change it. `quote` is an example to read and to try: prices
from three kinds of items, from the request to the errors. `minimal` is asked for one item and answers
with it, and so has nothing that you would take out first.

Choose `quote` to see how several kinds work together, and `minimal` to begin a service of your own.
Everything else is the same: the cache, the entry point, what deploys it, and the tests of what holds
for every function, such as outages and freezes.",
    examples: &[],
};

/// In the order in which they are asked.
pub static ALL: [&Parameter; 8] = [
    &NAME,
    &ARCH,
    &MEMORY,
    &TTL_POLICY,
    &TTL,
    &TRIGGER,
    &IAC,
    &START,
];

/// The parameter of that key.
pub fn by_key(key: &str) -> Option<&'static Parameter> {
    ALL.into_iter().find(|parameter| parameter.key == key)
}

/// A value that is not allowed: what is, and what may have been meant.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub why: String,
    pub instead: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        match &self.instead {
            Some(instead) => write!(f, "; did you mean {instead}?"),
            None => Ok(()),
        }
    }
}

impl Parameter {
    /// As it is written on the command line: `--ttl` or `<NAME>`.
    pub fn argument(&self) -> String {
        match self.kind {
            Kind::Name => format!("<{}>", self.value_name),
            _ => format!("--{}", self.flag),
        }
    }

    /// The choices, if it is one of several.
    pub fn choices(&self) -> &'static [Choice] {
        match self.kind {
            Kind::Choice(choices) => choices,
            _ => &[],
        }
    }

    /// The value as it is rendered: numbers in MB and seconds, the name in its case.
    ///
    /// # Errors
    /// [`Refused`] where it is not allowed. What it then offers instead is.
    pub fn check(&self, given: &str) -> Result<String, Refused> {
        match self.kind {
            Kind::Name => name(given),
            Kind::Choice(choices) => choice(choices, given),
            Kind::Megabytes => megabytes(given),
            Kind::Duration => seconds(given),
        }
    }

    /// Whether the value is a number where it is recorded.
    pub fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Megabytes | Kind::Duration)
    }
}

/// The closest of some words to the one that was given, if any is close.
pub fn closest<'a>(given: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    let likeness = |word: &str| match strsim::osa_distance(&given, word) {
        // One slip of the finger, which is much of a short word.
        0 | 1 => 1.0,
        _ => strsim::jaro(&given, word),
    };
    words
        .into_iter()
        .map(|word| (likeness(word), word))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

/// `a, b and c`.
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    joined(words, "and")
}

/// `a, b or c`.
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    joined(words, "or")
}

fn joined<'a>(words: impl IntoIterator<Item = &'a str>, last_word: &str) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.as_slice() {
        [first @ .., second, last] => {
            let first: String = first.iter().map(|word| format!("{word}, ")).collect();
            format!("{first}{second} {last_word} {last}")
        }
        [only] => (*only).into(),
        [] => String::new(),
    }
}

fn choice(choices: &[Choice], given: &str) -> Result<String, Refused> {
    if choices.iter().any(|choice| choice.value == given) {
        return Ok(given.into());
    }
    let values = choices.iter().map(|choice| choice.value);
    let lower = given.to_ascii_lowercase();
    let named = choices
        .iter()
        .find(|choice| choice.also_called.contains(&lower.as_str()))
        .map(|choice| choice.value);
    let instead = named.or_else(|| closest(given, values.clone()));
    Err(Refused {
        why: format!("use {}", one_of(values)),
        instead: instead.map(Into::into),
    })
}

fn megabytes(given: &str) -> Result<String, Refused> {
    let allowed = LEAST_MEMORY_MB..=MOST_MEMORY_MB;
    let number = whole_number(given);
    if let Some(number) = number.filter(|number| allowed.contains(number)) {
        return Ok(number.to_string());
    }
    // `512MB` and `1 GB` are clear enough to be answered with a number.
    let (digits, unit) = split_unit(given);
    let meant = match (number, unit.as_str()) {
        (Some(number), _) => Some(number.clamp(LEAST_MEMORY_MB, MOST_MEMORY_MB)),
        (_, "m" | "mb" | "mib") => whole_number(digits),
        (_, "g" | "gb" | "gib") => whole_number(digits).and_then(|number| number.checked_mul(1024)),
        _ => None,
    };
    Err(Refused {
        why: format!("use a whole number of MB from {LEAST_MEMORY_MB} to {MOST_MEMORY_MB}"),
        instead: meant
            .filter(|number| allowed.contains(number))
            .map(|number| number.to_string()),
    })
}

fn seconds(given: &str) -> Result<String, Refused> {
    let is_allowed = |seconds: u32| (1..=MOST_TTL_SECONDS).contains(&seconds);
    let allowed = "use 1 second to 24 hours, as in 90, 30s, 5m or 1h";
    match in_seconds(given) {
        Some(seconds) if is_allowed(seconds) => Ok(seconds.to_string()),
        Some(seconds) => Err(Refused {
            why: format!("that is {seconds} seconds; {allowed}"),
            instead: Some(if seconds == 0 { "1s" } else { "24h" }.into()),
        }),
        None => {
            // `5 min`, `5M` and `1 hour` are clear enough to be answered.
            let (digits, unit) = split_unit(given);
            let unit = match unit.as_str() {
                "s" | "sec" | "secs" | "second" | "seconds" => "s",
                "m" | "min" | "mins" | "minute" | "minutes" => "m",
                "h" | "hr" | "hrs" | "hour" | "hours" => "h",
                _ => "?",
            };
            let meant = format!("{digits}{unit}");
            Err(Refused {
                why: allowed.into(),
                instead: in_seconds(&meant).filter(|n| is_allowed(*n)).map(|_| meant),
            })
        }
    }
}

/// A time with or without a unit: `90`, `30s`, `5m`, `1h`.
fn in_seconds(given: &str) -> Option<u32> {
    let (number, each) = match given.strip_suffix(['s', 'm', 'h']) {
        Some(number) if given.ends_with('h') => (number, 3600),
        Some(number) if given.ends_with('m') => (number, 60),
        Some(number) => (number, 1),
        None => (given, 1),
    };
    whole_number(number)?.checked_mul(each)
}

/// Digits alone, without a leading zero: `parse` would take a plus sign, and zeros in front.
fn whole_number(value: &str) -> Option<u32> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    let plain = plain && (value == "0" || !value.starts_with('0'));
    if plain { value.parse().ok() } else { None }
}

/// What people write behind a number, in lower case.
fn split_unit(given: &str) -> (&str, String) {
    let digits = given.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = given[digits.len()..].trim().to_ascii_lowercase();
    (digits, unit)
}

fn name(given: &str) -> Result<String, Refused> {
    let Some(flaw) = flaw(given) else {
        return Ok(convert(given));
    };
    let allowed = "use ASCII letters, digits, `-` and `_`, a letter first";
    Err(Refused {
        why: format!("{flaw}; {allowed}, at most {LONGEST_NAME} characters"),
        instead: similar_name(given),
    })
}

fn flaw(name: &str) -> Option<String> {
    let names = [name, &convert(name)];
    if name.is_empty() {
        Some("it is empty".into())
    } else if name.contains(['/', '\\']) {
        Some("a name is no path: --path says where the folder is made".into())
    } else if !name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        Some("it does not start with a letter from A to Z".into())
    } else if let Some(letter) = name.chars().find(|letter| !is_in_names(*letter)) {
        Some(match letter {
            ' ' => "it contains a space".into(),
            letter => format!("it contains {letter:?}"),
        })
    } else if let Some(name) = names.iter().find(|name| name.len() > LONGEST_NAME) {
        Some(format!("`{name}` has {} characters", name.len()))
    } else {
        let device = names.iter().find(|name| is_windows_device(name));
        device.map(|name| format!("on Windows, `{name}` is the name of a device"))
    }
}

/// As cargo-generate converts names.
fn convert(name: &str) -> String {
    if name.to_snake_case() == name {
        name.into()
    } else {
        name.to_kebab_case()
    }
}

fn is_in_names(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

/// A name that is allowed, made of what is allowed in another; none for other alphabets.
fn similar_name(given: &str) -> Option<String> {
    if !given.is_ascii() {
        return None;
    }
    let last = given.rsplit(['/', '\\']).next()?;
    let words = last.split(|letter| !is_in_names(letter));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let name = words.join("-");
    let name = name.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic());
    let longer = format!("{name}-service");
    [name, &longer]
        .into_iter()
        .find(|name| !name.starts_with('-') && flaw(name).is_none())
        .map(Into::into)
}

fn is_windows_device(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let numbered = |device| {
        name.strip_prefix(device).is_some_and(|number| {
            number.len() == 1 && number.starts_with(|digit: char| digit.is_ascii_digit())
        })
    };
    matches!(name.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cargo_generate() -> toml::Table {
        include_str!("../../template/cargo-generate.toml")
            .parse()
            .unwrap()
    }

    #[test]
    fn cargo_generate_asks_the_same_questions_with_the_same_choices_and_defaults() {
        let config = cargo_generate();
        let placeholders = config["placeholders"].as_table().unwrap();
        assert_eq!(placeholders.len(), ALL.len() - 1, "all but the name");
        for parameter in ALL.into_iter().skip(1) {
            let placeholder = placeholders[parameter.key].as_table().unwrap();
            let text = |key: &str| placeholder.get(key).and_then(toml::Value::as_str);
            assert_eq!(text("prompt"), Some(parameter.question));
            assert_eq!(text("default"), parameter.default);
            let choices = placeholder.get("choices").and_then(toml::Value::as_array);
            let choices = choices
                .into_iter()
                .flatten()
                .filter_map(toml::Value::as_str);
            let ours = parameter.choices().iter().map(|choice| choice.value);
            assert_eq!(ours.collect::<Vec<_>>(), choices.collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_numbers_allowed_are_those_of_cargo_generate() {
        let config = cargo_generate();
        for parameter in [&MEMORY, &TTL] {
            let regex = config["placeholders"][parameter.key]["regex"].as_str();
            let regex = regex::Regex::new(regex.unwrap()).unwrap();
            for number in 0..110_000 {
                let text = number.to_string();
                let (ours, theirs) = (parameter.check(&text).is_ok(), regex.is_match(&text));
                assert_eq!(ours, theirs, "{} {text}", parameter.key);
            }
            for text in [
                "",
                "0128",
                "+256",
                "256.5",
                "0x100",
                " 256",
                "256 ",
                "1e3",
                "-256",
                "٣٠٠",
                "３００",
            ] {
                assert!(!regex.is_match(text), "{text}");
                assert!(parameter.check(text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn defaults_and_examples_and_what_is_offered_instead_are_allowed() {
        let wrong = [
            "",
            "0",
            "1",
            "64",
            "99999999999",
            "512MB",
            "1 GB",
            "1g",
            "90min",
            "2 HOURS",
            "25h",
            "1d",
            "aarch64",
            "AMD64",
            "Fixed",
            "per_item",
            "url",
            "tf",
            "terafrom",
            "a b",
            "../x",
            "1a",
            "con",
            "LPT1",
            "--",
            "é",
            "C:\\x",
            "a/",
            "x.y.z",
            &"Ab".repeat(20),
            &"a".repeat(41),
        ];
        for parameter in ALL {
            for value in parameter.default.iter().chain(parameter.examples) {
                assert!(parameter.check(value).is_ok(), "{} {value}", parameter.key);
            }
            for value in wrong {
                let Err(refused) = parameter.check(value) else {
                    continue;
                };
                let instead = refused.instead.as_deref();
                assert!(
                    instead.is_none_or(|instead| parameter.check(instead).is_ok()),
                    "{value}"
                );
            }
        }
    }

    #[test]
    fn what_was_meant_is_offered() {
        for (parameter, given, instead) in [
            (&ARCH, "aarch64", Some("arm64")),
            (&ARCH, "AMD64", Some("x86_64")),
            (&ARCH, "amr64", Some("arm64")),
            (&ARCH, "mips", None),
            (&MEMORY, "127", Some("128")),
            (&MEMORY, "20000", Some("10240")),
            (&MEMORY, "512MB", Some("512")),
            (&MEMORY, "1 GB", Some("1024")),
            (&MEMORY, "16g", None),
            (&MEMORY, "lots", None),
            (&TTL_POLICY, "Fixed", Some("fixed")),
            (&TTL_POLICY, "per_item", Some("per-item")),
            (&TTL, "0", Some("1s")),
            (&TTL, "25h", Some("24h")),
            (&TTL, "5 Min", Some("5m")),
            (&TTL, "1d", None),
            (&TRIGGER, "url", Some("function-url")),
            (&IAC, "terafrom", Some("terraform")),
            (&START, "Example", Some("quote")),
            (&START, "bare", Some("minimal")),
            (&START, "minmal", Some("minimal")),
            (&NAME, "my quotes", Some("my-quotes")),
            (&NAME, "../quotes", Some("quotes")),
            (&NAME, "1st", Some("st")),
            (&NAME, "aux", Some("aux-service")),
            (&NAME, "日本", None),
        ] {
            let refused = parameter.check(given).unwrap_err();
            assert_eq!(refused.instead.as_deref(), instead, "{given}");
        }
    }

    #[test]
    fn a_ttl_takes_units() {
        for (given, seconds) in [
            ("90", "90"),
            ("30s", "30"),
            ("5m", "300"),
            ("1h", "3600"),
            ("24h", "86400"),
        ] {
            assert_eq!(TTL.check(given).as_deref(), Ok(seconds), "{given}");
        }
        for given in [
            "0s",
            "1.5s",
            "s",
            "5 m",
            "1h30m",
            "99999999999h",
            "5M",
            "05m",
        ] {
            assert!(TTL.check(given).is_err(), "{given}");
        }
    }

    #[test]
    fn names_are_converted_as_cargo_generate_does() {
        for (given, used) in [
            ("my-svc", "my-svc"),
            ("my_svc", "my_svc"),
            ("MyLambda", "my-lambda"),
            ("lambda2s3", "lambda2s3"),
            ("HTTPServer", "http-server"),
            ("a", "a"),
            ("console", "console"),
        ] {
            assert_eq!(NAME.check(given).as_deref(), Ok(used));
        }
        assert!(NAME.check(&"a".repeat(40)).is_ok());
    }

    #[test]
    fn names_that_make_trouble_are_refused() {
        let long = "a".repeat(41);
        let grows = "Ab".repeat(20);
        for name in [
            "", "1bad", "a b", "../x", "a/b", "..", ".", "/x", "con", "CON", "Com1", "lpt9",
            "con-", "con_", "-a", "_a", "é", "аdmin", "a.b", "a\n", "a\0", "~", "$HOME", "a;b",
            &long, &grows,
        ] {
            assert!(NAME.check(name).is_err(), "{name:?}");
        }
    }
}
