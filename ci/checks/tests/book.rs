//! The book is true. Of each page, in an empty folder of its own, the shell blocks run in their order,
//! print what the page says, and what its files and diffs make is built by them.
//!
//! Marks behind a block's language, such as `sh,account`, are explained in docs/src/contributing.md.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use checks::{root, target};
use regex::Regex;

/// What stands between fences.
struct Block {
    /// The page and the line, for people.
    place: String,
    language: String,
    /// A mark and its value, if it has one.
    mark: Option<(String, String)>,
    text: String,
}

impl Block {
    fn mark(&self) -> Option<(&str, &str)> {
        let (mark, value) = self.mark.as_ref()?;
        Some((mark, value))
    }
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(root().join("docs/src").join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(fence) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        // Blocks in lists are indented.
        let indent = line.len() - line.trim_start().len();
        let (language, mark) = match fence.split_once(',') {
            None => (fence, None),
            Some((language, mark)) => {
                let (mark, value) = mark.split_once('=').unwrap_or((mark, ""));
                (language, Some((mark.into(), value.into())))
            }
        };
        let inside = lines.by_ref().map(|(_, line)| line);
        let inside = inside.take_while(|line| line.trim_start() != "```");
        let text = inside.fold(String::new(), |text, line| {
            text + line.get(indent..).unwrap_or_default() + "\n"
        });
        blocks.push(Block {
            place: format!("docs/src/{}:{}", page.display(), number + 1),
            language: language.into(),
            mark,
            text,
        });
    }
    blocks
}

/// As the summary names them.
fn pages() -> Vec<PathBuf> {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    let link = Regex::new(r"\]\((.+?)\)").unwrap();
    let pages = link.captures_iter(&summary);
    pages.map(|found| PathBuf::from(&found[1])).collect()
}

/// A command of a `console` block, and what the page says that it prints.
struct Shown {
    place: String,
    command: String,
    prints: String,
}

fn shown(block: &Block) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let mut goes_on = false;
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Shown {
                place: block.place.clone(),
                command: command.into(),
                prints: String::new(),
            }),
            (None, Some(last)) if goes_on => last.command = format!("{}\n{line}", last.command),
            (None, Some(last)) => last.prints += &format!("{line}\n"),
            (None, None) => panic!("{}: no command", block.place),
        }
        goes_on = line.ends_with('\\');
    }
    all
}

/// Three dots stand for anything: on a line of their own for any lines.
fn is_printed(expected: &str, printed: &str) -> bool {
    let lines = expected.lines().map(|line| match line {
        "..." => r"(?:.*\n)*".to_string(),
        line => regex::escape(line).replace(r"\.\.\.", ".*") + r"\n",
    });
    let pattern = format!("^{}$", lines.collect::<String>());
    Regex::new(&pattern).unwrap().is_match(printed)
}

/// One shell script of a page's blocks. What its commands print goes to files in `out`, by number.
fn script(blocks: &[Block], out: &Path) -> (String, Vec<Shown>) {
    let (mut script, mut all_shown) = (String::from("set -euo pipefail\n"), Vec::new());
    let out = out.display();
    for block in blocks {
        let Block { place, text, .. } = block;
        // Writing to a string cannot fail.
        let _ = match (block.language.as_str(), block.mark()) {
            ("sh", None) => write!(script, "echo '{place}' >&2\n{text}"),
            ("sh", Some(("background", port))) => write!(
                script,
                "setsid bash -c '{text}' >{out}/background.log 2>&1 </dev/null &\n\
                 echo $! >>{out}/background\n\
                 for _ in $(seq 600); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done\n"
            ),
            ("console", None) => {
                for shown in shown(block) {
                    let number = all_shown.len();
                    let command = &shown.command;
                    // What it exits with is seen by what it prints.
                    let _ = write!(script, "{{\n{command}\n}} >{out}/{number} 2>&1 || true\n");
                    all_shown.push(shown);
                }
                Ok(())
            }
            ("diff", None) => write!(script, "git apply - <<'END OF DIFF'\n{text}END OF DIFF\n"),
            (_, Some(("file", path))) => write!(
                script,
                "mkdir -p \"$(dirname {path})\"\ncat >{path} <<'END OF FILE'\n{text}END OF FILE\n"
            ),
            _ => panic!("{place}: nothing checks this block"),
        };
    }
    (script, all_shown)
}

/// Blocks that are checked where they stand, or somewhere else; false for all others.
fn is_checked_in_place(block: &Block) -> bool {
    let Block { place, text, .. } = block;
    match (block.language.as_str(), block.mark()) {
        ("sh", Some(("account", ""))) => {
            let syntax = Command::new("bash").args(["-n", "-c", text]).status();
            assert!(syntax.unwrap().success(), "{place}");
        }
        ("sh", Some(("by", file))) => assert!(root().join(file).exists(), "{place}"),
        ("rust", Some(("by", file))) => {
            let source = fs::read_to_string(root().join(file)).unwrap();
            let comments = source.lines().filter_map(|line| {
                let line = line.trim_start();
                line.strip_prefix("//!").or(line.strip_prefix("///"))
            });
            let comments: String = comments
                .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
                .collect();
            assert!(comments.contains(text), "{place} is not in {file}");
        }
        ("json", None) => {
            let json: Result<serde_json::Value, _> = serde_json::from_str(text);
            assert!(json.is_ok(), "{place}: {json:?}");
        }
        // What another test has recorded.
        ("console", None) if text.starts_with("{{#include ") => {}
        _ => return false,
    }
    true
}

fn run(page: &Path, blocks: &[Block]) {
    // They use the same ports.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let (home, out) = (folder.path().join("home"), folder.path().join("out"));
    for folder in [&home, &out] {
        fs::create_dir(folder).unwrap();
    }
    let (script, all_shown) = script(blocks, &out);
    let containers = containers(&script);
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(&home);
    // The generator, and cargo-lambda.
    let path = format!(
        "{}:{}:{}",
        target().join("debug").display(),
        root().join("target/ci/python/bin").display(),
        std::env::var("PATH").unwrap()
    );
    bash.env("PATH", path).env("CARGO_TERM_COLOR", "never");
    bash.env("CACHED_LAMBDA", root().canonicalize().unwrap());
    for who in ["GIT_AUTHOR", "GIT_COMMITTER"] {
        bash.env(format!("{who}_NAME"), "a reader")
            .env(format!("{who}_EMAIL"), "reader@example.com");
    }
    let status = checks::builds_as_a_user(&mut bash).status().unwrap();
    for group in fs::read_to_string(out.join("background"))
        .unwrap_or_default()
        .lines()
    {
        let group = format!("-{group}");
        Command::new("kill").args(["--", &group]).status().unwrap();
    }
    for container in containers {
        let remove = ["rm", "--force", &container];
        Command::new("docker").args(remove).output().unwrap();
    }
    let background = fs::read_to_string(out.join("background.log")).unwrap_or_default();
    for (number, shown) in all_shown.iter().enumerate() {
        let Shown {
            place,
            command,
            prints,
        } = shown;
        let mut printed = fs::read_to_string(out.join(number.to_string())).unwrap_or_default();
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push('\n');
        }
        assert!(
            is_printed(prints, &printed),
            "{place}: `{command}` prints\n{printed}\ninstead of\n{prints}\n{background}"
        );
    }
    assert!(status.success(), "{}: {status}", page.display());
}

/// The names of the containers that a script starts. None of them may be somebody else's.
fn containers(script: &str) -> Vec<String> {
    let name = Regex::new(r"docker run .*--name (\S+)").unwrap();
    let names = name.captures_iter(script).map(|found| found[1].to_string());
    names
        .inspect(|name| {
            let filter = format!("name=^/{name}$");
            let list = ["ps", "--all", "--quiet", "--filter", &filter];
            let list = Command::new("docker").args(list).output().unwrap();
            assert!(
                list.stdout.is_empty(),
                "there is a container `{name}`: remove it"
            );
        })
        .collect()
}

#[test]
fn what_the_book_shows_runs_and_prints_what_it_says() {
    let build = ["build", "--quiet", "--locked", "--package", "cached-lambda"];
    let built = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(build)
        .status();
    assert!(built.unwrap().success());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for page in pages() {
        let (elsewhere, here): (Vec<_>, Vec<_>) =
            blocks(&page).into_iter().partition(is_checked_in_place);
        for block in elsewhere.iter().chain(&here) {
            let mark = block.mark().map(|(mark, _)| format!(",{mark}"));
            let kind = format!("{}{}", block.language, mark.unwrap_or_default());
            *counts.entry(kind).or_default() += 1;
        }
        // The command line's page is recorded by a test of the generator.
        if page.ends_with("command-line.md") {
            continue;
        }
        if !here.is_empty() {
            run(&page, &here);
        }
    }
    println!("blocks: {counts:?}");
}

/// With each trigger, as the commands of its README.md stand there.
#[test]
fn a_workspace_runs_locally_as_its_readme_says() {
    for (trigger, start, answer) in [
        ("direct", "quote", r#""total_cents":3824"#),
        ("function-url", "quote", r#""total_cents":3824"#),
        ("http-api", "minimal", r#""name":"Anvil""#),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let chosen = ["--trigger", trigger, "--start", start];
        let workspace = checks::render(folder.path(), "my-readme", &chosen);
        let mut blocks = blocks(&workspace.join("README.md"));
        let watch = "cargo lambda watch\n";
        let first = blocks.iter().position(|block| block.text.ends_with(watch));
        blocks.drain(..first.unwrap());
        let mut blocks = blocks.into_iter();
        let (mut prepare, mut ask) = (blocks.next().unwrap(), blocks.next().unwrap());
        prepare.text = format!(
            "cd {}\n{}",
            workspace.display(),
            prepare.text.replace(watch, "")
        );
        let serve = Block {
            place: prepare.place.clone(),
            language: "sh".into(),
            mark: Some(("background".into(), "9000".into())),
            text: watch.into(),
        };
        ask.language = "console".into();
        let commands = ask.text.lines().map(|line| match line {
            "docker stop dynamodb" => format!("$ {line}\ndynamodb\n"),
            // In it, or beside it, curl tells how far it is.
            line => format!("$ {line}\n...\n...{answer}...\n...\n"),
        });
        ask.text = commands.collect();
        run(&workspace, &[prepare, serve, ask]);
    }
}

#[test]
fn three_dots_stand_for_anything() {
    assert!(is_printed("a\n...\nc ... e\n", "a\nb\nb\nc d e\n"));
    assert!(is_printed("a\n...\n", "a\n"));
    assert!(!is_printed("a\n", "a\nb\n"));
    assert!(!is_printed("a.c\n", "abc\n"));
}

#[test]
fn every_link_of_the_built_book_leads_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut build = Command::new(root().join("ci/site"));
    let built = build.arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && !said.contains("WARN"), "{said}");

    let link = Regex::new(r#"(?:href|src)="([^"]+)""#).unwrap();
    let mut followed = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "html") {
            continue;
        }
        let html = fs::read_to_string(&file).unwrap();
        for target in link.captures_iter(&html).map(|found| found[1].to_string()) {
            // Others' sites are not asked: the tests stay on this machine.
            if target.contains(':') {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let to = if path.is_empty() {
                file.clone()
            } else {
                folder.path().join(path)
            };
            assert!(to.exists(), "{}: {target}", file.display());
            if !heading.is_empty() {
                let id = format!("id=\"{heading}\"");
                let html = fs::read_to_string(&to).unwrap();
                assert!(html.contains(&id), "{}: {target}", file.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 100, "{followed}");
}
