//! The floating-point operations that a round cannot do without, counted from the scenario and the grants.
//!
//! Counted are the matrix products of the networks that take part: forward, and backward once for the weights and once
//! for the inputs where somebody needs them (nobody needs the gradient of raw data, u or embeddings). Receivers that get
//! the same sample share its first linear maps; where nothing is granted, a joint decoder has nothing to multiply; a
//! selector looks at what is asked for; embeddings go through the first maps once, which counts as nothing. A product
//! and an addition count as two operations. Elementwise work, rates, losses and optimizer steps are not counted.

use data::Info;
use dib::network::SIZES;
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
            samples * (encoded * first_maps(width(info, modality), 2) + entries * other_maps(coded))
        })
        .sum();
    let entries: f64 = chosen.granted.iter().sum();
    // All receivers' entries are spread over local decoders of (nearly) the same size.
    let outputs = outputs(scenario, info);
    let mean_outputs = outputs.iter().sum::<usize>() as f64 / outputs.len() as f64;
    let local_decoders = entries * samples * (first_maps(d, 3) + other_maps(mean_outputs.round() as usize));
    let joint_decoders = entries * samples * first_maps(d, 3)
        + outputs.iter().map(|outputs| ticks * samples * other_maps(*outputs)).sum::<f64>();
    let [receiver_selectors, transmitter_selectors] = selectors(scenario, chosen);
    Operations { encoders, local_decoders, joint_decoders, receiver_selectors, transmitter_selectors }
}

/// Those of the receivers, and those of the transmitters.
fn selectors(scenario: &Scenario, chosen: &Chosen) -> [f64; 2] {
    if !scenario.train.method.selects() {
        return [0.0; 2];
    }
    let (d, ticks) = (scenario.network.feature_dim, scenario.train.ticks_per_round as f64);
    let row = |inputs: usize, outputs: usize| first_maps(inputs, 2) + other_maps(outputs);
    let of_receivers =
        scenario.receivers() as f64 * ticks * row(d, scenario.receiver_limit() + scenario.transmitters());
    let of_transmitter = |(k, asked): (usize, &f64)| asked * row(2 * d, 2 * scenario.modalities(k));
    [of_receivers, chosen.asked.iter().enumerate().map(of_transmitter).sum()]
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

/// Operations of a row in a base network's first linear maps, layer and shortcut: `passes` are 2 with the weights'
/// gradient, 3 with the input's too.
fn first_maps(inputs: usize, passes: usize) -> f64 {
    2.0 * (passes * 2 * inputs * SIZES[0]) as f64
}

/// Operations of a row in all its other maps, forward and backward.
fn other_maps(outputs: usize) -> f64 {
    let [large, small] = SIZES;
    2.0 * (3 * (large * large + 2 * large * small + small * small + small * outputs)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 220 -> 512 -> 256 -> 48, by hand: 0.827 million products forward.
    #[test]
    fn a_row_needs_what_its_layers_need() {
        let forward = 220 * 512 * 2 + 512 * 512 + 512 * 256 * 2 + 256 * 256 + 256 * 48;
        assert_eq!(first_maps(220, 3) + other_maps(48), (6 * forward) as f64);
        assert_eq!(first_maps(220, 3) - first_maps(220, 2), (4 * 220 * 512) as f64);
    }
}
