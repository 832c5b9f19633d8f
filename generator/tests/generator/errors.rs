//! Each error names the place, the value, what is allowed, and the fix; all there are at once.

use std::fs;
use std::path::Path;

use snapbox::{assert_data_eq, str};

use crate::{fails, generator, names, run};

/// What is said of a command line that is wrong: it exits with 2 and leaves nothing.
fn wrong(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (error, code) = fails(folder.path(), arguments);
    assert_eq!(code, 2, "{error}");
    assert_eq!(names(folder.path()), [""; 0], "{arguments:?}");
    error
}

#[test]
fn a_value_that_is_not_allowed_is_shown_in_its_place_with_one_that_is() {
    assert_data_eq!(
        wrong(&["new", "x", "--memory", "127"]),
        str![[r#"
error: `127` is not allowed for `--memory`
 |
 | cached-lambda new x --memory 127
 |                              ^^^ use a whole number of MB from 128 to 10240
 |
help: try this
 |
 - cached-lambda new x --memory 127
 + cached-lambda new x --memory 128
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--arch=aarch64"]),
        str![[r#"
error: `aarch64` is not allowed for `--arch`
 |
 | cached-lambda new x --arch=aarch64
 |                            ^^^^^^^ use arm64 or x86_64
 |
help: try this
 |
 - cached-lambda new x --arch=aarch64
 + cached-lambda new x --arch=arm64
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--arch", "mips"]),
        str![[r#"
error: `mips` is not allowed for `--arch`
 |
 | cached-lambda new x --arch mips
 |                            ^^^^ use arm64 or x86_64

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--ttl", "0"]),
        str![[r#"
error: `0` is not allowed for `--ttl`
 |
 | cached-lambda new x --ttl 0
 |                           ^ that is 0 seconds; use 1 second to 24 hours, as in 90, 30s, 5m or 1h
 |
help: try this
 |
 - cached-lambda new x --ttl 0
 + cached-lambda new x --ttl 1s
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--ttl", "-1"]),
        str![[r#"
error: `-1` is not allowed for `--ttl`
 |
 | cached-lambda new x --ttl -1
 |                           ^^ use 1 second to 24 hours, as in 90, 30s, 5m or 1h

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--ttl-policy", ""]),
        str![[r#"
error: `` is not allowed for `--ttl-policy`
 |
 | cached-lambda new x --ttl-policy ''
 |                                  ^^ use fixed, per-item or immutable

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--trigger", "url"]),
        str![[r#"
error: `url` is not allowed for `--trigger`
 |
 | cached-lambda new x --trigger url
 |                               ^^^ use direct or function-url
 |
help: try this
 |
 | cached-lambda new x --trigger function-url
 |                               +++++++++

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--iac", "terrafrom"]),
        str![[r#"
error: `terrafrom` is not allowed for `--iac`
 |
 | cached-lambda new x --iac terrafrom
 |                           ^^^^^^^^^ use sam or terraform
 |
help: try this
 |
 - cached-lambda new x --iac terrafrom
 + cached-lambda new x --iac terraform
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--start", "empty"]),
        str![[r#"
error: `empty` is not allowed for `--start`
 |
 | cached-lambda new x --start empty
 |                             ^^^^^ use quote or minimal
 |
help: try this
 |
 - cached-lambda new x --start empty
 + cached-lambda new x --start minimal
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--vcs", "svn"]),
        str![[r#"
error: `svn` is not allowed for `--vcs`
 |
 | cached-lambda new x --vcs svn
 |                           ^^^ use git or none

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--color", "nevr"]),
        str![[r#"
error: `nevr` is not allowed for `--color`
 |
 | cached-lambda new x --color nevr
 |                             ^^^^ use auto, always or never
 |
help: try this
 |
 | cached-lambda new x --color never
 |                                +

"#]]
    );
}

#[test]
fn a_name_that_makes_trouble_is_refused_with_the_reason() {
    assert_data_eq!(
        wrong(&["new", "my quotes"]),
        str![[r#"
error: `my quotes` is not allowed for `<NAME>`
 |
 | cached-lambda new 'my quotes'
 |                   ^^^^^^^^^^^ it contains a space; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters
 |
help: try this
 |
 - cached-lambda new 'my quotes'
 + cached-lambda new my-quotes
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "../quotes"]),
        str![[r#"
error: `../quotes` is not allowed for `<NAME>`
 |
 | cached-lambda new ../quotes
 |                   ^^^^^^^^^ a name is no path: --path says where the folder is made; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters
 |
help: try this
 |
 - cached-lambda new ../quotes
 + cached-lambda new quotes
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "/tmp/quotes"]),
        str![[r#"
error: `/tmp/quotes` is not allowed for `<NAME>`
 |
 | cached-lambda new /tmp/quotes
 |                   ^^^^^^^^^^^ a name is no path: --path says where the folder is made; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters
 |
help: try this
 |
 - cached-lambda new /tmp/quotes
 + cached-lambda new quotes
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "con"]),
        str![[r#"
error: `con` is not allowed for `<NAME>`
 |
 | cached-lambda new con
 |                   ^^^ on Windows, `con` is the name of a device; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters
 |
help: try this
 |
 | cached-lambda new con-service
 |                      ++++++++

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "日本語"]),
        str![[r#"
error: `日本語` is not allowed for `<NAME>`
 |
 | cached-lambda new '日本語'
 |                   ^^^^^^^^ it does not start with a letter from A to Z; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters

"#]]
    );
    // The first letter is Cyrillic.
    assert_data_eq!(
        wrong(&["new", "аdmin"]),
        str![[r#"
error: `аdmin` is not allowed for `<NAME>`
 |
 | cached-lambda new 'аdmin'
 |                   ^^^^^^^ it does not start with a letter from A to Z; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters

"#]]
    );
    assert_data_eq!(
        wrong(&["new", &"a".repeat(41)]),
        str![[r#"
error: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is not allowed for `<NAME>`
 |
 | cached-lambda new aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
 |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` has 41 characters; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters

"#]]
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_data_eq!(
        wrong(&["new", "--dry-run"]),
        str![[r#"
error: `<NAME>` is missing
 |
 | cached-lambda new --dry-run
 |                            ^ a name is required, such as my-quotes
 |
help: try this
 |
 | cached-lambda new --dry-run my-quotes
 |                             +++++++++

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--iac"]),
        str![[r#"
error: `--iac <TOOL>` is given without its value
 |
 | cached-lambda new x --iac
 |                     ^^^^^ use sam or terraform

"#]]
    );
}

#[test]
fn what_does_not_exist_is_named_with_what_does() {
    assert_data_eq!(
        wrong(&["nwe", "x"]),
        str![[r#"
error: there is no command `nwe`
 |
 | cached-lambda nwe x
 |               ^^^ the commands are new, explain, completions and man
 |
help: try this
 |
 - cached-lambda nwe x
 + cached-lambda new x
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--memroy=512"]),
        str![[r#"
error: there is no flag `--memroy`
 |
 | cached-lambda new x --memroy=512
 |                     ^^^^^^^^ see `cached-lambda new --help`
 |
help: try this
 |
 - cached-lambda new x --memroy=512
 + cached-lambda new x --memory=512
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--frobnicate"]),
        str![[r#"
error: there is no flag `--frobnicate`
 |
 | cached-lambda new x --frobnicate
 |                     ^^^^^^^^^^^^ see `cached-lambda new --help`

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "y"]),
        str![[r#"
error: `y` is one argument too many
 |
 | cached-lambda new x y
 |                     ^ see `cached-lambda new --help`

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--ttl", "5m", "--ttl", "1m"]),
        str![[r#"
error: `--ttl` is given more than once
 |
 | cached-lambda new x --ttl 5m --ttl 1m
 |                              ^^^^^ use it once

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--yes=no"]),
        str![[r#"
error: `--yes` takes no value
 |
 | cached-lambda new x --yes=no
 |                           ^^ use `--yes` alone

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--path", "nowhere"]),
        str![[r#"
error: `nowhere` is not a folder that can be read
 |
 | cached-lambda new x --path nowhere
 |                            ^^^^^^^ No such file or directory (os error 2); it must exist

"#]]
    );
    assert_data_eq!(
        wrong(&["explain", "tll"]),
        str![[r#"
error: there is no parameter `tll`
 |
 | cached-lambda explain tll
 |                       ^^^ the parameters are name, arch, memory, ttl-policy, ttl, trigger, iac and start
 |
help: try this
 |
 - cached-lambda explain tll
 + cached-lambda explain ttl
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["completions", "tcsh"]),
        str![[r#"
error: `tcsh` is not allowed for `<SHELL>`
 |
 | cached-lambda completions tcsh
 |                           ^^^^ use bash, elvish, fish, powershell or zsh
 |
help: try this
 |
 - cached-lambda completions tcsh
 + cached-lambda completions zsh
 |

"#]]
    );
    // What it stands for is not done.
    assert_data_eq!(
        wrong(&["--versoin"]),
        str![[r#"
error: there is no flag `--versoin`
 |
 | cached-lambda --versoin
 |               ^^^^^^^^^ see `cached-lambda --help`
 |
help: try this
 |
 - cached-lambda --versoin
 + cached-lambda --version
 |

"#]]
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let arguments = [
        "new",
        "a b",
        "--memroy",
        "64",
        "--arhc=arm",
        "--ttl",
        "1d",
        "--vcs=svn",
        "--path",
        "nowhere",
    ];
    assert_data_eq!(
        wrong(&arguments),
        str![[r#"
error: `a b` is not allowed for `<NAME>`
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                   ^^^^^ it contains a space; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters

error: there is no flag `--memroy`
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                         ^^^^^^^^ see `cached-lambda new --help`

error: `64` is not allowed for `--memory`
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                                  ^^ use a whole number of MB from 128 to 10240

error: there is no flag `--arhc`
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                                     ^^^^^^ see `cached-lambda new --help`

error: `arm` is not allowed for `--arch`
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                                            ^^^ use arm64 or x86_64

error: `1d` is not allowed for `--ttl`
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                                                      ^^ use 1 second to 24 hours, as in 90, 30s, 5m or 1h

error: `svn` is not allowed for `--vcs`
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                                                               ^^^ use git or none

error: `nowhere` is not a folder that can be read
 |
 | cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 |                                                                          ^^^^^^^ No such file or directory (os error 2); it must exist
 |
help: try this
 |
 - cached-lambda new 'a b' --memroy 64 --arhc=arm --ttl 1d --vcs=svn --path nowhere
 + cached-lambda new a-b --memory 128 --arch=arm64 --ttl 1d --vcs=svn --path nowhere
 |

"#]]
    );
}

/// One problem is never taken for another, whatever words are in the way.
#[test]
fn the_same_word_in_two_places_is_told_in_both() {
    for arguments in [
        &["new", "x", "--vcs", "auto", "--color", "git"][..],
        &["new", "x", "--memroy", "1", "--memroy", "2"],
        &["new", "nevr", "--color", "nevr"],
        &["new", "x", "--vcs", "new"],
    ] {
        let error = wrong(arguments);
        assert!(error.matches("error:").count() <= 4, "{error}");
        assert!(!error.contains("there is no command"), "{error}");
    }
    assert_data_eq!(
        wrong(&["new", "a b", "--ttl", "a b"]),
        str![[r#"
error: `a b` is not allowed for `<NAME>`
 |
 | cached-lambda new 'a b' --ttl 'a b'
 |                   ^^^^^ it contains a space; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters

error: `a b` is not allowed for `--ttl`
 |
 | cached-lambda new 'a b' --ttl 'a b'
 |                               ^^^^^ use 1 second to 24 hours, as in 90, 30s, 5m or 1h
 |
help: try this
 |
 - cached-lambda new 'a b' --ttl 'a b'
 + cached-lambda new a-b --ttl 'a b'
 |

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "--", "--a=b"]),
        str![[r#"
error: `--a=b` is not allowed for `<NAME>`
 |
 | cached-lambda new -- '--a=b'
 |                      ^^^^^^^ it does not start with a letter from A to Z; use ASCII letters, digits, `-` and `_`, a letter first, at most 40 characters
 |
help: try this
 |
 - cached-lambda new -- '--a=b'
 + cached-lambda new -- a-b
 |

"#]]
    );
}

#[test]
fn the_docs_show_what_is_said() {
    let docs = include_str!("../../../docs/src/generator.md");
    let said = wrong(&["new", "x", "--arch", "aarch64", "--memroy", "64"]);
    assert!(docs.contains(&said), "{said}");
}

fn answers(text: &str, flags: &[&str]) -> (String, i32) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("team.toml"), text).unwrap();
    let arguments = [&["new", "x", "--answers", "team.toml"], flags].concat();
    let failed = fails(folder.path(), &arguments);
    assert_eq!(names(folder.path()), ["team.toml"]);
    failed
}

#[test]
fn a_file_of_answers_is_held_to_the_same() {
    let (error, code) = answers(
        "# ours\narch = \"aarch64\"\nmemory = 512\nttl_seconds = 0\niac = \"terraform\"\n",
        &["--trigger", "http"],
    );
    assert_eq!(code, 2);
    assert_data_eq!(
        error,
        str![[r#"
error: `http` is not allowed for `--trigger`
 |
 | cached-lambda new x --answers team.toml --trigger http
 |                                                   ^^^^ use direct or function-url
 |
help: try this
 |
 - cached-lambda new x --answers team.toml --trigger http
 + cached-lambda new x --answers team.toml --trigger function-url
 |

error: `aarch64` is not allowed for `arch`
 --> team.toml:2:8
  |
2 | arch = "aarch64"
  |        ^^^^^^^^^ use arm64 or x86_64

error: there is no parameter `memory`
 --> team.toml:3:1
  |
3 | memory = 512
  | ^^^^^^ the keys are project-name, arch, memory_mb, ttl_policy, ttl_seconds, trigger, iac, start and template-version

error: `0` is not allowed for `ttl_seconds`
 --> team.toml:4:15
  |
4 | ttl_seconds = 0
  |               ^ that is 0 seconds; use 1 second to 24 hours, as in 90, 30s, 5m or 1h
  |
help: try this
  |
2 ~ arch = "arm64"
3 ~ memory_mb = 512
4 ~ ttl_seconds = 1
  |

"#]]
    );
    assert_data_eq!(
        answers("arch = arm64\n", &[]).0,
        str![[r#"
error: `team.toml` is not valid TOML
 --> team.toml:1:8
  |
1 | arch = arm64
  |        ^^^^^ string values must be quoted, expected literal string

"#]]
    );
    assert_data_eq!(
        wrong(&["new", "x", "--answers", "nowhere.toml"]),
        str![[r#"
error: `nowhere.toml` cannot be read
 |
 | cached-lambda new x --answers nowhere.toml
 |                               ^^^^^^^^^^^^ No such file or directory (os error 2); it must exist

"#]]
    );
}

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
                "error: {name} exists; nothing was changed\n |\n = help: choose another name, or \
                 another folder with --path\n"
            )
        );
    }
    assert_eq!(names(folder.path()), before);
    assert_eq!(names(&at("empty")), [""; 0]);
    assert_eq!(fs::read(at("file")).unwrap(), b"theirs");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    // With colours, since otherwise whatever begins with an escape is taken out.
    let name = "x\u{1b}]0;title\u{7}";
    let error = wrong(&["new", name, "--memory", "\u{202e}1\r2", "--color=always"]);
    for harmful in ["\u{1b}]", "\u{7}", "\u{202e}", "\r"] {
        assert!(!error.contains(harmful), "{error:?}");
    }
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
            "that is 0 seconds",
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
        assert!(message.contains(part), "{message}");
    }
    let output = run(
        folder.path(),
        &["new", "x", "--json", "--arhc=arm", "--memory=1"],
    );
    let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = serde_json::json!([
        {
            "place": "--arhc", "value": "--arhc", "message": "there is no flag `--arhc`",
            "why": "see `cached-lambda new --help`", "instead": "--arch",
        },
        {
            "place": "--arch", "value": "arm", "message": "`arm` is not allowed for `--arch`",
            "why": "use arm64 or x86_64", "instead": "arm64",
        },
        {
            "place": "--memory", "value": "1", "message": "`1` is not allowed for `--memory`",
            "why": "use a whole number of MB from 128 to 10240", "instead": "128",
        },
    ]);
    assert_eq!(error["error"]["problems"], problems);
}

/// A folder whose name is no text, too.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"a b"[..], b"\xff\xfe", "日本".as_bytes(), b"*", b"-"] {
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        fs::create_dir(folder.path().join(name)).unwrap();
        let mut new = generator(folder.path());
        new.args(["new", "x", "--json", "--vcs", "none", "--path"])
            .arg(name);
        let output = new.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["dry_run"], false);
        assert_eq!(names(&folder.path().join(name)), ["x"]);
    }
}

#[test]
fn what_the_parser_stops_at_does_not_hide_the_rest() {
    assert_data_eq!(
        wrong(&[
            "create",
            "a",
            "b",
            "--ttl",
            "5",
            "--ttl=6",
            "--yes=no",
            "--iac",
            "--no-color",
            "--frob",
            "-5m",
            "--memory",
            "1",
        ]),
        str![[r#"
error: there is no command `create`
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |               ^^^^^^ the commands are new, explain, completions and man

error: `b` is one argument too many
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                        ^ see `cached-lambda new --help`

error: `--ttl` is given more than once
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                                  ^^^^^ use it once

error: `--yes` takes no value
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                                                ^^ use `--yes` alone

error: `--iac <TOOL>` is given without its value
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                                                   ^^^^^ use sam or terraform

error: there is no flag `--no-color`
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                                                         ^^^^^^^^^^ see `cached-lambda new --help`

error: there is no flag `--frob`
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                                                                    ^^^^^^ see `cached-lambda new --help`

error: there is no flag `-5`
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                                                                           ^^^ see `cached-lambda new --help`

error: `1` is not allowed for `--memory`
 |
 | cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 |                                                                                        ^ use a whole number of MB from 128 to 10240
 |
help: try this
 |
 - cached-lambda create a b --ttl 5 --ttl=6 --yes=no --iac --no-color --frob -5m --memory 1
 + cached-lambda new a b --ttl 5 --ttl=6 --yes=no --iac --color=never --frob -5m --memory 128
 |

"#]]
    );
}

#[test]
fn a_flag_before_its_command_and_a_command_that_is_a_name_are_put_right() {
    assert_data_eq!(
        wrong(&["--ttl", "5", "new", "a"]),
        str![[r#"
error: `--ttl` is a flag of `cached-lambda new`
 |
 | cached-lambda --ttl 5 new a
 |               ^^^^^ it belongs behind `new`

"#]]
    );
    assert_data_eq!(
        wrong(&["my-quotes"]),
        str![[r#"
error: there is no command `my-quotes`
 |
 | cached-lambda my-quotes
 |               ^^^^^^^^^ the commands are new, explain, completions and man
 |
help: try this
 |
 | cached-lambda new my-quotes
 |               +++

"#]]
    );
    assert_data_eq!(
        wrong(&["help"]),
        str![[r#"
error: there is no command `help`
 |
 | cached-lambda help
 |               ^^^^ the commands are new, explain, completions and man
 |
help: try this
 |
 | cached-lambda --help
 |               ++

"#]]
    );
    // What follows could be its value.
    assert_data_eq!(
        wrong(&["new", "a", "--frob", "x", "--memory", "1"]),
        str![[r#"
error: there is no flag `--frob`
 |
 | cached-lambda new a --frob x --memory 1
 |                     ^^^^^^ see `cached-lambda new --help`

"#]]
    );
}

#[test]
fn behind_two_hyphens_nothing_is_a_flag() {
    let error = wrong(&["new", "--color=never", "--", "--json"]);
    assert!(
        error.starts_with("error: `--json` is not allowed for `<NAME>`"),
        "{error}"
    );
}

#[test]
fn a_value_behind_a_misspelt_key_is_checked_too_and_a_long_list_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("team.toml");
    fs::write(&file, "memroy_mb = 64\n").unwrap();
    let with_file = ["new", "x", "--answers", "team.toml"];
    let (error, _) = fails(folder.path(), &with_file);
    assert!(error.contains("`64` is not allowed"), "{error}");
    assert!(error.contains("+ memory_mb = 128"), "{error}");

    let keys = |count| (0..count).map(|key| format!("k{key} = 1\n"));
    fs::write(&file, keys(30).collect::<String>()).unwrap();
    let (error, _) = fails(folder.path(), &with_file);
    assert!(
        error.ends_with("note: 10 more problems are not shown\n"),
        "{error}"
    );
    fs::write(&file, keys(10_000).collect::<String>()).unwrap();
    let (error, _) = fails(folder.path(), &with_file);
    assert!(error.contains("it is larger than 64 kB"), "{error}");
}
