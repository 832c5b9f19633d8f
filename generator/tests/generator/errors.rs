//! Each error names the place, the value, what is allowed, and the fix where one is near.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::{fails, names, run};

/// What is said of a command line that is wrong: it exits with 2 and leaves nothing.
fn wrong(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (error, code) = fails(folder.path(), arguments);
    assert_eq!(code, 2, "{error}");
    assert_eq!(names(folder.path()), [""; 0], "{arguments:?}");
    error
}

#[test]
fn a_choice_that_there_is_not_is_told_with_those_that_there_are() {
    assert_data_eq!(
        wrong(&["new", "x", "--iac", "terrafrom"]),
        str![[r#"
error: invalid value 'terrafrom' for '--iac <TOOL>'
  [possible values: sam, terraform]

  tip: a similar value exists: 'terraform'

For more information, try '--help'.

"#]]
    );
    // What others call it, and not what is spelt alike.
    for (flag, given, meant) in [
        ("--arch", "amd64", "x86_64"),
        ("--arch", "aarch64", "arm64"),
        ("--trigger", "url", "function-url"),
        ("--trigger", "apigw", "http-api"),
        ("--start", "empty", "minimal"),
    ] {
        let error = wrong(&["new", "x", flag, given]);
        assert!(error.contains(&format!("exists: '{meant}'")), "{error}");
    }
    for (flag, given) in [("--arch", "mips"), ("--ttl-policy", ""), ("--vcs", "svn")] {
        let error = wrong(&["new", "x", flag, given]);
        assert!(!error.contains("similar"), "{error}");
        assert!(error.contains("[possible values: "), "{error}");
    }
}

#[test]
fn a_number_or_a_name_that_is_not_allowed_is_told_with_what_is() {
    assert_data_eq!(
        wrong(&["new", "x", "--memory", "127"]),
        str![[r#"
error: invalid value '127' for '--memory <MB>': allowed is: Memory of the function in MB (128 to 10240)

For more information, try '--help'.

"#]]
    );
    for ttl in ["0", "-1", "1d", ""] {
        let error = wrong(&["new", "x", "--ttl", ttl]);
        assert!(error.contains("(1 to 86400), or 30s, 5m, 1h"), "{error}");
    }
    for (name, why) in [
        ("my quotes", "' ' is no ASCII letter, digit, `-` or `_`"),
        ("../quotes", "a name is no path: --path says where"),
        ("1st", "it must start with a letter from A to Z"),
        ("aux", "on Windows that is the name of a device"),
        (&"Ab".repeat(20), "has over 40 characters"),
    ] {
        let error = wrong(&["new", name]);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_flag_a_command_or_a_name_that_is_missing_or_misspelt_is_told() {
    for (arguments, said) in [
        (
            &["new", "x", "--memroy", "64"][..],
            "a similar argument exists: '--memory'",
        ),
        (
            &["new", "x", "--iac"],
            "a value is required for '--iac <TOOL>'",
        ),
        (
            &["new", "x", "--ttl", "5", "--ttl", "6"],
            "cannot be used multiple times",
        ),
        (&["new", "x", "y"], "unexpected argument 'y' found"),
        (
            &["--ttl", "5", "new", "x"],
            "unexpected argument '--ttl' found",
        ),
        (&["my-quotes"], "unrecognized subcommand 'my-quotes'"),
        (
            &["new", "--color=never", "--", "--json"],
            "invalid value '--json' for '[NAME]'",
        ),
        (
            &["new", "x", "--path=--json"],
            "invalid value '--json' for '--path <DIR>'",
        ),
        (&["new", "x", "--path", "nowhere"], "'--path <DIR>': "),
        (
            &["new"],
            "not provided:\n  <NAME>\n\nUsage: cached-lambda new <NAME>",
        ),
    ] {
        let error = wrong(arguments);
        assert!(
            error.starts_with("error: ") && error.contains(said),
            "{error}"
        );
    }
    for far in ["plan", "main"] {
        assert!(!wrong(&[far]).contains("similar"), "{far}");
    }
}

#[test]
fn the_docs_show_what_is_said() {
    let docs = include_str!("../../../docs/src/generator.md");
    let said = wrong(&["new", "x", "--arch", "amd64"]);
    assert!(docs.contains(&said), "{said}");
}

#[test]
fn a_file_of_answers_is_held_to_the_same_and_all_of_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let said_of = |text: &str| {
        fs::write(folder.path().join("team.toml"), text).unwrap();
        let (error, code) = fails(folder.path(), &["new", "x", "--answers", "team.toml"]);
        assert_eq!(code, 2);
        assert_eq!(names(folder.path()), ["team.toml"]);
        error
    };
    assert_data_eq!(
        said_of("# ours\narch = \"aarch64\"\nmemory = 512\nttl_seconds = 0\niac = \"terraform\"\n"),
        str![[r#"
error: invalid value 'team.toml' for '--answers <FILE>': line 2, "arch" is "aarch64": use arm64 or x86_64; did you mean arm64?
  line 3, "memory" is "512": use one of project-name, arch, memory_mb, ttl_policy, ttl_seconds, trigger, iac, start
  line 4, "ttl_seconds" is "0": allowed is: Time to live in seconds (1 to 86400), or 30s, 5m, 1h

For more information, try '--help'.

"#]]
    );
    for (text, said) in [
        ("memory_mb = 512.0", r#"line 1, "memory_mb" is "512.0""#),
        ("ttl_seconds = true", r#"line 1, "ttl_seconds" is "true""#),
        ("\n[arch]", r#"line 2, "arch" is "[arch]""#),
        ("arch = \"foo\"\n[memory]", r#"line 1, "arch" is "foo""#),
        (
            "arch = \"foo\"\n[memory]",
            r#"line 2, "memory" is "[memory]""#,
        ),
        ("arch =", "TOML parse error at line 1"),
        ("arch = \"arm64\"\narch = \"arm64\"", "duplicate key"),
        ("\"a\\u001b[2J\" = 1", r#""a\u{1b}[2J" is "1""#),
        ("arch = \u{1b}[2J", "TOML parse error"),
    ] {
        let error = said_of(text);
        assert!(error.contains(said) && !error.contains('\u{1b}'), "{error}");
    }
    let error = wrong(&["new", "x", "--answers", "nowhere.toml"]);
    // In the system's words.
    assert!(error.contains("'--answers <FILE>': "), "{error}");
    assert!(error.contains("(os error 2)"), "{error}");
}

#[cfg(unix)]
#[test]
fn whatever_is_there_already_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| folder.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("file"), "theirs").unwrap();
    std::os::unix::fs::symlink("empty", at("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("broken")).unwrap();
    let before = names(folder.path());
    for name in ["empty", "file", "link", "broken"] {
        let (error, code) = fails(folder.path(), &["new", name]);
        assert_eq!(code, 1);
        assert_eq!(
            error,
            format!(
                "error: {name} exists; nothing was changed\n\n  tip: choose another name, or another \
                 folder with --path\n"
            )
        );
    }
    assert_eq!(names(folder.path()), before);
    assert_eq!(names(&at("empty")), [""; 0]);
    assert_eq!(fs::read(at("file")).unwrap(), b"theirs");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_too_long_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let mut deep = folder.path().to_path_buf();
    while deep.as_os_str().len() < 4050 {
        deep.push("d".repeat(200.min(4060 - deep.as_os_str().len())));
    }
    if fs::create_dir_all(&deep).is_err() {
        // Not every platform has such paths.
        return;
    }
    let path = format!("--path={}", deep.display());
    let (error, code) = fails(folder.path(), &["new", &"x".repeat(40), &path]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("name too long"), "{error}");
}

#[test]
fn json_is_also_what_an_error_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("there")).unwrap();
    for (arguments, exit_code, part) in [
        (&["new", "there", "--json"][..], 1, "there exists"),
        (
            &["new", "x", "--json", "--ttl", "0"],
            2,
            "'0' for '--ttl <TIME>': allowed is",
        ),
        (
            &["new", "x", "--memroy", "1", "--json"],
            2,
            "similar argument exists: '--memory'",
        ),
        (&["new", "x", "--json", "--path", "nowhere"], 2, "nowhere"),
        (&["new", "--json"], 2, "<NAME>"),
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(exit_code));
        assert!(output.stderr.is_empty(), "{arguments:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(error["error"]["exit_code"], exit_code);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(part) && !message.contains("--help"),
            "{message}"
        );
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    for arguments in [["new", "x\u{1b}]0;title\u{7}"], ["new", "x\u{202e}"]] {
        let error = wrong(&[&arguments[..], &["--color=always"]].concat());
        for harmful in ["\u{1b}]", "\u{7}", "\u{202e}"] {
            assert!(!error.contains(harmful), "{error:?}");
        }
    }
}

/// A folder whose name is no text, too.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"a b"[..], b"\xff\xfe", "日本".as_bytes(), b"*", b"-"] {
        let name = std::path::Path::new(std::ffi::OsStr::from_bytes(name));
        fs::create_dir(folder.path().join(name)).unwrap();
        let mut new = crate::generator(folder.path());
        new.args(["new", "x", "--json", "--vcs", "none", "--path"]);
        let output = new.arg(name).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["dry_run"], false);
        assert_eq!(names(&folder.path().join(name)), ["x"]);
    }
}
