//! A function with SAM: in the same template, the resources that the first one has of its own, once more under other names,
//! between marks. They come from the template as it is rendered for the function's trigger, so nothing of them is written
//! a second time here.

use std::collections::BTreeSet;

use regex_lite::{Captures, Regex};

use crate::answers::Answers;
use crate::changes::Changes;
use crate::error::Error as AnyError;
use crate::function::{Error, Name};
use crate::render::Tree;

const FILE: &str = "infra/sam/template.yaml";

pub fn add(
    changes: &mut Changes,
    name: &Name,
    tree: &Tree,
    answers: &Answers,
) -> Result<(), AnyError> {
    let failed = |why: &str| Error::Infra {
        file: FILE.into(),
        why: why.into(),
    };
    let there = changes
        .read(FILE)?
        .ok_or_else(|| failed("it is not there, and has to have the function"))?;
    let there = String::from_utf8(there).map_err(|why| failed(&why.to_string()))?;
    let has_crlf = there.contains("\r\n");
    let there = there.replace("\r\n", "\n");
    let rendered = tree.get(FILE).map(|it| String::from_utf8_lossy(it));
    let rendered = rendered.unwrap_or_default();
    let added = with(&there, &rendered, name, answers).map_err(|why| failed(&why))?;
    let added = match has_crlf {
        true => added.replace('\n', "\r\n"),
        false => added,
    };
    Ok(changes.set(FILE, Some(added.into_bytes()))?)
}

/// An entry of a section: its name, and its lines with the comments before it.
struct Entry<'a> {
    name: &'a str,
    text: String,
}

/// Where a section's lines are, without its heading.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let heading = Regex::new(&format!(r"(?m)^{heading}:[ \t]*(#.*)?\n")).ok()?;
    let rest = &text[heading.find(text)?.end()..];
    let next = Regex::new(r"(?m)^[A-Za-z]").ok()?.find(rest);
    Some(&rest[..next.map_or(rest.len(), |next| next.start())])
}

fn entries<'a>(text: &'a str, heading: &str) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut before = String::new();
    for line in section(text, heading).unwrap_or_default().lines() {
        let inner = line
            .strip_prefix("  ")
            .filter(|it| !it.starts_with(' '))
            .unwrap_or_default();
        match inner.split_once(':') {
            _ if inner.starts_with('#') || line.trim().is_empty() => before += &format!("{line}\n"),
            Some((name, _)) => entries.push(Entry {
                name,
                text: std::mem::take(&mut before)
                    .trim_start_matches('\n')
                    .to_string()
                    + line
                    + "\n",
            }),
            None => {
                if let Some(last) = entries.last_mut() {
                    last.text += &(std::mem::take(&mut before) + line + "\n");
                }
            }
        }
    }
    entries
}

/// Where a text names something, but for keys, types, and parts of other names.
fn mentions(name: &str) -> Option<Regex> {
    Regex::new(&format!(r"(^|[^:.\w]){name}([^:\w]|$)")).ok()
}

fn does_mention(text: &str, name: &str) -> bool {
    mentions(name).is_some_and(|mentions| mentions.is_match(text))
}

fn with(there: &str, rendered: &str, name: &Name, answers: &Answers) -> Result<String, String> {
    let (project, trigger) = (answers.name(), answers.get("trigger").unwrap_or_default());
    let resources = entries(rendered, "Resources");
    let own = own(&resources);
    let of_function = resources.iter().filter(|entry| own.contains(entry.name));
    let of_function: Vec<_> = of_function
        .map(|entry| renamed(entry, &own, name, project))
        .collect();
    let outputs = entries(rendered, "Outputs");
    let outputs = outputs
        .iter()
        .filter(|it| own.iter().any(|name| does_mention(&it.text, name)));
    let outputs: Vec<_> = outputs
        .map(|entry| renamed(entry, &own, name, project))
        .collect();
    let mut needed = of_function.concat() + &outputs.concat();
    let known = |heading: &str| -> Result<BTreeSet<String>, String> {
        let known: BTreeSet<_> = entries(there, heading)
            .iter()
            .map(|it| it.name.to_string())
            .collect();
        let has_lines = section(there, heading).is_some_and(|it| !it.trim().is_empty());
        match known.is_empty() && has_lines {
            true => Err(format!("`{heading}:` is not indented by two blanks")),
            false => Ok(known),
        }
    };
    let resources_there = known("Resources")?;
    for entry in entries(&format!("\nResources:\n{needed}"), "Resources") {
        if resources_there.contains(entry.name) || known("Outputs")?.contains(entry.name) {
            return Err(format!(
                "it has a `{}` already: choose another name",
                entry.name
            ));
        }
    }
    let shared = resources
        .iter()
        .map(|it| it.name)
        .filter(|it| !own.contains(it));
    let mut gone = shared.filter(|it| !resources_there.contains(*it) && does_mention(&needed, it));
    if let Some(gone) = gone.next() {
        return Err(format!("it has no `{gone}`, which the function needs"));
    }

    // What another trigger has, and the workspace has not yet.
    let mut missing = |heading: &str| -> Result<Vec<String>, String> {
        let known = known(heading)?;
        let mut found = Vec::new();
        let candidates = entries(rendered, heading);
        // Those that others of them need come before these.
        for entry in candidates.iter().rev() {
            if !known.contains(entry.name) && does_mention(&needed, entry.name) {
                needed += &entry.text;
                found.insert(0, entry.text.clone());
            }
        }
        Ok(found)
    };
    let conditions = missing("Conditions")?;
    let parameters = missing("Parameters")?;
    let rules = entries(rendered, "Rules").into_iter().filter(|rule| {
        let is_known = entries(there, "Rules")
            .iter()
            .any(|it| it.name == rule.name);
        let parameters = parameters.concat();
        !is_known
            && entries(&format!("\nParameters:\n{parameters}"), "Parameters")
                .iter()
                .any(|it| does_mention(&rule.text, it.name))
    });
    let rules: Vec<_> = rules.map(|rule| rule.text).collect();

    let mut text = there.to_string();
    // Those of a trigger are any function's that has it.
    for (heading, mark, entries, gap) in [
        ("Parameters", trigger, parameters, ""),
        ("Rules", trigger, rules, ""),
        ("Conditions", trigger, conditions, ""),
        ("Resources", &name.folder, of_function, "\n"),
        ("Outputs", &name.folder, outputs, ""),
    ] {
        if entries.is_empty() {
            continue;
        }
        if section(&text, heading).is_none() {
            text = format!("{}\n\n{heading}:\n", text.trim_end());
        }
        let there = section(&text, heading).unwrap_or_default();
        let end = there.as_ptr() as usize - text.as_ptr() as usize + there.trim_end().len();
        let entries = entries.join(gap);
        let block = format!(
            "\n{gap}  # >>> {mark}: by `cached-lambda add function`\n{}\n  # <<< {mark}",
            entries.trim_end()
        );
        text.insert_str(end, &block);
    }
    Ok(text)
}

/// The resources that belong to the function, and not to all: itself, its role and its API, and what mentions them. The
/// dashboard is the workspace's.
fn own<'a>(resources: &[Entry<'a>]) -> BTreeSet<&'a str> {
    let names = resources.iter().map(|it| it.name);
    let is_own = |name: &&str| matches!(*name, "Function" | "Role") || name.starts_with("Api");
    let mut own: BTreeSet<_> = names.filter(is_own).collect();
    loop {
        let before = own.len();
        for resource in resources.iter().filter(|it| it.name != "Dashboard") {
            if own.iter().any(|name| does_mention(&resource.text, name)) {
                own.insert(resource.name);
            }
        }
        if own.len() == before {
            return own;
        }
    }
}

/// An entry under its other name, with all names of what belongs to the function.
fn renamed(entry: &Entry, own: &BTreeSet<&str>, name: &Name, project: &str) -> String {
    let Name { folder, camel, .. } = name;
    let mut text = entry.text.replace(
        &format!("\"{project}: "),
        &format!("\"{project}, {folder}: "),
    );
    if let Ok(binary) = Regex::new(r"(\n +Binary: )\w+\n") {
        text = binary
            .replace(&text, format!("${{1}}{folder}\n"))
            .into_owned();
    }
    // SAM makes the URL's name of the function's.
    for name in own.iter().copied().chain(["FunctionUrl"]) {
        if let Some(mentions) = mentions(name) {
            let other = |found: &Captures| format!("{}{camel}{name}{}", &found[1], &found[2]);
            text = mentions.replace_all(&text, other).into_owned();
        }
    }
    if entry.name.starts_with("Api") {
        // A name of its own beside the first one's.
        text = text.replace(
            "${AWS::StackName}",
            &format!("${{AWS::StackName}}-{folder}"),
        );
        text = text.replace(
            "!Ref AWS::StackName",
            &format!("!Sub \"${{AWS::StackName}}-{folder}\""),
        );
    }
    let (key, other) = (
        format!("  {}:", entry.name),
        format!("  {camel}{}:", entry.name),
    );
    // The first is the entry's: comments before it have no such line.
    match text.strip_prefix(&key) {
        Some(rest) => format!("{other}{rest}"),
        None => text.replacen(&format!("\n{key}"), &format!("\n{other}"), 1),
    }
}
