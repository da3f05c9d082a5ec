//! The configuration of a run, and the differences between several.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    html::{escape, head, mark, row, table},
    recorded::Recorded,
};

/// The scenario of the run, in a collapsible block.
pub(crate) fn configuration(run: &Recorded) -> String {
    format!(
        "<details class=\"card\"><summary>{}/scenario.toml</summary><pre>{}</pre></details>\n",
        escape(&run.folder),
        escape(&run.scenario.to_toml())
    )
}

/// A row for every key whose value differs between runs.
pub(crate) fn differences(runs: &[Recorded]) -> String {
    let all: Vec<BTreeMap<String, String>> = runs.iter().map(keys).collect();
    let names: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let differs = |name: &&&String| all.iter().any(|keys| keys.get(**name) != all[0].get(**name));
    let heads = runs.iter().enumerate().map(|(number, run)| mark(number) + &escape(&run.folder));
    let mut rows = head(std::iter::once(String::new()).chain(heads));
    let mut count = 0;
    for name in names.iter().filter(differs) {
        let value =
            |keys: &BTreeMap<String, String>| keys.get(*name).map_or("not set".into(), |value| escape(value));
        rows += &row(&escape(name), all.iter().map(value));
        count += 1;
    }
    if count == 0 { "<p>They do not differ.</p>\n".into() } else { table("", &rows) }
}

/// All keys of a scenario with their values, as `section.key`.
fn keys(run: &Recorded) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let scenario =
        serde_json::to_value(&run.scenario).expect("a scenario has only strings, numbers and lists");
    flatten(String::new(), &scenario, &mut keys);
    keys
}

fn flatten(name: String, value: &Value, keys: &mut BTreeMap<String, String>) {
    let inner = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Object(table) => {
            table.iter().for_each(|(part, value)| flatten(inner(part), value, keys));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(part, value)| flatten(inner(&part.to_string()), value, keys));
        }
        Value::String(text) => drop(keys.insert(name, text.clone())),
        // Unset keys have no value.
        Value::Null => {}
        other => drop(keys.insert(name, other.to_string())),
    }
}
