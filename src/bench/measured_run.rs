//! A run that a benchmark starts with this program.

use std::{
    fs::File,
    path::Path,
    process::{Child, ExitStatus, Stdio},
};

use anyhow::bail;
use coordinator::ScenarioArguments;
use data::Info;
use scenario::Scenario;

use crate::program;

/// The run of a benchmark, checked.
pub(crate) struct Planned {
    pub(crate) arguments: ScenarioArguments,
    pub(crate) scenario: Scenario,
    pub(crate) info: Info,
}

impl Planned {
    pub(crate) fn new(arguments: ScenarioArguments) -> anyhow::Result<Self> {
        let scenario = arguments.resolve()?;
        let info = node::data_source(&scenario, None)?.info()?;
        Ok(Planned { arguments, scenario, info })
    }
}

/// Starts `pom2dib run` with these words into `out`. Its output goes to `log`.
pub(crate) fn start(words: Vec<String>, out: &Path, log: &Path) -> anyhow::Result<Child> {
    let mut command = program::again()?;
    command.arg("run").args(words).arg("--out").arg(out).args(["--json", "--page", "off"]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?).spawn()?)
}

/// Checks that it ended well; the error is the last line of its log.
pub(crate) fn check(status: ExitStatus, log: &Path) -> anyhow::Result<()> {
    if !status.success() {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let last = said.lines().last().unwrap_or("it said nothing").trim_start_matches("error: ").to_owned();
        bail!("the run failed ({status}): {last}");
    }
    Ok(())
}
