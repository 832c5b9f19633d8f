//! `GET /orders/{customer}/{number}?currency=EUR`: an order with all that a page shows of it.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;

use anyhow::{anyhow, Context, Result};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_dynamodb::Client;
use lambda_http::{run, service_fn, Body, Error, Request, RequestExt, Response};
use orders::{Customer, Order, Product, Warehouse};
use serde_dynamo::{from_item, from_items};
use serde_json::json;

struct App {
    client: Client,
    http: reqwest::Client,
    catalog_table: String,
    warehouses_table: String,
    orders_table: String,
    rates_url: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_from_env().await;
    let app = Arc::new(App {
        client: Client::new(&config),
        http: reqwest::Client::new(),
        catalog_table: env::var("CATALOG_TABLE")?,
        warehouses_table: env::var("WAREHOUSES_TABLE")?,
        orders_table: env::var("ORDERS_TABLE")?,
        rates_url: env::var("RATES_URL")?,
    });
    run(service_fn(move |request| handle(app.clone(), request))).await
}

async fn handle(app: Arc<App>, request: Request) -> Result<Response<Body>, Error> {
    let path = request.raw_http_path().to_string();
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let (customer, number) = match parts[..] {
        ["orders", customer, number] => (customer, number.parse::<u64>()?),
        _ => return respond(404, &json!({"error": "no such page"})),
    };
    let currency = request.query_string_parameters();
    let currency = currency.first("currency").unwrap_or("EUR");
    match app.page(customer, number, currency).await? {
        Some(page) => respond(200, &page),
        None => respond(404, &json!({"error": "no such order"})),
    }
}

fn respond(status: u16, body: &serde_json::Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status);
    let response = response.header("content-type", "application/json");
    Ok(response.body(body.to_string().into())?)
}

impl App {
    async fn page(
        &self,
        customer: &str,
        number: u64,
        currency: &str,
    ) -> Result<Option<serde_json::Value>> {
        let Some(order) = self.order(customer, number).await? else {
            return Ok(None);
        };
        let (buyer, warehouse, products, history, rate) = tokio::try_join!(
            self.customer(customer),
            self.warehouse(order.warehouse),
            self.products(&order.skus),
            self.history(customer),
            self.rate(currency),
        )?;
        let cents: u64 = products.values().map(|product| product.price_cents).sum();
        Ok(Some(json!({
            "customer": buyer.map(|buyer| buyer.name.clone()),
            "ships_from": warehouse.map(|warehouse| warehouse.city.clone()),
            "products": order.skus.iter().map(|sku| Some(&products.get(sku)?.name)).collect::<Vec<_>>(),
            "total": cents as f64 / 100.0 * rate,
            "orders_so_far": history.len(),
        })))
    }

    async fn order(&self, customer: &str, number: u64) -> Result<Option<Order>> {
        let read = self
            .client
            .get_item()
            .table_name(&self.orders_table)
            .key("customer", AttributeValue::S(customer.to_string()))
            .key("number", AttributeValue::N(number.to_string()));
        let item = read.send().await?.item;
        Ok(item.map(from_item).transpose()?)
    }

    async fn customer(&self, id: &str) -> Result<Option<Customer>> {
        let read = self.client.get_item().table_name(&self.catalog_table);
        let read = read.key("id", AttributeValue::S(format!("CUSTOMER#{id}")));
        let item = read.send().await?.item;
        Ok(item.map(from_item).transpose()?)
    }

    async fn warehouse(&self, number: u64) -> Result<Option<Warehouse>> {
        let read = self.client.get_item().table_name(&self.warehouses_table);
        let read = read.key("number", AttributeValue::N(number.to_string()));
        let item = read.send().await?.item;
        Ok(item.map(from_item).transpose()?)
    }

    async fn products(&self, skus: &[String]) -> Result<HashMap<String, Product>> {
        let mut keys = KeysAndAttributes::builder();
        for sku in skus {
            let id = AttributeValue::S(format!("PRODUCT#{sku}"));
            keys = keys.keys(HashMap::from([("id".to_string(), id)]));
        }
        let read = self
            .client
            .batch_get_item()
            .request_items(&self.catalog_table, keys.build()?);
        let mut tables = read.send().await?.responses.unwrap_or_default();
        let products: Vec<Product> =
            from_items(tables.remove(&self.catalog_table).unwrap_or_default())?;
        Ok(products
            .into_iter()
            .map(|it| (it.id.replace("PRODUCT#", ""), it))
            .collect())
    }

    async fn history(&self, customer: &str) -> Result<Vec<Order>> {
        let read = self
            .client
            .query()
            .table_name(&self.orders_table)
            .key_condition_expression("customer = :customer")
            .expression_attribute_values(":customer", AttributeValue::S(customer.to_string()));
        Ok(from_items(read.send().await?.items.unwrap_or_default())?)
    }

    async fn rate(&self, currency: &str) -> Result<f64> {
        let url = format!("{}/rates/{currency}", self.rates_url);
        let answer = self.http.get(url).send().await?.error_for_status()?;
        let rate = answer.text().await?.parse();
        rate.with_context(|| anyhow!("the rate of {currency}"))
    }
}
