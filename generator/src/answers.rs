//! What is asked of the user, and what is allowed. cargo-generate.toml says the same to
//! cargo-generate; a test holds the two together.

use std::fmt;
use std::str::FromStr;

use heck::{ToKebabCase, ToSnakeCase};

pub const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
pub const TTL_SECONDS: std::ops::RangeInclusive<u32> = 1..=86_400;
pub const NAME_LENGTH: usize = 40;

/// Everything that decides about what is rendered.
#[derive(Debug, Clone)]
pub struct Answers {
    pub name: ProjectName,
    pub arch: Arch,
    pub memory: Memory,
    pub ttl_policy: TtlPolicy,
    pub ttl: Ttl,
    pub trigger: Trigger,
    pub iac: Iac,
}

impl Answers {
    /// By the names of the placeholders in cargo-generate.toml, and of the keys that scripts read.
    pub fn by_placeholder(&self) -> serde_json::Map<String, serde_json::Value> {
        let values: [(&str, serde_json::Value); 7] = [
            ("project-name", self.name.used.as_str().into()),
            ("arch", self.arch.text().into()),
            ("memory_mb", self.memory.0.into()),
            ("ttl_policy", self.ttl_policy.text().into()),
            ("ttl_seconds", self.ttl.0.into()),
            ("trigger", self.trigger.text().into()),
            ("iac", self.iac.text().into()),
        ];
        values
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect()
    }
}

/// A value that is not allowed: why, and what to do instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

/// The name, as given and as it is used: cargo-generate converts names, so this does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName {
    pub given: String,
    pub used: String,
}

impl FromStr for ProjectName {
    type Err = Refused;

    fn from_str(name: &str) -> Result<Self, Refused> {
        const ALLOWED: &str = "a name starts with a letter from A to Z or a to z and goes on with \
            letters, digits, `-` and `_`; at most 40 characters. For example: my-quotes";
        if name.is_empty() {
            return refuse(format!("it is empty: {ALLOWED}"));
        }
        if !name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            return refuse(format!("it does not start with a letter: {ALLOWED}"));
        }
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        if let Some(letter) = name.chars().find(|letter| !allowed(*letter)) {
            return refuse(format!("it holds {letter:?}: {ALLOWED}"));
        }
        let used = if name.to_snake_case() == name {
            name.into()
        } else {
            name.to_kebab_case()
        };
        for name in [name, &used] {
            if name.len() > NAME_LENGTH {
                let length = name.len();
                return refuse(format!("`{name}` has {length} characters: {ALLOWED}"));
            }
            if is_windows_device(name) {
                return refuse(format!(
                    "`{name}` is the name of a device on Windows, where nobody could check it out: \
                     choose another"
                ));
            }
        }
        Ok(ProjectName {
            given: name.into(),
            used,
        })
    }
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

/// Declares a choice by its values as they are written, the first being the default.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant,)+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            fn find(value: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.text() == value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

choice! {
    /// The processor architecture, as Lambda names it.
    Arch {
        Arm64 = "arm64",
        X86_64 = "x86_64",
    }
}

choice! {
    /// How long cached items live.
    TtlPolicy {
        Fixed = "fixed",
        PerItem = "per-item",
        Immutable = "immutable",
    }
}

choice! {
    /// How the function is invoked.
    Trigger {
        Direct = "direct",
        FunctionUrl = "function-url",
    }
}

choice! {
    /// What deploys it: infrastructure as code.
    Iac {
        Sam = "sam",
        Terraform = "terraform",
    }
}

impl FromStr for Arch {
    type Err = Refused;

    fn from_str(value: &str) -> Result<Self, Refused> {
        if let Some(arch) = Self::find(value) {
            return Ok(arch);
        }
        let meant = match value.to_ascii_lowercase().as_str() {
            "arm64" | "arm" | "aarch64" | "arm64v8" | "graviton" => "; Lambda calls it arm64",
            "x86_64" | "x86-64" | "x86" | "x64" | "amd64" | "intel" => "; Lambda calls it x86_64",
            _ => "",
        };
        refuse(format!("allowed are arm64 and x86_64{meant}"))
    }
}

impl FromStr for TtlPolicy {
    type Err = Refused;

    fn from_str(value: &str) -> Result<Self, Refused> {
        let allowed = "allowed are fixed (for the TTL), per-item (until the item's own expires_at) \
            and immutable (as long as the environment lives)";
        Self::find(value).ok_or_else(|| Refused(allowed.into()))
    }
}

impl FromStr for Trigger {
    type Err = Refused;

    fn from_str(value: &str) -> Result<Self, Refused> {
        let allowed =
            "allowed are direct (the Invoke API) and function-url (HTTPS, signed with IAM)";
        Self::find(value).ok_or_else(|| Refused(allowed.into()))
    }
}

impl FromStr for Iac {
    type Err = Refused;

    fn from_str(value: &str) -> Result<Self, Refused> {
        let meant = match value.to_ascii_lowercase().as_str() {
            "tf" | "tofu" | "opentofu" | "hcl" => "; the files are Terraform's",
            "cloudformation" | "cfn" | "serverless" => "; SAM is what CloudFormation deploys",
            _ => "",
        };
        Self::find(value).ok_or_else(|| Refused(format!("allowed are sam and terraform{meant}")))
    }
}

/// The function's memory in MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(pub u32);

impl FromStr for Memory {
    type Err = Refused;

    fn from_str(value: &str) -> Result<Self, Refused> {
        match whole_number(value) {
            Some(mb) if MEMORY_MB.contains(&mb) => Ok(Memory(mb)),
            _ => refuse("allowed is a whole number of MB from 128 to 10240, such as 256"),
        }
    }
}

/// The time to live in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(pub u32);

impl FromStr for Ttl {
    type Err = Refused;

    fn from_str(value: &str) -> Result<Self, Refused> {
        let (number, unit) = match value.strip_suffix(['s', 'm', 'h']) {
            Some(number) => (number, &value[number.len()..]),
            None => (value, "s"),
        };
        let seconds_each = match unit {
            "h" => 3600,
            "m" => 60,
            _ => 1,
        };
        match whole_number(number).and_then(|number| number.checked_mul(seconds_each)) {
            Some(seconds) if TTL_SECONDS.contains(&seconds) => Ok(Ttl(seconds)),
            Some(seconds) => refuse(format!(
                "that is {seconds} seconds; allowed are 1 second to 24 hours, such as 30s, 5m or 1h"
            )),
            None => refuse(
                "allowed is a whole number of seconds, or one with s, m or h behind it, such as 90, \
                 30s, 5m or 1h; from 1 second to 24 hours",
            ),
        }
    }
}

/// Digits alone, without a leading zero: `parse` would take a plus sign, and zeros in front.
fn whole_number(value: &str) -> Option<u32> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    let plain = plain && (value == "0" || !value.starts_with('0'));
    if plain { value.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config() -> toml::Table {
        include_str!("../../template/cargo-generate.toml")
            .parse()
            .unwrap()
    }

    fn choices(placeholder: &str) -> Vec<String> {
        let choices = config()["placeholders"][placeholder]["choices"]
            .as_array()
            .unwrap()
            .clone();
        choices
            .iter()
            .map(|choice| choice.as_str().unwrap().to_string())
            .collect()
    }

    #[test]
    fn the_choices_are_those_of_cargo_generate() {
        let texts = |all: &[Arch]| all.iter().map(Arch::to_string).collect::<Vec<_>>();
        assert_eq!(texts(Arch::ALL), choices("arch"));
        let texts = |all: &[TtlPolicy]| all.iter().map(TtlPolicy::to_string).collect::<Vec<_>>();
        assert_eq!(texts(TtlPolicy::ALL), choices("ttl_policy"));
        let texts = |all: &[Trigger]| all.iter().map(Trigger::to_string).collect::<Vec<_>>();
        assert_eq!(texts(Trigger::ALL), choices("trigger"));
        let texts = |all: &[Iac]| all.iter().map(Iac::to_string).collect::<Vec<_>>();
        assert_eq!(texts(Iac::ALL), choices("iac"));
    }

    #[test]
    fn the_numbers_allowed_are_those_of_cargo_generate() {
        let regex = |placeholder: &str| {
            let regex = config()["placeholders"][placeholder]["regex"]
                .as_str()
                .unwrap()
                .to_string();
            regex::Regex::new(&regex).unwrap()
        };
        let (memory, ttl) = (regex("memory_mb"), regex("ttl_seconds"));
        for number in 0..110_000 {
            let text = number.to_string();
            assert_eq!(
                memory.is_match(&text),
                text.parse::<Memory>().is_ok(),
                "{text}"
            );
            assert_eq!(ttl.is_match(&text), text.parse::<Ttl>().is_ok(), "{text}");
        }
        for text in [
            "", "0128", "+256", "256.5", "0x100", " 256", "256 ", "1e3", "-256", "٣٠٠",
        ] {
            assert!(
                !memory.is_match(text) && text.parse::<Memory>().is_err(),
                "{text}"
            );
            assert!(
                !ttl.is_match(text) && text.parse::<Ttl>().is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_ttl_takes_units() {
        for (text, seconds) in [
            ("90", 90),
            ("30s", 30),
            ("5m", 300),
            ("1h", 3600),
            ("24h", 86_400),
        ] {
            assert_eq!(text.parse(), Ok(Ttl(seconds)), "{text}");
        }
        for text in [
            "0",
            "0s",
            "25h",
            "1.5s",
            "s",
            "5 m",
            "1d",
            "1h30m",
            "99999999999h",
            "5M",
        ] {
            assert!(text.parse::<Ttl>().is_err(), "{text}");
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
        ] {
            assert_eq!(given.parse::<ProjectName>().unwrap().used, used);
        }
    }

    #[test]
    fn names_that_make_trouble_are_refused() {
        let long = "a".repeat(41);
        let grows = "Ab".repeat(20);
        for name in [
            "", "1bad", "a b", "../x", "a/b", "con", "CON", "Com1", "lpt9", "con-", "con_", "-a",
            "_a", "é", "аdmin", "a.b", "a\n", &long, &grows,
        ] {
            assert!(name.parse::<ProjectName>().is_err(), "{name:?}");
        }
        assert!("a".repeat(40).parse::<ProjectName>().is_ok());
        assert!("console".parse::<ProjectName>().is_ok());
    }
}
