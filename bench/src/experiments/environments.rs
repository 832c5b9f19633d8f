//! Many environments, each with a memory of its own, with and without a second level behind them: a simulation in
//! which time is moved by hand, with the real cache and a real server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::clock::ManualClock;
use cache_core::environment::Environment;
use cache_core::kinds::Kind;
use cache_core::shared::{Shared, Valkey};
use cache_core::{Cache, Deadline, FromFn, Stats, caches, from_fn_many};
use checks::shared_cache::SharedCache;
use serde_json::json;

use crate::experiments::popularity::{ITEMS, LINES, REQUESTS_A_SECOND, WARM, Zipf};
use crate::network;
use crate::report::{Section, Table};
use crate::samples::{Samples, time};
use crate::setting::{Outcome, Setting};

pub const NAME: &str = "environments";

/// Of a request to ElastiCache, in milliseconds, and where that is from.
const MEDIAN: f64 = 0.423;
const P99: f64 = 1.287;
const SOURCE: &str = "`redis-benchmark` against a cache.r7g.xlarge in the same zone, published in March 2026 by a \
    vendor that competes with it (cachee.ai/blog, \"Redis ElastiCache Is Slow\")";

/// USD in us-east-1: a million strong reads of 4 KB from DynamoDB on demand, a GB-hour and a million ECPU of
/// ElastiCache Serverless for Valkey, of which the least that is paid for is a tenth of a GB.
const READS: f64 = 0.125;
const STORED: f64 = 0.084;
const ECPU: f64 = 0.0023;
const HOURS: f64 = 730.0;

const MINUTE: f64 = 60.0;

type Values = Cache<u32, Arc<String>, FromFn<u32, Arc<String>, String>>;

caches! {
    struct Caches(table: &Source, valkey: &Valkey) {
        customers: Shared<Values> = Kind::of(table.loader()).shared(&valkey);
        products: Shared<Values> = Kind::of(table.loader()).shared(&valkey);
    }
}

/// Counts what is read.
#[derive(Default)]
struct Source(Arc<AtomicU64>);

impl Source {
    fn loader(&self) -> FromFn<u32, Arc<String>, String> {
        let reads = Arc::clone(&self.0);
        from_fn_many(move |keys: Vec<u32>, _| {
            reads.fetch_add(keys.len() as u64, Ordering::Relaxed);
            async {
                let value = Arc::new("x".repeat(400));
                Ok(keys
                    .into_iter()
                    .map(|key| (key, Arc::clone(&value)))
                    .collect::<HashMap<_, _>>())
            }
        })
    }
}

#[derive(Default)]
struct Counted {
    times: Samples,
    invocations: u64,
    reads: u64,
    /// Commands to the second level.
    asked: u64,
}

impl Counted {
    fn a_thousand(&self, count: u64) -> f64 {
        count as f64 * 1000.0 / self.invocations as f64
    }
}

fn asked(caches: &Caches) -> u64 {
    let asked = |stats: Stats| stats.shared_hits + stats.shared_misses;
    asked(caches.customers.stats()) + asked(caches.products.stats())
}

/// In a steady state, and in the minute after a deployment, which replaces all environments.
async fn simulate(
    environments: usize,
    ttl: usize,
    endpoint: Option<&str>,
    [warm, steady]: [f64; 2],
) -> Outcome<[Counted; 2]> {
    let [mut arrivals, mut choices, mut network] = [1, 2, 3].map(fastrand::Rng::with_seed);
    let (customers, products) = (Zipf::new(ITEMS), Zipf::new(ITEMS));
    let clock = Arc::new(ManualClock::default());
    let table = Source::default();
    let reads = Arc::clone(&table.0);
    let start = || {
        let variables = [
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024".to_string()),
            ("CACHE_TTL_SECONDS", ttl.to_string()),
            // Each simulation has its own values.
            ("CACHE_SHARED_NAME", format!("bench-{environments}-{ttl}")),
            ("CACHE_SHARED_TIMEOUT_MS", "1000".into()),
            ("CACHE_SHARED_ENABLED", endpoint.is_some().to_string()),
            (
                "CACHE_SHARED_ENDPOINT",
                endpoint.unwrap_or("redis://127.0.0.1").into(),
            ),
        ];
        let mut environment = Environment::of(variables).with_clock(clock.clone());
        let valkey = Valkey::open(&mut environment, &aws_config::SdkConfig::builder().build());
        Ok(Caches::new(environment, &table, &valkey)?)
    };
    let started = || {
        (0..environments)
            .map(|_| start())
            .collect::<Outcome<Vec<_>>>()
    };
    let mut running = started()?;
    let mut counted = <[Counted; 2]>::default();
    let (mut now, deployment) = (0.0, warm + steady);
    while now < deployment + MINUTE {
        let pause = -(1.0 - arrivals.f64()).ln() / REQUESTS_A_SECOND;
        if now < deployment && now + pause >= deployment {
            running = started()?;
        }
        now += pause;
        clock.advance(Duration::from_secs_f64(pause));
        let caches = &running[arrivals.usize(..environments)];
        let lines = [(); LINES].map(|()| products.draw(&mut choices) as u32);
        let customer = customers.draw(&mut choices) as u32;
        let before = (reads.load(Ordering::Relaxed), asked(caches));
        let patient = Deadline::none();
        let (one, many) = tokio::join!(
            caches.customers.get(&customer, &patient),
            caches.products.get_many(lines, &patient)
        );
        one?;
        many.into_values().try_for_each(|answer| answer.map(drop))?;
        if now < warm {
            continue;
        }
        let read = reads.load(Ordering::Relaxed) - before.0;
        let looked_up = asked(caches) - before.1;
        // At the same time: the slowest counts. What was read is stored before it is answered.
        let mut slowest = |count: u64, median, p99| {
            let times = (0..count).map(|_| network::log_normal(&mut network, median, p99));
            times.max().unwrap_or_default()
        };
        let time = slowest(looked_up, MEDIAN, P99)
            + slowest(read, network::MEDIAN, network::P99)
            + slowest(read.min(looked_up), MEDIAN, P99);
        let counted = &mut counted[usize::from(now >= deployment)];
        counted.times.0.push(WARM + time.as_secs_f64() * 1e6);
        counted.invocations += 1;
        counted.reads += read;
        // A fill is two commands.
        counted.asked += looked_up + 2 * read.min(looked_up);
    }
    Ok(counted)
}

pub fn run(setting: &Setting) -> Outcome<Section> {
    let steady = setting.count(300, 20) as f64;
    let ttls: &[usize] = if setting.quick { &[60] } else { &[60, 600] };
    let server = SharedCache::start(&[]);
    let mut table = Table::new(&[
        "environments",
        "TTL",
        "second level",
        "reads per 1,000 invocations",
        "p50",
        "p99",
        "after a deployment",
        "p50",
        "USD a month",
    ]);
    let mut raw = Vec::new();
    let invocations = REQUESTS_A_SECOND * 3600.0 * HOURS;
    for environments in [1, 20, 100] {
        for (ttl, endpoint) in ttls
            .iter()
            .flat_map(|ttl| [(*ttl, None), (*ttl, Some(&server.endpoint))])
        {
            let warm = setting.count(ttl, 20) as f64;
            let endpoint = endpoint.map(String::as_str);
            let simulated = simulate(environments, ttl, endpoint, [warm, steady]);
            let [steady, after] = setting.runtime.block_on(simulated)?;
            let millions = |count| steady.a_thousand(count) / 1000.0 * invocations / 1e6;
            let of_reads = millions(steady.reads) * 0.5 * READS;
            let of_level = match endpoint {
                Some(_) => 0.1 * STORED * HOURS + millions(steady.asked) * ECPU,
                None => 0.0,
            };
            table.row([
                environments.to_string(),
                format!("{ttl} s"),
                if endpoint.is_some() { "yes" } else { "no" }.into(),
                format!("{:.0}", steady.a_thousand(steady.reads)),
                time(steady.times.percentile(50.0)),
                time(steady.times.percentile(99.0)),
                format!("{:.0}", after.a_thousand(after.reads)),
                time(after.times.percentile(50.0)),
                format!("{of_reads:.2} + {of_level:.2}"),
            ]);
            raw.push(json!({
                "environments": environments, "ttl": ttl, "second_level": endpoint.is_some(),
                "reads_per_thousand": steady.a_thousand(steady.reads),
                "p50": steady.times.percentile(50.0), "p99": steady.times.percentile(99.0),
                "reads_per_thousand_after_deployment": after.a_thousand(after.reads),
                "p50_after_deployment": after.times.percentile(50.0),
                "usd_reads": of_reads, "usd_second_level": of_level,
            }));
        }
        crate::progress(NAME, environments, 100);
    }
    Ok(Section {
        name: NAME,
        title: "One environment, all environments",
        paragraphs: vec![
            format!(
                "Simulated as above, spread over 1, 20 and 100 environments, for {steady:.0} s in a steady state. Then a \
                 deployment replaces all of them at once; the minute after it has columns of its own. The second level \
                 is real, a server on this machine, with a near TTL of 10 s; a request to it takes a log-normal time \
                 with a median of {MEDIAN} ms and a 99th percentile of {P99} ms ({SOURCE}), and who reads an item \
                 waits for a second one until it is stored. A read is that of one item, also in a batch.",
            ),
            format!(
                "The last column is what {REQUESTS_A_SECOND} invocations a second cost in a month of {HOURS} hours at \
                 the prices of us-east-1 in 2026: reads from DynamoDB on demand ({READS} USD a million, half of it \
                 for one that is eventually consistent), and ElastiCache Serverless for Valkey ({STORED} USD a \
                 GB-hour, of which 0.1 GB is the least, and {ECPU} USD a million ECPU, one for each command).",
            ),
        ],
        targets: Vec::new(),
        tables: vec![table],
        charts: Vec::new(),
        raw: raw.into(),
    })
}
