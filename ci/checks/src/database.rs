//! A DynamoDB Local in a container that can be stopped and started again.

use std::path::Path;
use std::time::Duration;

use crate::container::Container;
use crate::{cargo, free_port, succeed};

const IMAGE: &str = "amazon/dynamodb-local:3.3.0";

/// A container on a port that stays the same when it is started again. Removed when dropped.
pub struct Database {
    container: Container,
    /// Where it listens.
    pub endpoint: String,
}

impl Database {
    /// Starts a new one and waits until it answers.
    ///
    /// # Panics
    /// When there is no Docker engine, or the container does not answer.
    pub fn start() -> Self {
        let port = free_port();
        let publish = format!("127.0.0.1:{port}:8000");
        let container = Container::run(&["--publish", &publish], IMAGE, &[]);
        let database = Database {
            container,
            endpoint: format!("http://127.0.0.1:{port}"),
        };
        database.wait();
        database
    }

    /// Fills a table with the items of a file in a workspace, with the workspace's own command.
    ///
    /// # Panics
    /// When that fails.
    pub fn seed(&self, workspace: &Path, table: &str, items: &str) {
        let seed = [
            "run",
            "--quiet",
            "--locked",
            "--package",
            "handler",
            "--example",
            "seed",
            "--",
            items,
        ];
        let mut seed = cargo(workspace, &seed);
        succeed(
            seed.envs(Self::variables(&self.endpoint))
                .env("TABLE_NAME", table),
        );
    }

    /// Stops it. What it held is lost: it holds everything in memory.
    pub fn stop(&self) {
        self.container.stop();
    }

    /// Starts it again, empty, and waits until it answers.
    pub fn restart(&self) {
        self.container.docker(&["start"]);
        self.wait();
    }

    /// Removes it, for who ends without dropping it.
    pub fn remove(&self) {
        self.container.remove();
    }

    /// The variables by which the AWS SDK finds a database at `endpoint`.
    pub fn variables(endpoint: &str) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL_DYNAMODB", endpoint),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    fn wait(&self) {
        let address = self.endpoint.trim_start_matches("http://");
        for _ in 0..300 {
            if answers(address) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("DynamoDB Local at {address} does not answer");
    }
}

/// Docker's own proxy accepts connections before the server does: only an answer counts.
fn answers(address: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(mut server) = std::net::TcpStream::connect(address) else {
        return false;
    };
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut first = [0; 4];
    server.write_all(request.as_bytes()).is_ok()
        && server.read_exact(&mut first).is_ok()
        && &first == b"HTTP"
}
