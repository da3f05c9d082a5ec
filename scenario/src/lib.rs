//! The scenario file: what is simulated. Types, defaults, reading, overriding and validation.
//!
//! A scenario is TOML. Every key has a default; an unknown key is an error. [`Scenario::read`] applies `--set a.b=value`
//! overrides, expands the node lists and validates, so that what it returns can be run as it stands.

mod arrays;
mod error;
mod link;
mod mmfi;
mod preset;
mod read;
#[cfg(test)]
mod shipped;
mod validate;

pub use arrays::{Normalisation, TaskKind};
pub use error::ScenarioError;
pub use link::{Link, Policy, Straggler};
pub use mmfi::{MmFi, MmFiSplit};
pub use preset::Preset;

use serde::{Deserialize, Serialize};

/// A whole experiment: data, network, training and judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// A name for tables and folders.
    pub name: String,
    /// From this number all randomness of the run derives.
    pub seed: u64,
    /// Where samples come from.
    pub data: Data,
    /// Which frames of MM-Fi are used.
    pub mmfi: MmFi,
    /// Sizes and limits of the network.
    pub network: Network,
    /// How it is trained.
    pub train: Train,
    /// How it is judged.
    pub evaluation: Evaluation,
    /// When its state is saved.
    pub checkpoint: Checkpoint,
    /// What receivers do about features that are lost or late.
    pub straggler: Straggler,
    /// The transmitters, in index order.
    pub transmitter: Vec<Transmitter>,
    /// The receivers, in index order.
    pub receiver: Vec<Receiver>,
    /// Emulated links; where several match, the last holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link: Vec<Link>,
}

/// Where samples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// The kind of data set.
    pub source: Source,
    /// Its folder, where it has one. A node's own `--data` goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<std::path::PathBuf>,
    /// Of HandWritten: whether a held-out part of the training set stands in for the test set.
    pub validation: bool,
    /// Of arrays: how modalities and regression targets are normalised.
    pub normalisation: Normalisation,
    /// Of arrays: values in a sample of a noise modality.
    pub noise_width: usize,
}

/// The data sets that this program reads or makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Digits drawn and spoken by code: needs no files.
    Digits,
    /// MNIST images paired with FSDD recordings.
    HandWritten,
    /// Arrays of anybody's own.
    Arrays,
    /// MM-Fi, from the published tree.
    MmFi,
}

/// Sizes and limits of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Values in a feature z, and in the common randomness u.
    pub feature_dim: usize,
    /// E_t: how many transmitters a receiver may ask at a tick, (9).
    pub receiver_limit: usize,
    /// E_k: how many entries a transmitter may encode at a tick, (10).
    pub transmitter_limit: usize,
    /// Whether the limits hold; without them E_t = K and E_k = T m(k).
    pub limits: bool,
    /// K: the list of transmitters, repeated cyclically to this number. Default: its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmitters: Option<usize>,
    /// T: the list of receivers, repeated cyclically to this number. Default: its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receivers: Option<usize>,
}

/// Weight gradients are summed over blocks of this many ticks, each block by itself and in order, so that how a round
/// is cut into parts of whole blocks changes no bit of the result.
pub const GRADIENT_BLOCK_TICKS: usize = 10;

/// How the network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// What is compared in the paper's Table I.
    pub method: Method,
    /// Bits of a feature's value under `vddib`.
    pub bits: u32,
    /// Optimizer steps.
    pub rounds: u64,
    /// Draws of the common randomness a round.
    pub ticks_per_round: usize,
    /// Samples that share a draw; with 1, rates are taken over the round.
    pub samples_per_tick: usize,
    /// Ticks that travel in one message. A round in several parts keeps both ends of a link busy; it changes no bit of
    /// what is learnt.
    pub ticks_per_part: usize,
    /// The weight of local cross entropies and rates.
    pub beta: f64,
    /// The weight from which `beta` rises geometrically during the first `beta_rise` of the rounds. Default: none, `beta`
    /// holds from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_start: Option<f64>,
    /// The share of the rounds during which beta rises.
    pub beta_rise: f64,
    /// The weight of the sparse term, Remark 7.
    pub gamma: f64,
    /// Whose grants the sparse term counts.
    pub sparse_term: SparseTerm,
    /// How (17) is estimated.
    pub rate_estimator: RateEstimator,
    /// What is subtracted from a cost before it weighs a score.
    pub baseline: Baseline,
    /// Whose costs judge what a transmitter's selector draws.
    pub credit: Credit,
    /// Which log-mass the score function differentiates.
    pub log_mass: LogMass,
    /// Weight of the log-mass of its own draw in a selector's cost, at the start: it keeps selectors undecided.
    pub entropy_bonus: f64,
    /// The share of the rounds after which that weight has fallen, linearly, to 0.
    pub entropy_until: f64,
    /// Learning rate of encoders and decoders.
    pub coding_rate: f64,
    /// Learning rate of selectors.
    pub selection_rate: f64,
    /// The share of the rounds, the last ones, during which both learning rates fall linearly to 0.
    pub cool_down: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// The norm at which a selector's gradient is clipped.
    pub selection_clip: f64,
}

/// The methods that the paper compares (section VIII).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Learned selection under limits, variational coding.
    Pom2Dib,
    /// One random selection under limits for the whole run, variational coding.
    #[serde(rename = "rs-dib")]
    RsDib,
    /// Full participation, variational coding.
    TaDib,
    /// Full participation, deterministic coding in `bits` a value.
    VdDib,
    /// Full participation, deterministic coding, no rate to pay for.
    Dlsc,
}

impl Method {
    /// Whether selectors learn what to choose.
    pub fn selects(self) -> bool {
        self == Method::Pom2Dib
    }

    /// Whether not everybody sends everything to everybody.
    pub fn is_partial(self) -> bool {
        matches!(self, Method::Pom2Dib | Method::RsDib)
    }

    /// The name as scenarios write it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Pom2Dib => "pom2dib",
            Method::RsDib => "rs-dib",
            Method::TaDib => "tadib",
            Method::VdDib => "vddib",
            Method::Dlsc => "dlsc",
        }
    }
}

/// Whose grants the sparse term counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SparseTerm {
    /// A receiver's own granted entries and own asks.
    Own,
    /// Everybody's granted entries.
    Global,
}

/// Estimators of the rate (17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateEstimator {
    /// Sum of one-dimensional estimates: at most feature_dim x ln N.
    PerDimension,
    /// The vector density: at most ln N.
    Joint,
}

/// What is subtracted from a cost before it weighs a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// H(Y_t) of the training labels, in nats; 0 for regression.
    LabelEntropy,
    /// The mean over the round's other ticks.
    LeaveOneOut,
    /// Nothing.
    None,
}

/// Whose costs judge what a transmitter's selector draws for a receiver at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credit {
    /// That receiver's cost. Where the cap binds this is an approximation: what one receiver gets, another loses.
    Own,
    /// The costs of all receivers that asked the transmitter at that tick: what the cap couples is judged together.
    Shared,
}

/// Which log-mass the score function differentiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogMass {
    /// Of the drawn sequence.
    Sequence,
    /// Of the drawn set: the same expectation, less variance.
    Set,
}

/// How the trained network is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// Passes over the test set, each with one draw of u (Algorithm 2).
    pub passes: u64,
    /// N of the large-sample joint rate estimate.
    pub joint_rate_samples: usize,
}

/// When the network's state is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// Rounds between checkpoints; 0 for the end only.
    pub every: u64,
    /// Where they lie: the path of a folder, or the URL of an object store. Default: in the run's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// A transmitter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transmitter {
    /// What it observes, in the order of its modality indices.
    pub modalities: Vec<String>,
    /// Where it computes.
    #[serde(default)]
    pub device: Device,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// What it infers.
    pub task: String,
    /// Of arrays: the kind of task. Default: integers are classes, floats are values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TaskKind>,
    /// Of arrays: how many classes there are. Default: one more than the largest training label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Where it computes.
    #[serde(default)]
    pub device: Device,
}

/// Where a node computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The best that is there.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The n-th CUDA device.
    Cuda(usize),
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Device::Auto),
            None if text == "cpu" => Ok(Device::Cpu),
            Some(("cuda", number)) if number.parse::<usize>().is_ok() => {
                Ok(Device::Cuda(number.parse().expect("parsed just now")))
            }
            _ => Err(format!("device \"{text}\" is none of cpu, cuda:N and auto")),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Auto => formatter.write_str("auto"),
            Device::Cpu => formatter.write_str("cpu"),
            Device::Cuda(number) => write!(formatter, "cuda:{number}"),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
    }
}

impl Scenario {
    /// K, the number of transmitters.
    pub fn transmitters(&self) -> usize {
        self.transmitter.len()
    }

    /// T, the number of receivers.
    pub fn receivers(&self) -> usize {
        self.receiver.len()
    }

    /// m(k), the number of modalities of transmitter k.
    pub fn modalities(&self, k: usize) -> usize {
        self.transmitter[k].modalities.len()
    }

    /// j_K, the number of (k, m) pairs.
    pub fn entries_per_receiver(&self) -> usize {
        self.transmitter.iter().map(|transmitter| transmitter.modalities.len()).sum()
    }

    /// Whether the limits (9) and (10) hold for this run.
    pub fn limited(&self) -> bool {
        self.network.limits && self.train.method.is_partial()
    }

    /// E_t in force.
    pub fn receiver_limit(&self) -> usize {
        if self.limited() { self.network.receiver_limit } else { self.transmitters() }
    }

    /// Whether a tick has one sample, as in the paper's Algorithm 1: then the marginal of a rate is taken over the round's
    /// samples on which the entry was granted, since a tick has none beside it.
    pub fn rates_over_rounds(&self) -> bool {
        self.train.samples_per_tick == 1
    }

    /// N of the rate estimate (17): the samples of a tick; with one sample a tick those of a round, in training at most.
    pub fn rate_samples(&self) -> usize {
        if self.rates_over_rounds() { self.train.ticks_per_round } else { self.train.samples_per_tick }
    }

    /// Ticks that travel in one message: all of a round where no rate is known before all of it is encoded.
    pub fn ticks_per_part(&self) -> usize {
        if self.rates_over_rounds() { self.train.ticks_per_round } else { self.train.ticks_per_part }
    }

    /// E_k in force at transmitter k.
    pub fn transmitter_limit(&self, k: usize) -> usize {
        if self.limited() { self.network.transmitter_limit } else { self.receivers() * self.modalities(k) }
    }
}

impl Train {
    /// beta in a round: it rises geometrically from `beta_start` where there is one.
    pub fn beta_at(&self, round: u64) -> f64 {
        match self.beta_start {
            // From libm, so that all hosts agree.
            Some(start) => start * libm::pow(self.beta / start, share(round, self.rounds, self.beta_rise)),
            None => self.beta,
        }
    }

    /// The weight of the entropy bonus in a round: it falls linearly to 0.
    pub fn entropy_bonus_at(&self, round: u64) -> f64 {
        self.entropy_bonus * (1.0 - share(round, self.rounds, self.entropy_until))
    }

    /// The learning rate of encoders and decoders in a round.
    pub fn coding_rate_at(&self, round: u64) -> f64 {
        self.coding_rate * self.warmth(round)
    }

    /// The learning rate of selectors in a round.
    pub fn selection_rate_at(&self, round: u64) -> f64 {
        self.selection_rate * self.warmth(round)
    }

    /// What is left of the learning rates: 1, and during the cool-down linearly less; 0 would be right after the last round.
    fn warmth(&self, round: u64) -> f64 {
        if self.cool_down > 0.0 {
            ((self.rounds.saturating_sub(round)) as f64 / (self.rounds as f64 * self.cool_down)).min(1.0)
        } else {
            1.0
        }
    }
}

/// How much of the first `part` of all rounds is over, at most 1.
fn share(round: u64, rounds: u64, part: f64) -> f64 {
    if part > 0.0 { (round as f64 / (rounds as f64 * part)).min(1.0) } else { 1.0 }
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            name: "unnamed".into(),
            seed: 1,
            data: Data::default(),
            mmfi: MmFi::default(),
            network: Network::default(),
            train: Train::default(),
            evaluation: Evaluation::default(),
            checkpoint: Checkpoint::default(),
            straggler: Straggler::default(),
            transmitter: Vec::new(),
            receiver: Vec::new(),
            link: Vec::new(),
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Data {
            source: Source::Digits,
            path: None,
            validation: false,
            normalisation: Normalisation::Standard,
            noise_width: 196,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Network {
            feature_dim: 24,
            receiver_limit: 2,
            transmitter_limit: 4,
            limits: true,
            transmitters: None,
            receivers: None,
        }
    }
}

impl Default for Train {
    fn default() -> Self {
        Train {
            method: Method::Pom2Dib,
            bits: 1,
            rounds: 2000,
            ticks_per_round: 20,
            samples_per_tick: 20,
            ticks_per_part: 2 * GRADIENT_BLOCK_TICKS,
            beta: 1e-3,
            beta_start: None,
            beta_rise: 0.6,
            gamma: 0.0,
            sparse_term: SparseTerm::Own,
            rate_estimator: RateEstimator::PerDimension,
            baseline: Baseline::LeaveOneOut,
            credit: Credit::Shared,
            log_mass: LogMass::Sequence,
            entropy_bonus: 0.1,
            entropy_until: 0.5,
            coding_rate: 1e-4,
            selection_rate: 5e-5,
            cool_down: 0.0,
            weight_decay: 1e-4,
            selection_clip: 10.0,
        }
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Evaluation { passes: 10, joint_rate_samples: 2000 }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Checkpoint { every: 100, store: None }
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
    fn learning_rates_fall_to_nothing_at_the_end() {
        let train = Train { rounds: 100, coding_rate: 0.4, cool_down: 0.2, ..Train::default() };
        assert_eq!([0, 80, 90, 100].map(|round| train.coding_rate_at(round)), [0.4, 0.4, 0.2, 0.0]);
        assert!((train.selection_rate_at(99) - 5e-5 / 20.0).abs() < 1e-18);
        assert_eq!(Train { cool_down: 0.0, ..train }.coding_rate_at(99), 0.4);
    }
}
