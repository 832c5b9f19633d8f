//! The handler, with a quote that nobody asked for before its first event: it opens the connections
//! and reads the pricing while Lambda still gives whole cores.

use std::process::ExitCode;
use std::time::Duration;

use cache_core::Deadline;
use handler::lambda;
use lambda_http::lambda_runtime::Runtime;
use lambda_http::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

const NOBODYS: &str = r#"{"customer_id":"nobody","lines":[{"sku":"none","quantity":1}]}"#;

fn main() -> ExitCode {
    lambda::run(async |caches| {
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
        Ok(Runtime::new(service_fn(answer)))
    })
}
