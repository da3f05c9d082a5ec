//! The scenario's data set. (`scenario` and `data` are leaves and do not depend on each other.)

use std::path::PathBuf;

use data::{ArrayTask, Chosen, DataError, Divided, Needs, Settings};
use scenario::{Receiver, Scenario, ScenarioError};
use serde_json::{Map, Value};

use crate::{Context, NodeError, Options, restore_data};

/// The data set of a scenario, in the folder that this node was given or else the scenario's.
///
/// # Errors
/// If the data set is unknown.
pub fn data_source(scenario: &Scenario, folder: Option<PathBuf>) -> Result<Chosen, NodeError> {
    Ok(Chosen::new(settings(scenario, folder))?)
}

/// Opens the data set for a node, in the folder that its options name, with the data record of its state if it
/// continues, and splits it into training and validation rows.
///
/// # Errors
/// If the data set is unknown, or a file is missing, wrong, or has changed since the state was saved.
pub fn open_data(
    context: &Context,
    options: &Options,
    needs: &Needs,
    state: Option<&[u8]>,
) -> Result<Divided, NodeError> {
    let source = data_source(&context.scenario, options.data.clone())?;
    let mut dataset = match options.shares_data {
        true => source.open_shared(context.seed, needs)?,
        false => source.open(context.seed, needs)?,
    };
    restore_data(dataset.as_mut(), state)?;
    Ok(source.divide(dataset, context.seed, needs, context.scenario.data.hold_out)?)
}

/// Checks that this program knows the scenario's data set, and that the data set knows all keys, modalities and tasks
/// that the scenario names.
///
/// # Errors
/// For an unknown name: the key, and its possible values.
pub fn check_data_names(scenario: &Scenario) -> Result<(), ScenarioError> {
    let own: Vec<String> = scenario.data.own.keys().cloned().collect();
    let checked = Chosen::new(settings(scenario, None)).and_then(|chosen| chosen.check_names(&own));
    checked.map_err(|error| match error {
        DataError::Key { key, problem } => ScenarioError::invalid(key, problem),
        other => ScenarioError::invalid("data", other.to_string()),
    })
}

fn settings(scenario: &Scenario, folder: Option<PathBuf>) -> Settings {
    let data = &scenario.data;
    Settings {
        source: data.source.clone(),
        folder: folder.or_else(|| data.path.clone()),
        keys: match scenario::BUILT_IN_SOURCES.contains(&data.source.as_str()) {
            true => built_in_keys(scenario),
            false => object(&data.own),
        },
        transmitters: scenario.transmitter.iter().map(|node| node.modalities.clone()).collect(),
        tasks: scenario.receiver.iter().map(task).collect(),
    }
}

/// The keys of `[data]`, and those of `[mmfi]` under its name.
fn built_in_keys(scenario: &Scenario) -> Map<String, Value> {
    let mut keys = object(&scenario.data);
    keys.retain(|key, _| key != "source" && key != "path");
    keys.insert("mmfi".into(), object(&scenario.mmfi).into());
    keys
}

fn object(section: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(section) {
        Ok(Value::Object(keys)) => keys,
        other => unreachable!("a section of a scenario is a table, not {other:?}"),
    }
}

fn task(receiver: &Receiver) -> ArrayTask {
    let kind = |kind: scenario::TaskKind| match kind {
        scenario::TaskKind::Classification => data::TaskKind::Classification,
        scenario::TaskKind::Regression => data::TaskKind::Regression,
    };
    let label = |label: &scenario::Label| match label {
        scenario::Label::Number(number) => data::Label::Number(*number),
        scenario::Label::Text(text) => data::Label::Text(text.clone()),
    };
    ArrayTask {
        name: receiver.task.clone(),
        kind: receiver.kind.map(kind),
        classes: receiver.classes,
        ignore: receiver.ignore.iter().map(label).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        let nodes = "[[transmitter]]\nmodalities = [\"left\"]\n[[receiver]]\ntask = \"inside\"\n\
                     [network]\nreceiver_limit = 1\n";
        Scenario::parse(&format!("{text}\n{nodes}"), "test", &[]).unwrap()
    }

    #[test]
    fn the_built_in_data_sets_are_those_whose_keys_the_scenario_knows() {
        assert_eq!(data::source_names(), scenario::BUILT_IN_SOURCES);
    }

    #[test]
    fn a_data_set_that_no_program_has_is_refused_by_name() {
        let unknown = scenario("[data]\nsource = \"mars\"\nradius = 2\n");
        let line = "data.source is \"mars\", which is no data set of this program: it has `digits`, `handwritten`, `arrays`, `mmfi`";
        assert_eq!(check_data_names(&unknown).unwrap_err().to_string(), format!("scenario: {line}"));
        let refused = data_source(&unknown, None).unwrap_err();
        assert_eq!(refused.to_string(), format!("scenario: {line}"));
    }

    #[test]
    fn sections_reach_the_data_set_as_they_are() {
        let chosen = data_source(&scenario("[data]\nsource = \"mmfi\"\npath = \"tree\""), None).unwrap();
        let settings = chosen.settings();
        assert_eq!(settings.folder.as_deref(), Some(std::path::Path::new("tree")));
        assert_eq!(settings.keys["mmfi"]["split_ratio"], 0.8);
        assert_eq!((&settings.keys["noise_width"], settings.keys.len()), (&Value::from(196), 9));
    }
}
