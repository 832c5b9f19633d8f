//! HTTP as a source, against a server that answers, renews, redirects, hangs and lies.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::clock::ManualClock;
use cache_core::environment::Environment;
use cache_core::http::{Fetched, Http, HttpLoader, Json, Target};
use cache_core::{Cache, Deadline, Error, ReadError, TtlPolicy, caches};
use checks::server::{Server, answer};
use mem_dbg::MemSize;
use serde::Deserialize;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize, PartialEq)]
struct Rate {
    rate: u32,
}

/// A server whose answers are those of the list, one after the other; the last one stays.
async fn server(answers: &[String]) -> Server {
    let mut left: Vec<_> = answers.iter().rev().cloned().collect();
    let next = move || {
        if left.len() > 1 {
            left.pop()
        } else {
            left.last().cloned()
        }
    };
    let next = Mutex::new(next);
    Server::start(move |_| {
        let answer = (*next.lock().unwrap())();
        async { answer }
    })
    .await
    .unwrap()
}

fn ok(headers: &str, rate: u32) -> String {
    answer(200, headers, &format!(r#"{{"rate":{rate}}}"#))
}

#[allow(clippy::ptr_arg)] // a key of the cache
fn target(key: &String) -> Target {
    Target::path(["rates", key])
}

struct Setup {
    cache: Json<String, Rate>,
    clock: Arc<ManualClock>,
}

fn cache_of(http: &Http, ttl: TtlPolicy) -> Setup {
    let clock: Arc<ManualClock> = Arc::default();
    let cache = Cache::builder(HttpLoader::new(http, target))
        .ttl(ttl)
        .absent_ttl(MINUTE)
        .jitter_percent(0)
        .clock(clock.clone())
        .memory(1 << 20, |_, _| 0)
        .build()
        .unwrap();
    Setup { cache, clock }
}

fn setup(server: &Server, ttl: TtlPolicy) -> Setup {
    cache_of(&Http::new(&server.endpoint).unwrap(), ttl)
}

impl Setup {
    async fn get(&self, key: &str) -> Result<Option<u32>, Error<ReadError>> {
        let deadline = Deadline::after(30 * SECOND);
        let value = self.cache.get(key, &deadline).await?;
        Ok(value.map(|value| value.rate))
    }
}

#[tokio::test]
async fn a_key_is_one_segment_whatever_is_in_it_and_headers_go_with_each_request() {
    let server = server(&[ok("", 7)]).await;
    let base = format!("{}/v1/", server.endpoint);
    let http = Http::new(&base)
        .unwrap()
        .header("x-token", "s3cret")
        .unwrap();
    assert!(!format!("{http:?}").contains("s3cret"));
    let it = cache_of(&http, TtlPolicy::Fixed(MINUTE));
    for (key, path) in [
        ("EUR", "/v1/rates/EUR"),
        ("../admin?x#y", "/v1/rates/..%2Fadmin%3Fx%23y"),
        ("%2e%2e", "/v1/rates/%252e%252e"),
        ("\u{e9}", "/v1/rates/%C3%A9"),
    ] {
        assert_eq!(it.get(key).await.unwrap(), Some(7));
        let [head] = &server.seen()[..] else {
            panic!("one request");
        };
        assert!(
            head.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(head.contains("x-token: s3cret"), "{head}");
    }
    // Parsers of URLs drop tabs and line breaks, and what they hid leads elsewhere.
    let long = "x".repeat(100_000);
    for key in ["", ".", "..", ".\t.", "\t", "\n.", "a\nb", "\u{7f}", &long] {
        let error = it.get(key).await.unwrap_err();
        assert!(error.is_about_the_key(), "{key:?}: {error}");
    }
    assert!(server.seen().is_empty());

    let with_query = Cache::builder(HttpLoader::<_, Rate>::new(&http, |key: &String| {
        Target::path(["find"])
            .query("q", key.as_str())
            .query("of", "a b")
    }));
    let with_query = with_query.memory(1 << 20, |_, _| 0).build().unwrap();
    with_query.get("x&y=z", &Deadline::none()).await.unwrap();
    let head = server.seen().remove(0);
    assert!(
        head.starts_with("GET /v1/find?q=x%26y%3Dz&of=a+b HTTP"),
        "{head}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_an_absence_and_is_remembered() {
    for status in [204, 404, 410] {
        let server = server(&[answer(status, "", "no such thing"), ok("", 1)]).await;
        let it = setup(&server, TtlPolicy::Fixed(MINUTE));
        assert_eq!(it.get("a").await.unwrap(), None);
        assert_eq!(it.get("a").await.unwrap(), None);
        assert_eq!(server.seen().len(), 1);
        it.clock.advance(MINUTE);
        assert_eq!(it.get("a").await.unwrap(), Some(1));
    }
}

#[tokio::test]
async fn an_answer_lives_as_long_as_it_says_where_items_have_ends_of_their_own() {
    let hour = TtlPolicy::PerItem(60 * MINUTE);
    let expires =
        "date: Thu, 26 Nov 2026 10:00:00 GMT\r\nexpires: Thu, 26 Nov 2026 10:00:10 GMT\r\n";
    for (ttl, headers, seconds) in [
        (hour, "cache-control: max-age=10\r\n", 10),
        (
            hour,
            "cache-control: private, max-age=10, s-maxage=99\r\n",
            10,
        ),
        (hour, "cache-control: max-age=40\r\nage: 30\r\n", 10),
        (hour, "cache-control: max-age=10\r\nage: 30\r\n", 0),
        (hour, expires, 10),
        (hour, &format!("cache-control: max-age=20\r\n{expires}"), 20),
        (hour, "cache-control: no-store\r\n", 0),
        (hour, "Cache-Control: No-Store, max-age=-1\r\n", 0),
        (hour, "cache-control: no-cache, max-age=10\r\n", 0),
        (hour, "cache-control: max-age=0\r\n", 0),
        (hour, "cache-control: MAX-AGE=10\r\n", 10),
        (
            hour,
            "cache-control: public\r\ncache-control: max-age=10\r\n",
            10,
        ),
        (hour, "cache-control: max-age=40\r\nage: 30, 1\r\n", 10),
        (hour, "cache-control: max-age=10\r\nage: old\r\n", 10),
        // What makes no sense is over.
        (hour, "cache-control: max-age=soon\r\n", 0),
        (hour, "expires: 0\r\n", 0),
        // Nothing is said, or more than the TTL.
        (hour, "", 3600),
        (
            hour,
            "cache-control: max-age=99999999999999999999\r\n",
            3600,
        ),
        (hour, "cache-control: max-age=7200\r\n", 3600),
        (
            TtlPolicy::Fixed(MINUTE),
            "cache-control: max-age=10\r\n",
            60,
        ),
        (TtlPolicy::Fixed(MINUTE), "cache-control: no-store\r\n", 60),
    ] {
        let server = server(&[ok(headers, 1)]).await;
        let it = setup(&server, ttl);
        it.get("a").await.unwrap();
        server.seen();
        if seconds > 0 {
            it.clock
                .advance(seconds * SECOND - Duration::from_millis(1));
            it.get("a").await.unwrap();
            assert!(server.seen().is_empty(), "{headers} is fresh");
        }
        it.clock.advance(Duration::from_millis(1));
        it.get("a").await.unwrap();
        assert_eq!(server.seen().len(), 1, "{headers} is over");
    }
    // An absence, too.
    let server = server(&[answer(404, "cache-control: max-age=10\r\n", "")]).await;
    let it = setup(&server, hour);
    it.get("a").await.unwrap();
    it.clock.advance(10 * SECOND);
    it.get("a").await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

/// Whose decoding is counted.
#[derive(Deserialize)]
#[serde(from = "Rate")]
struct Counted(Rate);

static DECODED: AtomicUsize = AtomicUsize::new(0);

impl From<Rate> for Counted {
    fn from(rate: Rate) -> Self {
        DECODED.fetch_add(1, SeqCst);
        Counted(rate)
    }
}

#[tokio::test]
async fn what_is_not_modified_is_renewed_without_being_decoded_again() {
    let validators = "etag: W/\"1\"\r\nlast-modified: Thu, 26 Nov 2026 10:00:00 GMT\r\n";
    let server = server(&[
        ok(validators, 1),
        answer(304, "", ""),
        answer(304, "", ""),
        ok("", 2),
    ])
    .await;
    let clock: Arc<ManualClock> = Arc::default();
    let http = Http::new(&server.endpoint).unwrap();
    let cache = Cache::builder(HttpLoader::<String, Counted>::new(&http, target));
    let cache = cache
        .ttl(TtlPolicy::Fixed(MINUTE))
        .jitter_percent(0)
        .clock(clock.clone());
    let cache = cache.memory(1 << 20, |_, _| 0).build().unwrap();
    let get = async || {
        let value = cache.get("a", &Deadline::none()).await.unwrap();
        value.unwrap().0.rate
    };
    for _ in 0..3 {
        assert_eq!(get().await, 1);
        // Renewed: fresh again for as long.
        clock.advance(MINUTE - SECOND);
        assert_eq!(get().await, 1);
        clock.advance(SECOND);
    }
    let [first, second, third] = &server.seen()[..] else {
        panic!("three requests");
    };
    assert!(!first.contains("if-"), "{first}");
    for renewal in [second, third] {
        assert!(renewal.contains("if-none-match: W/\"1\"\r\n"), "{renewal}");
        assert!(renewal.contains("if-modified-since: Thu, 26 Nov 2026 10:00:00 GMT\r\n"));
    }
    assert_eq!(DECODED.load(SeqCst), 1);
    // What is invalidated is not there to be renewed.
    cache.invalidate("a");
    assert_eq!(get().await, 2);
    assert!(!server.seen()[0].contains("if-"));
    // Nor is what was put, which has no validators. A 304 to that is nonsense.
    let server = self::server(&[answer(304, "", "")]).await;
    let it = setup(&server, TtlPolicy::Fixed(MINUTE));
    let value = Fetched::from(Rate { rate: 3 });
    it.cache.put("a".into(), Arc::new(value));
    it.clock.advance(MINUTE);
    it.get("a").await.unwrap_err();
    assert!(!server.seen()[0].contains("if-"));
}

#[tokio::test]
async fn an_answer_to_be_asked_for_each_time_is_kept_for_that_and_for_an_outage() {
    for control in ["no-cache", "max-age=0"] {
        let headers = format!("cache-control: {control}\r\netag: \"1\"\r\n");
        let server = server(&[ok(&headers, 1), answer(304, "", ""), answer(401, "", "")]).await;
        let http = Http::new(&server.endpoint).unwrap();
        let cache = Cache::builder(HttpLoader::<String, Rate>::new(&http, target));
        let clock: Arc<ManualClock> = Arc::default();
        let cache = cache.ttl(TtlPolicy::PerItem(MINUTE)).clock(clock.clone());
        let cache = cache.stale_if_error(MINUTE).memory(1 << 20, |_, _| 0);
        let cache = cache.build().unwrap();
        for request in 0..3 {
            let rate = cache.get("a", &Deadline::none()).await.unwrap().unwrap();
            assert_eq!(rate.rate, 1);
            let head = server.seen().remove(0);
            assert_eq!(head.contains("if-none-match: \"1\""), request > 0, "{head}");
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(cache.stats().stale_served, 1);
    }
}

#[tokio::test]
async fn a_renewal_that_says_nothing_lasts_as_long_as_what_it_renews() {
    let first = ok("cache-control: max-age=10\r\netag: \"1\"\r\n", 1);
    let longer = answer(304, "cache-control: max-age=20\r\n", "");
    let server = server(&[first, answer(304, "", ""), longer, answer(304, "", "")]).await;
    let it = setup(&server, TtlPolicy::PerItem(60 * MINUTE));
    for seconds in [10, 10, 20, 10] {
        assert_eq!(it.get("a").await.unwrap(), Some(1));
        assert_eq!(server.seen().len(), 1);
        it.clock
            .advance(seconds * SECOND - Duration::from_millis(1));
        it.get("a").await.unwrap();
        assert!(server.seen().is_empty(), "{seconds}");
        it.clock.advance(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn what_fails_in_passing_is_tried_again_and_what_does_not_is_not() {
    let passing = [429, 500, 502, 503, 504].map(|status| answer(status, "", ""));
    let cut = [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".into(),
    ];
    for failure in passing.into_iter().chain(cut) {
        let server = server(&[failure.clone(), failure.clone(), ok("", 1)]).await;
        let it = setup(&server, TtlPolicy::Fixed(MINUTE));
        assert_eq!(it.get("a").await.unwrap(), Some(1), "{failure}");
        let server = self::server(&[failure]).await;
        let it = setup(&server, TtlPolicy::Fixed(MINUTE));
        let error = it.get("a").await.unwrap_err();
        assert!(!error.is_about_the_key(), "{error}");
        assert_eq!(server.seen().len(), 3);
    }
    for (status, is_about_the_key) in [
        (400, true),
        (422, true),
        (401, false),
        (403, false),
        (304, false),
    ] {
        let server = server(&[answer(status, "", "")]).await;
        let error = setup(&server, TtlPolicy::Fixed(MINUTE))
            .get("a")
            .await
            .unwrap_err();
        assert_eq!(error.is_about_the_key(), is_about_the_key, "{status}");
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_bad_answer_fails_its_own_key_and_no_error_quotes_it() {
    for (bad, says) in [
        (r#"{"rate":"s3cret"}"#.to_string(), "as http::Rate: rate"),
        (r#"{"other":"s3cret"}"#.to_string(), "missing field `rate`"),
        (r#"{"rate":1} s3cret"#.to_string(), "behind its end"),
        ("s3cret".to_string(), "as http::Rate"),
        (
            format!(r#"{{"rate":1,"s3cret":"{}"}}"#, "x".repeat(1 << 20)),
            "larger than 1048576 bytes",
        ),
    ] {
        let server = Server::start(move |head| {
            let body = if head.contains("/bad") {
                bad.clone()
            } else {
                r#"{"rate":1}"#.into()
            };
            async move { Some(answer(200, "", &body)) }
        })
        .await
        .unwrap();
        let it = setup(&server, TtlPolicy::Fixed(MINUTE));
        let keys = ["bad-k3y", "good"].map(String::from);
        let answers = it.cache.get_many(keys, &Deadline::none()).await;
        let error = answers["bad-k3y"].as_ref().unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!text.contains("s3cret") && !text.contains("k3y"), "{text}");
        assert_eq!(answers["good"].as_ref().unwrap().as_ref().unwrap().rate, 1);
        assert_eq!(server.seen().len(), 2);
    }
    // Nor does what cannot be reached.
    let http = Http::new("http://127.0.0.1:1").unwrap();
    let error = cache_of(&http, TtlPolicy::Fixed(MINUTE))
        .get("k3y")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(!format!("{error} {error:?}").contains("k3y"), "{error:?}");
}

#[tokio::test]
async fn redirects_stay_on_the_host_and_headers_with_them() {
    let elsewhere = server(&[ok("", 66)]).await;
    let away = elsewhere.endpoint.clone();
    let server = Server::start(move |head| {
        let location = match head.split(' ').nth(1).unwrap() {
            "/rates/here" => "/rates/there".to_string(),
            "/rates/away" => format!("{away}/rates/a"),
            "/rates/round" => "/rates/round".into(),
            _ => return std::future::ready(Some(ok("", 1))),
        };
        std::future::ready(Some(answer(302, &format!("location: {location}\r\n"), "")))
    })
    .await
    .unwrap();
    let http = Http::new(&server.endpoint)
        .unwrap()
        .header("x-token", "s3cret")
        .unwrap();
    let it = cache_of(&http, TtlPolicy::Fixed(MINUTE));
    assert_eq!(it.get("here").await.unwrap(), Some(1));
    assert!(server.seen().iter().all(|head| head.contains("s3cret")));
    let error = it.get("away").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value could not be read: the source answered with the status 302"
    );
    assert!(elsewhere.seen().is_empty());
    it.cache.invalidate_all();
    server.seen();
    it.get("round").await.unwrap_err();
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_deadline_and_an_attempt_no_more_than_its_time() {
    let server = Server::start(|_| std::future::ready(None)).await.unwrap();
    let it = setup(&server, TtlPolicy::Fixed(MINUTE));
    let soon = Deadline::after(Duration::from_millis(300));
    let error = it.cache.get("hangs", &soon).await.unwrap_err();
    assert!(
        matches!(error, Error::DeadlineExceeded | Error::Load(_)),
        "{error}"
    );
    let patient = Http::new(&server.endpoint)
        .unwrap()
        .timeout(Duration::from_millis(50));
    server.seen();
    cache_of(&patient, TtlPolicy::Fixed(MINUTE))
        .get("hangs")
        .await
        .unwrap_err();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn of_many_keys_sixteen_are_under_way_at_a_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let server = Server::start(move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, SeqCst);
            Some(ok("", 1))
        }
    })
    .await
    .unwrap();
    let it = setup(&server, TtlPolicy::Fixed(MINUTE));
    let keys = (0..100).map(|n| n.to_string());
    let answers: HashMap<_, _> = it.cache.get_many(keys, &Deadline::none()).await;
    assert!(answers.values().all(Result::is_ok));
    assert!((2..=16).contains(&seen.load(SeqCst)), "{seen:?}");
}

#[derive(Deserialize, MemSize)]
#[mem_size(flat)]
struct Flags {
    dark_mode: bool,
}

#[derive(Deserialize, MemSize)]
struct Greeting {
    #[serde(rename = "Parameter")]
    parameter: Parameter,
}

#[derive(Deserialize, MemSize)]
struct Parameter {
    #[serde(rename = "Value")]
    value: String,
}

caches! {
    struct Agents(appconfig: &Http, parameters: &Http) {
        flags: Json<(), Flags> = appconfig.get(|()| Target::path(
            ["applications", "shop", "environments", "live", "configurations", "flags"],
        ));
        greeting: Json<(), Greeting> = parameters.get(|()| {
            Target::path(["systemsmanager", "parameters", "get"]).query("name", "/greeting")
        });
    }
}

/// As AWS documents what its two Lambda extensions answer on localhost.
#[tokio::test]
async fn agents_of_aws_are_apis_like_any_other() {
    let appconfig = Server::start(|head| {
        let path = "/applications/shop/environments/live/configurations/flags";
        let known = head.starts_with(&format!("GET {path} HTTP/1.1\r\n"));
        let answer = if known {
            answer(200, "configuration-version: 3\r\n", r#"{"dark_mode":true}"#)
        } else {
            answer(404, "", "")
        };
        std::future::ready(Some(answer))
    });
    let parameters = Server::start(|head| {
        // The extension answers 400 without the token, and names are encoded.
        let is_signed = head.contains("x-aws-parameters-secrets-token: t0ken\r\n");
        let known = head.starts_with("GET /systemsmanager/parameters/get?name=%2Fgreeting HTTP");
        let answer = if is_signed && known {
            let body = r#"{"Parameter":{"Name":"/greeting","Type":"String","Value":"hello","Version":1},"ResultMetadata":{}}"#;
            answer(200, "", body)
        } else {
            answer(400, "", "")
        };
        std::future::ready(Some(answer))
    });
    let (appconfig, parameters) = (appconfig.await.unwrap(), parameters.await.unwrap());
    let parameters = Http::new(&parameters.endpoint).unwrap();
    let parameters = parameters
        .header("X-Aws-Parameters-Secrets-Token", "t0ken")
        .unwrap();
    let agents = Agents::new(
        Environment::of([("", ""); 0]),
        &Http::new(&appconfig.endpoint).unwrap(),
        &parameters,
    );
    let agents = agents.unwrap();
    let flags = agents
        .flags
        .get(&(), &Deadline::none())
        .await
        .unwrap()
        .unwrap();
    assert!(flags.dark_mode);
    let greeting = agents
        .greeting
        .get(&(), &Deadline::none())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(greeting.parameter.value, "hello");
}

#[test]
fn what_cannot_be_asked_is_told_at_the_start() {
    for base in [
        "",
        "s3cret.example.com",
        "ftp://s3cret/",
        "http://",
        "https://host/?q=s3cret",
        "https://host/#s3cret",
        "https://user:s3cret@host/",
        "https://s3cret@host/",
        "data:s3cret",
    ] {
        let error = Http::new(base).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("allowed: http:// or https://") && !text.contains("s3cret"),
            "{text}"
        );
    }
    for (name, value) in [("a b", "x"), ("", "x"), ("x", "s3cret\r\ny: z")] {
        let http = Http::new("https://host").unwrap();
        let error = http.header(name, value).unwrap_err().to_string();
        assert!(
            error.contains("cannot be sent") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
