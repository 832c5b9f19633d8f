//! One invocation: until when it may read, and what is said at its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Deadline;
use crate::kinds::Report;
use crate::max_age::MaxAge;

/// What is kept back of an invocation's time to answer in.
const TO_ANSWER: Duration = Duration::from_millis(200);
/// The time to read where the invocation has no sensible deadline: local emulators send one in
/// the past.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(2);
/// The longest time that Lambda gives an invocation.
const LONGEST_INVOCATION: Duration = Duration::from_secs(900);

/// An invocation under way. When it is dropped, it prints the metrics that are due, and logs a line
/// with its hits, misses and waiting at debug level.
#[must_use = "keep it until the answer is there: metrics are printed when it is dropped"]
pub struct Invocation<'a> {
    report: &'a Report,
    deadline: Deadline,
    max_age: Arc<MaxAge>,
    failed: Option<(String, u16)>,
    /// At debug level alone: hits, misses, and time spent waiting so far.
    before: Option<(u64, u64, Duration)>,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new(report: &'a Report, deadline_ms: u64) -> Self {
        let max_age = Arc::new(MaxAge::default());
        Invocation {
            report,
            deadline: Deadline::after(time_left(deadline_ms)).noting(&max_age),
            max_age,
            failed: None,
            before: tracing::enabled!(tracing::Level::DEBUG).then(|| report.lookups()),
        }
    }

    /// Until when it may read.
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Notes that it ends with an error of this type, for the metrics. From the status 500 on it is the
    /// server's fault, else the caller's.
    pub fn failed(&mut self, error_type: impl Into<String>, status: u16) {
        self.failed = Some((error_type.into(), status));
    }

    /// For how long whoever asked may keep an answer that was made of what was looked up so far: the least
    /// time left, up to a year; zero where something was stale. `None` unless all of it is of
    /// [public](crate::kinds::Kind::public) kinds, and where nothing was looked up, or a lookup failed or was
    /// dropped.
    ///
    /// Knows of lookups with this invocation's [`deadline`](Self::deadline) alone. So an answer is never
    /// older than a TTL, wherever it was kept, as long as it was made with no other.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age.get()
    }

    /// The lines of metrics at its end.
    fn metrics(&self) -> Vec<String> {
        let mut lines = self.report.metrics();
        if let Some((error_type, status)) = &self.failed {
            lines.extend(self.report.error(error_type, *status));
        }
        lines
    }
}

impl Drop for Invocation<'_> {
    fn drop(&mut self) {
        for line in self.metrics() {
            println!("{line}");
        }
        if let Some((hits, misses, waiting)) = self.before {
            let after = self.report.lookups();
            // Counts in what other invocations did meanwhile, in environments that run several.
            tracing::debug!(
                hits = after.0 - hits,
                misses = after.1 - misses,
                waiting_microseconds = (after.2 - waiting).as_micros() as u64,
                microseconds = self.max_age.elapsed().as_micros() as u64,
                "invocation"
            );
        }
    }
}

/// How long an invocation may read that ends at `deadline_ms`, by a wall clock at `now`, both since
/// the Unix epoch: until 200 ms before, or 2 s where that makes no sense.
pub fn time_to_read(deadline_ms: u64, now: Duration) -> Duration {
    match Duration::from_millis(deadline_ms).checked_sub(now) {
        Some(left) if !left.is_zero() && left <= LONGEST_INVOCATION => {
            left.saturating_sub(TO_ANSWER)
        }
        _ => WITHOUT_DEADLINE,
    }
}

/// The same, from now on.
pub(crate) fn time_left(deadline_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    time_to_read(deadline_ms, now.unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::environment::Environment;
    use crate::kinds::Plan;

    #[test]
    fn an_error_is_among_the_metrics_and_a_success_is_not() {
        let plan = Plan::new(Environment::of([("AWS_LAMBDA_FUNCTION_VERSION", "7")]), &[]);
        let report = plan.check().unwrap().report();
        let mut invocation = report.invocation(0);
        assert_eq!(invocation.metrics(), [""; 0]);
        invocation.failed("Unavailable", 503);
        let [line] = &invocation.metrics()[..] else {
            panic!("one line");
        };
        for part in [
            r#""ServerErrors":1"#,
            r#""ErrorType":"Unavailable""#,
            r#""FunctionVersion":"7""#,
        ] {
            assert!(line.contains(part), "{line}");
        }
    }
}
