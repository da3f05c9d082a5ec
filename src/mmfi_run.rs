//! What a run with MM-Fi needs before its nodes start: an index of the files, or a synthetic tree of them.

use std::path::{Path, PathBuf};

use coordinator::{CoordinatorError, ScenarioArguments};
use data::{DataError, Source, mmfi};
use scenario::Scenario;

use crate::slow::Slow;

/// Where `--synthetic` keeps its tree.
const SYNTHETIC: &str = "data-cache/mmfi-synthetic";

/// Makes the synthetic tree if there is none yet, and has the scenario read it.
pub(crate) fn use_synthetic(arguments: &mut ScenarioArguments) -> Result<(), CoordinatorError> {
    let scenario = arguments.resolve()?;
    if scenario.data.source != scenario::Source::MmFi {
        let line =
            format!("--synthetic is for MM-Fi: give scenarios/mmfi.toml instead of \"{}\"", scenario.name);
        return Err(CoordinatorError::Input(line));
    }
    synthesise(Path::new(SYNTHETIC), mmfi::Plan::default()).map_err(input)?;
    arguments.data = Some(PathBuf::from(SYNTHETIC));
    Ok(())
}

/// Makes a synthetic tree, with a word about it.
pub(crate) fn synthesise(folder: &Path, plan: mmfi::Plan) -> Result<(), DataError> {
    let slow = Slow::new(format!("making a synthetic tree ({plan}) in {}", folder.display()));
    mmfi::synthesise(folder, plan, &|done, of| slow.show(done, of))
}

/// Indexes the files once, before all nodes would; and lets the scenario's name say that a tree is synthetic, so that no
/// table is taken for one of the real data.
pub(crate) fn prepare(
    scenario: &Scenario,
    arguments: &mut ScenarioArguments,
) -> Result<(), CoordinatorError> {
    if scenario.data.source != scenario::Source::MmFi {
        return Ok(());
    }
    let source =
        node::data_source(scenario, None).map_err(|error| CoordinatorError::Input(error.to_string()))?;
    let Source::MmFi(source) = source else { return Ok(()) };
    let slow = Slow::new(format!("indexing {}", source.folder.display()));
    source.index(&|done, of| slow.show(done, of)).map_err(input)?;
    if mmfi::is_synthetic(&source.folder) && !scenario.name.ends_with("-synthetic") {
        eprintln!("note: {} is a synthetic tree, not the MM-Fi data", source.folder.display());
        arguments.set.push(format!("name=\"{}-synthetic\"", scenario.name.replace(['"', '\\'], "-")));
    }
    Ok(())
}

fn input(error: DataError) -> CoordinatorError {
    CoordinatorError::Input(error.to_string())
}
