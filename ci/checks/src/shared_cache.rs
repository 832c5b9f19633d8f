//! A Valkey or Redis in a container that can be paused, stopped and started again.

use std::net::TcpStream;
use std::time::Duration;

use crate::container::Container;
use crate::free_port;

/// As `ci/setup` provides it.
const IMAGE: &str = "cached-lambda/shared-cache";

/// A container on a port that stays the same when it is started again. Removed when dropped.
pub struct SharedCache {
    container: Container,
    /// Of the server, on the loopback interface.
    pub port: u16,
    /// Where it listens, without TLS.
    pub endpoint: String,
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
        let arguments = [&always, arguments].concat();
        let server = SharedCache {
            container: Container::run(options, IMAGE, &arguments),
            port,
            endpoint: format!("redis://127.0.0.1:{port}"),
        };
        server.wait();
        server
    }

    /// It holds its connections, and answers nothing.
    pub fn pause(&self) {
        self.container.docker(&["pause"]);
    }

    /// It goes on.
    pub fn unpause(&self) {
        self.container.docker(&["unpause"]);
    }

    /// Stops it. What it held is lost.
    pub fn stop(&self) {
        self.container.stop();
    }

    /// Starts it again, empty.
    pub fn restart(&self) {
        self.container.docker(&["start"]);
        self.wait();
    }

    /// Docker's own proxy accepts connections before the server does, so its log is asked, too.
    fn wait(&self) {
        for _ in 0..300 {
            let is_ready = self
                .container
                .docker(&["logs"])
                .contains("eady to accept connections");
            if is_ready && TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server of the second level does not listen");
    }
}
