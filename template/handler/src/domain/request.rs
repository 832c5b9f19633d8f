//! What is asked for, checked. Values are taken apart by hand: derived decoding would take an
//! array for an object, and could not say what is allowed.

use serde_json::{Map, Value};

use super::Error;

/// A request for a quote.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// 1 to 64 of `A-Za-z0-9._-`.
    pub customer_id: String,
    /// 1 to 100 lines.
    pub lines: Vec<Line>,
}

/// So many of one product.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// 1 to 64 of `A-Za-z0-9._-`. May repeat from line to line.
    pub sku: String,
    /// 1 to 1000.
    pub quantity: u64,
}

impl Request {
    /// Reads a request from JSON.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] with the first field that is wrong and what is allowed there.
    pub fn parse(json: &str) -> Result<Self, Error> {
        // serde_json's message would tell nobody more, and may quote the payload.
        let value =
            serde_json::from_str(json).map_err(|_| invalid("the request", "must be JSON"))?;
        let request = object(&value, "the request")?;
        let customer_id = id(request, "", "customer_id")?;
        let lines = match request.get("lines") {
            Some(Value::Array(lines)) if (1..=100).contains(&lines.len()) => lines,
            _ => return Err(invalid("lines", "must be an array of 1 to 100 lines")),
        };
        let lines = lines.iter().enumerate().map(|(number, value)| {
            let place = format!("lines[{number}]");
            let line = object(value, &place)?;
            let place = format!("{place}.");
            let sku = id(line, &place, "sku")?;
            let quantity = match line.get("quantity").and_then(Value::as_u64) {
                Some(quantity @ 1..=1000) => quantity,
                _ => {
                    let allowed = "must be a whole number from 1 to 1000";
                    return Err(invalid(&format!("{place}quantity"), allowed));
                }
            };
            Ok(Line { sku, quantity })
        });
        Ok(Request {
            customer_id,
            lines: lines.collect::<Result<_, _>>()?,
        })
    }
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, Error> {
    value
        .as_object()
        .ok_or_else(|| invalid(place, "must be an object"))
}

fn id(fields: &Map<String, Value>, place: &str, name: &str) -> Result<String, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match fields.get(name) {
        Some(Value::String(id)) if (1..=64).contains(&id.len()) && id.bytes().all(allowed) => {
            Ok(id.clone())
        }
        _ => Err(invalid(
            &format!("{place}{name}"),
            "must be 1 to 64 of A-Z a-z 0-9 . _ -",
        )),
    }
}

fn invalid(place: &str, allowed: &str) -> Error {
    Error::InvalidRequest(format!("{place} {allowed}"))
}
