//! The cache in a container as small as the smallest function.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The image of a program and the shared libraries that it loads, and nothing else.
struct Image(String);

impl Image {
    fn of(program: &str) -> Self {
        let libraries = run(Command::new("ldd").arg(program));
        let libraries = libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        let mut tar = Command::new("tar");
        tar.args(["--create", "--dereference", "--absolute-names", program])
            .args(libraries);
        let mut tar = tar.stdout(Stdio::piped()).spawn().unwrap();
        let archive = tar.stdout.take().unwrap();
        let image = run(Command::new("docker").args(["import", "-"]).stdin(archive));
        assert!(tar.wait().unwrap().success());
        Image(image.trim().to_string())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        run(Command::new("docker").args(["rmi", "--force", &self.0]));
    }
}

/// Fills a cache of so many MB in a container of 128 MB without swap; what it says, if it survives.
fn fill(image: &Image, megabytes: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_fill");
    let limits = [
        "--memory",
        "128m",
        "--memory-swap",
        "128m",
        "--network",
        "none",
    ];
    let mut fill = Command::new("docker");
    fill.args(["run", "--rm"])
        .args(limits)
        .args([&image.0, program, megabytes]);
    let output = fill.output().unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn ten_times_its_capacity_in_128_mb_without_swap_does_not_kill_it() {
    let image = Image::of(env!("CARGO_BIN_EXE_fill"));
    // The function's default: a quarter of what 128 MB leave beside the runtime's 48.
    let said = fill(&image, "20").expect("it was killed");
    println!("{said}");
    let peak = said
        .split("peak ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let peak: u64 = peak.parse().unwrap();
    // The cache, the 64 values under way, and the process itself: half of the container at most.
    assert!(peak < 64 * 1024, "{said}");

    assert!(
        fill(&image, "200").is_none(),
        "the container does not limit memory"
    );
}
