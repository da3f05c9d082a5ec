use std::{collections::BTreeSet, fmt::Write};

use data::Info;
use dib::{Module, nn::LayerSummary};
use node::NodeError;
use scenario::{Described, Scenario, SelectedBy};
use serde_json::{Value, json};

use crate::bench::flops;

/// Bytes of a parameter: value, gradient, and both moments, f32.
const BYTES_OF_PARAMETER: usize = 16;
const BYTES_OF_VALUE: usize = 4;

/// A network, or several identical ones.
pub(super) struct Listed {
    /// Their names.
    pub(super) what: String,
    described: Described,
    /// The axes of the input.
    axes: Vec<usize>,
    /// The axes that it sees.
    seen: Vec<usize>,
    outputs: usize,
    layers: Vec<LayerSummary>,
}

impl Listed {
    fn new(what: String, described: &Described, axes: &[usize], outputs: usize) -> Result<Self, NodeError> {
        let layers = node::layers(described, axes, outputs)?;
        let seen = node::seen(described, axes)?;
        Ok(Listed { what, described: described.clone(), axes: axes.to_vec(), seen, outputs, layers })
    }

    /// Its module.
    pub(super) fn module(&self) -> Result<Box<dyn Module>, NodeError> {
        node::module(&self.described, &self.axes, self.outputs)
    }

    fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    fn operations(&self) -> f64 {
        self.layers.iter().map(|layer| layer.operations).sum()
    }

    fn kept(&self) -> usize {
        self.layers.iter().map(|layer| layer.kept).sum()
    }

    pub(super) fn to_json(&self, error: Option<f64>) -> Value {
        let layer = |layer: &LayerSummary| {
            json!({
                "layer": layer.number,
                "kind": layer.kind,
                "shape": layer.output,
                "parameters": layer.parameters,
                "operations": layer.operations,
            })
        };
        let mut told = json!({
            "network": self.what,
            "key": self.described.key,
            "kind": self.described.model.kind.name(),
            "train": self.described.model.train,
            "weights": self.described.model.weights.as_ref().map(|weights| &weights.path),
            "shape": self.seen,
            "outputs": self.outputs,
            "layers": self.layers.iter().map(layer).collect::<Vec<Value>>(),
            "parameters": self.parameters(),
            "operations": self.operations(),
            "bytes": self.parameters() * BYTES_OF_PARAMETER,
            "bytes_per_sample": self.kept() * BYTES_OF_VALUE,
        });
        if let Some(error) = error {
            told["gradient_error"] = json!(error);
        }
        told
    }

    pub(super) fn to_text(&self, error: Option<f64>) -> String {
        let Described { key, model } = &self.described;
        let mut text = format!("{} ({key}, {}", self.what, model.kind.name());
        if let Some(weights) = &model.weights {
            let _ = write!(text, ", begins with {}", weights.path.display());
        }
        text += if model.train { ")\n" } else { ", does not learn)\n" };
        let mut line = |name: &str, kind: &str, shape: &[usize], parameters: usize, operations: f64| {
            let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            let _ = writeln!(
                text,
                "  {name:<8} {kind:<24} {shape:>16} {parameters:>12} parameters {:>12.1} kFLOP",
                // An empty sum is -0.
                operations.abs() / 1e3
            );
        };
        line("input", "", &self.seen, 0, 0.0);
        for layer in &self.layers {
            line(&layer.number, &layer.kind, &layer.output, layer.parameters, layer.operations);
        }
        line("all", "", &[self.outputs], self.parameters(), self.operations());
        let mega = |bytes: usize| bytes as f64 / 1e6;
        let (bytes, kept) = (self.parameters() * BYTES_OF_PARAMETER, self.kept() * BYTES_OF_VALUE);
        let _ =
            writeln!(text, "  {:.2} MB, and {:.1} kB a sample in training", mega(bytes), kept as f64 / 1e3);
        if let Some(error) = error {
            let _ = writeln!(text, "  gradients: at most {error:.1e} off their finite differences");
        }
        text
    }
}

/// All networks of a scenario, with identical ones listed once.
pub(super) fn listed(scenario: &Scenario, info: &Info) -> Result<Vec<Listed>, NodeError> {
    let d = scenario.network.feature_dim;
    let mut all = Vec::new();
    let modalities = scenario.transmitter.iter().flat_map(|node| &node.modalities);
    let most = |of: &dyn Fn(usize) -> usize, count: usize| (0..count).map(of).max().unwrap_or(0);
    let at_transmitter = most(&|k| scenario.gains_at_transmitter(k), scenario.transmitters());
    let at_receiver = most(&|t| scenario.gains_at_receiver(t), scenario.receivers());
    for modality in modalities.collect::<BTreeSet<_>>() {
        let (described, axes) = (scenario.encoder(modality), flops::axes(info, modality));
        let coded = node::encoder_kind(scenario)?.outputs(d);
        let what = format!("encoder of {modality}");
        match described.model.outputs {
            Some(seen) => {
                all.push(Listed::new(format!("{what}: trunk"), &described, &axes, seen)?);
                let head = [scenario.places() * seen + d + at_transmitter];
                all.push(Listed::new(format!("{what}: head"), &described.head(), &head, coded)?);
            }
            None => {
                let inputs = axes.iter().product::<usize>() + d + at_transmitter;
                all.push(Listed::new(what, &described, &[inputs], coded)?);
            }
        }
    }
    for task in scenario.receiver.iter().map(|node| &node.task).collect::<BTreeSet<_>>() {
        let outputs = flops::outputs(info, task);
        all.push(Listed::new(
            format!("joint decoder of {task}"),
            &scenario.joint(task),
            &[most(&|t| scenario.joint_inputs(t), scenario.receivers())],
            outputs,
        )?);
        let inputs = [2 * d + at_receiver.min(1)];
        all.push(Listed::new(format!("local decoder of {task}"), &scenario.local(task), &inputs, outputs)?);
    }
    if scenario.train.method.is_partial() && scenario.train.selection == SelectedBy::Learned {
        let outputs = scenario.receiver_limit() + scenario.transmitters();
        all.push(Listed::new(
            "selectors of receivers".into(),
            &scenario.selector(),
            &[d + at_receiver],
            outputs,
        )?);
        let outputs = |k: usize| {
            let modalities = scenario.modalities(k);
            scenario.transmitter_limit(k).min(modalities) + modalities
        };
        for outputs in (0..scenario.transmitters()).map(outputs).collect::<BTreeSet<_>>() {
            let what = format!("selectors of transmitters, {outputs} logits");
            all.push(Listed::new(what, &scenario.selector(), &[2 * d + at_transmitter], outputs)?);
        }
    }
    Ok(all)
}
