//! What the cache guarantees, each with a test that fails without it. Time moves by the injected
//! clock, and loads finish when the test says so. tokio's timer, which deadlines use, is paused: it
//! jumps to the next deadline when all tasks wait, so that no test takes time, and none hangs.
#![allow(clippy::unwrap_used)]

mod deadlines;
mod failures;
mod flights;
mod invalidation;
mod max_age;
mod memory;
mod misuse;
mod sources;
mod staleness;
mod support;
mod tail;
mod writes;
