//! Coders and selectors have separate learning rates, whose ratio the scenario chooses.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use crate::rounds::{play, save, train};
use crate::setup_with;
use crate::support::local_network::{Shuffled, Snapshot};

#[test]
fn the_first_step_is_as_long_as_the_learning_rate_of_its_kind_of_network() {
    // Ratios of selection to coding from 4 : 1 to 1 : 16, and 0 for either.
    for (coding, selection) in [(1e-3, 4e-3), (1e-3, 5e-4), (1.6e-3, 1e-4), (1e-3, 0.0), (0.0, 1e-3)] {
        let rates = [format!("train.coding_lr={coding:e}"), format!("train.selection_lr={selection:e}")];
        let setup = setup_with(&rates.each_ref().map(String::as_str));
        let network = play(&setup, None, &[save(0), train(1), save(1)], &mut Shuffled::new(0));

        let (before, after) = (tensors(&network.snapshots[&0]), tensors(&network.snapshots[&1]));
        let (mut coders, mut selectors) = (0f64, 0f64);
        for (name, tensor) in before.iter().filter(|(name, _)| node::is_parameter(name)) {
            let kind = if name.contains("/selector/") { &mut selectors } else { &mut coders };
            *kind = longest(&difference(tensor, &after[name])).max(*kind);
        }
        // The first step of Adam has the size of the rate, for any gradient.
        for (longest, rate) in [(coders, coding), (selectors, selection)] {
            assert!((longest - rate).abs() <= 1e-2 * rate, "a step of {longest}, at a rate of {rate}");
        }
    }
}

#[test]
fn in_the_middle_of_a_cool_down_every_step_is_half_as_long() {
    // Of two rounds, both in the cool-down: the first has the full rates, the second half of them.
    let [warm, cool] = [0.0, 1.0].map(|part| {
        let cool_down = format!("train.cool_down={part:?}");
        let setup = setup_with(&["train.rounds=2", "train.coding_lr=1e-3", &cool_down]);
        let network = play(&setup, None, &[save(0), train(2), save(2)], &mut Shuffled::new(0));
        let after_one = play(&setup, None, &[save(0), train(1), save(1)], &mut Shuffled::new(0));
        [tensors(&after_one.snapshots[&1]), tensors(&network.snapshots[&2])]
    });
    for (name, start) in warm[0].iter().filter(|(name, _)| node::is_parameter(name)) {
        assert_eq!(longest(&difference(start, &cool[0][name])), 0.0, "{name}");
        let [warm, cool] = [&warm, &cool].map(|states| difference(&states[1][name], &states[0][name]));
        let left = difference(&warm, &(cool * 2.0).unwrap());
        assert!(longest(&left) <= 1e-3 * longest(&warm), "{name}: {}", longest(&left));
    }
}

fn difference(one: &Tensor, other: &Tensor) -> Tensor {
    (one - other).unwrap()
}

fn longest(moved: &Tensor) -> f64 {
    f64::from(moved.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap())
}

fn tensors(snapshot: &Snapshot) -> HashMap<String, Tensor> {
    snapshot.values().flat_map(|state| node::unpack_state(state, &Device::Cpu).unwrap()).collect()
}
