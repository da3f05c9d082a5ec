use std::collections::VecDeque;

/// Rounds of a curve that are kept: the width of a wide terminal.
const MOST_KEPT: usize = 512;

/// Rounds over which the pace is measured.
const PACE_OVER: usize = 50;

/// What the screen keeps of the rounds so far.
#[derive(Default)]
pub(super) struct History {
    /// N-CE, sum-rate, loss and seconds of the last rounds.
    pub(super) curves: [VecDeque<f64>; 4],
    /// Shares of the last round's ticks at which each entry was granted, by receiver.
    pub(super) granted: Vec<Vec<f64>>,
}

impl History {
    /// What the curves show, with units.
    pub(super) const NAMES: [(&'static str, &'static str); 4] =
        [("N-CE", "nats"), ("sum-rate", "nats"), ("loss", ""), ("a round", "s")];

    pub(super) fn round(&mut self, values: [f64; 4], granted: &[Vec<f64>]) {
        for (curve, value) in self.curves.iter_mut().zip(values) {
            curve.push_back(value);
            if curve.len() > MOST_KEPT {
                curve.pop_front();
            }
        }
        self.granted = granted.to_vec();
    }

    /// Seconds of a round, mean over the last ones; none before the first.
    pub(super) fn pace(&self) -> Option<f64> {
        let late: Vec<f64> = self.curves[3].iter().rev().take(PACE_OVER).copied().collect();
        let mean = late.iter().sum::<f64>() / late.len() as f64;
        (mean > 0.0).then_some(mean)
    }
}
