use std::time::Duration;

use serde_json::{Value, json};

/// Steps within a power of two: a value is known to one part in so many.
const STEPS: u64 = 64;

/// How often durations were how long, in buckets that grow with the duration (as an HDR histogram's): microseconds up to hours, each to
/// within 1.6 %, in some kilobytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: u64,
    sum: u128,
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(1 << 40);
        let bucket = bucket(micros);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.most = self.most.max(micros);
        self.sum += u128::from(micros);
    }

    /// The duration that this share of all did not exceed, in milliseconds; 0 if there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = ((share * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return largest_of(bucket).min(self.most) as f64 / 1000.0;
            }
        }
        0.0
    }

    /// Its quantiles, mean and maximum, in milliseconds.
    pub(crate) fn summary(&self) -> Value {
        let mean = self.sum as f64 / self.total.max(1) as f64 / 1000.0;
        json!({
            "p50": self.quantile(0.5),
            "p90": self.quantile(0.9),
            "p99": self.quantile(0.99),
            "p999": self.quantile(0.999),
            "max": self.most as f64 / 1000.0,
            "mean": mean,
        })
    }
}

fn bucket(value: u64) -> usize {
    if value < 2 * STEPS {
        return value as usize;
    }
    // 1 for values from 2 * STEPS on, one more for every doubling.
    let doublings = value.ilog2() - STEPS.ilog2();
    (u64::from(doublings) * STEPS + (value >> doublings)) as usize
}

/// The largest value of a bucket.
fn largest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let doublings = bucket / STEPS - 1;
    ((bucket - doublings * STEPS + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_that_is_narrow() {
        let mut last = None;
        for value in
            (0..100_000u64).chain((17..40).flat_map(|power| [(1 << power) - 1, 1 << power, 3 << power]))
        {
            let own = bucket(value);
            assert!(value <= largest_of(own), "{value}");
            assert!(own == 0 || value > largest_of(own - 1), "{value}");
            assert!(largest_of(own) - value <= value / STEPS, "{value}");
            if value < 100_000 {
                assert!(last.is_none_or(|last| own == last || own == last + 1), "{value}");
                last = Some(own);
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0.0);
        (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(share);
            assert!((expected..expected * 1.02).contains(&found), "{share}: {found}");
        }
        assert_eq!(histogram.summary()["max"], 1000.0);
        assert_eq!(histogram.summary()["mean"], 500.5);
    }
}
