//! What a full cache holds, and what it takes.

use std::process::Command;

use serde_json::{Value, json};

use crate::report::{Section, Table, Target};
use crate::setting::{Outcome, Setting};

pub const NAME: &str = "memory";

pub fn run(setting: &Setting) -> Outcome<Section> {
    setting.build("bench", &["counted"])?;
    let counted = setting.binary("counted")?;
    let mut table = Table::new(&[
        "function",
        "item",
        "bound",
        "entries",
        "accounted",
        "allocated",
        "most allocated",
        "process grew by",
    ]);
    let mut raw = Vec::new();
    let mut worst: f64 = 0.0;
    let memories: &[u64] = if setting.quick {
        &[128]
    } else {
        &[128, 256, 512]
    };
    for megabytes in memories {
        for (bytes, item) in [(100, "100 B"), (1000, "1 KB"), (10_000, "10 KB")] {
            let arguments = ["fill".to_string(), megabytes.to_string(), bytes.to_string()];
            let output = Command::new(&counted).args(arguments).output()?;
            let found: Value = serde_json::from_slice(&output.stdout)?;
            let figure = |name: &str| found[name].as_f64().unwrap_or_default();
            let in_megabytes = |name: &str| format!("{:.1} MB", figure(name) / 1e6);
            worst = worst.max(figure("most_allocated") / figure("bound"));
            table.row([
                format!("{megabytes} MB"),
                item.into(),
                in_megabytes("bound"),
                format!("{:.0}", figure("entries")),
                in_megabytes("accounted"),
                in_megabytes("allocated"),
                in_megabytes("most_allocated"),
                in_megabytes("resident"),
            ]);
            raw.push(json!({ "function_mb": megabytes, "item_bytes": bytes, "found": found }));
        }
        crate::progress(NAME, *megabytes as usize, 512);
    }
    Ok(Section {
        name: NAME,
        title: "Memory",
        paragraphs: vec![
            "One cache with all the memory that the handler gives to its caches, a quarter of what the \
             runtime leaves, and ten times as many items as fit, by one thread. Accounted is what the cache \
             says in `CacheBytes`; allocated is what an allocator that counts has seen, at the end and at \
             most; the process also has what the allocator keeps."
                .into(),
        ],
        targets: vec![Target {
            what: "most bytes allocated, of the bound".into(),
            asked: "at most 100 %".into(),
            measured: format!("{:.1} %", worst * 100.0),
            met: worst <= 1.0,
        }],
        tables: vec![table],
        charts: Vec::new(),
        raw: raw.into(),
    })
}
