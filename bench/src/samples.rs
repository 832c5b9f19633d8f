//! Measured values, and what is said of them: medians, and how far runs differ.

use serde::Serialize;

/// Values of one run.
#[derive(Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The value that `percent` of all are at most, by the nearest rank; 0 where there is none.
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        // A little less, so that what is a whole number but for its rounding stays that.
        let rank = (percent / 100.0 * sorted.len() as f64 - 1e-9).ceil() as usize;
        let index = rank.clamp(1, sorted.len().max(1)) - 1;
        sorted.get(index).copied().unwrap_or_default()
    }

    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }
}

/// The runs of one series, in the order of the rounds.
#[derive(Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Runs(pub Vec<Samples>);

impl Runs {
    /// Of each run that percentile; then the median of the runs, the least and the most.
    pub fn percentile(&self, percent: f64) -> Figure {
        Figure::of(self.0.iter().map(|run| run.percentile(percent)))
    }

    /// Of all runs together: for what is too rare in one.
    pub fn percentile_of_all(&self, percent: f64) -> f64 {
        let all = self.0.iter().flat_map(|run| run.0.iter().copied());
        Samples(all.collect()).percentile(percent)
    }

    /// How many times the other's percentile this one's is: run by run, since both runs of a round
    /// met the same machine.
    pub fn ratio(&self, other: &Runs, percent: f64) -> Figure {
        let pairs = self.0.iter().zip(&other.0);
        Figure::of(pairs.map(|(one, other)| one.percentile(percent) / other.percentile(percent)))
    }
}

/// The median of several runs, and between what they were.
#[derive(Clone, Copy, Serialize)]
pub struct Figure {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Figure {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values = Samples(values.into_iter().collect());
        Figure {
            median: values.percentile(50.0),
            least: values.percentile(0.0),
            most: values.percentile(100.0),
        }
    }

    /// The median with its range, as `show` writes a number.
    pub fn text(self, show: impl Fn(f64) -> String) -> String {
        let Figure {
            median,
            least,
            most,
        } = self;
        let (least, most) = (show(least), show(most));
        // A unit that both have is said once.
        let least = match (least.split_once(' '), most.split_once(' ')) {
            (Some((number, unit)), Some((_, same))) if unit == same => number,
            _ => &least,
        };
        format!("{} ({least} to {most})", show(median))
    }
}

/// Microseconds, in the unit that suits them.
pub fn time(microseconds: f64) -> String {
    match microseconds {
        0.0..1.0 => format!("{:.0} ns", microseconds * 1000.0),
        1.0..10.0 => format!("{microseconds:.1} µs"),
        10.0..1000.0 => format!("{microseconds:.0} µs"),
        1000.0..1e6 => format!("{:.2} ms", microseconds / 1000.0),
        _ => format!("{:.2} s", microseconds / 1e6),
    }
}

/// `1.02x`.
pub fn times(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.2}x"),
        _ => format!("{ratio:.0}x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_the_nearest_rank() {
        let samples = Samples((1..=1000).rev().map(f64::from).collect());
        for (percent, value) in [(0.0, 1.0), (50.0, 500.0), (99.9, 999.0), (100.0, 1000.0)] {
            assert_eq!(samples.percentile(percent), value);
        }
        assert_eq!(Samples::default().percentile(50.0), 0.0);
    }

    #[test]
    fn a_unit_is_said_once_where_both_ends_have_it() {
        let figure = Figure::of([1.5, 2.5, 900.0]);
        assert_eq!(figure.text(time), "2.5 µs (1.5 to 900 µs)");
        let figure = Figure::of([0.5, 2.5, 900.0]);
        assert_eq!(figure.text(time), "2.5 µs (500 ns to 900 µs)");
    }

    #[test]
    fn ratios_are_taken_run_by_run() {
        // A machine that became twice as slow for both.
        let runs = |values: [f64; 3]| Runs(values.map(|value| Samples(vec![value])).to_vec());
        let ratio = runs([2.0, 4.0, 40.0]).ratio(&runs([1.0, 2.0, 20.0]), 50.0);
        assert_eq!((ratio.least, ratio.median, ratio.most), (2.0, 2.0, 2.0));
    }
}
