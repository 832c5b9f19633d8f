//! Who asks for what, how often, and how many environments there are: a simulation in which time is
//! moved by hand, with the real cache.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::clock::ManualClock;
use cache_core::{Cache, Deadline, TtlPolicy, from_fn_many};
use futures_util::FutureExt;
use serde_json::json;

use crate::chart::Chart;
use crate::network::latency;
use crate::report::{Section, Table};
use crate::samples::{Samples, time};
use crate::setting::{Outcome, Setting};

pub const NAME: &str = "popularity";

pub const ITEMS: usize = 10_000;
pub const REQUESTS_A_SECOND: f64 = 50.0;
pub const LINES: usize = 3;
/// What an invocation takes where everything is cached, in microseconds.
pub const WARM: f64 = 100.0;

/// Zipf's law with exponent 1: the second is asked for half as often as the first.
pub struct Zipf(Vec<f64>);

impl Zipf {
    pub fn new(items: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=items).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Zipf(sums.collect())
    }

    pub fn draw(&self, random: &mut fastrand::Rng) -> usize {
        let all = self.0.last().copied().unwrap_or_default();
        let at = random.f64() * all;
        self.0.partition_point(|sum| *sum < at)
    }
}

struct Simulated {
    hit_ratio: f64,
    p50: f64,
    p99: f64,
    requests_per_thousand: f64,
}

/// One environment after another gets an invocation, as Lambda spreads them where all are busy.
fn simulate(ttl: Duration, environments: usize, seconds: f64) -> Outcome<Simulated> {
    // One for each purpose: the same invocations come whatever is read.
    let [mut arrivals, mut choices, mut network] = [1, 2, 3].map(fastrand::Rng::with_seed);
    let (customers, products) = (Zipf::new(ITEMS), Zipf::new(ITEMS));
    let clock = Arc::new(ManualClock::default());
    let reads = Arc::new(AtomicU64::new(0));
    let cache = || {
        let reads = Arc::clone(&reads);
        let items = from_fn_many(move |keys: Vec<usize>, _| {
            reads.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(keys.into_iter().map(|key| (key, ())).collect()) }
        });
        Cache::builder(items)
            .clock(clock.clone())
            .ttl(TtlPolicy::Fixed(ttl))
            .memory(64 << 20, |_, _| 100)
            .build()
    };
    let caches = (0..environments).map(|_| Ok((cache()?, cache()?)));
    let caches: Vec<_> = caches.collect::<Outcome<_>>()?;
    let (mut times, mut lookups, mut invocations) = (Samples::default(), 0_u64, 0_u64);
    let mut now = 0.0;
    while now < seconds {
        // Callers know nothing of each other: the time between them is exponential.
        let pause = -(1.0 - arrivals.f64()).ln() / REQUESTS_A_SECOND;
        now += pause;
        clock.advance(Duration::from_secs_f64(pause));
        let (of_customers, of_products) = &caches[arrivals.usize(..environments)];
        let lines = [(); LINES].map(|()| products.draw(&mut choices));
        let before = reads.load(Ordering::Relaxed);
        let customer = customers.draw(&mut choices);
        let patient = Deadline::none();
        of_customers.get(&customer, &patient).now_or_never();
        of_products.get_many(lines, &patient).now_or_never();
        // At the same time: the slowest counts.
        let read = reads.load(Ordering::Relaxed) - before;
        let slowest = (0..read).map(|_| latency(&mut network)).max();
        let slowest = slowest.unwrap_or_default();
        lookups += 1 + LINES as u64;
        invocations += 1;
        times.0.push(WARM + slowest.as_secs_f64() * 1e6);
    }
    let stats = caches
        .iter()
        .flat_map(|(one, other)| [one.stats(), other.stats()]);
    let hits: u64 = stats.map(|stats| stats.hits).sum();
    Ok(Simulated {
        hit_ratio: hits as f64 / lookups as f64,
        p50: times.percentile(50.0),
        p99: times.percentile(99.0),
        requests_per_thousand: reads.load(Ordering::Relaxed) as f64 * 1000.0 / invocations as f64,
    })
}

pub fn run(setting: &Setting) -> Outcome<Section> {
    let seconds = setting.count(3600, 60) as f64;
    let ttls = [1, 10, 60, 300, 3600];
    let mut table = Table::new(&[
        "TTL",
        "environments",
        "hit ratio",
        "p50",
        "p99",
        "requests per 1,000 invocations",
    ]);
    let (mut lines, mut raw) = (Vec::new(), Vec::new());
    for environments in [1, 5, 20] {
        let mut points = Vec::new();
        for ttl in ttls {
            let found = simulate(Duration::from_secs(ttl), environments, seconds)?;
            table.row([
                format!("{ttl} s"),
                environments.to_string(),
                format!("{:.1} %", found.hit_ratio * 100.0),
                time(found.p50),
                time(found.p99),
                format!("{:.0}", found.requests_per_thousand),
            ]);
            points.push((ttl as f64, found.hit_ratio * 100.0));
            raw.push(json!({
                "ttl": ttl, "environments": environments, "hit_ratio": found.hit_ratio,
                "p50": found.p50, "p99": found.p99, "requests_per_thousand": found.requests_per_thousand,
            }));
        }
        let plural = if environments == 1 { "" } else { "s" };
        lines.push((format!("{environments} environment{plural}"), points));
        crate::progress(NAME, environments, 20);
    }
    Ok(Section {
        name: NAME,
        title: "Popularity, time and environments",
        paragraphs: vec![
            format!(
                "Simulated: {REQUESTS_A_SECOND} invocations a second for {seconds:.0} seconds, each for one \
                 of {ITEMS} customers and {LINES} of {ITEMS} products, both by Zipf's law with exponent 1, \
                 spread over the environments at random. The caches are real, with a clock moved by hand; \
                 a read takes the network's time, an invocation without one {}.",
                time(WARM)
            ),
            "**When it does not pay:** with a TTL of a second, or with many environments for few requests, \
             most lookups miss: each environment has to read everything itself. What counts is how often an \
             item is asked for in one environment during one TTL."
                .into(),
        ],
        targets: Vec::new(),
        tables: vec![table],
        charts: vec![Chart::Lines {
            title: "Hit ratio by TTL (logarithmic)".into(),
            below: "TTL in seconds".into(),
            lines,
            show_below: |ttl| format!("{ttl}"),
            show: |ratio| format!("{ratio:.0} %"),
            is_logarithmic: false,
        }],
        raw: raw.into(),
    })
}
