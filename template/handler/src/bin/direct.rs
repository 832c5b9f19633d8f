//! The function behind direct invocations: the payload is the request, an error is an error.

use std::process::ExitCode;

use handler::{Answer, Caches, lambda};
use lambda_http::lambda_runtime::{Diagnostic, Runtime};
use lambda_http::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    lambda::run(async |caches| {
        let answer = move |event| answer(caches.clone(), event);
        Ok(Runtime::new(service_fn(answer)))
    })
}

// Raw JSON: what is no valid request is for the function to say, whatever JSON it is.
async fn answer(caches: Caches, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Diagnostic> {
    let mut invocation = caches.invocation(event.context.deadline);
    let answer = handler::answer(&caches, event.payload.get(), invocation.deadline()).await;
    answer.map_err(|error| {
        let (name, status) = error.kind();
        invocation.failed(name, status);
        Diagnostic {
            error_type: name.into(),
            error_message: error.to_string(),
        }
    })
}
