//! From the start of the process to its first event, and through that.

use std::fs;

use checks::database::Database;
use serde_json::json;

use crate::lambda::Function;
use crate::report::{Section, Table, Target};
use crate::samples::{Runs, Samples, time, times};
use crate::setting::{Outcome, Setting, TABLE, event};

pub const NAME: &str = "cold-start";

/// What was tried, and what it changed on the machine and the day of the first report.
const STORY: &str = "**What shrank it:** the handler was 10.93 MB. `opt-level = \"s\"` made it 7.19 MB and \
    a warm invocation 6 µs slower, of some 85; a log without the filter by module, whose parser of \
    regular expressions then is not linked, 6.81 MB. `\"z\"` instead of `\"s\"` made it 6.78 MB and 15 µs \
    slower, and was not kept. **What remains** over an echo is mostly TLS and the SDK: with a bundle of one \
    certificate instead of the system's 146 the start took 1.6 ms less, nearly all of it to decode their \
    text. Fewer were not built in: AWS advises against pinning certificates. Decoded on another thread, or when \
    the first connection is made, the start took 1 ms less and the first invocation, which has a share of a \
    processor, as much more or longer. **One thread** instead of one for each core took half a millisecond of the \
    start.";

/// Bytes of the handler, stripped.
const LARGEST: u64 = 7_000_000;

pub fn run(setting: &Setting) -> Outcome<Section> {
    let network = setting.network()?;
    setting.build("handler", &["direct"])?;
    setting.build("bench", &["echo"])?;
    let (rounds, starts) = (setting.count(15, 3), setting.count(5, 2));
    let off: &[_] = &[("CACHE_ENABLED", "false")];
    let series = [
        ("echo", "echo", &[][..]),
        ("cache off", "direct", off),
        ("cache on", "direct", &[]),
    ];
    let mut runs = vec![(Runs::default(), Runs::default()); series.len()];
    for round in 0..rounds {
        for ((_, binary, variables), (start, first)) in series.iter().zip(&mut runs) {
            let database = Database::variables(&network.endpoint);
            let variables = [&database[..], &[("TABLE_NAME", TABLE)], variables].concat();
            let (mut started, mut answered) = (Samples::default(), Samples::default());
            for number in 0..starts {
                let function = Function::start(&setting.binary(binary)?, &variables)?;
                let (time, _) = function.invoke(&event(number))?;
                started.0.push(function.start.as_secs_f64() * 1e6);
                answered.0.push(time.as_secs_f64() * 1e6);
            }
            start.0.push(started);
            first.0.push(answered);
        }
        crate::progress(NAME, round + 1, rounds);
    }
    let mut table = Table::new(&["", "start to first `/next`", "first invocation", "binary"]);
    let mut raw = serde_json::Map::new();
    for ((name, binary, _), (start, first)) in series.iter().zip(&runs) {
        let bytes = fs::metadata(setting.binary(binary)?)?.len();
        table.row([
            name.to_string(),
            start.percentile(50.0).text(time),
            first.percentile(50.0).text(time),
            format!("{:.2} MB", bytes as f64 / 1e6),
        ]);
        raw.insert(
            name.to_string(),
            json!({ "start": start, "first": first, "bytes": bytes }),
        );
    }
    let ratio = runs[2].0.ratio(&runs[0].0, 50.0);
    let bytes = fs::metadata(setting.binary("direct")?)?.len();
    Ok(Section {
        name: NAME,
        title: "Cold start",
        paragraphs: vec![
            format!(
                "What Lambda calls initialisation: from the start of the process until it asks for its first \
             event; and that first invocation, with its three reads and the connections for them, here \
             without TLS, which the next experiment has. {rounds} rounds of {starts} starts. Lambda's own time, to fetch the package and \
             to start an environment, is not in it; it grows with the binary."
            ),
            STORY.into(),
        ],
        targets: vec![
            Target {
                what: "start to first event against an echo".into(),
                asked: "at most 2x".into(),
                measured: ratio.text(times),
                met: ratio.median <= 2.0,
            },
            Target {
                what: "binary, stripped".into(),
                asked: "less than 7 MB".into(),
                measured: format!("{:.2} MB", bytes as f64 / 1e6),
                met: bytes < LARGEST,
            },
        ],
        tables: vec![table],
        charts: Vec::new(),
        raw: raw.into(),
    })
}
