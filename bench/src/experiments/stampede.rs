//! Many callers at once, for what nobody has yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use cache_core::Deadline;
use cache_core::environment::Environment;
use futures_util::future::join_all;
use serde_json::json;

use crate::report::{Section, Table, Target};
use crate::samples::{Figure, time};
use crate::setting::{Outcome, Setting, TABLE, client};

pub const NAME: &str = "stampede";

const CALLERS: usize = 1000;
const KEYS: usize = 100;
const BATCHES: usize = 100;
const BATCH: usize = 20;

#[derive(Default)]
struct Found {
    times: Vec<f64>,
    requests: Vec<f64>,
}

impl Found {
    fn add(&mut self, time: Duration, requests: u64) {
        self.times.push(time.as_secs_f64() * 1e6);
        self.requests.push(requests as f64);
    }

    fn cells(&self) -> [String; 2] {
        let requests = Figure::of(self.requests.iter().copied());
        let times = Figure::of(self.times.iter().copied());
        [
            requests.text(|requests| format!("{requests:.0}")),
            times.text(time),
        ]
    }
}

pub fn run(setting: &Setting) -> Outcome<Section> {
    let network = setting.network()?;
    let client = client(&network.endpoint);
    let product = |key: usize| format!("p-{}", key % KEYS);
    let cache = || {
        let environment = Environment::of([("TABLE_NAME", TABLE)]);
        Outcome::Ok(handler::open(client.clone(), environment)?.products)
    };
    let rounds = setting.count(15, 2);
    // Of a thousand reads at once without optimization some take longer than an attempt may.
    let callers = setting.count(CALLERS, CALLERS / 5);
    let [mut one, mut gets, mut batches, mut naive] = [(); 4].map(|()| Found::default());
    let mut loads = 0;
    for round in 0..rounds {
        // Connections are there, as in an environment that is not new.
        let warm = cache()?;
        setting.runtime.block_on(join_all((0..KEYS).map(|key| {
            let (warm, key) = (warm.clone(), product(key));
            async move { warm.get(&key, &Deadline::none()).await.is_ok() }
        })));
        let measured = |found: &mut Found, run: &mut dyn FnMut() -> Outcome<bool>| {
            let (before, start) = (network.requests(), Instant::now());
            if !run()? {
                return Err("a product could not be read".into());
            }
            found.add(start.elapsed(), network.requests() - before);
            Outcome::Ok(())
        };
        let cold = cache()?;
        measured(&mut one, &mut || {
            let got = setting
                .runtime
                .block_on(cold.get(&product(0), &Deadline::none()));
            Ok(matches!(got, Ok(Some(_))))
        })?;
        let cold = cache()?;
        measured(&mut gets, &mut || {
            let all = setting
                .runtime
                .block_on(join_all((0..callers).map(|caller| {
                    let (cold, key) = (cold.clone(), product(caller));
                    tokio_spawn(setting, async move {
                        matches!(cold.get(&key, &Deadline::none()).await, Ok(Some(_)))
                    })
                })));
            Ok(all.into_iter().all(|found| found))
        })?;
        loads = loads.max(cold.stats().loads);
        let cold = cache()?;
        measured(&mut batches, &mut || {
            let all = setting.runtime.block_on(join_all((0..BATCHES).map(|batch| {
                let cold = cold.clone();
                let keys: Vec<_> = (0..BATCH).map(|key| product(batch + key)).collect();
                tokio_spawn(setting, async move {
                    let got = cold.get_many(keys, &Deadline::none()).await;
                    got.len() == BATCH && got.values().all(|got| matches!(got, Ok(Some(_))))
                })
            })));
            Ok(all.into_iter().all(|found| found))
        })?;
        // The pattern that most begin with: look, read, store.
        let map = moka::future::Cache::new(1000);
        measured(&mut naive, &mut || {
            let all = setting
                .runtime
                .block_on(join_all((0..callers).map(|caller| {
                    let (client, map, key) = (client.clone(), map.clone(), product(caller));
                    tokio_spawn(setting, async move {
                        if map.get(&key).await.is_some() {
                            return true;
                        }
                        let pk = AttributeValue::S(format!("PRODUCT#{key}"));
                        let read = client.get_item().table_name(TABLE).key("pk", pk);
                        let read = read.send().await;
                        let Some(item) = read.ok().and_then(|read| read.item) else {
                            return false;
                        };
                        map.insert(key, Arc::new(item)).await;
                        true
                    })
                })));
            Ok(all.into_iter().all(|found| found))
        })?;
        crate::progress(NAME, round + 1, rounds);
    }
    let mut table = Table::new(&["", "requests to DynamoDB", "until all have an answer"]);
    let gets_name = format!("{callers} gets over {KEYS} keys");
    let naive_name = format!("look, read, store: {callers} over {KEYS} keys");
    for (name, found) in [
        ("one get, for comparison", &one),
        (&gets_name, &gets),
        ("100 overlapping batches of 20 over 100 keys", &batches),
        (&naive_name, &naive),
    ] {
        table.row([name.to_string()].into_iter().chain(found.cells()));
    }
    let [most, batch_requests] = [&gets, &batches].map(|found| {
        let requests = found.requests.iter().copied();
        Figure::of(requests).most
    });
    Ok(Section {
        name: NAME,
        title: "Stampede",
        paragraphs: vec![format!(
            "{callers} tasks ask at once for {KEYS} keys, none of which is cached; then {BATCHES} tasks for \
             {BATCH} neighbours each, so that each key is wanted by {BATCH} of them. Connections are open. \
             {rounds} rounds. Of batches the least number of requests is one, were all keys known at once; \
             a batch loads what no earlier one is loading."
        )],
        targets: vec![
            Target {
                what: "loads of a key under a stampede".into(),
                asked: "one".into(),
                measured: format!("{loads} loads of {KEYS} keys, {most:.0} requests"),
                met: loads == KEYS as u64 && most == KEYS as f64,
            },
            Target {
                what: "requests of 100 overlapping batches".into(),
                asked: "no key twice: at most 100".into(),
                measured: format!("{batch_requests:.0}"),
                met: batch_requests <= KEYS as f64,
            },
        ],
        tables: vec![table],
        charts: Vec::new(),
        raw: json!({
            "one": { "times": one.times, "requests": one.requests },
            "gets": { "times": gets.times, "requests": gets.requests },
            "batches": { "times": batches.times, "requests": batches.requests },
            "naive": { "times": naive.times, "requests": naive.requests },
        }),
    })
}

/// In a task of its own, on any thread. False where that panicked.
async fn tokio_spawn(setting: &Setting, task: impl Future<Output = bool> + Send + 'static) -> bool {
    setting.runtime.spawn(task).await.unwrap_or(false)
}
