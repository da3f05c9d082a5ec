//! Scores on validation rows during training, and the best version so far.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Rounds over which training's N-CE is averaged before it is compared: one round's is noisy.
const ROUNDS_OF_GAP: usize = 20;

/// A version's scores on validation rows, means over the passes: part of the line of the round that led to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Validated {
    /// Minus the sum over receivers of the cross entropy (or mean squared error), in nats.
    pub(crate) n_ce: f64,
    /// How far that is below the N-CE of training in nats, mean over the last rounds.
    pub(crate) gap: f64,
    /// Rate of all granted entries in nats.
    pub(crate) sum_rate: f64,
    /// Cross entropy by receiver, in nats.
    pub(crate) ce: Vec<f64>,
    /// The first metric of each receiver's task: top-1 as a fraction, or the mean squared error in the units of the
    /// data.
    pub(crate) scores: Vec<f64>,
    /// Whether it is the best version so far.
    pub(crate) best: bool,
}

/// The best version on validation rows so far: that with the largest N-CE, the first of several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps that all its parameters had taken.
    pub round: u64,
    /// Its N-CE on the validation rows, in nats.
    #[serde(with = "exact")]
    pub n_ce: f64,
    /// How many versions were evaluated since.
    pub since: u64,
}

impl Best {
    /// The best version after another one was evaluated.
    pub(crate) fn after(best: Option<Best>, round: u64, n_ce: f64) -> Best {
        match best {
            Some(best) if best.n_ce >= n_ce => Best { since: best.since + 1, ..best },
            _ => Best { round, n_ce, since: 0 },
        }
    }
}

/// The summary's part on validation rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The version that scored best: its checkpoint is kept.
    pub best_round: u64,
    /// Its N-CE on the validation rows, in nats.
    pub best_n_ce: f64,
    /// Whether training ended because no version was better for `evaluation.patience` evaluations.
    pub stopped_early: bool,
}

/// N-CE of the last rounds of training.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<f64>);

impl Recent {
    pub(crate) fn push(&mut self, n_ce: f64) {
        self.0.push_back(n_ce);
        if self.0.len() > ROUNDS_OF_GAP {
            self.0.pop_front();
        }
    }

    /// How far an N-CE lies below their mean in nats, rounded to 1e-9: a value read back from a log may differ in its
    /// last bit.
    pub(crate) fn gap_to(&self, n_ce: f64) -> f64 {
        let mean = self.0.iter().sum::<f64>() / self.0.len().max(1) as f64;
        ((mean - n_ce) * 1e9).round() / 1e9
    }
}

/// A number as text that reads back to the same bits.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_is_the_best() {
        let mut best = None;
        let mut history = Vec::new();
        for (round, n_ce) in [(10, -2.0), (20, -1.5), (30, -1.5), (40, -1.7), (50, -1.4)] {
            best = Some(Best::after(best, round, n_ce));
            history.push(best.map(|best| (best.round, best.since)).unwrap());
        }
        assert_eq!(history, [(10, 0), (20, 0), (20, 1), (20, 2), (50, 0)]);
    }

    #[test]
    fn a_best_is_read_back_to_the_bit() {
        for n_ce in [-0.1 - 0.2, -1.0 / 3.0, f64::MIN_POSITIVE, -123456.78901234567] {
            let best = Best { round: 3, n_ce, since: 2 };
            let text = serde_json::to_string(&best).unwrap();
            let back: Best = serde_json::from_str(&text).unwrap();
            assert_eq!((back.round, back.n_ce.to_bits(), back.since), (3, n_ce.to_bits(), 2));
        }
    }

    #[test]
    fn the_gap_is_to_the_mean_of_the_last_rounds() {
        let mut recent = Recent::default();
        (0..100).for_each(|round| recent.push(f64::from(round)));
        assert_eq!(recent.gap_to(80.0), 9.5);
    }
}
