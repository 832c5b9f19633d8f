//! `cargo run --release -p bench`: what the cache is worth, and what it costs, on this machine.
//!
//! Each of the [`experiments`] measures on a [`setting`] of real parts (the handler as it is deployed,
//! a [`lambda`] that invokes it, DynamoDB Local) behind a simulated [`network`], and gives its section
//! of the [`report`].

mod chart;
mod cores;
mod experiments;
mod http;
mod lambda;
mod network;
mod report;
mod samples;
mod setting;
mod tls;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use clap::builder::PossibleValuesParser;

use experiments::{
    cold_start, data_point, environments, expiry, generator, hit_path, memory, popularity,
    stampede, warm_up,
};
use report::{Report, Section};
use setting::{Outcome, PROFILE, Setting};

type Experiment = (&'static str, fn(&Setting) -> Outcome<Section>);

const EXPERIMENTS: [Experiment; 10] = [
    (data_point::NAME, data_point::run),
    (popularity::NAME, popularity::run),
    (environments::NAME, environments::run),
    (expiry::NAME, expiry::run),
    (hit_path::NAME, hit_path::run),
    (stampede::NAME, stampede::run),
    (memory::NAME, memory::run),
    (cold_start::NAME, cold_start::run),
    (warm_up::NAME, warm_up::run),
    (generator::NAME, generator::run),
];

/// Measures the cache and reports to target/bench: report.html, report.json, and a table here.
#[derive(Parser)]
struct Arguments {
    /// The experiments to run; all without one
    #[arg(value_parser = PossibleValuesParser::new(EXPERIMENTS.map(|(name, _)| name)))]
    experiments: Vec<String>,
    /// Few samples, to see that everything runs
    #[arg(long)]
    quick: bool,
    /// Write the report as the evidence of the docs, too
    #[arg(long, conflicts_with_all = ["experiments", "quick"])]
    docs: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let setting = Setting::new(arguments.quick)?;
    let is_chosen = |name: &str| {
        let chosen = &arguments.experiments;
        chosen.is_empty() || chosen.iter().any(|chosen| chosen == name)
    };
    let mut sections = Vec::new();
    for (name, experiment) in EXPERIMENTS.iter().filter(|(name, _)| is_chosen(name)) {
        eprintln!("{name}");
        sections.push(experiment(&setting).map_err(|error| format!("{name}: {error}"))?);
    }
    let report = Report {
        date: said_by("date", &["--utc", "+%Y-%m-%d"])?,
        machine: machine()?,
        commit: said_by("git", &["describe", "--always", "--dirty", "--abbrev=10"])?,
        versions: vec![said_by(env!("CARGO"), &["--version"])?],
        profile: PROFILE,
        quick: arguments.quick,
        setting: vec![
            "**Real:** the handler and cache-core as a rendered workspace has them, in the profile that is \
             deployed; its process, its connections, its metrics; a Lambda Runtime API on a socket; DynamoDB \
             Local. Everything is on one machine and shares its cores."
                .into(),
            format!(
                "**Simulated:** the network. A proxy lets a response of DynamoDB Local go when a time has \
                 passed that is log-normal with a median of {} ms and a 99th percentile of {} ms. {}. What \
                 DynamoDB Local takes is within that time. There is no TLS but where it is said.",
                network::MEDIAN,
                network::P99,
                network::SOURCE
            ),
        ],
        sections,
    };
    let folder = target()?.join("bench");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("report.html"), report.html())?;
    fs::write(folder.join("report.json"), serde_json::to_string(&report)?)?;
    if arguments.docs {
        let (page, charts) = report.markdown();
        let docs = checks::root().join("docs/src");
        fs::create_dir_all(docs.join("evidence"))?;
        fs::write(docs.join("evidence.md"), page)?;
        for (name, chart) in charts {
            fs::write(docs.join("evidence").join(name), chart)?;
        }
    }
    println!(
        "\n{}\n{}",
        report.text(),
        folder.join("report.html").display()
    );
    Ok(())
}

/// Tells how far an experiment is.
fn progress(name: &str, done: usize, all: usize) {
    eprintln!("  {name}: {done} of {all}");
}

/// The folder that cargo builds in.
fn target() -> Outcome<PathBuf> {
    let binary = std::env::current_exe()?;
    let target = binary.ancestors().nth(2).ok_or("no target folder")?;
    Ok(target.to_path_buf())
}

fn machine() -> Outcome<String> {
    let cores = std::thread::available_parallelism()?;
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("a processor", |model| {
        model.trim_start_matches(['\t', ':', ' '])
    });
    Ok(format!(
        "{model}, {cores} cores, {}",
        said_by("uname", &["-sm"])?
    ))
}

fn said_by(program: &str, arguments: &[&str]) -> Outcome<String> {
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .current_dir(checks::root())
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}
