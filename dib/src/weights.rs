//! The weights of receivers where the worst of them counts.

/// The most that a round adds to the logarithm of a weight before the memory shrinks it: e to the power of far less is
/// all the weight, and sums of such steps stay numbers whatever a round costs.
const MOST_STEP: f64 = 1e6;

/// Weights of receivers, a probability vector: uniform at first, then multiplied after every round by e to the power of
/// the learning rate times what the round cost; and their logarithms shrink by a factor, the memory.
///
/// With a memory of 1 these are multiplicative weights: against a network that always answers with what is best under
/// them, the mean over the rounds comes near to the least worst cost that any law of selections has. A network that
/// learns answers late, and would be swung to and fro. With less memory the weights are a softmax of the receivers'
/// running mean costs, times rate / (1 - memory) at most: they push back as soon as a receiver pays more, and let go as
/// soon as it does not.
///
/// ```
/// use pom2dib_dib::ReceiverWeights;
///
/// let mut weights = ReceiverWeights::uniform(2);
/// assert_eq!([weights.factor(0), weights.factor(1)], [1.0, 1.0]);
/// // The first receiver paid more: from now on it counts for more, e^(0.5 x 2) times as much as the other.
/// weights.learn(0.5, 1.0, &[3.0, 1.0]);
/// assert!((weights.probability(0) / weights.probability(1) - 1f64.exp()).abs() < 1e-12);
/// assert!((weights.factor(0) + weights.factor(1) - 2.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiverWeights {
    /// Their logarithms less the largest of them, so that sums of costs over any number of rounds stay numbers.
    logs: Vec<f64>,
}

impl ReceiverWeights {
    /// All receivers count alike.
    pub fn uniform(receivers: usize) -> Self {
        ReceiverWeights { logs: vec![0.0; receivers] }
    }

    /// From what [`logs`](Self::logs) gave: none if that is impossible.
    pub fn from_logs(logs: Vec<f64>) -> Option<Self> {
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let fits = largest == 0.0 && logs.iter().all(|log| log.is_finite());
        fits.then_some(ReceiverWeights { logs })
    }

    /// The logarithm of each receiver's weight, less the largest: to be kept in a checkpoint.
    pub fn logs(&self) -> &[f64] {
        &self.logs
    }

    /// The weight of receiver t, at most 1.
    pub fn probability(&self, t: usize) -> f64 {
        libm::exp(self.logs[t]) / self.sum()
    }

    /// The same times the number of receivers: what is 1 for all of them if all count alike.
    pub fn factor(&self, t: usize) -> f64 {
        // In this order it is exactly 1 then.
        self.logs.len() as f64 * libm::exp(self.logs[t]) / self.sum()
    }

    /// Moves the weights by what a round cost each receiver: a number, or one beyond all. `memory` is from 0 to 1.
    ///
    /// # Panics
    /// If there are not as many costs as receivers.
    pub fn learn(&mut self, rate: f64, memory: f64, costs: &[f64]) {
        assert_eq!(costs.len(), self.logs.len(), "costs of other receivers");
        // A rate of 0 times what is beyond all numbers is 0 too.
        let step = |cost: f64| (rate * cost.clamp(f64::MIN, f64::MAX)).clamp(-MOST_STEP, MOST_STEP);
        self.logs.iter_mut().zip(costs).for_each(|(log, &cost)| *log = memory * (*log + step(cost)));
        let largest = self.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.logs.iter_mut().for_each(|log| *log -= largest);
    }

    fn sum(&self) -> f64 {
        self.logs.iter().map(|&log| libm::exp(log)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_that_count_alike_count_exactly_once() {
        for receivers in [1, 2, 3, 7, 49] {
            let weights = ReceiverWeights::uniform(receivers);
            assert!((0..receivers).all(|t| weights.factor(t) == 1.0), "{receivers}");
            let sum: f64 = (0..receivers).map(|t| weights.probability(t)).sum();
            assert!((sum - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn costs_of_many_rounds_add_up_and_never_overflow() {
        let mut weights = ReceiverWeights::uniform(3);
        for _ in 0..100_000 {
            weights.learn(0.1, 1.0, &[5.0, 4.0, 4.9999]);
        }
        // e^-10000 is 0, and its logarithm is kept: the receiver's time may come.
        assert_eq!((weights.probability(1), weights.logs()[0]), (0.0, 0.0));
        assert!((weights.logs()[1] + 10_000.0).abs() < 1e-6 && (weights.logs()[2] + 1.0).abs() < 1e-6);
        for _ in 0..100_000 {
            weights.learn(0.1, 1.0, &[4.0, 5.0, 4.0]);
        }
        assert!((weights.logs()[1] - weights.logs()[0]).abs() < 1e-6);
    }

    #[test]
    fn weights_stay_numbers_whatever_a_round_costs() {
        for (rate, memory) in [(1e3, 1.0), (1e3, 0.95), (0.5, 1.0), (0.0, 1.0), (1e3, 0.0)] {
            let mut weights = ReceiverWeights::uniform(3);
            for costs in [[1e308, 1.0, -1e308], [-1e308, 2.0, 1e308], [f64::INFINITY, 0.0, 0.0]] {
                (0..1000).for_each(|_| weights.learn(rate, memory, &costs));
                let all: Vec<f64> = (0..3).map(|t| weights.probability(t)).collect();
                assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{rate}, {memory}: {all:?}");
                assert!(ReceiverWeights::from_logs(weights.logs().to_vec()).is_some(), "{weights:?}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_taken_back_and_what_is_impossible_is_not() {
        let mut weights = ReceiverWeights::uniform(2);
        weights.learn(0.3, 0.9, &[0.2, 1.7]);
        assert_eq!(ReceiverWeights::from_logs(weights.logs().to_vec()), Some(weights));
        for wrong in
            [vec![], vec![-1.0, -2.0], vec![0.0, f64::NAN], vec![0.0, f64::NEG_INFINITY], vec![0.5, 0.0]]
        {
            assert_eq!(ReceiverWeights::from_logs(wrong.clone()), None, "{wrong:?}");
        }
    }

    #[test]
    fn weights_that_forget_say_how_costs_differ_and_no_more() {
        let mut weights = ReceiverWeights::uniform(2);
        (0..500).for_each(|_| weights.learn(0.5, 0.9, &[1.0, 1.2]));
        // memory x rate / (1 - memory) x 0.2.
        assert!((weights.logs()[0] + 0.9 * 0.5 / 0.1 * 0.2).abs() < 1e-9, "{weights:?}");
        (0..500).for_each(|_| weights.learn(0.5, 0.9, &[1.0, 1.0]));
        assert!(weights.logs().iter().all(|log| log.abs() < 1e-9), "{weights:?}");
        weights.learn(0.5, 0.0, &[3.0, 1.0]);
        assert_eq!(weights, ReceiverWeights::uniform(2));
    }

    /// Two receivers that take turns: the mean of best answers comes near to what the best law costs the worst.
    #[test]
    fn best_answers_to_weights_come_near_to_the_least_worst_cost() {
        let turns = [[0.0, 1.0], [0.5, 0.0], [0.9, 0.9]];
        let (mut weights, mut totals) = (ReceiverWeights::uniform(2), [0.0; 2]);
        let rounds = 20_000;
        for _ in 0..rounds {
            let cost = |turn: &[f64; 2]| weights.probability(0) * turn[0] + weights.probability(1) * turn[1];
            let best = turns.iter().copied().min_by(|one, other| cost(one).total_cmp(&cost(other))).unwrap();
            totals.iter_mut().zip(best).for_each(|(total, cost)| *total += cost);
            weights.learn(0.01, 1.0, &best);
        }
        // A third of the first turns: 1/3 each.
        let worst = totals[0].max(totals[1]) / f64::from(rounds);
        assert!((worst - 1.0 / 3.0).abs() < 5e-3, "{worst}");
    }
}
