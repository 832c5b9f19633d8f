//! On a terminal: what is asked, in a real one.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::{BINARY, OF_THE_USER, names};

const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(130).unwrap();

const ENTER: &str = "\r";
const UP: &str = "\x1b[A";
const BACKSPACE: &str = "\x7f";
const CTRL_C: &str = "\x03";
const CTRL_A: &str = "\x01";
const CTRL_D: &str = "\x04";
const CTRL_E: &str = "\x05";
const CTRL_U: &str = "\x15";
const CTRL_W: &str = "\x17";

/// The generator on a terminal of its own, with what can be read on it.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    keyboard: Box<dyn Write + Send>,
    child: Option<Box<dyn Child + Send + Sync>>,
    _terminal: Box<dyn MasterPty + Send>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    fn run(folder: &Path, arguments: &[&str]) -> Self {
        Self::run_with(folder, arguments, &[])
    }

    fn run_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = PtySize {
            rows: ROWS.get(),
            cols: COLUMNS.get(),
            ..PtySize::default()
        };
        let terminal = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(BINARY);
        command.args(arguments);
        command.cwd(folder);
        for variable in OF_THE_USER {
            command.env_remove(variable);
        }
        command.env("TERM", "xterm-256color");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = terminal.slave.spawn_command(command).unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let mut output = terminal.master.try_clone_reader().unwrap();
        let shown = Arc::clone(&screen);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            // A terminal without a process ends with an error on Linux.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Terminal {
            screen,
            keyboard: terminal.master.take_writer().unwrap(),
            child: Some(child),
            _terminal: terminal.master,
            reader,
        }
    }

    fn contents(&self) -> String {
        let contents = self.screen.lock().unwrap().screen().contents();
        let lines = contents.lines().map(str::trim_end);
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Waits until the terminal shows a text, and gives all that it shows.
    fn shows(&self, text: &str) -> String {
        self.eventually(text, |terminal| {
            let contents = terminal.contents();
            contents.contains(text).then_some(contents)
        })
    }

    /// Waits for something, far longer than it takes, so that a test that fails ends.
    fn eventually<T>(&self, what: &str, mut happens: impl FnMut(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(happened) = happens(self) {
                return happened;
            }
            let waited = started.elapsed();
            let contents = self.contents();
            assert!(
                waited < Duration::from_secs(120),
                "no {what:?} in\n{contents}"
            );
            std::thread::yield_now();
        }
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self
    }

    /// Waits for the end: what it exits with, and what it shows then.
    fn ends(mut self) -> (u32, String) {
        let mut child = self.child.take().unwrap();
        let status = self.eventually("end", |_| child.try_wait().unwrap());
        let code = status.exit_code();
        self.reader.join().unwrap();
        let contents = self.screen.lock().unwrap().screen().contents();
        (code, contents)
    }
}

#[test]
fn what_no_flag_gave_is_asked_and_the_summary_is_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["new", "--ttl-policy", "fixed", "--ttl", "5m"];
    let mut terminal = Terminal::run(folder.path(), &arguments);
    let mut session = String::from("$ cached-lambda new --ttl-policy fixed --ttl 5m\n");

    terminal.shows("Name of the project\n>");
    terminal.press("my quotes\r");
    terminal.shows("or `_`\n> my quotes");
    // As in a shell: the word goes, and its beginning.
    terminal.press(CTRL_W).press(BACKSPACE).press("-quotes");
    terminal
        .press(CTRL_A)
        .press("x")
        .press(CTRL_E)
        .press("\x02\x02")
        .press(CTRL_U);
    terminal.shows("\n> es");
    terminal.press(CTRL_A).press("my-quot").press(ENTER);
    session += terminal
        .shows("Processor architecture")
        .split("Processor")
        .next()
        .unwrap();
    terminal.shows("[arm64] >");
    terminal.press(ENTER);
    terminal.shows("Memory of the function in MB (128 to 10240)\n[256] >");
    terminal.press("512\r");
    terminal.shows("[direct] >");
    // Up goes through the choices from the first on.
    terminal.press(UP).press(UP);
    session += "...\n";
    let question = terminal.shows("[direct] > function-url");
    session += &question[question.find("How the function").unwrap()..];
    terminal.press(ENTER);
    terminal.shows("[sam] >");
    terminal.press("tf\r");
    terminal.shows("did you mean terraform?");
    terminal.press(CTRL_U).press(ENTER);
    terminal.shows("[quote] >");
    terminal.press(ENTER);
    terminal.shows("Make it? [Y/n]");
    assert_eq!(names(folder.path()), [""; 0]);
    terminal.press(ENTER);
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    session += "\n...\n\n";
    session += screen[screen.find("  project-name").unwrap()..].trim_end();
    session += "\n";

    let record = std::fs::read_to_string(folder.path().join("my-quotes/cached-lambda.toml"));
    let record = record.unwrap();
    for answer in [
        "arch = \"arm64\"",
        "memory_mb = 512",
        "ttl_seconds = 300",
        "\"function-url\"",
    ] {
        assert!(record.contains(answer), "{record}");
    }
    // The recorded session of the docs: `SNAPSHOTS=overwrite` records it anew.
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/session.txt");
    snapbox::assert_data_eq!(session, snapbox::Data::read_from(&recorded, None).raw());
}

#[test]
fn nothing_is_asked_where_flags_and_a_file_say_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("team.toml");
    std::fs::write(
        &file,
        "arch = \"arm64\"\nmemory_mb = 256\nttl_policy = \"immutable\"\n",
    )
    .unwrap();
    let arguments = [
        "new",
        "x",
        "--answers",
        "team.toml",
        "--ttl",
        "1m",
        "--trigger",
        "direct",
        "--iac",
        "sam",
        "--start",
        "minimal",
    ];
    let (code, screen) = Terminal::run(folder.path(), &arguments).ends();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.starts_with("made x, "), "{screen}");
}

#[test]
fn what_has_no_effect_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "new",
        "x",
        "--arch",
        "arm64",
        "--memory",
        "256",
        "--ttl-policy",
        "immutable",
    ];
    let mut terminal = Terminal::run(folder.path(), &arguments);
    let screen = terminal.shows("[direct] >");
    assert!(!screen.contains("Time to live"), "{screen}");
    terminal.press(CTRL_C);
    assert_eq!(terminal.ends().0, 130);
}

#[test]
fn an_interrupted_question_leaves_nothing_and_exits_with_130() {
    for keys in [CTRL_C, CTRL_D] {
        let folder = tempfile::tempdir().unwrap();
        let mut terminal = Terminal::run(folder.path(), &["new", "x", "--arch", "arm64"]);
        terminal.shows("[256] >");
        terminal.press(keys);
        let (code, screen) = terminal.ends();
        assert_eq!(code, 130, "{screen}");
        assert!(
            screen.contains("error: interrupted; nothing was made"),
            "{screen}"
        );
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn an_interrupted_or_declined_confirmation_leaves_nothing() {
    for (keys, expected) in [(CTRL_C, 130), ("n\r", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "new",
            "x",
            "--arch",
            "arm64",
            "--memory",
            "256",
            "--ttl-policy",
            "fixed",
            "--ttl",
            "60",
            "--trigger",
            "direct",
            "--iac",
            "sam",
        ];
        let mut terminal = Terminal::run(folder.path(), &arguments);
        terminal.shows("[quote] >");
        terminal.press(ENTER);
        terminal.shows("Make it? [Y/n]");
        terminal.press(keys);
        let (code, screen) = terminal.ends();
        assert_eq!(code, expected, "{screen}");
        assert!(screen.contains("nothing was made"), "{screen}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn nothing_is_asked_where_nobody_wants_it() {
    for flag in ["--yes", "--json", "--quiet"] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["new", "x", "--vcs", "none", flag];
        let (code, screen) = Terminal::run(folder.path(), &arguments).ends();
        assert_eq!(
            (code, names(folder.path())),
            (0, vec!["x".into()]),
            "{screen}"
        );
        let (code, screen) = Terminal::run(folder.path(), &["new", flag]).ends();
        assert_eq!(code, 2);
        assert!(screen.contains("not provided"), "{screen}");
    }
    // A terminal that cannot move its cursor.
    let folder = tempfile::tempdir().unwrap();
    let dumb = [("TERM", "dumb")];
    let (code, screen) = Terminal::run_with(folder.path(), &["new", "x"], &dumb).ends();
    assert_eq!(code, 0, "{screen}");
}

#[test]
fn what_is_wrong_is_told_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (code, screen) = Terminal::run(folder.path(), &["new", "--memory", "1"]).ends();
    assert_eq!(code, 2);
    assert!(
        screen.contains("invalid value '1' for '--memory <MB>'"),
        "{screen}"
    );
}

#[test]
fn colours_are_shown_unless_they_are_not_wanted() {
    let has_colours = |variables: &[(&str, &str)], arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [&["new", "x", "--ttl", "0"], arguments].concat();
        let terminal = Terminal::run_with(folder.path(), &arguments, variables);
        let screen = Arc::clone(&terminal.screen);
        assert_eq!(terminal.ends().0, 2);
        let screen = screen.lock().unwrap();
        let cell = screen.screen().cell(0, 0).unwrap();
        cell.fgcolor() != vt100::Color::Default
    };
    assert!(has_colours(&[], &[]));
    assert!(!has_colours(&[("NO_COLOR", "1")], &[]));
    assert!(!has_colours(&[], &["--color=never"]));
    assert!(!has_colours(&[("TERM", "dumb")], &[]));
    assert!(has_colours(&[("NO_COLOR", "1")], &["--color=always"]));
}

#[test]
fn what_cannot_be_made_is_told_before_anything_is_asked_and_as_a_name_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("there")).unwrap();
    let (code, screen) = Terminal::run(folder.path(), &["new", "there"]).ends();
    assert_eq!(code, 1);
    assert!(screen.starts_with("error: there exists"), "{screen}");

    let mut terminal = Terminal::run(folder.path(), &["new", "--dry-run", "--ttl", "5m"]);
    terminal.shows("Name of the project");
    terminal.press("There\r");
    terminal.shows("there exists; nothing was changed");
    terminal.press("s\r");
    terminal.shows("note: the name `Theres` becomes `theres`");
    terminal.shows("[arm64] >");
    terminal.press(CTRL_C);
    assert_eq!(terminal.ends().0, 130);
}

#[test]
fn the_same_without_questions_makes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("-a b");
    std::fs::create_dir(&path).unwrap();
    let arguments = [
        "new",
        "x",
        "--path=-a b",
        "--arch",
        "arm64",
        "--memory",
        "256",
        "--ttl",
        "1m",
        "--trigger",
        "direct",
        "--iac",
        "sam",
        "--start",
        "quote",
        "--vcs",
        "none",
        "--dry-run",
    ];
    let mut terminal = Terminal::run(folder.path(), &arguments);
    terminal.shows("[fixed] >");
    terminal.press(ENTER);
    let screen = terminal.shows("List what would be made? [Y/n]");
    assert!(
        screen.contains(
            "cached-lambda new x --arch arm64 --memory 256 --ttl-policy fixed --ttl 60 --trigger direct \
             --iac sam --start quote --path='./-a b' --vcs none --dry-run"
        ),
        "{screen}"
    );
    terminal.press(ENTER);
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(names(&path), [""; 0]);
}
