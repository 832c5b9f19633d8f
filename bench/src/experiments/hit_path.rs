//! What a hit costs, against other stores and against the naive pattern.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cache_core::{Cache, Deadline, FromFn, TtlPolicy, from_fn};
use futures_util::FutureExt;
use serde_json::json;

use crate::chart::Chart;
use crate::report::{Section, Table, Target};
use crate::samples::{Runs, Samples, time, times};
use crate::setting::{Outcome, Setting};

pub const NAME: &str = "hit-path";

/// What was tried in moka's place, on the machine and the day of the first report.
const ANOTHER_STORE: &str = "**Another store:** quick_cache was put in moka's place. The tests of every \
    guarantee passed; a hit took 0.77 of moka and two clocks among 100 entries, 0.62 among 10,000 and 0.77 \
    among 1,000,000, and allocated nothing. Its tables are made for the number of entries that is expected, \
    which nobody knows here: with one guess 11 % more than the bound was allocated. The five lookups of an \
    invocation would save half a microsecond of its 80, so moka was kept: more teams know it.";

const OURS: &str = "cache-core";
const FLOOR: &str = "moka::sync and two clocks";
const AMALGAM: &str = "amalgam-cache, get_or_set";
const MANY: &str = "cache-core, get_many(10), for each key";
const TTL: Duration = Duration::from_secs(3600);

/// What is cached: shared, as the handler does it.
type Value = Arc<[u8; 64]>;

type Ours = Cache<String, Value, FromFn<String, Value, Infallible>>;

/// One lookup of a key that is there.
type Get = Box<dyn Fn(&[String], usize) -> Option<Value> + Send + Sync>;

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|key| format!("PRODUCT#p-{key}")).collect()
}

/// A cache with all of them. Loaded one by one, as they would be.
fn filled(keys: &[String]) -> Outcome<Ours> {
    // Any key has a value.
    let values = from_fn(|_, _| async { Ok(Some(Arc::new([1; 64]))) });
    let cache = Cache::builder(values)
        .ttl(TtlPolicy::Fixed(TTL))
        .memory(4 << 30, |key: &String, _| key.capacity() + 80)
        .build()?;
    for key in keys {
        let loaded = cache.get(key, &Deadline::none()).now_or_never();
        if !matches!(loaded, Some(Ok(Some(_)))) {
            return Err("a load that does not wait has waited".into());
        }
    }
    Ok(cache)
}

/// The contenders, each with all keys in it.
fn contenders(keys: &[String]) -> Outcome<Vec<(&'static str, Get)>> {
    let value = || Arc::new([1_u8; 64]);
    let room = keys.len() as u64 * 2;

    let ours = filled(keys)?;
    let many = ours.clone();
    let moka = moka::sync::Cache::new(room);
    let moka_future = moka::future::Cache::new(room);
    let quick = quick_cache::sync::Cache::new(keys.len() * 2);
    let foyer: foyer_memory::Cache<String, Value> =
        foyer_memory::CacheBuilder::new(keys.len() * 2).build();
    let cached = cached::stores::LruTtlCache::builder()
        .max_size(keys.len() * 2)
        .ttl(TTL)
        .build()?;
    let cached = Mutex::new(cached);
    let amalgam: amalgam::Cache<Value> = amalgam::Cache::builder().try_build()?;
    let naive = Mutex::new(HashMap::new());
    for key in keys {
        moka.insert(key.clone(), value());
        moka_future.insert(key.clone(), value()).now_or_never();
        quick.insert(key.clone(), value());
        foyer.insert(key.clone(), value());
        insert(&cached, key, value());
        let set = get_or_set(&amalgam, key);
        set.ok_or("a value that is there was waited for")?;
        held(&naive).insert(key.clone(), (value(), Instant::now()));
    }
    moka.run_pending_tasks();
    let moka_and_clocks = moka.clone();
    Ok(vec![
        (
            OURS,
            Box::new(move |keys, index| {
                let got = ours.get(&keys[index], &Deadline::none()).now_or_never();
                got?.ok()?
            }),
        ),
        (
            MANY,
            Box::new(move |keys, index| {
                let ten = (0..10).map(|more| keys[(index + more) % keys.len()].clone());
                let mut got = many.get_many(ten, &Deadline::none()).now_or_never()?;
                got.remove(&keys[index])?.ok()?
            }),
        ),
        (
            "moka::sync",
            Box::new(move |keys, index| moka.get(&keys[index])),
        ),
        (
            FLOOR,
            Box::new(move |keys, index| {
                black_box((Instant::now(), SystemTime::now()));
                moka_and_clocks.get(&keys[index])
            }),
        ),
        (
            "moka::future",
            Box::new(move |keys, index| moka_future.get(&keys[index]).now_or_never()?),
        ),
        (
            "quick_cache",
            Box::new(move |keys, index| quick.get(&keys[index])),
        ),
        (
            "foyer, in memory",
            Box::new(move |keys, index| Some(foyer.get(&keys[index])?.value().clone())),
        ),
        (
            AMALGAM,
            Box::new(move |keys, index| get_or_set(&amalgam, &keys[index])),
        ),
        (
            "cached, LRU and TTL in a Mutex",
            Box::new(move |keys, index| look_up(&cached, &keys[index])),
        ),
        (
            "Mutex<HashMap> with Instant",
            Box::new(move |keys, index| {
                let map = held(&naive);
                let (value, stored) = map.get(&keys[index])?;
                (stored.elapsed() < TTL).then(|| value.clone())
            }),
        ),
    ])
}

fn get_or_set(cache: &amalgam::Cache<Value>, key: &str) -> Option<Value> {
    let factory = |_| async { Ok::<_, Infallible>(Arc::new([1; 64])) };
    cache
        .get_or_set(key, factory)
        .into_future()
        .now_or_never()?
        .ok()
}

type Cached = cached::stores::LruTtlCache<String, Value>;

fn insert(cache: &Mutex<Cached>, key: &str, value: Value) {
    cached::Cached::cache_set(&mut *held(cache), key.to_string(), value);
}

fn look_up(cache: &Mutex<Cached>, key: &String) -> Option<Value> {
    cached::Cached::cache_get(&mut *held(cache), key).cloned()
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|held| held.into_inner())
}

/// Nanoseconds of one lookup, in `threads` at once.
fn nanoseconds(get: &Get, keys: &[String], lookups: usize, threads: usize) -> f64 {
    let one = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        // Drawn before, so that it is not measured.
        let indices: Vec<_> = (0..lookups).map(|_| random.usize(..keys.len())).collect();
        let start = Instant::now();
        for index in indices {
            black_box(get(keys, index));
        }
        start.elapsed().as_secs_f64() * 1e9 / lookups as f64
    };
    let times: Vec<f64> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || one(thread as u64)))
            .collect();
        running
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    Samples(times).mean()
}

pub fn run(setting: &Setting) -> Outcome<Section> {
    let (rounds, lookups) = (setting.count(15, 3), setting.count(100_000, 1000));
    let sizes: &[usize] = match setting.quick {
        true => &[100, 1000],
        false => &[100, 10_000, 1_000_000],
    };
    let cores = thread::available_parallelism()?.get();
    // By threads and entries, each contender's runs.
    let mut results: Vec<(usize, usize, Vec<Runs>)> = Vec::new();
    let mut names = Vec::new();
    for &size in sizes {
        let keys = keys(size);
        let contenders = contenders(&keys)?;
        names = contenders.iter().map(|(name, _)| *name).collect();
        for threads in [1, cores] {
            let mut runs = vec![Runs::default(); contenders.len()];
            for _ in 0..rounds {
                for ((name, get), runs) in contenders.iter().zip(&mut runs) {
                    let keys_each = if *name == MANY { 10.0 } else { 1.0 };
                    let lookups = (lookups as f64 / keys_each) as usize;
                    let time = nanoseconds(get, &keys, lookups, threads) / keys_each;
                    runs.0.push(Samples(vec![time / 1000.0]));
                }
            }
            results.push((threads, size, runs));
        }
        crate::progress(NAME, size, sizes[sizes.len() - 1]);
    }
    let of = |threads: usize, size: usize, name: &str| {
        let runs = results
            .iter()
            .find(|found| (found.0, found.1) == (threads, size));
        let index = names.iter().position(|found| *found == name);
        runs.zip(index)
            .map(|((_, _, runs), index)| runs[index].clone())
            .unwrap_or_default()
    };
    let mut tables = Vec::new();
    let mut raw = serde_json::Map::new();
    for threads in [1, cores] {
        let head = match threads {
            1 => "one thread".to_string(),
            _ => format!("{threads} threads"),
        };
        let sizes_in_words: Vec<_> = sizes.iter().map(|size| format!("{size} entries")).collect();
        let mut cells = vec![head.as_str()];
        cells.extend(sizes_in_words.iter().map(String::as_str));
        let mut table = Table::new(&cells);
        for name in &names {
            let figures = sizes
                .iter()
                .map(|size| of(threads, *size, name).percentile(50.0).text(time));
            table.row([name.to_string()].into_iter().chain(figures));
        }
        tables.push(table);
    }
    for (threads, size, runs) in &results {
        let runs: HashMap<_, _> = names.iter().zip(runs).collect();
        raw.insert(format!("{threads} threads, {size} entries"), json!(runs));
    }
    let lines = names.iter().map(|name| {
        let point = |size: &usize| (*size as f64, of(1, *size, name).percentile(50.0).median);
        (name.to_string(), sizes.iter().map(point).collect())
    });
    let against_floor = sizes.iter().map(|size| {
        let ratio = of(1, *size, OURS).ratio(&of(1, *size, FLOOR), 50.0);
        (*size, ratio.median)
    });
    let against_floor: Vec<_> = against_floor.collect();
    let growth = |name| of(1, sizes[sizes.len() - 1], name).ratio(&of(1, sizes[0], name), 50.0);
    let grown = |name| growth(name).median;
    let growth = growth(OURS);
    let (allocations, of_moka) = allocations(setting)?;
    Ok(Section {
        name: NAME,
        title: "The hit path",
        paragraphs: vec![
            format!(
                "A lookup of a key that is there, by random keys, of a shared value: {rounds} rounds of \
                 {lookups} lookups for each, in turns. cache-core reads two clocks on every hit, so the floor \
                 to compare it with is moka and two clocks. The naive pattern has no bound and no eviction."
            ),
            format!(
                "Among many entries what is measured is the memory: nothing of them is in a processor's \
                 cache. From {} to {} entries a hit takes {} as long with cache-core, {} with moka::sync, \
                 {} with quick_cache and {} with a plain map.",
                sizes[0],
                sizes[sizes.len() - 1],
                times(grown(OURS)),
                times(grown("moka::sync")),
                times(grown("quick_cache")),
                times(grown("Mutex<HashMap> with Instant")),
            ),
            ANOTHER_STORE.into(),
        ],
        targets: vec![
            Target {
                what: "a hit against moka::sync and two clock reads".into(),
                asked: "at most 1.30x".into(),
                measured: against_floor
                    .iter()
                    .map(|(size, ratio)| format!("{} of {size}", times(*ratio)))
                    .collect::<Vec<_>>()
                    .join(", "),
                met: against_floor.iter().all(|(_, ratio)| *ratio <= 1.3),
            },
            Target {
                what: format!(
                    "a hit among {} entries against {}",
                    sizes[sizes.len() - 1],
                    sizes[0]
                ),
                asked: "at most 2x".into(),
                measured: growth.text(times),
                met: growth.median <= 2.0,
            },
            Target {
                what: "allocations of a hit beside moka's own".into(),
                asked: "none".into(),
                measured: format!(
                    "{allocations} bytes in 1,000 hits; moka alone {of_moka}, for its log of reads"
                ),
                met: allocations <= of_moka,
            },
        ],
        tables,
        charts: vec![Chart::Lines {
            title: "A hit, one thread (both scales logarithmic)".into(),
            below: "entries".into(),
            lines: lines.collect(),
            show_below: |entries| format!("{entries}"),
            show: time,
            is_logarithmic: true,
        }],
        raw: raw.into(),
    })
}

/// Bytes that a thousand hits allocate, ours and moka's, counted by a process with an allocator that
/// counts.
fn allocations(setting: &Setting) -> Outcome<(u64, u64)> {
    setting.build("bench", &["counted"])?;
    let output = Command::new(setting.binary("counted")?)
        .arg("hits")
        .output()?;
    let counted: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let of = |name: &str| counted[name].as_u64().ok_or("no count");
    Ok((of("ours")?, of("moka")?))
}
