//! What the function does between its response and the freeze. This Lambda stops the process the moment that it asks
//! for the next event, as Lambda may, and lets it go on when there is one: what is not done by then is not done.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use checks::database::Database;
use checks::proxy::{Fault, Proxy};
use checks::{cargo, root, succeed, target};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, mpsc};

const TABLE: &str = "quotes";
/// Patience of the test, not of the function.
const PATIENCE: Duration = Duration::from_secs(60);

struct Lambda {
    process: Child,
    events: mpsc::UnboundedSender<String>,
    responses: mpsc::UnboundedReceiver<Value>,
    /// One for each time that it was stopped.
    stops: mpsc::UnboundedReceiver<()>,
    offset: PathBuf,
    _folder: tempfile::TempDir,
}

/// What all connections of the process share.
struct Api {
    pid: AtomicU32,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    responses: mpsc::UnboundedSender<Value>,
    stops: mpsc::UnboundedSender<()>,
}

fn signal(signal: &str, pid: u32) {
    succeed(Command::new("kill").args([signal, &pid.to_string()]));
}

impl Api {
    async fn serve(&self, connection: TcpStream) -> Option<()> {
        let mut connection = BufReader::new(connection);
        loop {
            let (mut head, mut length) = (String::new(), 0);
            while connection.read_line(&mut head).await.ok()? > 2 {
                let line = head.lines().last()?.to_ascii_lowercase();
                if let Some(bytes) = line.strip_prefix("content-length:") {
                    length = bytes.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).await.ok()?;
            let path = head.split(' ').nth(1)?;
            let answer = if path.ends_with("/next") {
                let pid = self.pid.load(SeqCst);
                signal("-STOP", pid);
                self.stops.send(()).ok()?;
                let event = self.events.lock().await.recv().await?;
                signal("-CONT", pid);
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                format!(
                    "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: {}\r\n\
                     lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:0:function:quotes\r\n\
                     content-length: {}\r\n\r\n{event}",
                    now.as_millis() + 5000,
                    event.len(),
                )
            } else {
                self.responses
                    .send(serde_json::from_slice(&body).unwrap())
                    .ok()?;
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".into()
            };
            connection.write_all(answer.as_bytes()).await.ok()?;
        }
    }
}

impl Lambda {
    /// Starts the function, whose wall clock can be stepped. Its TTL is a minute.
    async fn start(binary: &Path, endpoint: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let offset = folder.path().join("offset");
        std::fs::write(&offset, "+0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (events, coming) = mpsc::unbounded_channel();
        let (answered, responses) = mpsc::unbounded_channel();
        let (stopped, stops) = mpsc::unbounded_channel();
        let api = Arc::new(Api {
            pid: AtomicU32::new(0),
            events: coming.into(),
            responses: answered,
            stops: stopped,
        });
        let process = Command::new(binary)
            .envs(Database::variables(endpoint))
            .env(
                "AWS_LAMBDA_RUNTIME_API",
                listener.local_addr().unwrap().to_string(),
            )
            .env("AWS_LAMBDA_FUNCTION_NAME", "quotes")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("LD_PRELOAD", checks::faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("TABLE_NAME", TABLE)
            .env("CACHE_JITTER_PERCENT", "0")
            .env("METRICS_INTERVAL_SECONDS", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        api.pid.store(process.id(), SeqCst);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let api = Arc::clone(&api);
                tokio::spawn(async move { api.serve(connection).await });
            }
        });
        let mut lambda = Lambda {
            process,
            events,
            responses,
            stops,
            offset,
            _folder: folder,
        };
        lambda.stops().await;
        lambda
    }

    /// Sets the function's wall clock to so many seconds after its start, and has it answer for a customer.
    async fn invoke(&mut self, seconds: u32, customer_id: &str) -> Value {
        std::fs::write(&self.offset, format!("+{seconds}")).unwrap();
        let lines = json!([{"sku": "A-1", "quantity": 2}, {"sku": "B-2", "quantity": 100}]);
        let event = json!({"customer_id": customer_id, "lines": lines});
        self.events.send(event.to_string()).unwrap();
        let response = tokio::time::timeout(PATIENCE, self.responses.recv()).await;
        response.expect("there is no response").unwrap()
    }

    async fn stops(&mut self) {
        let stop = tokio::time::timeout(PATIENCE, self.stops.recv()).await;
        stop.expect("it does not ask for the next event").unwrap();
    }

    fn goes_on(&mut self) {
        assert!(
            self.stops.try_recv().is_err(),
            "it asked for the next event"
        );
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

async fn seen(proxy: &Proxy, count: usize) {
    let mut seen = 0;
    let all = async {
        while seen < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
            seen += proxy.seen();
        }
    };
    let all = tokio::time::timeout(PATIENCE, all).await;
    all.expect("it does not read");
    assert_eq!(seen, count);
}

/// The function, and its table.
async fn function_and_table() -> (PathBuf, Database) {
    let database = Database::start();
    let build = [
        "build",
        "--locked",
        "--package",
        "handler",
        "--bin",
        "direct",
    ];
    succeed(&mut cargo(&root(), &build));
    database.seed(&root(), TABLE, "template/samples/quote/items.json");
    (target().join("debug/direct"), database)
}

#[tokio::test]
async fn reads_are_done_between_the_response_and_the_next_event() {
    let (binary, database) = function_and_table().await;
    is_read_ahead(&binary, &database).await;
    is_read_late(&binary, &database).await;
}

/// A function that has everything in its cache, and what it reads through.
async fn warm(binary: &Path, database: &Database, variables: &[(&str, &str)]) -> (Lambda, Proxy) {
    let proxy = Proxy::start(&database.endpoint).await.unwrap();
    let mut function = Lambda::start(binary, &proxy.endpoint, variables).await;
    function.invoke(0, "c-1").await;
    function.stops().await;
    assert_eq!(proxy.seen(), 3);
    (function, proxy)
}

/// It answers after so many seconds, while DynamoDB does not, and stops when that does.
async fn answers_before_it_has_read(function: &mut Lambda, proxy: &Proxy, seconds: u32) {
    let release = Arc::new(Notify::new());
    proxy.all(Fault::Hold(Arc::clone(&release)));
    let answer = function.invoke(seconds, "c-1").await;
    assert_eq!(answer["total_cents"], 3824);
    seen(proxy, 3).await;
    function.goes_on();
    release.notify_waiters();
    function.stops().await;
    proxy.all(Fault::None);
}

async fn is_read_ahead(binary: &Path, database: &Database) {
    let variables = [
        ("CACHE_REFRESH_AHEAD_PERCENT", "50"),
        ("CACHE_REFRESH_LIMIT_MS", "1500"),
    ];
    let (mut function, proxy) = warm(binary, database, &variables).await;
    // In the last half of the TTL.
    answers_before_it_has_read(&mut function, &proxy, 40).await;
    // What was read counts from then on.
    function.invoke(65, "c-1").await;
    function.stops().await;
    assert_eq!(proxy.seen(), 0);
    // A read that hangs is cut off, and the entries stay until their end.
    proxy.all(Fault::Silence);
    function.invoke(85, "c-1").await;
    seen(&proxy, 3).await;
    function.stops().await;
    proxy.all(Fault::None);
    assert_eq!(function.invoke(95, "c-1").await["total_cents"], 3824);
    function.stops().await;
    assert_eq!(proxy.seen(), 3);
    // Behind an error, too: one read for it, and then what it has asked for.
    let error = function.invoke(135, "nobody").await;
    assert_eq!(error["errorType"], "CustomerNotFound");
    function.stops().await;
    assert_eq!(proxy.seen(), 3);
}

async fn is_read_late(binary: &Path, database: &Database) {
    let variables = [
        ("CACHE_STALE_IF_ERROR_SECONDS", "600"),
        ("CACHE_SOFT_TIMEOUT_MS", "30"),
    ];
    let (mut function, proxy) = warm(binary, database, &variables).await;
    // The very reads that the caller has left.
    answers_before_it_has_read(&mut function, &proxy, 70).await;
    function.invoke(125, "c-1").await;
    function.stops().await;
    assert_eq!(proxy.seen(), 0);
}
