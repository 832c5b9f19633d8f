//! The function behind direct invocations: the payload is the request, an error is an error.

use std::process::ExitCode;

use handler::{Answer, Caches, Error, lambda};
use lambda_runtime::{LambdaEvent, run_concurrent, service_fn};
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(async {
        let caches = lambda::caches().await?;
        run_concurrent(service_fn(move |event| answer(caches.clone(), event))).await
    })
    .await
}

// Raw JSON: what is no valid request is for the function to say, whatever JSON it is.
async fn answer(caches: Caches, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Error> {
    lambda::answer(&caches, event.payload.get(), &event.context).await
}
