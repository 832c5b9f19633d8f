//! Charts as SVG, readable on light and on dark ground.

use std::fmt::Write;

use crate::report::escaped;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const COLOURS: [&str; 9] = [
    "#2f7ed8", "#e08a1e", "#3a9d5d", "#c8475a", "#8a63c9", "#7d7d7d", "#1aa3a3", "#b5651d",
    "#d16ba5",
];
/// Text takes the colour of the page; where an SVG is a file of its own, that of the reader's system.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#222}.t{font-weight:600;font-size:15px}\
    .g{stroke:#8886}@media(prefers-color-scheme:dark){text{fill:#ddd}}";

pub enum Chart {
    /// One bar for each name, on a logarithmic scale: from the median, with its 99th percentile as a
    /// thin line.
    Bars {
        title: String,
        bars: Vec<Bar>,
        show: fn(f64) -> String,
    },
    /// One line for each name, over a logarithmic scale below.
    Lines {
        title: String,
        below: String,
        lines: Vec<(String, Vec<(f64, f64)>)>,
        show_below: fn(f64) -> String,
        show: fn(f64) -> String,
        is_logarithmic: bool,
    },
}

pub struct Bar {
    pub name: String,
    pub value: f64,
    /// The end of the thin line.
    pub tail: f64,
}

impl Chart {
    pub fn title(&self) -> &str {
        match self {
            Chart::Bars { title, .. } | Chart::Lines { title, .. } => title,
        }
    }

    pub fn svg(&self) -> String {
        let (height, drawn) = match self {
            Chart::Bars { bars, show, .. } => bars_in_svg(bars, *show),
            Chart::Lines { .. } => self.lines_in_svg(),
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
             <style>{STYLE}</style><title>{0}</title><text x=\"0\" y=\"16\" class=\"t\">{0}</text>\
             {drawn}</svg>\n",
            escaped(self.title())
        )
    }

    fn lines_in_svg(&self) -> (f64, String) {
        let Chart::Lines {
            below,
            lines,
            show_below,
            show,
            is_logarithmic,
            ..
        } = self
        else {
            return (0.0, String::new());
        };
        let (left, right, top, bottom) = (70.0, 440.0, 34.0, 300.0);
        let points = || lines.iter().flat_map(|(_, points)| points);
        let most = points().map(|point| point.1).fold(f64::MIN, f64::max);
        let least = points().map(|point| point.1).fold(f64::MAX, f64::min);
        let scale = |value: f64| match is_logarithmic {
            true => value.max(1e-9).ln(),
            false => value,
        };
        let (from, to) = match is_logarithmic {
            true => (scale(least), scale(most)),
            false => (0.0, most),
        };
        let span = (to - from).max(1e-9);
        let y = |value: f64| bottom - (scale(value) - from) / span * (bottom - top);
        let mut below_values: Vec<f64> = points().map(|point| point.0).collect();
        below_values.sort_by(f64::total_cmp);
        below_values.dedup();
        let (first, last) = match below_values.as_slice() {
            [first, .., last] => (first.ln(), last.ln()),
            _ => (0.0, 1.0),
        };
        let x = |value: f64| left + (value.ln() - first) / (last - first) * (right - left);
        let mut svg = String::new();
        // Writing to a string cannot fail, here and below.
        for step in 0..5 {
            let at = from + span * f64::from(step) / 4.0;
            let value = if *is_logarithmic { at.exp() } else { at };
            let line = y(value);
            let _ = write!(
                svg,
                "<line class=\"g\" x1=\"{left}\" y1=\"{line:.1}\" x2=\"{right}\" y2=\"{line:.1}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                line + 4.0,
                show(value)
            );
        }
        for value in &below_values {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                x(*value),
                bottom + 20.0,
                show_below(*value)
            );
        }
        let _ = write!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            (left + right) / 2.0,
            bottom + 40.0,
            escaped(below)
        );
        for (index, (name, points)) in lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let path: Vec<_> = points
                .iter()
                .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
                .collect();
            let legend = top + 20.0 * index as f64;
            let _ = write!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\
                 <rect x=\"{:.0}\" y=\"{:.0}\" width=\"12\" height=\"4\" fill=\"{colour}\"/>\
                 <text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                path.join(" "),
                right + 16.0,
                legend - 2.0,
                right + 34.0,
                legend + 4.0,
                escaped(name)
            );
        }
        (bottom + 50.0, svg)
    }
}

fn bars_in_svg(bars: &[Bar], show: fn(f64) -> String) -> (f64, String) {
    let most = bars.iter().map(|bar| bar.tail).fold(f64::MIN, f64::max);
    let least = bars.iter().map(|bar| bar.value).fold(f64::MAX, f64::min);
    // A quarter of the least, so that its bar is seen.
    let from = (least / 4.0).ln();
    let right = WIDTH - 170.0;
    let x = |value: f64| LEFT + (value.ln() - from) / (most.ln() - from) * (right - LEFT);
    let mut svg = String::new();
    for (index, bar) in bars.iter().enumerate() {
        let top = 30.0 + 30.0 * index as f64;
        let (middle, text) = (top + 10.0, top + 15.0);
        let (end, tail, label) = (x(bar.value), x(bar.tail), x(bar.tail) + 8.0);
        let (width, before) = (end - LEFT, LEFT - 8.0);
        let colour = COLOURS[index % COLOURS.len()];
        let name = escaped(&bar.name);
        let values = escaped(&format!("{}, p99 {}", show(bar.value), show(bar.tail)));
        let _ = write!(
            svg,
            "<text x=\"{before}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"20\" fill=\"{colour}\"/>\
             <line x1=\"{end:.1}\" y1=\"{middle}\" x2=\"{tail:.1}\" y2=\"{middle}\" stroke=\"#888\"/>\
             <text x=\"{label:.1}\" y=\"{text}\">{values}</text>"
        );
    }
    (40.0 + 30.0 * bars.len() as f64, svg)
}
