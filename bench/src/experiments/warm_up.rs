//! What it is worth to open a connection before the first event, while Lambda gives whole cores.

use std::path::PathBuf;

use checks::database::Database;
use serde_json::json;

use crate::cores::Share;
use crate::lambda::Function;
use crate::report::{Section, Table};
use crate::samples::{Runs, Samples, time, times};
use crate::setting::{Outcome, Setting, TABLE, event};
use crate::tls;

pub const NAME: &str = "warm-up";

const MEMORY: [u32; 4] = [128, 256, 512, 1769];

struct Series {
    binary: PathBuf,
    start: Runs,
    first: Runs,
}

pub fn run(setting: &Setting) -> Outcome<Section> {
    let mut section = Section {
        name: NAME,
        title: "Before the first event",
        paragraphs: ABOUT.map(String::from).to_vec(),
        targets: Vec::new(),
        tables: Vec::new(),
        charts: Vec::new(),
        raw: json!(null),
    };
    if let Err(why) = Share::of(MEMORY[0]) {
        let skipped =
            format!("**Skipped:** no control group could be made here ({why}); root can.");
        section.paragraphs.push(skipped);
        return Ok(section);
    }
    setting.build("handler", &["direct"])?;
    setting.build("bench", &["prepared"])?;
    let bundle = setting.binary("certificates.pem")?;
    let network = setting.secure_network(tls::server(&bundle)?)?;
    let bundle = bundle.to_string_lossy().into_owned();
    let (rounds, starts) = (setting.count(15, 2), setting.count(5, 1));
    let mut raw = serde_json::Map::new();
    let mut table = Table::new(&[
        "memory",
        "",
        "start to first `/next`",
        "first invocation",
        "both",
        "without against with",
    ]);
    for megabytes in MEMORY {
        let share = Share::of(megabytes)?;
        let memory = megabytes.to_string();
        let mut series = [
            Series::of(setting.binary("direct")?),
            Series::of(setting.binary("prepared")?),
        ];
        for round in 0..rounds {
            for series in &mut series {
                let (mut started, mut answered) = (Samples::default(), Samples::default());
                for number in 0..starts {
                    let database = Database::variables(&network.endpoint);
                    let own = [
                        ("TABLE_NAME", TABLE),
                        ("SSL_CERT_FILE", &bundle),
                        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
                    ];
                    let function =
                        Function::start(&series.binary, &[&database[..], &own].concat())?;
                    share.hold(function.id())?;
                    let (time, _) = function.invoke(&event(round * starts + number))?;
                    started.0.push(function.start.as_secs_f64() * 1e6);
                    answered.0.push(time.as_secs_f64() * 1e6);
                }
                series.start.0.push(started);
                series.first.0.push(answered);
            }
            crate::progress(NAME, round + 1, rounds);
        }
        let [without, with] = &series;
        for (series, name) in [(without, "without"), (with, "with")] {
            let ratio = match name {
                "with" => times(without.both().ratio(&with.both(), 50.0).median),
                _ => String::new(),
            };
            table.row([
                format!("{megabytes} MB"),
                name.into(),
                series.start.percentile(50.0).text(time),
                series.first.percentile(50.0).text(time),
                series.both().percentile(50.0).text(time),
                ratio,
            ]);
            let samples = json!({ "start": series.start, "first": series.first });
            raw.insert(format!("{megabytes} MB, {name}"), samples);
        }
    }
    section.tables.push(table);
    section.raw = raw.into();
    Ok(section)
}

impl Series {
    fn of(binary: PathBuf) -> Self {
        Series {
            binary,
            start: Runs::default(),
            first: Runs::default(),
        }
    }

    /// What a caller of a cold function waits for, of what is the function's.
    fn both(&self) -> Runs {
        let runs = self.start.0.iter().zip(&self.first.0);
        let sum = |(start, first): (&f64, &f64)| start + first;
        let runs =
            runs.map(|(start, first)| Samples(start.0.iter().zip(&first.0).map(sum).collect()));
        Runs(runs.collect())
    }
}

const ABOUT: [&str; 4] = [
    "A new environment's first invocation opens its connections: here over TLS, with a certificate of two \
     steps that is checked against the system's, and no session to resume. A function has whole cores \
     while it starts (\"burst CPU\", AWS Lambda Web Adapter's manual), and from its first event on a share by its memory, a core \
     at 1769 MB (AWS Lambda's manual): here by a control group with a period of 20 ms. The two round trips of each \
     connection's handshake are not simulated.",
    "**What was found:** the SDK's TLS library measured the processor's timing for random numbers, once in \
     each process. The first invocation took 535 ms with 128 MB of memory, 243 ms with 256, 153 ms with 512 and \
     43 ms with 1769, in this experiment on the machine of the first report. Built without that source, as \
     `.cargo/config.toml` of the rendered workspace now says and explains, it takes what the table shows.",
    "**A warm-up before the first event:** \"with\" answers a quote that nobody asked for before it asks for an \
     event, and so opens three connections and reads the pricing while it has whole cores. It makes the \
     first invocation shorter, and the start longer.",
    "**Where it pays:** with the least memory, and where nobody waits for the start, as with provisioned \
     concurrency. With more memory a cold caller waits longer than without, since what ran beside each other runs one \
     after another. The rendered workspace has no warm-up; `bench/src/bin/prepared.rs` shows the few lines.",
];
