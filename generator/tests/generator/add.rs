//! `add`: what it refuses before anything is written, and what it leaves as it was. That what it makes is built,
//! in projects of many shapes, `ci/checks/tests/add.rs` shows.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use snapbox::{assert_data_eq, str};

use crate::{fails, generator, run, succeeds};

const KIND: [&str; 2] = ["--kind", "customers:String:Customer"];

/// A crate of a Lambda function, with nothing of the cache.
fn function(folder: &Path, dependencies: &str) {
    let manifest = format!(
        "[package]\nname = \"function\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n{dependencies}"
    );
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/main.rs"), "fn main() {}\n").unwrap();
}

const DEPENDENCIES: &str =
    "aws-sdk-dynamodb = { version = \"1\", default-features = false }\nlambda_runtime = \"1\"\n";

pub fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@example.com"]);
    let output = git.current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

pub fn commit(folder: &Path) {
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message=before"]);
}

/// Every file, link and folder, with its contents.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == ".git" {
            continue;
        }
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            tree.extend(self::tree(&path));
        }
        tree.insert(path.clone(), fs::read(&path).unwrap_or_default());
    }
    tree
}

/// What `add` says where it refuses, and everything is as it was.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let before = tree(folder);
    let (error, code) = fails(folder, &[&["add"], arguments].concat());
    assert_eq!(code, 1, "{error}");
    assert_eq!(tree(folder), before, "{error}");
    error
}

#[test]
fn what_cannot_go_together_is_told_with_both_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    function(
        folder.path(),
        "aws-sdk-dynamodb = \"0.34\"\nlambda_runtime = \"0.8\"\n",
    );
    assert_data_eq!(
        refused(folder.path(), &KIND),
        str![[r#"
error: Cargo.toml depends on aws-sdk-dynamodb ^0.34, and cache-core needs 1.60; nothing was changed

  tip: allow aws-sdk-dynamodb 1.60 there, below 2, and mend what the build says then

"#]]
    );
    for (dependencies, said) in [
        (
            "aws-sdk-dynamodb = \"=1.40.0\"",
            "aws-sdk-dynamodb =1.40.0, and cache-core needs 1.60",
        ),
        (
            "tokio = \"~1.20\"",
            "tokio ~1.20, and cache-core needs 1.38",
        ),
        (
            "mem_dbg = \"0.3\"",
            "mem_dbg ^0.3, and cache-core needs 0.4.4",
        ),
        (
            "cache-core = \"3\"",
            "Cargo.toml has a package `cache-core` that is another one",
        ),
    ] {
        function(folder.path(), dependencies);
        let error = refused(folder.path(), &KIND);
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_version_of_the_workspace_below_the_least_is_told() {
    let folder = tempfile::tempdir().unwrap();
    function(&folder.path().join("function"), "lambda_runtime = \"1\"\n");
    let root = "[workspace]\nmembers = [\"function\"]\n[workspace.dependencies]\naws-sdk-dynamodb = \"~1.50\"\n";
    fs::write(folder.path().join("Cargo.toml"), root).unwrap();
    assert_data_eq!(
        refused(folder.path(), &KIND),
        str![[r#"
error: Cargo.toml, by [workspace.dependencies], depends on aws-sdk-dynamodb ~1.50, and cache-core needs 1.60; nothing was changed

  tip: allow aws-sdk-dynamodb 1.60 there, below 2, and mend what the build says then

"#]]
    );
}

#[test]
fn what_is_there_and_is_another_one_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    function(folder.path(), DEPENDENCIES);
    fs::write(folder.path().join("src/caches.rs"), "// mine\n").unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(
        error.contains("caches.rs is another one; nothing was changed"),
        "{error}"
    );
    assert!(error.contains("tip: give it another name first"), "{error}");
    fs::remove_file(folder.path().join("src/caches.rs")).unwrap();
    for make in [
        |path: &Path| fs::write(path, ""),
        |path: &Path| fs::create_dir(path),
        |path: &Path| symlink("nowhere", path),
    ] {
        let path = folder.path().join("cache-core");
        make(&path).unwrap();
        let error = refused(folder.path(), &KIND);
        assert!(error.contains("cache-core is another one"), "{error}");
        let _ = fs::remove_dir(&path);
        let _ = fs::remove_file(&path);
    }
    // A member of the workspace that has the name.
    function(&folder.path().join("crates/core"), "");
    let manifest = folder.path().join("crates/core/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"function\"", "\"cache-core\"")).unwrap();
    let root = folder.path().join("Cargo.toml");
    let text = fs::read_to_string(&root).unwrap();
    fs::write(&root, text + "[workspace]\nmembers = [\"crates/*\"]\n").unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(
        error.contains("crates/core/Cargo.toml has a package `cache-core`"),
        "{error}"
    );
}

#[test]
fn which_package_is_meant_is_asked_for_where_it_does_not_follow() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(error.contains("no Cargo.toml in"), "{error}");
    for name in ["one", "two"] {
        function(&folder.path().join(name), DEPENDENCIES);
        let manifest = folder.path().join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(
            &manifest,
            text.replace("\"function\"", &format!("{name:?}")),
        )
        .unwrap();
    }
    let root = folder.path().join("Cargo.toml");
    fs::write(&root, "[workspace]\nmembers = [\"one\", \"two\"]\n").unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(
        error.contains("tip: name one with --package: one, two"),
        "{error}"
    );
    let error = refused(folder.path(), &["--package", "three"]);
    assert!(error.contains("has no package \"three\""), "{error}");
    fs::write(&root, "[workspace\n").unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(error.contains("Cargo.toml:1:11"), "{error}");
    assert!(error.contains("nothing was changed"), "{error}");
}

#[test]
fn what_is_not_committed_or_not_writable_is_not_touched_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    function(folder.path(), DEPENDENCIES);
    commit(folder.path());
    let manifest = folder.path().join("Cargo.toml");
    let committed = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, committed.clone() + "# new\n").unwrap();
    // What is not touched may be as it is.
    fs::write(folder.path().join("notes"), "").unwrap();
    assert_data_eq!(
        refused(folder.path(), &KIND),
        str![[r#"
error: changes that are not committed: Cargo.toml; nothing was changed

  tip: commit or stash them first, or say --allow-dirty

"#]]
    );
    fs::write(&manifest, committed).unwrap();
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o444)).unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(
        error.contains("it is read-only; nothing was changed"),
        "{error}"
    );
    assert!(error.contains("tip: make it writable first"), "{error}");
}

#[test]
fn a_name_that_is_another_crates_is_not_taken_from_it() {
    let folder = tempfile::tempdir().unwrap();
    for (dependency, said) in [
        (
            "serde = { package = \"serde_json\", version = \"1\" } # mine\n",
            "`serde` is another crate's name there",
        ),
        (
            "memory = { package = \"mem_dbg\", version = \"0.4.4\" }\n",
            "Cargo.toml calls mem_dbg memory",
        ),
        (
            "serde = \"<=1.0.18446744073709551615\"\nmem_dbg = \"0.3\"\n",
            "mem_dbg ^0.3, and cache-core needs",
        ),
    ] {
        function(folder.path(), &format!("{DEPENDENCIES}{dependency}"));
        let error = refused(folder.path(), &KIND);
        assert!(error.contains(said), "{error}");
    }
    function(folder.path(), DEPENDENCIES);
    fs::create_dir(folder.path().join("src/caches")).unwrap();
    fs::write(folder.path().join("src/caches/mod.rs"), "").unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(error.contains("mod.rs is another one"), "{error}");
}

#[test]
fn what_git_could_not_bring_back_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    function(&project, DEPENDENCIES);
    fs::write(project.join(".gitignore"), ".cargo\n").unwrap();
    commit(&project);
    fs::create_dir(project.join(".cargo")).unwrap();
    fs::write(project.join(".cargo/config.toml"), "[build]\njobs = 1\n").unwrap();
    let error = refused(&project, &KIND);
    assert!(
        error.contains("not committed: .cargo/config.toml;"),
        "{error}"
    );
    fs::remove_dir_all(project.join(".cargo")).unwrap();
    // cargo's lockfile is nobody's work.
    fs::write(project.join(".gitignore"), "Cargo.lock\n").unwrap();
    commit(&project);
    succeeds(&project, &[&["add", "--quiet"], &KIND[..]].concat());
    git(&project, &["checkout", "--quiet", "."]);
    git(&project, &["clean", "--quiet", "--force", "-d"]);
    // Out of the repository.
    fs::rename(
        project.join("Cargo.toml"),
        folder.path().join("Cargo.toml.real"),
    )
    .unwrap();
    symlink("../Cargo.toml.real", project.join("Cargo.toml")).unwrap();
    commit(&project);
    let error = refused(&project, &KIND);
    assert!(error.contains("not committed: Cargo.toml;"), "{error}");
}

#[test]
fn a_kind_that_cannot_be_is_told_with_what_can() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, said) in [
        ("customers", "a kind is NAME:KEY:VALUE"),
        (
            "Customers:String:Customer",
            "`Customers` cannot name a kind",
        ),
        ("type:String:Customer", "`type` cannot name a kind"),
        ("report:String:Customer", "`report` cannot name a kind"),
        ("shared:String:Customer", "not `shared`"),
        ("customers:str:Customer", "`str` is no key: use String"),
        ("customers:(String,f64):Customer", "is no key"),
        (
            "customers:String:customer",
            "`customer` cannot name a new type",
        ),
        ("customers:String:Vec<u8>", "`u8` cannot name a new type"),
        ("customers:String:Table", "`Table` cannot name a new type"),
        ("customers:String:Self", "`Self` cannot name a new type"),
        ("customers:String:String", "`String` cannot name a new type"),
        (
            "orders:(String,u64):Vec<Order>",
            "begins with a text or bytes",
        ),
    ] {
        let (error, code) = fails(folder.path(), &["add", "--kind", kind]);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(said), "{error}");
    }
    let twice = ["add", "--kind", "a:String:A", "--kind", "a:u64:B"];
    let (error, code) = fails(folder.path(), &twice);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("`a` is given twice"), "{error}");
}

#[test]
fn the_diff_of_a_dry_run_makes_what_a_run_makes() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    for project in [&here, &there] {
        function(project, DEPENDENCIES);
        commit(project);
    }
    let (diff, said) = succeeds(&here, &[&["add", "--dry-run"], &KIND[..]].concat());
    assert!(said.contains("nothing was written"), "{said}");
    assert_eq!(
        tree(&here),
        tree(&there)
            .into_iter()
            .map(|(path, it)| { (here.join(path.strip_prefix(&there).unwrap()), it) })
            .collect()
    );
    fs::write(folder.path().join("diff"), diff).unwrap();
    git(&here, &["apply", "../diff"]);
    succeeds(&there, &[&["add"], &KIND[..]].concat());
    fs::remove_file(there.join("Cargo.lock")).unwrap();
    let relative = |root: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        let tree = tree(root).into_iter();
        tree.map(|(path, it)| (path.strip_prefix(root).unwrap().into(), it))
            .collect()
    };
    assert_eq!(relative(&here), relative(&there));
}

#[test]
fn what_cargo_finds_afterwards_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    // No such version, which only a look at the registry tells; and a file of somebody else's in the way.
    function(
        folder.path(),
        &format!("{DEPENDENCIES}anyhow = \"=1.0.9999\"\n"),
    );
    fs::create_dir(folder.path().join(".cargo")).unwrap();
    fs::write(folder.path().join(".cargo/other"), "").unwrap();
    let error = refused(folder.path(), &KIND);
    assert!(error.contains("anyhow"), "{error}");
    assert!(error.contains("all is as it was before"), "{error}");
}

#[test]
fn an_interrupt_or_a_terminal_that_is_closed_leaves_everything_as_it_was() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        interrupted_by(signal);
    }
}

fn interrupted_by(signal: Signal) {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    function(&project, DEPENDENCIES);
    let before = tree(&project);
    // A cargo that stands still where everything is written.
    let cargo = folder.path().join("cargo");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--no-deps*) exec '{}' \"$@\";; esac\ntouch '{}'\nexec sleep 600\n",
        env!("CARGO"),
        folder.path().join("started").display()
    );
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let mut add = generator(&project);
    add.arg("add")
        .args(KIND)
        .env("CARGO", &cargo)
        .stderr(Stdio::piped());
    std::os::unix::process::CommandExt::process_group(&mut add, 0);
    let mut child = add.spawn().unwrap();
    while !folder.path().join("started").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        std::thread::yield_now();
    }
    assert!(project.join("cache-core/Cargo.toml").exists());
    // As a terminal does it: to both of them.
    kill_process_group(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(output.stderr, b"error: interrupted; nothing was changed\n");
    assert_eq!(tree(&project), before);
}

#[test]
fn a_link_stays_one_and_what_it_leads_to_is_edited() {
    let folder = tempfile::tempdir().unwrap();
    function(folder.path(), DEPENDENCIES);
    let manifest = folder.path().join("Cargo.toml");
    fs::rename(&manifest, folder.path().join("real.toml")).unwrap();
    symlink("real.toml", &manifest).unwrap();
    succeeds(folder.path(), &[&["add", "--quiet"], &KIND[..]].concat());
    assert!(fs::symlink_metadata(&manifest).unwrap().is_symlink());
    let text = fs::read_to_string(folder.path().join("real.toml")).unwrap();
    assert!(
        text.contains("cache-core = { path = \"cache-core\" }"),
        "{text}"
    );
}

#[test]
fn another_package_of_the_workspace_takes_the_cache_core_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        function(&folder.path().join(name), DEPENDENCIES);
        let manifest = folder.path().join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(
            &manifest,
            text.replace("\"function\"", &format!("{name:?}")),
        )
        .unwrap();
    }
    let root = folder.path().join("Cargo.toml");
    fs::write(
        &root,
        "[workspace]\nresolver = \"2\"\nmembers = [\"one\", \"two\"]\n",
    )
    .unwrap();
    succeeds(
        folder.path(),
        &[&["add", "--quiet", "--package", "one"], &KIND[..]].concat(),
    );
    let changed = folder.path().join("cache-core/src/lib.rs");
    fs::write(
        &changed,
        fs::read_to_string(&changed).unwrap() + "// mine\n",
    )
    .unwrap();
    let arguments = ["add", "--json", "--package", "two"];
    let (json, _) = succeeds(folder.path(), &[&arguments, &KIND[..]].concat());
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let files = report["files"].as_array().unwrap().iter();
    let files: Vec<_> = files
        .map(|it| (it["path"].as_str().unwrap(), it["change"].as_str().unwrap()))
        .collect();
    assert_eq!(
        files,
        [("two/Cargo.toml", "edit"), ("two/src/caches.rs", "add")]
    );
    assert_eq!(report["package"], "two");
    assert!(fs::read_to_string(&changed).unwrap().ends_with("// mine\n"));
    // A kind more, in a file that its owner works in.
    let more = [
        "add",
        "--package",
        "two",
        "--kind",
        "orders:(String,u64):Order",
    ];
    let (_, said) = succeeds(folder.path(), &more);
    assert!(
        said.contains("two has the cache already; nothing was changed"),
        "{said}"
    );
    assert!(
        said.contains("orders: Items<(String, u64), Order> ="),
        "{said}"
    );
}

#[test]
fn a_cache_core_that_was_moved_is_taken_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        function(&folder.path().join(name), DEPENDENCIES);
        let manifest = folder.path().join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(
            &manifest,
            text.replace("\"function\"", &format!("{name:?}")),
        )
        .unwrap();
    }
    let root = folder.path().join("Cargo.toml");
    let workspace =
        "[workspace]\nresolver = \"2\"\nmembers = [\"one\", \"two\", \"crates/cache-core\"]\n";
    fs::write(&root, workspace.replace(", \"crates/cache-core\"", "")).unwrap();
    succeeds(
        folder.path(),
        &[&["add", "--quiet", "--package", "one"], &KIND[..]].concat(),
    );
    fs::create_dir(folder.path().join("crates")).unwrap();
    fs::rename(
        folder.path().join("cache-core"),
        folder.path().join("crates/cache-core"),
    )
    .unwrap();
    fs::write(&root, workspace).unwrap();
    let one = folder.path().join("one/Cargo.toml");
    let text = fs::read_to_string(&one).unwrap();
    fs::write(&one, text.replace("../cache-core", "../crates/cache-core")).unwrap();
    succeeds(
        folder.path(),
        &[&["add", "--quiet", "--package", "two"], &KIND[..]].concat(),
    );
    let two = fs::read_to_string(folder.path().join("two/Cargo.toml")).unwrap();
    assert!(
        two.contains("cache-core = { path = \"../crates/cache-core\" }"),
        "{two}"
    );
    assert!(!folder.path().join("cache-core").exists());
}

#[test]
fn a_package_of_another_shape_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (root, package) = (folder.path().join("root"), folder.path().join("package"));
    function(&package, DEPENDENCIES);
    let manifest = package.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("edition", "workspace = \"../root\"\nedition"),
    )
    .unwrap();
    fs::create_dir(&root).unwrap();
    fs::write(
        root.join("Cargo.toml"),
        "[workspace]\nmembers = [\"../package\"]\n",
    )
    .unwrap();
    let error = refused(&package, &KIND);
    assert!(error.contains("is not below"), "{error}");
    fs::write(&manifest, text.replace("2021", "2015")).unwrap();
    let error = refused(&package, &KIND);
    assert!(error.contains("is of the edition 2015"), "{error}");
    assert!(error.contains("tip: `cargo fix --edition`"), "{error}");
}

#[test]
fn what_it_saw_and_what_is_left_to_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    function(
        folder.path(),
        &DEPENDENCIES.replace("lambda_runtime", "lambda_http"),
    );
    let code = "async fn read(client: aws_sdk_dynamodb::Client) {\n    let item = client\n        .get_item()\n        \
                .key(\"PK\", AttributeValue::S(format!(\"CUSTOMER#{id}\")))\n        .send();\n}\n";
    fs::write(folder.path().join("src/main.rs"), code).unwrap();
    fs::create_dir(folder.path().join("src/bin")).unwrap();
    fs::write(
        folder.path().join("src/bin/import.rs"),
        "fn f() { client.put_item().send() }\n",
    )
    .unwrap();
    let (_, said) = succeeds(folder.path(), &[&["add", "--dry-run"], &KIND[..]].concat());
    assert_data_eq!(
        said,
        str![[r#"
  add    .cargo/config.toml
  edit   Cargo.toml
  add    src/caches.rs
  add    cache-core/, [..] files
nothing was written

reads, and what they could become:
  src/main.rs:3  get_item       Items<String, V> = table.item(|id| format!("CUSTOMER#{id}"))

writes:
  src/bin/import.rs:1  put_item       in the binary import: a cache elsewhere has it after its TTL alone

next, in src/main.rs:
  mod caches;
  // in main, once; clone it for each invocation
  let caches = caches::open(&client)?;
  // in the handler
  let invocation = caches::invocation(&caches, &request);
  let customers = caches.customers.get(&key, invocation.deadline()).await?;

"#]]
    );
    let output = run(
        folder.path(),
        &["add", "--dry-run", "--kind", "customers:String:Customer"],
    );
    let diff = String::from_utf8(output.stdout).unwrap();
    let (_, caches) = diff.split_once("+++ b/src/caches.rs\n").unwrap();
    assert_data_eq!(
        caches.to_string(),
        str![[r#"
@@ -0,0 [..] @@
+//! What this function keeps in memory: one declaration for each kind of data.
+
[..]
+use cache_core::caches;
...
+// The key of the table, as its definition has it.
+const KEY: TableKey = TableKey::partition("PK", KeyType::S);
+
+caches! {
+    /// It lives as long as the execution environment. Clones share what it holds.
+    pub struct Caches(table: &Table) {
+        customers: Items<String, Customer> = table.item(|id| format!("CUSTOMER#{id}"));
+    }
+}
...

"#]]
    );
}
