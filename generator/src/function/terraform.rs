//! A function with Terraform: the module once more, in a file of its own in each stage. Where it has another trigger than the
//! workspace, the module of that trigger comes along.

use std::fs;

use regex_lite::Regex;

use crate::changes::Changes;
use crate::error::Error as AnyError;
use crate::function::{Error, Name};
use crate::render::Tree;

const FOLDER: &str = "infra/terraform";
/// What the module takes as a name.
const LONGEST: usize = 45;

pub fn add(
    changes: &mut Changes,
    name: &Name,
    tree: &Tree,
    is_same: bool,
) -> Result<Vec<String>, AnyError> {
    let mut takes = None;
    let source = match is_same {
        true => "../..".to_string(),
        false => format!("../../{}", name.folder),
    };
    if !is_same {
        for (path, contents) in tree {
            let below = path.strip_prefix(FOLDER).unwrap_or_default();
            // The files of the module itself: those of no folder.
            if below.ends_with(".tf") && below.matches('/').count() == 1 {
                if below == "/variables.tf" {
                    takes = Some(String::from_utf8_lossy(contents).into_owned());
                }
                add_file(
                    changes,
                    &format!("{FOLDER}/{}{below}", name.folder),
                    contents.clone(),
                )?;
            }
        }
    }
    let stages = fs::read_dir(changes.root().join(FOLDER).join("stages"));
    let stages = stages.into_iter().flatten().flatten();
    let stages = stages.filter(|entry| entry.path().join("main.tf").is_file());
    let mut stages: Vec<_> = stages
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    stages.sort();
    let mut notes = Vec::new();
    for stage in &stages {
        let main = format!("{FOLDER}/stages/{stage}/main.tf");
        let text = changes.read(&main)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let first = First::of(&text).ok_or_else(|| Error::Infra {
            file: main.clone(),
            why: "there is no `module \"function\"` with a literal name, after which to name the other one".into(),
        })?;
        let full = format!("{}-{}", first.name, name.folder);
        if full.len() > LONGEST {
            let why = format!("{full} has over {LONGEST} characters: choose a shorter name");
            return Err(Error::Infra { file: main, why }.into());
        }
        let is_taken = |(argument, _): &&(String, String)| {
            let variable = format!("variable \"{argument}\" {{");
            argument != "shared_cache"
                && takes
                    .as_ref()
                    .is_none_or(|it: &String| it.contains(&variable))
        };
        let settings: Vec<_> = first.settings.iter().filter(is_taken).collect();
        let left_out = first.settings.iter().filter(|it| !is_taken(it));
        let left_out: Vec<_> = left_out.map(|(argument, _)| argument.as_str()).collect();
        if !left_out.is_empty() {
            notes.push(format!(
                "of {main} the second function has not: {}",
                left_out.join(", ")
            ));
        }
        let of_stage = of_stage(name, &full, &source, &aligned(&settings));
        add_file(
            changes,
            &format!("{FOLDER}/stages/{stage}/{}.tf", name.folder),
            of_stage.into_bytes(),
        )?;
    }
    match stages.is_empty() {
        true => Err(Error::Infra {
            file: format!("{FOLDER}/stages"),
            why: "there is no stage".into(),
        }
        .into()),
        false => Ok(notes),
    }
}

/// What a stage says of the first function.
struct First {
    name: String,
    /// The arguments that are not its own, such as keys, alarms and a VPC: the name, and what is behind the `=`.
    settings: Vec<(String, String)>,
}

impl First {
    fn of(main: &str) -> Option<Self> {
        let main = main.replace("\r\n", "\n");
        let (_, block) = main.split_once("\nmodule \"function\" {\n")?;
        let (block, _) = block.split_once("\n}")?;
        let argument = Regex::new(r"^  (\w+)\s*= *(.*)$").ok()?;
        let mut arguments: Vec<(String, String)> = Vec::new();
        for line in block.lines() {
            match (argument.captures(line), arguments.last_mut()) {
                (Some(found), _) => arguments.push((found[1].into(), found[2].into())),
                // A value goes on, until the next argument or a comment between them.
                (None, Some((_, value)))
                    if line.starts_with("   ")
                        || line.starts_with("  ]")
                        || line.starts_with("  }") =>
                {
                    *value += &format!("\n{line}");
                }
                _ => {}
            }
        }
        let value = |name: &str| {
            arguments
                .iter()
                .find(|(it, _)| it == name)
                .map(|(_, value)| value.clone())
        };
        let literal = Regex::new(r#"^"([^"$]+)""#).ok()?;
        let name = literal.captures(&value("name")?)?[1].to_string();
        // The first function made the table, with its key.
        let key = value("kms_key_arn").filter(|_| value("existing_table_name").is_none());
        let key = key.filter(|_| value("existing_table_key_arn").is_none());
        let own = [
            "source",
            "name",
            "package",
            "existing_table_name",
            "cache_enabled",
            "new_version_percent",
            "stable_version",
        ];
        arguments.retain(|(name, _)| !own.contains(&name.as_str()));
        arguments.extend(key.map(|key| ("existing_table_key_arn".into(), key)));
        Some(First {
            name,
            settings: arguments,
        })
    }
}

/// Arguments as `terraform fmt` has them: those on one line next to each other have their values below each other.
fn aligned(arguments: &[&(String, String)]) -> String {
    let is_one_line = |it: &&(String, String)| !it.1.contains('\n');
    let mut text = String::new();
    for group in arguments.chunk_by(|one, other| is_one_line(one) && is_one_line(other)) {
        let widest = group.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in group {
            text += &format!("  {name:<widest$} = {value}\n");
        }
    }
    text
}

fn add_file(changes: &mut Changes, path: &str, contents: Vec<u8>) -> Result<(), AnyError> {
    match changes.read(path)? {
        Some(_) => Err(Error::Exists(changes.root().join(path)).into()),
        None => Ok(changes.set(path, Some(contents))?),
    }
}

fn of_stage(name: &Name, full: &str, source: &str, settings: &str) -> String {
    let Name { folder, snake, .. } = name;
    let gap = if settings.is_empty() { "" } else { "\n" };
    format!(
        r#"# The function {folder}, which reads the table of the first. `variables.tf` of the module lists the settings.
variable "{snake}_package" {{
  description = "The function {folder} as cargo-lambda has packed it."
  type        = string
  default     = "../../../../target/lambda/{folder}/bootstrap.zip"
}}

module "{snake}" {{
  source = "{source}"

  name                = "{full}"
  package             = var.{snake}_package
  existing_table_name = module.function.table_name
  cache_enabled       = var.cache_enabled
{gap}{settings}}}

output "{snake}" {{
  description = "What callers of {folder} need, and where to look."
  value       = module.{snake}
}}
"#
    )
}
