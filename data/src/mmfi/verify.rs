//! Whether a tree is whole: every file of every recording, read to its end.

use super::{
    files,
    index::{Files, parse_poses},
    modality::Sensor,
    parallel::{self, Progress},
    tree::{GROUND_TRUTH, Sequence, places},
};
use crate::error::DataError;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was found in a tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MmFiReport {
    /// Whether it was made by this program.
    pub synthetic: bool,
    /// Recordings, of 1080: one subject's doing of one action each.
    pub recordings: usize,
    /// Folders of recordings that are there twice: these are not read.
    pub unread: Vec<PathBuf>,
    /// The poses, then every modality.
    pub sensors: Vec<SensorReport>,
}

/// What was found of the poses or of a modality.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SensorReport {
    /// `ground_truth`, or the modality's name.
    pub name: String,
    /// Files that can be read.
    pub sound: usize,
    /// Files without bytes: their frames are left out.
    pub empty: Vec<PathBuf>,
    /// Files and folders that should be there.
    pub missing: Vec<PathBuf>,
    /// Files that cannot be read or have no row of the ground truth, each with what is wrong.
    pub malformed: Vec<(PathBuf, String)>,
}

impl MmFiReport {
    /// Whether nothing is missing or malformed.
    pub fn is_ok(&self) -> bool {
        self.sensors.iter().all(|sensor| sensor.missing.is_empty() && sensor.malformed.is_empty())
    }
}

/// Reads every file of a tree: for the published one, hours on a slow disk.
///
/// # Errors
/// When the folder holds no recording or cannot be listed. What is wrong with a file is in the report.
pub fn verify(root: &Path, progress: Progress<'_>) -> Result<MmFiReport, DataError> {
    let places = places(root)?;
    let of_recordings = parallel::map(places.len(), progress, |index| recording(root, &places[index]))?;
    let mut sensors = empty_reports();
    for of_recording in of_recordings {
        for (sum, part) in sensors.iter_mut().zip(of_recording) {
            sum.sound += part.sound;
            sum.empty.extend(part.empty);
            sum.missing.extend(part.missing);
            sum.malformed.extend(part.malformed);
        }
    }
    let unread = places.iter().flat_map(|place| place.unread.iter().map(|folder| root.join(folder)));
    Ok(MmFiReport {
        synthetic: super::is_synthetic(root),
        recordings: places.len(),
        unread: unread.collect(),
        sensors,
    })
}

fn empty_reports() -> Vec<SensorReport> {
    let names = ["ground_truth"].into_iter().chain(Sensor::ALL.map(Sensor::name));
    names.map(|name| SensorReport { name: name.into(), ..SensorReport::default() }).collect()
}

fn recording(root: &Path, place: &Sequence) -> Result<Vec<SensorReport>, DataError> {
    let folder = root.join(&place.folder);
    let mut reports = empty_reports();
    let rows = poses(&folder.join(GROUND_TRUTH), &mut reports[0]);
    for sensor in Sensor::ALL {
        frames(&folder, sensor, rows, &mut reports[sensor as usize + 1])?;
    }
    Ok(reports)
}

/// Checks the poses, and says how many rows they have if they can be read.
fn poses(path: &Path, report: &mut SensorReport) -> Option<usize> {
    if !path.exists() {
        report.missing.push(path.into());
        return None;
    }
    match files::read(path, "").map(|content| parse_poses(&content)) {
        Ok(Ok(poses)) => {
            report.sound += 1;
            Some(poses.shape[0])
        }
        Ok(Err(problem)) => {
            report.malformed.push((path.into(), problem));
            None
        }
        Err(error) => {
            report.malformed.push((path.into(), said(error)));
            None
        }
    }
}

fn frames(
    recording: &Path,
    sensor: Sensor,
    rows: Option<usize>,
    report: &mut SensorReport,
) -> Result<(), DataError> {
    let folder = recording.join(sensor.name());
    let path = |frame: usize| folder.join(sensor.file_name(frame));
    // Without rows to compare with, all files there are count as beyond: they are only read.
    let Some(files) = Files::of(recording, sensor, rows.unwrap_or(0))? else {
        report.missing.push(folder);
        return Ok(());
    };
    report.missing.extend(files.missing.iter().map(|&frame| path(frame)));
    report.empty.extend(files.empty.iter().map(|&frame| path(frame)));
    for &frame in files.beyond.iter().filter(|_| rows.is_some()) {
        let rows = rows.unwrap_or(0);
        let ground_truth = crate::error::shown(&recording.join(GROUND_TRUTH));
        report
            .malformed
            .push((path(frame), format!("is frame {} of {rows}: {ground_truth} has {rows} rows", frame + 1)));
    }
    let is_there = |frame: &usize| !files.missing.contains(frame) && !files.empty.contains(frame);
    let whole: Vec<usize> = match rows {
        Some(rows) => (0..rows).filter(is_there).collect(),
        None => files.beyond,
    };
    for frame in whole {
        let checked = match files::read(&path(frame), "it was there a moment ago") {
            Ok(content) => sensor.check(&content),
            Err(error) => Err(said(error)),
        };
        match checked {
            Ok(()) => report.sound += 1,
            Err(problem) => report.malformed.push((path(frame), problem)),
        }
    }
    Ok(())
}

/// What went wrong, without the path: the report has that.
fn said(error: DataError) -> String {
    match error {
        DataError::Io { source, .. } => format!("cannot be read ({source})"),
        DataError::Malformed { problem, .. } => problem,
        other => other.to_string(),
    }
}
