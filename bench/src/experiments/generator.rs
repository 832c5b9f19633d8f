//! The generator against cargo-generate: what ci/timings reports.

use std::process::Command;

use serde_json::json;

use crate::report::{Section, Table};
use crate::setting::{Outcome, Setting};

pub const NAME: &str = "generator";

pub fn run(setting: &Setting) -> Outcome<Section> {
    let runs = setting.count(31, 3);
    let mut timings = Command::new(checks::root().join("ci/timings"));
    let output = timings.arg(runs.to_string()).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ci/timings: {error}").into());
    }
    let lines = String::from_utf8(output.stdout)?;
    let mut table = Table::new(&["`ci/timings`"]);
    for line in lines.lines() {
        table.row([line.split_whitespace().collect::<Vec<_>>().join(" ")]);
    }
    Ok(Section {
        name: NAME,
        title: "The generator",
        paragraphs: vec![
            "One workspace, as a whole process, against cargo-generate on the same template on the disk."
                .into(),
        ],
        targets: Vec::new(),
        tables: vec![table],
        charts: Vec::new(),
        raw: json!(lines),
    })
}
