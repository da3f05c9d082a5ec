//! Preparation of a run with MM-Fi before its nodes start: an index of the files, or a synthetic tree of them.

use std::path::{Path, PathBuf};

use coordinator::{CoordinatorError, ScenarioArguments};
use data::{DataError, mmfi};
use scenario::Scenario;
use synthetic::Plan;

use crate::cli::slow::Slow;

/// Folder of the tree for `--synthetic`.
const SYNTHETIC: &str = "data-cache/mmfi-synthetic";

/// Makes the synthetic tree if there is none yet, and lets the scenario read it.
pub(crate) fn use_synthetic(arguments: &mut ScenarioArguments) -> Result<(), CoordinatorError> {
    let scenario = arguments.resolve()?;
    if scenario.data.source != "mmfi" {
        let line =
            format!("--synthetic is for MM-Fi: give scenarios/mmfi.toml instead of \"{}\"", scenario.name);
        return Err(CoordinatorError::Input(line));
    }
    synthesise(Path::new(SYNTHETIC), Plan::default()).map_err(input)?;
    arguments.data = Some(PathBuf::from(SYNTHETIC));
    Ok(())
}

/// Makes a synthetic tree, with a message.
pub(crate) fn synthesise(folder: &Path, plan: Plan) -> Result<(), DataError> {
    let slow = Slow::new(format!("making a synthetic tree ({plan}) in {}", folder.display()));
    synthetic::synthesise(folder, plan, &|done, of| slow.show(done, of))
}

/// Indexes the files of MM-Fi once, instead of in every node; and marks the scenario's name if a tree is synthetic, so
/// that its results are not mistaken for those of the real data.
pub(crate) fn prepare(
    scenario: &Scenario,
    arguments: &mut ScenarioArguments,
) -> Result<(), CoordinatorError> {
    let data =
        node::data_source(scenario, None).map_err(|error| CoordinatorError::Input(error.to_string()))?;
    let folder = data.settings().folder.as_deref();
    let slow = Slow::new(format!("indexing {}", folder.unwrap_or(Path::new("the data")).display()));
    data.prepare(&|done, of| slow.show(done, of)).map_err(input)?;
    let Some(folder) = folder.filter(|_| scenario.data.source == "mmfi") else { return Ok(()) };
    if mmfi::is_synthetic(folder) && !scenario.name.ends_with("-synthetic") {
        eprintln!("note: {} is a synthetic tree, not the MM-Fi data", folder.display());
        arguments.set.push(format!("name=\"{}-synthetic\"", scenario.name.replace(['"', '\\'], "-")));
    }
    Ok(())
}

fn input(error: DataError) -> CoordinatorError {
    CoordinatorError::Input(error.to_string())
}
