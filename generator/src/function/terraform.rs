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
                changes.set(
                    &format!("{FOLDER}/{}{below}", name.folder),
                    Some(file.contents),
                )?;
            }
        }
    }
    let stages = fs::read_dir(changes.root().join(FOLDER).join("stages"));
    let stages = stages
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let mut stages: Vec<_> = stages
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    stages.sort();
    for stage in &stages {
        let main = format!("{FOLDER}/stages/{stage}/main.tf");
        let text = changes.read(&main)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let named = Regex::new(r#"(?s)module "function" \{.*?\n  name\s+= "([^"]+)""#);
        let first = named
            .ok()
            .and_then(|named| Some(named.captures(&text)?[1].to_string()));
        let first = first.ok_or_else(|| Error::Infra {
            file: main.clone(),
            why: "there is no `module \"function\"` with a name, after which to name the other one"
                .into(),
        })?;
        let full = format!("{first}-{}", name.folder);
        if full.len() > LONGEST {
            let why = format!("{full} has over {LONGEST} characters: choose a shorter name");
            return Err(Error::Infra { file: main, why }.into());
        }
        let of_stage = of_stage(name, &full, &source);
        changes.set(
            &format!("{FOLDER}/stages/{stage}/{}.tf", name.folder),
            Some(of_stage.into_bytes()),
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

fn of_stage(name: &Name, full: &str, source: &str) -> String {
    let Name { folder, snake, .. } = name;
    format!(
        r#"# The function {folder}, which reads the table of the first. What there is to set says variables.tf of the module.
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
}}

output "{snake}" {{
  description = "What callers of {folder} need, and where to look."
  value       = module.{snake}
}}
"#
    )
}
