use scenario::{Scenario, ScenarioError, Source};

use crate::CoordinatorError;

/// Checks that the scenario's data set provides every modality and knows every task that the scenario names.
pub fn check_names(scenario: &Scenario) -> Result<(), CoordinatorError> {
    let source = match scenario.data.source {
        Source::Digits => "digits",
        Source::HandWritten => "handwritten",
        Source::Arrays => return check_array_names(scenario),
        Source::MmFi => "mmfi",
    };
    let modalities = data::modality_names(source);
    for (k, transmitter) in scenario.transmitter.iter().enumerate() {
        for name in &transmitter.modalities {
            known(name, modalities, &format!("transmitter[{k}].modalities"), source)?;
        }
    }
    let tasks = data::task_names(source);
    for (t, receiver) in scenario.receiver.iter().enumerate() {
        known(&receiver.task, tasks, &format!("receiver[{t}].task"), source)?;
    }
    Ok(())
}

fn known(name: &str, names: &[&str], key: &str, source: &str) -> Result<(), CoordinatorError> {
    if names.contains(&name) {
        return Ok(());
    }
    let message = format!("names \"{name}\"; the data set \"{source}\" has {}", names.join(", "));
    Err(ScenarioError::invalid(key, message).into())
}

/// Arrays have any names, of which only the nodes that have them know whether they are there.
fn check_array_names(scenario: &Scenario) -> Result<(), CoordinatorError> {
    let check = |name: &str, key: &str| {
        data::check_array_name(name).map_err(|message| ScenarioError::invalid(key, message))
    };
    for (k, transmitter) in scenario.transmitter.iter().enumerate() {
        let key = format!("transmitter[{k}].modalities");
        transmitter.modalities.iter().try_for_each(|name| check(name, &key))?;
        if transmitter.modalities.iter().all(|name| data::is_noise(name)) {
            let message = "names noise only; it takes an array to know how many samples there are";
            return Err(ScenarioError::invalid(key, message).into());
        }
    }
    for (t, receiver) in scenario.receiver.iter().enumerate() {
        let key = format!("receiver[{t}].task");
        check(&receiver.task, &key)?;
        if data::is_noise(&receiver.task) {
            let message = format!("names \"{}\", which is noise and has no file", receiver.task);
            return Err(ScenarioError::invalid(key, message).into());
        }
    }
    Ok(())
}
