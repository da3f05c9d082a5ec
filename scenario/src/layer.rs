//! A layer of a sequential network: a table, or the same on one line.

use toml::{Table, Value};

use crate::keys::{Keys, given};

/// Bounds that keep a mistyped number from asking for absurd amounts of memory.
pub(crate) const LARGEST_WIDTH: usize = 16_384;
const MOST_LAYERS: usize = 256;

/// A layer, without its shapes: those follow from the samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A linear map with a bias.
    Linear {
        /// How many values come out.
        width: usize,
    },
    /// The larger of a value and 0.
    Relu,
    /// x times the standard normal distribution function of x.
    Gelu,
    /// In training, drops values, and scales the others up.
    Dropout {
        /// How probable it is that a value is dropped.
        rate: f64,
    },
    /// All values of a sample as one width.
    Flatten,
}

const KINDS: [&str; 5] = ["linear", "relu", "gelu", "dropout", "flatten"];

const BATCH_NORM: &str = "is no layer here: what becomes of a sample must not depend on the others of its batch, which differ between \
                          training and use, and from node to node";

impl Layer {
    /// Layers out of their list.
    ///
    /// # Errors
    /// The number of the layer, and what is wrong with it.
    pub(crate) fn list(values: Vec<Value>) -> Result<Vec<Layer>, String> {
        if values.is_empty() || values.len() > MOST_LAYERS {
            return Err(format!("there are {} layers; there must be from 1 to {MOST_LAYERS}", values.len()));
        }
        let read = |(number, value): (usize, Value)| {
            let number = number + 1;
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
            Layer::from_table(table, number)
        };
        values.into_iter().enumerate().map(read).collect()
    }

    fn from_table(table: Table, number: usize) -> Result<Layer, String> {
        let mut keys = Keys::new(table);
        let kind = keys.take::<String>("kind").and_then(|kind| given("kind", kind));
        let kind = kind.map_err(|what| format!("layer {number}: {what}"))?;
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
            "linear" => Layer::Linear { width: given("width", keys.number("width", 1, LARGEST_WIDTH)?)? },
            "dropout" => {
                let rate = given("rate", keys.take::<f64>("rate")?)?;
                if !(0.0..1.0).contains(&rate) {
                    return Err(format!("rate is {rate}; it must be from 0 to below 1"));
                }
                Layer::Dropout { rate }
            }
            "relu" => Layer::Relu,
            "gelu" => Layer::Gelu,
            _ => Layer::Flatten,
        })
    }

    /// As it is written: on a line.
    pub(crate) fn to_value(&self) -> Value {
        Value::String(match self {
            Layer::Linear { width } => format!("linear {width}"),
            Layer::Dropout { rate } => format!("dropout {rate}"),
            Layer::Relu => "relu".into(),
            Layer::Gelu => "gelu".into(),
            Layer::Flatten => "flatten".into(),
        })
    }
}

/// The table that a line stands for: the kind, its sizes, and then names with their values.
fn table_of(line: &str) -> Result<Table, String> {
    let mut words = line.split_whitespace().peekable();
    let kind = words.next().ok_or("is empty; write a kind, such as \"relu\"")?;
    let sizes: &[&str] = match kind {
        "linear" => &["width"],
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
            return Err(format!("({kind}): {name} is said twice"));
        }
    }
    Ok(table)
}

/// A number.
fn value_of(word: &str) -> Result<Value, String> {
    let whole = |word: &str| word.parse::<i64>().ok().map(Value::Integer);
    let real = |word: &str| word.parse::<f64>().ok().map(Value::Float);
    let value = whole(word).or_else(|| real(word));
    value.ok_or_else(|| format!("\"{word}\" is no number"))
}
