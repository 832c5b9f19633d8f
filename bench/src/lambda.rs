//! A Lambda that runs one function: its process, and the Runtime API that it asks for events.
//!
//! An invocation is timed here, from before the event is written to the function's connection until
//! its response has been read: what a caller of Lambda waits for beside Lambda's own time.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http::Message;
use crate::tls;

/// Patience with a function that does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running function. Ended when dropped.
pub struct Function {
    process: Child,
    events: Sender<String>,
    said: Receiver<Said>,
    /// From the start of the process until it asked for its first event.
    pub start: Duration,
}

enum Said {
    Ready(Instant),
    Answered { time: Duration, body: Vec<u8> },
    Failed(String),
}

impl Function {
    /// Starts `binary` and waits until it asks for an event.
    pub fn start(binary: &Path, variables: &[(&str, &str)]) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (events, to_handle) = channel();
        let (say, said) = channel();
        // A function may take its event on one connection and answer on another.
        let lambda = Arc::new(Lambda {
            events: Mutex::new(to_handle),
            sent: Mutex::new(Instant::now()),
        });
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (lambda, say) = (Arc::clone(&lambda), say.clone());
                thread::spawn(move || {
                    // A connection that breaks is a function that has ended.
                    let _ = serve(connection, &lambda, &say);
                });
            }
        });
        let started = Instant::now();
        let process = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "quotes")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "quotes")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "quotes")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            // One file, as in Lambda's image: other systems have a folder of single ones, too, and
            // all of them are read at the start.
            .env("SSL_CERT_FILE", tls::SYSTEM)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            // Metrics and logs go to a pipe in Lambda, too, but nobody here reads one.
            .stdout(Stdio::null())
            .spawn()?;
        let mut function = Function {
            process,
            events,
            said,
            start: Duration::ZERO,
        };
        match function.hear()? {
            Said::Ready(at) => function.start = at - started,
            Said::Answered { .. } => return Err(io::Error::other("an answer without an event")),
            Said::Failed(why) => return Err(io::Error::other(why)),
        }
        Ok(function)
    }

    /// Invokes it once: what it took, and its answer.
    pub fn invoke(&self, event: &str) -> io::Result<(Duration, Vec<u8>)> {
        let gone = |_| io::Error::other("the function's connection has ended");
        self.events.send(event.into()).map_err(gone)?;
        loop {
            match self.hear()? {
                Said::Answered { time, body } => return Ok((time, body)),
                Said::Ready(_) => {}
                Said::Failed(why) => return Err(io::Error::other(why)),
            }
        }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn hear(&self) -> io::Result<Said> {
        self.said.recv_timeout(PATIENCE).map_err(|why| match why {
            RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
            RecvTimeoutError::Disconnected => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It waits for an event that never comes.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// What the connections of a function share.
struct Lambda {
    events: Mutex<Receiver<String>>,
    /// When the last event began to be written.
    sent: Mutex<Instant>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|held| held.into_inner())
}

/// Serves one connection of the Runtime API: `GET .../next`, `POST .../response`, `POST .../error`.
fn serve(mut connection: TcpStream, lambda: &Lambda, say: &Sender<Said>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection.try_clone()?);
    while let Some(request) = Message::read(&mut requests)? {
        let arrived = Instant::now();
        let path = request.path();
        let closed = |_| io::ErrorKind::BrokenPipe;
        if path.ends_with("/next") {
            say.send(Said::Ready(arrived)).map_err(closed)?;
            let event = held(&lambda.events).recv();
            let event = event.map_err(|_| io::ErrorKind::BrokenPipe)?;
            let in_a_minute = SystemTime::now().duration_since(UNIX_EPOCH);
            let in_a_minute = in_a_minute.unwrap_or_default() + Duration::from_secs(60);
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 lambda-runtime-aws-request-id: 00000000-0000-0000-0000-000000000000\r\n\
                 lambda-runtime-deadline-ms: {}\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:0:function:quotes\r\n\
                 lambda-runtime-trace-id: Root=0\r\n\r\n{event}",
                event.len(),
                in_a_minute.as_millis(),
            );
            *held(&lambda.sent) = Instant::now();
            connection.write_all(response.as_bytes())?;
            continue;
        }
        if path.ends_with("/response") {
            let time = arrived - *held(&lambda.sent);
            let body = request.body;
            say.send(Said::Answered { time, body }).map_err(closed)?;
        } else {
            let why = String::from_utf8_lossy(&request.body).into_owned();
            say.send(Said::Failed(why)).map_err(closed)?;
        }
        connection.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}
