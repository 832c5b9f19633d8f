//! The function behind direct invocations: the payload is the request, an error is an error.

use std::process::ExitCode;
use std::sync::Arc;

use handler::error::QuoteError;
use handler::lambda;
use handler::quote::Quote;
use handler::service::QuoteService;
use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(serve()).await
}

async fn serve() -> Result<(), Error> {
    let service = Arc::new(lambda::service().await?);
    run_concurrent(service_fn(move |event| answer(Arc::clone(&service), event))).await
}

// Raw JSON: what is no valid request is for the service to say, whatever JSON it is.
async fn answer(
    service: Arc<QuoteService>,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Quote, QuoteError> {
    lambda::answer(&service, event.payload.get(), &event.context).await
}
