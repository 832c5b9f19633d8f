//! What the experiments run on: the functions as they are deployed, and a filled DynamoDB Local.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, PutRequest, WriteRequest};
use checks::database::Database;
use rustls::ServerConfig;
use serde_json::json;

use crate::network::Network;

/// What goes wrong in an experiment ends the run.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub const TABLE: &str = "quotes";
pub const CUSTOMERS: usize = 100;
pub const PRODUCTS: usize = 200;

/// As cargo built this: the functions are built the same way.
pub const PROFILE: &str = if cfg!(debug_assertions) {
    "debug"
} else {
    "release"
};

pub struct Setting {
    pub quick: bool,
    database: OnceLock<Arc<Database>>,
    network: OnceLock<Network>,
    pub runtime: tokio::runtime::Runtime,
}

impl Setting {
    pub fn new(quick: bool) -> io::Result<Self> {
        Ok(Setting {
            quick,
            database: OnceLock::new(),
            network: OnceLock::new(),
            runtime: tokio::runtime::Runtime::new()?,
        })
    }

    /// Fewer where it has to be quick.
    pub fn count(&self, all: usize, quick: usize) -> usize {
        if self.quick { quick } else { all }
    }

    /// Builds a package's binaries as a user does: alone, so that they have the features that they
    /// have there. For a run that shows nothing but that it runs, with what is built already.
    pub fn build(&self, package: &str, binaries: &[&str]) -> Outcome<()> {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--package", package]);
        for binary in binaries {
            build.args(["--bin", binary]);
        }
        match PROFILE {
            "release" => build.arg("--release"),
            _ => build.args(["--package", "bench"]),
        };
        let built = build.current_dir(checks::root()).status()?;
        match built.success() {
            true => Ok(()),
            false => Err(format!("{package} cannot be built").into()),
        }
    }

    pub fn binary(&self, name: &str) -> Outcome<PathBuf> {
        Ok(std::env::current_exe()?.with_file_name(name))
    }

    /// The network in front of a table with [`CUSTOMERS`] and [`PRODUCTS`], started when it is first
    /// needed.
    pub fn network(&self) -> Outcome<&Network> {
        if let Some(network) = self.network.get() {
            return Ok(network);
        }
        let network = Network::start(&self.database()?, None)?;
        Ok(self.network.get_or_init(|| network))
    }

    /// Another one, with TLS.
    pub fn secure_network(&self, tls: Arc<ServerConfig>) -> Outcome<Network> {
        Ok(Network::start(&self.database()?, Some(tls))?)
    }

    /// Where the filled database is, started when it is first needed.
    fn database(&self) -> Outcome<String> {
        if self.database.get().is_none() {
            let database = Arc::new(Database::start());
            let started = Arc::clone(&database);
            self.runtime.spawn(async move {
                // Ctrl-C ends this process without dropping anything.
                if tokio::signal::ctrl_c().await.is_ok() {
                    started.remove();
                    std::process::exit(130);
                }
            });
            self.runtime.block_on(fill(&client(&database.endpoint)))?;
            let _ = self.database.set(database);
        }
        let database = self.database.get().ok_or("no database")?;
        Ok(database.endpoint.trim_start_matches("http://").into())
    }
}

/// One invocation's event: three reads, two GetItem and one BatchGetItem.
pub fn event(number: usize) -> String {
    let lines = (0..3).map(|line| {
        let sku = format!("p-{}", (number + line) % PRODUCTS);
        json!({ "sku": sku, "quantity": 1 + line })
    });
    let customer = format!("c-{}", number % CUSTOMERS);
    json!({ "customer_id": customer, "lines": lines.collect::<Vec<_>>() }).to_string()
}

pub fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("local", "local", None, None, "bench"))
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint);
    Client::from_conf(cache_core::dynamodb::with_limits(config).build())
}

async fn fill(client: &Client) -> Outcome<()> {
    let (schema, definitions) = handler::KEY.schema()?;
    let create = client.create_table().table_name(TABLE);
    create
        .set_key_schema(Some(schema))
        .set_attribute_definitions(Some(definitions))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await?;

    let text = |text: &str| AttributeValue::S(text.into());
    let number = |number: usize| AttributeValue::N(number.to_string());
    let tiers = HashMap::from([("gold".to_string(), number(10))]);
    let mut items = vec![vec![
        ("pk", text("CONFIG#pricing")),
        ("currency", text("EUR")),
        ("discount_percent", AttributeValue::M(tiers)),
    ]];
    items.extend((0..CUSTOMERS).map(|customer| {
        vec![
            ("pk", text(&format!("CUSTOMER#c-{customer}"))),
            ("name", text("A customer with a name")),
            ("tier", text("gold")),
        ]
    }));
    items.extend((0..PRODUCTS).map(|product| {
        vec![
            ("pk", text(&format!("PRODUCT#p-{product}"))),
            ("name", text("A product with a name")),
            ("unit_price_cents", number(100 + product)),
        ]
    }));
    for items in items.chunks(25) {
        let puts = items.iter().map(|item| {
            let item = item.iter().cloned();
            let item = item
                .map(|(name, value)| (name.to_string(), value))
                .collect();
            let put = PutRequest::builder().set_item(Some(item)).build()?;
            Ok(WriteRequest::builder().put_request(put).build())
        });
        let puts = puts.collect::<Outcome<Vec<_>>>()?;
        let write = client.batch_write_item().request_items(TABLE, puts);
        write.send().await?;
    }
    Ok(())
}
