use std::path::PathBuf;

use scenario::Scenario;

use crate::NodeError;

/// The data set of a scenario, in the folder that this node was given or else the scenario's.
pub fn data_source(scenario: &Scenario, folder: Option<PathBuf>) -> Result<data::Source, NodeError> {
    match scenario.data.source {
        scenario::Source::Digits => Ok(data::Source::Digits),
        scenario::Source::HandWritten => match folder.or_else(|| scenario.data.path.clone()) {
            Some(folder) => Ok(data::Source::HandWritten(folder)),
            None => Err(NodeError::Input(
                "scenario \"handwritten\" reads files: say where with --data DIR or data.path".into(),
            )),
        },
    }
}
