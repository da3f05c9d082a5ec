use std::path::Path;

use toml::{Table, Value};

use crate::{Scenario, ScenarioError};

impl Scenario {
    /// Reads a scenario file, applies overrides of the form `a.b=value`, expands the node lists and validates.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::Unreadable { path: path.into(), error })?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// The same from a text; `origin` names it in error messages.
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, ScenarioError> {
        let mut table: Table = text.parse().map_err(|error| malformed(origin, text, &error))?;
        for assignment in overrides {
            set(&mut table, assignment)?;
        }
        // Without overrides the text itself is deserialised: its errors then carry a line number.
        let scenario: Scenario = if overrides.is_empty() {
            toml::from_str(text).map_err(|error| malformed(origin, text, &error))?
        } else {
            table.try_into().map_err(|error| malformed(origin, "", &error))?
        };
        let scenario = scenario.expanded()?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// The scenario as TOML text. Reading it back gives the same scenario.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario has only strings, numbers and lists")
    }

    /// Repeats the node lists cyclically to the numbers that the network asks for.
    fn expanded(mut self) -> Result<Self, ScenarioError> {
        self.transmitter = repeated(&self.transmitter, self.network.transmitters.take(), "transmitter")?;
        self.receiver = repeated(&self.receiver, self.network.receivers.take(), "receiver")?;
        Ok(self)
    }
}

fn repeated<N: Clone>(list: &[N], count: Option<usize>, role: &str) -> Result<Vec<N>, ScenarioError> {
    if list.is_empty() {
        return Err(ScenarioError::invalid(
            format!("[[{role}]]"),
            format!("is missing: list at least one {role}"),
        ));
    }
    Ok(list.iter().cycle().take(count.unwrap_or(list.len())).cloned().collect())
}

/// Applies one override to the raw table.
fn set(table: &mut Table, assignment: &str) -> Result<(), ScenarioError> {
    let fail = |message: String| ScenarioError::Malformed { origin: format!("--set {assignment}"), message };
    let Some((path, text)) = assignment.split_once('=') else {
        return Err(fail("write it as key=value, for example train.rounds=500".into()));
    };
    let keys: Vec<&str> = path.trim().split('.').collect();
    let (last, parents) = keys.split_last().expect("split gives at least one piece");
    let mut here = table;
    for key in parents {
        here = here
            .entry(*key)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| fail(format!("\"{key}\" is not a section")))?;
    }
    here.insert((*last).into(), parse_value(text.trim()));
    Ok(())
}

/// A TOML value; what is none is taken as a string, so that `train.method=tadib` needs no quotes.
fn parse_value(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.into()))
}

/// One line out of TOML's message, with the line number where there is one.
fn malformed(origin: &str, text: &str, error: &toml::de::Error) -> ScenarioError {
    let line = error
        .span()
        .filter(|_| !text.is_empty())
        .map(|span| text[..span.start.min(text.len())].lines().count().max(1));
    let origin = match line {
        Some(line) => format!("{origin}: line {line}"),
        None => origin.into(),
    };
    ScenarioError::Malformed { origin, message: error.message().lines().collect::<Vec<_>>().join("; ") }
}
