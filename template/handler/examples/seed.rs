//! Fills the table of `TABLE_NAME` with the items of a file. Creates it first, on a DynamoDB Local;
//! with `--existing` the table has to be there, and may be anywhere.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::BillingMode;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table = std::env::var("TABLE_NAME").map_err(|_| "TABLE_NAME is not set")?;
    let (options, files): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|it| it == "--existing");
    let [file] = files.as_slice() else {
        return Err("one file of items is needed, such as samples/items.json".into());
    };
    let items: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let existing = !options.is_empty();
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
    for item in &items {
        let item = serde_dynamo::aws_sdk_dynamodb_1::to_item(item)?;
        let put = client.put_item().table_name(&table);
        put.set_item(Some(item)).send().await?;
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
    let (schema, definitions) = handler::KEY.schema()?;
    let create = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema))
        .set_attribute_definitions(Some(definitions));
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
