use std::collections::BTreeMap;

use randomness::{Purpose, Seed};

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// A receiver's results on the test rows of one recording in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    pub(crate) samples: f64,
    /// Sum of the quantity over the samples.
    pub(crate) sum: f64,
}

/// Percentile interval (2.5 %, 97.5 %) of the mean, by a bootstrap over recordings together with passes: rows that
/// share a recording and rows of one pass are not independent, so recordings and passes are what is resampled.
///
/// `passes[p][cluster]`.
pub(crate) fn bootstrap_interval(seed: Seed, label: &str, passes: &[BTreeMap<u32, Cell>]) -> [f64; 2] {
    let ids: Vec<u32> = passes.first().map(|pass| pass.keys().copied().collect()).unwrap_or_default();
    let table: Vec<Vec<Cell>> = passes
        .iter()
        .map(|pass| ids.iter().map(|id| pass.get(id).copied().unwrap_or_default()).collect())
        .collect();
    let mut stream = seed.named_stream(Purpose::Bootstrap, label, &[], 0);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0.0; ids.len()];
            for _ in 0..ids.len() {
                weights[stream.below(ids.len() as u64) as usize] += 1.0;
            }
            let (mut samples, mut sum) = (0.0, 0.0);
            for _ in 0..table.len() {
                let pass = &table[stream.below(table.len() as u64) as usize];
                for (cell, weight) in pass.iter().zip(&weights) {
                    samples += weight * cell.samples;
                    sum += weight * cell.sum;
                }
            }
            sum / samples
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let quantile = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    [quantile(0.025), quantile(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For clusters with independent means of known spread the interval must have its theoretical width.
    #[test]
    fn the_interval_has_the_width_of_the_normal_approximation() {
        let seed = Seed::from_number(5);
        let mut stream = seed.stream(Purpose::Test, &[], 0);
        let clusters: BTreeMap<u32, Cell> =
            (0..400).map(|id| (id, Cell { samples: 10.0, sum: 10.0 * (3.0 + stream.normal()) })).collect();
        let mean = clusters.values().map(|cell| cell.sum).sum::<f64>() / 4000.0;
        let deviation =
            (clusters.values().map(|cell| (cell.sum / 10.0 - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        let [low, high] = bootstrap_interval(seed, "x", &[clusters]);
        let half = 1.96 * deviation / 20.0;
        assert!((high - low - 2.0 * half).abs() < 0.1 * 2.0 * half, "{low} {high} against +-{half}");
        assert!(low < mean && mean < high);
    }

    #[test]
    fn passes_that_differ_widen_it() {
        let pass = |value: f64| (0..100).map(|id| (id, Cell { samples: 1.0, sum: value })).collect();
        let same = bootstrap_interval(Seed::from_number(1), "x", &[pass(1.0), pass(1.0)]);
        let differing = bootstrap_interval(Seed::from_number(1), "x", &[pass(0.0), pass(1.0)]);
        assert_eq!(same, [1.0, 1.0]);
        assert_eq!(differing, [0.0, 1.0]);
    }
}
