use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::Scenario;

impl Scenario {
    /// The keys in which another scenario differs from this one, in order, each with both values. Tables in lists
    /// (`transmitter`, `receiver`, `link`) count as one value.
    pub fn changes(&self, other: &Scenario) -> Vec<Change> {
        let (mut here, mut there) = (keys(self), keys(other));
        let names: std::collections::BTreeSet<String> = here.keys().chain(there.keys()).cloned().collect();
        let change = |key: String| Change { before: here.remove(&key), after: there.remove(&key), key };
        names.into_iter().map(change).filter(|change| change.before != change.after).collect()
    }
}

/// A key that two scenarios have with different values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path, with dots.
    pub key: String,
    /// Its value as TOML, if it has one.
    pub before: Option<String>,
    /// The same in the other scenario.
    pub after: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [before, after] = [&self.before, &self.after].map(|value| value.as_deref().unwrap_or("not set"));
        write!(formatter, "{}: {before} -> {after}", self.key)
    }
}

fn keys(scenario: &Scenario) -> BTreeMap<String, String> {
    let table = Table::try_from(scenario).expect("a scenario has only strings, numbers and lists");
    let mut keys = BTreeMap::new();
    flatten("", &Value::Table(table), &mut keys);
    keys
}

fn flatten(path: &str, value: &Value, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, keys);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_table) => {
            for (position, value) in list.iter().enumerate() {
                flatten(&format!("{path}[{position}]"), value, keys);
            }
        }
        value => drop(keys.insert(path.into(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_keys_are_named_with_both_values() {
        let text = "network.receiver_limit = 1\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        let read = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|&assignment| assignment.into()).collect();
            Scenario::parse(text, "test", &set).unwrap()
        };
        let before = read(&["train.beta=1e-3"]);
        assert_eq!(before.changes(&before), []);
        let after = read(&["train.beta=1e-2", "train.beta_start=0.5", "seed=2"]);
        let lines: Vec<String> = before.changes(&after).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["seed: 1 -> 2", "train.beta: 0.001 -> 0.01", "train.beta_start: not set -> 0.5"]);
    }
}
