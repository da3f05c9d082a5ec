use std::path::PathBuf;

use scenario::Scenario;

use crate::NodeError;

/// The data set of a scenario, in the folder that this node was given or else the scenario's.
pub fn data_source(scenario: &Scenario, folder: Option<PathBuf>) -> Result<data::Source, NodeError> {
    let (folder, name) = match scenario.data.source {
        scenario::Source::Digits => return Ok(data::Source::Digits),
        scenario::Source::HandWritten => (folder.or_else(|| scenario.data.path.clone()), "handwritten"),
        scenario::Source::Arrays => (folder.or_else(|| scenario.data.path.clone()), "arrays"),
    };
    let Some(folder) = folder else {
        return Err(NodeError::Input(format!(
            "scenario \"{name}\" reads files: say where with --data DIR or data.path"
        )));
    };
    match scenario.data.source {
        scenario::Source::Arrays => Ok(data::Source::Arrays(arrays(scenario, folder))),
        _ => Ok(data::Source::HandWritten(folder)),
    }
}

fn arrays(scenario: &Scenario, folder: PathBuf) -> data::ArraySource {
    let kind = |kind: scenario::TaskKind| match kind {
        scenario::TaskKind::Classification => data::TaskKind::Classification,
        scenario::TaskKind::Regression => data::TaskKind::Regression,
    };
    let task = |receiver: &scenario::Receiver| data::ArrayTask {
        name: receiver.task.clone(),
        kind: receiver.kind.map(kind),
        classes: receiver.classes,
    };
    data::ArraySource {
        folder,
        normalisation: match scenario.data.normalisation {
            scenario::Normalisation::None => data::Normalisation::None,
            scenario::Normalisation::Standard => data::Normalisation::Standard,
            scenario::Normalisation::MinMax => data::Normalisation::MinMax,
        },
        noise_width: scenario.data.noise_width,
        tasks: scenario.receiver.iter().map(task).collect(),
    }
}
