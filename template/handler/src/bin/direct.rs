//! The function behind direct invocations: the payload is the request, an error is an error.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cache_core::Deadline;
use handler::config::Config;
use handler::error::QuoteError;
use handler::quote::Quote;
use handler::service::{QuoteService, time_to_read};
use lambda_runtime::{LambdaEvent, service_fn, tracing};
use serde_json::value::RawValue;

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    tracing::init_default_subscriber();
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = cache_core::dynamodb::with_limits((&aws).into());
    let client = aws_sdk_dynamodb::Client::from_conf(client.build());
    let service = Arc::new(QuoteService::new(&client, &config)?);
    lambda_runtime::run_concurrent(service_fn(move |event| answer(Arc::clone(&service), event)))
        .await
}

// Raw JSON: what is no valid request is for the service to say, whatever JSON it is.
async fn answer(
    service: Arc<QuoteService>,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Quote, QuoteError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let deadline = Deadline::after(time_to_read(event.context.deadline, now));
    let answer = service.answer(event.payload.get(), deadline).await;
    for line in service.metrics() {
        println!("{line}");
    }
    answer
}
