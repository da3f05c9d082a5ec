use std::path::PathBuf;

use data::mmfi::{Listed, MmFi, Protocol, SplitRule};
use scenario::{MmFiSplit, Scenario};

use crate::NodeError;

/// The data set of a scenario, in the folder that this node was given or else the scenario's.
pub fn data_source(scenario: &Scenario, folder: Option<PathBuf>) -> Result<data::Source, NodeError> {
    let own = || folder.clone().or_else(|| scenario.data.path.clone());
    let files = |name: &str, remedy: &str| {
        let line = format!("scenario \"{name}\" reads files: say where with --data DIR or data.path{remedy}");
        own().ok_or(NodeError::Input(line))
    };
    Ok(match scenario.data.source {
        scenario::Source::Digits => data::Source::Digits,
        scenario::Source::HandWritten => data::Source::HandWritten(data::HandWritten {
            folder: files("handwritten", "")?,
            validation: scenario.data.validation,
            frozen_audio: scenario.data.frozen_audio,
        }),
        scenario::Source::Arrays => data::Source::Arrays(arrays(scenario, files("arrays", "")?)),
        scenario::Source::MmFi => {
            data::Source::MmFi(mmfi(scenario, files("mmfi", ", or run it with --synthetic")?)?)
        }
    })
}

fn arrays(scenario: &Scenario, folder: PathBuf) -> data::ArraySource {
    let kind = |kind: scenario::TaskKind| match kind {
        scenario::TaskKind::Classification => data::TaskKind::Classification,
        scenario::TaskKind::Regression => data::TaskKind::Regression,
    };
    let label = |label: &scenario::Label| match label {
        scenario::Label::Number(number) => data::Label::Number(*number),
        scenario::Label::Text(text) => data::Label::Text(text.clone()),
    };
    let task = |receiver: &scenario::Receiver| data::ArrayTask {
        name: receiver.task.clone(),
        kind: receiver.kind.map(kind),
        classes: receiver.classes,
        ignore: receiver.ignore.iter().map(label).collect(),
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
