//! Reading and writing networks as tables of a scenario.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use toml::{Table, Value};

use super::{HEAD, Kind, MOST_BLOCKS, Model, Models};
use crate::{
    Layer,
    keys::{Keys, given},
    layer::LARGEST_WIDTH,
};

impl Kind {
    fn from_keys(name: &str, keys: &mut Keys) -> Result<Self, String> {
        let state = |keys: &mut Keys| {
            let hidden = given("hidden", keys.number("hidden", 1, LARGEST_WIDTH)?)?;
            Ok::<_, String>((hidden, keys.number("layers", 1, MOST_BLOCKS)?.unwrap_or(1)))
        };
        Ok(match name {
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
            own => Kind::Own { name: own.to_owned(), keys: keys.rest() },
        })
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
            model.outputs = keys.number("outputs", 1, LARGEST_WIDTH)?;
            let head = keys.take::<Table>(HEAD)?.map(Model::from_table).transpose();
            model.head = head.map_err(|what| format!("{HEAD}: {what}"))?.map(Box::new);
        }
        model.kind = Kind::from_keys(&name, &mut keys)?;
        keys.end()?;
        Ok(model)
    }

    fn to_table(&self) -> Table {
        let mut table = self.kind.to_table();
        table.insert("kind".into(), self.kind.name().into());
        if let Some(shape) = &self.shape {
            table.insert("shape".into(), sizes(shape));
        }
        if let Some(outputs) = self.outputs {
            table.insert("outputs".into(), Value::Integer(outputs as i64));
        }
        if let Some(head) = &self.head {
            table.insert(HEAD.into(), head.to_table().into());
        }
        table
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
    /// Subtables are networks by name, except the head's; all other keys belong to the default network.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let (named, own): (Table, Table) =
            table.into_iter().partition(|(key, value)| value.is_table() && key != HEAD);
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
