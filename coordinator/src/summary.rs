use std::collections::BTreeMap;

pub(crate) use randomness::hex;
use scenario::JointRateRows;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Extension, Fork, Missing, OnAir, Rates, Strengths, Validation, totals::is_zero};

/// The result of a run: `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The training method.
    pub method: String,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's seed.
    pub seed: u64,
    /// Optimizer steps taken.
    pub rounds: u64,
    /// The devices on which the nodes computed.
    pub device: String,
    /// Scores on the whole test set.
    pub test: Test,
    /// The noise entries' share of all grants over the last 100 rounds; none without training.
    pub noise_share: Option<f64>,
    /// The largest number of transmitters that a receiver requested at any tick, never more than E_t.
    pub most_asks: u32,
    /// The largest number of entries that a transmitter granted at any tick, never more than E_k.
    pub most_entries: u32,
    /// Missing entries of receivers in training, where links or digital channels may lose them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Channel use for a test sample, mean over the passes, where any channel is not ideal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<OnAir>,
    /// How strong links were in the evaluation, where any changes from tick to tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strengths: Option<Strengths>,
    /// The rates of a test sample's features, mean over the passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// The run from whose parameters this one began, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<Fork>,
    /// The best version on validation rows, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Extensions that make the run differ from one that had all rounds from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<Extension>,
    /// Bytes between transmitters and receivers in training.
    pub wire: Wire,
    /// How long training took.
    pub timing: Timing,
    /// What it takes to come to the same bits, where that is more than scenario and seed: networks of a kind that
    /// promises them in the same build and with as many threads alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducible: Option<String>,
    /// SHA-256 over the sorted lines "parameter name, its SHA-256".
    pub fingerprint: String,
}

/// Scores on the whole test set, means over the passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Minus the sum over receivers of the cross entropy (or mean squared error), in nats.
    pub n_ce: f64,
    /// Its 95 % interval, computed like those of the tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_ce_ci95: Option<[f64; 2]>,
    /// Rate of all granted entries in nats, by the scenario's estimator over groups of `rate_samples`.
    pub sum_rate: f64,
    /// Which estimator that was.
    pub rate_estimator: String,
    /// N of that estimator.
    pub rate_samples: usize,
    /// The same entries' large-sample joint estimates in nats (first pass).
    pub joint_rate: f64,
    /// Upper limit of those estimates for any features: the sum over entries of the entropy of the frequencies of
    /// distinct rows among the N (ln N if all rows differ). An estimate near it only shows that there are few rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint_ceiling: Option<f64>,
    /// The rows of those estimates.
    #[serde(default)]
    pub joint_rate_rows: JointRateRows,
    /// N of those estimates.
    pub joint_rate_samples: u64,
    /// Test samples of a pass.
    pub samples: u64,
    /// Passes over the test set, each with one draw of u.
    pub passes: u64,
    /// What `ci95` resamples.
    pub ci95_over: String,
    /// One row for each task and metric.
    pub tasks: Vec<TaskResult>,
    /// Confusion matrix of every receiver with a classification of at most 100 classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Confusion>,
    /// Class counts of every receiver with a classification of at most 100 classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassCounts>,
    /// Entries granted, mean over passes.
    pub selected_entries: f64,
    /// Share of passes in which an entry was granted, by receiver, transmitter and modality.
    pub selection: Vec<Vec<Vec<f64>>>,
    /// Rate of an entry in nats, as in `sum_rate`: mean over the passes that granted it, none without such a pass; in
    /// the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_rates: Vec<Vec<Vec<Option<f64>>>>,
    /// Channel uses of an entry for a test sample, mean over the passes, in the same order; empty where all channels
    /// are ideal. Their sum is `uses` of [`Summary::channel`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_uses: Vec<Vec<Vec<f64>>>,
    /// Missing entries of receivers, where links or digital channels may lose them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

impl Test {
    /// Whether the joint rates are so close to their upper limit that they carry no information about the features.
    pub fn is_at_ceiling(&self) -> bool {
        self.joint_ceiling.is_some_and(|ceiling| at_ceiling(self.joint_rate, ceiling))
    }
}

/// Whether an estimate lies within 5 % of its upper limit.
pub fn at_ceiling(rate: f64, ceiling: f64) -> bool {
    ceiling > 0.0 && rate >= 0.95 * ceiling
}

/// Samples of each class of a receiver's task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// The receiver's index.
    pub receiver: usize,
    /// Its task.
    pub task: String,
    /// Names of the classes, if their labels are texts: that of class c in place c.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Training samples of each class.
    pub train: Vec<u64>,
    /// Test samples of each class.
    pub test: Vec<u64>,
    /// Classes without a training sample.
    pub empty: Vec<usize>,
    /// Accuracy of always answering the commonest training class.
    pub majority: f64,
}

/// A receiver's confusion matrix, over all passes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// The receiver's index.
    pub receiver: usize,
    /// Its task.
    pub task: String,
    /// Samples by label, then answer.
    pub counts: Vec<Vec<u64>>,
}

/// A task's score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The task.
    pub name: String,
    /// `top1`, as a fraction, for classification; for regression `mse`, the mean squared error in the units of the
    /// data; for poses, in metres, also `mpjpe` and `pa-mpjpe` in millimetres.
    pub metric: String,
    /// The score.
    pub value: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// Cross entropy in nats; for regression the mean squared error in training units, those of the normalised targets.
    pub ce: f64,
    /// For classification: the mean recall over the classes in the test set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balanced_accuracy: Option<f64>,
    /// For classification: the mean F1 score over the classes that are in the test set or were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    /// For classification: accuracy of always answering the commonest training class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
}

/// Bytes between transmitters and receivers in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wire {
    /// Payload of features.
    pub feature_bytes: u64,
    /// Payload of gradients.
    pub gradient_bytes: u64,
    /// Tables of dithered features, if any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub table_bytes: u64,
    /// Everything through the sockets: payload, selection, costs, rates and framing.
    pub total_bytes: u64,
}

/// How long training took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// From the first granted round to the end of the last.
    pub seconds: f64,
    /// Rounds in that time.
    pub rounds_per_second: f64,
    /// Median time of a round in seconds.
    pub median_round_seconds: f64,
}

/// The fingerprint of parameters, from their names and the SHA-256 of their values.
pub(crate) fn fingerprint_of(hashes: &BTreeMap<String, String>) -> String {
    let lines: String = hashes.iter().map(|(name, hash)| format!("{name}, {hash}\n")).collect();
    sha256_hex(lines.as_bytes())
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}
