//! What an experiment found, and its forms: JSON with the raw figures, one HTML page, Markdown with
//! SVG files for the docs, and a few lines for a terminal.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use crate::chart::Chart;

/// One experiment.
#[derive(Serialize)]
pub struct Section {
    /// As it is chosen on the command line.
    pub name: &'static str,
    pub title: &'static str,
    /// How it was measured, and what it shows.
    pub paragraphs: Vec<String>,
    pub targets: Vec<Target>,
    pub tables: Vec<Table>,
    #[serde(skip)]
    pub charts: Vec<Chart>,
    /// Every sample, in microseconds where nothing else is said.
    pub raw: Value,
}

/// What was asked for, and what came out.
#[derive(Serialize)]
pub struct Target {
    pub what: String,
    pub asked: String,
    pub measured: String,
    pub met: bool,
}

#[derive(Serialize)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Table {
            head: head.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

/// All of a run.
#[derive(Serialize)]
pub struct Report {
    pub date: String,
    pub machine: String,
    pub commit: String,
    pub versions: Vec<String>,
    pub profile: &'static str,
    pub quick: bool,
    /// What is real and what is simulated.
    pub setting: Vec<String>,
    pub sections: Vec<Section>,
}

impl Report {
    fn about(&self) -> Vec<String> {
        let mut about = vec![format!(
            "{}, on {}, commit {}, {}.",
            self.date,
            self.machine,
            self.commit,
            self.versions.join(", ")
        )];
        if self.quick || self.profile != "release" {
            about.push(format!(
                "**This run shows that everything runs, and nothing else:** profile {}, {} samples.",
                self.profile,
                if self.quick { "few" } else { "all" }
            ));
        }
        about.extend(self.setting.clone());
        about
    }

    fn targets(&self) -> Table {
        let mut table = Table::new(&["", "asked", "measured", "met"]);
        for target in self.sections.iter().flat_map(|section| &section.targets) {
            let met = if target.met { "yes" } else { "**no**" };
            table.row([
                target.what.clone(),
                target.asked.clone(),
                target.measured.clone(),
                met.into(),
            ]);
        }
        table
    }

    /// For the docs: the page, and its charts by file name.
    pub fn markdown(&self) -> (String, Vec<(String, String)>) {
        let mut page = String::from(
            "# Evidence\n\nMade by `cargo run --release -p bench -- --docs`; run it on your own machine, \
             and find every sample in `target/bench/report.json`.\n\n",
        );
        let mut files = Vec::new();
        // Writing to a string cannot fail, here and below.
        for paragraph in self.about() {
            let _ = writeln!(page, "{paragraph}\n");
        }
        let _ = writeln!(page, "{}", anchored("targets", &self.targets()));
        for section in &self.sections {
            let _ = writeln!(page, "## {}\n", section.title);
            for paragraph in &section.paragraphs {
                let _ = writeln!(page, "{paragraph}\n");
            }
            for (index, chart) in section.charts.iter().enumerate() {
                let file = format!("{}-{}.svg", section.name, index + 1);
                let _ = writeln!(page, "![{}](evidence/{file})\n", chart.title());
                files.push((file, chart.svg()));
            }
            for (index, table) in section.tables.iter().enumerate() {
                let name = format!("{}-{}", section.name, index + 1);
                let _ = writeln!(page, "{}", anchored(&name, table));
            }
        }
        (page.trim_end().to_string() + "\n", files)
    }

    /// One page that needs nothing else.
    pub fn html(&self) -> String {
        let mut body = String::new();
        for paragraph in self.about() {
            let _ = writeln!(body, "<p>{}</p>", in_html(&paragraph));
        }
        body += &table_in_html(&self.targets());
        for section in &self.sections {
            let _ = writeln!(body, "<h2 id=\"{0}\">{1}</h2>", section.name, section.title);
            for paragraph in &section.paragraphs {
                let _ = writeln!(body, "<p>{}</p>", in_html(paragraph));
            }
            for chart in &section.charts {
                let _ = writeln!(body, "<figure>{}</figure>", chart.svg());
            }
            for table in &section.tables {
                body += &table_in_html(table);
            }
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>cached-lambda: evidence</title>\n<style>{STYLE}</style>\n\
             <h1>cached-lambda: evidence</h1>\n{body}</html>\n"
        )
    }

    /// For a terminal: the targets.
    pub fn text(&self) -> String {
        let mut rows = vec![vec![
            "".into(),
            "asked".into(),
            "measured".into(),
            "met".into(),
        ]];
        rows.extend(self.targets().rows);
        let widths: Vec<_> = (0..4)
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max())
            .collect();
        let mut text = String::new();
        for row in rows {
            let cells = row.iter().zip(&widths);
            let cells = cells.map(|(cell, width)| format!("{cell:<0$}", width.unwrap_or(0)));
            let line = cells.collect::<Vec<_>>().join("  ").replace("**", "");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .75rem .25rem 0; text-align: left; }
figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; }
";

/// A table that other pages of the book can include.
fn anchored(name: &str, table: &Table) -> String {
    let table = table_in_markdown(table);
    format!("<!-- ANCHOR: {name} -->\n\n{table}\n<!-- ANCHOR_END: {name} -->\n")
}

fn table_in_markdown(table: &Table) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<_> = table.head.iter().map(|_| "---".to_string()).collect();
    // A name such as `Mutex<HashMap>` would be taken for a tag.
    let rows = table.rows.iter().map(|row| line(row).replace('<', "\\<"));
    line(&table.head) + &line(&rule) + &rows.collect::<String>()
}

fn table_in_html(table: &Table) -> String {
    let row = |cells: &[String], tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", in_html(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows = table.rows.iter().map(|cells| row(cells, "td"));
    format!(
        "<table>\n{}{}</table>\n",
        row(&table.head, "th"),
        rows.collect::<String>()
    )
}

/// Of Markdown, what the texts here use: code and bold.
fn in_html(text: &str) -> String {
    let mut html = escaped(text);
    for (mark, tag) in [("**", "b"), ("`", "code")] {
        while let Some((before, rest)) = html.split_once(mark) {
            let Some((inside, after)) = rest.split_once(mark) else {
                break;
            };
            html = format!("{before}<{tag}>{inside}</{tag}>{after}");
        }
    }
    html
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_safe_in_html_and_keep_their_marks() {
        assert_eq!(
            in_html("a < b, `c<d>` and **e**"),
            "a &lt; b, <code>c&lt;d&gt;</code> and <b>e</b>"
        );
        assert_eq!(in_html("one ` alone"), "one ` alone");
    }
}
