//! What `cached-lambda add` says: what changes, what it saw in the code, and what is left to write by hand.

use std::path::{Path, PathBuf};

use regex_lite::Regex;
use serde_json::{Value, json};

use crate::add::CACHE_CORE;
use crate::add::kind::{Kind, Table, Tags};
use crate::add::project::{Project, Runtime};
use crate::add::reads::{self, Call};
use crate::changes::Changes;
use crate::cli::Add;
use crate::template;

pub struct Report {
    package: String,
    pub kinds: Vec<Kind>,
    calls: Vec<Call>,
    pub tags: Tags,
    notes: Vec<String>,
    /// Where the module has to be named, and how.
    module: Option<(String, Vec<String>)>,
    runtime: Option<Runtime>,
    /// Declarations for a file that is there already.
    missing: Vec<String>,
}

impl Report {
    pub fn of(project: &Project, add: &Add) -> Self {
        let mut calls = reads::find(&project.path(), project.root());
        let file = |call: &Call| project.root().join(&call.file);
        let reads = calls.iter().filter(|call| call.is_read).map(file);
        let reads: Vec<PathBuf> = reads.collect();
        for call in calls.iter_mut().filter(|call| !call.is_read) {
            call.becomes = after_a_write(project, &file(call), &reads);
        }
        let kinds = match add.kinds.is_empty() {
            true => Kind::parse("items:String:Stored").into_iter().collect(),
            false => add.kinds.clone(),
        };
        let mut report = Report {
            package: project.package.name.to_string(),
            kinds,
            tags: reads::tags(&calls, project.root()),
            calls,
            notes: Vec::new(),
            module: module(project, &reads),
            runtime: project.runtime(),
            missing: Vec::new(),
        };
        if report.runtime.is_none() {
            report.note(
                "neither lambda_http nor lambda_runtime is a dependency: hand caches.invocation(..) the time at which \
                 the invocation ends, in milliseconds since the Unix epoch"
                    .into(),
            );
        }
        report
    }

    /// Types of the package that the new file makes up once more.
    pub fn note_types(&mut self, project: &Project) {
        let types: Vec<_> = self.kinds.iter().map(|kind| kind.value.as_str()).collect();
        for (place, name) in reads::types(&project.path(), project.root(), &types) {
            self.note(format!(
                "{place} has a type {name}: derive MemSize there, and use it instead of the one in src/caches.rs"
            ));
        }
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// A promise of the package that no longer holds.
    pub fn note_rust_version(&mut self, project: &Project) {
        let ours = template::text("cache-core/Cargo.toml").lines();
        let mut ours = ours.filter_map(|line| line.strip_prefix("rust-version = "));
        let ours = ours.next().unwrap_or_default().trim_matches('"');
        let parts = |version: &str| -> Vec<u64> {
            version
                .split('.')
                .filter_map(|it| it.parse().ok())
                .collect()
        };
        if let Some(theirs) = &project.package.rust_version
            && parts(&theirs.to_string()) < parts(ours)
        {
            self.note(format!(
                "{} says that it builds with Rust {theirs}; with {CACHE_CORE} it takes {ours}",
                self.package
            ));
        }
    }

    /// What the kinds are read from.
    pub fn tables(&self) -> Vec<Table<'_>> {
        let keys = self.calls.iter().map(|call| call.key.clone());
        Table::of(&self.kinds, &keys.collect::<Vec<_>>())
    }

    /// What is left to declare in a file that is there.
    pub fn declared_in(&mut self, file: &str) {
        let is_missing = |kind: &Kind| {
            let declaration = Regex::new(&format!(r"(?m)^\s*{}\s*:\s*\w+<", kind.name));
            declaration.is_ok_and(|it| !it.is_match(file))
        };
        let tables = self.tables();
        let lines = tables
            .iter()
            .flat_map(|table| table.declarations(&self.tags));
        self.missing = lines
            .filter(|(kind, _)| is_missing(kind))
            .map(|(_, line)| line)
            .collect();
    }

    /// What was done, or would be, and how to go on.
    pub fn text(&self, is_dry: bool, changes: &Changes) -> String {
        let (summary, package) = (self.summary(changes), &self.package);
        let done = match (changes.is_empty(), is_dry) {
            (true, _) => format!("{package} has the cache already; nothing was changed"),
            (_, true) => format!("{summary}nothing was written"),
            (_, false) => format!("{summary}put the cache into {package}"),
        };
        format!("{done}\n{}", self.rest())
    }

    /// The files, with those of cache-core as one.
    pub fn summary(&self, changes: &Changes) -> String {
        let (mut text, mut vendored) = (String::new(), 0);
        for (path, verb) in changes.list() {
            if path.starts_with(CACHE_CORE) && path[CACHE_CORE.len()..].starts_with('/') {
                vendored += 1;
                continue;
            }
            text += &format!("  {:<6} {path}\n", verb.word());
        }
        if vendored > 0 {
            text += &format!("  add    {CACHE_CORE}/, {vendored} files\n");
        }
        text
    }

    /// What was seen, and how to go on.
    fn rest(&self) -> String {
        let mut text = String::new();
        for (index, note) in self.notes.iter().enumerate() {
            text += &format!("{}note: {note}\n", if index == 0 { "\n" } else { "" });
        }
        for (is_read, title) in [
            (true, "reads, and what they could become"),
            (false, "writes"),
        ] {
            let calls: Vec<_> = self
                .calls
                .iter()
                .filter(|call| call.is_read == is_read)
                .collect();
            if !calls.is_empty() {
                text += &format!("\n{title}:\n");
            }
            let place = |call: &Call| format!("{}:{}", call.file, call.line);
            let widest = calls
                .iter()
                .map(|call| place(call).len())
                .max()
                .unwrap_or(0);
            for call in calls {
                text += &format!(
                    "  {:<widest$}  {:<14} {}\n",
                    place(call),
                    call.call,
                    call.becomes
                );
            }
        }
        if !self.missing.is_empty() {
            text += "\nsrc/caches.rs was left as it is; to declare there:\n";
            text += &self
                .missing
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>();
        }
        if let Some((file, module)) = &self.module {
            text += &format!("\nnext, in {file}:\n");
            for line in module.iter().chain(&self.handler()) {
                text += &format!("  {line}\n");
            }
        }
        text
    }

    /// The lines for `main` and for the handler.
    fn handler(&self) -> Vec<String> {
        let event = match self.runtime {
            Some(Runtime::Http) => "caches::invocation(&caches, &request)",
            Some(Runtime::Events) => "caches::invocation(&caches, &event)",
            None => "caches.invocation(deadline_in_milliseconds)",
        };
        let mut lines = vec![
            "// in main, once; clone it for each invocation".to_string(),
            "let caches = caches::open(&client)?;".into(),
            "// in the handler".into(),
            format!("let invocation = {event};"),
        ];
        lines.extend(self.kinds.iter().map(Kind::lookup));
        lines
    }

    pub fn json(&self, is_dry: bool, changes: &Changes) -> Value {
        let of = |is_read| -> Vec<&Call> {
            self.calls
                .iter()
                .filter(|call| call.is_read == is_read)
                .collect()
        };
        json!({
            "template_version": env!("CARGO_PKG_VERSION"),
            "package": self.package,
            "dry_run": is_dry,
            "files": changes.json(),
            "missing": self.missing,
            "notes": self.notes,
            "reads": of(true),
            "writes": of(false),
            "module": self.module.as_ref().map(|(file, lines)| json!({ "file": file, "lines": lines })),
            "handler": self.handler(),
        })
    }
}

/// What has to be done after a write in a file, where there are `reads`.
fn after_a_write(project: &Project, file: &Path, reads: &[PathBuf]) -> String {
    let of_reads = |binary| {
        reads
            .iter()
            .any(|read| project.binary_of(read) == Some(binary))
    };
    match project.binary_of(file) {
        Some(binary) if !of_reads(binary) => {
            let name = &binary.name;
            format!("in the binary {name}: a cache elsewhere has it after its TTL alone")
        }
        _ => "then caches.KIND.put(key, value), or invalidate(&key) where it failed".into(),
    }
}

/// Where `src/caches.rs` has to be named as a module, and how.
fn module(project: &Project, reads: &[PathBuf]) -> Option<(String, Vec<String>)> {
    let (target, folder) = (project.root_of_modules(reads)?, project.path());
    let source = target.src_path.as_std_path();
    // From the one file to the other.
    let here = source.parent()?;
    let steps = |below: &Path| here.strip_prefix(below).map(|it| it.components().count());
    let way = match (steps(&folder.join("src")), steps(&folder)) {
        (Ok(0), _) => None,
        (Ok(up), _) => Some("../".repeat(up)),
        (_, Ok(up)) => Some("../".repeat(up) + "src/"),
        _ => None,
    };
    let path = way.map(|way| format!("#[path = \"{way}caches.rs\"]"));
    let mut lines: Vec<_> = path.into_iter().collect();
    if target.is_bin() {
        lines.push("mod caches;".into());
    } else {
        lines.extend(["pub mod caches;".into(), "// in the binary".into()]);
        lines.push(format!("use {}::caches;", target.name.replace('-', "_")));
    }
    Some((project.relative(source), lines))
}
