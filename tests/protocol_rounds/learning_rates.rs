//! Coders and selectors step by learning rates of their own: their ratio is the scenario's to choose.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use crate::rounds::{play, save, train};
use crate::setup_with;
use crate::support::local_network::{Shuffled, Snapshot};

#[test]
fn the_first_step_is_as_long_as_the_learning_rate_of_its_kind_of_network() {
    // Ratios of selection to coding from 4 : 1 to 1 : 16, and nothing at all.
    for (coding, selection) in [(1e-3, 4e-3), (1e-3, 5e-4), (1.6e-3, 1e-4), (1e-3, 0.0), (0.0, 1e-3)] {
        let rates = [format!("train.coding_rate={coding:e}"), format!("train.selection_rate={selection:e}")];
        let setup = setup_with(&rates.each_ref().map(String::as_str));
        let network = play(&setup, None, &[save(0), train(1), save(1)], &mut Shuffled::new(0));

        let (before, after) = (tensors(&network.snapshots[&0]), tensors(&network.snapshots[&1]));
        let (mut coders, mut selectors) = (0f64, 0f64);
        for (name, tensor) in before.iter().filter(|(name, _)| node::is_parameter(name)) {
            let moved = (tensor - &after[name]).unwrap().abs().unwrap().flatten_all().unwrap();
            let longest = f64::from(moved.max(0).unwrap().to_scalar::<f32>().unwrap());
            let kind = if name.contains("/selector/") { &mut selectors } else { &mut coders };
            *kind = longest.max(*kind);
        }
        // The first step of Adam is the rate, whatever the gradient is.
        for (longest, rate) in [(coders, coding), (selectors, selection)] {
            assert!((longest - rate).abs() <= 1e-2 * rate, "a step of {longest}, at a rate of {rate}");
        }
    }
}

fn tensors(snapshot: &Snapshot) -> HashMap<String, Tensor> {
    snapshot.values().flat_map(|state| node::unpack_state(state, &Device::Cpu).unwrap()).collect()
}
