//! What one starts from: the same quote without a cache, its three reads one after another.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use handler::domain::{Customer, Pricing, Product, Quote, Request, quote};
use lambda_http::lambda_runtime::run_concurrent;
use lambda_http::{Error, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

type Item = HashMap<String, AttributeValue>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::tracing::init_default_subscriber();
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = Client::new(&aws);
    let table = std::env::var("TABLE_NAME")?;
    let answer = move |event: LambdaEvent<Box<RawValue>>| {
        let (client, table) = (client.clone(), table.clone());
        async move { answer(&client, &table, event.payload.get()).await }
    };
    run_concurrent(service_fn(answer)).await
}

async fn answer(client: &Client, table: &str, json: &str) -> Result<Quote, Error> {
    let request = Request::parse(json)?;
    let customer: Customer =
        get(client, table, format!("CUSTOMER#{}", request.customer_id)).await?;
    let pricing: Pricing = get(client, table, "CONFIG#pricing".into()).await?;
    let keys = request
        .lines
        .iter()
        .map(|line| key(format!("PRODUCT#{}", line.sku)));
    let keys = KeysAndAttributes::builder()
        .set_keys(Some(keys.collect()))
        .build()?;
    let read = client
        .batch_get_item()
        .request_items(table, keys)
        .send()
        .await?;
    let items = read.responses.unwrap_or_default().remove(table);
    let mut products = HashMap::new();
    for item in items.unwrap_or_default() {
        let pk = item.get("pk").and_then(|pk| pk.as_s().ok());
        let sku = pk
            .and_then(|pk| pk.strip_prefix("PRODUCT#"))
            .ok_or("no key")?;
        let sku = sku.to_string();
        products.insert(sku, Arc::new(decoded::<Product>(item)?));
    }
    Ok(quote(request, &customer, &pricing, &products)?)
}

async fn get<T: DeserializeOwned>(client: &Client, table: &str, pk: String) -> Result<T, Error> {
    let read = client.get_item().table_name(table).set_key(Some(key(pk)));
    decoded(read.send().await?.item.ok_or("not found")?)
}

fn key(pk: String) -> Item {
    HashMap::from([("pk".to_string(), AttributeValue::S(pk))])
}

fn decoded<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    Ok(serde_dynamo::aws_sdk_dynamodb_1::from_item(item)?)
}
