//! A Valkey or Redis in a container that can be paused, stopped and started again.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::database::docker;

/// As `ci/setup` provides it.
const IMAGE: &str = "cached-lambda/shared-cache";

/// A container on a port that stays the same when it is started again. Removed when dropped.
pub struct SharedCache {
    container: String,
    /// Of the server, on the loopback interface.
    pub port: u16,
}

impl SharedCache {
    /// Starts a server with these arguments, and waits until it listens.
    ///
    /// # Panics
    /// When there is no Docker engine, or the server does not start.
    pub fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let publish = format!("127.0.0.1:{port}:6379");
        Self::run(port, &["--publish", &publish], arguments)
    }

    /// The same on the host's own network, as the nodes of a cluster need it. `ci/setup` is for Linux, too.
    ///
    /// # Panics
    /// As `start`.
    pub fn start_node() -> Self {
        let (port, bus) = (free_port(), free_port());
        let ports = [port, bus].map(|port| port.to_string());
        let arguments = [
            "--port",
            &ports[0],
            "--cluster-port",
            &ports[1],
            "--bind",
            "127.0.0.1",
            "--cluster-enabled",
            "yes",
        ];
        Self::run(port, &["--network", "host"], &arguments)
    }

    /// The same with TLS alone, and this folder's `key.pem` and `certificate.pem`.
    ///
    /// # Panics
    /// As `start`.
    pub fn start_with_tls(folder: &str) -> Self {
        let port = free_port();
        let publish = format!("127.0.0.1:{port}:6379");
        let volume = format!("{folder}:/tls:ro");
        let options = ["--publish", &publish, "--volume", &volume];
        let arguments = "--port 0 --tls-port 6379 --tls-auth-clients no --tls-key-file /tls/key.pem \
                         --tls-cert-file /tls/certificate.pem --tls-ca-cert-file /tls/certificate.pem";
        Self::run(
            port,
            &options,
            &arguments.split_whitespace().collect::<Vec<_>>(),
        )
    }

    fn run(port: u16, options: &[&str], arguments: &[&str]) -> Self {
        let always = ["--save", "", "--protected-mode", "no"];
        let docker_run = ["run", "--detach"].iter().chain(options).chain(&[IMAGE]);
        let command: Vec<_> = docker_run
            .chain(&always)
            .chain(arguments)
            .copied()
            .collect();
        let server = SharedCache {
            container: docker(&command),
            port,
        };
        server.wait();
        server
    }

    /// It holds its connections, and answers nothing.
    pub fn pause(&self) {
        docker(&["pause", &self.container]);
    }

    /// It goes on.
    pub fn unpause(&self) {
        docker(&["unpause", &self.container]);
    }

    /// Stops it. What it held is lost.
    pub fn stop(&self) {
        docker(&["stop", "--time", "0", &self.container]);
    }

    /// Starts it again, empty.
    pub fn restart(&self) {
        docker(&["start", &self.container]);
        self.wait();
    }

    /// Docker's own proxy accepts connections before the server does, so its log is asked, too.
    fn wait(&self) {
        for _ in 0..300 {
            let is_ready =
                docker(&["logs", &self.container]).contains("eady to accept connections");
            if is_ready && TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server of the second level does not listen");
    }
}

impl Drop for SharedCache {
    fn drop(&mut self) {
        docker(&["rm", "--force", &self.container]);
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.unwrap_or_else(|error| panic!("no port is free: {error}"))
        .port()
}
