//! What the environment's variables make of the kinds that are declared. Observed from outside: a
//! value that is cached is not loaded again.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_core::clock::ManualClock;
use cache_core::environment::Environment;
use cache_core::kinds::Kind;
use cache_core::{Cache, Deadline, Failure, FromFn, LEAST_MEMORY, caches, from_fn};

const SECOND: Duration = Duration::from_secs(1);

type Numbers = Cache<String, u32, FromFn<String, u32, &'static str>>;

/// Counts its loads: that is the value. There is no key that begins with `no`.
#[derive(Clone, Default)]
struct Source(Arc<(AtomicU32, AtomicBool)>);

impl Source {
    fn numbers(&self) -> FromFn<String, u32, &'static str> {
        let source = self.clone();
        from_fn(move |key: String, _| {
            let (loads, fails) = &*source.0;
            let number = loads.fetch_add(1, Relaxed) + 1;
            let found = (!key.starts_with("no")).then_some(number);
            let answer = if fails.load(Relaxed) {
                Err(Failure::Source("away"))
            } else {
                Ok(found)
            };
            async move { answer }
        })
    }
}

caches! {
    struct Caches(source: Source) {
        plain: Numbers = Kind::of(source.numbers());
        short: Numbers = Kind::of(source.numbers()).ttl(10).absent_ttl(2);
        ends: Numbers = Kind::of(source.numbers()).ttl(10).per_item();
        kept: Numbers = Kind::of(source.numbers()).immutable();
        sturdy: Numbers = Kind::of(source.numbers()).ttl(10).stale_if_error(5).weight(4);
        zero: Numbers = Kind::of(source.numbers()).absent_is_default();
    }
}

struct Setup {
    caches: Caches,
    source: Source,
    clock: Arc<ManualClock>,
}

fn setup(variables: &[(&str, &str)]) -> Setup {
    let (source, clock) = (Source::default(), Arc::new(ManualClock::default()));
    let exactly = [
        ("CACHE_JITTER_PERCENT", "0"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ];
    let variables = exactly.into_iter().chain(variables.iter().copied());
    let environment = Environment::of(variables).with_clock(clock.clone());
    Setup {
        caches: Caches::new(environment, source.clone()).unwrap(),
        source,
        clock,
    }
}

fn refused(variables: &[(&str, &str)]) -> String {
    let environment = Environment::of(variables.iter().copied());
    let error = Caches::new(environment, Source::default()).err().unwrap();
    error.to_string()
}

impl Setup {
    /// For how many seconds what is loaded of `key` now is answered without another load; `None`
    /// for longer than a thousand.
    async fn lives(&self, cache: &Numbers, key: &str) -> Option<u32> {
        cache.invalidate_all();
        let patient = Deadline::none();
        cache.get(key, &patient).await.unwrap();
        let loads = cache.stats().loads;
        for second in 0..=1000 {
            cache.get(key, &patient).await.unwrap();
            if cache.stats().loads > loads {
                return Some(second);
            }
            self.clock.advance(SECOND);
        }
        None
    }
}

#[tokio::test]
async fn a_kinds_variable_wins_over_its_declaration_and_that_over_the_variable_for_all() {
    for (variables, plain, short) in [
        (&[][..], Some(60), Some(10)),
        (&[("CACHE_TTL_SECONDS", "30")], Some(30), Some(10)),
        (&[("CACHE_SHORT_TTL_SECONDS", "20")], Some(60), Some(20)),
        (&[("CACHE_PLAIN_TTL_SECONDS", "0")], Some(0), Some(10)),
        (
            &[
                ("CACHE_TTL_POLICY", "immutable"),
                ("CACHE_SHORT_TTL_SECONDS", "7"),
            ],
            None,
            Some(7),
        ),
        (
            &[
                ("CACHE_SHORT_TTL_POLICY", "immutable"),
                ("CACHE_PLAIN_TTL_SECONDS", "5"),
            ],
            Some(5),
            None,
        ),
        (
            &[
                ("CACHE_ENABLED", "false"),
                ("CACHE_SHORT_TTL_SECONDS", "20"),
            ],
            Some(0),
            Some(0),
        ),
    ] {
        let setup = setup(variables);
        assert_eq!(
            setup.lives(&setup.caches.plain, "a").await,
            plain,
            "{variables:?}"
        );
        assert_eq!(
            setup.lives(&setup.caches.short, "a").await,
            short,
            "{variables:?}"
        );
    }
}

#[tokio::test]
async fn absences_have_a_time_of_their_own() {
    for (variables, plain, short) in [
        (&[][..], 5, 2),
        (&[("CACHE_ABSENT_TTL_SECONDS", "9")], 9, 2),
        (&[("CACHE_SHORT_ABSENT_TTL_SECONDS", "3")], 5, 3),
    ] {
        let setup = setup(variables);
        assert_eq!(setup.lives(&setup.caches.plain, "no").await, Some(plain));
        assert_eq!(setup.lives(&setup.caches.short, "no").await, Some(short));
    }
}

#[tokio::test]
async fn the_policies_are_those_that_were_declared() {
    let setup = setup(&[]);
    assert_eq!(setup.lives(&setup.caches.kept, "a").await, None);
    // The value has no end of its own.
    assert_eq!(setup.lives(&setup.caches.ends, "a").await, Some(10));
    let patient = Deadline::none();
    let now = cache_core::clock::Clock::now(&*setup.clock).wall.as_secs();
    let found = |end| cache_core::Found {
        value: 7,
        expires_at: Some(end),
    };
    setup.caches.ends.put("a".into(), found(now + 3));
    assert_eq!(setup.caches.ends.get("a", &patient).await.unwrap(), Some(7));
    setup.clock.advance(3 * SECOND);
    assert_ne!(setup.caches.ends.get("a", &patient).await.unwrap(), Some(7));
}

#[tokio::test]
async fn stale_if_error_is_a_kinds_own() {
    for (variables, sturdy, plain) in [
        (&[][..], 15, 0),
        (&[("CACHE_STALE_IF_ERROR_SECONDS", "30")], 15, 90),
        (&[("CACHE_STURDY_STALE_IF_ERROR_SECONDS", "1")], 11, 0),
    ] {
        let setup = setup(variables);
        let patient = Deadline::none();
        for (cache, until) in [(&setup.caches.sturdy, sturdy), (&setup.caches.plain, plain)] {
            setup.source.0.1.store(false, Relaxed);
            setup.clock.advance(3 * SECOND);
            cache.get("a", &patient).await.unwrap();
            setup.source.0.1.store(true, Relaxed);
            let ends = if until == 0 { 60 } else { until };
            setup.clock.advance((ends - 1) * SECOND);
            assert!(cache.get("a", &patient).await.is_ok(), "{variables:?}");
            setup.clock.advance(SECOND);
            assert!(cache.get("a", &patient).await.is_err(), "{variables:?}");
        }
    }
}

#[tokio::test]
async fn an_absence_can_stand_for_a_default_which_is_served_stale_as_any_value_is() {
    let setup = setup(&[("CACHE_ZERO_STALE_IF_ERROR_SECONDS", "60")]);
    let (zero, patient) = (&setup.caches.zero, Deadline::none());
    assert_eq!(zero.get("no", &patient).await.unwrap(), Some(0));
    setup.source.0.1.store(true, Relaxed);
    setup.clock.advance(6 * SECOND);
    assert_eq!(zero.get("no", &patient).await.unwrap(), Some(0));
    assert_eq!(zero.stats().stale_served, 1);
    setup.clock.advance(60 * SECOND);
    assert!(zero.get("no", &patient).await.is_err());
    // Elsewhere an absence is one, and whoever wants a default says so.
    setup.source.0.1.store(false, Relaxed);
    setup.clock.advance(3 * SECOND);
    assert_eq!(setup.caches.plain.get("no", &patient).await.unwrap(), None);
    assert_eq!(
        setup
            .caches
            .plain
            .get_or_default("no", &patient)
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn the_memory_is_divided_by_the_weights_and_no_kind_has_less_than_the_least() {
    let weighty = setup(&[]);
    let patient = Deadline::none();
    // Of (256 - 48) MB a quarter; six kinds, of which one has four of nine parts.
    let all = (256 - 48) * 1024 * 1024 / 4;
    let spare = all - 6 * LEAST_MEMORY;
    let tables = 240 * 1024;
    for (cache, weight) in [(&weighty.caches.sturdy, 4), (&weighty.caches.plain, 1)] {
        let bound = LEAST_MEMORY + spare * weight / 9;
        // Keys of a kilobyte, more than fit.
        for n in 0..bound / 1024 {
            let key = format!("{n:01024}");
            cache.get(&key, &patient).await.unwrap();
        }
        let bytes = cache.stats().bytes;
        assert!(bytes <= bound - tables, "{bytes} of {bound}");
        // An eighth is reserved for the entry that is being stored.
        assert!(bytes > (bound - tables) * 4 / 5, "{bytes} of {bound}");
    }
}

#[test]
fn a_kind_may_be_called_as_a_source() {
    caches! {
        struct Named(source: Source) {
            source: Numbers = Kind::of(source.numbers());
            other: Numbers = Kind::of(source.numbers());
        }
    }
    let nothing = Environment::of([("", ""); 0]);
    assert_eq!(
        Named::new(nothing, Source::default())
            .unwrap()
            .stats()
            .len(),
        2
    );
}

#[test]
fn every_kind_is_counted() {
    let setup = setup(&[]);
    let names: Vec<_> = setup
        .caches
        .stats()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["plain", "short", "ends", "kept", "sturdy", "zero"]);
    assert_eq!(setup.caches.kept.name(), "kept");
}

#[test]
fn a_table_is_named_by_its_name_or_its_arn() {
    let arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/";
    for (name, right) in [
        ("a-1", true),
        ("arn", true),
        (&format!("{arn}items"), true),
        (&format!("{arn}a b"), false),
        (&format!("{arn}items/index/x"), false),
        (arn, false),
        ("arn:aws:sqs:eu-central-1:123456789012:table/items", false),
    ] {
        let mut environment = Environment::of([("TABLE_NAME", name)]);
        let table = environment.table_name("TABLE_NAME");
        assert_eq!(table, if right { name } else { "" });
        let caches = Caches::new(environment, Source::default());
        assert_eq!(caches.is_ok(), right, "{name}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_on_one_line_with_its_value_and_what_is_allowed() {
    let mut environment = Environment::of([
        ("TABLE_NAME", "a\nb"),
        ("CACHE_ENABLED", "yes"),
        ("CACHE_TTL_POLICY", "Fixed"),
        ("CACHE_TTL_SECONDS", "86401"),
        ("CACHE_ABSENT_TTL_SECONDS", "+5"),
        ("CACHE_STALE_IF_ERROR_SECONDS", ""),
        ("CACHE_SOFT_TIMEOUT_MS", "-1"),
        ("CACHE_REFRESH_AHEAD_PERCENT", "51"),
        ("CACHE_REFRESH_LIMIT_MS", "10001"),
        ("CACHE_JITTER_PERCENT", "51"),
        ("CACHE_MEMORY_PERCENT", "0"),
        ("CACHE_PLAIN_TTL_SECONDS", "1s"),
        ("CACHE_PLAIN_WEIGHT", "5"),
        ("CACHE_STURDIE_TTL_SECONDS", "5"),
        ("CACHE_BUCKET", "somebody else's"),
        ("METRICS_NAMESPACE", "a*b"),
        ("METRICS_INTERVAL_SECONDS", "1h"),
        ("RATES", "https://user:word@api"),
    ]);
    environment.table_name("TABLE_NAME");
    environment.table_name("OTHER_TABLE");
    let number = environment.value("RETRIES", "a number", |text| text.parse::<u8>().ok());
    assert_eq!(number, None);
    environment.required("RATES", "an address", |_| None::<u8>);
    let error = Caches::new(environment, Source::default()).err().unwrap();
    let error = error.to_string();
    assert_eq!(error.lines().count(), 1);
    let whole = |range| format!("allowed: a whole number from {range}");
    let mut parts: Vec<_> = error.split("; ").collect();
    let first = parts.remove(0);
    assert_eq!(
        first,
        r#"invalid configuration: TABLE_NAME is "a\nb", allowed: a table name, 3 to 255 of A-Z a-z 0-9 . _ -, or a table's ARN"#
    );
    let expected = [
        "OTHER_TABLE is not set, allowed: a table name, 3 to 255 of A-Z a-z 0-9 . _ -, or a table's ARN".into(),
        "RATES is wrong, and not shown, since it has an @, allowed: an address".into(),
        r#"CACHE_ENABLED is "yes", allowed: true, false"#.into(),
        r#"CACHE_TTL_POLICY is "Fixed", allowed: fixed, per-item, immutable"#.into(),
        format!(r#"CACHE_TTL_SECONDS is "86401", {}"#, whole("0 to 86400")),
        format!(
            r#"CACHE_ABSENT_TTL_SECONDS is "+5", {}"#,
            whole("0 to 3600")
        ),
        format!(
            r#"CACHE_STALE_IF_ERROR_SECONDS is "", {}"#,
            whole("0 to 86400")
        ),
        format!(r#"CACHE_SOFT_TIMEOUT_MS is "-1", {}"#, whole("0 to 60000")),
        format!(
            r#"CACHE_REFRESH_AHEAD_PERCENT is "51", {}"#,
            whole("0 to 50")
        ),
        format!(r#"CACHE_JITTER_PERCENT is "51", {}"#, whole("0 to 50")),
        format!(
            r#"CACHE_REFRESH_LIMIT_MS is "10001", {}"#,
            whole("0 to 10000")
        ),
        format!(r#"CACHE_MEMORY_PERCENT is "0", {}"#, whole("1 to 80")),
        format!(
            r#"CACHE_PLAIN_TTL_SECONDS is "1s", {}"#,
            whole("0 to 86400")
        ),
        "CACHE_PLAIN_WEIGHT is no variable of a kind, allowed: CACHE_PLAIN_ and one of \
         ABSENT_TTL_SECONDS, REFRESH_AHEAD_PERCENT, SOFT_TIMEOUT_MS, STALE_IF_ERROR_SECONDS, TTL_POLICY, \
         TTL_SECONDS"
            .into(),
        "CACHE_STURDIE_TTL_SECONDS names no kind, did you mean CACHE_STURDY_TTL_SECONDS? \
         The kinds are plain, short, ends, kept, sturdy, zero"
            .into(),
        r#"METRICS_NAMESPACE is "a*b", allowed: 1 to 255 of A-Z a-z 0-9 . - _ / # : and spaces"#
            .into(),
        format!(
            r#"METRICS_INTERVAL_SECONDS is "1h", {}"#,
            whole("0 to 3600")
        ),
    ];
    assert_eq!(parts, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_ahead_and_for_how_long_it_is_waited_for_is_a_kinds_own() {
    caches! {
        struct Ahead(source: Source) {
            hot: Numbers = Kind::of(source.numbers()).ttl(10).refresh_ahead();
            plain: Numbers = Kind::of(source.numbers()).ttl(10);
        }
    }
    // The second from which on somebody asked, and what was asked for then is new.
    async fn refreshed(variables: &[(&str, &str)]) -> [u32; 2] {
        let clock = Arc::new(ManualClock::default());
        let exactly = [("CACHE_JITTER_PERCENT", "0")].into_iter();
        let variables = exactly.chain(variables.iter().copied());
        let environment = Environment::of(variables).with_clock(clock.clone());
        let caches = Ahead::new(environment, Source::default()).unwrap();
        let mut seconds = [0; 2];
        for (cache, second) in [&caches.hot, &caches.plain].into_iter().zip(&mut seconds) {
            loop {
                cache.get("a", &Deadline::none()).await.unwrap();
                caches.refresh(0).await;
                if cache.stats().loads > 1 {
                    break;
                }
                clock.advance(SECOND);
                *second += 1;
            }
        }
        seconds
    }
    assert_eq!(refreshed(&[]).await, [8, 10]);
    let all = ("CACHE_REFRESH_AHEAD_PERCENT", "50");
    assert_eq!(refreshed(&[all]).await, [8, 5]);
    let hot = ("CACHE_HOT_REFRESH_AHEAD_PERCENT", "0");
    assert_eq!(refreshed(&[all, hot]).await, [10, 5]);
    let never = ("CACHE_REFRESH_LIMIT_MS", "0");
    assert_eq!(refreshed(&[all, never]).await, [10, 10]);
    let off = ("CACHE_ENABLED", "false");
    assert_eq!(refreshed(&[all, off]).await, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_waited_for_as_long_as_the_kind_says_and_behind_the_response_to_its_limit() {
    /// Answers each key once, and then no more.
    #[derive(Clone, Default)]
    struct Stalling(Source);
    caches! {
        struct Caches(source: Stalling) {
            slow: Numbers = Kind::of(source.numbers()).ttl(10).stale_if_error(60).soft_timeout(30);
        }
    }
    impl Stalling {
        fn numbers(&self) -> FromFn<String, u32, &'static str> {
            let source = self.clone();
            from_fn(move |_: String, _| {
                let load = source.0.0.0.fetch_add(1, Relaxed) + 1;
                async move {
                    if load > 1 {
                        std::future::pending::<()>().await;
                    }
                    Ok(Some(load))
                }
            })
        }
    }
    for (variables, invocation_ms, soft, behind) in [
        (&[][..], 60_000, 30, 500),
        (&[("CACHE_SOFT_TIMEOUT_MS", "50")], 60_000, 30, 500),
        (&[("CACHE_SLOW_SOFT_TIMEOUT_MS", "50")], 60_000, 50, 500),
        (&[("CACHE_REFRESH_LIMIT_MS", "70")], 60_000, 30, 70),
        // It ends before the invocation does.
        (&[], 500, 30, 300),
        // Where nothing is done behind a response, the caller waits.
        (&[("CACHE_REFRESH_LIMIT_MS", "0")], 500, 300, 0),
    ] {
        let clock = Arc::new(ManualClock::default());
        let environment = Environment::of(variables.iter().copied()).with_clock(clock.clone());
        let caches = Caches::new(environment, Stalling::default()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let deadline = now.as_millis() as u64 + invocation_ms;
        let invocation = caches.invocation(deadline);
        caches.refresh(deadline).await;
        caches.slow.get("a", invocation.deadline()).await.unwrap();
        clock.advance(11 * SECOND);
        let start = tokio::time::Instant::now();
        let stale = caches.slow.get("a", invocation.deadline()).await;
        assert_eq!(stale.unwrap(), Some(1));
        // The invocation's end is by the wall clock, which goes on meanwhile.
        let is_about = |time: u128, expected: u128| time <= expected && time >= expected * 3 / 4;
        assert!(is_about(start.elapsed().as_millis(), soft), "{variables:?}");
        let start = tokio::time::Instant::now();
        caches.refresh(deadline).await;
        let waited = start.elapsed().as_millis();
        assert!(is_about(waited, behind), "{variables:?}: {waited}");
    }
}

#[test]
fn a_weight_of_zero_and_too_little_memory_are_told_with_the_kind() {
    caches! {
        struct Weightless(source: Source) {
            some: Numbers = Kind::of(source.numbers());
            none: Numbers = Kind::of(source.numbers()).weight(0);
        }
    }
    let nothing = Environment::of([("", ""); 0]);
    let error = Weightless::new(nothing, Source::default()).err().unwrap();
    let expected = "invalid configuration: the kind none has the weight 0, allowed: from 1 on";
    assert_eq!(error.to_string(), expected);
    assert_eq!(format!("{error:?}"), expected, "as `main` prints it");
    // A percent of 80 MB is enough for three kinds, and these are six.
    let error = refused(&[("CACHE_MEMORY_PERCENT", "1")]);
    assert_eq!(
        error,
        "invalid configuration: CACHE_MEMORY_PERCENT leaves 838860 bytes, and 6 kinds need \
         1671168: raise it, or the function's memory"
    );
}

#[test]
fn the_time_to_read_is_the_invocations_less_200_ms_if_that_makes_sense() {
    let now = Duration::from_millis(1_000_000);
    let time = |deadline_ms| cache_core::invocation::time_to_read(deadline_ms, now).as_millis();
    assert_eq!(time(1_003_000), 2800);
    assert_eq!(time(1_000_100), 0);
    assert_eq!(time(1_900_000), 899_800);
    for senseless in [0, 999_999, 1_000_000, 1_900_001, u64::MAX] {
        assert_eq!(time(senseless), 2000, "{senseless}");
    }
    let setup = setup(&[]);
    let invocation = setup.caches.invocation(0);
    let left = invocation.deadline().remaining().unwrap();
    assert!(left <= 2 * SECOND, "{left:?}");
}
