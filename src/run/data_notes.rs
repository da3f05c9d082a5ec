//! Notes for the user on the data before a run begins.

use coordinator::CoordinatorError;
use scenario::Scenario;

/// Prints, in a line each on standard error, what is odd about the data of a scenario but does not prevent a run.
///
/// # Errors
/// When a folder of the data cannot be listed.
pub(crate) fn say(scenario: &Scenario) -> Result<(), CoordinatorError> {
    let input = |error: String| CoordinatorError::Input(error);
    let data = node::data_source(scenario, None).map_err(|error| input(error.to_string()))?;
    let notes = data.notes().map_err(|error| input(error.to_string()))?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(())
}
