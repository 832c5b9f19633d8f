//! The function behind a function URL: the request is the body of `POST /`, an error is a status.

use std::convert::Infallible;
use std::process::ExitCode;

use handler::{Caches, lambda};
use lambda_runtime::{Context, LambdaEvent, run_concurrent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The most bytes of a body. A request of 100 lines with the longest names has 11 KB.
const LARGEST_BODY: usize = 64 * 1024;

/// The fields used of an event in the payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    raw_path: String,
    request_context: RequestContext,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Http,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

/// A response in the payload format 2.0.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status_code: u16,
    headers: serde_json::Value,
    body: String,
    is_base64_encoded: bool,
    /// None. Lambda does without them, cargo-lambda does not.
    cookies: [String; 0],
}

#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(async {
        let caches = lambda::caches().await?;
        let answer = move |event: LambdaEvent<Event>| {
            let caches = caches.clone();
            // Every error is a response.
            async move { Ok::<_, Infallible>(answer(&caches, event.payload, &event.context).await) }
        };
        run_concurrent(service_fn(answer)).await
    })
    .await
}

async fn answer(caches: &Caches, event: Event, context: &Context) -> Response {
    let json = match request(event) {
        Ok(json) => json,
        Err(refusal) => return refusal,
    };
    match lambda::answer(caches, &json, context).await {
        Ok(answer) => match serde_json::to_string(&answer) {
            Ok(json) => respond(200, json),
            Err(_) => refuse(500, "Internal", "the answer cannot be written"),
        },
        Err(error) => {
            let (name, status) = error.kind();
            refuse(status, name, &error.to_string())
        }
    }
}

/// The request in the body, or why it is none.
fn request(event: Event) -> Result<String, Response> {
    if event.raw_path != "/" {
        return Err(refuse(404, "NotFound", "there is nothing but POST /"));
    }
    if event.request_context.http.method != "POST" {
        let mut refusal = refuse(405, "MethodNotAllowed", "there is nothing but POST /");
        refusal.headers["allow"] = json!("POST");
        return Err(refusal);
    }
    let body = event.body.unwrap_or_default();
    let body = if event.is_base64_encoded {
        decode_base64(&body).and_then(|bytes| String::from_utf8(bytes).ok())
    } else {
        Some(body)
    };
    match body {
        Some(body) if body.len() > LARGEST_BODY => {
            let allowed = format!("the body must have at most {LARGEST_BODY} bytes");
            Err(refuse(413, "PayloadTooLarge", &allowed))
        }
        Some(body) => Ok(body),
        None => Err(refuse(400, "InvalidRequest", "the request must be JSON")),
    }
}

fn refuse(status_code: u16, error_type: &str, message: &str) -> Response {
    let error = json!({"error": {"type": error_type, "message": message}});
    respond(status_code, error.to_string())
}

fn respond(status_code: u16, body: String) -> Response {
    Response {
        status_code,
        headers: json!({"content-type": "application/json"}),
        body,
        is_base64_encoded: false,
        cookies: [],
    }
}

/// Decodes standard base64 with its padding, as Lambda encodes bodies that it takes for binary.
/// By hand: it is all the base64 that there is here.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn event(path: &str, method: &str, body: &str, is_base64_encoded: bool) -> Event {
        let event = json!({
            "version": "2.0",
            "rawPath": path,
            "requestContext": {"http": {"method": method, "path": path}},
            "body": body,
            "isBase64Encoded": is_base64_encoded,
        });
        serde_json::from_value(event).unwrap()
    }

    fn refusal(event: Event) -> (u16, String) {
        let refusal = request(event).unwrap_err();
        assert_eq!(refusal.headers["content-type"], "application/json");
        let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
        (
            refusal.status_code,
            body["error"]["type"].as_str().unwrap().into(),
        )
    }

    #[test]
    fn the_request_is_the_body_also_in_base64() {
        assert_eq!(request(event("/", "POST", "{}", false)).unwrap(), "{}");
        assert_eq!(
            request(event("/", "POST", "eyJhIjoxfQ==", true)).unwrap(),
            r#"{"a":1}"#
        );
        let mut empty = event("/", "POST", "", false);
        empty.body = None;
        assert_eq!(request(empty).unwrap(), "", "for the service to refuse");
    }

    #[test]
    fn another_path_or_method_is_refused() {
        assert_eq!(
            refusal(event("/other", "POST", "{}", false)),
            (404, "NotFound".into())
        );
        for method in ["GET", "PUT", "OPTIONS", "HEAD"] {
            let refused = (405, "MethodNotAllowed".into());
            assert_eq!(refusal(event("/", method, "{}", false)), refused);
        }
        let refusal = request(event("/", "GET", "", false)).unwrap_err();
        assert_eq!(refusal.headers["allow"], "POST");
    }

    #[test]
    fn a_body_is_taken_up_to_its_limit_and_refused_beyond() {
        let largest = "x".repeat(LARGEST_BODY);
        assert_eq!(
            request(event("/", "POST", &largest, false)).unwrap(),
            largest
        );
        let larger = largest + "x";
        assert_eq!(
            refusal(event("/", "POST", &larger, false)),
            (413, "PayloadTooLarge".into())
        );
        let larger = "AAAA".repeat(LARGEST_BODY / 3 + 1);
        assert_eq!(
            refusal(event("/", "POST", &larger, true)),
            (413, "PayloadTooLarge".into())
        );
    }

    #[test]
    fn a_body_that_is_no_text_is_no_request() {
        // Not base64, base64 cut off, and base64 of what is not UTF-8.
        for body in ["{}", "eyJh!jox", "eyJhI", "e===", "////"] {
            assert_eq!(
                refusal(event("/", "POST", body, true)),
                (400, "InvalidRequest".into())
            );
        }
    }

    #[test]
    fn base64_is_decoded_as_its_rfc_shows() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(decode_base64("+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
    }
}
