//! What every entry point does between Lambda and the service.

use std::env;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_core::Deadline;
use lambda_runtime::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_runtime::tracing::subscriber::layer::SubscriberExt;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
use lambda_runtime::{Context, Error, tracing};

use crate::config::Config;
use crate::error::QuoteError;
use crate::quote::Quote;
use crate::service::QuoteService;

/// What is kept back of an invocation's time to answer in.
const TO_ANSWER: Duration = Duration::from_millis(200);
/// The time to read where the invocation has no sensible deadline: local emulators send one in
/// the past.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(2);
/// The longest time that Lambda gives an invocation.
const LONGEST_INVOCATION: Duration = Duration::from_secs(900);

/// Builds the service from the environment's variables, and starts the log.
///
/// # Errors
/// When a variable is wrong.
pub async fn service() -> Result<QuoteService, Error> {
    let config = Config::from_env()?;
    start_log();
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = cache_core::dynamodb::with_limits((&aws).into());
    let client = aws_sdk_dynamodb::Client::from_conf(client.build());
    Ok(QuoteService::new(&client, &config)?)
}

/// Logs to standard output in the format that the function's logging configuration has.
fn start_log() {
    // Lambda sets the first, from the same configuration; the second is for anywhere else.
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").or_else(|_| env::var("RUST_LOG"));
    let level = log_level(&level.unwrap_or_default());
    // What the SDK and the runtime say below INFO is hundreds of lines for a read, with the items.
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target("handler", level);
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

/// Answers one invocation, and prints the metrics that are due.
///
/// # Errors
/// The first [`QuoteError`] that applies, in their order.
pub async fn answer(
    service: &QuoteService,
    json: &str,
    context: &Context,
) -> Result<Quote, QuoteError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let deadline = Deadline::after(time_to_read(context.deadline, now));
    let answer = service.answer(json, deadline).await;
    for line in service.metrics() {
        println!("{line}");
    }
    answer
}

/// Until when an invocation may read that ends at `deadline_ms`, by a wall clock at `now`; both
/// since the Unix epoch.
pub fn time_to_read(deadline_ms: u64, now: Duration) -> Duration {
    match Duration::from_millis(deadline_ms).checked_sub(now) {
        Some(left) if !left.is_zero() && left <= LONGEST_INVOCATION => {
            left.saturating_sub(TO_ANSWER)
        }
        _ => WITHOUT_DEADLINE,
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
