//! The floor: a function that answers with its event.

use std::convert::Infallible;

use lambda_http::lambda_runtime::run_concurrent;
use lambda_http::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

// On one thread, as the handler does it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let echo = |event: LambdaEvent<Box<RawValue>>| async { Ok::<_, Infallible>(event.payload) };
    run_concurrent(service_fn(echo)).await
}
