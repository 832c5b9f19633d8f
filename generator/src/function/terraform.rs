//! A function with Terraform: the module once more, in a file of its own in each stage. Where it has another trigger than the
//! workspace, the module of that trigger comes along.

use std::fs;

use regex_lite::Regex;

use crate::answers::Answers;
use crate::changes::Changes;
use crate::error::Error as AnyError;
use crate::function::{Error, Name};
use crate::render;
use crate::template::SOURCES;

const FOLDER: &str = "infra/terraform";
/// What the module takes as a name.
const LONGEST: usize = 45;

pub fn add(
    changes: &mut Changes,
    name: &Name,
    answers: &Answers,
    theirs: &Answers,
) -> Result<(), AnyError> {
    let is_same = answers.get("trigger") == theirs.get("trigger");
    let source = match is_same {
        true => "../..".to_string(),
        false => format!("../../{}", name.folder),
    };
    if !is_same {
        for file in render::render(SOURCES, answers)? {
            let path = file.path.to_string_lossy().replace('\\', "/");
            let below = path.strip_prefix(FOLDER).unwrap_or_default();
            // The files of the module itself: those of no folder.
            if below.ends_with(".tf") && below.matches('/').count() == 1 {
                add_file(
                    changes,
                    &format!("{FOLDER}/{}{below}", name.folder),
                    file.contents,
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
        let of_stage = of_stage(name, &full, &source, &first.settings);
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
        false => Ok(()),
    }
}

/// What a stage says of the first function.
struct First {
    name: String,
    /// The arguments that are not its own: keys, alarms, a VPC.
    settings: String,
}

impl First {
    fn of(main: &str) -> Option<Self> {
        let (_, block) = main.split_once("\nmodule \"function\" {\n")?;
        let (block, _) = block.split_once("\n}")?;
        let argument = |line: &str| {
            let name = line.strip_prefix("  ")?.split_once('=')?.0.trim();
            Some(name.to_string()).filter(|it| !it.is_empty() && !it.starts_with([' ', '#']))
        };
        let own = [
            "source",
            "name",
            "package",
            "existing_table_name",
            "cache_enabled",
            "new_version_percent",
            "stable_version",
        ];
        let (mut settings, mut is_own) = (String::new(), true);
        for line in block.lines() {
            if let Some(name) = argument(line) {
                is_own = own.contains(&name.as_str());
            } else if line.trim().is_empty() || line.starts_with("  #") {
                continue;
            }
            if !is_own {
                settings += &format!("{line}\n");
            }
        }
        let key = settings
            .lines()
            .find_map(|line| line.trim().strip_prefix("kms_key_arn"));
        if let (Some(key), false) = (key, settings.contains("existing_table_key_arn")) {
            // The first function made the table, with its key.
            settings += &format!("  existing_table_key_arn {}\n", key.trim_start());
        }
        let name = Regex::new(r#"(?m)^  name\s*=\s*"([^"$]+)"$"#).ok()?;
        Some(First {
            name: name.captures(block)?[1].into(),
            settings,
        })
    }
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
