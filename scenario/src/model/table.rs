//! Reading and writing networks as tables of a scenario.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use toml::{Table, Value};

use super::{HEAD, Kind, MOST_BLOCKS, Model, Models, WEIGHTS, Weights};
use crate::{
    Layer,
    keys::{Keys, given},
    layer::LARGEST_WIDTH,
};

impl Kind {
    /// A built-in one, by its name.
    fn from_keys(name: &str, keys: &mut Keys) -> Result<Option<Self>, String> {
        let state = |keys: &mut Keys| {
            let hidden = given("hidden", keys.number("hidden", 1, LARGEST_WIDTH)?)?;
            Ok::<_, String>((hidden, keys.number("layers", 1, MOST_BLOCKS)?.unwrap_or(1)))
        };
        Ok(Some(match name {
            "residual-mlp" => {
                keys.take("hidden")?.map_or_else(Kind::default, |hidden| Kind::ResidualMlp { hidden })
            }
            "sequential" => {
                let layers = given("layers", keys.take("layers")?)?;
                Kind::Sequential {
                    layers: Layer::list(layers, "").map_err(|what| format!("layers: {what}"))?,
                }
            }
            "points" => Kind::Points { hidden: given("hidden", keys.take("hidden")?)? },
            "gru" => state(keys).map(|(hidden, layers)| Kind::Gru { hidden, layers })?,
            "lstm" => state(keys).map(|(hidden, layers)| Kind::Lstm { hidden, layers })?,
            "attention" => Kind::Attention {
                blocks: keys.number("blocks", 1, MOST_BLOCKS)?.unwrap_or(2),
                heads: keys.number("heads", 1, LARGEST_WIDTH)?.unwrap_or(4),
                width: keys.number("width", 1, LARGEST_WIDTH)?.unwrap_or(64),
                patch: given("patch", keys.pair("patch", 1, LARGEST_WIDTH)?)?,
            },
            "film" => Kind::Film { values: given("values", keys.number("values", 1, LARGEST_WIDTH)?)? },
            _ => return Ok(None),
        }))
    }

    /// The kind's own keys.
    fn to_table(&self) -> Table {
        let number = |size: usize| Value::Integer(size as i64);
        let table =
            |keys: Vec<(&str, Value)>| keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        match self {
            Kind::ResidualMlp { hidden } | Kind::Points { hidden } => table(vec![("hidden", sizes(hidden))]),
            Kind::Sequential { layers } => {
                table(vec![("layers", Value::Array(layers.iter().map(Layer::to_value).collect()))])
            }
            Kind::Gru { hidden, layers } | Kind::Lstm { hidden, layers } => {
                table(vec![("hidden", number(*hidden)), ("layers", number(*layers))])
            }
            Kind::Attention { blocks, heads, width, patch } => table(vec![
                ("blocks", number(*blocks)),
                ("heads", number(*heads)),
                ("width", number(*width)),
                ("patch", sizes(patch)),
            ]),
            Kind::Film { values } => table(vec![("values", number(*values))]),
            Kind::Own { keys, .. } => keys.clone(),
        }
    }
}

impl Model {
    fn from_table(table: Table) -> Result<Self, String> {
        let mut keys = Keys::new(table);
        let name = keys.take::<String>("kind")?.unwrap_or_else(|| Kind::default().name().to_owned());
        // The paper's network takes its input as one axis, and has no separate head.
        let is_papers = name == Kind::default().name();
        let mut model = Model::default();
        if !is_papers {
            model.shape = keys.take("shape")?;
            model.order = keys.take("order")?;
            model.outputs = keys.number("outputs", 1, LARGEST_WIDTH)?;
            let head = keys.take::<Table>(HEAD)?.map(Model::from_table).transpose();
            model.head = head.map_err(|what| format!("{HEAD}: {what}"))?.map(Box::new);
        }
        let kind = Kind::from_keys(&name, &mut keys)?;
        model.weights = Weights::from_keys(&mut keys)?;
        model.train = keys.take("train")?.unwrap_or(true);
        model.kind = kind.unwrap_or_else(|| Kind::Own { name, keys: keys.rest() });
        keys.end()?;
        Ok(model)
    }

    fn to_table(&self) -> Table {
        let mut table = self.kind.to_table();
        table.insert("kind".into(), self.kind.name().into());
        if let Some(shape) = &self.shape {
            table.insert("shape".into(), sizes(shape));
        }
        if let Some(order) = &self.order {
            table.insert("order".into(), sizes(order));
        }
        if let Some(outputs) = self.outputs {
            table.insert("outputs".into(), Value::Integer(outputs as i64));
        }
        if let Some(head) = &self.head {
            table.insert(HEAD.into(), head.to_table().into());
        }
        if let Some(weights) = &self.weights {
            table.insert(WEIGHTS.into(), weights.to_value());
        }
        table.insert("train".into(), self.train.into());
        table
    }
}

impl Weights {
    /// A path, or a table with more.
    fn from_keys(keys: &mut Keys) -> Result<Option<Self>, String> {
        match keys.take::<Value>(WEIGHTS)? {
            None => Ok(None),
            Some(Value::String(path)) => Ok(Some(Weights { path: path.into(), ..Weights::default() })),
            Some(Value::Table(table)) => {
                let read = Weights::from_table(Keys::new(table));
                read.map(Some).map_err(|what| format!("{WEIGHTS}: {what}"))
            }
            Some(other) => {
                let kind = other.type_str();
                Err(format!(
                    "{WEIGHTS} is {kind}; it must be the path of a safetensors file, or of a folder of them"
                ))
            }
        }
    }

    fn from_table(mut keys: Keys) -> Result<Self, String> {
        let path = given("file", keys.take("file")?)?;
        let (sha256, names) = (keys.take("sha256")?, keys.take("names")?.unwrap_or_default());
        keys.end()?;
        Ok(Weights { path, sha256, names })
    }

    fn to_value(&self) -> Value {
        let mut table =
            Table::from_iter([("file".to_owned(), Value::from(self.path.to_string_lossy().into_owned()))]);
        if let Some(sha256) = &self.sha256 {
            table.insert("sha256".into(), sha256.as_str().into());
        }
        if !self.names.is_empty() {
            let names = self.names.iter().map(|(name, own)| (name.clone(), own.as_str().into()));
            table.insert("names".into(), Value::Table(names.collect()));
        }
        Value::Table(table)
    }
}

fn sizes(sizes: &[usize]) -> Value {
    Value::Array(sizes.iter().map(|&size| Value::Integer(size as i64)).collect())
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Model::from_table(Table::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_table().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Models {
    /// Tables are networks by name, but for a head's and a file's; all else is of the one for all.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let (named, own): (Table, Table) =
            table.into_iter().partition(|(key, value)| value.is_table() && key != HEAD && key != WEIGHTS);
        let all = Model::from_table(own).map_err(D::Error::custom)?;
        let read = |(name, value): (String, Value)| match value {
            Value::Table(table) => match Model::from_table(table) {
                Ok(model) => Ok((name, model)),
                Err(line) => Err(format!("{name}: {line}")),
            },
            other => Err(format!("{name} is {other} and no table")),
        };
        let named = named.into_iter().map(read).collect::<Result<_, String>>().map_err(D::Error::custom)?;
        Ok(Models { all, named })
    }
}

impl Serialize for Models {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = self.all.to_table();
        let named = self.named.iter().map(|(name, model)| (name.clone(), model.to_table().into()));
        table.extend(named);
        table.serialize(serializer)
    }
}
