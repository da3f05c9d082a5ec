//! The weights of receivers under the objective `worst`.

/// The largest step of a weight's logarithm in a round, before the memory scales it. A far smaller difference already
/// gives a receiver all the weight, and sums of steps of this size stay finite whatever the costs.
const MOST_STEP: f64 = 1e6;

/// The weights of receivers: a probability vector, uniform at first. A round adds the learning rate times a receiver's
/// cost to the logarithm of its weight and multiplies the sum by a factor, the memory.
///
/// With a memory of 1 this is the multiplicative-weights method: if every round is a best response to the weights, the
/// mean costs over the rounds approach the smallest worst cost of all distributions over selections. A network that
/// learns responds late, and would oscillate. With a memory below 1 the weights are a softmax of the receivers' running
/// mean costs, times rate / (1 - memory) at most: the weight of a receiver rises while its costs exceed those of the
/// others, and falls back afterwards.
///
/// ```
/// use pom2dib_dib::ReceiverWeights;
///
/// let mut weights = ReceiverWeights::uniform(2);
/// assert_eq!([weights.factor(0), weights.factor(1)], [1.0, 1.0]);
/// // The cost of receiver 0 is larger by 2, so its weight is e^(0.5 x 2) times that of receiver 1.
/// weights.learn(0.5, 1.0, &[3.0, 1.0]);
/// assert!((weights.probability(0) / weights.probability(1) - 1f64.exp()).abs() < 1e-12);
/// assert!((weights.factor(0) + weights.factor(1) - 2.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiverWeights {
    /// The logarithm of each weight, less the largest: finite after any number of rounds.
    logs: Vec<f64>,
}

impl ReceiverWeights {
    /// Equal weights.
    pub fn uniform(receivers: usize) -> Self {
        ReceiverWeights { logs: vec![0.0; receivers] }
    }

    /// The weights with these [`logs`](Self::logs). `None` if a logarithm is not finite, or the largest is not 0.
    pub fn from_logs(logs: Vec<f64>) -> Option<Self> {
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let fits = largest == 0.0 && logs.iter().all(|log| log.is_finite());
        fits.then_some(ReceiverWeights { logs })
    }

    /// The logarithm of each receiver's weight, less the largest, for a checkpoint.
    pub fn logs(&self) -> &[f64] {
        &self.logs
    }

    /// The weight of receiver t, at most 1.
    pub fn probability(&self, t: usize) -> f64 {
        libm::exp(self.logs[t]) / self.sum()
    }

    /// The weight of receiver t times the number of receivers: 1 if all weights are equal.
    pub fn factor(&self, t: usize) -> f64 {
        self.scaled(self.logs[t], self.sum())
    }

    /// The [factors](Self::factor) of all receivers, the same bits.
    pub fn factors(&self) -> Vec<f64> {
        let sum = self.sum();
        self.logs.iter().map(|&log| self.scaled(log, sum)).collect()
    }

    /// Updates the weights with each receiver's cost of a round, which may be infinite. `memory` is from 0 to 1.
    ///
    /// # Panics
    /// If the number of costs is not the number of receivers.
    pub fn learn(&mut self, rate: f64, memory: f64, costs: &[f64]) {
        assert_eq!(costs.len(), self.logs.len(), "a cost for every receiver");
        // Without the first clamp, a rate of 0 times an infinite cost would not be a number.
        let step = |cost: f64| (rate * cost.clamp(f64::MIN, f64::MAX)).clamp(-MOST_STEP, MOST_STEP);
        self.logs.iter_mut().zip(costs).for_each(|(log, &cost)| *log = memory * (*log + step(cost)));
        let largest = self.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.logs.iter_mut().for_each(|log| *log -= largest);
    }

    fn scaled(&self, log: f64, sum: f64) -> f64 {
        // In this order of operations the factors of equal weights are exactly 1.
        self.logs.len() as f64 * libm::exp(log) / sum
    }

    fn sum(&self) -> f64 {
        self.logs.iter().map(|&log| libm::exp(log)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_have_factors_of_exactly_1() {
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
        // e^-10000 rounds to 0, but the logarithm remains, so that the weight can rise again.
        assert_eq!((weights.probability(1), weights.logs()[0]), (0.0, 0.0));
        assert!((weights.logs()[1] + 10_000.0).abs() < 1e-6 && (weights.logs()[2] + 1.0).abs() < 1e-6);
        for _ in 0..100_000 {
            weights.learn(0.1, 1.0, &[4.0, 5.0, 4.0]);
        }
        assert!((weights.logs()[1] - weights.logs()[0]).abs() < 1e-6);
    }

    #[test]
    fn weights_stay_finite_whatever_a_round_costs() {
        for (rate, memory) in [(1e3, 1.0), (1e3, 0.95), (0.5, 1.0), (0.0, 1.0), (1e3, 0.0)] {
            let mut weights = ReceiverWeights::uniform(3);
            for costs in [[1e308, 1.0, -1e308], [-1e308, 2.0, 1e308], [f64::INFINITY, 0.0, 0.0]] {
                (0..1000).for_each(|_| weights.learn(rate, memory, &costs));
                let all: Vec<f64> = (0..3).map(|t| weights.probability(t)).collect();
                assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{rate}, {memory}: {all:?}");
                let factors: Vec<f64> = (0..3).map(|t| weights.factor(t)).collect();
                assert_eq!(weights.factors(), factors);
                assert!(ReceiverWeights::from_logs(weights.logs().to_vec()).is_some(), "{weights:?}");
            }
        }
    }

    #[test]
    fn saved_logarithms_are_restored_and_impossible_logarithms_are_refused() {
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
    fn with_a_memory_below_1_the_logarithms_follow_the_difference_of_costs() {
        let mut weights = ReceiverWeights::uniform(2);
        (0..500).for_each(|_| weights.learn(0.5, 0.9, &[1.0, 1.2]));
        // memory x rate / (1 - memory) x 0.2.
        assert!((weights.logs()[0] + 0.9 * 0.5 / 0.1 * 0.2).abs() < 1e-9, "{weights:?}");
        (0..500).for_each(|_| weights.learn(0.5, 0.9, &[1.0, 1.0]));
        assert!(weights.logs().iter().all(|log| log.abs() < 1e-9), "{weights:?}");
        weights.learn(0.5, 0.0, &[3.0, 1.0]);
        assert_eq!(weights, ReceiverWeights::uniform(2));
    }

    /// Two receivers and three selections, each with a cost of both: the mean costs of best responses approach the
    /// smallest worst cost.
    #[test]
    fn best_responses_to_the_weights_approach_the_smallest_worst_cost() {
        let selections = [[0.0, 1.0], [0.5, 0.0], [0.9, 0.9]];
        let (mut weights, mut totals) = (ReceiverWeights::uniform(2), [0.0; 2]);
        let rounds = 20_000;
        for _ in 0..rounds {
            let cost =
                |costs: &[f64; 2]| weights.probability(0) * costs[0] + weights.probability(1) * costs[1];
            let best =
                selections.iter().copied().min_by(|one, other| cost(one).total_cmp(&cost(other))).unwrap();
            totals.iter_mut().zip(best).for_each(|(total, cost)| *total += cost);
            weights.learn(0.01, 1.0, &best);
        }
        // The first selection with probability 1/3, else the second: a mean cost of 1/3 for both receivers.
        let worst = totals[0].max(totals[1]) / f64::from(rounds);
        assert!((worst - 1.0 / 3.0).abs() < 5e-3, "{worst}");
    }
}
