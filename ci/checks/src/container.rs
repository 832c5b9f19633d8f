//! A container of Docker's.

use std::process::Command;

/// Removed when dropped.
pub(crate) struct Container(String);

impl Container {
    /// Runs an image with these options, and these arguments for its command.
    pub fn run(options: &[&str], image: &str, arguments: &[&str]) -> Self {
        Container(docker(
            &[&["run", "--detach"], options, &[image], arguments].concat(),
        ))
    }

    /// With one of Docker's commands for containers.
    pub fn docker(&self, command: &[&str]) -> String {
        docker(&[command, &[&self.0]].concat())
    }

    pub fn stop(&self) {
        self.docker(&["stop", "--time", "0"]);
    }

    pub fn remove(&self) {
        self.docker(&["rm", "--force"]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("docker cannot be run: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker {}: {error}",
        arguments.join(" ")
    );
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}
