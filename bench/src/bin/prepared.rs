//! The handler, with a quote that nobody asked for before its first event: it opens the connections
//! and reads the pricing while Lambda still gives whole cores.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cache_core::Deadline;
use handler::lambda;
use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::value::RawValue;

const NOBODYS: &str = r#"{"customer_id":"nobody","lines":[{"sku":"none","quantity":1}]}"#;

#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(serve()).await
}

async fn serve() -> Result<(), Error> {
    let service = Arc::new(lambda::service().await?);
    // There is no such customer: it ends with an error.
    let _ = service
        .answer(NOBODYS, Deadline::after(Duration::from_secs(2)))
        .await;
    let answer = move |event: LambdaEvent<Box<RawValue>>| {
        let service = Arc::clone(&service);
        async move { lambda::answer(&service, event.payload.get(), &event.context).await }
    };
    run_concurrent(service_fn(answer)).await
}
