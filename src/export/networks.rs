//! The networks of a run, with what is known of each.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, bail};
use candle_core::{Device, Tensor};
use coordinator::Trained;
use data::Info;
use dib::nn::LayerSummary;
use scenario::{Described, JointMap, Kind};

use super::{graph::Graph, kinds::Seen, network::Exported};
use crate::bench::flops;

/// What a network is in its run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Of transmitter k, for modality m: with a trunk, the head behind it.
    Encoder(usize, usize),
    /// The part of such an encoder that sees a sample.
    Trunk(usize, usize),
    TransmitterSelector(usize),
    ReceiverSelector(usize),
    Joint(usize),
    Local(usize),
}

/// A network of a run.
pub(super) struct OfRun {
    pub(super) part: Part,
    pub(super) network: Exported,
    pub(super) described: Described,
    /// The axes that come, and those that it sees of them.
    pub(super) axes: [Vec<usize>; 2],
    pub(super) outputs: usize,
    layers: Vec<LayerSummary>,
}

impl OfRun {
    /// Values of a row that goes in.
    pub(super) fn inputs(&self) -> usize {
        self.axes[0].iter().product()
    }

    fn seen(&self) -> Seen<'_> {
        let [axes, seen] = [&self.axes[0], &self.axes[1]];
        Seen {
            network: &self.network,
            described: &self.described,
            given: axes,
            axes: seen,
            layers: &self.layers,
        }
    }

    /// Whether it is of a kind of somebody's own.
    fn is_own(&self) -> bool {
        matches!(self.described.model.kind, Kind::Own { .. })
    }

    /// As ONNX; none of a selector, whose outputs are not what it draws, of a trunk, which is in its encoder's, and of
    /// what has a part of somebody's own kind.
    pub(super) fn graph(&self, trained: &Trained, all: &[OfRun]) -> anyhow::Result<Option<Vec<u8>>> {
        let d = trained.scenario.network.feature_dim;
        let trunk = match self.part {
            Part::Encoder(k, m) => all.iter().find(|of| of.part == Part::Trunk(k, m)),
            _ => None,
        };
        if self.is_own() || trunk.is_some_and(OfRun::is_own) {
            return Ok(None);
        }
        Ok(match self.part {
            Part::Encoder(..) => {
                let kind = node::encoder_kind(&trained.scenario)?;
                let places = trained.scenario.places();
                Some(Graph::of_encoder(trunk.map(OfRun::seen), self.seen(), (places, d), kind)?)
            }
            Part::Joint(_) => Some(Graph::of_decoder(self.seen(), None, self.outputs)?),
            Part::Local(_) => Some(Graph::of_decoder(self.seen(), Some(d), self.outputs)?),
            Part::Trunk(..) | Part::TransmitterSelector(_) | Part::ReceiverSelector(_) => None,
        })
    }
}

/// All networks of a run: transmitters' first.
pub(super) fn networks(trained: &Trained, data: Option<PathBuf>) -> anyhow::Result<Vec<OfRun>> {
    let (scenario, d) = (&trained.scenario, trained.scenario.network.feature_dim);
    if scenario.network.see_channel {
        bail!(
            "network.see_channel: networks that are given gains cannot be exported; those of a run without it can"
        );
    }
    if scenario.network.mask {
        bail!(
            "network.mask: joint decoders that are told which entries have come cannot be exported; those of a run without it can"
        );
    }
    if scenario.network.joint_map == JointMap::Shared {
        bail!(
            "network.joint_map: joint decoders whose entries share a map cannot be exported; those of a run with \"own\" can"
        );
    }
    if scenario.network.multicast {
        bail!(
            "network.multicast: encoders that know no receiver cannot be exported yet; those of a run without it can"
        );
    }
    if scenario.train.coding() == scenario::Coding::Own {
        bail!(
            "train.coding: encoders whose features a program of your own codes cannot be exported; those of a run with a built-in coding can"
        );
    }
    let kind = node::encoder_kind(scenario)?;
    let mut shapes = Shapes { trained, data, known: None };
    let mut all = Vec::new();
    let mut add = |part, name: &str, state: &HashMap<String, Tensor>, described: Described, axes, outputs| {
        let axes: Vec<usize> = axes;
        let layers = node::layers(&described, &axes, outputs)?;
        let axes = [axes.clone(), node::seen(&described, &axes)?];
        all.push(OfRun { part, network: Exported::new(name, state)?, described, axes, outputs, layers });
        anyhow::Ok(())
    };
    let is_selected = scenario.has_selectors();
    for (k, state) in trained.transmitters.iter().enumerate() {
        let state = node::unpack_state(state, &Device::Cpu)?;
        for (m, modality) in scenario.transmitter[k].modalities.iter().enumerate() {
            let (described, coded) = (scenario.encoder(modality), kind.outputs(d));
            let name = format!("transmitter{k}/encoder{m}");
            let Some(seen) = described.model.outputs else {
                let width = match &described.model.kind {
                    Kind::Own { .. } => scenario.head_inputs(k, shapes.of(modality)?.iter().product()),
                    _ => first_axis(&state, &format!("{name}/block1.w1"))?,
                };
                add(Part::Encoder(k, m), &name, &state, described, vec![width], coded)?;
                continue;
            };
            let axes = match &described.model.shape {
                Some(shape) if described.model.order.is_none() => shape.clone(),
                _ => shapes.of(modality)?,
            };
            let trunk = format!("transmitter{k}/trunk{m}");
            add(Part::Trunk(k, m), &trunk, &state, described.clone(), axes, seen)?;
            add(
                Part::Encoder(k, m),
                &name,
                &state,
                described.head(),
                vec![scenario.head_inputs(k, seen)],
                coded,
            )?;
        }
        if is_selected {
            let modalities = scenario.modalities(k);
            let outputs = scenario.transmitter_limit(k).min(modalities) + modalities;
            let name = format!("transmitter{k}/selector");
            let part = Part::TransmitterSelector(k);
            add(part, &name, &state, scenario.selector(), vec![2 * d], outputs)?;
        }
    }
    for (t, state) in trained.receivers.iter().enumerate() {
        let state = node::unpack_state(state, &Device::Cpu)?;
        let task = &scenario.receiver[t].task;
        for (part, name, described, inputs) in [
            (Part::Joint(t), "joint", scenario.joint(task), scenario.entries_per_receiver() * d),
            (Part::Local(t), "local", scenario.local(task), 2 * d),
        ] {
            let name = format!("receiver{t}/{name}");
            let outputs = match first_axis(&state, &format!("{name}/{}", last_bias(&described))) {
                Ok(outputs) => outputs,
                // How a kind of somebody's own calls its parameters, it alone knows.
                Err(_) => shapes.outputs(task)?,
            };
            add(part, &name, &state, described, vec![inputs], outputs)?;
        }
        if is_selected {
            let outputs = scenario.receiver_limit() + scenario.transmitters();
            let name = format!("receiver{t}/selector");
            add(Part::ReceiverSelector(t), &name, &state, scenario.selector(), vec![d], outputs)?;
        }
    }
    Ok(all)
}

/// The last bias of a network of a built-in kind: it has as many numbers as come out.
fn last_bias(described: &Described) -> &'static str {
    match described.model.kind {
        Kind::ResidualMlp { .. } => "linear.b",
        _ => "output.b",
    }
}

fn first_axis(state: &HashMap<String, Tensor>, name: &str) -> anyhow::Result<usize> {
    let tensor = state.get(name).with_context(|| format!("the checkpoint has no tensor \"{name}\""))?;
    Ok(tensor.dims().first().copied().unwrap_or(1))
}

/// What is known of the data, once that is asked for.
struct Shapes<'a> {
    trained: &'a Trained,
    data: Option<PathBuf>,
    known: Option<Info>,
}

impl Shapes<'_> {
    fn info(&mut self) -> anyhow::Result<&Info> {
        if self.known.is_none() {
            let source = node::data_source(&self.trained.scenario, self.data.clone())?;
            self.known = Some(source.info()?);
        }
        Ok(self.known.as_ref().expect("it was read just now"))
    }

    /// The axes of a modality's samples.
    fn of(&mut self, modality: &str) -> anyhow::Result<Vec<usize>> {
        Ok(flops::axes(self.info()?, modality))
    }

    /// How many values a task's decoder gives.
    fn outputs(&mut self, task: &str) -> anyhow::Result<usize> {
        Ok(flops::outputs(self.info()?, task))
    }
}
