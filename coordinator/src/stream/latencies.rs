use std::time::Duration;

use serde_json::{Value, json};

/// The largest duration that is told from longer ones: some 12 days, in microseconds.
const LONGEST: u64 = 1 << 40;

/// Significant decimal digits of a recorded duration.
const DIGITS: u8 = 2;

/// How often durations were how long: an HDR histogram of microseconds, each to within 1 %, in some 30 kB.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = hdrhistogram::Histogram::new_with_max(LONGEST, DIGITS);
        Histogram { counts: counts.expect("the range and the digits are allowed"), longest: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.counts.saturating_record(micros);
        self.longest = self.longest.max(micros);
    }

    /// The duration that this share of all did not exceed, in milliseconds; 0 if there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        self.counts.value_at_quantile(share).min(self.longest) as f64 / 1000.0
    }

    /// Its quantiles, mean and maximum, in milliseconds.
    pub(crate) fn summary(&self) -> Value {
        json!({
            "p50": self.quantile(0.5),
            "p90": self.quantile(0.9),
            "p99": self.quantile(0.99),
            "p999": self.quantile(0.999),
            "max": self.longest as f64 / 1000.0,
            "mean": self.counts.mean() / 1000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), &histogram.summary()["mean"]), (0.0, &json!(0.0)));
        (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share);
            assert!((expected..expected * 1.01).contains(&found), "{share}: {found}");
        }
        assert_eq!(histogram.summary()["max"], 1000.0);
        let mean = histogram.summary()["mean"].as_f64().unwrap();
        assert!((mean - 500.5).abs() < 5.0, "{mean}");
    }

    #[test]
    fn a_duration_beyond_the_range_counts_as_the_longest() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_secs(u64::MAX));
        histogram.record(Duration::ZERO);
        assert_eq!(histogram.quantile(0.5), 0.0);
        assert!(histogram.quantile(1.0) >= LONGEST as f64 / 1000.0);
    }
}
