//! Fills the table of `TABLE_NAME` with `samples/items.json`. Creates it first, on a DynamoDB Local;
//! with `--existing` the table has to be there, and may be anywhere.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table = std::env::var("TABLE_NAME").map_err(|_| "TABLE_NAME is not set")?;
    let existing = std::env::args().any(|argument| argument == "--existing");
    if !existing && std::env::var_os("AWS_ENDPOINT_URL_DYNAMODB").is_none() {
        return Err(
            "AWS_ENDPOINT_URL_DYNAMODB is not set: start DynamoDB Local and name it there, \
            or fill a table of your account with --existing"
                .into(),
        );
    }
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = Client::new(&aws);
    if !existing {
        create(&client, &table).await?;
    }
    let items: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../samples/items.json"))?;
    for item in &items {
        let item = serde_dynamo::aws_sdk_dynamodb_1::to_item(item)?;
        client
            .put_item()
            .table_name(&table)
            .set_item(Some(item))
            .send()
            .await?;
    }
    println!("wrote {} items", items.len());
    Ok(())
}

async fn create(client: &Client, table: &str) -> Result<(), Box<dyn std::error::Error>> {
    // DynamoDB Local takes some seconds to start.
    for _ in 0..20 {
        if client.list_tables().send().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let pk = AttributeDefinition::builder().attribute_name("pk");
    let create = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name("pk")
                .key_type(KeyType::Hash)
                .build()?,
        )
        .attribute_definitions(pk.attribute_type(ScalarAttributeType::S).build()?);
    match create
        .send()
        .await
        .map_err(|error| error.into_service_error())
    {
        Ok(_) => println!("created the table {table}"),
        Err(error) if error.is_resource_in_use_exception() => {
            println!("the table {table} is there")
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
