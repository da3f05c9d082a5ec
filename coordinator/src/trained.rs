//! Reads a checkpoint of a run for commands that use its networks.

use std::{fs, path::Path};

use node::Role;
use scenario::Scenario;
use tokio_stream::StreamExt;

use crate::{
    ClassCounts, CoordinatorError, RunFolder,
    further::wait,
    members::Member,
    setup::{bound, no_best, no_checkpoint},
    summary::sha256_hex,
};

/// Content of a run's last or best checkpoint.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The trained scenario.
    pub scenario: Scenario,
    /// Steps that all parameters have taken.
    pub version: u64,
    /// The transmitters' states, by index: safetensors files.
    pub transmitters: Vec<Vec<u8>>,
    /// The receivers' states, by index.
    pub receivers: Vec<Vec<u8>>,
    /// Class counts of the receivers that classify, as in `classes.json`.
    pub classes: Vec<ClassCounts>,
}

impl Trained {
    /// Reads the last whole checkpoint of the run in a folder. The caller holds the folder's lock.
    ///
    /// # Errors
    /// If the folder holds no run, or no whole checkpoint of its scenario.
    pub fn open(folder: &Path) -> Result<Self, CoordinatorError> {
        Self::read(folder, false)
    }

    /// As [`open`](Self::open), for the checkpoint that scored best on validation rows.
    ///
    /// # Errors
    /// As [`open`](Self::open); also if no version was evaluated on validation rows.
    pub fn open_best(folder: &Path) -> Result<Self, CoordinatorError> {
        Self::read(folder, true)
    }

    fn read(folder: &Path, best: bool) -> Result<Self, CoordinatorError> {
        wait(async {
            let run = RunFolder::at(folder);
            let scenario = run.scenario()?;
            let members = (scenario.transmitters(), scenario.receivers());
            let checkpoints = run.checkpoints(&scenario)?;
            let manifest = match best {
                true => checkpoints.best(Some(members)).await?.ok_or_else(|| no_best(folder))?,
                false => checkpoints.last(Some(members)).await?.ok_or_else(|| no_checkpoint(folder))?,
            };
            bound(&run, &manifest)?;
            let version = manifest.round;
            let (mut transmitters, mut receivers) = (Vec::new(), Vec::new());
            for member in Member::all(members.0, members.1) {
                let (mut pieces, expected) = checkpoints.state(version, member).await?;
                let mut state = Vec::new();
                while let Some(piece) = pieces.next().await {
                    state.extend_from_slice(&piece?);
                }
                if sha256_hex(&state) != expected {
                    return Err(CoordinatorError::Input(format!(
                        "{}: the state of {member} at round {version} has been damaged",
                        folder.display()
                    )));
                }
                match member.role {
                    Role::Transmitter => transmitters.push(state),
                    Role::Receiver => receivers.push(state),
                }
            }
            let classes = classes(&run)?;
            Ok(Trained { scenario, version, transmitters, receivers, classes })
        })
    }
}

/// The class counts; none in runs of earlier versions.
fn classes(run: &RunFolder) -> Result<Vec<ClassCounts>, CoordinatorError> {
    let path = run.file("classes.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read(&path).map_err(CoordinatorError::file(&path))?;
    serde_json::from_slice(&text)
        .map_err(|error| CoordinatorError::Input(format!("{}: {error}", path.display())))
}
