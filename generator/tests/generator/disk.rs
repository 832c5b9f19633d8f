//! Never half done: disks that are full or read-only, and runs that are ended in the middle.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{BINARY, generator, names, run};

/// Runs a shell script as root of a mount namespace of its own, so that what it mounts is gone with
/// it. The generator is `new`.
fn in_mount_namespace(folder: &Path, script: &str) -> String {
    let namespaces: [&[&str]; 3] = [
        &["unshare", "--mount"],
        &["unshare", "--mount", "--map-root-user"],
        &["sudo", "--non-interactive", "unshare", "--mount"],
    ];
    let namespace = namespaces.into_iter().find(|namespace| {
        let mut try_out = Command::new(namespace[0]);
        try_out.args(&namespace[1..]).arg("true");
        try_out.output().is_ok_and(|output| output.status.success())
    });
    let namespace = namespace.expect(
        "mounting a small disk takes root, sudo without a password, or user namespaces (sysctl \
         kernel.unprivileged_userns_clone=1): none of them is there",
    );
    let mut shell = Command::new(namespace[0]);
    let script = format!("new() {{ '{BINARY}' new x --yes \"$@\"; }}\n{script}");
    let output = shell
        .args(&namespace[1..])
        .args(["sh", "-e", "-c", &script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_full_disk_is_told_and_nothing_stays_on_it() {
    let folder = tempfile::tempdir().unwrap();
    for (size, vcs) in [("64k", "none"), ("350k", "git"), ("480k", "git")] {
        let script = format!(
            "mkdir -p small && mount -t tmpfs -o size={size} tmpfs small
             code=0; new --path small --vcs {vcs} 2>&1 || code=$?
             echo left: $(ls -A small); echo $code; umount small"
        );
        let said = in_mount_namespace(folder.path(), &script);
        assert!(said.ends_with("\nleft:\n1\n"), "{size}: {said}");
        assert!(said.contains("o space left on device"), "{said}");
        assert!(said.contains("nothing was made"), "{said}");
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mkdir ro && mount -t tmpfs -o ro tmpfs ro
        code=0; new --path ro 2>&1 || code=$?
        ls -A ro; echo $code; umount ro";
    let said = in_mount_namespace(folder.path(), script);
    snapbox::assert_data_eq!(
        said,
        snapbox::str![[r#"
error: cannot write ro/x: Read-only file system (os error 30); nothing was made

  tip: choose a folder that you may write to with --path
1

"#]]
    );
}

/// A `git` that does something else, in the hidden folder; the `PATH` that finds it.
fn git_that(folder: &Path, script: &str) -> String {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let git = bin.join("git");
    let script = format!("#!/bin/sh\n{script}\n");
    fs::write(&git, script).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

/// A run that stands still with everything written and nothing renamed.
fn stopped_before_the_end(folder: &Path) -> Child {
    let path = git_that(folder, "touch ../../started\nexec sleep 600");
    fs::create_dir(folder.join("work")).unwrap();
    let mut child = generator(&folder.join("work"))
        .args(["new", "x", "--vcs", "git"])
        .env("PATH", path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.join("started").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        std::thread::yield_now();
    }
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Ends the `git` that waits, as Ctrl-C at a terminal does.
fn end_git(child: &Child) {
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    for git in fs::read_to_string(children).unwrap().split_whitespace() {
        let git = Pid::from_raw(git.parse().unwrap()).unwrap();
        kill_process(git, Signal::INT).unwrap();
    }
}

#[test]
fn an_interrupted_run_leaves_nothing_and_exits_with_130() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let child = stopped_before_the_end(folder.path());
        send(&child, signal);
        end_git(&child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert_eq!(output.stderr, b"error: interrupted; nothing was made\n");
        assert_eq!(names(&folder.path().join("work")), [""; 0]);
    }
}

#[test]
fn a_killed_run_leaves_a_hidden_folder_alone_which_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let mut child = stopped_before_the_end(folder.path());
    let git = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    send(&child, Signal::KILL);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let git = Pid::from_raw(git.trim().parse().unwrap()).unwrap();
    kill_process(git, Signal::KILL).unwrap();
    let left = names(&work);
    assert!(matches!(left.as_slice(), [left] if left.starts_with(".x.cached-lambda-")));

    assert!(run(&work, &["new", "x", "--vcs", "none"]).status.success());
    assert_eq!(names(&work), [left[0].as_str(), "x"]);
}

#[test]
fn a_target_that_appears_meanwhile_is_left_as_it_is() {
    for meanwhile in ["mkdir ../x", "echo theirs > ../x", "ln -s nowhere ../x"] {
        let folder = tempfile::tempdir().unwrap();
        let path = git_that(folder.path(), meanwhile);
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        let mut new = generator(&work);
        let output = new
            .args(["new", "x", "--vcs", "git"])
            .env("PATH", path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.starts_with("error: x exists; nothing was changed"),
            "{error}"
        );
        assert_eq!(names(&work), ["x"]);
        let theirs = fs::symlink_metadata(work.join("x")).unwrap();
        assert!(!theirs.is_dir() || names(&work.join("x")).is_empty());
    }
}

#[test]
fn of_several_runs_for_one_target_one_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let start = |_| {
        let mut new = generator(folder.path());
        new.args(["new", "x", "--vcs", "none", "--quiet"])
            .stderr(Stdio::null());
        new.spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(start).collect();
    let made = children
        .into_iter()
        .filter_map(|mut child| child.wait().unwrap().code());
    let made: Vec<_> = made.collect();
    assert_eq!(
        made.iter().filter(|code| **code == 0).count(),
        1,
        "{made:?}"
    );
    assert_eq!(
        made.iter().filter(|code| **code == 1).count(),
        7,
        "{made:?}"
    );
    assert_eq!(names(folder.path()), ["x"]);
}

#[test]
fn without_git_there_is_no_repository_unless_one_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let new = |arguments: &[&str]| {
        let mut new = generator(folder.path());
        new.args(arguments)
            .env("PATH", "/nowhere")
            .output()
            .unwrap()
    };
    assert!(new(&["new", "x"]).status.success());
    assert!(!folder.path().join("x/.git").exists());
    let output = new(&["new", "y", "--vcs", "git"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("git cannot make a repository"), "{error}");
    assert!(error.contains("use --vcs none"), "{error}");
    assert_eq!(names(folder.path()), ["x"]);
    // It is there again.
    assert!(run(folder.path(), &["new", "z"]).status.success());
    assert!(folder.path().join("z/.git").is_dir());
}
