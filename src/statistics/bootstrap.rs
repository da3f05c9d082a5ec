//! A bootstrap over seeds and test recordings together: all seeds are evaluated on the same recordings, so both are
//! resampled.

use randomness::{Purpose, Seed};

use super::{Interval, Paired, TAIL};

/// Resamples. Their draws are addressed: the same losses give the same interval.
const RESAMPLES: usize = 2000;

/// Values of one seed's runs on the rows of one test recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) rows: f64,
    /// Sum of the difference over the rows.
    pub(crate) sum: f64,
}

/// The 95 % interval of the mean of `values`, one for each seed: Student's t or, where the same is known by test
/// recording, the wider of that and a bootstrap over seeds and recordings together. None from a single seed.
pub(crate) fn over_seeds(values: &[f64], clusters: Option<&[Vec<Cluster>]>) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let paired = Paired(values).interval();
    Some(clusters.map_or(paired, |seeds| paired.wider(resampled(seeds).interval())))
}

/// Means of the resamples, sorted.
pub(crate) struct Resampled(Vec<f64>);

/// Resamples the mean over seeds of the mean over rows: `seeds[i]` has the recordings of seed i, in one order for all.
pub(crate) fn resampled(seeds: &[Vec<Cluster>]) -> Resampled {
    let clusters = seeds.first().map_or(0, Vec::len);
    let mut stream = Seed::from_number(0).named_stream(Purpose::Bootstrap, "seeds and recordings", &[], 0);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0.0; clusters];
            (0..clusters).for_each(|_| weights[stream.below(clusters as u64) as usize] += 1.0);
            let drawn = (0..seeds.len()).map(|_| stream.below(seeds.len() as u64) as usize);
            drawn.map(|seed| mean_of(&seeds[seed], &weights)).sum::<f64>() / seeds.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Resampled(means)
}

fn mean_of(clusters: &[Cluster], weights: &[f64]) -> f64 {
    let both = || clusters.iter().zip(weights);
    both().map(|(cluster, weight)| weight * cluster.sum).sum::<f64>()
        / both().map(|(cluster, weight)| weight * cluster.rows).sum::<f64>()
}

impl Resampled {
    /// The percentile interval of 95 %.
    pub(crate) fn interval(&self) -> Interval {
        let quantile = |share: f64| self.0[((self.0.len() - 1) as f64 * share).round() as usize];
        Interval { low: quantile(TAIL), high: quantile(1.0 - TAIL) }
    }

    /// The share of resamples in which nothing is above 0, never exactly 0.
    pub(crate) fn above_0_by_chance(&self) -> f64 {
        (self.0.partition_point(|mean| *mean <= 0.0) + 1) as f64 / (self.0.len() + 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(values: &[&[f64]]) -> Vec<Vec<Cluster>> {
        let cluster = |sum: &f64| Cluster { rows: 1.0, sum: *sum };
        values.iter().map(|own| own.iter().map(cluster).collect()).collect()
    }

    #[test]
    fn resamples_are_as_frequent_as_a_count_of_all_of_them_says() {
        let seeds = seeds(&[&[0.0, 1.0], &[3.0, 7.0]]);
        // All 4 draws of two recordings with all 4 of two seeds.
        let mut expected = Vec::new();
        for weights in [[2.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 2.0]] {
            for drawn in [[0, 0], [0, 1], [1, 0], [1, 1]] {
                let of = |seed: usize| mean_of(&seeds[seed], &weights);
                expected.push(0.5 * (of(drawn[0]) + of(drawn[1])));
            }
        }
        let Resampled(means) = resampled(&seeds);
        for value in [0.0, 0.5, 1.0, 1.5, 3.0, 4.0, 5.0, 7.0, 2.75] {
            let share = |all: &[f64]| {
                all.iter().filter(|mean| (**mean - value).abs() < 1e-12).count() as f64 / all.len() as f64
            };
            assert!((share(&means) - share(&expected)).abs() < 0.04, "{value}");
        }
        assert_eq!(resampled(&seeds).interval(), Interval { low: 0.0, high: 7.0 });
    }

    #[test]
    fn spread_over_seeds_and_over_recordings_both_count() {
        let mut stream = Seed::from_number(3).stream(Purpose::Test, &[], 0);
        let (n, clusters) = (40, 60);
        let of_seed: Vec<f64> = (0..n).map(|_| 0.5 * stream.normal()).collect();
        let of_cluster: Vec<f64> = (0..clusters).map(|_| 0.7 * stream.normal()).collect();
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
        };
        let table: Vec<Vec<f64>> =
            of_seed.iter().map(|a| of_cluster.iter().map(|b| 1.0 + a + b).collect()).collect();
        let table: Vec<&[f64]> = table.iter().map(Vec::as_slice).collect();
        let interval = resampled(&seeds(&table)).interval();
        // A sum of two independent effects: the variance of the mean is that of both.
        let expected =
            2.0 * 1.96 * (variance(&of_seed) / n as f64 + variance(&of_cluster) / clusters as f64).sqrt();
        assert!((interval.width() / expected - 1.0).abs() < 0.1, "{interval:?} beside {expected}");
        let no_seeds = 2.0 * 1.96 * (variance(&of_cluster) / clusters as f64).sqrt();
        assert!(interval.width() > 1.2 * no_seeds);
    }

    #[test]
    fn recordings_count_by_their_rows() {
        let one = vec![Cluster { rows: 30.0, sum: 30.0 }, Cluster { rows: 10.0, sum: 0.0 }];
        let Resampled(means) = resampled(&[one]);
        assert!(means.iter().any(|mean| (mean - 0.75).abs() < 1e-12));
        assert_eq!(resampled(&seeds(&[&[0.5; 4]])).interval(), Interval { low: 0.5, high: 0.5 });
    }

    #[test]
    fn chance_is_never_quite_none() {
        let chance = |value: f64| resampled(&seeds(&[&[value; 3]])).above_0_by_chance();
        assert!((chance(1.0) - 1.0 / 2001.0).abs() < 1e-12 && chance(-1.0) == 1.0);
    }
}
