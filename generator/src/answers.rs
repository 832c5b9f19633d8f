//! Answers, each of them allowed: from flags, from a file, asked for, or the defaults.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use toml::Spanned;

use crate::parameters::{self, NAME, Parameter};

/// By the parameters' keys.
#[derive(Debug, Default, Clone)]
pub struct Answers(BTreeMap<&'static str, String>);

impl Answers {
    /// A value that [`Parameter::check`] gave.
    pub fn set(&mut self, parameter: &Parameter, value: String) {
        self.0.insert(parameter.key, value);
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Empty until it is known.
    pub fn name(&self) -> &str {
        self.get(NAME).unwrap_or_default()
    }

    /// Brings the name into its case, and says so.
    pub fn convert_name(&mut self, quiet: bool) {
        if let Some(name) = self.0.get_mut(NAME) {
            let given = std::mem::replace(name, parameters::converted(name));
            if given != *name && !quiet {
                say!("note: the name `{given}` becomes `{name}`");
            }
        }
    }

    /// With those of others where these have none.
    pub fn or(mut self, others: Answers) -> Self {
        for (key, value) in others.0 {
            self.0.entry(key).or_insert(value);
        }
        self
    }

    /// With the defaults for the rest.
    pub fn or_defaults(mut self) -> Self {
        for parameter in parameters::all() {
            if let (Some(default), None) = (parameter.default, self.get(parameter.key)) {
                self.set(parameter, default.into());
            }
        }
        self
    }

    /// For scripts.
    pub fn json(&self) -> serde_json::Map<String, serde_json::Value> {
        let values = parameters::all().iter().map(|parameter| {
            let text = self.get(parameter.key).unwrap_or_default();
            let value = text.parse::<u32>().map_or_else(|_| text.into(), Into::into);
            (parameter.key.to_string(), value)
        });
        values.collect()
    }
}

/// What a file such as a cached-lambda.toml says.
#[derive(Debug, Default, Clone)]
pub struct AnswersFile {
    pub answers: Answers,
    /// What it was made with, if it says so.
    pub template_version: Option<String>,
    /// What names the template that it was made of.
    pub template_hash: Option<String>,
}

impl AnswersFile {
    /// # Errors
    /// Why it cannot be read, or all that is wrong in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|why| why.to_string())?;
        let table: BTreeMap<String, Spanned<toml::Value>> =
            toml::from_str(&text).map_err(|why| why.to_string())?;
        let mut file = AnswersFile::default();
        let mut wrong = Vec::new();
        for (key, value) in &table {
            let given = match value.get_ref() {
                toml::Value::String(text) => text,
                // As it is written there.
                _ => text.get(value.span()).unwrap_or_default(),
            };
            let mut parameters = parameters::all().iter();
            let checked = match parameters.find(|parameter| parameter.key == key) {
                Some(parameter) => parameter
                    .check(given)
                    .map(|it| file.answers.set(parameter, it)),
                None if key == "template-version" => {
                    file.template_version = Some(given.into());
                    Ok(())
                }
                None if key == "template-hash" => {
                    file.template_hash = Some(given.into());
                    Ok(())
                }
                None => {
                    let keys = parameters::all().iter().map(|parameter| parameter.key);
                    Err(format!(
                        "use one of {}",
                        keys.collect::<Vec<_>>().join(", ")
                    ))
                }
            };
            if let Err(why) = checked {
                let line = text[..value.span().start].matches('\n').count() + 1;
                wrong.push((line, format!("line {line}, {key:?} is {given:?}: {why}")));
            }
        }
        wrong.sort();
        let wrong: Vec<_> = wrong.into_iter().map(|(_, message)| message).collect();
        match wrong.is_empty() {
            true => Ok(file),
            false => Err(wrong.join("\n  ")),
        }
    }
}
