//! A layer of a sequential network: a table, or its short form on one line.

use toml::{Table, Value};

use crate::keys::{Keys, given};

/// Limits that keep a mistyped number from allocating absurd amounts of memory.
pub(crate) const LARGEST_WIDTH: usize = 16_384;
const LARGEST_WINDOW: usize = 1024;
const MOST_LAYERS: usize = 256;

/// A layer without its shapes, which follow from the samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A convolution over time steps.
    Conv1d {
        /// Output channels.
        channels: usize,
        /// Window size in steps.
        kernel: usize,
        /// Stride in steps.
        stride: usize,
        /// Zero steps added before and after.
        padding: usize,
        /// Number of groups into which the channels are divided, each with its own weights.
        groups: usize,
    },
    /// A convolution over height and width.
    Conv2d {
        /// Output channels.
        channels: usize,
        /// Height and width of the window.
        kernel: [usize; 2],
        /// Stride down and right.
        stride: [usize; 2],
        /// Zero rows and columns added on each side.
        padding: [usize; 2],
        /// Number of groups into which the channels are divided, each with its own weights.
        groups: usize,
    },
    /// The largest value of a window.
    MaxPool {
        /// The window.
        kernel: [usize; 2],
        /// Stride down and right.
        stride: [usize; 2],
    },
    /// The mean of a window.
    AvgPool {
        /// The window.
        kernel: [usize; 2],
        /// Stride down and right.
        stride: [usize; 2],
    },
    /// The mean over all positions of a sample, channel by channel.
    GlobalMean,
    /// A linear map with a bias.
    Linear {
        /// Output values.
        width: usize,
    },
    /// The maximum of a value and 0.
    Relu,
    /// x times the standard normal distribution function of x.
    Gelu,
    /// Normalises each position's channels to mean 0 and variance 1, times a gain, plus a bias.
    LayerNorm,
    /// Normalises each group of channels, over all positions, to mean 0 and variance 1, times a gain, plus a bias.
    GroupNorm {
        /// Number of groups.
        groups: usize,
    },
    /// In training, drops values and scales up the rest.
    Dropout {
        /// The probability of dropping a value.
        rate: f64,
    },
    /// Flattens a sample to one axis.
    Flatten,
    /// The output of some layers plus their input.
    Residual(Vec<Layer>),
}

const KINDS: [&str; 13] = [
    "conv1d",
    "conv2d",
    "max-pool",
    "avg-pool",
    "global-mean",
    "linear",
    "relu",
    "gelu",
    "layer-norm",
    "group-norm",
    "dropout",
    "flatten",
    "residual",
];

const BATCH_NORM: &str = "is no layer here: what becomes of a sample must not depend on the others of its batch, which differ between \
                          training and use, and from node to node; layer-norm and group-norm normalise a sample by itself";

impl Layer {
    /// Reads layers from a list. `above` prefixes their numbers: "4." within a residual layer that is the fourth.
    ///
    /// # Errors
    /// The number of the layer, and the problem.
    pub(crate) fn list(values: Vec<Value>, above: &str) -> Result<Vec<Layer>, String> {
        if values.is_empty() || values.len() > MOST_LAYERS {
            let list = above.strip_suffix('.').map(|number| format!("layer {number} (residual): "));
            let (list, count) = (list.unwrap_or_default(), values.len());
            return Err(format!("{list}there are {count} layers; there must be from 1 to {MOST_LAYERS}"));
        }
        let read = |(number, value): (usize, Value)| {
            let number = format!("{above}{}", number + 1);
            let table = match value {
                Value::Table(table) => table,
                Value::String(line) => table_of(&line).map_err(|what| format!("layer {number} {what}"))?,
                other => {
                    let kind = other.type_str();
                    return Err(format!(
                        "layer {number} is {kind}; write it as a line such as \"relu\", or as a table"
                    ));
                }
            };
            Layer::from_table(table, &number)
        };
        values.into_iter().enumerate().map(read).collect()
    }

    fn from_table(table: Table, number: &str) -> Result<Layer, String> {
        let mut keys = Keys::new(table);
        let kind = keys.take::<String>("kind").and_then(|kind| given("kind", kind));
        let kind = kind.map_err(|what| format!("layer {number}: {what}"))?;
        if kind == "residual" {
            let inner = keys.take::<Vec<Value>>("layers").and_then(|layers| given("layers", layers));
            let named = |what: String| format!("layer {number} (residual): {what}");
            let inner = inner.map_err(named)?;
            keys.end().map_err(named)?;
            return Ok(Layer::Residual(Layer::list(inner, &format!("{number}."))?));
        }
        if kind == "batch-norm" {
            return Err(format!("layer {number} (batch-norm) {BATCH_NORM}"));
        }
        if !KINDS.contains(&kind.as_str()) {
            return Err(format!("layer {number} is \"{kind}\"; a layer is one of {}", KINDS.join(", ")));
        }
        let layer = Layer::from_keys(&kind, &mut keys).and_then(|layer| keys.end().map(|()| layer));
        layer.map_err(|what| format!("layer {number} ({kind}): {what}"))
    }

    fn from_keys(kind: &str, keys: &mut Keys) -> Result<Layer, String> {
        Ok(match kind {
            "conv1d" => Layer::Conv1d {
                channels: given("channels", keys.number("channels", 1, LARGEST_WIDTH)?)?,
                kernel: given("kernel", keys.number("kernel", 1, LARGEST_WINDOW)?)?,
                stride: keys.number("stride", 1, LARGEST_WINDOW)?.unwrap_or(1),
                padding: keys.number("padding", 0, LARGEST_WINDOW)?.unwrap_or(0),
                groups: keys.number("groups", 1, LARGEST_WIDTH)?.unwrap_or(1),
            },
            "conv2d" => Layer::Conv2d {
                channels: given("channels", keys.number("channels", 1, LARGEST_WIDTH)?)?,
                kernel: given("kernel", keys.pair("kernel", 1, LARGEST_WINDOW)?)?,
                stride: keys.pair("stride", 1, LARGEST_WINDOW)?.unwrap_or([1, 1]),
                padding: keys.pair("padding", 0, LARGEST_WINDOW)?.unwrap_or([0, 0]),
                groups: keys.number("groups", 1, LARGEST_WIDTH)?.unwrap_or(1),
            },
            "max-pool" | "avg-pool" => {
                let kernel = given("kernel", keys.pair("kernel", 1, LARGEST_WINDOW)?)?;
                // By default windows do not overlap.
                let stride = keys.pair("stride", 1, LARGEST_WINDOW)?.unwrap_or(kernel);
                match kind {
                    "max-pool" => Layer::MaxPool { kernel, stride },
                    _ => Layer::AvgPool { kernel, stride },
                }
            }
            "linear" => Layer::Linear { width: given("width", keys.number("width", 1, LARGEST_WIDTH)?)? },
            "group-norm" => {
                Layer::GroupNorm { groups: given("groups", keys.number("groups", 1, LARGEST_WIDTH)?)? }
            }
            "dropout" => {
                let rate = given("rate", keys.take::<f64>("rate")?)?;
                if !(0.0..1.0).contains(&rate) {
                    return Err(format!("rate is {rate}; it must be from 0 to below 1"));
                }
                Layer::Dropout { rate }
            }
            "global-mean" => Layer::GlobalMean,
            "relu" => Layer::Relu,
            "gelu" => Layer::Gelu,
            "layer-norm" => Layer::LayerNorm,
            _ => Layer::Flatten,
        })
    }

    /// The layer as in a scenario: on one line, unless it is a list.
    pub(crate) fn to_value(&self) -> Value {
        let line = match self {
            Layer::Residual(layers) => {
                let layers = layers.iter().map(Layer::to_value).collect();
                let table = [("kind", Value::from("residual")), ("layers", Value::Array(layers))];
                return Value::Table(table.map(|(key, value)| (key.to_owned(), value)).into_iter().collect());
            }
            Layer::Conv1d { channels, kernel, stride, padding, groups } => {
                format!("conv1d {channels} {kernel} stride {stride} padding {padding} groups {groups}")
            }
            Layer::Conv2d { channels, kernel, stride, padding, groups } => {
                let [kernel, stride, padding] = [kernel, stride, padding].map(by);
                format!("conv2d {channels} {kernel} stride {stride} padding {padding} groups {groups}")
            }
            Layer::MaxPool { kernel, stride } => format!("max-pool {} stride {}", by(kernel), by(stride)),
            Layer::AvgPool { kernel, stride } => format!("avg-pool {} stride {}", by(kernel), by(stride)),
            Layer::Linear { width } => format!("linear {width}"),
            Layer::GroupNorm { groups } => format!("group-norm {groups}"),
            Layer::Dropout { rate } => format!("dropout {rate}"),
            Layer::GlobalMean => "global-mean".into(),
            Layer::Relu => "relu".into(),
            Layer::Gelu => "gelu".into(),
            Layer::LayerNorm => "layer-norm".into(),
            Layer::Flatten => "flatten".into(),
        };
        Value::String(line)
    }
}

fn by([height, width]: &[usize; 2]) -> String {
    format!("{height}x{width}")
}

/// The table of a one-line layer: the kind, its sizes, and then names with values.
fn table_of(line: &str) -> Result<Table, String> {
    let mut words = line.split_whitespace().peekable();
    let kind = words.next().ok_or("is empty; write a kind, such as \"relu\"")?;
    let sizes: &[&str] = match kind {
        "conv1d" | "conv2d" => &["channels", "kernel"],
        "max-pool" | "avg-pool" => &["kernel"],
        "linear" => &["width"],
        "group-norm" => &["groups"],
        "dropout" => &["rate"],
        _ => &[],
    };
    let mut table = Table::from_iter([("kind".to_owned(), Value::from(kind))]);
    let starts_as_a_number =
        |word: &&str| word.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    for name in sizes {
        let Some(word) = words.next_if(starts_as_a_number) else { break };
        table.insert((*name).to_owned(), value_of(word).map_err(|what| format!("({kind}): {name}: {what}"))?);
    }
    while let Some(name) = words.next() {
        let Some(word) = words.next() else {
            return Err(format!(
                "({kind}): \"{name}\" is the last word; a value must follow, as in \"stride 2\""
            ));
        };
        let value = value_of(word).map_err(|what| format!("({kind}): {name}: {what}"))?;
        if table.insert(name.to_owned(), value).is_some() {
            return Err(format!("({kind}): {name} is given twice"));
        }
    }
    Ok(table)
}

/// A number, or two with an x between them.
fn value_of(word: &str) -> Result<Value, String> {
    let whole = |word: &str| word.parse::<i64>().ok().map(Value::Integer);
    let pair = |word: &str| {
        let (height, width) = word.split_once('x')?;
        Some(Value::Array(vec![whole(height)?, whole(width)?]))
    };
    let real = |word: &str| word.parse::<f64>().ok().map(Value::Float);
    let value = whole(word).or_else(|| pair(word)).or_else(|| real(word));
    value.ok_or_else(|| format!("\"{word}\" is no number, and no two such as 3x3"))
}
