//! The handler, with a quote that nobody asked for before its first event: it opens the connections
//! and reads the pricing while Lambda still gives whole cores.

use std::process::ExitCode;
use std::time::Duration;

use cache_core::Deadline;
use handler::lambda;
use lambda_http::lambda_runtime::run_concurrent;
use lambda_http::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

const NOBODYS: &str = r#"{"customer_id":"nobody","lines":[{"sku":"none","quantity":1}]}"#;

#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(async {
        let caches = lambda::caches().await?;
        let soon = Deadline::after(Duration::from_secs(2));
        // There is no such customer: it ends with an error.
        let _ = handler::answer(&caches, NOBODYS, &soon).await;
        let answer = move |event: LambdaEvent<Box<RawValue>>| {
            let caches = caches.clone();
            async move {
                let invocation = caches.invocation(event.context.deadline);
                let answer = handler::answer(&caches, event.payload.get(), invocation.deadline());
                answer.await.map_err(|error| error.to_string())
            }
        };
        run_concurrent(service_fn(answer)).await
    })
    .await
}
