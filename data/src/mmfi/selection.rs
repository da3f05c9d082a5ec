//! Which frames are samples.

use super::{
    MmFi,
    index::{Files, Index, Recording},
    modality::{MODALITY_NAMES, Sensor},
    protocol::scene,
    tree::GROUND_TRUTH,
};
use crate::{
    Split,
    error::{DataError, shown},
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The samples of both splits, of the recordings of an index.
pub(crate) struct Selection {
    recordings: Vec<SampledRecording>,
    /// (recording, frame) of every sample, of both splits: four bytes a frame are all that is held.
    samples: [Vec<(u16, u16)>; 2],
    /// What all nodes must agree on.
    pub(crate) digest: [u8; 32],
}

/// A recording of which there are samples.
pub(crate) struct SampledRecording {
    pub(crate) folder: PathBuf,
    pub(crate) subject: u8,
    pub(crate) action: u8,
}

impl SampledRecording {
    /// 0 to 3.
    pub(crate) fn scene_class(&self) -> u32 {
        u32::from(scene(self.subject)) - 1
    }

    /// 0 to 26.
    pub(crate) fn action_class(&self) -> u32 {
        u32::from(self.action) - 1
    }
}

impl Selection {
    /// Chooses the frames whose files all have bytes, of the recordings of a split that are there.
    ///
    /// # Errors
    /// A wanted sensor's folder or file that is missing, a file without a row of the ground truth (both by name), or a
    /// split without samples.
    pub(crate) fn new(source: &MmFi, index: &Index) -> Result<Self, DataError> {
        let sensors: Vec<Sensor> = source.modalities.iter().filter_map(|name| Sensor::named(name)).collect();
        let mut selection =
            Selection { recordings: Vec::new(), samples: [Vec::new(), Vec::new()], digest: [0; 32] };
        let mut hash = Sha256::new();
        hash.update(b"pom2dib mmfi v1");
        for (split, recordings) in source.split.recordings(source.protocol).into_iter().enumerate() {
            for (subject, action) in recordings {
                let is_it =
                    |recording: &&Recording| (recording.subject, recording.action) == (subject, action);
                let Some(recording) = index.recordings.iter().find(is_it) else { continue };
                let frames = frames(source, recording, &sensors)?;
                hash.update([split as u8, subject, action]);
                hash.update(&recording.ground_truth);
                hash.update((frames.len() as u64).to_le_bytes());
                frames.iter().for_each(|frame| hash.update(frame.to_le_bytes()));
                let number = selection.recordings.len() as u16;
                selection.samples[split].extend(frames.into_iter().map(|frame| (number, frame)));
                let folder = source.folder.join(&recording.folder);
                selection.recordings.push(SampledRecording { folder, subject, action });
            }
        }
        for (split, name) in [(Split::Train, "train on"), (Split::Test, "test on")] {
            if selection.samples(split).is_empty() {
                let problem = format!(
                    "holds no frame to {name}: none of the split's recordings is there, or all lack files"
                );
                return Err(DataError::malformed(&source.folder, problem));
            }
        }
        for name in MODALITY_NAMES {
            hash.update(format!("{name} {:?}\n", Sensor::named(name).map(Sensor::shape)));
        }
        selection.digest = hash.finalize().into();
        Ok(selection)
    }

    pub(crate) fn samples(&self, split: Split) -> &[(u16, u16)] {
        &self.samples[split.index() as usize]
    }

    /// The recording and the frame of a sample.
    pub(crate) fn sample(&self, split: Split, sample: usize) -> (&SampledRecording, usize) {
        let (recording, frame) = self.samples(split)[sample];
        (&self.recordings[usize::from(recording)], usize::from(frame))
    }

    /// The recordings of a split, each with its samples' frames.
    pub(crate) fn by_recording(&self, split: Split) -> impl Iterator<Item = (&SampledRecording, Vec<usize>)> {
        let runs = self.samples(split).chunk_by(|one, next| one.0 == next.0);
        runs.map(|run| {
            let frames = run.iter().map(|(_, frame)| usize::from(*frame)).collect();
            (&self.recordings[usize::from(run[0].0)], frames)
        })
    }
}

/// The frames of a recording whose files all have bytes.
fn frames(source: &MmFi, recording: &Recording, sensors: &[Sensor]) -> Result<Vec<u16>, DataError> {
    let folder = source.folder.join(&recording.folder);
    let rows = u16::try_from(recording.rows).map_err(|_| {
        let problem = format!("has {} rows; at most {} can be read", recording.rows, u16::MAX);
        DataError::malformed(&folder.join(GROUND_TRUTH), problem)
    })?;
    let mut is_whole = vec![true; recording.rows];
    for &sensor in sensors {
        let path = folder.join(sensor.name());
        let Some(files) = &recording.files[sensor as usize] else {
            let remedy = format!(
                "the scenario reads this modality; `pom2dib data verify mmfi {}` lists what is there",
                shown(&source.folder)
            );
            return Err(DataError::missing(&path, remedy));
        };
        complete(files, sensor, &folder, recording.rows)?;
        files.empty.iter().for_each(|&frame| is_whole[frame] = false);
    }
    Ok((0..rows).filter(|&frame| is_whole[usize::from(frame)]).collect())
}

/// Checks that every row of the ground truth has a file and every file a row.
fn complete(files: &Files, sensor: Sensor, folder: &Path, rows: usize) -> Result<(), DataError> {
    let path = |frame: usize| folder.join(sensor.name()).join(sensor.file_name(frame));
    let ground_truth = folder.join(GROUND_TRUTH);
    if let Some(&frame) = files.missing.first() {
        let problem = format!("although {} has {rows} rows: every row needs a file", shown(&ground_truth));
        return Err(DataError::missing(&path(frame), problem));
    }
    match files.beyond.first() {
        Some(&frame) => Err(DataError::malformed(
            &path(frame),
            format!("is frame {} of {rows}: {} has {rows} rows", frame + 1, shown(&ground_truth)),
        )),
        None => Ok(()),
    }
}
