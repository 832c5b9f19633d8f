//! Random interleavings of everything that callers, the source and the clocks can do, against what
//! must hold in each: nothing stale beyond its bound, one load per key and generation, nothing from
//! before an invalidation, no lost waiter.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use cache_core::clock::{Clock, ManualClock, Reading};
use cache_core::{Cache, Deadline, Error, LEAST_MEMORY, Loaded, Loader, TtlPolicy};
use proptest::prelude::*;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};

const TTL: Duration = Duration::from_secs(10);
const STALE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
enum Step {
    Get(u8),
    GetMany(Vec<u8>),
    /// Of the loads under way, answers one: each key has a value, is absent, or failed.
    Answer(prop::sample::Index, Vec<u8>),
    Fail(prop::sample::Index),
    Panic(prop::sample::Index),
    /// Of the callers that wait, lets one go away.
    Leave(prop::sample::Index),
    /// A caller whose future is polled once and kept, as by a `select!` that took another branch.
    Keep(u8),
    /// Of those that are kept, goes on with one, or drops it.
    Resume(prop::sample::Index),
    Drop(prop::sample::Index),
    Invalidate(u8),
    InvalidateAll,
    Put(u8),
    /// As behind a response.
    Refresh,
    Advance(u64),
    Wall(i64),
    MonotonicStalls(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..4u8;
    prop_oneof![
        6 => key().prop_map(Step::Get),
        4 => prop::collection::vec(key(), 1..6).prop_map(Step::GetMany),
        8 => (any::<prop::sample::Index>(), prop::collection::vec(0..8u8, 4)).prop_map(|(call, fates)| Step::Answer(call, fates)),
        1 => any::<prop::sample::Index>().prop_map(Step::Fail),
        1 => any::<prop::sample::Index>().prop_map(Step::Panic),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        2 => key().prop_map(Step::Keep),
        1 => any::<prop::sample::Index>().prop_map(Step::Resume),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => key().prop_map(Step::Invalidate),
        1 => Just(Step::InvalidateAll),
        3 => (1..8000u64).prop_map(Step::Advance),
        1 => (-3000..20_000i64).prop_map(Step::Wall),
        1 => (1..20_000u64).prop_map(Step::MonotonicStalls),
    ]
}

const DOWN: &str = "down";

/// A value is the number of the load that brought it, or of the write.
type Answer = Result<Option<usize>, Error<&'static str>>;
type Batch = Loaded<u8, usize, &'static str>;

struct Source(mpsc::UnboundedSender<Call>);

struct Call {
    keys: Vec<u8>,
    answer: oneshot::Sender<Result<Batch, &'static str>>,
}

impl Loader<u8, usize> for Source {
    type Error = &'static str;

    fn reads_together(&self) -> bool {
        true
    }

    async fn load(&self, keys: Vec<u8>, _: Deadline) -> Result<Batch, Self::Error> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Call { keys, answer }).unwrap();
        answered.await.expect("the model wants a panic")
    }
}

/// A load as the model knows it. A write of one's own is one that lands at once.
struct Load {
    sent: Reading,
    /// At which step it began and, if it has, landed.
    began: usize,
    landed: Option<usize>,
    call: Option<Call>,
    keys: Vec<u8>,
}

struct Reader {
    began: usize,
    at: Reading,
    task: JoinHandle<Vec<(u8, Answer)>>,
}

type Lookup = Pin<Box<dyn Future<Output = Vec<(u8, Answer)>>>>;

/// A caller that nobody polls.
struct Kept {
    began: usize,
    at: Reading,
    future: Lookup,
}

struct Model {
    cache: Cache<u8, usize, Source>,
    calls: mpsc::UnboundedReceiver<Call>,
    clock: Arc<ManualClock>,
    loads: Vec<Load>,
    readers: Vec<Reader>,
    kept: Vec<Kept>,
    /// The step at which each key was last invalidated.
    invalidated: HashMap<u8, usize>,
    something_failed: bool,
    /// Nobody waits where a stale value may serve.
    is_impatient: bool,
    now: usize,
}

impl Model {
    fn new(is_impatient: bool) -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let clock = Arc::new(ManualClock::default());
        let mut builder = Cache::builder(Source(sender));
        if is_impatient {
            builder = builder.soft_timeout(Duration::ZERO).refresh_ahead(50);
        }
        let cache = builder
            .ttl(TtlPolicy::Fixed(TTL))
            .absent_ttl(TTL)
            .stale_if_error(STALE)
            .clock(clock.clone())
            // From nothing to what is never stored, and with room for a few.
            .memory(LEAST_MEMORY, |key, _| {
                [0, 100, 3000, 1 << 20][*key as usize]
            })
            .build()
            .unwrap();
        Model {
            cache,
            calls,
            clock,
            loads: Vec::new(),
            readers: Vec::new(),
            kept: Vec::new(),
            invalidated: HashMap::new(),
            something_failed: false,
            is_impatient,
            now: 0,
        }
    }

    async fn take(&mut self, step: Step) {
        self.now += 1;
        match step {
            Step::Get(key) => self.read(vec![key], false),
            Step::GetMany(keys) => self.read(keys, true),
            Step::Answer(which, fates) => {
                if let Some((number, call)) = self.under_way(which) {
                    let mut batch = Batch::default();
                    for (key, fate) in call.keys.iter().zip(fates.iter().cycle()) {
                        match fate {
                            0 => drop(batch.failed.insert(*key, DOWN)),
                            1 => {}
                            _ => drop(batch.found.insert(*key, number.into())),
                        }
                    }
                    self.something_failed |= !batch.failed.is_empty();
                    // Nobody waits any more where this fails.
                    let _ = call.answer.send(Ok(batch));
                }
            }
            Step::Fail(which) => {
                if let Some((_, call)) = self.under_way(which) {
                    self.something_failed = true;
                    let _ = call.answer.send(Err(DOWN));
                }
            }
            Step::Panic(which) => {
                self.something_failed |= self.under_way(which).is_some();
            }
            Step::Leave(which) => {
                if !self.readers.is_empty() {
                    let reader = self.readers.swap_remove(which.index(self.readers.len()));
                    reader.task.abort();
                }
            }
            Step::Keep(key) => {
                let mut future = self.lookup(vec![key], false);
                let mut context = Context::from_waker(Waker::noop());
                if future.as_mut().poll(&mut context).is_pending() {
                    let (began, at) = (self.now, self.clock.now());
                    self.kept.push(Kept { began, at, future });
                }
            }
            Step::Resume(which) => {
                if !self.kept.is_empty() {
                    let kept = self.kept.swap_remove(which.index(self.kept.len()));
                    self.resume(kept);
                }
            }
            Step::Drop(which) => {
                if !self.kept.is_empty() {
                    drop(self.kept.swap_remove(which.index(self.kept.len())));
                }
            }
            Step::Invalidate(key) => {
                self.cache.invalidate(&key);
                self.invalidated.insert(key, self.now);
            }
            Step::InvalidateAll => {
                self.cache.invalidate_all();
                self.invalidated.extend((0..4).map(|key| (key, self.now)));
            }
            Step::Put(key) => {
                self.invalidated.insert(key, self.now);
                self.now += 1;
                self.loads.push(Load {
                    sent: self.clock.now(),
                    began: self.now,
                    landed: Some(self.now),
                    call: None,
                    keys: vec![key],
                });
                self.cache.put(key, self.loads.len() - 1);
            }
            Step::Refresh => {
                let cache = self.cache.clone();
                let refresh = async move { cache.refresh(&Deadline::none()).await };
                drop(tokio::task::spawn_local(refresh));
            }
            Step::Advance(ms) => self.clock.advance(Duration::from_millis(ms)),
            Step::Wall(ms) => self.clock.change(|now| {
                let by = Duration::from_millis(ms.unsigned_abs());
                now.wall = if ms < 0 { now.wall - by } else { now.wall + by };
            }),
            Step::MonotonicStalls(ms) => {
                self.clock
                    .change(|now| now.wall += Duration::from_millis(ms));
            }
        }
        self.settle().await;
    }

    fn lookup(&self, keys: Vec<u8>, many: bool) -> Lookup {
        let cache = self.cache.clone();
        Box::pin(async move {
            if many {
                let answers = cache.get_many(keys, &Deadline::none()).await;
                answers.into_iter().collect()
            } else {
                vec![(keys[0], cache.get(&keys[0], &Deadline::none()).await)]
            }
        })
    }

    fn read(&mut self, keys: Vec<u8>, many: bool) {
        let (began, at, future) = (self.now, self.clock.now(), self.lookup(keys, many));
        self.resume(Kept { began, at, future });
    }

    fn resume(&mut self, Kept { began, at, future }: Kept) {
        let task = tokio::task::spawn_local(future);
        self.readers.push(Reader { began, at, task });
    }

    /// One of the loads that wait for their answer, which lands with this step.
    fn under_way(&mut self, which: prop::sample::Index) -> Option<(usize, Call)> {
        let waiting: Vec<usize> = (0..self.loads.len())
            .filter(|number| self.loads[*number].call.is_some())
            .collect();
        if waiting.is_empty() {
            return None;
        }
        let number = waiting[which.index(waiting.len())];
        self.loads[number].landed = Some(self.now);
        Some((number, self.loads[number].call.take()?))
    }

    /// Lets all tasks run until they wait, and checks what they did.
    async fn settle(&mut self) {
        for _ in 0..30 {
            tokio::task::yield_now().await;
        }
        for load in &mut self.loads {
            if load
                .call
                .as_ref()
                .is_some_and(|call| call.answer.is_closed())
            {
                load.call = None;
            }
        }
        while let Ok(call) = self.calls.try_recv() {
            for key in &call.keys {
                let generation = self.invalidated.get(key).copied().unwrap_or(0);
                let last = self.loads.iter().rfind(|load| load.keys.contains(key));
                let is_young = |load: &Load| {
                    // An older one's answer would not be fresh any more.
                    let age = self.clock.now().since(load.sent);
                    age.is_some_and(|age| age < TTL)
                };
                let twice = last.is_some_and(|load| {
                    load.began > generation && load.call.is_some() && is_young(load)
                });
                assert!(!twice, "two loads of {key} at once");
            }
            let load = Load {
                sent: self.clock.now(),
                began: self.now,
                landed: None,
                keys: call.keys.clone(),
                call: Some(call),
            };
            self.loads.push(load);
        }
        for reader in std::mem::take(&mut self.readers) {
            if reader.task.is_finished() {
                for (key, answer) in reader.task.await.unwrap() {
                    self.check(reader.began, reader.at, key, answer);
                }
            } else {
                self.readers.push(reader);
            }
        }
    }

    fn check(&self, began: usize, at: Reading, key: u8, answer: Answer) {
        match answer {
            Err(_) => assert!(self.something_failed, "an error out of nothing"),
            Ok(None) => {}
            Ok(Some(number)) => {
                let load = &self.loads[number];
                let landed = load.landed.unwrap();
                if let Some(invalidated) = self.invalidated.get(&key)
                    && began > *invalidated
                {
                    assert!(
                        load.began > *invalidated,
                        "{key} is from before its invalidation"
                    );
                }
                // Who waited for the load gets what it brought, and joined while that was fresh. Everyone
                // else got what was fresh when it was asked for, or, once a failure was known, what was
                // within the stale bound.
                let within =
                    |now: Reading, bound| now.since(load.sent).is_some_and(|age| age < bound);
                if load.began < began && landed >= began {
                    assert!(within(at, TTL), "{key} was too old to be joined");
                }
                if landed < began {
                    // The failure may have been known when it was asked for: a back-off.
                    let stale = [at, self.clock.now()].map(|now| within(now, TTL + STALE));
                    let may_serve = self.something_failed || self.is_impatient;
                    let stale = may_serve && stale.contains(&true);
                    assert!(within(at, TTL) || stale, "{key} is too old");
                }
            }
        }
    }

    /// Answers everything that is still asked: nobody may be left waiting.
    async fn finish(&mut self) {
        for kept in std::mem::take(&mut self.kept) {
            self.resume(kept);
        }
        for _ in 0..1000 {
            self.now += 1;
            match (0..self.loads.len()).find(|number| self.loads[*number].call.is_some()) {
                Some(number) => {
                    self.loads[number].landed = Some(self.now);
                    if let Some(call) = self.loads[number].call.take() {
                        let found = call.keys.iter().map(|key| (*key, number.into()));
                        let _ = call.answer.send(Ok(Batch {
                            found: found.collect(),
                            ..Batch::default()
                        }));
                    }
                }
                None if self.readers.is_empty() => return,
                None => {}
            }
            self.settle().await;
        }
        panic!("{} callers are left waiting", self.readers.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_whatever_order_the_guarantees_hold(steps in prop::collection::vec(step(), 1..60)) {
        run(steps, false);
    }

    // Apart from the others, whose saved cases are of their steps alone.
    #[test]
    fn they_hold_for_who_stores_own_writes(steps in prop::collection::vec(step_or_put(), 1..60)) {
        run(steps, false);
    }

    #[test]
    fn they_hold_for_who_does_not_wait_and_reads_ahead(steps in prop::collection::vec(step_or_refresh(), 1..60)) {
        run(steps, true);
    }
}

fn step_or_refresh() -> impl Strategy<Value = Step> {
    prop_oneof![8 => step_or_put(), 1 => Just(Step::Refresh)]
}

fn step_or_put() -> impl Strategy<Value = Step> {
    prop_oneof![14 => step(), 1 => (0..4u8).prop_map(Step::Put)]
}

fn run(steps: Vec<Step>, is_impatient: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut model = Model::new(is_impatient);
    LocalSet::new().block_on(&runtime, async move {
        for step in steps {
            model.take(step).await;
        }
        model.finish().await;
    });
}
