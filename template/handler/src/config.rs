//! The environment's variables, read and checked once.

use std::ffi::OsString;
use std::time::Duration;

use cache_core::TtlPolicy;

/// What the function itself takes of its memory: the process with its connections and its
/// requests under way. Measured at 20 MB without TLS; the rest is room for large batches.
const RUNTIME_MB: u64 = 48;

/// The checked configuration.
#[derive(Debug, PartialEq)]
pub struct Config {
    /// `TABLE_NAME`
    pub table_name: String,
    /// `CACHE_ENABLED`, `CACHE_TTL_POLICY`, `CACHE_TTL_SECONDS`. A TTL of zero if switched off.
    pub ttl: TtlPolicy,
    /// `CACHE_ABSENT_TTL_SECONDS`
    pub absent_ttl: Duration,
    /// `CACHE_STALE_IF_ERROR_SECONDS`
    pub stale_if_error: Duration,
    /// `CACHE_JITTER_PERCENT`
    pub jitter_percent: u8,
    /// For all caches together: `CACHE_MEMORY_PERCENT` of what the runtime leaves of the
    /// function's memory.
    pub cache_bytes: u64,
    /// `METRICS_NAMESPACE`
    pub metrics_namespace: String,
    /// `METRICS_INTERVAL_SECONDS`. Zero is off.
    pub metrics_interval: Duration,
    /// `AWS_LAMBDA_FUNCTION_NAME`, set by Lambda.
    pub function_name: String,
}

/// Every variable that is wrong, on one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid configuration: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names every variable that is wrong, its value and what is allowed.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(|name| std::env::var_os(name))
    }

    /// Reads variables from anywhere; see [`from_env`](Self::from_env).
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut variables = Variables {
            variable,
            wrong: Vec::new(),
        };
        let table_name = variables.table_name();
        let enabled = variables.one_of("CACHE_ENABLED", &["true", "false"]) == "true";
        let policy = variables.one_of("CACHE_TTL_POLICY", &["fixed", "per-item", "immutable"]);
        let ttl = variables.number("CACHE_TTL_SECONDS", 0, 86_400, 60);
        let absent_ttl = variables.number("CACHE_ABSENT_TTL_SECONDS", 0, 3600, 5);
        let stale_if_error = variables.number("CACHE_STALE_IF_ERROR_SECONDS", 0, 86_400, 0);
        let jitter_percent = variables.number("CACHE_JITTER_PERCENT", 0, 50, 10);
        let memory_percent = variables.number("CACHE_MEMORY_PERCENT", 1, 80, 25);
        let function_name = variables.function_name();
        let metrics_namespace = variables.metrics_namespace(&function_name);
        let metrics_interval = variables.number("METRICS_INTERVAL_SECONDS", 0, 3600, 60);
        // Set by Lambda; elsewhere the smallest function is assumed.
        let memory_mb = variables.number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 128, 10_240, 128);
        if !variables.wrong.is_empty() {
            return Err(ConfigError(variables.wrong));
        }
        let ttl = Duration::from_secs(ttl);
        Ok(Config {
            table_name,
            ttl: match policy {
                _ if !enabled || ttl.is_zero() => TtlPolicy::Fixed(Duration::ZERO),
                "per-item" => TtlPolicy::PerItem(ttl),
                "immutable" => TtlPolicy::Immutable,
                _ => TtlPolicy::Fixed(ttl),
            },
            absent_ttl: Duration::from_secs(absent_ttl),
            stale_if_error: Duration::from_secs(stale_if_error),
            jitter_percent: jitter_percent as u8,
            cache_bytes: (memory_mb - RUNTIME_MB) * 1024 * 1024 * memory_percent / 100,
            metrics_namespace,
            metrics_interval: Duration::from_secs(metrics_interval),
            function_name,
        })
    }
}

struct Variables<F> {
    variable: F,
    wrong: Vec<String>,
}

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn table_name(&mut self) -> String {
        let allowed = "a table name, 3 to 255 of A-Z a-z 0-9 . _ -";
        if (self.variable)("TABLE_NAME").is_none() {
            self.wrong
                .push(format!("TABLE_NAME is not set, allowed: {allowed}"));
        }
        self.text("TABLE_NAME", 3, b"._-", allowed)
            .unwrap_or_default()
    }

    fn function_name(&mut self) -> String {
        let name = (self.variable)("AWS_LAMBDA_FUNCTION_NAME");
        name.and_then(|name| name.into_string().ok())
            .unwrap_or_else(|| "local".into())
    }

    fn metrics_namespace(&mut self, default: &str) -> String {
        let allowed = "1 to 255 of A-Z a-z 0-9 . - _ / # : and spaces";
        self.text("METRICS_NAMESPACE", 1, b".-_/#: ", allowed)
            .unwrap_or_else(|| default.into())
    }

    /// At most 255 letters, digits and some other characters; `None` if there are none or others.
    fn text(&mut self, name: &str, least: usize, others: &[u8], allowed: &str) -> Option<String> {
        let value = (self.variable)(name)?;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        match value.to_str() {
            Some(text) if (least..=255).contains(&text.len()) && text.bytes().all(good) => {
                Some(text.into())
            }
            _ => {
                self.reject(name, &value, allowed);
                None
            }
        }
    }

    /// The first choice is the default.
    fn one_of(&mut self, name: &str, choices: &[&'static str]) -> &'static str {
        let Some(value) = (self.variable)(name) else {
            return choices[0];
        };
        choices
            .iter()
            .copied()
            .find(|choice| value == **choice)
            .unwrap_or_else(|| {
                self.reject(name, &value, &choices.join(", "));
                choices[0]
            })
    }

    fn number(&mut self, name: &str, least: u64, most: u64, default: u64) -> u64 {
        let Some(value) = (self.variable)(name) else {
            return default;
        };
        // `parse` would take a plus sign.
        let digits = value
            .to_str()
            .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                self.reject(
                    name,
                    &value,
                    &format!("a whole number from {least} to {most}"),
                );
                default
            }
        }
    }

    fn reject(&mut self, name: &str, value: &OsString, allowed: &str) {
        self.wrong
            .push(format!("{name} is {value:?}, allowed: {allowed}"));
    }
}
