//! What a point's folder tells a process that runs it elsewhere, and what that process leaves there.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::plan::Planned;
use crate::{launch::whole::replace, records::origin::Origin, run::LaunchOptions};

/// The job, the resolved scenario and the done file in a point's folder.
const JOB: &str = "point.json";
pub(super) const SCENARIO: &str = "point.toml";
const DONE: &str = "done.json";

/// The file that keeps room on the disk, and its size: some blocks.
const ROOM: &str = "room";
const ROOM_BYTES: usize = 16 << 10;

/// What a process needs to run a point, beside the scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The point's name.
    pub(crate) name: String,
    /// The version of the program that planned it.
    pub(crate) version: String,
    pub(crate) origin: Origin,
    /// The folder to which relative paths refer.
    pub(crate) directory: PathBuf,
    pub(crate) place: LaunchOptions,
    /// Rounds after which the run is done; a run that was done after fewer goes on.
    pub(crate) rounds: u64,
    /// Rounds after which it is to be paused: a stage of --halving.
    #[serde(default)]
    pub(crate) pause: Option<u64>,
    /// Where it writes event files of TensorBoard.
    #[serde(default)]
    pub(crate) board: Option<PathBuf>,
}

/// How a process that ran a point ended: the done file, written last and in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) status: DoneStatus,
    /// The run's last line, if it failed.
    pub(crate) error: Option<String>,
    /// Number of the claim under which it ran.
    pub(crate) claim: u64,
    /// Rounds trained.
    pub(crate) rounds: u64,
    pub(crate) host: String,
    pub(crate) job: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DoneStatus {
    /// The run is done: its summary is there.
    Done,
    /// It failed, and would fail again.
    Failed,
    /// It was told to end, and goes on from its last checkpoint when it is started again.
    Stopped,
    /// It was paused with a checkpoint, after the rounds of its stage.
    Paused,
}

impl Job {
    /// Writes the job and the scenario of a planned point into its folder. `pause`: the rounds after which it pauses.
    pub(super) fn write(planned: &Planned, place: &LaunchOptions, pause: Option<u64>) -> anyhow::Result<()> {
        let folder = &planned.folder;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let job = Job {
            name: planned.point.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            origin: planned.origin.clone(),
            directory: std::env::current_dir().context("the current folder")?,
            place: place.clone(),
            rounds: planned.scenario.train.rounds,
            pause,
            board: planned.board.clone(),
        };
        let text = serde_json::to_string_pretty(&job)? + "\n";
        write(folder, SCENARIO, &planned.scenario.to_toml())?;
        write(folder, JOB, &text)
    }

    /// The job in a folder.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let lacks = || {
            format!(
                "{} is no folder of a sweep's point here: is the storage of the sweep shared with {}?",
                folder.display(),
                crate::launch::claim::host()
            )
        };
        Job::find(folder)?.with_context(lacks)
    }

    /// The job in a folder, if there is one.
    pub(super) fn find(folder: &Path) -> anyhow::Result<Option<Self>> {
        read(&folder.join(JOB))
    }
}

impl Done {
    /// The done file of a folder, if there is one.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        read(&folder.join(DONE))
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write(folder, DONE, &(serde_json::to_string(self)? + "\n"))
    }

    /// Removes an earlier one, so that nobody takes it for the coming one.
    pub(super) fn remove(folder: &Path) -> anyhow::Result<()> {
        match std::fs::remove_file(folder.join(DONE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Room on the disk of a point's folder that is kept for the end of its run: where the disk is full by then, the done
/// file can still be written.
pub(super) struct Room<'a>(&'a Path);

impl<'a> Room<'a> {
    pub(super) fn keep(folder: &'a Path) -> Self {
        // Without it the run will say for itself that there is none.
        let _ = replace(&folder.join(ROOM), &[b'\n'; ROOM_BYTES]);
        Room(folder)
    }

    /// Frees it, and returns the line for a disk without any other room.
    pub(super) fn release(self) -> Option<String> {
        let (folder, path) = (self.0, self.0.join(ROOM));
        let more = replace(&path, &[b'\n'; 4 * ROOM_BYTES]);
        let _ = std::fs::remove_file(path);
        let is_full = more.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull);
        is_full.then(|| {
            format!("the disk of {} is full: make room there, and go on with --resume", folder.display())
        })
    }
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    replace(&path, text.as_bytes()).with_context(|| path.display().to_string())
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let what = || path.display().to_string();
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        text => Ok(Some(serde_json::from_slice(&text.with_context(what)?).with_context(what)?)),
    }
}
