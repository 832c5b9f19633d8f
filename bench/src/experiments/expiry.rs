//! What callers feel of expiries and of a slow source, and what it costs to spare them that: a simulation on a timer
//! that jumps, with the real cache.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cache_core::clock::{Clock, ManualClock, Reading};
use cache_core::{Cache, Deadline, Loaded, Loader, TtlPolicy};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::popularity::Zipf;
use crate::network::latency;
use crate::report::{Section, Table};
use crate::samples::Samples;
use crate::setting::{Outcome, Setting};

pub const NAME: &str = "expiry";

const SOFT: Duration = Duration::from_millis(10);
const AHEAD_PERCENT: u8 = 20;
const STALE: Duration = Duration::from_secs(300);
/// Of a refresh, as a function has it.
const LIMIT: Duration = Duration::from_millis(500);

/// Name, soft time-out, refresh ahead.
const WAYS: [(&str, bool, bool); 4] = [
    ("plain", false, false),
    ("soft time-out", true, false),
    ("refresh ahead", false, true),
    ("both", true, true),
];

#[derive(Clone, Copy, PartialEq)]
enum Network {
    Normal,
    Tail,
    Stalled,
}

const NETWORKS: [(Network, &str); 3] = [
    (Network::Normal, "DynamoDB as in the other experiments"),
    (Network::Tail, "five reads of a thousand take 9 to 19 ms"),
    (Network::Stalled, "no answer for one second of each minute"),
];

/// A table that answers a batch at once.
struct Source {
    network: Network,
    random: std::sync::Mutex<fastrand::Rng>,
    start: Instant,
    items_read: Arc<AtomicU64>,
}

impl Loader<usize, ()> for Source {
    type Error = Infallible;

    fn reads_together(&self) -> bool {
        true
    }

    async fn load(
        &self,
        keys: Vec<usize>,
        _: Deadline,
    ) -> Result<Loaded<usize, (), Infallible>, Infallible> {
        self.items_read.fetch_add(keys.len() as u64, Relaxed);
        let time = {
            let mut random = self.random.lock().unwrap_or_else(|lock| lock.into_inner());
            match self.network {
                Network::Tail if random.f64() < 0.005 => {
                    Duration::from_secs_f64(0.009 + random.f64() * 0.010)
                }
                _ => latency(&mut random),
            }
        };
        let second = self.start.elapsed().as_secs_f64() % 60.0;
        if self.network == Network::Stalled && second < 1.0 {
            sleep(Duration::from_secs_f64(1.0 - second)).await;
        }
        // The timer ends in whole milliseconds, upwards.
        sleep(time.saturating_sub(Duration::from_micros(500))).await;
        let found: HashMap<_, _> = keys.into_iter().map(|key| (key, ().into())).collect();
        Ok(Loaded {
            found,
            ..Loaded::default()
        })
    }
}

/// Both clocks follow tokio's timer.
struct Timer(Instant);

impl Clock for Timer {
    fn now(&self) -> Reading {
        let elapsed = self.0.elapsed();
        let day = ManualClock::default().now();
        Reading {
            monotonic: day.monotonic + elapsed,
            wall: day.wall + elapsed,
        }
    }
}

struct Simulated {
    waits: Samples,
    /// Milliseconds beside an invocation's own time, for a thousand.
    billed: f64,
    items_read: f64,
    stale: f64,
    /// That came while it was busy, for a thousand that it served.
    others: f64,
}

/// One environment, which serves one invocation at a time: what comes meanwhile is another's.
async fn simulate(
    invocations: usize,
    (items, rate, ttl): (usize, f64, u64),
    network: Network,
    (_, soft, ahead): (&str, bool, bool),
) -> Outcome<Simulated> {
    let [mut arrivals, mut choices, random] = [1, 2, 3].map(fastrand::Rng::with_seed);
    let (start, items_read) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let source = Source {
        network,
        random: random.into(),
        start,
        items_read: Arc::clone(&items_read),
    };
    let mut builder = Cache::builder(source)
        .clock(Arc::new(Timer(start)))
        .ttl(TtlPolicy::Fixed(Duration::from_secs(ttl)))
        .memory(64 << 20, |_, _| 100);
    if soft {
        builder = builder.stale_if_error(STALE).soft_timeout(SOFT);
    }
    if ahead {
        builder = builder.refresh_ahead(AHEAD_PERCENT);
    }
    let cache = builder.build()?;
    let zipf = Zipf::new(items);
    let (mut waits, mut billed, mut others, mut next) = (Samples::default(), 0.0, 0.0, start);
    while waits.0.len() < invocations {
        next += Duration::from_secs_f64(-(1.0 - arrivals.f64()).ln() / rate);
        if next < Instant::now() {
            others += 1.0;
            continue;
        }
        sleep_until(next).await;
        // The timer ends in whole milliseconds.
        let began = Instant::now();
        let item = zipf.draw(&mut choices);
        cache
            .get(&item, &Deadline::after(Duration::from_secs(10)))
            .await?;
        waits.0.push(began.elapsed().as_secs_f64() * 1e3);
        cache.refresh(&Deadline::after(LIMIT)).await;
        billed += began.elapsed().as_secs_f64() * 1e3;
    }
    let a_thousand = 1000.0 / waits.0.len() as f64;
    Ok(Simulated {
        waits,
        billed: billed * a_thousand,
        items_read: items_read.load(Relaxed) as f64 * a_thousand,
        stale: cache.stats().stale_served as f64 * a_thousand,
        others: others * a_thousand,
    })
}

pub fn run(setting: &Setting) -> Outcome<Section> {
    let invocations = setting.count(50_000, 300);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let (mut tables, mut raw) = (Vec::new(), Vec::new());
    for (done, (network, about)) in NETWORKS.into_iter().enumerate() {
        let mut table = Table::new(&[
            about,
            "p50, ms",
            "p99, ms",
            "p99.9, ms",
            "billed, ms per 1,000",
            "items read per 1,000",
            "stale per 1,000",
            "found it busy per 1,000",
        ]);
        for items in [10, 200] {
            for rate in [1.0, 10.0, 50.0] {
                for ttl in [10, 60] {
                    let found = WAYS.map(|way| {
                        runtime.block_on(simulate(invocations, (items, rate, ttl), network, way))
                    });
                    let found = found.into_iter().collect::<Outcome<Vec<_>>>()?;
                    let cell = |value: &dyn Fn(&Simulated) -> f64| {
                        let values = found.iter().map(|it| format!("{:.0}", value(it)));
                        values.collect::<Vec<_>>().join(" / ")
                    };
                    table.row([
                        format!("{items} items, {rate} a second, TTL {ttl} s"),
                        cell(&|it| it.waits.percentile(50.0)),
                        cell(&|it| it.waits.percentile(99.0)),
                        cell(&|it| it.waits.percentile(99.9)),
                        cell(&|it| it.billed),
                        cell(&|it| it.items_read),
                        cell(&|it| it.stale),
                        cell(&|it| it.others),
                    ]);
                    for ((way, ..), it) in WAYS.iter().zip(&found) {
                        let [p50, p99, p999] =
                            [50.0, 99.0, 99.9].map(|percent| it.waits.percentile(percent));
                        raw.push(json!({
                            "network": about, "items": items, "a_second": rate, "ttl": ttl, "way": way,
                            "p50_ms": p50, "p99_ms": p99, "p999_ms": p999,
                            "billed_ms": it.billed, "items_read": it.items_read, "stale": it.stale,
                            "found_it_busy": it.others,
                        }));
                    }
                }
            }
        }
        tables.push(table);
        crate::progress(NAME, done + 1, NETWORKS.len());
    }
    Ok(Section {
        name: NAME,
        title: "Expiry",
        paragraphs: vec![
            format!(
                "Simulated, to the millisecond: {invocations} invocations of one environment for each figure, which \
                 come at random and ask for one item each, by Zipf's law with exponent 1. The cache is real, on a \
                 timer that jumps; a batch takes the network's time. In each cell: plain / a soft time-out of {} ms \
                 with {} s of stale-if-error / refresh ahead in the last {AHEAD_PERCENT} % of the TTL / both. \
                 Billed is what an invocation takes for reads, those behind its response included; its own time \
                 comes on top. The tail is that of the reads from which the network's time is taken.",
                SOFT.as_millis(),
                STALE.as_secs(),
            ),
            "**Where they pay.** Refresh ahead where each item is asked for many times in a TTL: with 10 items, \
             10 invocations a second and a TTL of 60 s not one caller in a thousand waits any more, for a quarter \
             more reads and billed time for them. A soft time-out where DynamoDB is slow now and then: it costs \
             nothing else, and a stall of a second is 10 ms for callers of what is there."
                .into(),
            "**Where they do not.** Most callers who wait do so for what is not there at all, such as the rare \
             ones of 200 items: refresh ahead spares them nothing, and costs up to a fifth more. Nor where an \
             item is asked for once in a TTL or less. It also keeps the environment busy a little longer, so that \
             a few more invocations find it so. And where a stall meets a refresh, up to 500 ms of it are billed, \
             which no caller waits for."
                .into(),
        ],
        targets: Vec::new(),
        tables,
        charts: Vec::new(),
        raw: raw.into(),
    })
}
