//! `--tensorboard`: what a run logs, as event files of TensorBoard.

mod crc;
mod messages;
mod picture;
mod values;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use prost::Message;
use scenario::Scenario;

use crate::{CoordinatorError, Summary as RunSummary, rounds::Metrics};
use messages::{Event, Summary, Value};
use picture::Picture;

/// Rounds between two pictures and histograms: they are larger than scalars.
const SELDOM: u64 = 10;

/// An event file under way. What cannot be written is said once and ends it, not the run.
pub(crate) struct TensorBoard {
    file: Option<File>,
    path: PathBuf,
    tasks: Vec<String>,
    picture: Picture,
}

impl TensorBoard {
    /// Begins an event file in a folder, with the scenario's keys as hyper-parameters.
    ///
    /// # Errors
    ///
    /// An input error if no file can be written there.
    pub(crate) fn begin(folder: &Path, scenario: &Scenario) -> Result<Self, CoordinatorError> {
        let (seconds, process) = (now().floor(), std::process::id());
        let path =
            folder.join(format!("events.out.tfevents.{seconds:010}.{}.{process}", crate::lock::host()));
        let opened = std::fs::create_dir_all(folder)
            .and_then(|()| File::options().create_new(true).append(true).open(&path));
        let file = opened.map_err(|error| {
            CoordinatorError::Input(format!("{}: {error}; choose another --tensorboard", path.display()))
        })?;
        let tasks = scenario.tasks();
        let rows = scenario.receivers() * scenario.entries_per_receiver();
        let mut board = TensorBoard { file: Some(file), path, tasks, picture: Picture::new(rows) };
        board.write(&Event { file_version: Some("brain.Event:2".into()), ..at(0) });
        board.add(0, values::hyper_parameters(scenario, now()));
        Ok(board)
    }

    /// Adds a round, and the shares of its ticks at which each entry was granted to each receiver.
    pub(crate) fn round(&mut self, metrics: &Metrics, granted: &[Vec<f64>]) {
        self.picture.push(granted.iter().flatten().copied());
        let mut values = values::of_round(metrics, &self.tasks);
        if metrics.round.is_multiple_of(SELDOM) {
            values.extend(values::histograms(metrics, granted, &self.tasks));
            values.extend(self.picture.value());
        }
        self.add(metrics.round, values);
    }

    /// Adds the scores on the test set.
    pub(crate) fn summary(&mut self, summary: &RunSummary) {
        self.add(summary.rounds, values::of_test(summary, now()).chain(self.picture.value()).collect());
    }

    fn add(&mut self, round: u64, value: Vec<Value>) {
        self.write(&Event { summary: Some(Summary { value }), ..at(round) });
    }

    fn write(&mut self, event: &Event) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(&record(&event.encode_to_vec())) {
            eprintln!("warning: {}: {error}; nothing more is written for TensorBoard", self.path.display());
            self.file = None;
        }
    }
}

fn at(round: u64) -> Event {
    Event { wall_time: now(), step: i64::try_from(round).unwrap_or(i64::MAX), ..Event::default() }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A record of an event file: length, its check sum, data, their check sum; numbers are little-endian.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(crc::masked_crc32c(&length).to_le_bytes());
    record.extend(data);
    record.extend(crc::masked_crc32c(data).to_le_bytes());
    record
}
