//! What every entry point does between Lambda and the function.

use std::process::ExitCode;
use std::{env, io};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use cache_core::dynamodb::with_limits;
use cache_core::environment::Environment;
use lambda_http::lambda_runtime::layers::TracingLayer;
use lambda_http::lambda_runtime::{LambdaInvocation, Runtime};
use lambda_http::tower::ServiceExt;
use lambda_http::tower::layer::layer_fn;
use lambda_http::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;
use lambda_http::{Error, Service, service_fn, tracing};

use crate::Caches;

/// Starts the log, and makes the caches from the process's environment. They live as long as it.
///
/// # Errors
/// When a variable is wrong.
async fn caches() -> Result<Caches, Error> {
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

/// Runs what `serve` makes of the caches, and says what the process ends with: an error goes to standard error, on one
/// line.
pub fn run<S>(serve: impl AsyncFnOnce(Caches) -> Result<Runtime<S>, Error>) -> ExitCode
where
    S: Service<LambdaInvocation, Response = (), Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let function = async {
        let caches = caches().await?;
        let runtime = serve(caches.clone()).await?;
        // A call ends when Lambda has the response, and the environment is frozen no sooner than Lambda is asked for the
        // next event.
        let refreshing = layer_fn(move |service: S| {
            let caches = caches.clone();
            service_fn(move |invocation: LambdaInvocation| {
                let (caches, service) = (caches.clone(), service.clone());
                async move {
                    let deadline = invocation.context.deadline;
                    let responded = service.oneshot(invocation).await;
                    caches.refresh(deadline).await;
                    responded
                }
            })
        });
        let runtime = runtime.layer(refreshing).layer(TracingLayer::new());
        runtime.run_concurrent().await
    };
    match threads()
        .map_err(Error::from)
        .and_then(|threads| threads.block_on(function))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread where Lambda sends one event after another: others would have nothing to do, and a cold start takes longer
/// with them. Several on Managed Instances, which send many events at once.
fn threads() -> io::Result<tokio::runtime::Runtime> {
    let most = env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok();
    let mut threads = match most.and_then(|most| most.parse().ok()) {
        Some(2_u32..) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    threads.enable_all().build()
}
