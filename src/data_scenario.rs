//! `pom2dib data verify` and `info` of what a scenario reads.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use coordinator::ScenarioArguments;
use data::{DataError, Needs, Source};
use randomness::Seed;
use scenario::Scenario;

use crate::{data_arrays, data_mmfi};

/// What a scenario reads.
pub(crate) struct Reading {
    pub(crate) scenario: Scenario,
    pub(crate) source: Source,
}

impl Reading {
    fn new(path: &Path, folder: Option<PathBuf>, name: &str) -> Result<Self, DataError> {
        let given =
            ScenarioArguments { scenario: Some(path.into()), data: folder, ..ScenarioArguments::default() };
        let reading = Reading::of(&given)?;
        match reading.source.name() {
            known if known == name => Ok(reading),
            other => Err(input(format!("{} reads {other}, not {name}: name that", path.display()))),
        }
    }

    /// What a scenario reads that was given on the command line.
    pub(crate) fn of(given: &ScenarioArguments) -> Result<Self, DataError> {
        let scenario = given.resolve().map_err(|error| input(error.to_string()))?;
        let source = node::data_source(&scenario, None).map_err(|error| input(error.to_string()))?;
        Ok(Reading { scenario, source })
    }

    fn modalities(&self) -> Vec<String> {
        self.scenario.transmitter.iter().flat_map(|node| node.modalities.iter().cloned()).collect()
    }

    fn tasks(&self) -> Vec<String> {
        self.scenario.receiver.iter().map(|node| node.task.clone()).collect()
    }

    /// Whether its arrays can be used together; with values, whether each can be read.
    pub(crate) fn arrays(
        &self,
        source: &data::ArraySource,
        values: bool,
    ) -> Result<data::ArrayReport, DataError> {
        data::check_arrays_of(source, &self.modalities(), &self.tasks(), values)
    }
}

fn input(problem: String) -> DataError {
    DataError::Scenario { problem }
}

/// Verifies what a scenario reads: whatever its run would refuse is refused.
pub(crate) fn verify(
    path: &Path,
    folder: Option<PathBuf>,
    name: &str,
    json: bool,
) -> Result<ExitCode, DataError> {
    let reading = Reading::new(path, folder, name)?;
    match &reading.source {
        Source::Arrays(source) => Ok(data_arrays::verify(&reading.arrays(source, true)?, json)),
        Source::HandWritten(source) => {
            let report = data::check_handwritten(source)?;
            Ok(crate::data_command::print_verified(&report, true, json))
        }
        Source::MmFi(source) => {
            let status = data_mmfi::verify(&source.folder, json)?;
            // Files may be sound and yet be none of the split's, or lack a modality that the scenario reads.
            let (modalities, tasks) = (reading.modalities(), reading.tasks());
            let needs = Needs { modalities: &modalities, tasks: &tasks };
            data::open(&reading.source, Seed::from_number(reading.scenario.seed), &needs)?;
            Ok(status)
        }
        Source::Digits => Ok(ExitCode::SUCCESS),
    }
}

/// Says what a scenario reads.
pub(crate) fn info(
    path: &Path,
    folder: Option<PathBuf>,
    name: &str,
    json: bool,
) -> Result<ExitCode, DataError> {
    let reading = Reading::new(path, folder, name)?;
    match &reading.source {
        Source::Arrays(source) => Ok(data_arrays::describe(&reading.arrays(source, false)?, json)),
        source => crate::data_command::info(source, json),
    }
}
