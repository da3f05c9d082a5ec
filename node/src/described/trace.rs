//! The traces of gains that channels replay: each is read once in a process.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use dib::GainTrace;
use scenario::{Scenario, ScenarioError};

/// What the array of a trace is called, where a file has several.
const ARRAY: &str = "gains";

/// Those that were read, by path, transmitters and receivers. They stay for as long as the process, and so may be held by anybody.
static READ: Mutex<BTreeMap<(String, usize, usize), &'static GainTrace>> = Mutex::new(BTreeMap::new());

/// Reads all traces of a scenario, for [`air`](crate::air).
///
/// # Errors
/// In one line, the table and the file at fault.
pub fn check_traces(scenario: &Scenario) -> Result<(), ScenarioError> {
    for (number, channel) in scenario.channel.iter().enumerate() {
        if let Some(path) = &channel.trace {
            read(path, scenario)
                .map_err(|what| ScenarioError::invalid(format!("channel {number}: trace"), what))?;
        }
    }
    Ok(())
}

/// A trace of a scenario; none if it cannot be read, which [`check_traces`] says.
pub(crate) fn trace(path: &str, scenario: &Scenario) -> Option<&'static GainTrace> {
    read(path, scenario).ok()
}

fn read(path: &str, scenario: &Scenario) -> Result<&'static GainTrace, String> {
    let nodes = (scenario.transmitters(), scenario.receivers());
    let key = (path.to_owned(), nodes.0, nodes.1);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(trace) = read.get(&key) {
        return Ok(trace);
    }
    let (shape, gains) = data::read_complex(Path::new(path), ARRAY).map_err(|error| error.to_string())?;
    let trace = GainTrace::new(&shape, gains, nodes).map_err(|problem| format!("{path} {problem}"))?;
    let trace: &'static GainTrace = Box::leak(Box::new(trace));
    read.insert(key, trace);
    Ok(trace)
}
