//! The parameters, and what each of them takes. What is asked, defaults, choices and limits are said in
//! the template's cargo-generate.toml alone; flags and prose in parameters.toml.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use heck::{ToKebabCase, ToSnakeCase};
use regex_lite::Regex;
use serde::Deserialize;

use crate::template::Config;

pub const NAME: &str = "project-name";
const LONGEST_NAME: usize = 40;

/// One question, with what is allowed as its answer.
pub struct Parameter {
    /// In cargo-generate.toml, in cached-lambda.toml and in JSON.
    pub key: &'static str,
    /// What the generator adds to it.
    pub added: Added,
    /// As cargo-generate asks it.
    prompt: &'static str,
    /// What has none is required.
    pub default: Option<&'static str>,
    /// None where a number or a name is asked for.
    pub choices: Vec<&'static str>,
    limits: Option<Regex>,
}

/// Of parameters.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Added {
    key: String,
    /// Without its dashes. The name has none: it is an argument.
    #[serde(default)]
    pub flag: String,
    pub value_name: String,
    /// What it does and how to choose.
    pub about: String,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    value: String,
    meaning: String,
    /// What others call it.
    also: Vec<String>,
}

/// In the order in which they are asked.
///
/// # Panics
/// Where the embedded files are not understood, which a test would tell first.
pub fn all() -> &'static [Parameter] {
    static ALL: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
        let mut added: BTreeMap<String, Vec<Added>> =
            toml::from_str(include_str!("parameters.toml")).unwrap_or_else(|why| panic!("{why}"));
        let added = added.remove("parameter").unwrap_or_default();
        added.into_iter().map(Parameter::new).collect()
    });
    &ALL
}

impl Parameter {
    fn new(added: Added) -> Self {
        let placeholder = Config::of_template().placeholders.get_key_value(&added.key);
        let get = |what: &str| placeholder?.1.get(what);
        let text = |what: &str| get(what)?.as_str();
        let choices = get("choices").and_then(toml::Value::as_array);
        Parameter {
            key: placeholder.map_or(NAME, |(key, _)| key),
            prompt: text("prompt").unwrap_or("Name of the project"),
            default: text("default"),
            choices: choices
                .into_iter()
                .flatten()
                .filter_map(toml::Value::as_str)
                .collect(),
            limits: text("regex").map(regex),
            added,
        }
    }

    /// What a choice means, if that is known.
    pub fn meaning(&self, choice: &str) -> &str {
        let mut known = self.added.choices.iter();
        let known = known.find(|known| known.value == choice);
        known.map_or("", |known| &known.meaning)
    }

    /// As it is written on the command line, with its value.
    pub fn argument(&self, value: &str) -> String {
        match self.added.flag.as_str() {
            "" => value.into(),
            flag => format!("--{flag} {value}"),
        }
    }

    /// The value as it is rendered, in MB and seconds; a name as it is given, see [`converted`].
    ///
    /// # Errors
    /// What is allowed.
    pub fn check(&self, given: &str) -> Result<String, String> {
        if self.key == NAME {
            return name(given);
        }
        if self.choices.contains(&given) {
            return Ok(given.into());
        }
        if !self.choices.is_empty() {
            let allowed = format!("use {}", self.choices.join(" or "));
            let meant = self.meant(given);
            return Err(meant.map_or(allowed.clone(), |it| {
                format!("{allowed}; did you mean {it}?")
            }));
        }
        // What cargo-generate takes, and units where there are any.
        let in_units = in_seconds(given).filter(|_| self.key == "ttl_seconds");
        let value = in_units.unwrap_or_else(|| given.into());
        match &self.limits {
            Some(limits) if limits.is_match(&value) => Ok(value),
            _ => Err(format!("allowed is: {}", self.question())),
        }
    }

    /// The choice that others call so.
    pub fn meant(&self, given: &str) -> Option<&str> {
        let given = given.to_ascii_lowercase();
        let is_it = |choice: &Choice| choice.value == given || choice.also.contains(&given);
        let mut choices = self.added.choices.iter();
        Some(&choices.find(|choice| is_it(choice))?.value)
    }

    /// What is asked, with the units that are taken.
    pub fn question(&self) -> String {
        let units = match self.key {
            "ttl_seconds" => ", or 30s, 5m, 1h",
            _ => "",
        };
        format!("{}{units}", self.prompt)
    }
}

/// A time with a unit in seconds: `30s`, `5m`, `1h`.
fn in_seconds(given: &str) -> Option<String> {
    let (number, each) = [("s", 1), ("m", 60), ("h", 3600)]
        .into_iter()
        .find_map(|(unit, each)| Some((given.strip_suffix(unit)?, each)))?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: u32 = number.parse().ok().filter(|_| is_plain)?;
    Some(number.checked_mul(each)?.to_string())
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"))
}

/// A name in its case, as cargo-generate has it.
pub fn converted(name: &str) -> String {
    match name.to_snake_case() == name {
        true => name.into(),
        false => name.to_kebab_case(),
    }
}

/// Refuses what the template's check-name.rhai refuses.
fn name(given: &str) -> Result<String, String> {
    let converted = converted(given);
    let device = regex(r"^(?i)(con|prn|aux|nul|com\d|lpt\d)$");
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if given.contains(['/', '\\']) {
        Err("a name is no path: --path says where the folder is made".into())
    } else if !given.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        Err("it must start with a letter from A to Z".into())
    } else if let Some(letter) = given.chars().find(|letter| !is_allowed(*letter)) {
        Err(format!("{letter:?} is no ASCII letter, digit, `-` or `_`"))
    } else if given.len().max(converted.len()) > LONGEST_NAME {
        Err(format!("`{converted}` has over {LONGEST_NAME} characters"))
    } else if [given, &converted]
        .into_iter()
        .any(|name| device.is_match(name))
    {
        Err("on Windows that is the name of a device".into())
    } else {
        Ok(given.into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parameter(key: &str) -> &'static Parameter {
        all().iter().find(|parameter| parameter.key == key).unwrap()
    }

    #[test]
    fn each_placeholder_has_a_flag_a_help_and_a_meaning_for_each_choice() {
        let mut known: Vec<_> = all().iter().map(|parameter| parameter.key).collect();
        assert_eq!(known.remove(0), NAME);
        known.sort_unstable();
        let placeholders = &Config::of_template().placeholders;
        assert_eq!(known, placeholders.keys().collect::<Vec<_>>());
        for parameter in all() {
            let is_number = parameter.limits.is_some();
            assert!(parameter.key == NAME || !parameter.added.flag.is_empty());
            assert!(parameter.key == NAME || is_number == parameter.choices.is_empty());
            let known = parameter
                .added
                .choices
                .iter()
                .map(|choice| choice.value.as_str());
            assert_eq!(known.collect::<Vec<_>>(), parameter.choices);
            let default = parameter.default.unwrap_or("a-name");
            assert!(parameter.key == NAME || parameter.default.is_some());
            assert_eq!(parameter.check(default).as_deref(), Ok(default));
        }
    }

    #[test]
    fn what_others_call_it_is_known() {
        for (key, given, meant) in [
            ("arch", "aarch64", Some("arm64")),
            ("arch", "AMD64", Some("x86_64")),
            ("arch", "mips", None),
            ("ttl_policy", "Fixed", Some("fixed")),
            ("trigger", "url", Some("function-url")),
            ("iac", "tf", Some("terraform")),
            ("start", "bare", Some("minimal")),
        ] {
            assert_eq!(parameter(key).meant(given), meant, "{given}");
            assert!(parameter(key).check(given).is_err(), "{given}");
        }
    }

    #[test]
    fn numbers_are_plain_and_a_ttl_takes_units() {
        let (ttl, memory) = (parameter("ttl_seconds"), parameter("memory_mb"));
        for (given, seconds) in [("90", "90"), ("30s", "30"), ("5m", "300"), ("24h", "86400")] {
            assert_eq!(ttl.check(given).as_deref(), Ok(seconds), "{given}");
        }
        for given in [
            "0",
            "0s",
            "1.5s",
            "s",
            "5 m",
            "1h30m",
            "99999999999h",
            "5M",
            "05m",
            "86401",
            "25h",
            "",
            "-1",
            "٣٠",
        ] {
            assert!(ttl.check(given).is_err(), "{given}");
        }
        for given in [
            "127", "10241", "0256", "+256", "256.5", "0x100", " 256", "512MB", "256m", "3００",
        ] {
            assert!(memory.check(given).is_err(), "{given}");
        }
        assert_eq!(memory.check("10240").as_deref(), Ok("10240"));
    }

    #[test]
    fn names_are_converted_as_cargo_generate_does_and_refused_where_they_make_trouble() {
        for (given, used) in [
            ("my-svc", "my-svc"),
            ("my_svc", "my_svc"),
            ("MyLambda", "my-lambda"),
            ("lambda2s3", "lambda2s3"),
            ("HTTPServer", "http-server"),
            ("console", "console"),
        ] {
            assert!(parameter(NAME).check(given).is_ok());
            assert_eq!(converted(given), used);
        }
        assert!(parameter(NAME).check(&"a".repeat(40)).is_ok());
        for name in [
            "",
            "1bad",
            "a b",
            "../x",
            "a/b",
            "..",
            "/x",
            "con",
            "CON",
            "Com1",
            "lpt9",
            "con-",
            "con_",
            "-a",
            "_a",
            "é",
            "аdmin",
            "a.b",
            "a\n",
            "a\0",
            "~",
            "$HOME",
            "a;b",
            &"a".repeat(41),
            &"Ab".repeat(20),
        ] {
            assert!(parameter(NAME).check(name).is_err(), "{name:?}");
        }
    }
}
