//! From flags to an answered invocation: workspaces rendered outside the repository, built, and run
//! as Lambda runs them, against a DynamoDB Local that is stopped and started again. These are the
//! sets of Rust files that there are: by entry point, and by start.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use checks::database::Database;
use checks::proxy::{Fault, Proxy};
use checks::{cargo, passes_its_own_checks, root, succeed, target};
use lambda_simulator::process::{ManagedProcess, ProcessConfig, ProcessRole};
use lambda_simulator::{InvocationBuilder, InvocationStatus, Simulator};
use serde_json::{Value, json};
use tokio::sync::Notify;

const TABLE: &str = "quotes";
const QUOTES: &str = "samples/quote/items.json";
/// Patience of the test, not of the function.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds a binary of a workspace, and keeps it in `folder`: all workspaces build into one place.
fn build(workspace: &Path, profile: &str, name: &str, folder: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    // Cargo's name for the profile whose folder is `debug`.
    let cargos = if profile == "debug" { "dev" } else { profile };
    let build = ["build", "--locked", "--package", "handler", "--bin", name];
    succeed(cargo(workspace, &build).args(["--profile", cargos]));
    let kept = folder.join(name);
    std::fs::copy(target().join(profile).join(name), &kept).unwrap();
    kept
}

/// The function's process, and the Lambda that runs it.
struct Function {
    lambda: Simulator,
    process: ManagedProcess,
}

impl Function {
    /// Starts the binary against the database at `endpoint`.
    async fn start(binary: &Path, endpoint: &str, variables: &[(&str, &str)]) -> Self {
        let lambda = Simulator::builder()
            .function_name("quotes")
            .memory_size_mb(256);
        let lambda = lambda.build().await.unwrap();
        let mut config = ProcessConfig::new(binary, ProcessRole::Runtime).inherit_stdio(true);
        let more = [("TABLE_NAME", TABLE), ("AWS_LAMBDA_LOG_FORMAT", "JSON")];
        for (name, value) in Database::variables(endpoint)
            .iter()
            .chain(&more)
            .chain(variables)
        {
            config = config.env(*name, *value);
        }
        let process = lambda.spawn_process_with_config(config).unwrap();
        Function { lambda, process }
    }

    /// Stops the process or lets it go on, as Lambda freezes and thaws an environment.
    fn signal(&self, signal: &str) {
        let pid = self.process.pid().to_string();
        succeed(Command::new("kill").args([signal, &pid]));
    }

    /// What the caller of the function gets, within the function's time.
    async fn invoke(&self, payload: Value) -> Result<Value, (String, String)> {
        let invocation = InvocationBuilder::new()
            .payload(payload)
            .timeout_ms(5000)
            .build()
            .unwrap();
        let id = self.lambda.enqueue(invocation).await;
        let state = self
            .lambda
            .wait_for_invocation_complete(&id, PATIENCE)
            .await
            .unwrap();
        match state.status {
            InvocationStatus::Success => Ok(state.response.unwrap().payload),
            InvocationStatus::Error => {
                let error = state.error.unwrap();
                Err((error.error_type, error.error_message))
            }
            other => panic!("the invocation ended as {other:?}"),
        }
    }
}

/// What an HTTP client gets.
#[derive(Debug)]
struct Response {
    status: i64,
    headers: Value,
    body: Value,
}

impl Response {
    fn error(&self) -> (i64, &str) {
        assert_eq!(self.headers["cache-control"], "no-store");
        assert!(self.body["error"]["message"].is_string());
        (self.status, self.body["error"]["type"].as_str().unwrap())
    }
}

impl Function {
    /// The response to an event of HTTP, in whichever form its kind wants.
    async fn request(&self, event: Value) -> Response {
        let response = self.invoke(event).await.unwrap();
        assert_eq!(response["isBase64Encoded"], false);
        let mut headers = response["headers"].clone();
        for (name, values) in response["multiValueHeaders"]
            .as_object()
            .into_iter()
            .flatten()
        {
            headers[name] = values[0].clone();
        }
        let body = response["body"].as_str().unwrap_or_default();
        if !body.is_empty() {
            assert_eq!(headers["content-type"], "application/json");
        }
        Response {
            status: response["statusCode"].as_i64().unwrap(),
            headers,
            body: serde_json::from_str(body).unwrap_or_default(),
        }
    }
}

fn quote(customer_id: &str) -> Value {
    let lines = json!([{"sku": "A-1", "quantity": 2}, {"sku": "B-2", "quantity": 100}]);
    json!({"customer_id": customer_id, "lines": lines})
}

#[tokio::test]
async fn a_rendered_workspace_builds_passes_its_tests_and_answers_as_lambda_invokes_it() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = checks::render(
        folder.path(),
        "my-quotes",
        &["--arch", "x86_64", "--ttl", "5m"],
    );

    passes_its_own_checks(&workspace);
    let binary = build(&workspace, "release", "direct", folder.path());

    let database = Database::start();
    database.seed(&workspace, TABLE, QUOTES);
    goes_on_while_the_database_is_away(&binary, &workspace, &database).await;
    logs_one_line_for_an_invocation_and_no_values(&binary, &database, folder.path()).await;
    reloads_when_the_wall_clock_is_stepped(&binary, &database, folder.path()).await;
    is_answered_after_a_stop_in_the_middle_of_a_load(&binary, &database).await;
}

async fn goes_on_while_the_database_is_away(binary: &Path, workspace: &Path, database: &Database) {
    let function = Function::start(binary, &database.endpoint, &[]).await;
    let first = function.invoke(quote("c-1")).await.unwrap();
    // 2 x 19.99 + 100 x 0.05 less 15 %, the discount rounded down.
    assert_eq!(first["subtotal_cents"], 4498);
    assert_eq!(first["discount_cents"], 674);
    assert_eq!(first["total_cents"], 3824);
    for no_request in [
        json!([]),
        json!(null),
        json!("text"),
        json!({"customer_id": 1}),
    ] {
        let (error, _) = function.invoke(no_request).await.unwrap_err();
        assert_eq!(error, "InvalidRequest");
    }

    database.stop();
    assert_eq!(
        function.invoke(quote("c-1")).await.unwrap(),
        first,
        "from the cache"
    );
    let (error, message) = function.invoke(quote("c-2")).await.unwrap_err();
    assert_eq!(error, "Unavailable");
    assert_eq!(message, "the customers could not be read");

    database.restart();
    // In memory: what it held went with it.
    database.seed(workspace, TABLE, QUOTES);
    // The failure's back-off may go on for up to two seconds.
    let mut second = function.invoke(quote("c-2")).await;
    for _ in 0..30 {
        if second.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        second = function.invoke(quote("c-2")).await;
    }
    assert_eq!(second.unwrap()["total_cents"], 4498);
}

/// Of its own, at the level that says most.
async fn logs_one_line_for_an_invocation_and_no_values(
    binary: &Path,
    database: &Database,
    folder: &Path,
) {
    let (log, wrapper) = (folder.join("log"), folder.join("wrapper"));
    let exec = format!("#!/bin/sh\nexec {} >{}\n", binary.display(), log.display());
    std::fs::write(&wrapper, exec).unwrap();
    succeed(Command::new("chmod").arg("+x").arg(&wrapper));
    for (level, lines) in [("TRACE", 2), ("INFO", 0)] {
        let variables = [("AWS_LAMBDA_LOG_LEVEL", level)];
        let function = Function::start(&wrapper, &database.endpoint, &variables).await;
        for _ in 0..2 {
            function.invoke(quote("c-1")).await.unwrap();
        }
        let said = std::fs::read_to_string(&log).unwrap();
        let own = said.lines().filter(|line| !line.contains("\"_aws\""));
        assert_eq!(own.count(), lines, "{said}");
        assert!(!said.contains("Anvil") && !said.contains("gold"), "{said}");
    }
    // And without any level, what went wrong: one of the three kinds is the first to fail.
    let nowhere = "http://127.0.0.1:1";
    let function = Function::start(&wrapper, nowhere, &[]).await;
    function.invoke(quote("c-1")).await.unwrap_err();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("a load failed") && said.contains(r#""kind":""#),
        "{said}"
    );
}

/// The monotonic clock is left alone: a frozen environment may thaw with the wall clock alone having
/// gone on. The TTL is 60 seconds.
async fn reloads_when_the_wall_clock_is_stepped(binary: &Path, database: &Database, folder: &Path) {
    let library = checks::faketime();
    let offset = folder.join("offset");
    std::fs::write(&offset, "+0").unwrap();
    let proxy = Proxy::start(&database.endpoint).await.unwrap();
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let function = Function::start(binary, &proxy.endpoint, &variables).await;
    for step in ["+0", "+10m", "+5m"] {
        std::fs::write(&offset, step).unwrap();
        function.invoke(quote("c-1")).await.unwrap();
        assert_eq!(proxy.seen(), 3, "{step}: everything is loaded again");
        function.invoke(quote("c-1")).await.unwrap();
        assert_eq!(proxy.seen(), 0, "{step}: and then cached");
    }
}

/// A stopped process's clocks go on: what is tested is the load in flight.
async fn is_answered_after_a_stop_in_the_middle_of_a_load(binary: &Path, database: &Database) {
    let proxy = Proxy::start(&database.endpoint).await.unwrap();
    let variables = [("CACHE_TTL_SECONDS", "1"), ("CACHE_JITTER_PERCENT", "0")];
    let function = Function::start(binary, &proxy.endpoint, &variables).await;
    let release = Arc::new(Notify::new());
    proxy.all(Fault::Hold(Arc::clone(&release)));
    let stop = async {
        let mut seen = 0;
        while seen < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            seen += proxy.seen();
        }
        function.signal("-STOP");
        release.notify_waiters();
        // Longer than the TTL, while the answers wait in the sockets.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        proxy.all(Fault::None);
        function.signal("-CONT");
    };
    let (answer, ()) = tokio::join!(function.invoke(quote("c-1")), stop);
    assert_eq!(
        answer.unwrap()["total_cents"],
        3824,
        "the waiter is answered"
    );
    function.invoke(quote("c-1")).await.unwrap();
    assert_eq!(
        proxy.seen(),
        3,
        "what was read before the stop is not fresh after it"
    );
}

#[tokio::test]
async fn a_workspace_with_a_function_url_passes_its_tests_and_answers_events_of_all_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let chosen = ["--trigger", "function-url", "--iac", "terraform"];
    let workspace = checks::render(folder.path(), "my-quotes", &chosen);
    passes_its_own_checks(&workspace);

    let database = Database::start();
    database.seed(&workspace, TABLE, QUOTES);
    let binary = build(&workspace, "debug", "http", folder.path());
    has_tls_without_the_processors_timing(&binary);
    let function = Function::start(&binary, &database.endpoint, &[]).await;
    let post = |body: &str| http_event("POST", "/", body);

    let answered = function.request(post(&quote("c-1").to_string())).await;
    assert_eq!(
        (answered.status, &answered.body["total_cents"]),
        (200, &json!(3824))
    );
    // Nothing of it is declared to be public.
    assert!(answered.headers["cache-control"].is_null());
    let kinds = answers_the_sample_events_of_aws(&function).await;
    for sample in kinds.values() {
        for encoded in [false, true] {
            let mut event = sample.clone();
            let path = if event["rawPath"].is_string() {
                "rawPath"
            } else {
                "path"
            };
            event[path] = json!("/");
            match event["requestContext"]["http"].as_object_mut() {
                Some(http) => drop(http.insert("method".into(), json!("POST"))),
                None => event["httpMethod"] = json!("POST"),
            }
            let body = quote("c-1").to_string();
            event["body"] = if encoded { BASE64.encode(body) } else { body }.into();
            event["isBase64Encoded"] = encoded.into();
            let response = function.request(event).await;
            assert_eq!((response.status, &response.body), (200, &answered.body));
        }
    }
    // AWS sends none such. It ends its invocation alone.
    let mut broken = post("{");
    broken["isBase64Encoded"] = json!(true);
    function.invoke(broken).await.unwrap_err();

    let mut unknown = quote("c-1");
    unknown["lines"][0]["sku"] = json!("Z-9");
    for (event, error) in [
        (post("[]"), (400, "InvalidRequest")),
        (post(""), (400, "InvalidRequest")),
        (post(&quote("c-9").to_string()), (404, "CustomerNotFound")),
        (post(&unknown.to_string()), (404, "ProductNotFound")),
        (post(&"x".repeat(64 * 1024 + 1)), (413, "PayloadTooLarge")),
        (http_event("GET", "/", ""), (405, "MethodNotAllowed")),
        (http_event("POST", "/quotes", "{}"), (404, "NotFound")),
    ] {
        assert_eq!(function.request(event).await.error(), error);
    }

    database.stop();
    let response = function.request(post(&quote("c-2").to_string())).await;
    assert_eq!(response.error(), (503, "Unavailable"));
}

#[tokio::test]
async fn a_minimal_workspace_passes_its_tests_and_answers_as_http_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let chosen = ["--start", "minimal", "--trigger", "http-api"];
    let workspace = checks::render(folder.path(), "my-items", &chosen);
    passes_its_own_checks(&workspace);
    let database = Database::start();
    database.seed(&workspace, TABLE, "samples/minimal/items.json");
    let binary = build(&workspace, "debug", "http", folder.path());
    let function = Function::start(&binary, &database.endpoint, &[]).await;
    let get = || http_event("GET", "/items/1", "");
    let item = function.request(get()).await;
    assert_eq!(
        (item.status, &item.body),
        (200, &json!({"id": "1", "name": "Anvil"}))
    );

    let head = function.request(http_event("HEAD", "/items/1", "")).await;
    assert_eq!(
        (head.status, &head.headers, &head.body),
        (200, &item.headers, &Value::Null)
    );
    let mut known = get();
    known["headers"]["if-none-match"] = item.headers["etag"].clone();
    let known = function.request(known).await;
    assert_eq!((known.status, &known.body), (304, &Value::Null));
    let options = function
        .request(http_event("OPTIONS", "/items/1", ""))
        .await;
    assert_eq!(
        (options.status, &options.headers["allow"]),
        (204, &json!("GET, HEAD, OPTIONS"))
    );

    database.stop();
    assert_eq!(function.request(get()).await.body, item.body);
    let other = function.request(http_event("GET", "/items/2", "")).await;
    assert_eq!(other.error(), (503, "Unavailable"));
}

/// As `.cargo/config.toml` of the workspace wants it. This binary has its symbols still.
fn has_tls_without_the_processors_timing(binary: &Path) {
    let binary = std::fs::read(binary).unwrap();
    let symbols = String::from_utf8_lossy(&binary);
    assert!(symbols.contains("aws_lc_"));
    assert!(!symbols.contains("jent_"));
}

/// Those that lambda_http is tested with. None is a quote. Returns one of each kind: a function URL, an HTTP
/// API, a REST API and a load balancer.
async fn answers_the_sample_events_of_aws(function: &Function) -> BTreeMap<&'static str, Value> {
    let metadata = cargo(&root(), &["metadata", "--format-version", "1", "--locked"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let lambda_http = packages
        .iter()
        .find(|package| package["name"] == "lambda_http");
    let manifest = Path::new(lambda_http.unwrap()["manifest_path"].as_str().unwrap());
    let mut kinds = BTreeMap::new();
    let mut answered = 0;
    for file in std::fs::read_dir(manifest.with_file_name("tests/data")).unwrap() {
        let file = file.unwrap().path();
        let Ok(event) = serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()) else {
            continue;
        };
        let context = &event["requestContext"];
        let domain = context["domainName"].as_str().unwrap_or_default();
        let (kind, method) = match &context["http"] {
            Value::Object(http) if domain.contains("lambda-url") => ("url", &http["method"]),
            Value::Object(http) => ("api", &http["method"]),
            _ if context["elb"].is_object() => ("balancer", &event["httpMethod"]),
            _ if event["httpMethod"].is_string() => ("rest", &event["httpMethod"]),
            // VPC Lattice, which this build of lambda_http leaves out.
            _ => continue,
        };
        let path = event["rawPath"].as_str().or(event["path"].as_str());
        let expected = match (path.unwrap(), method.as_str().unwrap()) {
            ("/", "POST") => (400, "InvalidRequest"),
            ("/", _) => (405, "MethodNotAllowed"),
            _ => (404, "NotFound"),
        };
        let response = function.request(event.clone()).await;
        assert_eq!(response.error(), expected, "{}", file.display());
        answered += 1;
        kinds.insert(kind, event);
    }
    assert!(answered >= 14, "{answered}");
    assert_eq!(kinds.len(), 4, "{:?}", kinds.keys());
    kinds
}

fn http_event(method: &str, path: &str, body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}},
        "body": body,
        "isBase64Encoded": false,
    })
}

#[test]
fn a_wrong_environment_ends_the_process_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    // Built in debug: what matters is what it says.
    let binary = build(&root(), "debug", "direct", folder.path());
    let output = Command::new(binary)
        .env("CACHE_TTL_SECONDS", "soon")
        .env_remove("TABLE_NAME")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "invalid configuration: TABLE_NAME is not set, allowed: a table name, 3 to 255 of A-Z a-z 0-9 . _ -, or a table's ARN; \
         CACHE_TTL_SECONDS is \"soon\", allowed: a whole number from 0 to 86400\n"
    );
}
