//! An HTTP API as a source: GET of a URL that is made from the key, JSON by serde. The feature `http`.
//!
//! ```
//! use cache_core::caches;
//! use cache_core::http::{Http, Json, Target};
//! use mem_dbg::MemSize;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, MemSize)]
//! #[mem_size(flat)]
//! pub struct Rate { per_euro: f64 }
//!
//! caches! {
//!     pub struct Caches(api: &Http) {
//!         rates: Json<String, Rate> = api.get(|currency| Target::path(["rates", currency])).per_item().ttl(3600);
//!     }
//! }
//!
//! # fn main() -> Result<(), cache_core::http::HttpConfigError> {
//! let api = Http::new("https://api.example.com/v1/")?.header("authorization", "Bearer ...")?;
//! # Ok(())
//! # }
//! ```
//!
//! - 204, 404 and 410 are absences, other 2xx values, and all others errors.
//! - With [`per_item`](crate::kinds::Kind::per_item) an answer lives as long as its `cache-control`, `age` and
//!   `expires` let it, at most for the TTL. With `no-cache` or nothing left of its time it is asked for again each
//!   time; with `no-store` it is not kept. Without `per_item` the TTL of the declaration stands. Stale-if-error is the
//!   declaration's to allow: no header forbids it but `no-store`.
//! - An answer that had an `etag` or `last-modified` and is still in memory is asked for again with that. A 304
//!   renews it, and nothing is decoded.
//! - What fails in passing (no connection, 429, 500, 502, 503, 504) is tried up to three times inside the deadline.
//! - Redirects are followed on the same scheme, host and port alone, so that headers go nowhere else. Nor do they go
//!   through a proxy of the environment's variables where the API is on the same machine.
//!
//! AWS's agents on the same machine, as their Lambda extensions start them, are such APIs:
//!
//! ```no_run
//! # use cache_core::{caches, http::{Http, Json, Target}};
//! # #[derive(serde::Deserialize, mem_dbg::MemSize)]
//! # struct Flags { dark_mode: bool }
//! # #[derive(serde::Deserialize, mem_dbg::MemSize)]
//! # struct Greeting { #[serde(rename = "Parameter")] parameter: Parameter }
//! # #[derive(serde::Deserialize, mem_dbg::MemSize)]
//! # struct Parameter { #[serde(rename = "Value")] value: String }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! caches! {
//!     pub struct Caches(appconfig: &Http, parameters: &Http) {
//!         flags: Json<(), Flags> = appconfig.get(|()| Target::path(
//!             ["applications", "shop", "environments", "live", "configurations", "flags"],
//!         )).ttl(45);
//!         greeting: Json<(), Greeting> = parameters.get(|()| {
//!             Target::path(["systemsmanager", "parameters", "get"]).query("name", "/greeting")
//!         }).ttl(300);
//!     }
//! }
//!
//! let appconfig = Http::new("http://localhost:2772")?;
//! let parameters = Http::new("http://localhost:2773")?
//!     .header("X-Aws-Parameters-Secrets-Token", &std::env::var("AWS_SESSION_TOKEN")?)?;
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, StreamExt};
use mem_dbg::MemSize;
use reqwest::header::{
    AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::kinds::{Kind, Source};
use crate::{Cache, Deadline, Found, Key, Loaded, Loader, ReadError, source};

/// A cache of what an HTTP API answers.
pub type Json<K, T> = Cache<K, Arc<Fetched<T>>, HttpLoader<K, T>>;

/// How long one attempt may take, unless [`Http::timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 3;
/// The largest body, unless [`Http::largest`] says otherwise.
const LARGEST: usize = 1024 * 1024;
const REDIRECTS: usize = 5;
/// How many requests of one load are under way at a time.
const AT_ONCE: usize = 16;
/// Kept, and fresh for nobody who asks later.
const NO_TIME: Duration = Duration::from_micros(1);

/// An HTTP API: where it is, and what every request to it has. Cheap to clone: clones share connections.
#[derive(Clone)]
pub struct Http {
    client: Client,
    base: Url,
    headers: HeaderMap,
    timeout: Duration,
    largest: usize,
}

/// What cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum HttpConfigError {
    /// The address is none. It may hold what nobody should see, so it is not quoted.
    #[error(
        "that is no address of an HTTP API, allowed: http:// or https://, a host, and a path, without a user or a query"
    )]
    Base,
    /// The header cannot be sent. Says nothing of its value.
    #[error(
        "the header {0:?} cannot be sent: a name has letters, digits and -, a value no line breaks"
    )]
    Header(String),
    /// The TLS library refuses to start.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}

impl Http {
    /// The API at `base`, such as `https://api.example.com/v1/`.
    ///
    /// # Errors
    /// Where that is none.
    pub fn new(base: &str) -> Result<Self, HttpConfigError> {
        let url = Url::parse(base).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let url = url.ok_or(HttpConfigError::Base)?;
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(1))
            .redirect(Policy::custom(|attempt| {
                let same =
                    attempt.previous().first().map(Url::origin) == Some(attempt.url().origin());
                if same && attempt.previous().len() <= REDIRECTS {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }));
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse().is_ok_and(|it: IpAddr| it.is_loopback());
        let client = if is_here { client.no_proxy() } else { client }.build();
        Ok(Http {
            client: client.map_err(|error| HttpConfigError::Client(error.to_string()))?,
            base: url,
            headers: HeaderMap::new(),
            timeout: TIMEOUT,
            largest: LARGEST,
        })
    }

    /// Sends this header with each request. Its value is in no log.
    ///
    /// # Errors
    /// Where there cannot be such a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpConfigError> {
        let pair = HeaderName::try_from(name)
            .ok()
            .zip(HeaderValue::try_from(value).ok());
        let (header, mut value) = pair.ok_or_else(|| HttpConfigError::Header(name.into()))?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(self)
    }

    /// How long one attempt may take, its answer read to the end. Default: 2 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest body that is read, in bytes. Default: 1 MiB.
    #[must_use]
    pub fn largest(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Http").field(&self.base.as_str()).finish()
    }
}

/// What is asked for, below the API's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    segments: Vec<String>,
    query: Vec<(String, String)>,
}

impl Target {
    /// A path by its segments. They are encoded, so that a `/` in a key leads nowhere else.
    pub fn path<S: Into<String>>(segments: impl IntoIterator<Item = S>) -> Self {
        Target {
            segments: segments.into_iter().map(Into::into).collect(),
            query: Vec::new(),
        }
    }

    /// Adds `name=value` to the query, encoded.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    fn at(&self, base: &Url) -> Result<Url, ReadError> {
        // URLs are read without tabs and line breaks, whatever they hide.
        let leads_elsewhere = |segment: &String| {
            matches!(segment.as_str(), "" | "." | "..") || segment.contains(char::is_control)
        };
        if self.segments.iter().any(leads_elsewhere) {
            return Err(ReadError::Key(
                "a segment of a path must not be empty, `.` or `..`, nor have control characters",
            ));
        }
        let mut url = base.clone();
        // An address with a host has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.segments);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

/// What was fetched, with what it takes to ask whether it is still the same.
#[derive(Debug, Default, Deserialize, MemSize, Serialize)]
pub struct Fetched<T> {
    value: T,
    etag: Option<String>,
    last_modified: Option<String>,
    /// As it was said when it was fetched, for a 304 that says nothing.
    fresh_for: Option<Duration>,
}

impl<T> Deref for Fetched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> From<T> for Fetched<T> {
    /// For [`Cache::put`].
    fn from(value: T) -> Self {
        Fetched {
            value,
            etag: None,
            last_modified: None,
            fresh_for: None,
        }
    }
}

impl<S, K, T> Source<'_, S, Json<K, T>>
where
    S: std::borrow::Borrow<Http>,
    K: Key + MemSize,
    T: DeserializeOwned + MemSize + Send + Sync + 'static,
    Fetched<T>: MemSize,
{
    /// What the API answers to a GET of `target`.
    pub fn get(
        &self,
        target: impl Fn(&K) -> Target + Send + Sync + 'static,
    ) -> Kind<K, Arc<Fetched<T>>, HttpLoader<K, T>> {
        Kind::of(HttpLoader::new((**self).borrow(), target))
    }
}

/// Reads from an HTTP API.
pub struct HttpLoader<K, T> {
    http: Http,
    target: Box<dyn Fn(&K) -> Target + Send + Sync>,
    decodes: PhantomData<fn() -> T>,
}

/// What an answer says, and for how long it lets itself be kept.
type Answer<T> = (Option<Arc<Fetched<T>>>, Option<Duration>);

impl<K, T: DeserializeOwned> HttpLoader<K, T> {
    /// Reads from `http` what `target` names for a key of the cache.
    pub fn new(http: &Http, target: impl Fn(&K) -> Target + Send + Sync + 'static) -> Self {
        HttpLoader {
            http: http.clone(),
            target: Box::new(target),
            decodes: PhantomData,
        }
    }

    async fn fetch(
        &self,
        key: &K,
        known: Option<Arc<Fetched<T>>>,
        until: &Deadline,
    ) -> Result<Answer<T>, ReadError> {
        let url = (self.target)(key).at(&self.http.base)?;
        for attempt in 1.. {
            let answer = until.limit(self.ask(url.clone(), known.clone())).await;
            match answer.ok_or(ReadError::Deadline)? {
                Err(error) if attempt < ATTEMPTS && is_passing(&error) => {
                    let pause = Duration::from_millis(fastrand::u64(0..=50 << attempt));
                    let paused = until.limit(tokio::time::sleep(pause)).await;
                    paused.ok_or(error)?;
                }
                answer => return answer,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn ask(&self, url: Url, known: Option<Arc<Fetched<T>>>) -> Result<Answer<T>, ReadError> {
        let mut request = self.http.client.get(url);
        if let Some(known) = &known {
            let etag = known.etag.iter().map(|it| (IF_NONE_MATCH, it));
            let modified = known.last_modified.iter();
            let conditions = etag.chain(modified.map(|it| (IF_MODIFIED_SINCE, it)));
            request = conditions.fold(request, |request, (name, it)| request.header(name, it));
        }
        let request = request.headers(self.http.headers.clone());
        let response = request.timeout(self.http.timeout).send().await;
        let response = response.map_err(refused)?;
        let keep = fresh_for(response.headers());
        let value = match (response.status().as_u16(), known) {
            (204 | 404 | 410, _) => None,
            (200..=299, _) => Some(self.read(response, keep).await?),
            (304, Some(known)) if known.etag.is_some() || known.last_modified.is_some() => {
                let keep = keep.or(known.fresh_for);
                return Ok((Some(known), keep));
            }
            (status, _) => return Err(ReadError::Status(status)),
        };
        Ok((value, keep))
    }

    async fn read(
        &self,
        mut response: Response,
        fresh_for: Option<Duration>,
    ) -> Result<Arc<Fetched<T>>, ReadError> {
        let headers = response.headers();
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_string());
        let (etag, last_modified) = (text(ETAG), text(LAST_MODIFIED));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(refused)? {
            if body.len() + chunk.len() > self.http.largest {
                return Err(ReadError::TooLarge(self.http.largest));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Arc::new(Fetched {
            value: source::decode_json(&body)?,
            etag,
            last_modified,
            fresh_for,
        }))
    }
}

/// Without the URL, which has the key in it.
fn refused(error: reqwest::Error) -> ReadError {
    // Before anything is sent: of a key of many kilobytes no request can be made.
    if error.is_builder() {
        return ReadError::Key("no URL can be that long");
    }
    ReadError::unnamed(&error.without_url())
}

fn is_passing(error: &ReadError) -> bool {
    match error {
        ReadError::Request { .. } => true,
        ReadError::Status(status) => matches!(status, 429 | 500 | 502 | 503 | 504),
        _ => false,
    }
}

/// For how long an answer may be kept by one who keeps it for himself, as RFC 9111 says. What makes no sense is no
/// time at all.
fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| {
        let values = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values.collect::<Vec<_>>().join(",").to_ascii_lowercase()
    };
    let control = text(CACHE_CONTROL);
    let mut directives = control.split(',').map(str::trim);
    if directives.clone().any(|it| it == "no-store") {
        return Some(Duration::ZERO);
    }
    if directives.clone().any(|it| it.starts_with("no-cache")) {
        return Some(NO_TIME);
    }
    let from_start = match directives.find_map(|it| it.strip_prefix("max-age=")) {
        Some(seconds) => self::seconds(seconds).unwrap_or_default(),
        None => {
            let expires = headers.get(EXPIRES)?;
            let time = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
            let date = headers.get(DATE).and_then(time);
            let date = date.unwrap_or_else(SystemTime::now);
            let left = time(expires).and_then(|end| end.duration_since(date).ok());
            left.unwrap_or_default()
        }
    };
    // Of several the first counts, and one that makes no sense does not.
    let age = text(AGE).split(',').next().and_then(seconds);
    Some(
        from_start
            .saturating_sub(age.unwrap_or_default())
            .max(NO_TIME),
    )
}

/// More than a number can be is as long as it can be.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)))
}

impl<K, T> Loader<K, Arc<Fetched<T>>> for HttpLoader<K, T>
where
    K: Key,
    T: DeserializeOwned + Send + Sync + 'static,
{
    type Error = ReadError;

    async fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> Result<Loaded<K, Arc<Fetched<T>>, ReadError>, ReadError> {
        self.reload(keys, &|_| None, until).await
    }

    async fn reload(
        &self,
        keys: Vec<K>,
        known: &(dyn Fn(&K) -> Option<Arc<Fetched<T>>> + Send + Sync),
        until: Deadline,
    ) -> Result<Loaded<K, Arc<Fetched<T>>, ReadError>, ReadError> {
        let reads = keys.into_iter().map(async |key| {
            let answer = self.fetch(&key, known(&key), &until).await;
            (key, answer)
        });
        let reads: Vec<_> = stream::iter(reads)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut fresh_for = HashMap::new();
        let reads = reads.into_iter().map(|(key, answer)| {
            let answer = answer.map_err(ReadError::into_failure);
            let found = answer.map(|(value, keep)| {
                fresh_for.extend(keep.map(|keep| (key.clone(), keep)));
                value.map(Found::from)
            });
            (key, found)
        });
        let loaded = Loaded::of_reads(reads)?;
        Ok(Loaded {
            fresh_for,
            ..loaded
        })
    }
}
