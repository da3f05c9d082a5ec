//! The floating-point operations that a round cannot do without, counted from the scenario and the grants.
//!
//! Counted are the matrix products of the networks that take part: forward, and backward once for the weights and once
//! for the inputs where somebody needs them (nobody needs the gradient of raw data, u or embeddings). A product and an
//! addition count as two operations. Elementwise work, rates, losses and optimizer steps are not counted.

use data::Info;
use dib::network::SIZES;
use scenario::Scenario;

/// Operations of one training round; `granted[(k, m)]` is the number of entries of the round, all receivers together.
pub(crate) fn round(scenario: &Scenario, info: &Info, granted: &[f64]) -> f64 {
    let (d, samples, ticks) = (
        scenario.network.feature_dim,
        scenario.train.samples_per_tick as f64,
        scenario.train.ticks_per_round as f64,
    );
    let modalities = scenario.transmitter.iter().flat_map(|transmitter| &transmitter.modalities);
    let encoders: f64 = modalities
        .zip(granted)
        .map(|(modality, entries)| entries * samples * learning(width(info, modality) + d, 2 * d, false))
        .sum();
    let entries: f64 = granted.iter().sum();
    // All receivers' entries are spread over local decoders of (nearly) the same size.
    let outputs = outputs(scenario, info);
    let mean_outputs = outputs.iter().sum::<usize>() as f64 / outputs.len() as f64;
    let local = entries * samples * learning(2 * d, mean_outputs.round() as usize, true);
    let joint_inputs = scenario.entries_per_receiver() * d;
    let joint: f64 =
        outputs.iter().map(|outputs| ticks * samples * learning(joint_inputs, *outputs, true)).sum();
    encoders + local + joint + selectors(scenario)
}

fn selectors(scenario: &Scenario) -> f64 {
    if !scenario.train.method.selects() {
        return 0.0;
    }
    let (d, ticks) = (scenario.network.feature_dim, scenario.train.ticks_per_round as f64);
    let receivers = scenario.receivers() as f64;
    let of_receivers =
        receivers * ticks * learning(d, scenario.receiver_limit() + scenario.transmitters(), false);
    let of_transmitters: f64 = (0..scenario.transmitters())
        .map(|k| ticks * receivers * learning(2 * d, 2 * scenario.modalities(k), false))
        .sum();
    of_receivers + of_transmitters
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
