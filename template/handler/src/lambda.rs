//! What every entry point does between Lambda and the function.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::{env, io, thread};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{SharedAsyncSleep, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
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
/// When a variable is wrong, or the system has no certificates.
async fn caches() -> Result<Caches, Error> {
    start_log();
    // The SDK decodes them when it makes its first connector, and keeps them: here beside the rest of the start, and
    // before the first event, since from then on Lambda gives less of a processor.
    let no_settings = || HttpConnectorSettings::builder().build();
    let certificates = thread::spawn(move || drop(connector(no_settings(), None)));
    let aws = aws_config::defaults(BehaviorVersion::latest()).http_client(https());
    let aws = aws.load().await;
    let client = Client::from_conf(with_limits((&aws).into()).build());
    let caches = crate::open(client, Environment::of_process())?;
    let certificates = certificates.join();
    certificates.map_err(|_| "the system's certificates cannot be read")?;
    Ok(caches)
}

/// The SDK's own HTTP client, but that it makes no connector until it needs one: for the certificates' sake the SDK's
/// makes one for each client, and throws it away.
fn https() -> SharedHttpClient {
    let made = OnceLock::new();
    http_client_fn(move |settings, components| {
        let make = || connector(settings.clone(), components.sleep_impl());
        made.get_or_init(make).clone()
    })
}

fn connector(
    settings: HttpConnectorSettings,
    sleep: Option<SharedAsyncSleep>,
) -> SharedHttpConnector {
    let mut connector = Connector::builder()
        .connector_settings(settings)
        .proxy_config(ProxyConfig::from_env());
    connector.set_sleep_impl(sleep);
    let connector = connector.tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc));
    SharedHttpConnector::new(connector.build())
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

/// One thread where Lambda sends one event after another: a second one would be woken for each of them, which takes
/// longer than to answer it. Several on Managed Instances, which send many at once.
fn threads() -> io::Result<tokio::runtime::Runtime> {
    let most = env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok();
    let mut threads = match most.and_then(|most| most.parse().ok()) {
        Some(2_u32..) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    threads.enable_all().build()
}
