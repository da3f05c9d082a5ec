use scenario::{Scenario, ScenarioError, Source};

use crate::CoordinatorError;

/// Checks that the scenario's data set provides every modality and knows every task that the scenario names.
pub fn check_names(scenario: &Scenario) -> Result<(), CoordinatorError> {
    let source = match scenario.data.source {
        Source::Digits => "digits",
        Source::HandWritten => "handwritten",
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
