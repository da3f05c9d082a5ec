//! Whether the files that networks begin with fit them.

use data::Info;
use node::{EncoderModules, NodeError, WeightFiles};
use scenario::{Scenario, SelectedBy};

use crate::bench::flops;

/// Checks the tensors of all files of parameters against the networks of all nodes, as the nodes do when they join.
pub(super) fn check(scenario: &Scenario, info: &Info) -> Result<(), NodeError> {
    let (files, d) = (WeightFiles::of_all(scenario)?, scenario.network.feature_dim);
    for (k, transmitter) in scenario.transmitter.iter().enumerate() {
        for (m, modality) in transmitter.modalities.iter().enumerate() {
            let described = scenario.encoder(modality);
            let modules = node::encoder(scenario, k, modality, &flops::axes(info, modality))?;
            let EncoderModules { trunk, head } = modules;
            let name = format!("transmitter{k}/encoder{m}");
            match trunk {
                Some(trunk) => {
                    files.values(&described, &format!("transmitter{k}/trunk{m}"), trunk.layout())?;
                    files.values(&described.head(), &name, head.layout())?;
                }
                None => drop(files.values(&described, &name, head.layout())?),
            }
        }
    }
    for (t, receiver) in scenario.receiver.iter().enumerate() {
        let (outputs, gains) = (flops::outputs(info, &receiver.task), scenario.gains_at_receiver(t));
        let decoders = [
            ("joint", scenario.joint(&receiver.task), scenario.joint_inputs(t)),
            ("local", scenario.local(&receiver.task), 2 * d + gains.min(1)),
        ];
        for (part, described, inputs) in decoders {
            let module = node::module(&described, &[inputs], outputs)?;
            files.values(&described, &format!("receiver{t}/{part}"), module.layout())?;
        }
    }
    if scenario.train.method.is_partial() && scenario.train.selection == SelectedBy::Learned {
        check_selectors(scenario, &files)?;
    }
    Ok(())
}

fn check_selectors(scenario: &Scenario, files: &WeightFiles) -> Result<(), NodeError> {
    let (described, d) = (scenario.selector(), scenario.network.feature_dim);
    let check = |name: String, inputs: usize, outputs: usize| {
        let module = node::module(&described, &[inputs], outputs)?;
        files.values(&described, &name, module.layout())?;
        Ok::<_, NodeError>(())
    };
    for k in 0..scenario.transmitters() {
        let modalities = scenario.modalities(k);
        let outputs = scenario.transmitter_limit(k).min(modalities) + modalities;
        let inputs = 2 * d + scenario.gains_at_transmitter_selector(k);
        check(format!("transmitter{k}/selector"), inputs, outputs)?;
    }
    let outputs = scenario.receiver_limit() + scenario.transmitters();
    (0..scenario.receivers()).try_for_each(|t| {
        check(format!("receiver{t}/selector"), d + scenario.gains_at_receiver_selector(t), outputs)
    })
}
