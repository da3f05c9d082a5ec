//! Training: hyper-parameters and their schedules.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{Coding, GRADIENT_BLOCK_TICKS, Method, Rate, RateAt, SelectedBy, TaskInput, TrainCoding};

/// Training of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// The method, as in the paper's Table I.
    pub method: Method,
    /// Bits of a feature's value under `vddib`.
    pub bits: u32,
    /// How an encoder's outputs become a feature, if not as in the method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coding: Option<TrainCoding>,
    /// How encoders learn for which receiver they encode.
    pub task_input: TaskInput,
    /// Dithered features: rounds between tables.
    pub table_every: u64,
    /// Features coded by a code book: bits of an index, of which there are 2^bits.
    pub code_bits: u32,
    /// The same: into how many groups of values, each coded by an index, a feature is cut.
    pub code_groups: usize,
    /// The same: the weight of the squared distance from an encoder's means to the nearest code vectors.
    pub commitment: f64,
    /// How receivers send the gradients of features back.
    pub gradient_coding: GradientCoding,
    /// Optimizer steps.
    pub rounds: u64,
    /// Draws of the common randomness a round.
    pub ticks_per_round: usize,
    /// Samples that share a draw; with 1, rates are estimated over the round.
    pub samples_per_tick: usize,
    /// Ticks that travel in one message. A round in several parts keeps both ends of a link busy; the results keep
    /// their bits.
    pub ticks_per_part: usize,
    /// The weight of local cross entropies and rates.
    pub beta: f64,
    /// The weight from which `beta` rises geometrically during the first `beta_rise` of the rounds. Default: none,
    /// `beta` applies from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_start: Option<f64>,
    /// The share of the rounds during which beta rises.
    pub beta_rise: f64,
    /// The weight of the sparse term, Remark 7.
    pub gamma: f64,
    /// Which grants the sparse term counts.
    pub sparse_term: SparseTerm,
    /// The penalty in the cost of a receiver without a granted entry at a tick, beside its loss on zeros.
    pub empty_penalty: f64,
    /// Which nodes share u, the randomness that selectors get, and how often it is drawn.
    pub common_randomness: CommonRandomness,
    /// The probability that a modality of a transmitter is dropped at all receivers at a training tick: they decode
    /// without it, as if it had not been granted, and count it as lost.
    pub modality_dropout: f64,
    /// What training minimises: the sum of the receivers' objectives, or the objective of the worst receiver.
    pub objective: Objective,
    /// With `objective = "worst"`: the learning rate of the receivers' weights, in 1 / nat.
    pub worst_lr: f64,
    /// With `objective = "worst"`: the factor on the logarithms of the weights after each round. 1 forgets nothing; 0
    /// keeps all weights equal.
    pub worst_memory: f64,
    /// How the rate is estimated.
    pub rate_estimator: RateEstimator,
    /// Whether training uses the rate of the sent or of the received features.
    pub rate_at: RateAt,
    /// Who selects, where the method learns that: selectors, or a policy of a user's program.
    pub selection: SelectedBy,
    /// Who says whom a receiver requests, where its method learns that.
    pub requests: Requests,
    /// What is subtracted from a cost before it weighs a score.
    pub baseline: Baseline,
    /// Which costs count for a transmitter's draw, and whether draws are judged by whole costs.
    pub credit: Credit,
    /// Which log-probability the score function differentiates.
    pub log_mass: LogProbability,
    /// Weight of the log-probability of its own draw in a selector's cost, at the start: it keeps selectors undecided.
    pub entropy_bonus: f64,
    /// The share of the rounds after which that weight has fallen linearly to 0.
    pub entropy_until: f64,
    /// Learning rate of encoders and decoders.
    pub coding_lr: f64,
    /// Learning rate of selectors.
    pub selection_lr: f64,
    /// Learning rate of priors and quantisation steps.
    pub prior_lr: f64,
    /// The last share of the rounds, during which all learning rates fall linearly to 0.
    pub cool_down: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// The norm at which a selector's gradient is clipped.
    pub selection_clip: f64,
    /// Of a coding that a user's program adds: its own keys. That program checks them, not the scenario.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub coding_parameters: Table,
    /// Of a policy that a user's program adds: its own keys. That program checks them, not the scenario.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub selection_parameters: Table,
}

/// Which grants the sparse term counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SparseTerm {
    /// A receiver's own granted entries and requests.
    Own,
    /// All receivers' granted entries.
    Global,
}

/// Which nodes share u, the randomness that selectors get, and how often it is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommonRandomness {
    /// All nodes share one draw for each tick (Algorithm 1).
    #[default]
    Common,
    /// All nodes share one draw for all ticks of training and evaluation: u is a constant.
    Fixed,
    /// Every node has its own draw for each tick.
    Private,
}

/// What training minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// The sum of the receivers' objectives, (P3).
    #[default]
    Sum,
    /// The largest of the receivers' objectives: their weighted sum, where each round increases the weights of
    /// receivers with larger costs.
    Worst,
}

/// How the gradients of features travel back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GradientCoding {
    /// As they are computed.
    F32,
    /// Rounded at random to the upper half of an f32, with error feedback.
    Bf16,
    /// Rounded at random to integers of 8 bits, with a scale for each entry and tick, and error feedback.
    Int8,
}

/// Estimators of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateEstimator {
    /// (17) as a sum of one-dimensional estimates: at most feature_dim x ln N.
    PerDimension,
    /// (17) with the vector density: at most ln N.
    Joint,
    /// Against a learned prior that receivers know: at least the mutual information.
    Prior,
}

/// The baseline, which is subtracted from a cost before it weighs a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// H(Y_t) of the training labels, in nats; 0 for regression.
    LabelEntropy,
    /// The mean over the round's other ticks.
    LeaveOneOut,
    /// What the round's other ticks say of a tick with its gains: their costs' regression on the gains that the node
    /// sees.
    Gains,
    /// Nothing.
    None,
}

/// Who says whom a receiver requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Requests {
    /// Its selector.
    Learned,
    /// The gains: at every tick it requests the E_t transmitters whose links are the strongest. Nothing is learnt about
    /// that.
    Strongest,
}

/// Whose costs count for what a transmitter's selector draws for a receiver at a tick, and whether they count whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credit {
    /// That receiver's cost. Where the cap binds this is an approximation: an entry for one receiver displaces
    /// another's.
    Own,
    /// The costs of all receivers that requested the transmitter at that tick: receivers that the cap couples are
    /// credited together.
    Shared,
    /// The costs of all these receivers, each less what it would be without the entries of this transmitter. A
    /// receiver's requests too are judged by differences: each step of its draw by its cost less what it would be with
    /// the entries of those drawn before alone.
    Difference,
}

/// Which log-probability the score function differentiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogProbability {
    /// Of the drawn sequence.
    Sequence,
    /// Of the drawn set: the same expectation, less variance.
    Set,
}

impl Train {
    /// beta in a round: it rises geometrically from `beta_start`, if that is set.
    pub fn beta_at(&self, round: u64) -> f64 {
        match self.beta_start {
            // With libm, so that all machines agree.
            Some(start) => start * libm::pow(self.beta / start, share(round, self.rounds, self.beta_rise)),
            None => self.beta,
        }
    }

    /// The weight of the entropy bonus in a round: it falls linearly to 0.
    pub fn entropy_bonus_at(&self, round: u64) -> f64 {
        self.entropy_bonus * (1.0 - share(round, self.rounds, self.entropy_until))
    }

    /// The learning rate of encoders and decoders in a round.
    pub fn coding_lr_at(&self, round: u64) -> f64 {
        self.coding_lr * self.warmth(round)
    }

    /// The learning rate of priors in a round.
    pub fn prior_lr_at(&self, round: u64) -> f64 {
        self.prior_lr * self.warmth(round)
    }

    /// How an encoder's outputs become a feature.
    pub fn coding(&self) -> Coding {
        match &self.coding {
            None => self.method.coding,
            Some(TrainCoding::Gaussian | TrainCoding::Simulated) => Coding::Gaussian,
            Some(TrainCoding::Dithered) => Coding::Dithered,
            Some(TrainCoding::CodeBook) => Coding::CodeBook,
            Some(TrainCoding::Own(_)) => Coding::Own,
        }
    }

    /// The rate that is counted: the method's, or where indices or the symbols of a user's coding travel, their bits.
    pub fn rate(&self) -> Rate {
        match self.coding() {
            Coding::CodeBook | Coding::Own => Rate::Bits,
            Coding::Gaussian | Coding::Quantised | Coding::Deterministic | Coding::Dithered => {
                self.method.rate
            }
        }
    }

    /// Whether evaluation sends Gaussian features as the numbers of proposals.
    pub fn simulates(&self) -> bool {
        self.coding == Some(TrainCoding::Simulated)
    }

    /// Whether there are learned priors: a rate is told by them.
    pub fn has_priors(&self) -> bool {
        self.rate() == Rate::Information && self.rate_estimator == RateEstimator::Prior
    }

    /// The learning rate of selectors in a round.
    pub fn selection_lr_at(&self, round: u64) -> f64 {
        self.selection_lr * self.warmth(round)
    }

    /// The schedules that depend on the number of rounds, in words; none if there are none: then the run is the
    /// beginning of a longer one.
    pub fn schedule(&self) -> Option<String> {
        let until = |part: f64| (self.rounds as f64 * part).ceil();
        let beta = self.beta_start.filter(|start| self.beta_rise > 0.0 && *start != self.beta).map(|start| {
            format!("beta rises from {start} to {} until round {}", self.beta, until(self.beta_rise))
        });
        let bonus = Some(self.entropy_bonus).filter(|bonus| *bonus != 0.0 && self.entropy_until > 0.0);
        let bonus = bonus.map(|bonus| {
            format!("the entropy bonus falls from {bonus} to 0 until round {}", until(self.entropy_until))
        });
        let warm = until(1.0 - self.cool_down.min(1.0));
        let cool = (self.cool_down > 0.0).then(|| format!("learning rates fall to 0 from round {warm} on"));
        let parts: Vec<String> = [beta, bonus, cool].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Whether a receiver's cost depends on the grants of all receivers, which it must then be told.
    pub fn counts_all_grants(&self) -> bool {
        self.gamma != 0.0 && self.sparse_term == SparseTerm::Global
    }

    /// Whether draws of selectors are judged by the differences that they make to costs.
    pub fn credits_differences(&self) -> bool {
        self.credit == Credit::Difference && self.method.selects()
    }

    /// Whether every node is told all receivers' costs at each tick of a round, from which their weights are computed.
    pub fn tells_costs(&self) -> bool {
        self.objective == Objective::Worst
    }

    /// The factor of the learning rates: 1, and during the cool-down linearly less; it would reach 0 right after the
    /// last round.
    fn warmth(&self, round: u64) -> f64 {
        share(self.rounds.saturating_sub(round), self.rounds, self.cool_down)
    }
}

/// The fraction of the first `part` of all rounds that `some` rounds are, at most 1.
fn share(some: u64, rounds: u64, part: f64) -> f64 {
    if part > 0.0 { (some as f64 / (rounds as f64 * part)).min(1.0) } else { 1.0 }
}

impl Default for Train {
    fn default() -> Self {
        Train {
            method: Method::POM2DIB,
            bits: 1,
            coding: None,
            task_input: TaskInput::Embedding,
            table_every: 20,
            code_bits: 4,
            code_groups: 6,
            commitment: 0.25,
            gradient_coding: GradientCoding::F32,
            rounds: 2000,
            ticks_per_round: 20,
            samples_per_tick: 20,
            ticks_per_part: 2 * GRADIENT_BLOCK_TICKS,
            beta: 1e-3,
            beta_start: None,
            beta_rise: 0.6,
            gamma: 0.0,
            sparse_term: SparseTerm::Own,
            empty_penalty: 1.0,
            common_randomness: CommonRandomness::Common,
            objective: Objective::Sum,
            worst_lr: 0.5,
            worst_memory: 0.95,
            modality_dropout: 0.0,
            rate_estimator: RateEstimator::PerDimension,
            rate_at: RateAt::Sent,
            selection: SelectedBy::Learned,
            requests: Requests::Learned,
            baseline: Baseline::LeaveOneOut,
            credit: Credit::Shared,
            log_mass: LogProbability::Sequence,
            entropy_bonus: 0.1,
            entropy_until: 0.5,
            coding_lr: 1e-4,
            selection_lr: 5e-5,
            prior_lr: 5e-3,
            cool_down: 0.0,
            weight_decay: 1e-4,
            selection_clip: 10.0,
            coding_parameters: Table::new(),
            selection_parameters: Table::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_rises_geometrically_during_its_share_of_the_rounds() {
        let train =
            Train { rounds: 100, beta: 1e-2, beta_start: Some(1e-4), beta_rise: 0.5, ..Train::default() };
        for (round, expected) in [(0, 1e-4), (25, 1e-3), (50, 1e-2), (99, 1e-2)] {
            assert!((train.beta_at(round) / expected - 1.0).abs() < 1e-12, "round {round}");
        }
        assert_eq!(Train { beta_rise: 0.0, ..train.clone() }.beta_at(0), 1e-2);
        assert_eq!(Train { beta_start: None, ..train }.beta_at(0), 1e-2);
    }

    #[test]
    fn the_entropy_bonus_falls_linearly_to_nothing() {
        let train = Train { rounds: 100, entropy_bonus: 0.2, entropy_until: 0.8, ..Train::default() };
        for (round, expected) in [(0, 0.2), (40, 0.1), (80, 0.0), (99, 0.0)] {
            assert!((train.entropy_bonus_at(round) - expected).abs() < 1e-15, "round {round}");
        }
        assert_eq!(Train { entropy_until: 0.0, ..train }.entropy_bonus_at(0), 0.0);
    }

    #[test]
    fn a_schedule_that_depends_on_the_number_of_rounds_is_put_in_words() {
        let constant = Train { rounds: 100, entropy_bonus: 0.0, ..Train::default() };
        assert_eq!(constant.schedule(), None);
        for round in 0..100 {
            let longer = Train { rounds: 250, ..constant.clone() };
            let at = |train: &Train| {
                [train.beta_at(round), train.entropy_bonus_at(round), train.coding_lr_at(round)]
            };
            assert_eq!(at(&constant), at(&longer), "round {round}");
        }
        let all = Train { entropy_bonus: 0.2, beta_start: Some(1e-4), cool_down: 0.25, ..constant };
        assert_eq!(
            all.schedule().unwrap(),
            "beta rises from 0.0001 to 0.001 until round 60; the entropy bonus falls from 0.2 to 0 until round 50; \
             learning rates fall to 0 from round 75 on"
        );
    }

    #[test]
    fn learning_rates_fall_to_nothing_at_the_end() {
        let train = Train { rounds: 100, coding_lr: 0.4, cool_down: 0.2, ..Train::default() };
        assert_eq!([0, 80, 90, 100].map(|round| train.coding_lr_at(round)), [0.4, 0.4, 0.2, 0.0]);
        assert!((train.selection_lr_at(99) - 5e-5 / 20.0).abs() < 1e-18);
        assert_eq!(Train { cool_down: 0.0, ..train }.coding_lr_at(99), 0.4);
    }
}
