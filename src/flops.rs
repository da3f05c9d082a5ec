//! The floating-point operations that a round cannot do without, counted from the scenario and the grants.
//!
//! Counted are the matrix products of the networks that take part: forward, and backward once for the weights and once
//! for the inputs where somebody needs them (nobody needs the gradient of raw data, u or embeddings). A product and an
//! addition count as two operations. Elementwise work, rates, losses and optimizer steps are not counted.

use data::Info;
use dib::network::SIZES;
use scenario::Scenario;
use serde::Serialize;

/// Operations of a training round, by the networks that need them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Operations {
    pub(crate) encoders: f64,
    pub(crate) local_decoders: f64,
    /// They take all (k, m) features side by side, granted or not.
    pub(crate) joint_decoders: f64,
    pub(crate) receiver_selectors: f64,
    /// They run over the whole grid of ticks and receivers, whoever asked.
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

/// Operations of one training round; `granted[(k, m)]` is the number of entries of the round, all receivers together.
pub(crate) fn round(scenario: &Scenario, info: &Info, granted: &[f64]) -> Operations {
    let (d, samples, ticks) = (
        scenario.network.feature_dim,
        scenario.train.samples_per_tick as f64,
        scenario.train.ticks_per_round as f64,
    );
    let modalities = scenario.transmitter.iter().flat_map(|transmitter| &transmitter.modalities);
    let encoders = modalities
        .zip(granted)
        .map(|(modality, entries)| entries * samples * learning(width(info, modality) + d, 2 * d, false))
        .sum();
    let entries: f64 = granted.iter().sum();
    // All receivers' entries are spread over local decoders of (nearly) the same size.
    let outputs = outputs(scenario, info);
    let mean_outputs = outputs.iter().sum::<usize>() as f64 / outputs.len() as f64;
    let local_decoders = entries * samples * learning(2 * d, mean_outputs.round() as usize, true);
    let joint_inputs = scenario.entries_per_receiver() * d;
    let joint_decoders =
        outputs.iter().map(|outputs| ticks * samples * learning(joint_inputs, *outputs, true)).sum();
    let [receiver_selectors, transmitter_selectors] = selectors(scenario);
    Operations { encoders, local_decoders, joint_decoders, receiver_selectors, transmitter_selectors }
}

/// Those of the receivers, and those of the transmitters.
fn selectors(scenario: &Scenario) -> [f64; 2] {
    if !scenario.train.method.selects() {
        return [0.0; 2];
    }
    let (d, ticks) = (scenario.network.feature_dim, scenario.train.ticks_per_round as f64);
    let receivers = scenario.receivers() as f64;
    let of_receivers =
        receivers * ticks * learning(d, scenario.receiver_limit() + scenario.transmitters(), false);
    let of_transmitters = (0..scenario.transmitters())
        .map(|k| ticks * receivers * learning(2 * d, 2 * scenario.modalities(k), false))
        .sum();
    [of_receivers, of_transmitters]
}

/// Values of a sample of a modality. What the data set does not know, no run is made with.
fn width(info: &Info, modality: &str) -> usize {
    info.modalities.iter().find(|known| known.name == modality).map_or(0, |known| known.width)
}

/// Classes of the receivers' tasks.
fn outputs(scenario: &Scenario, info: &Info) -> Vec<usize> {
    let classes =
        |task: &str| info.tasks.iter().find(|known| known.name == task).map_or(0, |known| known.classes);
    scenario.receiver.iter().map(|receiver| classes(&receiver.task)).collect()
}

/// Operations of a row through a base network: forward, and backward with or without the input's gradient.
fn learning(inputs: usize, outputs: usize, to_input: bool) -> f64 {
    let [large, small] = SIZES;
    let first = 2 * inputs * large;
    let rest = large * large + 2 * large * small + small * small + small * outputs;
    let passes = if to_input { 3 } else { 2 };
    2.0 * (passes * first + 3 * rest) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 220 -> 512 -> 256 -> 48, by hand: 0.827 million products forward.
    #[test]
    fn a_row_through_an_encoder_needs_what_its_layers_need() {
        let forward = 220 * 512 * 2 + 512 * 512 + 512 * 256 * 2 + 256 * 256 + 256 * 48;
        assert_eq!(learning(220, 48, true), (6 * forward) as f64);
        assert_eq!(learning(220, 48, true) - learning(220, 48, false), (4 * 220 * 512) as f64);
    }
}
