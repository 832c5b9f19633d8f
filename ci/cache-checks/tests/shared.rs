//! The second level, with a real server that is paused, stopped, filled up, and full of rubbish.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use cache_core::clock::ManualClock;
use cache_core::environment::Environment;
use cache_core::kinds::Kind;
use cache_core::shared::{Shared, Valkey};
use cache_core::{Cache, Deadline, Found, FromFn, Loaded, Loader, Stats, caches, from_fn_many};
use checks::log::Log;
use checks::shared_cache::SharedCache;
use mem_dbg::MemSize;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default, Deserialize, MemSize, PartialEq, Serialize)]
struct Row {
    text: String,
}

/// The source of truth, and what befalls who reads it.
#[derive(Default)]
struct World {
    rows: Mutex<HashMap<String, String>>,
    reads: AtomicUsize,
    fails: AtomicBool,
    /// Where a read waits when it has its answer.
    hold: Mutex<Option<Arc<Notify>>>,
    held: Notify,
}

impl World {
    fn set(&self, key: &str, text: &str) {
        self.rows.lock().unwrap().insert(key.into(), text.into());
    }

    fn remove(&self, key: &str) {
        self.rows.lock().unwrap().remove(key);
    }

    /// How many keys were read since the last call.
    fn reads(&self) -> usize {
        self.reads.swap(0, SeqCst)
    }

    fn loader(self: &Arc<Self>) -> FromFn<String, Row, String> {
        let world = Arc::clone(self);
        from_fn_many(move |keys: Vec<String>, _| {
            let world = Arc::clone(&world);
            async move {
                world.reads.fetch_add(keys.len(), SeqCst);
                let rows = world.rows.lock().unwrap().clone();
                let hold = world.hold.lock().unwrap().clone();
                if let Some(hold) = hold {
                    world.held.notify_one();
                    hold.notified().await;
                }
                if world.fails.load(SeqCst) {
                    return Err("the source is away".to_string());
                }
                let found = keys.into_iter().filter_map(|key| {
                    let text = rows.get(&key)?.clone();
                    Some((key, Row { text }))
                });
                Ok(found.collect())
            }
        })
    }
}

type Rows = Cache<String, Row, FromFn<String, Row, String>>;

caches! {
    struct Caches(world: &Arc<World>, valkey: &Valkey) {
        rows: Shared<Rows> = Kind::of(world.loader()).shared(&valkey).ttl(60).absent_ttl(30);
        newer: Shared<Rows> = Kind::of(world.loader()).shared(&valkey).schema(2).near_ttl(0);
        forever: Shared<Rows> = Kind::of(world.loader()).shared(&valkey).immutable();
        aged: Shared<Cache<String, Row, Aged>> = Kind::of(Aged).shared(&valkey).ttl(60);
        ending: Shared<Cache<String, Row, Ending>> = Kind::of(Ending).shared(&valkey).per_item();
    }
}

/// Values with an end of their own, and with what the source says of their time.
struct Ending;

impl Loader<String, Row> for Ending {
    type Error = String;

    async fn load(
        &self,
        keys: Vec<String>,
        _until: Deadline,
    ) -> Result<Loaded<String, Row, String>, String> {
        let mut loaded = Loaded::default();
        for key in keys {
            let found = Found {
                value: Row { text: key.clone() },
                expires_at: (key == "ends").then_some(1_750_000_002),
            };
            if key != "ends" {
                loaded.fresh_for.insert(key.clone(), 5 * SECOND);
            }
            loaded.found.insert(key, found);
        }
        Ok(loaded)
    }
}

/// Values that somebody else read 50 seconds ago.
struct Aged;

impl Loader<String, Row> for Aged {
    type Error = String;

    async fn load(
        &self,
        keys: Vec<String>,
        _until: Deadline,
    ) -> Result<Loaded<String, Row, String>, String> {
        let mut loaded = Loaded::default();
        for key in keys {
            loaded.age.insert(key.clone(), 50 * SECOND);
            loaded.found.insert(key, Row::default().into());
        }
        Ok(loaded)
    }
}

/// An execution environment: its memory and its clock.
struct Lambda {
    caches: Caches,
    clock: Arc<ManualClock>,
}

impl Lambda {
    /// Whose clock stands where all others' do at the start.
    fn new(world: &Arc<World>, endpoint: &str) -> Self {
        Self::with(world, endpoint, &[], |valkey| valkey)
    }

    fn with(
        world: &Arc<World>,
        endpoint: &str,
        variables: &[(&str, &str)],
        change: impl FnOnce(Valkey) -> Valkey,
    ) -> Self {
        let clock = Arc::new(ManualClock::default());
        let always = [
            ("AWS_LAMBDA_FUNCTION_NAME", "quotes"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
            ("CACHE_JITTER_PERCENT", "0"),
            ("CACHE_SHARED_ENDPOINT", endpoint),
            // The machine of the test may be slow.
            ("CACHE_SHARED_TIMEOUT_MS", "1000"),
        ];
        let variables = always.iter().chain(variables).copied();
        let mut environment = Environment::of(variables).with_clock(Arc::clone(&clock) as _);
        let valkey = change(Valkey::open(
            &mut environment,
            &SdkConfig::builder().build(),
        ));
        let caches = Caches::new(environment, world, &valkey).unwrap();
        Lambda { caches, clock }
    }

    async fn get(&self, key: &str) -> Option<String> {
        let row = self.caches.rows.get(key, &soon()).await.unwrap();
        row.map(|row| row.text)
    }

    /// In both levels.
    async fn invalidate(&self, key: &str) {
        self.caches.rows.invalidate(key, &soon()).await.unwrap();
    }

    fn stats(&self) -> Stats {
        self.caches.rows.stats()
    }
}

fn soon() -> Deadline {
    Deadline::after(20 * SECOND)
}

/// Asks the server behind the cache's back.
async fn ask<T: redis::FromRedisValue>(server: &SharedCache, command: &str) -> T {
    let client = redis::Client::open(server.endpoint.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut words = command.split_whitespace();
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await.unwrap()
}

fn world() -> Arc<World> {
    let world = Arc::new(World::default());
    world.set("a", "first");
    world
}

#[tokio::test]
async fn what_one_environment_read_the_others_have() {
    let server = SharedCache::start(&[]);
    let world = world();
    let one = Lambda::new(&world, &server.endpoint);
    let other = Lambda::new(&world, &server.endpoint);
    for environment in [&one, &other] {
        assert_eq!(environment.get("a").await.as_deref(), Some("first"));
        assert_eq!(environment.get("nothing").await, None);
    }
    assert_eq!(world.reads(), 2);
    let stats = [&one, &other].map(Lambda::stats);
    assert_eq!((stats[0].shared_hits, stats[0].shared_misses), (0, 2));
    assert_eq!((stats[1].shared_hits, stats[1].shared_misses), (2, 0));
    assert_eq!(stats[0].shared_errors + stats[1].shared_errors, 0);
    // And many at once, of which it has some.
    world.set("b", "second");
    let third = Lambda::new(&world, &server.endpoint);
    let keys = ["a", "b", "nothing"].map(String::from);
    let answers = third.caches.rows.get_many(keys, &soon()).await;
    let text = |key: &str| {
        answers[key]
            .as_ref()
            .unwrap()
            .as_ref()
            .map(|row| row.text.as_str())
    };
    assert_eq!((text("b"), text("nothing")), (Some("second"), None));
    assert_eq!((answers.len(), world.reads()), (3, 1));
}

#[tokio::test]
async fn a_value_is_as_old_as_its_read_in_every_environment() {
    let server = SharedCache::start(&[]);
    let world = world();
    let one = Lambda::new(&world, &server.endpoint);
    one.get("a").await;
    one.get("nothing").await;
    world.set("a", "second");
    world.set("nothing", "something");
    // Absences for 30 seconds, values for 60.
    for (after, a, nothing) in [
        (29, "first", None),
        (30, "first", Some("something")),
        (59, "first", Some("something")),
        (60, "second", Some("something")),
    ] {
        let other = Lambda::new(&world, &server.endpoint);
        other.clock.advance(after * SECOND);
        assert_eq!(other.get("a").await.as_deref(), Some(a), "after {after} s");
        assert_eq!(
            other.get("nothing").await.as_deref(),
            nothing,
            "after {after} s"
        );
    }
}

#[tokio::test]
async fn its_age_counts_on_in_memory_behind_the_near_ttl_too() {
    let server = SharedCache::start(&[]);
    let world = world();
    Lambda::new(&world, &server.endpoint).get("a").await;
    let other = Lambda::new(&world, &server.endpoint);
    other.clock.advance(55 * SECOND);
    assert_eq!(other.get("a").await.as_deref(), Some("first"));
    world.set("a", "second");
    other.clock.advance(4 * SECOND);
    assert_eq!(other.get("a").await.as_deref(), Some("first"));
    assert_eq!(other.stats().hits, 1);
    other.clock.advance(SECOND);
    assert_eq!(other.get("a").await.as_deref(), Some("second"));
}

#[tokio::test]
async fn memory_asks_the_second_level_again_after_the_near_ttl() {
    let server = SharedCache::start(&[]);
    let world = world();
    let one = Lambda::new(&world, &server.endpoint);
    one.get("a").await;
    one.clock.advance(9 * SECOND);
    one.get("a").await;
    assert_eq!((one.stats().hits, one.stats().shared_hits), (1, 0));
    one.clock.advance(SECOND);
    one.get("a").await;
    assert_eq!((one.stats().hits, one.stats().shared_hits), (1, 1));
    assert_eq!(world.reads(), 1);
    // What never changes is not asked for again.
    one.caches.forever.get("a", &soon()).await.unwrap();
    one.clock.advance(86_400 * SECOND);
    one.caches.forever.get("a", &soon()).await.unwrap();
    assert_eq!(one.caches.forever.stats().hits, 1);
}

#[tokio::test]
async fn values_end_as_they_say_themselves() {
    let server = SharedCache::start(&[]);
    let world = world();
    let fill = Lambda::new(&world, &server.endpoint);
    for key in ["ends", "short"] {
        fill.caches.ending.get(key, &soon()).await.unwrap();
    }
    for (key, lives) in [("ends", 2), ("short", 5)] {
        let other = Lambda::new(&world, &server.endpoint);
        other.clock.advance((lives - 1) * SECOND);
        other.caches.ending.get(key, &soon()).await.unwrap();
        other.clock.advance(SECOND);
        other.caches.ending.get(key, &soon()).await.unwrap();
        let stats = other.caches.ending.stats();
        assert_eq!(
            (stats.shared_hits, stats.shared_misses, stats.hits),
            (1, 1, 0),
            "{key}"
        );
    }
}

#[tokio::test]
async fn the_server_ends_what_it_has_by_its_own_clock() {
    let server = SharedCache::start(&[]);
    let one = Lambda::new(&world(), &server.endpoint);
    one.get("a").await;
    one.get("nothing").await;
    let left: i64 = ask(&server, "PTTL quotes:rows:1:\"a\"").await;
    assert!((50_000..=60_000).contains(&left), "{left}");
    let left: i64 = ask(&server, "PTTL quotes:rows:1:\"nothing\"").await;
    assert!((20_000..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn what_comes_from_the_future_is_a_miss() {
    let server = SharedCache::start(&[]);
    let world = world();
    let ahead = Lambda::new(&world, &server.endpoint);
    ahead.clock.advance(2 * MS);
    ahead.get("a").await;
    let one = Lambda::new(&world, &server.endpoint);
    one.clock.advance(MS);
    one.get("a").await;
    assert_eq!((one.stats().shared_hits, world.reads()), (0, 2));
    // It has put its own there.
    let other = Lambda::new(&world, &server.endpoint);
    other.clock.advance(MS);
    other.get("a").await;
    assert_eq!((other.stats().shared_hits, world.reads()), (1, 0));
}

#[tokio::test]
async fn a_write_wins_over_loads_in_flight_elsewhere() {
    let server = SharedCache::start(&[]);
    for puts in [false, true] {
        for somebody_filled_it in [false, true] {
            let world = world();
            ask::<()>(&server, "FLUSHALL").await;
            let writer = Lambda::new(&world, &server.endpoint);
            let reader = Lambda::new(&world, &server.endpoint);
            if somebody_filled_it {
                // Of a kind of data whose TTL is over for the reader, but is there.
                let early = Lambda::new(&world, &server.endpoint);
                early.get("a").await;
                reader.clock.advance(60 * SECOND);
            }
            let release = Arc::new(Notify::new());
            *world.hold.lock().unwrap() = Some(Arc::clone(&release));
            let read = reader.get("a");
            let write = async {
                world.held.notified().await;
                *world.hold.lock().unwrap() = None;
                world.set("a", "second");
                if puts {
                    let row = Row {
                        text: "second".into(),
                    };
                    writer
                        .caches
                        .rows
                        .put("a".into(), row, &soon())
                        .await
                        .unwrap();
                } else {
                    writer.invalidate("a").await;
                }
                release.notify_one();
            };
            // It began before the write, so it may have the old value. It must not keep it.
            let both = async { tokio::join!(read, write) };
            tokio::time::timeout(20 * SECOND, both).await.unwrap();
            world.reads();
            for environment in [&writer, &Lambda::new(&world, &server.endpoint)] {
                assert_eq!(environment.get("a").await.as_deref(), Some("second"));
            }
            assert_eq!(world.reads(), usize::from(!puts));
            reader.clock.advance(10 * SECOND);
            assert_eq!(reader.get("a").await.as_deref(), Some("second"));
        }
    }
}

/// Its read of the second level comes between the invalidation of the memory and that of the second level.
#[tokio::test]
async fn what_is_read_while_an_invalidation_is_on_its_way_is_not_kept() {
    let server = SharedCache::start(&[]);
    let world = world();
    let (gate, logins) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let environment = {
        let (gate, logins) = (Arc::clone(&gate), Arc::clone(&logins));
        Lambda::with(&world, &server.endpoint, &[], |valkey| {
            valkey.login(move || {
                let (is_first, gate) = (logins.fetch_add(1, SeqCst) == 0, Arc::clone(&gate));
                async move {
                    if !is_first {
                        gate.notified().await;
                    }
                    Ok(("default".into(), "any".into()))
                }
            })
        })
    };
    environment.get("a").await;
    ask::<()>(&server, "CLIENT KILL TYPE normal").await;
    world.set("a", "second");
    let deadline = soon();
    let mut invalidation = std::pin::pin!(environment.caches.rows.invalidate("a", &deadline));
    while logins.load(SeqCst) < 2 {
        let step = tokio::time::timeout(MS, invalidation.as_mut()).await;
        assert!(step.is_err(), "it cannot have got there");
    }
    let read = async {
        gate.notify_one();
        environment.get("a").await
    };
    // In this order: what was there before is still there when it is read.
    let (read, invalidated) = tokio::join!(biased; read, invalidation);
    assert_eq!(read.as_deref(), Some("first"));
    invalidated.unwrap();
    assert_eq!(environment.get("a").await.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_removal_reaches_the_other_environments_within_the_near_ttl() {
    let server = SharedCache::start(&[]);
    let world = world();
    let [writer, reader] = [(); 2].map(|()| Lambda::new(&world, &server.endpoint));
    reader.get("a").await;
    world.remove("a");
    writer.invalidate("a").await;
    reader.clock.advance(9 * SECOND);
    assert_eq!(reader.get("a").await.as_deref(), Some("first"));
    reader.clock.advance(SECOND);
    assert_eq!(reader.get("a").await, None);
}

/// Many environments read and write at once. Whoever comes after a write has at least what it wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_comes_after_a_write_reads_what_was_before() {
    let server = SharedCache::start(&[]);
    let world = Arc::new(World::default());
    let environments: Vec<_> = (0..4)
        .map(|_| Lambda::new(&world, &server.endpoint))
        .collect();
    let environments = Arc::new(environments);
    let written = Arc::new(Mutex::new([0_usize; 3]));
    let work = (0..4_usize).map(|n| {
        let (environments, world) = (Arc::clone(&environments), Arc::clone(&world));
        let (written, endpoint) = (Arc::clone(&written), server.endpoint.clone());
        tokio::spawn(async move {
            for round in 0..150 {
                let number = fastrand::usize(..3);
                let key = number.to_string();
                let mine = &environments[n];
                match fastrand::u8(..4) {
                    // One writer of each key.
                    0 if number == n => {
                        let version = round + 1;
                        world.set(&key, &version.to_string());
                        if fastrand::bool() {
                            let row = Row {
                                text: version.to_string(),
                            };
                            mine.caches.rows.put(key, row, &soon()).await.unwrap();
                        } else {
                            mine.caches.rows.invalidate(&key, &soon()).await.unwrap();
                        }
                        written.lock().unwrap()[number] = version;
                    }
                    1 => mine.caches.rows.invalidate_all(),
                    2 => {
                        let least = written.lock().unwrap()[number];
                        let new = Lambda::new(&world, &endpoint);
                        let version = new.get(&key).await;
                        let version = version.map_or(0, |text| text.parse().unwrap());
                        assert!(version >= least, "{version} after {least} was written");
                    }
                    _ => drop(mine.get(&key).await),
                }
            }
        })
    });
    for work in work.collect::<Vec<_>>() {
        work.await.unwrap();
    }
}

/// Whatever the second level does, the source answers, and that costs one error.
async fn is_left_out(environment: &Lambda, world: &World, what: &str) {
    world.reads();
    for key in ["a", "b", "c", "a"] {
        let expected = (key == "a").then_some("first");
        environment.caches.rows.invalidate_all();
        assert_eq!(environment.get(key).await.as_deref(), expected, "{what}");
    }
    assert_eq!(world.reads(), 4, "{what}");
    assert_eq!(environment.stats().shared_errors, 1, "{what}");
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_once_a_pause() {
    let server = SharedCache::start(&[]);
    let world = world();
    let endpoint = server.endpoint.clone();
    server.stop();
    let environment = Lambda::new(&world, &endpoint);
    is_left_out(&environment, &world, "away").await;
    let mut errors = 1;
    for pause in [200, 400, 800, 1600, 2000, 2000] {
        environment.clock.advance((pause - 1) * MS);
        environment.get("more").await;
        environment.caches.rows.invalidate_all();
        assert_eq!(
            environment.stats().shared_errors,
            errors,
            "before {pause} ms"
        );
        environment.clock.advance(MS);
        environment.get("more").await;
        environment.caches.rows.invalidate_all();
        errors += 1;
        assert_eq!(
            environment.stats().shared_errors,
            errors,
            "after {pause} ms"
        );
    }
    // And when it is there again, it is used again.
    server.restart();
    environment.clock.advance(2 * SECOND);
    environment.get("a").await;
    environment.caches.rows.invalidate_all();
    environment.get("a").await;
    assert_eq!(environment.stats().shared_hits, 1);
}

#[tokio::test]
async fn one_that_falls_silent_costs_one_timeout() {
    let server = SharedCache::start(&[]);
    let world = world();
    let patience = [("CACHE_SHARED_TIMEOUT_MS", "20")];
    let environment = Lambda::with(&world, &server.endpoint, &patience, |valkey| valkey);
    server.pause();
    is_left_out(&environment, &world, "never there").await;
    // When the pause is over one finds out, and the others go by.
    environment.clock.advance(2 * SECOND);
    tokio::join!(environment.get("x"), environment.get("y"));
    assert_eq!(environment.stats().shared_errors, 2);
    server.unpause();
    let environment = Lambda::new(&world, &server.endpoint);
    environment.get("a").await;
    server.pause();
    is_left_out(&environment, &world, "silent").await;
    // A write is not left out, and says that it was not reached.
    let written = environment
        .caches
        .rows
        .invalidate("a", &Deadline::after(50 * MS))
        .await;
    let error = written.unwrap_err().to_string();
    assert!(error.contains("did not answer within"), "{error}");
    // One that is dropped on its way has reached the memory.
    assert_eq!(environment.get("a").await.as_deref(), Some("first"));
    world.set("a", "second");
    let deadline = soon();
    let dropped = environment.caches.rows.invalidate("a", &deadline);
    assert!(tokio::time::timeout(10 * MS, dropped).await.is_err());
    assert_eq!(environment.get("a").await.as_deref(), Some("second"));
    server.unpause();
    environment.invalidate("a").await;
}

#[tokio::test]
async fn a_server_that_refuses_is_left_out() {
    let world = world();
    for (arguments, command, what) in [
        (&["--requirepass", "right"][..], "", "a password"),
        (&[], "REPLICAOF 127.0.0.1 1", "read only"),
        (&["--maxmemory", "1"], "", "full"),
        (&[], "ACL SETUSER default -set", "no permission"),
    ] {
        let server = SharedCache::start(arguments);
        if !command.is_empty() {
            ask::<()>(&server, command).await;
        }
        let environment = Lambda::new(&world, &server.endpoint);
        is_left_out(&environment, &world, what).await;
    }
}

#[tokio::test]
async fn a_connection_that_died_meanwhile_is_made_again_at_once() {
    let server = SharedCache::start(&[]);
    let world = world();
    let environment = Lambda::new(&world, &server.endpoint);
    environment.get("a").await;
    for _ in 0..3 {
        ask::<()>(&server, "CLIENT KILL TYPE normal").await;
        environment.caches.rows.invalidate_all();
        environment.get("a").await;
    }
    assert_eq!(
        (
            environment.stats().shared_hits,
            environment.stats().shared_errors
        ),
        (3, 0)
    );
    // A write, too.
    ask::<()>(&server, "CLIENT KILL TYPE normal").await;
    environment.invalidate("a").await;
}

/// Nobody says that it is gone: what is sent on it goes nowhere. New connections work.
#[tokio::test]
async fn a_connection_that_leads_nowhere_any_more_is_given_up() {
    let server = SharedCache::start(&[]);
    let world = world();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("redis://{}", listener.local_addr().unwrap());
    let (cut, port) = (Arc::new(Notify::new()), server.port);
    let relay = Arc::clone(&cut);
    let relays = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let cut = Arc::clone(&relay);
            tokio::spawn(async move {
                let to = ("127.0.0.1", port);
                let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    () = cut.notified() => std::future::pending().await,
                }
            });
        }
    });
    let environment = Lambda::new(&world, &endpoint);
    environment.get("a").await;
    cut.notify_waiters();
    for _ in 0..2 {
        environment.caches.rows.invalidate_all();
        environment.clock.advance(2 * SECOND);
        environment.get("a").await;
    }
    let stats = environment.stats();
    assert_eq!((stats.shared_errors, stats.shared_hits), (1, 1));
    relays.abort();
}

#[tokio::test]
async fn rubbish_is_no_value_and_is_replaced() {
    let server = SharedCache::start(&[]);
    let world = world();
    let name = "quotes:rows:1:\"a\"";
    for (rubbish, is_replaced) in [
        ("SET @ x", true),
        ("SET @ 0123456789abcdef", true),
        ("SET @ 0123456789abcdef{}", true),
        (
            "SET @ 0123456789abcdef{\"sent\":0,\"known\":\"Absent\"}",
            true,
        ),
        (
            "SET @ 0123456789abcdef{\"sent\":1749999999999,\"known\":{\"Value\":{\"text\":7}}}",
            true,
        ),
        (
            "SET @ 0123456789abcdef{\"sent\":18446744073709551615,\"known\":\"Absent\"}",
            true,
        ),
        // More than is ever written: a content that would be good, and blanks.
        (
            "EVAL return(redis.call('SET',KEYS[1],'0123456789abcdef{\"sent\":1749999999999,\"known\":\"Absent\"}'..string.rep('\\32',1048576))) 1 @",
            true,
        ),
        ("EVAL return(redis.call('SET',KEYS[1],'')) 1 @", false),
        ("LPUSH @ x", false),
    ] {
        ask::<()>(&server, "FLUSHALL").await;
        ask::<()>(&server, &rubbish.replace('@', name)).await;
        let one = Lambda::new(&world, &server.endpoint);
        assert_eq!(one.get("a").await.as_deref(), Some("first"), "{rubbish}");
        let other = Lambda::new(&world, &server.endpoint);
        assert_eq!(other.get("a").await.as_deref(), Some("first"), "{rubbish}");
        assert_eq!(world.reads(), if is_replaced { 1 } else { 2 }, "{rubbish}");
        // The others' keys are as good as ever.
        one.get("b").await;
        other.get("b").await;
        assert_eq!(world.reads(), 1, "{rubbish}");
    }
}

#[tokio::test]
async fn each_schema_kind_and_name_has_its_own_values() {
    let server = SharedCache::start(&[]);
    let world = world();
    let one = Lambda::new(&world, &server.endpoint);
    one.get("a").await;
    one.caches.newer.get("a", &soon()).await.unwrap();
    assert_eq!(
        (one.caches.newer.stats().shared_hits, world.reads()),
        (0, 2)
    );
    let elsewhere = [("CACHE_SHARED_NAME", "prices")];
    let other = Lambda::with(&world, &server.endpoint, &elsewhere, |valkey| valkey);
    other.get("a").await;
    assert_eq!((other.stats().shared_hits, world.reads()), (0, 1));
    let mut names: Vec<String> = ask(&server, "KEYS *").await;
    names.sort();
    let expected = [
        "prices:rows:1:\"a\"",
        "quotes:newer:2:\"a\"",
        "quotes:rows:1:\"a\"",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn what_is_too_large_stays_in_memory() {
    let server = SharedCache::start(&[]);
    let world = world();
    // As JSON it is twice as long.
    world.set("a", &"\n".repeat(600_000));
    let one = Lambda::new(&world, &server.endpoint);
    one.get("a").await;
    one.get("a").await;
    assert_eq!((one.stats().hits, one.stats().shared_errors), (1, 1));
    Lambda::new(&world, &server.endpoint).get("a").await;
    assert_eq!(world.reads(), 2);
    // A key of many kilobytes is a key.
    let long = "k".repeat(10_000);
    one.get(&long).await;
    Lambda::new(&world, &server.endpoint).get(&long).await;
    assert_eq!(world.reads(), 1);
}

#[tokio::test]
async fn while_the_source_is_away_the_second_level_answers() {
    let server = SharedCache::start(&[]);
    let world = world();
    world.set("b", "second");
    let one = Lambda::new(&world, &server.endpoint);
    one.get("a").await;
    one.get("b").await;
    world.fails.store(true, SeqCst);
    let other = Lambda::new(&world, &server.endpoint);
    let keys = ["a", "b", "unknown"].map(String::from);
    let answers = other.caches.rows.get_many(keys, &soon()).await;
    assert!(answers["a"].is_ok() && answers["b"].is_ok() && answers["unknown"].is_err());
    // Nor does the back-off of the source hold back what is there without it.
    let other = Lambda::new(&world, &server.endpoint);
    for key in ["unknown", "unknown too"] {
        assert!(other.caches.rows.get(key, &soon()).await.is_err());
    }
    assert_eq!(other.get("a").await.as_deref(), Some("first"));
    assert_eq!(other.get("b").await.as_deref(), Some("second"));
    world.reads();
    assert!(other.caches.rows.get("unknown", &soon()).await.is_err());
    assert_eq!(world.reads(), 0);
}

/// One hit must not hide that the source is away: it is left alone as after any outage.
#[tokio::test]
async fn an_outage_of_the_source_is_one_though_the_second_level_has_a_part() {
    let server = SharedCache::start(&[]);
    let world = world();
    world.set("e", "second");
    let first = Lambda::new(&world, &server.endpoint);
    first.get("a").await;
    first.get("e").await;
    world.fails.store(true, SeqCst);
    let other = Lambda::new(&world, &server.endpoint);
    let keys = ["a", "b", "c"].map(String::from);
    other.caches.rows.get_many(keys, &soon()).await;
    assert_eq!(other.stats().load_errors, 1);
    world.reads();
    for key in ["b", "d"] {
        assert!(other.caches.rows.get(key, &soon()).await.is_err());
    }
    assert_eq!((world.reads(), other.stats().load_errors), (0, 1));
    // A hit is no success of the source: the next failure doubles the pause.
    assert!(other.get("e").await.is_some());
    other.clock.advance(200 * MS);
    for (then, is_asked) in [(0, true), (399, false), (1, true)] {
        other.clock.advance(then * MS);
        let answer = other.caches.rows.get("b", &soon()).await;
        assert!(answer.is_err());
        assert_eq!(world.reads() > 0, is_asked, "{then}");
    }
}

#[tokio::test]
async fn what_is_stale_serves_to_the_same_end_as_without_a_second_level() {
    let server = SharedCache::start(&[]);
    let world = world();
    for (stale_for, serves) in [("60", 120), ("0", 10)] {
        let stale = [("CACHE_STALE_IF_ERROR_SECONDS", stale_for)];
        let environment = Lambda::with(&world, &server.endpoint, &stale, |valkey| valkey);
        environment.invalidate("a").await;
        environment.get("a").await;
        // It has lost what it had.
        ask::<()>(&server, "FLUSHALL").await;
        world.fails.store(true, SeqCst);
        for (after, is_served) in [(serves - 1, true), (1, false)] {
            environment.clock.advance(after * SECOND);
            let answer = environment.caches.rows.get("a", &soon()).await;
            assert_eq!(answer.is_ok(), is_served, "{stale_for} {after}");
        }
        world.fails.store(false, SeqCst);
    }
}

/// Of a loader that knows how old its answers are.
#[tokio::test]
async fn the_age_that_a_source_states_counts_everywhere() {
    let server = SharedCache::start(&[]);
    let world = world();
    for hits in [0, 1] {
        let environment = Lambda::new(&world, &server.endpoint);
        environment.caches.aged.get("a", &soon()).await.unwrap();
        assert_eq!(environment.caches.aged.stats().shared_hits, hits);
        environment.clock.advance(9 * SECOND);
        environment.caches.aged.get("a", &soon()).await.unwrap();
        assert_eq!(environment.caches.aged.stats().hits, 1);
        environment.clock.advance(SECOND);
        environment.caches.aged.get("a", &soon()).await.unwrap();
        assert_eq!(environment.caches.aged.stats().hits, 1);
        ask::<()>(&server, "FLUSHALL").await;
        environment.caches.aged.invalidate_all();
        let first = Lambda::new(&world, &server.endpoint);
        first.caches.aged.get("a", &soon()).await.unwrap();
    }
}

#[tokio::test]
async fn the_source_has_the_rest_of_a_short_deadline() {
    let server = SharedCache::start(&[]);
    let world = world();
    let environment = Lambda::new(&world, &server.endpoint);
    environment.get("a").await;
    server.pause();
    for _ in 0..3 {
        environment.caches.rows.invalidate_all();
        let deadline = Deadline::after(400 * MS);
        assert!(environment.caches.rows.get("a", &deadline).await.is_ok());
    }
    assert_eq!(environment.stats().shared_errors, 1);
    server.unpause();
    // With no time at all it is not asked.
    environment.clock.advance(2 * SECOND);
    environment.caches.rows.invalidate_all();
    let deadline = Deadline::after(2 * MS);
    let _ = environment.caches.rows.get("a", &deadline).await;
    assert_eq!(environment.stats().shared_errors, 1);
}

/// Where it may be read and not be written each load fails in the same way. That is no reason for new connections.
#[tokio::test]
async fn what_may_not_be_stored_backs_off_too() {
    let server = SharedCache::start(&[]);
    let world = world();
    ask::<()>(&server, "ACL SETUSER function on >word ~* +@all -eval").await;
    let environment = Lambda::with(&world, &server.endpoint, &[], |valkey| {
        valkey.login(|| async { Ok(("function".into(), "word".into())) })
    });
    let mut errors = Vec::new();
    for _ in 0..40 {
        environment.get("a").await;
        environment.caches.rows.invalidate_all();
        errors.push(environment.stats().shared_errors);
        environment.clock.advance(200 * MS);
    }
    // After 0, 0.2, 0.6, 1.4, 3, 5 and 7 seconds.
    assert_eq!(errors.last(), Some(&7), "{errors:?}");
    let clients: String = ask(&server, "CLIENT LIST").await;
    assert_eq!(clients.matches("user=function").count(), 1, "{clients}");
    let connections: String = ask(&server, "INFO stats").await;
    assert!(
        connections.contains("total_connections_received:5\r"),
        "{connections}"
    );
}

#[tokio::test]
async fn an_environment_can_connect_while_it_starts() {
    let server = SharedCache::start(&[]);
    for (port, is_there) in [(1, 0), (server.port, 1)] {
        let endpoint = format!("redis://127.0.0.1:{port}");
        let variables = [("CACHE_SHARED_ENDPOINT", endpoint.as_str())];
        let mut environment = Environment::of(variables);
        let valkey = Valkey::open(&mut environment, &SdkConfig::builder().build());
        valkey.connect().await;
        let clients: String = ask(&server, "CLIENT LIST").await;
        // And the one that asks.
        assert_eq!(clients.lines().count(), 1 + is_there);
    }
}

#[tokio::test]
async fn nothing_of_a_content_is_in_the_log() {
    let server = SharedCache::start(&[]);
    let world = world();
    world.set("a", &"private".repeat(200_000));
    let log = Log::default();
    let (written, subscriber) = (log.clone(), tracing_subscriber::fmt());
    let subscriber = subscriber.with_writer(move || written.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let name = "quotes:rows:1:\"a\"";
    let rubbish = "SET @ 0123456789abcdef{\"sent\":0,\"known\":{\"Value\":\"private\"}}";
    ask::<()>(&server, &rubbish.replace('@', name)).await;
    let environment = Lambda::new(&world, &server.endpoint);
    environment.get("a").await;
    server.stop();
    environment.get("b").await;
    drop(guard);
    let log = log.lines().join("\n");
    for line in [
        "cannot be decoded",
        "larger than",
        "the second level failed",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    assert!(!log.contains("private"), "{log}");
}

#[tokio::test]
async fn switched_off_it_is_not_asked() {
    let world = world();
    // Nothing need be there.
    let off = [("CACHE_SHARED_ENABLED", "false")];
    let environment = Lambda::with(&world, "redis://127.0.0.1:1", &off, |valkey| valkey);
    environment.get("a").await;
    environment.invalidate("a").await;
    environment.get("a").await;
    let stats = environment.stats();
    assert_eq!(
        (world.reads(), stats.shared_errors, stats.shared_misses),
        (2, 0, 0)
    );
    // And memory answers as long as without it.
    environment.clock.advance(59 * SECOND);
    environment.get("a").await;
    assert_eq!(world.reads(), 0);
}

#[tokio::test]
async fn users_and_passwords_are_asked_for_with_each_connection() {
    let server = SharedCache::start(&[]);
    // What infra/ lets the function do.
    let allowed = "~quotes:* -@all +ping +asking +cluster|slots +set +getrange +eval +del";
    ask::<()>(&server, &format!("ACL SETUSER function on >old {allowed}")).await;
    let world = world();
    let passwords = Arc::new(Mutex::new(vec!["new", "old"]));
    let asked = Arc::clone(&passwords);
    let environment = Lambda::with(&world, &server.endpoint, &[], |valkey| {
        valkey.login(move || {
            let password = asked.lock().unwrap().pop().unwrap();
            async move { Ok(("function".into(), password.into())) }
        })
    });
    environment.get("a").await;
    assert_eq!(ask::<usize>(&server, "EXISTS quotes:rows:1:\"a\"").await, 1);
    // The password changes, and who has connected with the old one is thrown out.
    ask::<()>(&server, "ACL SETUSER function resetpass >new").await;
    ask::<()>(&server, "CLIENT KILL USER function").await;
    environment.caches.rows.invalidate_all();
    environment.get("a").await;
    assert_eq!(
        (
            environment.stats().shared_hits,
            environment.stats().shared_errors
        ),
        (1, 0)
    );
    assert!(passwords.lock().unwrap().is_empty());
}

/// As a handshake on a small function does.
#[tokio::test]
async fn a_connection_that_takes_longer_than_a_caller_waits_is_gone_on_with() {
    let server = SharedCache::start(&[]);
    let world = world();
    let (ready, logins) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let patience = [("CACHE_SHARED_TIMEOUT_MS", "20")];
    let environment = {
        let (ready, logins) = (Arc::clone(&ready), Arc::clone(&logins));
        Lambda::with(&world, &server.endpoint, &patience, |valkey| {
            valkey.login(move || {
                logins.fetch_add(1, SeqCst);
                let ready = Arc::clone(&ready);
                async move {
                    ready.notified().await;
                    Ok(("default".into(), "any".into()))
                }
            })
        })
    };
    is_left_out(&environment, &world, "still connecting").await;
    ready.notify_one();
    for _ in 0..20 {
        environment.clock.advance(2 * SECOND);
        environment.caches.rows.invalidate_all();
        environment.get("a").await;
    }
    assert_eq!(logins.load(SeqCst), 1);
    assert!(environment.stats().shared_hits > 0);
}

#[tokio::test]
async fn a_connection_that_never_comes_is_tried_anew() {
    let world = world();
    let logins = Arc::new(AtomicUsize::new(0));
    let patience = [("CACHE_SHARED_TIMEOUT_MS", "1")];
    let counted = Arc::clone(&logins);
    let environment = Lambda::with(&world, "redis://127.0.0.1:1", &patience, |valkey| {
        valkey.login(move || {
            counted.fetch_add(1, SeqCst);
            std::future::pending()
        })
    });
    for loads in 1..=26 {
        environment.get("a").await;
        environment.caches.rows.invalidate_all();
        environment.clock.advance(2 * SECOND);
        assert_eq!(logins.load(SeqCst), if loads > 25 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_login_that_panics_fails_nobody() {
    let world = world();
    let environment = Lambda::with(&world, "redis://127.0.0.1:1", &[], |valkey| {
        valkey.login(|| async { panic!("the login") })
    });
    is_left_out(&environment, &world, "panics").await;
}

#[tokio::test]
async fn with_tls_and_a_certificate_that_is_trusted() {
    let folder = std::env::temp_dir().join(format!("shared-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = std::process::Command::new("openssl")
        .current_dir(&folder)
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '),
        )
        .args("-keyout key.pem -out certificate.pem -subj /CN=localhost".split(' '))
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=CA:FALSE",
        ])
        .output();
    assert!(made.unwrap().status.success());
    // The server runs as another user.
    let key = std::fs::read(folder.join("key.pem")).unwrap();
    std::fs::remove_file(folder.join("key.pem")).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
    let server = SharedCache::start_with_tls(folder.to_str().unwrap());
    let pem = std::fs::read(folder.join("certificate.pem")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let world = world();
    // Without a scheme, and with one.
    for endpoint in ["localhost:", "rediss://localhost:"] {
        let endpoint = format!("{endpoint}{}", server.port);
        let [one, other] = [(); 2].map(|()| {
            Lambda::with(&world, &endpoint, &[], |valkey| {
                valkey.root_certificate(pem.clone())
            })
        });
        one.invalidate("a").await;
        world.reads();
        one.get("a").await;
        other.get("a").await;
        assert_eq!(world.reads(), 1);
        is_left_out(&Lambda::new(&world, &endpoint), &world, "not trusted").await;
    }
    let plain = format!("redis://localhost:{}", server.port);
    is_left_out(&Lambda::new(&world, &plain), &world, "asked without TLS").await;
    let server = SharedCache::start(&[]);
    let endpoint = format!("localhost:{}", server.port);
    is_left_out(&Lambda::new(&world, &endpoint), &world, "has no TLS").await;
}

#[tokio::test]
async fn a_cluster_is_noticed_by_its_answers() {
    let nodes = [(); 2].map(|()| SharedCache::start_node());
    ask::<()>(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 8191").await;
    ask::<()>(&nodes[1], "CLUSTER ADDSLOTSRANGE 8192 16383").await;
    let bus: Vec<String> = ask(&nodes[1], "CONFIG GET cluster-port").await;
    let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", nodes[1].port, bus[1]);
    ask::<()>(&nodes[0], &meet).await;
    let is_up = async {
        for node in &nodes {
            while !ask::<String>(node, "CLUSTER INFO")
                .await
                .contains("cluster_state:ok")
            {
                tokio::time::sleep(50 * MS).await;
            }
        }
    };
    tokio::time::timeout(60 * SECOND, is_up).await.unwrap();
    let world = world();
    let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let [one, other] = [(); 2].map(|()| Lambda::new(&world, &nodes[0].endpoint));
    for environment in [&one, &other] {
        let answers = environment
            .caches
            .rows
            .get_many(keys.clone(), &soon())
            .await;
        assert!(answers.values().all(Result::is_ok));
    }
    assert_eq!(world.reads(), 20);
    assert_eq!(
        (other.stats().shared_hits, other.stats().shared_errors),
        (20, 0)
    );
    for key in &keys {
        one.invalidate(key).await;
    }
    let mut left = 0;
    for node in &nodes {
        left += ask::<usize>(node, "DBSIZE").await;
    }
    assert_eq!(left, 0);
}

#[test]
fn what_is_wrong_is_told_with_what_is_allowed() {
    let told = |variables: &[(&str, &str)]| {
        let mut environment = Environment::of(variables.iter().copied());
        let valkey = Valkey::open(&mut environment, &SdkConfig::builder().build());
        let caches = Caches::new(environment, &Arc::default(), &valkey);
        caches.map(drop).map_err(|error| error.to_string())
    };
    assert!(
        told(&[])
            .unwrap_err()
            .contains("CACHE_SHARED_ENDPOINT is not set, allowed: host:port")
    );
    for good in [
        "cache",
        "cache:6380",
        "rediss://cache",
        "redis://10.0.0.1:6379",
        "valkey://[::1]:1",
    ] {
        assert_eq!(told(&[("CACHE_SHARED_ENDPOINT", good)]), Ok(()), "{good}");
    }
    for bad in [
        "",
        "http://cache",
        "redis://",
        "cache:0",
        "cache:99999",
        "user:word@cache",
        "cache/1",
        "cache?x=1",
        "redis+unix:///x",
        "a b",
    ] {
        let error = told(&[("CACHE_SHARED_ENDPOINT", bad)]).unwrap_err();
        assert!(
            error.contains("CACHE_SHARED_ENDPOINT is") && error.contains("allowed: "),
            "{bad}"
        );
    }
    let endpoint = ("CACHE_SHARED_ENDPOINT", "cache");
    for (name, value) in [
        ("CACHE_SHARED_ENABLED", "no"),
        ("CACHE_SHARED_TIMEOUT_MS", "0"),
        ("CACHE_SHARED_TIMEOUT_MS", "1001"),
        ("CACHE_SHARED_NAME", "a:b"),
        ("CACHE_SHARED_IAM_USER", "a b"),
        ("CACHE_SHARED_IAM_SERVERLESS", "1"),
    ] {
        let error = told(&[endpoint, (name, value)]).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    let error = told(&[endpoint, ("CACHE_SHARED_IAM_USER", "function")]).unwrap_err();
    assert!(
        error.contains("CACHE_SHARED_IAM_CACHE is not set"),
        "{error}"
    );
    assert_eq!(told(&[("CACHE_SHARED_ENABLED", "false")]), Ok(()));
}
