//! What a user should know of the data before a run begins.

use coordinator::CoordinatorError;
use scenario::Scenario;

/// Says, in a line each on standard error, what is odd about the data of a scenario but does not keep it from running.
///
/// # Errors
/// When a folder of the data cannot be listed.
pub(crate) fn say(scenario: &Scenario) -> Result<(), CoordinatorError> {
    // A run that lacks its folder says so itself.
    let Ok(source) = node::data_source(scenario, None) else { return Ok(()) };
    let notes = data::notes(&source).map_err(|error| CoordinatorError::Input(error.to_string()))?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(())
}
