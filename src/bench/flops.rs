//! The floating-point operations that a round needs at least, counted from the scenario and the grants.
//!
//! Counted are the matrix products of the networks that take part: forward, backward for the weights, and backward for
//! the inputs where that gradient is used (not for raw data, u or embeddings). Receivers that get the same sample share
//! its first linear maps; a joint decoder does not multiply entries that are not granted; a selector runs for the
//! receivers that request it; the first maps of embeddings are computed once and not counted. A product and an addition
//! count as two operations. Elementwise work, rates, losses and optimizer steps are not counted.

use data::Info;
use dib::Module;
use node::NodeError;
use scenario::{Described, Requests, Scenario};
use serde::Serialize;

use crate::bench::logged::Chosen;

/// Operations of a training round, by network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Operations {
    pub(crate) encoders: f64,
    pub(crate) local_decoders: f64,
    pub(crate) joint_decoders: f64,
    pub(crate) receiver_selectors: f64,
    pub(crate) transmitter_selectors: f64,
}

impl Operations {
    /// All of them.
    pub(crate) fn total(&self) -> f64 {
        let Operations { encoders, local_decoders, joint_decoders, .. } = self;
        encoders + local_decoders + joint_decoders + self.receiver_selectors + self.transmitter_selectors
    }

    /// All counts divided by `parts`: the share of one of `parts` equal parts.
    pub(crate) fn over(self, parts: f64) -> Self {
        Operations {
            encoders: self.encoders / parts,
            local_decoders: self.local_decoders / parts,
            joint_decoders: self.joint_decoders / parts,
            receiver_selectors: self.receiver_selectors / parts,
            transmitter_selectors: self.transmitter_selectors / parts,
        }
    }
}

/// Operations of one training round.
///
/// # Errors
/// For a kind of network that this program does not know.
pub(crate) fn round(scenario: &Scenario, info: &Info, chosen: &Chosen) -> Result<Operations, NodeError> {
    let (d, samples, ticks) = (
        scenario.network.feature_dim,
        scenario.train.samples_per_tick as f64,
        scenario.train.ticks_per_round as f64,
    );
    let modalities = scenario.transmitter.iter().enumerate();
    let modalities = modalities.flat_map(|(k, node)| node.modalities.iter().map(move |name| (k, name)));
    let mut encoders = 0.0;
    for ((k, modality), (entries, encoded)) in modalities.zip(chosen.granted.iter().zip(&chosen.encoded)) {
        let modules = node::encoder(scenario, k, modality, &axes(info, modality))?;
        let seen = samples * encoded;
        // What knows no receiver is encoded once for all.
        let rows = if scenario.network.multicast { seen } else { samples * entries };
        // The trunk learns from the gradient of the head's input.
        let learns = modules.trunk.is_some();
        let given = (modules.head.inputs() - scenario.task_inputs(k)) as f64 / scenario.places() as f64;
        encoders += operations(modules.head.as_ref(), rows, seen * given, learns);
        encoders += modules.trunk.map_or(0.0, |trunk| trunk.operations(seen, seen, false));
    }
    // The entries are spread evenly over the receivers.
    let entries = chosen.granted.iter().sum::<f64>() / scenario.receivers() as f64;
    let features = samples * entries * d as f64;
    let (mut local_decoders, mut joint_decoders) = (0.0, 0.0);
    for (t, receiver) in scenario.receiver.iter().enumerate() {
        let (task, outputs) = (&receiver.task, outputs(info, &receiver.task));
        let gains = scenario.gains_at_receiver(t);
        let (local, joint) = ((2 * d + gains.min(1), outputs), (scenario.joint_inputs(t), outputs));
        local_decoders += step(&scenario.local(task), local, samples * entries, features, true)?;
        joint_decoders += step(&scenario.joint(task), joint, ticks * samples, features, true)?;
    }
    let [receiver_selectors, transmitter_selectors] = selectors(scenario, chosen)?;
    Ok(Operations { encoders, local_decoders, joint_decoders, receiver_selectors, transmitter_selectors })
}

/// Operations of the receivers' selectors, and of the transmitters'.
fn selectors(scenario: &Scenario, chosen: &Chosen) -> Result<[f64; 2], NodeError> {
    if !scenario.has_selectors() {
        return Ok([0.0; 2]);
    }
    let (d, ticks) = (scenario.network.feature_dim, scenario.train.ticks_per_round as f64);
    let each = |shape: (usize, usize), rows: f64| {
        step(&scenario.selector(), shape, rows, rows * shape.0 as f64, false)
    };
    let (mut of_receivers, mut of_transmitters) = (0.0, 0.0);
    if scenario.train.requests == Requests::Learned {
        let outputs = scenario.receiver_limit() + scenario.transmitters();
        for t in 0..scenario.receivers() {
            of_receivers += each((d + scenario.gains_at_receiver_selector(t), outputs), ticks)?;
        }
    }
    for (k, requested) in chosen.requested.iter().enumerate() {
        let inputs = 2 * d + scenario.gains_at_transmitter_selector(k);
        of_transmitters += each((inputs, 2 * scenario.modalities(k)), *requested)?;
    }
    Ok([of_receivers, of_transmitters])
}

/// Operations of a training step of a network with these numbers of inputs and outputs over `rows` rows, whose inputs
/// have `values` values that neither repeat nor are zero.
fn step(
    described: &Described,
    (inputs, outputs): (usize, usize),
    rows: f64,
    values: f64,
    to_input: bool,
) -> Result<f64, NodeError> {
    Ok(operations(node::module(described, &[inputs], outputs)?.as_ref(), rows, values, to_input))
}

fn operations(module: &dyn Module, rows: f64, values: f64, to_input: bool) -> f64 {
    module.operations(rows, values / module.inputs() as f64, to_input)
}

/// The axes of a sample of a modality, which the data set must know.
pub(crate) fn axes(info: &Info, modality: &str) -> Vec<usize> {
    let known = info.modalities.iter().find(|known| known.name == modality);
    known.map_or(vec![0], |known| known.shape.clone())
}

/// The classes of a task, or its values.
pub(crate) fn outputs(info: &Info, task: &str) -> usize {
    info.tasks.iter().find(|known| known.name == task).map_or(0, |known| known.classes)
}
