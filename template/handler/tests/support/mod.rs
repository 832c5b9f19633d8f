//! A table of its own for each test, and the line to it, which can be cut.
//!
//! A container is started for the tests and removed after them. Where `AWS_ENDPOINT_URL_DYNAMODB`
//! is set that server is used instead, and no Docker is needed.
#![allow(dead_code)] // not every test needs all of it

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
};
use aws_sdk_dynamodb::error::{BoxError, SdkError};
use aws_sdk_dynamodb::types::BillingMode;
use cache_core::Deadline;
use cache_core::clock::ManualClock;
use cache_core::dynamodb::TableKey;
use handler::{Answer, Caches, Error, KEY};
use serde_json::Value;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const IMAGE: (&str, &str) = ("amazon/dynamodb-local", "3.3.0");

/// A DynamoDB Local that runs.
struct Database {
    endpoint: String,
    _container: Option<ContainerAsync<GenericImage>>,
}

/// The one that all tests share while one of them runs. Weak: what a static holds is never
/// dropped, and the container would stay behind.
static DATABASE: tokio::sync::Mutex<Weak<Database>> = tokio::sync::Mutex::const_new(Weak::new());

async fn database() -> Arc<Database> {
    let mut shared = DATABASE.lock().await;
    if let Some(database) = shared.upgrade() {
        return database;
    }
    let database = Arc::new(match std::env::var("AWS_ENDPOINT_URL_DYNAMODB") {
        Ok(endpoint) => Database {
            endpoint,
            _container: None,
        },
        Err(_) => start_container().await,
    });
    *shared = Arc::downgrade(&database);
    database
}

async fn start_container() -> Database {
    let image = GenericImage::new(IMAGE.0, IMAGE.1)
        .with_exposed_port(8000.tcp())
        .with_wait_for(WaitFor::message_on_stdout("CorsParams"));
    let container = match image.start().await {
        Ok(container) => container,
        Err(error) => panic!(
            "these tests need DynamoDB Local, and no container could be started: {error}\n\
             Either start Docker, or start DynamoDB Local yourself and set \
             AWS_ENDPOINT_URL_DYNAMODB=http://localhost:8000"
        ),
    };
    let host = container.get_host().await.unwrap();
    let port = container.get_host_port_ipv4(8000).await.unwrap();
    Database {
        endpoint: format!("http://{host}:{port}"),
        _container: Some(container),
    }
}

/// A client that notes the requests that it sends.
fn client(endpoint: &str, sent: &Sent) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
        .endpoint_url(endpoint)
        .interceptor(sent.clone());
    Client::from_conf(cache_core::dynamodb::with_limits(config).build())
}

/// The operation and the body of each request that was sent, retries included.
#[derive(Clone, Debug, Default)]
struct Sent(Arc<Mutex<Vec<(String, Value)>>>);

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "Sent"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.trim_start_matches("DynamoDB_20120810.").to_string();
        let body = serde_json::from_slice(request.body().bytes().unwrap())?;
        self.0.lock().unwrap().push((operation, body));
        Ok(())
    }
}

/// A table of one test.
pub struct Table {
    pub name: String,
    admin: Client,
    line: Line,
    sent: Sent,
    // Last: the container goes when nothing uses it any more.
    _database: Arc<Database>,
}

impl Table {
    /// An empty table with the function's key.
    pub async fn empty() -> Self {
        Self::with_key(KEY).await
    }

    pub async fn with_key(key: TableKey) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // The process too: a server that was started by hand outlives a run of the tests.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{}-{number}", std::process::id());
        let database = database().await;
        let admin = client(&database.endpoint, &Sent::default());
        ready(&admin).await;
        let (schema, definitions) = key.schema().unwrap();
        let create = admin
            .create_table()
            .table_name(&name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(schema))
            .set_attribute_definitions(Some(definitions));
        // A busy server may have made it at an attempt that was given up.
        if let Err(error) = create.send().await.map_err(SdkError::into_service_error) {
            assert!(error.is_resource_in_use_exception(), "{error:?}");
        }
        let line = Line::to(&database.endpoint).await;
        Table {
            name,
            admin,
            line,
            sent: Sent::default(),
            _database: database,
        }
    }

    /// A table with these items, in JSON.
    pub async fn of(items: &str) -> Self {
        let table = Self::empty().await;
        for item in serde_json::from_str::<Vec<Value>>(items).unwrap() {
            table.put_item(item).await;
        }
        table
    }

    /// Puts an item whose key is `pk` alone.
    pub async fn put(&self, pk: &str, mut attributes: Value) {
        attributes["pk"] = pk.into();
        self.put_item(attributes).await;
    }

    pub async fn put_item(&self, item: Value) {
        let item = serde_dynamo::aws_sdk_dynamodb_1::to_item(item).unwrap();
        let put = self.admin.put_item().table_name(&self.name);
        put.set_item(Some(item)).send().await.unwrap();
    }

    pub async fn delete(&self, pk: &str) {
        let pk = serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(pk).unwrap();
        let delete = self.admin.delete_item().table_name(&self.name);
        delete.key("pk", pk).send().await.unwrap();
    }

    /// A client on the line that can be cut.
    pub fn client(&self) -> Client {
        client(&format!("http://{}", self.line.address), &self.sent)
    }

    /// A new execution environment with the given variables beside `TABLE_NAME`.
    pub fn environment(&self, variables: &[(&str, &str)]) -> Environment {
        let name = [("TABLE_NAME", self.name.as_str())];
        let variables = name.into_iter().chain(variables.iter().copied());
        let clock = Arc::new(ManualClock::default());
        let variables = cache_core::environment::Environment::of(variables);
        let caches = handler::open(self.client(), variables.with_clock(clock.clone()));
        Environment {
            caches: caches.unwrap(),
            clock,
        }
    }

    /// The operations that DynamoDB was asked for since the last call, sorted.
    pub fn requests(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.sent.0.lock().unwrap());
        let mut requests: Vec<_> = sent.into_iter().map(|(operation, _)| operation).collect();
        requests.sort();
        requests
    }

    /// The bodies of the same requests, in order.
    pub fn bodies(&self) -> Vec<Value> {
        let sent = std::mem::take(&mut *self.sent.0.lock().unwrap());
        sent.into_iter().map(|(_, body)| body).collect()
    }

    /// From now on the database cannot be reached.
    pub async fn stop_database(&mut self) {
        self.line.task.abort();
        (&mut self.line.task).await.unwrap_err();
    }

    /// The database can be reached again, where it was.
    pub async fn start_database(&mut self) {
        self.line = Line::listen(self.line.address, self.line.server.clone()).await;
    }
}

async fn ready(admin: &Client) {
    for _ in 0..100 {
        if admin.list_tables().send().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    admin
        .list_tables()
        .send()
        .await
        .expect("DynamoDB Local does not answer");
}

/// What Lambda keeps between invocations, with a clock that the test moves.
pub struct Environment {
    pub caches: Caches,
    pub clock: Arc<ManualClock>,
}

impl Environment {
    pub async fn answer(&self, request: Value) -> Result<Answer, Error> {
        let deadline = Deadline::after(Duration::from_secs(5));
        handler::answer(&self.caches, &request.to_string(), &deadline).await
    }

    /// The type of the error that this request gets.
    pub async fn error(&self, request: Value) -> &'static str {
        match self.answer(request).await {
            Ok(_) => panic!("it was answered"),
            Err(error) => error.kind().0,
        }
    }
}

/// Forwards connections. Aborted, it closes them and refuses new ones.
struct Line {
    address: SocketAddr,
    server: String,
    task: JoinHandle<()>,
}

impl Line {
    async fn to(endpoint: &str) -> Self {
        let server = endpoint.trim_start_matches("http://").trim_end_matches('/');
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), server.to_string()).await
    }

    async fn listen(address: SocketAddr, server: String) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let to = server.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut inbound, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    let mut outbound = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await
                });
            }
        });
        Line {
            address,
            server,
            task,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}
