//! `cached-lambda add` in projects of many shapes: real ones on disk, which are built afterwards.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;
use std::time::Instant;

use checks::{cached_lambda, cargo, root, succeed};

/// A function that asks one kind, as `add` says how.
const FUNCTION: &str = r#"//! A function.

mod caches;

use lambda_runtime::{run, service_fn, Error, LambdaEvent};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_from_env().await;
    let caches = caches::open(&aws_sdk_dynamodb::Client::new(&config))?;
    run(service_fn(move |event| answer(caches.clone(), event))).await
}

async fn answer(caches: caches::Caches, event: LambdaEvent<String>) -> Result<bool, Error> {
    let invocation = caches::invocation(&caches, &event);
    let found = caches.customers.get(&event.payload, invocation.deadline()).await?;
    Ok(found.is_some())
}
"#;

const BEFORE: &str = "//! A function.\n\nfn main() {}\n";

const AWS: &str = r#"aws-config = { version = "1", default-features = false, features = ["behavior-version-latest", "default-https-client", "rt-tokio"] }
aws-sdk-dynamodb = { version = "1", default-features = false, features = ["behavior-version-latest", "default-https-client", "rt-tokio"] }
"#;
const RUNTIME: &str = r#"lambda_runtime = { version = "1", default-features = false, features = ["concurrency-tokio", "tracing"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
"#;

/// A project on the disk, in a repository where everything is committed.
struct Project(tempfile::TempDir);

impl Project {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        // The versions of the rendered workspace, which are built already.
        fs::copy(
            root().join("template/Cargo.lock"),
            folder.path().join("Cargo.lock"),
        )
        .unwrap();
        Project(folder).committed()
    }

    fn committed(self) -> Self {
        self.git(&["init", "--quiet"]);
        self.git(&["add", "."]);
        let who = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        self.git(&[&who[..], &["commit", "--quiet", "--message=before"]].concat());
        self
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.0.path()).args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Runs it in a folder of the project: what it says, and whether it did what it was asked.
    fn add(&self, folder: &str, arguments: &[&str]) -> (String, bool) {
        let mut add = cached_lambda();
        add.current_dir(self.path(folder))
            .arg("add")
            .args(arguments);
        let output = add
            .args(["--kind", "customers:String:Customer"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (said, output.status.success())
    }

    /// What git says has changed, without what is in cache-core.
    fn changed(&self) -> Vec<String> {
        let status = self.git(&["status", "--porcelain", "--untracked-files=all"]);
        let changed = status.lines().map(|line| line[3..].to_string());
        changed
            .filter(|path| !path.contains("cache-core/"))
            .collect()
    }
}

/// A package's manifest.
fn package(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n{rest}")
}

fn plain(edition: &str) -> String {
    let rest = format!("edition = \"{edition}\"\n\n[dependencies]\n{AWS}{RUNTIME}");
    package("function", &rest)
}

/// A project, where `add` is run in it, with what, and what it changes beside `src/caches.rs`.
struct Shape {
    name: &'static str,
    files: Vec<(&'static str, String)>,
    folder: &'static str,
    arguments: &'static [&'static str],
    /// Of the package, which has its `src/main.rs` there.
    package: &'static str,
    changed: &'static [&'static str],
    says: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            name: "",
            files: Vec::new(),
            folder: "",
            arguments: &[],
            package: "",
            changed: &[".cargo/config.toml", "Cargo.lock", "Cargo.toml"],
            says: "",
        }
    }
}

fn shapes() -> Vec<Shape> {
    let member = |rest: &str| {
        package(
            "function",
            &format!("edition = \"2021\"\n{rest}\n[dependencies]\n{AWS}{RUNTIME}"),
        )
    };
    let other = || package("other", "edition = \"2021\"\n");
    let main = |path: &'static str| (path, BEFORE.to_string());
    vec![
        Shape {
            name: "edition 2018, resolver 1, every form of a key",
            files: vec![("Cargo.toml", plain("2018")), main("src/main.rs")],
            arguments: &[
                "--kind=one:():One",
                "--kind=bytes:Vec<u8>:Bytes",
                "--kind=pairs:(Vec<u8>,String):Pair",
                "--kind=parts:(String,String):Vec<Part>",
                "--kind=numbers:i32:Number",
                "--kind=rows:u8:Vec<Row>",
            ],
            ..Shape::default()
        },
        Shape {
            name: "edition 2024, CRLF, a comment behind each line",
            files: vec![
                ("Cargo.toml", plain("2024").replace('\n', " # mine\r\n")),
                main("src/main.rs"),
            ],
            ..Shape::default()
        },
        Shape {
            name: "profiles of its own, a rust-version below ours",
            files: vec![
                (
                    "Cargo.toml",
                    plain("2021").replace("edition", "rust-version = \"1.70\"\nedition")
                        + "\n[profile.release]\nlto = true\n\n[profile.dev]\ndebug = 0\n",
                ),
                main("src/main.rs"),
            ],
            says: "says that it builds with Rust 1.70.0; with cache-core it takes 1.94.1",
            ..Shape::default()
        },
        Shape {
            name: "a virtual workspace, from its root",
            files: vec![
                (
                    "Cargo.toml",
                    "[workspace]\nresolver = \"2\"\nmembers = [\n    \"other\",    # first\n    \"function\" # last\n]\n".into(),
                ),
                ("function/Cargo.toml", member("")),
                main("function/src/main.rs"),
                ("other/Cargo.toml", other()),
                main("other/src/main.rs"),
            ],
            package: "function/",
            changed: &[".cargo/config.toml", "Cargo.lock", "Cargo.toml", "function/Cargo.toml"],
            ..Shape::default()
        },
        Shape {
            name: "a root package with members, from a member's folder",
            files: vec![
                (
                    "Cargo.toml",
                    format!("{}\n[workspace]\nmembers = [\"function\"]\n", other()),
                ),
                main("src/main.rs"),
                ("function/Cargo.toml", member("")),
                main("function/src/main.rs"),
            ],
            folder: "function/src",
            package: "function/",
            changed: &[".cargo/config.toml", "Cargo.lock", "Cargo.toml", "function/Cargo.toml"],
            ..Shape::default()
        },
        Shape {
            name: "a glob that takes it in, two levels down",
            files: vec![
                (
                    "Cargo.toml",
                    "[workspace]\nresolver = \"2\"\nmembers = [\"c*\", \"functions/*\"]\nexclude = [\"functions/old\"]\n".into(),
                ),
                ("functions/function/Cargo.toml", member("")),
                main("functions/function/src/main.rs"),
                ("common/Cargo.toml", package("common", "edition = \"2021\"\n")),
                ("common/src/lib.rs", String::new()),
                ("functions/old/Cargo.toml", "no longer".into()),
            ],
            arguments: &["--package", "function"],
            package: "functions/function/",
            changed: &[".cargo/config.toml", "Cargo.lock", "functions/function/Cargo.toml"],
            ..Shape::default()
        },
        Shape {
            name: "a workspace that leaves it out, inside of another one",
            files: vec![
                ("Cargo.toml", "[workspace]\nresolver = \"2\"\nexclude = [\"inner\"]\n".into()),
                (
                    "inner/Cargo.toml",
                    "[workspace]\nresolver = \"2\"\nmembers = [\"function\"]\nexclude = [\"cache-core\"]\n".into(),
                ),
                ("inner/function/Cargo.toml", member("")),
                main("inner/function/src/main.rs"),
            ],
            folder: "inner",
            package: "inner/function/",
            changed: &["inner/.cargo/config.toml", "inner/Cargo.lock", "inner/function/Cargo.toml"],
            ..Shape::default()
        },
        Shape {
            name: "lints that deny",
            files: vec![
                (
                    "Cargo.toml",
                    "[workspace]\nresolver = \"3\"\nmembers = [\"function\"]\n\n[workspace.lints]\nrust = { warnings = \
                     \"deny\", missing_docs = \"deny\", unsafe_code = \"forbid\" }\nclippy = { all = \"deny\", \
                     unwrap_used = \"deny\", expect_used = \"deny\", panic = \"deny\" }\n"
                        .into(),
                ),
                (
                    "function/Cargo.toml",
                    member("") + "\n[lints]\nworkspace = true\n",
                ),
                main("function/src/main.rs"),
            ],
            package: "function/",
            changed: &[".cargo/config.toml", "Cargo.lock", "Cargo.toml", "function/Cargo.toml"],
            ..Shape::default()
        },
        Shape {
            name: "dependencies of a workspace: the oldest SDK, less of each than is needed",
            files: vec![
                (
                    "Cargo.toml",
                    format!(
                        "[workspace]\nresolver = \"2\"\nmembers = [\"function\"]\n\n[workspace.dependencies]\n{}{RUNTIME}\
                         moka = {{ version = \"0.12\", features = [\"future\"] }}\nserde = \"1.0.200\"\nmem_dbg = \"0.4\"\n",
                        // The oldest SDK that cache-core takes.
                        AWS.replace("aws-sdk-dynamodb = { version = \"1\"", "aws-sdk-dynamodb = { version = \"=1.60.0\"")
                            .replace(", \"default-https-client\"", "")
                    ),
                ),
                (
                    "function/Cargo.toml",
                    package(
                        "function",
                        "edition = \"2021\"\n\n[dependencies]\naws-config.workspace = true\naws-sdk-dynamodb.workspace = \
                         true\nlambda_runtime.workspace = true\nmoka.workspace = true\ntokio.workspace = true\n",
                    ),
                ),
                main("function/src/main.rs"),
            ],
            package: "function/",
            changed: &[".cargo/config.toml", "Cargo.lock", "Cargo.toml", "function/Cargo.toml"],
            ..Shape::default()
        },
        Shape {
            name: "crates under other names, inline tables",
            files: vec![
                (
                    "Cargo.toml",
                    "package = { name = \"function\", version = \"0.1.0\", edition = \"2021\" }\n".to_string()
                        + &format!("[dependencies]\n{AWS}{RUNTIME}encoding = {{ package = \"serde\", version = \"1\" }}\n")
                            .replace("aws-sdk-dynamodb = {", "dynamo = { package = \"aws-sdk-dynamodb\",")
                            .replace("lambda_runtime = {", "runtime = { package = \"lambda_runtime\","),
                ),
                main("src/main.rs"),
            ],
            ..Shape::default()
        },
        Shape {
            name: "a configuration with the older name, and other variables",
            files: vec![
                ("Cargo.toml", plain("2021")),
                (".cargo/config", "env = { RUST_BACKTRACE = \"1\" } # mine\n".into()),
                main("src/main.rs"),
            ],
            changed: &[".cargo/config", "Cargo.lock", "Cargo.toml"],
            ..Shape::default()
        },
        Shape {
            name: "a configuration that has the variable",
            files: vec![
                ("Cargo.toml", plain("2021")),
                (".cargo/config.toml", "[env]\nAWS_LC_SYS_NO_JITTER_ENTROPY = { value = \"0\" }\n".into()),
                main("src/main.rs"),
            ],
            changed: &["Cargo.lock", "Cargo.toml"],
            says: ".cargo/config.toml sets AWS_LC_SYS_NO_JITTER_ENTROPY, and was left alone",
            ..Shape::default()
        },
    ]
}

/// From this repository, as it is committed.
#[test]
fn instead_of_a_copy_there_can_be_a_dependency_on_a_repository() {
    let project = Project::of(&[("Cargo.toml", &plain("2021")), ("src/main.rs", BEFORE)]);
    let url = format!("file://{}", root().canonicalize().unwrap().display());
    let (said, succeeded) = project.add("", &["--git", &url]);
    assert!(succeeded, "{said}");
    assert!(
        project
            .read("Cargo.toml")
            .contains(&format!("cache-core = {{ git = {url:?} }}"))
    );
    assert!(!project.path("cache-core").exists());
    let (said, _) = project.add("", &["--allow-dirty"]);
    assert!(said.contains("function has the cache already"), "{said}");
    let metadata = ["metadata", "--locked", "--format-version=1"];
    assert!(
        cargo(&project.path(""), &metadata)
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn the_cache_goes_into_projects_of_many_shapes_and_each_builds() {
    println!("| shape | changed | said | built in |\n|---|---|---|---|");
    for shape in shapes() {
        let files: Vec<_> = shape
            .files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let project = Project::of(&files);
        if shape.folder == "inner" {
            fs::rename(project.path("Cargo.lock"), project.path("inner/Cargo.lock")).unwrap();
            project.git(&["add", "--all"]);
            project.git(&[
                "-c",
                "user.name=x",
                "-c",
                "user.email=x@example.com",
                "commit",
                "-qm",
                "lock",
            ]);
        }
        let (said, succeeded) = project.add(shape.folder, shape.arguments);
        assert!(succeeded, "{}: {said}", shape.name);
        assert!(said.contains(shape.says), "{}: {said}", shape.name);
        let caches = format!("{}src/caches.rs", shape.package);
        let mut expected: Vec<_> = shape.changed.iter().map(|it| it.to_string()).collect();
        expected.push(caches.clone());
        let mut changed = project.changed();
        changed.sort();
        expected.sort();
        assert_eq!(changed, expected, "{}", shape.name);

        let after = project.git(&["diff"]);
        let (said, succeeded) = project.add(
            shape.folder,
            &[shape.arguments, &["--allow-dirty"]].concat(),
        );
        assert!(
            succeeded && said.contains("nothing was changed"),
            "{}: {said}",
            shape.name
        );
        assert_eq!(project.git(&["diff"]), after, "{}", shape.name);

        let mut function = FUNCTION.to_string();
        if project.read(&caches).contains("use dynamo::Client;") {
            function = function
                .replace("aws_sdk_dynamodb::", "dynamo::")
                .replace("lambda_runtime::", "runtime::");
        }
        let main = format!("{}src/main.rs", shape.package);
        fs::write(
            project.path(&main),
            format!("#![deny(warnings)]\n{function}"),
        )
        .unwrap();
        let folder = project.path(shape.folder);
        let start = Instant::now();
        succeed(&mut cargo(
            &folder,
            &["build", "--quiet", "--workspace", "--locked"],
        ));
        let seconds = start.elapsed().as_secs();
        println!(
            "| {} | {} | {} | {seconds} s |",
            shape.name,
            shape.changed.join(", "),
            shape.says
        );
        if shape.name.contains("lints") {
            let clippy = [
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--locked",
            ];
            succeed(&mut cargo(&folder, &clippy));
        }
    }
}
