//! `upgrade`: workspaces as earlier releases made them, with what their owners did, and nothing of that is lost. What
//! becomes of each file is tested where it is decided, in `src/upgrade.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::add::{commit, git, tree};
use crate::{fails, run, succeeds};

/// The workspaces that releases made: `new my-items --start minimal`. One is added with each release.
fn releases() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/releases");
    let archives = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let named = archives.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.trim_end_matches(".tar.gz").to_string(), path)
    });
    let releases: Vec<_> = named.collect();
    assert!(!releases.is_empty());
    releases
}

/// The workspace of a release in `folder`, all of it committed.
fn made_by(archive: &Path, folder: &Path) -> PathBuf {
    let workspace = folder.join("my-items");
    fs::create_dir(&workspace).unwrap();
    let archive = flate2::read::GzDecoder::new(fs::File::open(archive).unwrap());
    tar::Archive::new(archive).unpack(&workspace).unwrap();
    commit(&workspace);
    workspace
}

fn oldest(folder: &Path) -> PathBuf {
    let archive = releases().into_iter().min().unwrap().1;
    made_by(&archive, folder)
}

fn edit(file: &Path, edit: impl Fn(String) -> String) {
    let before = fs::read_to_string(file).unwrap();
    let after = edit(before.clone());
    assert_ne!(before, after, "{}", file.display());
    fs::write(file, after).unwrap();
}

#[test]
fn what_was_never_changed_becomes_what_is_made_today() {
    for (release, archive) in releases() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = made_by(&archive, folder.path());
        let (printed, said) = succeeds(&workspace, &["upgrade"]);
        assert_eq!(printed, "");
        assert!(said.contains("upgraded\n"), "{said}");
        assert!(
            said.contains(&format!("new since {release}:\n\n## ")),
            "{said}"
        );
        let today = folder.path().join("today");
        fs::create_dir(&today).unwrap();
        let new = [
            "new", "my-items", "--start", "minimal", "--vcs", "none", "--quiet",
        ];
        succeeds(&today, &new);
        let relative = |root: &Path| -> Vec<_> {
            let files = tree(root).into_iter();
            files
                .map(|(path, it)| (path.strip_prefix(root).unwrap().to_path_buf(), it))
                .collect()
        };
        assert_eq!(
            relative(&workspace),
            relative(&today.join("my-items")),
            "{release}"
        );
        commit(&workspace);
        let (_, said) = succeeds(&workspace, &["upgrade"]);
        assert_eq!(said, "all is up to date; nothing was changed\n");
    }
}

#[test]
fn nothing_of_what_an_owner_did_is_lost() {
    for (release, archive) in releases() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = made_by(&archive, folder.path());
        let at = |path: &str| workspace.join(path);
        // One more kind, another README, no alarm on throttles, no cfn-lint, a function and a lockfile of its own.
        edit(&at("handler/src/domain.rs"), |text| {
            let kind = "        orders: Items<u64, Item> = table.item(|id| *id);\n";
            let (before, after) = text.split_once("table.item(").unwrap();
            let (line, after) = after.split_once('\n').unwrap();
            format!("{before}table.item({line}\n{kind}{after}")
        });
        fs::write(at("README.md"), "# Ours\n\nAsk the team.\n").unwrap();
        edit(&at("infra/sam/template.yaml"), |text| {
            let start = text.find("\n  ThrottleAlarm:").unwrap();
            let end = start + 1 + text[start + 1..].find("\n  D").unwrap();
            text[..start].to_string() + &text[end..]
        });
        fs::remove_file(at(".github/cfn-lint.txt")).unwrap();
        fs::create_dir_all(at("price/src")).unwrap();
        fs::write(at("price/src/main.rs"), "fn main() {}\n").unwrap();
        edit(&at("Cargo.toml"), |text| {
            text.replace("\"handler\"]", "\"handler\", \"price\"]")
        });
        edit(&at("Cargo.lock"), |text| text + "# ours\n");
        commit(&workspace);
        let kept = [
            "handler/src/domain.rs",
            "price/src/main.rs",
            "Cargo.lock",
            "infra/sam/template.yaml",
        ];
        let before = kept.map(|path| fs::read_to_string(at(path)).unwrap());

        let dry = run(&workspace, &["upgrade", "--dry-run"]);
        let output = run(&workspace, &["upgrade"]);
        let said = String::from_utf8(output.stderr).unwrap();
        // Of the README all was changed on both sides, which is for its owner to settle.
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(dry.status.code(), Some(1), "{release}");
        assert!(
            said.contains("error: to be settled by hand: README.md\n"),
            "{said}"
        );
        let readme = fs::read_to_string(at("README.md")).unwrap();
        assert!(
            readme.contains("<<<<<<< yours") && readme.contains("Ask the team."),
            "{readme}"
        );
        let diff = String::from_utf8(dry.stdout).unwrap();
        assert!(diff.contains("+<<<<<<< yours"), "{diff}");
        assert!(!at(".github/cfn-lint.txt").exists());
        for (path, before) in kept.iter().zip(before) {
            let after = fs::read_to_string(at(path)).unwrap();
            for line in before
                .lines()
                .filter(|it| it.contains("orders:") || it.contains("# ours"))
            {
                assert!(after.contains(line), "{path}");
            }
        }
        let infra = fs::read_to_string(at("infra/sam/template.yaml")).unwrap();
        assert!(!infra.contains("\n  ThrottleAlarm:"));
        assert!(
            fs::read_to_string(at("Cargo.toml"))
                .unwrap()
                .contains("\"price\"]")
        );
        // Once it is settled there is nothing more to do.
        fs::write(at("README.md"), "# Ours\n").unwrap();
        commit(&workspace);
        succeeds(&workspace, &["upgrade"]);
    }
}

#[test]
fn what_is_not_committed_is_not_touched_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = oldest(folder.path());
    fs::write(workspace.join("notes"), "").unwrap();
    let before = tree(&workspace);
    let (error, code) = fails(&workspace, &["upgrade"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("changes that are not committed: notes"),
        "{error}"
    );
    // A look at it does no harm.
    let (diff, _) = succeeds(&workspace, &["upgrade", "--dry-run"]);
    assert_eq!(tree(&workspace), before);
    fs::remove_dir_all(workspace.join(".git")).unwrap();
    let (error, code) = fails(&workspace, &["upgrade"]);
    assert_eq!(code, 1);
    assert!(error.contains("is in no git repository"), "{error}");
    assert!(
        error.contains("tip: `git init`, `git add .` and `git commit` first"),
        "{error}"
    );
    assert_eq!(tree(&workspace), before);
    // In a repository around it, from a folder in it: the diff does what the upgrade does.
    commit(folder.path());
    succeeds(&workspace.join("handler/src"), &["upgrade", "--quiet"]);
    let upgraded = tree(&workspace);
    git(folder.path(), &["checkout", "--quiet", "."]);
    git(folder.path(), &["clean", "--quiet", "--force", "-d"]);
    fs::write(folder.path().join("diff"), diff).unwrap();
    git(folder.path(), &["apply", "--directory=my-items", "diff"]);
    assert_eq!(tree(&workspace), upgraded);
}

#[test]
fn a_template_of_no_release_has_its_base_in_a_commit_or_comes_beside() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = oldest(folder.path());
    let record = workspace.join("cached-lambda.toml");
    edit(&record, |text| {
        let hash = text.split("template-hash = \"").nth(1).unwrap();
        text.replace(&hash[..40], &"0".repeat(40))
    });
    commit(&workspace);
    edit(&workspace.join("README.md"), |text| {
        format!("{text}\nOurs.\n")
    });
    let readme = fs::read(workspace.join("README.md")).unwrap();
    commit(&workspace);
    let recorded = fs::read(&record).unwrap();

    let output = run(&workspace, &["upgrade", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let to_settle = report["to_settle"].as_array().unwrap();
    assert!(to_settle.contains(&"README.md".into()), "{report}");
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("cached-lambda upgrade --base "), "{note}");
    assert_eq!(fs::read(workspace.join("README.md")).unwrap(), readme);
    assert!(workspace.join("README.md.new").exists());
    git(&workspace, &["clean", "--quiet", "--force"]);
    git(&workspace, &["checkout", "--quiet", "."]);
    assert_eq!(fs::read(&record).unwrap(), recorded);

    for (commit, said) in [
        ("nonsense", "it has no cached-lambda.toml"),
        ("HEAD~2", "it is of another template"),
    ] {
        let (error, code) = fails(&workspace, &["upgrade", "--base", commit]);
        assert_eq!(code, 1);
        assert!(error.contains(said), "{error}");
    }
    succeeds(&workspace, &["upgrade", "--quiet", "--base", "HEAD~1"]);
    let merged = fs::read_to_string(workspace.join("README.md")).unwrap();
    assert!(
        merged.ends_with("\nOurs.\n") && merged.contains("## Stay up to date"),
        "{merged}"
    );
}

#[test]
fn what_cannot_be_upgraded_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (error, code) = fails(folder.path(), &["upgrade"]);
    assert_eq!(code, 1);
    assert!(error.contains("no cached-lambda.toml in "), "{error}");
    let workspace = oldest(folder.path());
    let record = workspace.join("cached-lambda.toml");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(
        &record,
        text.replace(
            "template-version = \"0.1.0\"",
            "template-version = \"9.0.0\"",
        ),
    )
    .unwrap();
    let (error, _) = fails(&workspace, &["upgrade"]);
    assert!(
        error.contains("is of 9.0.0, which is newer than this"),
        "{error}"
    );
    assert!(error.contains("tip: install the newest"), "{error}");
    fs::write(&record, text.replace("memory_mb = 256", "memory_mb = 1")).unwrap();
    let (error, _) = fails(&workspace, &["upgrade"]);
    assert!(
        error.contains("line 6, \"memory_mb\" is \"1\": allowed is"),
        "{error}"
    );
    // What was no parameter then.
    fs::write(&record, text.replace("iac = \"sam\"\n", "")).unwrap();
    let (_, said) = succeeds(&workspace, &["upgrade", "--dry-run"]);
    assert!(
        said.contains("note: the parameter iac is new, and is sam"),
        "{said}"
    );
}

#[test]
fn a_vendored_cache_core_is_upgraded_wherever_it_was_added() {
    let folder = tempfile::tempdir().unwrap();
    let made = oldest(folder.path());
    let project = folder.path().join("project");
    fs::create_dir_all(project.join("src")).unwrap();
    fs::rename(made.join("cache-core"), project.join("cache-core")).unwrap();
    let record = fs::read_to_string(made.join("cached-lambda.toml")).unwrap();
    let identity: Vec<_> = record
        .lines()
        .filter(|line| line.starts_with("template-"))
        .collect();
    fs::write(
        project.join("cache-core/cached-lambda.toml"),
        identity.join("\n"),
    )
    .unwrap();
    fs::write(project.join("Cargo.toml"), "[package]\nname = \"mine\"\n").unwrap();
    fs::write(project.join("README.md"), "mine\n").unwrap();
    edit(&project.join("cache-core/src/lib.rs"), |text| {
        text + "// Ours.\n"
    });
    commit(&project);
    for from in ["cache-core/src", "src"] {
        let (json, _) = succeeds(&project.join(from), &["upgrade", "--json", "--dry-run"]);
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        let files = report["files"].as_array().unwrap().iter();
        let mut files = files.map(|it| it["path"].as_str().unwrap());
        assert!(
            files.all(|path| path.starts_with("cache-core/")),
            "{report}"
        );
    }
    succeeds(&project, &["upgrade", "--quiet"]);
    let record = fs::read_to_string(project.join("cache-core/cached-lambda.toml")).unwrap();
    assert!(record.contains("`cached-lambda add`"), "{record}");
    let template = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../template/cache-core/src/lib.rs"
    );
    let merged = fs::read_to_string(template).unwrap() + "// Ours.\n";
    assert_eq!(
        fs::read_to_string(project.join("cache-core/src/lib.rs")).unwrap(),
        merged
    );
    assert_eq!(
        fs::read_to_string(project.join("README.md")).unwrap(),
        "mine\n"
    );
}
