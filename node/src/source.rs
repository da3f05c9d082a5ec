use std::path::PathBuf;

use data::mmfi::{Listed, MmFi, Protocol, SplitRule};
use scenario::{MmFiSplit, Scenario};

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
        scenario::Source::MmFi => match folder.or_else(|| scenario.data.path.clone()) {
            Some(folder) => Ok(data::Source::MmFi(mmfi(scenario, folder)?)),
            None => Err(NodeError::Input(
                "scenario \"mmfi\" reads files: say where with --data DIR or data.path, or run it with --synthetic".into(),
            )),
        },
    }
}

/// Which frames of a tree are the scenario's.
fn mmfi(scenario: &Scenario, folder: PathBuf) -> Result<MmFi, NodeError> {
    let chosen = &scenario.mmfi;
    let unknown = || NodeError::Input(format!("mmfi.protocol is {}; it must be 1, 2 or 3", chosen.protocol));
    let [train, test] = SplitRule::manual_defaults();
    let split = match chosen.split {
        MmFiSplit::Random => SplitRule::Random { ratio: chosen.split_ratio, seed: chosen.split_seed },
        MmFiSplit::CrossSubject => SplitRule::CrossSubject,
        MmFiSplit::CrossScene => SplitRule::CrossScene,
        MmFiSplit::Manual => SplitRule::Manual {
            train: listed(train, &chosen.train_subjects, &chosen.train_actions),
            test: listed(test, &chosen.test_subjects, &chosen.test_actions),
        },
    };
    Ok(MmFi {
        folder,
        protocol: Protocol::numbered(chosen.protocol).ok_or_else(unknown)?,
        split,
        standardise: chosen.standardise,
        modalities: scenario.transmitter.iter().flat_map(|node| node.modalities.iter().cloned()).collect(),
    })
}

/// What is listed in place of the default.
fn listed(default: Listed, subjects: &Option<Vec<u8>>, actions: &Option<Vec<u8>>) -> Listed {
    Listed {
        subjects: subjects.clone().unwrap_or(default.subjects),
        actions: actions.clone().unwrap_or(default.actions),
    }
}
