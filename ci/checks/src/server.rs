//! An HTTP server that answers as a test wants it.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::proxy::read_request;

/// Answers each request on a connection of its own.
pub struct Server {
    /// Where it listens.
    pub endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts one. `answer` gets the head of each request, and returns the bytes of the answer, after which the
    /// connection is closed; `None` never answers.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start<F>(answer: impl Fn(String) -> F + Send + Sync + 'static) -> io::Result<Self>
    where
        F: Future<Output = Option<String>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let heads = Arc::clone(&seen);
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (answer, heads) = (Arc::clone(&answer), Arc::clone(&heads));
                connections.spawn(async move {
                    let (head, _) = read_request(&mut client).await?;
                    if let Ok(mut heads) = heads.lock() {
                        heads.push(head.clone());
                    }
                    match answer(head).await {
                        Some(answer) => client.write_all(answer.as_bytes()).await,
                        None => std::future::pending().await,
                    }
                });
            }
        });
        Ok(Server {
            endpoint,
            seen,
            task,
        })
    }

    /// The heads of the requests that arrived since the last call.
    pub fn seen(&self) -> Vec<String> {
        self.seen
            .lock()
            .map(|mut seen| std::mem::take(&mut *seen))
            .unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The bytes of an answer. `headers` are lines, each with its end.
pub fn answer(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}
