//! A network: its kind, with the parameters of that kind.

#[cfg(test)]
mod mistakes;
mod table;
#[cfg(test)]
mod tests;
mod validate;

use std::{collections::BTreeMap, path::PathBuf};

use toml::Table;

use crate::{Layer, Scenario};

/// A limit that keeps a mistyped number from allocating absurd amounts of memory.
const MOST_BLOCKS: usize = 64;

/// Keys of the networks' tables.
const ENCODER: &str = "network.encoder";
const JOINT: &str = "network.joint";
const LOCAL: &str = "network.local";
const SELECTOR: &str = "network.selector";

/// The table, below an encoder's, of the head, which depends on the receiver.
const HEAD: &str = "head";

/// The table below a network's, of the file that it begins with.
const WEIGHTS: &str = "weights";

/// The networks of one part: one kind for all of them, and others by name: encoders by modality, decoders by task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Models {
    /// The default.
    pub all: Model,
    /// Networks by name. Keys that they leave out take the kind's default, not that of [`Models::all`].
    pub named: BTreeMap<String, Model>,
}

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its kind.
    pub kind: Kind,
    /// The axes of its input, outermost first; none: those of the data, or one axis.
    pub shape: Option<Vec<usize>>,
    /// The axes of what it is given, by their numbers from 0, in the order in which it sees them; none: as they come.
    pub order: Option<Vec<usize>>,
    /// Of an encoder of another kind than the paper's, whose trunk it is: how many values the trunk makes of a sample.
    pub outputs: Option<usize>,
    /// For a trunk: the head, from those values and the receiver's embedding to mu and std. Default: the paper's
    /// network.
    pub head: Option<Box<Model>>,
    /// The parameters that it begins with; none: they are drawn.
    pub weights: Option<Weights>,
    /// Whether its parameters learn. Gradients go through it either way.
    pub train: bool,
}

impl Default for Model {
    /// The paper's, from drawn parameters.
    fn default() -> Self {
        Model {
            kind: Kind::default(),
            shape: None,
            order: None,
            outputs: None,
            head: None,
            weights: None,
            train: true,
        }
    }
}

/// Files of parameters that networks begin with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// A safetensors file; or a folder, in which each network has the file of its name, such as
    /// `transmitter0-encoder1.safetensors`.
    pub path: PathBuf,
    /// The SHA-256 of the file, or of the list of the folder's, in hexadecimal digits. The coordinator writes it down;
    /// nodes hold what they read against it.
    pub sha256: Option<String>,
    /// What tensors of the file are called in the network.
    pub names: BTreeMap<String, String>,
}

/// A network of the scenario, with the key of its table.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Such as `network.encoder.mel`.
    pub key: String,
    /// The network.
    pub model: Model,
}

impl Described {
    /// The head of an encoder whose trunk this is.
    pub fn head(&self) -> Described {
        let model = self.model.head.as_deref().cloned().unwrap_or_default();
        Described { key: format!("{}.{HEAD}", self.key), model }
    }
}

/// The keys of a network kind that a user's program adds.
pub type OwnKeys = Table;

/// The kinds of network.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The paper's network: residual blocks, each followed by layer normalisation, then a linear layer.
    ResidualMlp {
        /// The blocks' sizes, in order.
        hidden: Vec<usize>,
    },
    /// A sequence of layers, then a linear layer.
    Sequential {
        /// The layers; the first takes the sample.
        layers: Vec<Layer>,
    },
    /// The same linear layers with ReLU for every point, the maximum over the points, then a linear layer.
    Points {
        /// The widths of the layers.
        hidden: Vec<usize>,
    },
    /// Gated recurrent units over time steps, then a linear layer.
    Gru {
        /// The width of the state.
        hidden: usize,
        /// The number of stacked layers.
        layers: usize,
    },
    /// Long short-term memory over time steps, then a linear layer.
    Lstm {
        /// The width of the state.
        hidden: usize,
        /// The number of stacked layers.
        layers: usize,
    },
    /// A transformer encoder over patches or time steps, then a linear layer.
    Attention {
        /// The number of blocks.
        blocks: usize,
        /// The number of heads in each block.
        heads: usize,
        /// The width to which a patch is mapped.
        width: usize,
        /// Height and width of a patch; for time steps only the first counts.
        patch: [usize; 2],
    },
    /// Feature-wise modulation: the first values of a row, with gains and biases that are linear in all others, ReLU,
    /// then a linear layer.
    Film {
        /// How many values are modulated.
        values: usize,
    },
    /// A kind that a user's program adds. The program checks that it exists, not the scenario.
    Own {
        /// Its name.
        name: String,
        /// Its own keys.
        keys: OwnKeys,
    },
}

impl Kind {
    /// The names of the built-in kinds.
    pub const NAMES: [&str; 7] = ["residual-mlp", "sequential", "points", "gru", "lstm", "attention", "film"];

    /// The name in scenarios.
    pub fn name(&self) -> &str {
        match self {
            Kind::ResidualMlp { .. } => "residual-mlp",
            Kind::Sequential { .. } => "sequential",
            Kind::Points { .. } => "points",
            Kind::Gru { .. } => "gru",
            Kind::Lstm { .. } => "lstm",
            Kind::Attention { .. } => "attention",
            Kind::Film { .. } => "film",
            Kind::Own { name, .. } => name,
        }
    }
}

impl Default for Kind {
    /// The paper's network.
    fn default() -> Self {
        Kind::ResidualMlp { hidden: vec![512, 256] }
    }
}

impl Models {
    /// The network for a modality or task; `part` is the key of the table of all networks of that part.
    fn of(&self, part: &str, name: &str) -> Described {
        match self.named.get(name) {
            Some(model) => Described { key: format!("{part}.{name}"), model: model.clone() },
            None => Described { key: part.into(), model: self.all.clone() },
        }
    }

    /// The files that they begin with, each with the key of its table.
    fn weights_mut(&mut self, part: &str) -> Vec<(String, &mut Weights)> {
        let named = self.named.iter_mut().map(|(name, model)| (format!("{part}.{name}"), model));
        let each = std::iter::once((part.to_owned(), &mut self.all)).chain(named);
        each.flat_map(|(key, model)| model.weights_mut(&key)).collect()
    }

    /// All of them.
    fn each(&self, part: &str) -> Vec<Described> {
        let all = Described { key: part.into(), model: self.all.clone() };
        let named = self.named.keys().map(|name| self.of(part, name));
        std::iter::once(all).chain(named).collect()
    }
}

impl Model {
    fn weights_mut(&mut self, key: &str) -> Vec<(String, &mut Weights)> {
        let head = self.head.as_mut().and_then(|head| head.weights.as_mut());
        let head = head.map(|weights| (format!("{key}.{HEAD}"), weights));
        self.weights.as_mut().map(|weights| (key.to_owned(), weights)).into_iter().chain(head).collect()
    }
}

impl Scenario {
    /// The network that encodes a modality, as the scenario has it: see [`Scenario::encoder`].
    pub(crate) fn encoder_as_written(&self, modality: &str) -> Described {
        self.network.encoder.of(ENCODER, modality)
    }

    /// The network that decodes all features jointly for a task.
    pub fn joint(&self, task: &str) -> Described {
        self.network.joint.of(JOINT, task)
    }

    /// The network that decodes single features for a task.
    pub fn local(&self, task: &str) -> Described {
        self.network.local.of(LOCAL, task)
    }

    /// The network of all selectors.
    pub fn selector(&self) -> Described {
        Described { key: SELECTOR.into(), model: self.network.selector.clone() }
    }

    /// The files that networks begin with, each with the key of its network's table.
    pub fn weights_mut(&mut self) -> Vec<(String, &mut Weights)> {
        let network = &mut self.network;
        let mut all = network.encoder.weights_mut(ENCODER);
        all.extend(network.joint.weights_mut(JOINT));
        all.extend(network.local.weights_mut(LOCAL));
        all.extend(network.selector.weights_mut(SELECTOR));
        all
    }

    /// All networks that the scenario describes, heads too.
    pub fn models(&self) -> Vec<Described> {
        let network = &self.network;
        let encoders = network.encoder.each(ENCODER);
        let heads = encoders.iter().filter(|encoder| encoder.model.outputs.is_some()).map(Described::head);
        let heads: Vec<Described> = heads.collect();
        [encoders, heads, network.joint.each(JOINT), network.local.each(LOCAL), vec![self.selector()]]
            .concat()
    }
}
