//! A proxy in front of DynamoDB that fails on demand.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// It goes through.
    None,
    /// It goes through after so long.
    Delay(Duration),
    /// It goes through when somebody says so.
    Hold(Arc<Notify>),
    /// It is read and never answered.
    Silence,
    /// The connection is closed instead of an answer.
    Cut,
    /// The answer is cut off in the middle.
    CutAnswer,
    /// This status and this type of error, which never reached DynamoDB.
    Error(u16, &'static str),
}

/// Decides by the operation ("GetItem") and the body.
type Decide = dyn FnMut(&str, &str) -> Fault + Send;

/// Forwards HTTP requests to a server, one on each connection.
pub struct Proxy {
    /// Where it listens.
    pub endpoint: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    decide: Box<Decide>,
    seen: usize,
}

impl Proxy {
    /// Starts a proxy that lets everything through, to a server at an address such as
    /// `http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(server: &str) -> io::Result<Self> {
        let server = server.trim_start_matches("http://").to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let decide = Box::new(|_: &str, _: &str| Fault::None);
        let state = Arc::new(Mutex::new(State { decide, seen: 0 }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(connection, server.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Proxy {
            endpoint,
            state,
            task,
        })
    }

    /// From now on, `decide` says what happens to each request.
    pub fn decide(&self, decide: impl FnMut(&str, &str) -> Fault + Send + 'static) {
        lock(&self.state).decide = Box::new(decide);
    }

    /// From now on, all requests fare alike.
    pub fn all(&self, fault: Fault) {
        self.decide(move |_, _| fault.clone());
    }

    /// The requests that arrived since the last call, attempts that were repeated included.
    pub fn seen(&self) -> usize {
        std::mem::take(&mut lock(&self.state).seen)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn serve(mut client: TcpStream, server: String, state: Arc<Mutex<State>>) -> io::Result<()> {
    let (head, body) = read_request(&mut client).await?;
    let target = header(&head, "x-amz-target").unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let fault = {
        let mut state = lock(&state);
        state.seen += 1;
        (state.decide)(operation, &String::from_utf8_lossy(&body))
    };
    let mut most = usize::MAX;
    match fault {
        Fault::None => {}
        Fault::Delay(time) => tokio::time::sleep(time).await,
        Fault::Hold(release) => release.notified().await,
        Fault::Silence => std::future::pending().await,
        Fault::Cut => return Ok(()),
        Fault::CutAnswer => most = 120,
        Fault::Error(status, kind) => {
            let body = format!(
                r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"injected"}}"#
            );
            let answer = format!(
                "HTTP/1.1 {status} Injected\r\ncontent-type: application/x-amz-json-1.0\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(answer.as_bytes()).await;
        }
    }
    let mut server = TcpStream::connect(server).await?;
    // One request a connection: its answer ends where the connection does.
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(head.as_bytes()).await?;
    server.write_all(&body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    client.write_all(&answer[..answer.len().min(most)]).await
}

pub(crate) async fn read_request(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = read.split_off(end);
    let head = String::from_utf8(read).map_err(io::Error::other)?;
    let length = header(&head, "content-length").unwrap_or("0");
    let length: usize = length.parse().map_err(io::Error::other)?;
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .into_iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
