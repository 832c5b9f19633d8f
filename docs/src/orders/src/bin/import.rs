//! Takes orders from a queue and writes them.

use std::env;

use aws_sdk_dynamodb::Client;
use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use orders::Order;
use serde_dynamo::to_item;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::new(&aws_config::load_from_env().await);
    let table = env::var("ORDERS_TABLE")?;
    run(service_fn(|event: LambdaEvent<Vec<Order>>| async {
        for order in event.payload {
            let put = client.put_item().table_name(&table);
            put.set_item(Some(to_item(order)?)).send().await?;
        }
        Ok::<_, Error>(())
    }))
    .await
}
