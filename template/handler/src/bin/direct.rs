//! The function behind direct invocations: the payload is the request, an error is an error.

use std::process::ExitCode;

use handler::{Answer, Caches, lambda};
use lambda_http::lambda_runtime::{Diagnostic, Runtime};
use lambda_http::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

/// The most bytes of a payload that is looked at: read, JSON can take a hundred times its size.
const LARGEST_PAYLOAD: usize = 64 * 1024;

fn main() -> ExitCode {
    lambda::run(async |caches| {
        let answer = move |event| answer(caches.clone(), event);
        Ok(Runtime::new(service_fn(answer)))
    })
}

// Raw JSON: what is no valid request is for the function to say, whatever JSON it is.
async fn answer(caches: Caches, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Diagnostic> {
    let mut invocation = caches.invocation(event.context.deadline);
    let json = event.payload.get();
    let answer = match json.len() {
        0..=LARGEST_PAYLOAD => handler::answer(&caches, json, invocation.deadline())
            .await
            .map_err(|error| (error.kind(), error.to_string())),
        _ => {
            let message = format!("the payload must have at most {LARGEST_PAYLOAD} bytes");
            Err((("PayloadTooLarge", 413), message))
        }
    };
    answer.map_err(|((name, status), error_message)| {
        invocation.failed(name, status);
        Diagnostic {
            error_type: name.into(),
            error_message,
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
    use cache_core::environment::Environment;

    use super::*;

    #[tokio::test]
    async fn a_payload_is_taken_up_to_its_limit_and_refused_beyond() {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"));
        let environment = Environment::of([("TABLE_NAME", "nothing")]);
        let caches = handler::open(Client::from_conf(config.build()), environment).unwrap();
        for (length, refused) in [
            (LARGEST_PAYLOAD, "InvalidRequest"),
            (LARGEST_PAYLOAD + 1, "PayloadTooLarge"),
        ] {
            let json = format!("\"{}\"", "x".repeat(length - 2));
            let payload = RawValue::from_string(json).unwrap();
            let event = LambdaEvent::new(payload, Default::default());
            let error = answer(caches.clone(), event).await.err().unwrap();
            assert_eq!(error.error_type, refused);
        }
    }
}
