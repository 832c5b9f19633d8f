//! The function over HTTP, behind a function URL, an API of API Gateway or a load balancer. What can be
//! asked for is in `http/routes`; here is what HTTP wants of any answer.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::ExitCode;
use std::time::Duration;

use handler::{Caches, Error, lambda};
use lambda_http::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response, service_fn};
use serde::Serialize;
use serde_json::json;

mod http {
    pub mod routes;
}

/// The most bytes of a body that is looked at.
const LARGEST_BODY: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug)]
struct Refusal {
    status: u16,
    error_type: &'static str,
    message: String,
    /// The methods of what is at the path, where it has another one than these.
    allow: Option<String>,
}

impl Refusal {
    fn new(status: u16, error_type: &'static str, message: impl Into<String>) -> Self {
        Refusal {
            status,
            error_type,
            message: message.into(),
            allow: None,
        }
    }

    fn not_found() -> Self {
        Refusal::new(404, "NotFound", "there is nothing at this path")
    }

    /// What is at the path has these methods only, such as `"GET, PUT"`.
    fn allowed(methods: &str) -> Self {
        let head = if methods.contains("GET") {
            ", HEAD"
        } else {
            ""
        };
        let allow = format!("{methods}{head}, OPTIONS");
        let message = format!("the methods at this path are {allow}");
        Refusal {
            allow: Some(allow),
            ..Refusal::new(405, "MethodNotAllowed", message)
        }
    }
}

/// The function's own.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (error_type, status) = error.kind();
        Refusal::new(status, error_type, error.to_string())
    }
}

fn main() -> ExitCode {
    lambda::run(async |caches| {
        let answer = move |request| {
            let caches = caches.clone();
            // Every error is a response.
            async move { Ok::<_, Infallible>(answer(&caches, request).await) }
        };
        Ok(lambda_http::runtime_concurrent(service_fn(answer)))
    })
}

async fn answer(caches: &Caches, mut request: Request) -> Response<Body> {
    let deadline = request.lambda_context_ref().map_or(0, |to| to.deadline);
    let mut invocation = caches.invocation(deadline);
    // HEAD is GET without the body.
    let asked = request.method().clone();
    if asked == Method::HEAD {
        *request.method_mut() = Method::GET;
    }
    let answer = match request.body().len() {
        0..=LARGEST_BODY => http::routes::answer(caches, &request, invocation.deadline()).await,
        _ => {
            let message = format!("the body must have at most {LARGEST_BODY} bytes");
            Err(Refusal::new(413, "PayloadTooLarge", message))
        }
    };
    let mut response = match answer {
        Ok(json) => found(&request, json, invocation.max_age()),
        // No route has this method: its refusal says all that it asks for.
        Err(Refusal {
            allow: Some(methods),
            ..
        }) if asked == Method::OPTIONS => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::NO_CONTENT;
            set(&mut response, header::ALLOW, &methods);
            response
        }
        Err(refusal) => {
            invocation.failed(refusal.error_type, refusal.status);
            refused(&refusal)
        }
    };
    if asked == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    response
}

/// The parts of the request's path; of `/` it is an empty one. As they were sent: decode what may have
/// more than letters, digits and `-._~`. An HTTP API has decoded it already.
fn path(request: &Request) -> Vec<&str> {
    request.raw_http_path().split('/').skip(1).collect()
}

/// # Errors
/// When it cannot be written.
fn written(answer: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(answer)
        .map_err(|_| Refusal::new(500, "Internal", "the answer cannot be written"))
}

fn found(request: &Request, json: String, max_age: Option<Duration>) -> Response<Body> {
    if request.method() != Method::GET {
        return respond(StatusCode::OK, json);
    }
    let mut hash = DefaultHasher::new();
    json.hash(&mut hash);
    let tag = format!("\"{:016x}\"", hash.finish());
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let known = known.flat_map(|tags| tags.to_str().unwrap_or_default().split(','));
    let mut known = known.map(|known| known.trim().trim_start_matches("W/"));
    let mut response = if known.any(|known| known == tag || known == "*") {
        respond(StatusCode::NOT_MODIFIED, String::new())
    } else {
        respond(StatusCode::OK, json)
    };
    set(&mut response, header::ETAG, &tag);
    // Without a word a cache may guess, and hand it to others.
    let cache_control = max_age.map(|age| format!("public, max-age={}", age.as_secs()));
    let cache_control = cache_control.as_deref().unwrap_or("private, no-cache");
    set(&mut response, header::CACHE_CONTROL, cache_control);
    response
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let error = json!({"error": {"type": refusal.error_type, "message": refusal.message}});
    let status = StatusCode::from_u16(refusal.status);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(status, error.to_string());
    set(&mut response, header::CACHE_CONTROL, "no-store");
    if let Some(methods) = &refusal.allow {
        set(&mut response, header::ALLOW, methods);
    }
    response
}

fn respond(status: StatusCode, json: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(json));
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
    use cache_core::environment::Environment;

    use super::*;

    /// A request as a function URL sends it.
    pub fn request(method: &str, path: &str, headers: serde_json::Value, body: &str) -> Request {
        let event = json!({
            "version": "2.0",
            "rawPath": path,
            "headers": headers,
            "requestContext": {"http": {"method": method, "path": path}},
            "body": body,
            "isBase64Encoded": false,
        });
        lambda_http::request::from_str(&event.to_string()).unwrap()
    }

    /// Asks a function that can read nothing.
    pub async fn ask(method: &str, path: &str, body: &str) -> Response<Body> {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"));
        let environment = Environment::of([("TABLE_NAME", "nothing")]);
        let caches = handler::open(Client::from_conf(config.build()), environment).unwrap();
        answer(&caches, request(method, path, json!({}), body)).await
    }

    /// The type of the error in a response.
    pub fn error(response: &Response<Body>) -> String {
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert!(body["error"]["message"].is_string());
        body["error"]["type"].as_str().unwrap().into()
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found_whatever_the_method() {
        for path in ["/nothing", "/nothing/", "//", "/%2f", ""] {
            for method in ["GET", "POST", "OPTIONS", "BREW"] {
                let response = ask(method, path, "").await;
                assert_eq!(response.status(), 404, "{method} {path}");
                assert_eq!(error(&response), "NotFound");
            }
            let response = ask("HEAD", path, "").await;
            assert_eq!(
                (response.status().as_u16(), response.body().len()),
                (404, 0)
            );
        }
    }

    #[test]
    fn another_method_is_refused_with_those_that_there_are() {
        for (methods, allow) in [
            ("POST", "POST, OPTIONS"),
            ("GET", "GET, HEAD, OPTIONS"),
            ("GET, PUT", "GET, PUT, HEAD, OPTIONS"),
        ] {
            let response = refused(&Refusal::allowed(methods));
            assert_eq!(response.status(), 405);
            assert_eq!(response.headers()["allow"], allow);
            assert_eq!(error(&response), "MethodNotAllowed");
        }
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit_and_refused_beyond() {
        let largest = "x".repeat(LARGEST_BODY);
        assert_ne!(ask("POST", "/", &largest).await.status(), 413);
        let larger = ask("POST", "/", &(largest + "x")).await;
        assert_eq!(larger.status(), 413);
        assert_eq!(error(&larger), "PayloadTooLarge");
    }

    #[test]
    fn who_has_the_answer_is_told_so() {
        let get = |known: &str| {
            let request = request("GET", "/", json!({"if-none-match": known}), "");
            found(&request, "{}".into(), None)
        };
        let first = get("");
        let tag = first.headers()["etag"].to_str().unwrap();
        assert_eq!((first.status().as_u16(), first.body().len()), (200, 2));
        for known in [tag, "*", &format!("W/{tag}"), &format!("\"other\", {tag}")] {
            let again = get(known);
            assert_eq!((again.status().as_u16(), again.body().len()), (304, 0));
            assert_eq!(again.headers()["etag"], tag);
        }
        assert_eq!(get("\"other\"").status(), 200);
        let post = request("POST", "/", json!({"if-none-match": tag}), "");
        let posted = found(&post, "{}".into(), None);
        assert_eq!(posted.status(), 200);
        assert!(!posted.headers().contains_key("etag"));
    }

    #[test]
    fn only_what_may_be_kept_says_for_how_long() {
        let get = request("GET", "/", json!({}), "");
        let kept = found(&get, "{}".into(), Some(Duration::from_millis(4999)));
        assert_eq!(kept.headers()["cache-control"], "public, max-age=4");
        let private = found(&get, "{}".into(), None);
        assert_eq!(private.headers()["cache-control"], "private, no-cache");
    }
}
