//! The scenario file, which defines a simulation. Types, defaults, reading, overriding and validation.
//!
//! A scenario is TOML. Every key has a default; an unknown key is an error. [`Scenario::read`] applies
//! `--set a.b=value` overrides, expands the node lists and validates; its result is ready to run.

mod arrays;
mod changes;
mod channel;
mod coding;
mod conditions;
mod credit;
mod data;
mod device;
mod difference;
mod error;
mod joint_map;
mod keys;
mod layer;
mod link;
mod method;
mod mmfi;
mod model;
mod multicast;
mod pair;
mod preset;
mod profile;
mod read;
mod renamed;
mod seed;
mod selected_by;
#[cfg(test)]
mod shipped;
mod sight;
mod snr;
mod task_input;
mod train;
mod train_coding;
#[cfg(test)]
mod two_by_two;
mod validate;

pub use arrays::{Label, Normalisation, TaskKind};
pub use changes::Change;
pub use channel::{Block, Channel, ChannelKind, Csi, Equaliser, Modulation, Power, RateAt, Transport};
pub use data::{AudioScale, Augmentation, BUILT_IN_SOURCES, Data, ImageScale};
pub use device::Device;
pub use error::ScenarioError;
pub use joint_map::JointMap;
pub use layer::Layer;
pub use link::{EmulatedLink, Policy, Straggler};
pub use method::{Coding, Method, Rate, Selection};
pub use mmfi::{MmFi, MmFiSplit};
pub use model::{Described, Kind, Model, Models, OwnKeys, Weights};
pub use preset::Preset;
pub use profile::{DeviceProfile, LinkProfile, Profile};
pub use renamed::{RENAMED, deprecated_keys};
pub use selected_by::SelectedBy;
pub use snr::SnrDb;
pub use task_input::TaskInput;
pub use train::{
    Baseline, CommonRandomness, Credit, GradientCoding, LogProbability, Objective, RateEstimator, Requests,
    SparseTerm, Train,
};
pub use train_coding::TrainCoding;

use serde::{Deserialize, Serialize};

/// A whole experiment: data, network, training and evaluation.
///
/// ```
/// use pom2dib_scenario::Scenario;
///
/// let text = r#"
///     train = { rounds = 50, beta = 1e-3 }
///     network.transmitters = 5
///     transmitter = [{ modalities = ["fft"] }, { modalities = ["mel"] }]
///     receiver = [{ task = "digit" }]
/// "#;
/// let scenario = Scenario::parse(text, "mine.toml", &["train.beta=1e-4".to_owned()])?;
/// assert_eq!((scenario.train.rounds, scenario.train.beta), (50, 1e-4));
/// assert_eq!((scenario.transmitters(), scenario.transmitter[4].modalities[0].as_str()), (5, "fft"));
/// // One line says what is wrong, and with which key.
/// let refused = Scenario::parse("train.round = 50", "mine.toml", &[]).unwrap_err();
/// assert!(refused.to_string().contains("`round`"));
/// # Ok::<(), pom2dib_scenario::ScenarioError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// A name for tables and folders.
    pub name: String,
    /// The seed of all randomness of the run. In TOML, a number beyond 2^63 - 1 must be in quotes.
    #[serde(with = "seed")]
    pub seed: u64,
    /// The source of samples.
    pub data: Data,
    /// The frames of MM-Fi that are used.
    pub mmfi: MmFi,
    /// Sizes and limits of the network.
    pub network: NetworkSection,
    /// Training.
    pub train: Train,
    /// Evaluation.
    pub evaluation: Evaluation,
    /// Checkpoints.
    pub checkpoint: Checkpoint,
    /// What is recorded beside the usual logs.
    pub record: Record,
    /// Treatment of features that are lost or late.
    pub straggler: Straggler,
    /// The transmitters, in index order.
    pub transmitter: Vec<Transmitter>,
    /// The receivers, in index order.
    pub receiver: Vec<Receiver>,
    /// Emulated links; of several that match, the last applies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link: Vec<EmulatedLink>,
    /// Channels that features cross; of several that match, the last applies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channel: Vec<Channel>,
    /// Other hardware, for which a service models latency and energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// Sizes and limits of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSection {
    /// Values in a feature z, and in the common randomness u.
    pub feature_dim: usize,
    /// E_t: the largest number of transmitters that a receiver requests at a tick, (9).
    pub receiver_limit: usize,
    /// E_k: the largest number of entries that a transmitter encodes at a tick, (10); with `multicast`, of features.
    pub transmitter_limit: usize,
    /// Whether the limits apply; without them E_t = K and E_k = T m(k).
    pub limits: bool,
    /// Whether all receivers that are granted a modality of a transmitter get the same feature; else each gets its own.
    pub multicast: bool,
    /// Whether networks are given the gains of the links that they may know.
    pub see_channel: bool,
    /// Whether joint decoders get a mask of the entries that have arrived, beside zeros for the others.
    pub mask: bool,
    /// Whether the first map of joint decoders has weights for each entry or for each modality.
    pub joint_map: JointMap,
    /// K: the list of transmitters, repeated cyclically to this number. Default: its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmitters: Option<usize>,
    /// T: the list of receivers, repeated cyclically to this number. Default: its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receivers: Option<usize>,
    /// Encoders, by modality.
    pub encoder: Models,
    /// Joint decoders, by task.
    pub joint: Models,
    /// Local decoders, by task.
    pub local: Models,
    /// Selectors.
    pub selector: Model,
}

/// Weight gradients are summed over blocks of this many ticks, each block separately and in order, so that cutting a
/// round into parts of whole blocks changes no bit of the result.
pub const GRADIENT_BLOCK_TICKS: usize = 10;

/// Evaluation of the trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// Passes over the test set, each with one draw of u (Algorithm 2).
    pub passes: u64,
    /// For how much of a pass one draw of u, and of the selection, holds.
    pub draw: EvaluationDraw,
    /// Test samples that travel in one message. Default: those of a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples_per_message: Option<usize>,
    /// N of the large-sample joint rate estimate.
    pub joint_rate_samples: usize,
    /// The rows over which it is taken.
    pub joint_rate_rows: JointRateRows,
    /// Rounds between evaluations on validation rows during training; 0 for none. Training also ends with one.
    pub every: u64,
    /// Passes over the validation rows in each evaluation.
    pub validation_passes: u64,
    /// Training ends after this many evaluations on validation rows without a better one; 0 for never.
    pub patience: u64,
    /// Sensors that are off in evaluation, so that their entries never arrive: transmitters, such as "1", or single
    /// modalities of them, such as "1/mel".
    pub off: Vec<String>,
    /// Noise of all sensors in evaluation, on validation rows too: its standard deviation, in root mean squares of each
    /// sample.
    pub sensor_noise: f64,
    /// Blur of all sensors on test rows in evaluation: the standard deviation of a Gaussian filter over neighbouring
    /// positions, in positions.
    pub blur: f64,
    /// The lag of all sensors in evaluation, in test rows of the same recording.
    pub stale: usize,
    /// Arrays: the array that groups test rows into recordings: neighbouring rows with equal values, in order of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recordings: Option<String>,
}

/// For how long a draw of u and of the selection holds in evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvaluationDraw {
    /// A pass over the test set (Algorithm 2).
    #[default]
    Pass,
    /// A group of `samples_per_tick` test samples, as in training.
    Tick,
}

/// Over which rows the large-sample joint rate is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JointRateRows {
    /// The first rows of the test set. Where rows share a recording, an estimate can only show which recording it was.
    #[default]
    Test,
    /// As many rows of the training set, with an augmentation that no training epoch uses: no two of them are the same.
    Train,
}

/// Checkpoints of the network's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// Rounds between checkpoints; 0 for the end only.
    pub every: u64,
    /// The store: the path of a folder, or the URL of an object store. Default: the run's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// What is recorded beside the usual logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Whether every tick's requests, choices and grants go into `draws.jsonl`.
    pub draws: bool,
}

/// A transmitter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transmitter {
    /// The modalities that it observes, in order of their indices.
    pub modalities: Vec<String>,
    /// Its device.
    #[serde(default)]
    pub device: Device,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// The task that it solves.
    pub task: String,
    /// Arrays: the kind of task. Default: classification for integers, texts, one-hot rows, and floats that are exactly
    /// 0 to C-1 with C at most 100; regression for other floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TaskKind>,
    /// Arrays: the number of classes. Default: one more than the largest training label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Arrays: labels that mark a sample without one: this receiver neither trains on it nor evaluates it. One or a
    /// list.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "arrays::one_or_more")]
    pub ignore: Vec<Label>,
    /// Its device.
    #[serde(default)]
    pub device: Device,
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

    /// The receivers' tasks, in index order.
    pub fn tasks(&self) -> Vec<String> {
        self.receiver.iter().map(|receiver| receiver.task.clone()).collect()
    }

    /// m(k), the number of modalities of transmitter k.
    pub fn modalities(&self, k: usize) -> usize {
        self.transmitter[k].modalities.len()
    }

    /// j_K, the number of (k, m) pairs.
    pub fn entries_per_receiver(&self) -> usize {
        self.transmitter.iter().map(|transmitter| transmitter.modalities.len()).sum()
    }

    /// Whether the limits (9) and (10) apply to this run.
    pub fn limited(&self) -> bool {
        self.network.limits && self.train.method.is_partial()
    }

    /// E_t in effect.
    pub fn receiver_limit(&self) -> usize {
        if self.limited() { self.network.receiver_limit } else { self.transmitters() }
    }

    /// Whether a tick has one sample, as in the paper's Algorithm 1: then the marginal of a rate is taken over the
    /// round's samples on which the entry was granted, since a tick has no others.
    pub fn rates_over_rounds(&self) -> bool {
        self.train.samples_per_tick == 1
    }

    /// N of the rate estimate (17): the samples of a tick; with one sample a tick at most those of a round, in
    /// training.
    pub fn rate_samples(&self) -> usize {
        if self.rates_over_rounds() { self.train.ticks_per_round } else { self.train.samples_per_tick }
    }

    /// Ticks that travel in one message: all of a round if rates are only known once all of it is encoded.
    pub fn ticks_per_part(&self) -> usize {
        if self.rates_over_rounds() { self.train.ticks_per_round } else { self.train.ticks_per_part }
    }

    /// Samples of a piece of an evaluation: what travels in one message.
    pub fn piece_samples(&self) -> usize {
        let of_round = self.train.ticks_per_round * self.train.samples_per_tick;
        self.evaluation.samples_per_message.unwrap_or(of_round)
    }

    /// Whether the network is evaluated on validation rows when it has been trained for so many rounds.
    pub fn validates_at(&self, rounds: u64) -> bool {
        let every = self.evaluation.every;
        every > 0 && (rounds.is_multiple_of(every) || rounds == self.train.rounds)
    }

    /// E_k in effect at transmitter k.
    pub fn transmitter_limit(&self, k: usize) -> usize {
        if self.limited() { self.network.transmitter_limit } else { self.receivers() * self.modalities(k) }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            name: "unnamed".into(),
            seed: 1,
            data: Data::default(),
            mmfi: MmFi::default(),
            network: NetworkSection::default(),
            train: Train::default(),
            evaluation: Evaluation::default(),
            checkpoint: Checkpoint::default(),
            record: Record::default(),
            straggler: Straggler::default(),
            transmitter: Vec::new(),
            receiver: Vec::new(),
            link: Vec::new(),
            channel: Vec::new(),
            profile: None,
        }
    }
}

impl Default for NetworkSection {
    fn default() -> Self {
        NetworkSection {
            feature_dim: 24,
            receiver_limit: 2,
            transmitter_limit: 4,
            limits: true,
            multicast: false,
            see_channel: false,
            mask: false,
            joint_map: JointMap::Own,
            transmitters: None,
            receivers: None,
            encoder: Models::default(),
            joint: Models::default(),
            local: Models::default(),
            selector: Model::default(),
        }
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Evaluation {
            passes: 10,
            draw: EvaluationDraw::Pass,
            samples_per_message: None,
            joint_rate_samples: 2000,
            joint_rate_rows: JointRateRows::Test,
            every: 0,
            validation_passes: 3,
            patience: 0,
            off: Vec::new(),
            sensor_noise: 0.0,
            blur: 0.0,
            stale: 0,
            recordings: None,
        }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Checkpoint { every: 100, store: None }
    }
}
