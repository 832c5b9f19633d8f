//! The book's page about a function that exists, followed to its end: what its function reads when it is cold, and that it
//! reads nothing when it is warm.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use checks::database::Database;
use checks::proxy::{Fault, Proxy};
use checks::server::{Server, answer};
use checks::{cached_lambda, cargo, root, succeed, target};
use lambda_simulator::process::{ProcessConfig, ProcessRole};
use lambda_simulator::{InvocationBuilder, InvocationStatus, Simulator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks a DynamoDB Local, which believes any signature.
async fn dynamodb(endpoint: &str, operation: &str, body: Value) {
    let (host, body) = (endpoint.trim_start_matches("http://"), body.to_string());
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.{operation}\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut server = TcpStream::connect(host).await.unwrap();
    server.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    server.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn fill(endpoint: &str) {
    for (table, keys) in [
        ("catalog", json!([["id", "S"]])),
        ("warehouses", json!([["number", "N"]])),
        ("orders", json!([["customer", "S"], ["number", "N"]])),
    ] {
        let keys = keys.as_array().unwrap().iter();
        let attributes: Vec<_> = keys
            .clone()
            .map(|it| json!({"AttributeName": it[0], "AttributeType": it[1]}))
            .collect();
        let schema = keys
            .zip(["HASH", "RANGE"])
            .map(|(it, kind)| json!({"AttributeName": it[0], "KeyType": kind}));
        let schema: Vec<_> = schema.collect();
        let create = json!({
            "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema, "AttributeDefinitions": attributes,
        });
        dynamodb(endpoint, "CreateTable", create).await;
    }
    let order = |number: &str| {
        json!({
            "customer": {"S": "c-1"}, "number": {"N": number}, "warehouse": {"N": "7"},
            "skus": {"L": [{"S": "A-1"}, {"S": "B-2"}, {"S": "A-1"}]},
        })
    };
    for (table, item) in [
        (
            "catalog",
            json!({"id": {"S": "CUSTOMER#c-1"}, "name": {"S": "Ada"}}),
        ),
        (
            "catalog",
            json!({"id": {"S": "PRODUCT#A-1"}, "name": {"S": "Anvil"}, "price_cents": {"N": "1000"}}),
        ),
        (
            "catalog",
            json!({"id": {"S": "PRODUCT#B-2"}, "name": {"S": "Bell"}, "price_cents": {"N": "500"}}),
        ),
        (
            "warehouses",
            json!({"number": {"N": "7"}, "city": {"S": "Turin"}}),
        ),
        ("orders", order("1")),
        ("orders", order("2")),
    ] {
        dynamodb(
            endpoint,
            "PutItem",
            json!({"TableName": table, "Item": item}),
        )
        .await;
    }
}

/// Does in `folder` what the page does, up to where the function is built, and says how many lines were written.
fn follow_the_page(folder: &Path) -> (u32, usize) {
    let page = fs::read_to_string(root().join("docs/src/existing.md")).unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
            .current_dir(folder);
        let output = git.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    succeed(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("docs/src/orders/."))
            .arg(folder),
    );
    fs::copy(
        root().join("template/Cargo.lock"),
        folder.join("Cargo.lock"),
    )
    .unwrap();
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=as it was"]);
    let (_, command) = page.split_once("$ cached-lambda ").unwrap();
    let lines = command.lines();
    let mut goes_on = true;
    let command = lines.take_while(|line| std::mem::replace(&mut goes_on, line.ends_with('\\')));
    let command: String = command
        .map(|line| line.trim_end_matches('\\').replace('\'', ""))
        .collect();
    succeed(
        cached_lambda()
            .args(command.split_whitespace())
            .arg("--quiet")
            .current_dir(folder),
    );
    succeed(&mut cargo(
        folder,
        &["add", "--quiet", "cache-core", "--features", "http"],
    ));
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=added"]);
    let diffs = page.split("\n```diff\n").skip(1);
    for diff in diffs.map(|rest| rest.split_once("\n```").unwrap().0) {
        let file = folder.join(".git/page.diff");
        fs::write(&file, format!("{diff}\n")).unwrap();
        git(&["apply", ".git/page.diff"]);
    }
    let changed = git(&["diff", "--numstat"]);
    let added = changed
        .lines()
        .map(|line| line.split('\t').next().unwrap().parse::<u32>().unwrap());
    println!("{changed}");
    (added.sum(), changed.lines().count())
}

#[tokio::test]
async fn six_reads_of_a_function_that_existed_are_none_when_it_is_warm() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, files) = follow_the_page(folder.path());
    assert!(
        (1..=100).contains(&lines) && (1..=3).contains(&files),
        "{lines} lines in {files} files"
    );
    let page = fs::read_to_string(root().join("docs/src/existing.md")).unwrap();
    assert!(
        page.contains(&format!("That is {lines} lines in three files")),
        "{lines}"
    );
    succeed(&mut cargo(
        folder.path(),
        &["build", "--quiet", "--bin", "api"],
    ));
    let binary = folder.path().join("api");
    fs::copy(target().join("debug/api"), &binary).unwrap();

    let database = Database::start();
    fill(&database.endpoint).await;
    let proxy = Proxy::start(&database.endpoint).await.unwrap();
    let operations: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&operations);
    proxy.decide(move |operation, _| {
        seen.lock().unwrap().push(operation.into());
        Fault::None
    });
    let rates = Server::start(|_| async { Some(answer(200, "", "2")) })
        .await
        .unwrap();

    let lambda = Simulator::builder()
        .function_name("orders")
        .memory_size_mb(256);
    let lambda = lambda.build().await.unwrap();
    let mut config = ProcessConfig::new(&binary, ProcessRole::Runtime).inherit_stdio(true);
    let tables = [
        ("CATALOG_TABLE", "catalog"),
        ("WAREHOUSES_TABLE", "warehouses"),
        ("ORDERS_TABLE", "orders"),
    ];
    let variables = [
        &Database::variables(&proxy.endpoint)[..],
        &tables,
        &[("RATES_URL", rates.endpoint.as_str())],
    ];
    for (name, value) in variables.concat() {
        config = config.env(name, value);
    }
    let _process = lambda.spawn_process_with_config(config).unwrap();
    let mut asked = Vec::new();
    for _ in 0..2 {
        let event = json!({
            "version": "2.0", "rawPath": "/orders/c-1/1", "rawQueryString": "currency=USD", "headers": {},
            "queryStringParameters": {"currency": "USD"},
            "requestContext": {"http": {"method": "GET", "path": "/orders/c-1/1"}}, "isBase64Encoded": false,
        });
        let invocation = InvocationBuilder::new()
            .payload(event)
            .timeout_ms(5000)
            .build()
            .unwrap();
        let id = lambda.enqueue(invocation).await;
        let state = lambda
            .wait_for_invocation_complete(&id, Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(state.status, InvocationStatus::Success, "{state:?}");
        let response = state.response.unwrap().payload;
        assert_eq!(response["statusCode"], 200, "{response}");
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        let page = json!({
            "customer": "Ada", "ships_from": "Turin", "products": ["Anvil", "Bell", "Anvil"], "total": 50.0,
            "orders_so_far": 2,
        });
        assert_eq!(body, page);
        let mut operations = std::mem::take(&mut *operations.lock().unwrap());
        operations.sort();
        asked.push((operations, rates.seen().len()));
    }
    let cold = ["BatchGetItem", "GetItem", "GetItem", "GetItem", "Query"].map(String::from);
    assert_eq!(asked, [(cold.to_vec(), 1), (Vec::new(), 0)]);
}
