//! The networks that a scenario describes. (`scenario` and `dib` are leaves and do not depend on each other.)

use std::collections::BTreeSet;

use candle_core::DType;
use dib::{
    Channel, Module, Network, initial_weights,
    nn::{self, Architecture, LayerSummary},
    receiver_embedding,
};
use randomness::Seed;
use scenario::{Described, Kind, Layer, Scenario, ScenarioError, TaskInput};

use crate::{
    Context, NodeError, OwnPolicy,
    described::own_channel::check_channel_kinds,
    described::own_coding::check_coding,
    described::own_kind::{build_own, kind_names},
    described::own_policy::check_policy_name,
};

/// The modules of an encoder.
pub struct EncoderModules {
    /// Maps a sample to the head's input; none where the head takes the sample itself.
    pub trunk: Option<Box<dyn Module>>,
    /// Maps that input and the task input to the coding's outputs.
    pub head: Box<dyn Module>,
}

/// The encoder of transmitter k for a modality whose samples have these axes.
///
/// # Errors
/// For an unknown kind of network, or one that does not fit the samples.
pub fn encoder(
    scenario: &Scenario,
    k: usize,
    modality: &str,
    axes: &[usize],
) -> Result<EncoderModules, NodeError> {
    let described = scenario.encoder(modality);
    let outputs = crate::encoder_kind(scenario)?.outputs(scenario.network.feature_dim);
    let Some(seen) = described.model.outputs else {
        let inputs = scenario.head_inputs(k, axes.iter().product());
        return Ok(EncoderModules { trunk: None, head: module(&described, &[inputs], outputs)? });
    };
    let trunk = module(&described, axes, seen)?;
    let head = module(&described.head(), &[scenario.head_inputs(k, seen)], outputs)?;
    Ok(EncoderModules { trunk: Some(trunk), head })
}

/// The task inputs of encoders: one row of feature_dim values for each receiver. Never trained. Under multicast they
/// are zeros, so that networks keep their shapes and initial weights.
pub fn task_inputs(scenario: &Scenario, seed: Seed) -> Vec<Vec<f32>> {
    if scenario.network.multicast {
        return vec![vec![0.0; scenario.network.feature_dim]; scenario.receivers()];
    }
    let scale = match scenario.train.task_input {
        TaskInput::Embedding => 1.0,
        // The embeddings' standard deviation is a tenth.
        TaskInput::Scaled | TaskInput::Film | TaskInput::Output => 10.0,
    };
    let embedding = |t| receiver_embedding(seed, t, scenario.network.feature_dim);
    let scaled = |t| embedding(t).into_iter().map(|value| scale * value).collect();
    (0..scenario.receivers()).map(scaled).collect()
}

/// A network of the scenario, from rows with these axes to `outputs` values.
///
/// # Errors
/// For an unknown kind of network, or one that does not fit the rows.
pub fn module(described: &Described, axes: &[usize], outputs: usize) -> Result<Box<dyn Module>, NodeError> {
    let seen = seen(described, axes)?;
    let module = match architecture(&described.model.kind) {
        Ok(architecture) => architecture.build(&seen, outputs).map_err(misfit(described))?,
        Err(own) => own_module(described, own, &seen, outputs)?,
    };
    Ok(match &described.model.order {
        Some(order) => Box::new(nn::Ordered::new(module, axes.to_vec(), order.clone())),
        None => module,
    })
}

/// A network of a node, with the parameters that it begins with.
///
/// # Errors
/// A file of parameters that does not fit it.
pub fn network(
    context: &Context,
    described: &Described,
    name: &str,
    module: Box<dyn Module>,
) -> Result<Network, NodeError> {
    let drawn = initial_weights(context.seed, name);
    let mut network = Network::new(name, module, drawn, DType::F32, &context.device)?;
    if let Some(values) = context.weights.values(described, name, network.module().layout())? {
        network.begin_with(&values)?;
    }
    if !described.model.train {
        network.freeze();
    }
    Ok(network)
}

/// The libraries beside this program with which networks, channels and a policy compute, each once, in order.
pub fn libraries<'a>(
    networks: impl Iterator<Item = &'a Network>,
    channels: impl Iterator<Item = &'a dyn Channel<f32>>,
    policy: Option<&OwnPolicy>,
) -> Vec<String> {
    let of_networks = networks.flat_map(|network| network.module().libraries());
    let of_channels = channels.flat_map(Channel::libraries);
    let of_policy = policy.into_iter().flat_map(OwnPolicy::libraries);
    of_networks.chain(of_channels).chain(of_policy).collect::<BTreeSet<String>>().into_iter().collect()
}

/// What each layer of a network does to a row.
///
/// # Errors
/// As [`module`].
pub fn layers(described: &Described, axes: &[usize], outputs: usize) -> Result<Vec<LayerSummary>, NodeError> {
    let axes = seen(described, axes)?;
    match architecture(&described.model.kind) {
        Ok(architecture) => Ok(architecture.describe(&axes, outputs).map_err(misfit(described))?),
        Err(own) => {
            let module = own_module(described, own, &axes, outputs)?;
            let parameters = module.layout().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            // The forward pass is a third of a training step.
            let operations = module.operations(1.0, 1.0, true) / 3.0;
            // Only the module knows what it stores.
            let (number, kind) = ("1".to_owned(), own.name.to_owned());
            Ok(vec![LayerSummary { number, kind, output: vec![outputs], parameters, operations, kept: 0 }])
        }
    }
}

/// A kind of network that a user's program has added.
#[derive(Clone, Copy)]
struct Own<'a> {
    name: &'a str,
    keys: &'a scenario::OwnKeys,
}

fn own_module(
    described: &Described,
    Own { name, keys }: Own<'_>,
    axes: &[usize],
    outputs: usize,
) -> Result<Box<dyn Module>, NodeError> {
    let key = &described.key;
    match build_own(name, keys, axes, outputs) {
        Some(built) => built.map_err(|line| ScenarioError::invalid(format!("{key}:"), line).into()),
        None => Err(ScenarioError::invalid(format!("{key}.kind"), unknown(name)).into()),
    }
}

/// The error for a network that does not fit, at the key of its table or list of layers.
fn misfit(described: &Described) -> impl Fn(nn::Misfit) -> ScenarioError {
    |misfit| {
        let list = if misfit.layer.is_some() { ".layers" } else { "" };
        ScenarioError::invalid(format!("{}{list}:", described.key), misfit.to_string())
    }
}

/// The axes that a network sees of what comes with others: in its order, and then with its shape.
///
/// # Errors
/// What does not fit.
pub fn seen(described: &Described, axes: &[usize]) -> Result<Vec<usize>, ScenarioError> {
    let ordered = match &described.model.order {
        Some(order) if order.len() != axes.len() => {
            let what = format!("has {} axes, but what comes is {}", order.len(), by(axes));
            return Err(ScenarioError::invalid(format!("{}.order", described.key), what));
        }
        Some(order) => order.iter().map(|&axis| axes[axis]).collect(),
        None => axes.to_vec(),
    };
    match &described.model.shape {
        Some(shape) => Ok(reshaped(&described.key, shape, &ordered)?.to_vec()),
        None => Ok(ordered),
    }
}

fn by(axes: &[usize]) -> String {
    axes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

/// The axes that a scenario gives to what has others.
fn reshaped<'a>(key: &str, shape: &'a [usize], axes: &[usize]) -> Result<&'a [usize], ScenarioError> {
    let size = |axes: &[usize]| axes.iter().try_fold(1usize, |size, &axis| size.checked_mul(axis));
    if size(shape) == size(axes) {
        return Ok(shape);
    }
    let what = format!("is {}, but what comes is {}: give axes with as many values", by(shape), by(axes));
    Err(ScenarioError::invalid(format!("{key}.shape"), what))
}

/// Checks that this program knows the kinds of all networks and channels of the scenario, its coding and its policy.
///
/// # Errors
/// If one is unknown: the key, and its possible values.
pub fn check_kinds(scenario: &Scenario) -> Result<(), ScenarioError> {
    for Described { key, model } in scenario.models() {
        if !kind_names().contains(&model.kind.name()) {
            return Err(ScenarioError::invalid(format!("{key}.kind"), unknown(model.kind.name())));
        }
    }
    check_channel_kinds(scenario)?;
    check_coding(scenario)?;
    check_policy_name(scenario)
}

/// The kind as a value of `dib`, if it is built in.
fn architecture(kind: &Kind) -> Result<Architecture, Own<'_>> {
    match kind {
        Kind::ResidualMlp { hidden } => Ok(Architecture::ResidualMlp { hidden: hidden.clone() }),
        Kind::Sequential { layers } => {
            Ok(Architecture::Sequential { layers: layers.iter().map(layer).collect() })
        }
        Kind::Points { hidden } => Ok(Architecture::Points { hidden: hidden.clone() }),
        &Kind::Gru { hidden, layers } => Ok(Architecture::Gru { hidden, layers }),
        &Kind::Lstm { hidden, layers } => Ok(Architecture::Lstm { hidden, layers }),
        &Kind::Attention { blocks, heads, width, patch } => {
            Ok(Architecture::Attention { blocks, heads, width, patch })
        }
        &Kind::Film { values } => Ok(Architecture::Film { values }),
        Kind::Own { name, keys } => Err(Own { name, keys }),
    }
}

fn layer(described: &Layer) -> nn::Layer {
    match described {
        &Layer::Conv1d { channels, kernel, stride, padding, groups } => {
            nn::Layer::Conv1d { channels, kernel, stride, padding, groups }
        }
        &Layer::Conv2d { channels, kernel, stride, padding, groups } => {
            nn::Layer::Conv2d { channels, kernel, stride, padding, groups }
        }
        &Layer::MaxPool { kernel, stride } => nn::Layer::MaxPool { kernel, stride },
        &Layer::AvgPool { kernel, stride } => nn::Layer::AvgPool { kernel, stride },
        Layer::GlobalMean => nn::Layer::GlobalMean,
        Layer::LayerNorm => nn::Layer::LayerNorm,
        Layer::GroupNorm { groups } => nn::Layer::GroupNorm { groups: *groups },
        Layer::Residual(layers) => nn::Layer::Residual(layers.iter().map(layer).collect()),
        Layer::Linear { width } => nn::Layer::Linear { width: *width },
        Layer::Relu => nn::Layer::Relu,
        Layer::Gelu => nn::Layer::Gelu,
        Layer::Dropout { rate } => nn::Layer::Dropout { rate: *rate },
        Layer::Flatten => nn::Layer::Flatten,
    }
}

fn unknown(kind: &str) -> String {
    let known: Vec<String> = kind_names().iter().map(|name| format!("`{name}`")).collect();
    let known = known.join(", ");
    format!("is \"{kind}\", which is no kind of network of this program: it has {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(networks: &str) -> Scenario {
        let nodes = "[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        Scenario::parse(&format!("network.receiver_limit = 1\n{networks}\n{nodes}"), "test", &[]).unwrap()
    }

    #[test]
    fn a_kind_that_no_program_has_is_refused_by_its_key() {
        let scenario = scenario("network.joint.digit.kind = \"oracle\"");
        let line = "scenario: network.joint.digit.kind is \"oracle\", which is no kind of network of this program: it has `residual-mlp`";
        assert!(check_kinds(&scenario).unwrap_err().to_string().starts_with(line));
        let refused = module(&scenario.joint("digit"), &[1], 1).err().unwrap();
        assert!(refused.to_string().starts_with(line) && refused.is_input(), "{refused}");
    }

    #[test]
    fn an_encoder_of_another_kind_is_a_trunk_with_a_head() {
        let plain = encoder(&scenario(""), 0, "fft", &[1, 14, 14]).unwrap();
        assert!(plain.trunk.is_none());
        assert_eq!((plain.head.inputs(), plain.head.outputs()), (196 + 24, 48));

        let layers =
            "network.encoder = { kind = \"sequential\", outputs = 7, layers = [\"flatten\", \"linear 9\"] }";
        let scenario_with = scenario(layers);
        let EncoderModules { trunk: Some(trunk), head } =
            encoder(&scenario_with, 0, "fft", &[1, 14, 14]).unwrap()
        else {
            panic!("there is no trunk")
        };
        assert_eq!((trunk.inputs(), trunk.outputs()), (196, 7));
        assert_eq!((head.inputs(), head.outputs()), (7 + 24, 48));
    }

    #[test]
    fn a_layer_that_does_not_fit_is_named_with_its_input_and_the_shape_it_wants() {
        let layers =
            "network.encoder = { kind = \"sequential\", outputs = 7, layers = [\"relu\", \"linear 9\"] }";
        let refused = encoder(&scenario(layers), 0, "fft", &[1, 14, 14]).err().unwrap();
        let line = "scenario: network.encoder.layers: layer 2 (linear) got 1 x 14 x 14 and wants one width, or steps x channels";
        assert_eq!(refused.to_string(), line);
        let turned = layers.replace("outputs = 7", "outputs = 7, order = [1, 0]");
        let refused = encoder(&scenario(&turned), 0, "fft", &[1, 14, 14]).err().unwrap();
        let line = "scenario: network.encoder.order has 2 axes, but what comes is 1 x 14 x 14";
        assert_eq!(refused.to_string(), line);
        let shape = layers.replace("outputs = 7", "outputs = 7, shape = [2, 97]");
        let refused = encoder(&scenario(&shape), 0, "fft", &[1, 14, 14]).err().unwrap();
        let line = "scenario: network.encoder.shape is 2 x 97, but what comes is 1 x 14 x 14: give axes with as many values";
        assert_eq!(refused.to_string(), line);
        let fitting = layers.replace("outputs = 7", "outputs = 7, shape = [14, 14]");
        encoder(&scenario(&fitting), 0, "fft", &[1, 14, 14]).err();
    }
}
