//! The environment's variables, read and checked once, and the division of the memory.
//!
//! | variable | values | default |
//! |---|---|---|
//! | `CACHE_ENABLED` | `true`, `false`: every read goes to the source | `true` |
//! | `CACHE_TTL_POLICY` | `fixed`, `per-item`, `immutable` | `fixed` |
//! | `CACHE_TTL_SECONDS` | 0..86400; 0 bypasses | 60 |
//! | `CACHE_ABSENT_TTL_SECONDS` | 0..3600 | 5 |
//! | `CACHE_STALE_IF_ERROR_SECONDS` | 0..86400 | 0 |
//! | `CACHE_SOFT_TIMEOUT_MS` | 0..60000; 0 is none | 0 |
//! | `CACHE_REFRESH_AHEAD_PERCENT` | 0..50, the last part of the TTL; 0 is never | 0 |
//! | `CACHE_REFRESH_LIMIT_MS` | 0..10000, behind each response | 500 |
//! | `CACHE_JITTER_PERCENT` | 0..50 | 10 |
//! | `CACHE_MEMORY_PERCENT` | 1..80, of the function's memory less 48 MB | 25 |
//! | `METRICS_NAMESPACE` | 1..255 characters that CloudWatch allows | the function's name |
//! | `METRICS_INTERVAL_SECONDS` | 0..3600; 0 is off | 60 |
//!
//! `CACHE_<KIND>_TTL_POLICY`, `_TTL_SECONDS`, `_ABSENT_TTL_SECONDS`, `_STALE_IF_ERROR_SECONDS`,
//! `_SOFT_TIMEOUT_MS` and `_REFRESH_AHEAD_PERCENT` are for one kind. **For each value the first that says something counts: the kind's variable, its
//! declaration, the variable for all, the default.** A TTL that a kind states bounds it: the policy
//! `immutable` of all others does not reach it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::TtlPolicy;
use crate::clock::{Clock, SystemClock};
use crate::ttl::Rules;

/// What the function itself takes of its memory: the process with its connections and its
/// requests under way. Measured at 20 MB without TLS; the rest is room for large batches.
const RUNTIME_MB: u64 = 48;

#[cfg(feature = "shared")]
const NAMES: &str = "1 to 255 of A-Z a-z 0-9 _ -";

/// What a kind has of its own: the ends of its variables' names.
const OF_A_KIND: [&str; 6] = [
    "ABSENT_TTL_SECONDS",
    "REFRESH_AHEAD_PERCENT",
    "SOFT_TIMEOUT_MS",
    "STALE_IF_ERROR_SECONDS",
    "TTL_POLICY",
    "TTL_SECONDS",
];

/// What only all kinds together have: no misspelt variable of a kind with the name that it begins with.
const FOR_ALL: [&str; 3] = ["JITTER_PERCENT", "MEMORY_PERCENT", "REFRESH_LIMIT_MS"];

/// The variables of a process, and what is wrong with them. It is collected until the caches are
/// made, so that whoever starts the function is told everything at once.
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    clock: Arc<dyn Clock>,
    wrong: Vec<String>,
}

/// Everything that is wrong with the configuration, on one line.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid configuration: {}", .0.join("; "))]
pub struct EnvironmentError(Vec<String>);

/// The same line: it is what a `main` that returns it prints.
impl fmt::Debug for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How long a kind's values live, and how they are read again, as far as somebody said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    pub policy: Option<Policy>,
    pub ttl: Option<u64>,
    pub absent_ttl: Option<u64>,
    pub stale_if_error: Option<u64>,
    pub soft_timeout_ms: Option<u64>,
    pub ahead_percent: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Fixed,
    PerItem,
    Immutable,
}

/// What all kinds share, checked.
pub(crate) struct Settings {
    pub enabled: bool,
    pub for_all: Stated,
    /// In the order of the kinds.
    pub of_kinds: Vec<Stated>,
    pub jitter_percent: u8,
    pub refresh_limit: Duration,
    /// For all caches together.
    pub cache_bytes: u64,
    pub metrics_namespace: String,
    pub metrics_interval: Duration,
    pub function_name: String,
    pub function_version: String,
}

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        // A name that is no text is none of ours.
        let text = std::env::vars_os();
        Self::of(text.filter_map(|(name, value)| Some((name.into_string().ok()?, value))))
    }

    /// Any others: tests need not change the process's.
    pub fn of<N: Into<String>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        Environment {
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            clock: Arc::new(SystemClock::default()),
            wrong: Vec::new(),
        }
    }

    /// With a clock that tests can move, for all that is made from it.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// A variable of the function's own. `None` where it is not set, or where `parse` refuses it:
    /// then making the caches fails, and says what is `allowed`.
    pub fn value<T>(
        &mut self,
        name: &str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.variables.get(name)?;
        let parsed = value.to_str().and_then(parse);
        if parsed.is_none() {
            // An address can have a password in front of its host, and this goes into the log.
            let value = match format!("{value:?}") {
                value if value.contains('@') => "wrong, and not shown, since it has an @".into(),
                value => value,
            };
            self.wrong
                .push(format!("{name} is {value}, allowed: {allowed}"));
        }
        parsed
    }

    /// The same of a variable that has to be set. The value is a default where it is wrong: making
    /// the caches fails then.
    pub fn required<T: Default>(
        &mut self,
        name: &str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        if !self.variables.contains_key(name) {
            self.wrong
                .push(format!("{name} is not set, allowed: {allowed}"));
        }
        self.value(name, allowed, parse).unwrap_or_default()
    }

    /// The name of a DynamoDB table, or its ARN, in a variable that has to be set.
    pub fn table_name(&mut self, variable: &str) -> String {
        let allowed = "a table name, 3 to 255 of A-Z a-z 0-9 . _ -, or a table's ARN";
        self.required(variable, allowed, |name| {
            let parts: Vec<_> = name.splitn(6, ':').collect();
            match parts[..] {
                ["arn", _, "dynamodb", _, _, table] => {
                    text(table.strip_prefix("table/")?, 3, b"._-").map(|_| name.into())
                }
                _ => text(name, 3, b"._-"),
            }
        })
    }

    /// One that AWS gives things.
    #[cfg(feature = "shared")]
    pub(crate) fn name(&mut self, variable: &str) -> Option<String> {
        self.value(variable, NAMES, |name| text(name, 1, b"_-"))
    }

    #[cfg(feature = "shared")]
    pub(crate) fn required_name(&mut self, variable: &str) -> String {
        self.required(variable, NAMES, |name| text(name, 1, b"_-"))
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Says that something of the declaration is wrong.
    pub(crate) fn reject(&mut self, problem: String) {
        self.wrong.push(problem);
    }

    pub(crate) fn check(&mut self) -> Result<(), EnvironmentError> {
        match std::mem::take(&mut self.wrong) {
            wrong if wrong.is_empty() => Ok(()),
            wrong => Err(EnvironmentError(wrong)),
        }
    }

    /// Reads all variables that caches of these kinds have.
    pub(crate) fn settings(&mut self, kinds: &[&str]) -> Settings {
        let names: Vec<_> = kinds.iter().map(|kind| kind.to_ascii_uppercase()).collect();
        let enabled = self.switch("CACHE_ENABLED");
        let for_all = self.stated("CACHE");
        let jitter_percent = self.number("CACHE_JITTER_PERCENT", 0, 50).unwrap_or(10);
        let refresh_limit = self.number("CACHE_REFRESH_LIMIT_MS", 0, 10_000);
        let memory_percent = self.number("CACHE_MEMORY_PERCENT", 1, 80).unwrap_or(25);
        let kinds = names
            .iter()
            .map(|name| self.stated(&format!("CACHE_{name}")));
        let of_kinds = kinds.collect();
        self.reject_variables_of_no_kind(&names);
        let function_name = self.of_lambda("AWS_LAMBDA_FUNCTION_NAME");
        let function_version = self.of_lambda("AWS_LAMBDA_FUNCTION_VERSION");
        let metrics_namespace = self.value(
            "METRICS_NAMESPACE",
            "1 to 255 of A-Z a-z 0-9 . - _ / # : and spaces",
            |value| text(value, 1, b".-_/#: "),
        );
        let interval = self.number("METRICS_INTERVAL_SECONDS", 0, 3600);
        // Set by Lambda; elsewhere the smallest function is assumed.
        let memory_mb = self.number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 128, 10_240);
        let memory_mb = memory_mb.unwrap_or(128);
        Settings {
            enabled: enabled.unwrap_or(true),
            for_all,
            of_kinds,
            jitter_percent: jitter_percent as u8,
            refresh_limit: Duration::from_millis(refresh_limit.unwrap_or(500)),
            cache_bytes: (memory_mb - RUNTIME_MB) * 1024 * 1024 * memory_percent / 100,
            metrics_namespace: metrics_namespace.unwrap_or_else(|| function_name.clone()),
            metrics_interval: Duration::from_secs(interval.unwrap_or(60)),
            function_name,
            function_version,
        }
    }

    pub(crate) fn switch(&mut self, name: &str) -> Option<bool> {
        self.value(name, "true, false", |value| value.parse().ok())
    }

    /// What Lambda says of the function.
    pub(crate) fn of_lambda(&self, name: &str) -> String {
        let value = self.variables.get(name).and_then(|value| value.to_str());
        value.unwrap_or("local").to_string()
    }

    /// The variables of one kind, or of all.
    fn stated(&mut self, prefix: &str) -> Stated {
        let policies = "fixed, per-item, immutable";
        Stated {
            policy: self.value(
                &format!("{prefix}_TTL_POLICY"),
                policies,
                |value| match value {
                    "fixed" => Some(Policy::Fixed),
                    "per-item" => Some(Policy::PerItem),
                    "immutable" => Some(Policy::Immutable),
                    _ => None,
                },
            ),
            ttl: self.number(&format!("{prefix}_TTL_SECONDS"), 0, 86_400),
            absent_ttl: self.number(&format!("{prefix}_ABSENT_TTL_SECONDS"), 0, 3600),
            stale_if_error: self.number(&format!("{prefix}_STALE_IF_ERROR_SECONDS"), 0, 86_400),
            soft_timeout_ms: self.number(&format!("{prefix}_SOFT_TIMEOUT_MS"), 0, 60_000),
            ahead_percent: self.number(&format!("{prefix}_REFRESH_AHEAD_PERCENT"), 0, 50),
        }
    }

    pub(crate) fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let allowed = format!("a whole number from {least} to {most}");
        self.value(name, &allowed, |value| {
            // `parse` would take a plus sign.
            let is_plain = value.bytes().all(|byte| byte.is_ascii_digit());
            let number = value.parse().ok().filter(|_| is_plain);
            number.filter(|number| (least..=most).contains(number))
        })
    }

    /// A misspelt variable would be one that is not set, and nobody would notice.
    fn reject_variables_of_no_kind(&mut self, kinds: &[String]) {
        let mut wrong = Vec::new();
        for name in self.variables.keys() {
            let Some(rest) = name.strip_prefix("CACHE_") else {
                continue;
            };
            let of_kind = OF_A_KIND.iter().find_map(|end| {
                let kind = rest.strip_suffix(end)?.strip_suffix('_')?;
                Some((kind, end))
            });
            let known = kinds.iter().find(|kind| {
                let end = rest.strip_prefix(kind.as_str());
                end.is_some_and(|end| end.starts_with('_'))
            });
            match (of_kind, known) {
                _ if OF_A_KIND.contains(&rest) || FOR_ALL.contains(&rest) => {}
                (Some((kind, _)), _) if kinds.iter().any(|known| known == kind) => {}
                (Some((kind, end)), _) => {
                    let nearest = kinds.iter().min_by_key(|known| distance(known, kind));
                    let meant = nearest.map(|kind| format!("CACHE_{kind}_{end}"));
                    wrong.push(format!(
                        "{name} names no kind, did you mean {}? The kinds are {}",
                        meant.unwrap_or_default(),
                        kinds.join(", ").to_ascii_lowercase(),
                    ));
                }
                (None, Some(kind)) => wrong.push(format!(
                    "{name} is no variable of a kind, allowed: CACHE_{kind}_ and one of {}",
                    OF_A_KIND.join(", "),
                )),
                // Somebody else's.
                (None, None) => {}
            }
        }
        self.wrong.extend(wrong);
    }
}

impl Stated {
    /// What this says, and else what `other` says.
    pub fn or(self, other: Stated) -> Stated {
        Stated {
            policy: self.policy.or(other.policy),
            ttl: self.ttl.or(other.ttl),
            absent_ttl: self.absent_ttl.or(other.absent_ttl),
            stale_if_error: self.stale_if_error.or(other.stale_if_error),
            soft_timeout_ms: self.soft_timeout_ms.or(other.soft_timeout_ms),
            ahead_percent: self.ahead_percent.or(other.ahead_percent),
        }
    }

    /// What holds for a kind that states `self`, and else what all do.
    pub fn within(self, for_all: Stated, jitter_percent: u8) -> Rules {
        let states_a_ttl = self.ttl.is_some() && self.policy.is_none();
        let Stated {
            policy,
            ttl,
            absent_ttl,
            stale_if_error,
            soft_timeout_ms,
            ahead_percent,
        } = self.or(for_all);
        let ttl = Duration::from_secs(ttl.unwrap_or(60));
        let policy = match policy.unwrap_or(Policy::Fixed) {
            _ if ttl.is_zero() => TtlPolicy::Fixed(ttl),
            Policy::PerItem => TtlPolicy::PerItem(ttl),
            Policy::Immutable if !states_a_ttl => TtlPolicy::Immutable,
            Policy::Immutable | Policy::Fixed => TtlPolicy::Fixed(ttl),
        };
        let soft_timeout_ms = soft_timeout_ms.filter(|ms| *ms > 0);
        Rules {
            policy,
            absent_ttl: Duration::from_secs(absent_ttl.unwrap_or(5)),
            stale_if_error: Duration::from_secs(stale_if_error.unwrap_or(0)),
            jitter_percent,
            near_ttl: None,
            soft_timeout: soft_timeout_ms.map(Duration::from_millis),
            ahead_percent: ahead_percent.unwrap_or(0) as u8,
        }
    }
}

/// At most 255 letters, digits and some other characters.
fn text(value: &str, least: usize, others: &[u8]) -> Option<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    let is_good = (least..=255).contains(&value.len()) && value.bytes().all(good);
    is_good.then(|| value.into())
}

/// How many letters have to be changed, added or taken away.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (n, left) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = n + 1;
        for (m, right) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(left != right);
            diagonal = row[m + 1];
            row[m + 1] = changed.min(row[m] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
