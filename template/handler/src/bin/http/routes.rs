//! What can be asked for over HTTP: `POST /`, with a request in JSON as the body.

use cache_core::Deadline;
use handler::Caches;
use lambda_http::Request;
use lambda_http::http::Method;

use crate::{Refusal, path, written};

/// Answers in JSON.
pub async fn answer(
    caches: &Caches,
    request: &Request,
    deadline: &Deadline,
) -> Result<String, Refusal> {
    match path(request)[..] {
        [""] => match *request.method() {
            Method::POST => {
                // What is no text is no JSON either: the function says so.
                let json = str::from_utf8(request.body()).unwrap_or_default();
                written(&handler::answer(caches, json, deadline).await?)
            }
            _ => Err(Refusal::allowed("POST")),
        },
        _ => Err(Refusal::not_found()),
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{ask, error};

    #[tokio::test]
    async fn a_request_is_posted() {
        for (method, path, body, status, expected) in [
            ("POST", "/", "[]", 400, "InvalidRequest"),
            ("POST", "/", "", 400, "InvalidRequest"),
            ("GET", "/", "", 405, "MethodNotAllowed"),
            ("POST", "/quotes", "{}", 404, "NotFound"),
        ] {
            let response = ask(method, path, body).await;
            assert_eq!(response.status(), status);
            assert_eq!(error(&response), expected);
        }
        let options = ask("OPTIONS", "/", "").await;
        assert_eq!(options.status(), 204);
        assert_eq!(options.headers()["allow"], "POST, OPTIONS");
    }
}
