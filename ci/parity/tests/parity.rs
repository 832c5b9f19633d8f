//! The same answers give the same files, bytes and modes, from the generator and from
//! cargo-generate; and what one refuses the other refuses.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_generate::{GenerateArgs, TemplatePath, Vcs};

#[path = "../../checks/src/variants.rs"]
mod variants;

use variants::Variant;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The generator's binary, built once.
fn generator() -> &'static Path {
    static BINARY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BINARY.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(root()).args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "cached-lambda",
        ]);
        assert!(build.status().unwrap().success());
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
        target.join("debug/cached-lambda")
    })
}

fn with_generator(folder: &Path, name: &str, variant: &Variant) -> bool {
    let answers = tempfile::NamedTempFile::new().unwrap();
    fs::write(&answers, variants::answers(variant)).unwrap();
    let mut new = Command::new(generator());
    new.args(["new", "--vcs", "none", "--yes", "--path"])
        .arg(folder)
        .arg("--answers")
        .arg(answers.path())
        .stderr(Stdio::null());
    new.args(["--", name]).status().unwrap().success()
}

fn with_cargo_generate(source: TemplatePath, folder: &Path, name: &str, variant: &Variant) -> bool {
    let define = variant
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    cargo_generate::generate(GenerateArgs {
        template_path: source,
        name: Some(name.into()),
        destination: Some(folder.into()),
        define: define.collect(),
        silent: true,
        vcs: Some(Vcs::None),
        ..GenerateArgs::default()
    })
    .is_ok()
}

fn path_to(folder: &Path) -> TemplatePath {
    TemplatePath {
        path: Some(folder.display().to_string()),
        ..TemplatePath::default()
    }
}

/// Every file below a folder with its mode and its bytes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                let name = path.strip_prefix(folder).unwrap().to_path_buf();
                files.insert(name, (mode, fs::read(&path).unwrap()));
            }
        }
    }
    files
}

#[track_caller]
fn assert_same(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (tree(ours), tree(theirs));
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    for (name, (mode, bytes)) in &ours {
        let (their_mode, their_bytes) = &theirs[name];
        assert_eq!(mode, their_mode, "{}: modes", name.display());
        let (ours, theirs) = (
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(their_bytes),
        );
        assert_eq!(ours, theirs, "{}", name.display());
    }
    assert!(ours.len() > 40);
}

#[track_caller]
fn assert_both_make(source: &Path, name: &str, made: &str, variant: &Variant) {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(with_generator(ours.path(), name, variant), "{variant:?}");
    let source = path_to(source);
    assert!(with_cargo_generate(source, theirs.path(), name, variant));
    assert_same(&ours.path().join(made), &theirs.path().join(made));
}

/// `cargo generate --path` of a clone: it finds the template itself.
#[test]
fn both_give_the_same_files_from_a_clone() {
    assert_both_make(&root(), "my-quotes", "my-quotes", &variants::defaults());
}

#[test]
fn both_give_the_same_files_for_every_combination() {
    let names = [
        ("my-svc", "my-svc"),
        ("my_svc", "my_svc"),
        ("MyLambda", "my-lambda"),
        ("lambda2s3", "lambda2s3"),
        ("HTTPServer", "http-server"),
    ];
    let variants = variants::product();
    for (index, variant) in variants.iter().enumerate() {
        // Names take turns.
        let (name, folder) = names[index % names.len()];
        assert_both_make(&root().join("template"), name, folder, variant);
    }
    assert!(variants.len() >= 48);
}

/// A repository with the files of this one as they are now, committed or not.
fn repository() -> tempfile::TempDir {
    let clone = tempfile::tempdir().unwrap();
    let git = |folder: &Path, arguments: &[&str]| {
        let settings = [
            "user.name=test",
            "user.email=test@localhost",
            "commit.gpgsign=false",
        ];
        let settings = settings.iter().flat_map(|setting| ["-c", setting]);
        let output = Command::new("git")
            .current_dir(folder)
            .args(settings)
            .args(arguments)
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    for file in git(
        &root(),
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    )
    .split_terminator('\0')
    {
        let (from, to) = (root().join(file), clone.path().join(file));
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
    git(clone.path(), &["init", "--quiet"]);
    git(clone.path(), &["add", "--all"]);
    git(
        clone.path(),
        &["commit", "--quiet", "--message", "as it is"],
    );
    clone
}

/// What people type, with cargo-generate's own binary where it is installed.
#[test]
fn both_give_the_same_files_from_git() {
    let clone = repository();
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let installed = Command::new("cargo-generate").arg("--version").output();
    let binary = match installed {
        Ok(output) if output.status.success() => "cargo-generate",
        _ => env!("CARGO_BIN_EXE_cargo-generate"),
    };
    // Windows' default: what git then makes of the ends of lines is not what is rendered.
    let home = tempfile::tempdir().unwrap();
    let settings = "[core]\nautocrlf = true\n[user]\nname = a\nemail = a@localhost\n";
    fs::write(home.path().join(".gitconfig"), settings).unwrap();
    let mut generate = Command::new(binary);
    generate.env("HOME", home.path());
    generate.args(["generate", "--silent", "--name", "my-quotes", "--git"]);
    generate
        .arg(clone.path())
        .arg("--destination")
        .arg(theirs.path());
    for (name, value) in variants::defaults() {
        generate.arg("--define").arg(format!("{name}={value}"));
    }
    let output = generate.output().unwrap();
    assert!(output.status.success(), "{binary}: {output:?}");
    assert!(with_generator(
        ours.path(),
        "my-quotes",
        &variants::defaults()
    ));
    // Its own repository is git's affair.
    fs::remove_dir_all(theirs.path().join("my-quotes/.git")).unwrap();
    assert_same(
        &ours.path().join("my-quotes"),
        &theirs.path().join("my-quotes"),
    );
}

#[test]
fn both_refuse_the_same_names_and_take_the_same() {
    let (long, longer, grows) = ("a".repeat(40), "a".repeat(41), "Ab".repeat(20));
    // A small template: all that matters here is the hook.
    let small = tempfile::tempdir().unwrap();
    for file in [
        "cargo-generate.toml",
        "check-name.rhai",
        "cached-lambda.toml",
    ] {
        fs::copy(root().join("template").join(file), small.path().join(file)).unwrap();
    }
    let taken = ["my-svc", "MyLambda", "lambda2s3", "console", "x", &long];
    let refused = [
        "1bad", "a b", "../x", "a/b", "con", "CON", "Com1", "lpt9", "con-", "con_", "-a", "_a",
        "é", "аdmin", "a.b", "a\n", "", &longer, &grows,
    ];
    let taken = taken.into_iter().map(|name| (name, true));
    for (name, taken) in taken.chain(refused.into_iter().map(|name| (name, false))) {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let by_us = with_generator(ours.path(), name, &variants::defaults());
        let by_them = with_cargo_generate(
            path_to(small.path()),
            theirs.path(),
            name,
            &variants::defaults(),
        );
        assert_eq!((by_us, by_them), (taken, taken), "{name:?}");
        assert_eq!(
            fs::read_dir(ours.path()).unwrap().count(),
            usize::from(taken),
            "{name:?}"
        );
    }
}

#[test]
fn both_refuse_the_same_values() {
    for (place, value) in [
        ("arch", "aarch64"),
        ("arch", "amd64"),
        ("arch", "ARM64"),
        ("memory_mb", "127"),
        ("memory_mb", "10241"),
        ("memory_mb", "256.5"),
        ("memory_mb", "0x100"),
        ("memory_mb", "0256"),
        ("ttl_policy", "Fixed"),
        ("ttl_policy", "never"),
        ("ttl_seconds", "0"),
        ("ttl_seconds", "86401"),
        ("ttl_seconds", "1.5"),
        ("ttl_seconds", "-1"),
        ("trigger", "url"),
        ("trigger", "function_url"),
        ("trigger", "http"),
        ("iac", "SAM"),
        ("iac", "cdk"),
        ("start", "Quote"),
        ("start", "empty"),
    ] {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut variant = variants::defaults();
        variant.insert(place.into(), value.into());
        assert!(!with_generator(ours.path(), "x", &variant), "{value}");
        let source = path_to(&root().join("template"));
        assert!(
            !with_cargo_generate(source, theirs.path(), "x", &variant),
            "{value}"
        );
    }
}
