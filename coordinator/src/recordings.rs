//! Losses and scores by test recording, from which intervals over several runs are computed.

use proto::v1::Cluster;
use serde::{Deserialize, Serialize};

/// Above this number recordings are merged in groups: the file stays small, and groups of recordings are independent
/// too.
const MOST: usize = 1000;

/// Receivers' losses and scores on the rows of each test recording, means over the passes: `recordings.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recordings {
    /// Test rows of each recording, in a pass.
    pub rows: Vec<u64>,
    /// By receiver and recording: mean cross entropy in nats (or mean squared error in training units), six digits.
    pub losses: Vec<Vec<f64>>,
    /// By row of the summary's `test.tasks` (receivers in order, of each its metrics) and recording: the mean score,
    /// six digits. Empty in files of older programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<Vec<f64>>,
}

impl Recordings {
    /// Of all receivers' passes, `passes[t][p]`. None if they are not of the same recordings.
    pub(crate) fn of(passes: &[Vec<&[Cluster]>]) -> Option<Self> {
        let first = *passes.first()?.first()?;
        let key = |clusters: &[Cluster]| -> Vec<(u32, u32)> {
            clusters.iter().map(|cluster| (cluster.id, cluster.samples)).collect()
        };
        if first.is_empty() || passes.iter().flatten().any(|own| key(own) != key(first)) {
            return None;
        }
        let count = first.len().min(MOST);
        let place = |at: usize| at * count / first.len();
        let mut rows = vec![0; count];
        first.iter().enumerate().for_each(|(at, cluster)| rows[place(at)] += u64::from(cluster.samples));
        let means = |passes: &Vec<&[Cluster]>, of: &dyn Fn(&Cluster) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; count];
            for (at, cluster) in passes.iter().flat_map(|pass| pass.iter().enumerate()) {
                sums[place(at)] += of(cluster);
            }
            let mean = |(sum, rows): (f64, &u64)| rounded(sum / (*rows as f64 * passes.len() as f64));
            sums.into_iter().zip(&rows).map(mean).collect()
        };
        let losses = passes.iter().map(|passes| means(passes, &|cluster| cluster.cross_entropy)).collect();
        let scores_of = |passes: &Vec<&[Cluster]>| {
            let score = |metric: usize| means(passes, &|cluster| cluster.scores[metric]);
            (0..metrics_of(passes)).map(score).collect::<Vec<_>>()
        };
        let scores = passes.iter().flat_map(scores_of).collect();
        Some(Recordings { rows, losses, scores })
    }
}

/// The number of a receiver's metrics: what all of its recordings have.
fn metrics_of(passes: &[&[Cluster]]) -> usize {
    passes.iter().flat_map(|pass| pass.iter()).map(|cluster| cluster.scores.len()).min().unwrap_or(0)
}

/// Rounds to six digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(id: u32, samples: u32, cross_entropy: f64) -> Cluster {
        Cluster { id, samples, cross_entropy, scores: vec![f64::from(samples) / 2.0] }
    }

    #[test]
    fn losses_are_means_over_rows_and_passes() {
        let first = [cluster(0, 2, 1.0), cluster(7, 4, 0.4)];
        let second = [cluster(0, 2, 3.0), cluster(7, 4, 0.0)];
        let recordings = Recordings::of(&[vec![&first, &second], vec![&second, &second]]).unwrap();
        assert_eq!(recordings.rows, [2, 4]);
        assert_eq!(recordings.losses, [[1.0, 0.05], [1.5, 0.0]]);
        assert_eq!(recordings.scores, [[0.5, 0.5], [0.5, 0.5]]);
    }

    #[test]
    fn many_recordings_are_put_together_and_none_is_lost() {
        let clusters: Vec<Cluster> = (0..2500).map(|id| cluster(id, 3, f64::from(id))).collect();
        let recordings = Recordings::of(&[vec![&clusters]]).unwrap();
        assert_eq!((recordings.rows.len(), recordings.rows.iter().sum::<u64>()), (MOST, 7500));
        let sum: f64 =
            recordings.losses[0].iter().zip(&recordings.rows).map(|(loss, rows)| loss * *rows as f64).sum();
        let expected = (0..2500).sum::<u32>();
        assert!((sum / f64::from(expected) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn receivers_of_other_recordings_have_none() {
        let (one, other) = ([cluster(0, 2, 1.0)], [cluster(1, 2, 1.0)]);
        assert_eq!(Recordings::of(&[vec![&one], vec![&other]]), None);
        assert_eq!(Recordings::of(&[]), None);
    }
}
