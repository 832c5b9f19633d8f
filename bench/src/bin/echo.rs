//! The floor: a function that answers with its event.

use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let echo = |event: LambdaEvent<Box<RawValue>>| async { Ok::<_, Error>(event.payload) };
    run_concurrent(service_fn(echo)).await
}
