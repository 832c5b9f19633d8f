//! What every entry point does between Lambda and the function.

use std::env;
use std::process::ExitCode;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use cache_core::dynamodb::with_limits;
use cache_core::environment::Environment;
use lambda_http::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;
use lambda_http::{Error, tracing};

use crate::Caches;

/// Starts the log, and makes the caches from the process's environment. They live as long as it.
///
/// # Errors
/// When a variable is wrong.
pub async fn caches() -> Result<Caches, Error> {
    start_log();
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = Client::from_conf(with_limits((&aws).into()).build());
    Ok(crate::open(client, Environment::of_process())?)
}

/// Logs to standard output in the format that the function's logging configuration has.
fn start_log() {
    // Lambda sets the first, from the same configuration; the second is for anywhere else.
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").or_else(|_| env::var("RUST_LOG"));
    let level = log_level(&level.unwrap_or_default());
    // What the SDK and the runtime say below INFO is hundreds of lines for a read, with the items.
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_targets([("handler", level), ("cache_core", level)]);
    let log = tracing::subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        // CloudWatch has a time for each line.
        .without_time();
    let format = env::var("AWS_LAMBDA_LOG_FORMAT").unwrap_or_default();
    if format.eq_ignore_ascii_case("json") {
        log.json().finish().with(filter).init();
    } else {
        log.finish().with(filter).init();
    }
}

/// The level with this name, such as `debug`; INFO where there is none.
pub fn log_level(name: &str) -> LevelFilter {
    match name {
        // tracing would take it for ERROR.
        "" => LevelFilter::INFO,
        name => name.parse().unwrap_or(LevelFilter::INFO),
    }
}

/// Runs the function, and says what the process ends with: an error goes to standard error, on one
/// line.
pub async fn run(function: impl Future<Output = Result<(), Error>> + Send + 'static) -> ExitCode {
    // As a task it runs on the thread that waits for the sockets. On the main thread, where it would
    // run otherwise, each event is handed over first: a fifth of the time of a warm invocation.
    match tokio::spawn(function).await.map_err(Error::from).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
