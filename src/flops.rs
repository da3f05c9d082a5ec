//! The floating-point operations that a round cannot do without, counted from the scenario and the grants.
//!
//! Counted are the matrix products of the networks that take part: forward, and backward once for the weights and once
//! for the inputs where somebody needs them (nobody needs the gradient of raw data, u or embeddings). Receivers that get
//! the same sample share its first linear maps; where nothing is granted, a joint decoder has nothing to multiply; a
//! selector looks at what is asked for; embeddings go through the first maps once, which counts as nothing. A product
//! and an addition count as two operations. Elementwise work, rates, losses and optimizer steps are not counted.

use data::Info;
use dib::{Module, ResidualMlp};
use scenario::Scenario;
use serde::Serialize;

use crate::logged::Chosen;

/// Operations of a training round, by the networks that need them.
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

    /// Each of them, so many times smaller: the share of one of `parts` equal parts.
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
pub(crate) fn round(scenario: &Scenario, info: &Info, chosen: &Chosen) -> Operations {
    let (d, samples, ticks) = (
        scenario.network.feature_dim,
        scenario.train.samples_per_tick as f64,
        scenario.train.ticks_per_round as f64,
    );
    let modalities = scenario.transmitter.iter().flat_map(|transmitter| &transmitter.modalities);
    let coded = node::coding(&scenario.train).outputs(d);
    let encoders = modalities
        .zip(chosen.granted.iter().zip(&chosen.encoded))
        .map(|(modality, (entries, encoded))| {
            let width = width(info, modality);
            step((width + d, coded), samples * entries, samples * encoded * width as f64, false)
        })
        .sum();
    let entries: f64 = chosen.granted.iter().sum();
    let features = samples * entries * d as f64;
    // All receivers' entries are spread over local decoders of (nearly) the same size.
    let outputs = outputs(scenario, info);
    let mean_outputs = outputs.iter().sum::<usize>() as f64 / outputs.len() as f64;
    let local_decoders = step((2 * d, mean_outputs.round() as usize), samples * entries, features, true);
    let joint = scenario.entries_per_receiver() * d;
    let of_joint = |outputs: &usize| {
        step((joint, *outputs), ticks * samples, features / scenario.receivers() as f64, true)
    };
    let joint_decoders = outputs.iter().map(of_joint).sum();
    let [receiver_selectors, transmitter_selectors] = selectors(scenario, chosen);
    Operations { encoders, local_decoders, joint_decoders, receiver_selectors, transmitter_selectors }
}

/// Those of the receivers, and those of the transmitters.
fn selectors(scenario: &Scenario, chosen: &Chosen) -> [f64; 2] {
    if !scenario.train.method.selects() {
        return [0.0; 2];
    }
    let (d, ticks) = (scenario.network.feature_dim, scenario.train.ticks_per_round as f64);
    let each = |shape: (usize, usize), rows: f64| step(shape, rows, rows * shape.0 as f64, false);
    let shape = (d, scenario.receiver_limit() + scenario.transmitters());
    let of_receivers = each(shape, scenario.receivers() as f64 * ticks);
    let of_transmitter = |(k, asked): (usize, &f64)| each((2 * d, 2 * scenario.modalities(k)), *asked);
    [of_receivers, chosen.asked.iter().enumerate().map(of_transmitter).sum()]
}

/// Operations of a training step of a network of so many inputs and outputs: of so many rows, whose inputs hold so many values
/// that neither repeat nor are zero.
fn step((inputs, outputs): (usize, usize), rows: f64, values: f64, to_input: bool) -> f64 {
    ResidualMlp::new(inputs, outputs).operations(rows, values / inputs as f64, to_input)
}

/// Values of a sample of a modality. What the data set does not know, no run is made with.
pub(crate) fn width(info: &Info, modality: &str) -> usize {
    info.modalities.iter().find(|known| known.name == modality).map_or(0, |known| known.width)
}

/// Classes of the receivers' tasks.
fn outputs(scenario: &Scenario, info: &Info) -> Vec<usize> {
    let classes =
        |task: &str| info.tasks.iter().find(|known| known.name == task).map_or(0, |known| known.classes);
    scenario.receiver.iter().map(|receiver| classes(&receiver.task)).collect()
}
