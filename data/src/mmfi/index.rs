//! What files there are: found once, and kept in the folder for the next time.

use super::{
    files,
    modality::{JOINTS, Sensor},
    npy::{Npy, parse_npy},
    parallel::{self, Progress},
    tree::{GROUND_TRUTH, Sequence, places},
};
use crate::{catalogue::hex, error::DataError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The index's file in the root. The data set's toolbox passes over names that begin with a dot.
pub(crate) const INDEX_FILE: &str = ".pom2dib-index.json";

/// Counted up when the index changes: others are made anew.
const VERSION: u32 = 2;

/// Every frame that there is or should be.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Index {
    version: u32,
    /// Digest of the folders' times: an index of another is old.
    stamp: String,
    /// By subject, then action.
    pub(crate) recordings: Vec<Recording>,
}

/// One subject's doing of one action.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recording {
    /// 1 to 40.
    pub(crate) subject: u8,
    /// 1 to 27.
    pub(crate) action: u8,
    /// Below the root.
    pub(crate) folder: PathBuf,
    /// Rows of its ground truth: as many frames as there should be.
    pub(crate) rows: usize,
    /// SHA-256 of its ground truth.
    pub(crate) ground_truth: String,
    /// The files of each sensor; none where it has no folder.
    pub(crate) files: [Option<Files>; Sensor::ALL.len()],
}

/// The files of a sensor in a recording. Frames are counted from 0.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Files {
    /// Frames of the ground truth that have no file.
    pub(crate) missing: Vec<usize>,
    /// Frames whose file has no bytes.
    pub(crate) empty: Vec<usize>,
    /// Frames that have a file, but no row of the ground truth.
    pub(crate) beyond: Vec<usize>,
    /// Bytes of all files.
    pub(crate) bytes: u64,
}

impl Index {
    /// The index of a folder: the one that is kept there, if nothing has been added or taken away since, nor filled
    /// where there was nothing; else it is made, and kept if the folder can be written to.
    pub(crate) fn open(root: &Path, progress: Progress<'_>) -> Result<Index, DataError> {
        let places = places(root)?;
        let stamp = stamp(root, &places);
        let kept = fs::read(root.join(INDEX_FILE)).ok();
        let kept = kept.and_then(|content| serde_json::from_slice::<Index>(&content).ok());
        if let Some(index) = kept.filter(|index| index.version == VERSION && index.stamp == stamp)
            && index.gaps_are_as_they_were(root)?
        {
            return Ok(index);
        }
        let recordings = parallel::map(places.len(), progress, |index| Recording::of(root, &places[index]))?;
        let index = Index { version: VERSION, stamp, recordings };
        index.keep(root);
        Ok(index)
    }

    /// Whether every frame that was empty, missing or too much still is: a copy that is repaired in place leaves no
    /// trace in its folder's times. They are few, where frames are hundreds of thousands.
    fn gaps_are_as_they_were(&self, root: &Path) -> Result<bool, DataError> {
        let as_it_was = |index: usize| Ok(self.recordings[index].gaps_are_as_they_were(root));
        let all = parallel::map(self.recordings.len(), &|_, _| {}, as_it_was)?;
        Ok(all.into_iter().all(|as_it_was| as_it_was))
    }

    /// Writes the index, whole or not at all. Where that fails it is made again the next time, which costs time only.
    fn keep(&self, root: &Path) {
        let content = serde_json::to_vec(self).expect("an index has only strings and numbers");
        let temporary = root.join(format!("{INDEX_FILE}.{}", std::process::id()));
        if fs::write(&temporary, content)
            .and_then(|()| fs::rename(&temporary, root.join(INDEX_FILE)))
            .is_err()
        {
            let _ = fs::remove_file(&temporary);
        }
    }
}

impl Recording {
    fn of(root: &Path, place: &Sequence) -> Result<Recording, DataError> {
        let folder = root.join(&place.folder);
        let (poses, ground_truth) = read_poses(&folder)?;
        let rows = poses.shape[0];
        let mut files = [const { None }; Sensor::ALL.len()];
        for sensor in Sensor::ALL {
            files[sensor as usize] = Files::of(&folder, sensor, rows)?;
        }
        let &Sequence { subject, action, .. } = place;
        Ok(Recording { subject, action, folder: place.folder.clone(), rows, ground_truth, files })
    }

    fn gaps_are_as_they_were(&self, root: &Path) -> bool {
        Sensor::ALL.into_iter().zip(&self.files).all(|(sensor, files)| {
            let Some(files) = files else { return true };
            let folder = root.join(&self.folder).join(sensor.name());
            let size =
                |frame: &usize| fs::metadata(folder.join(sensor.file_name(*frame))).ok().map(|of| of.len());
            files.empty.iter().all(|frame| size(frame) == Some(0))
                && files.missing.iter().all(|frame| size(frame).is_none())
                && files.beyond.iter().all(|frame| size(frame).is_some())
        })
    }
}

/// The poses of a recording, (rows, 17, 3) in metres, and the SHA-256 of their file.
pub(crate) fn read_poses(folder: &Path) -> Result<(Npy, String), DataError> {
    let path = folder.join(GROUND_TRUTH);
    let content = files::read(&path, "every action folder needs its poses")?;
    let poses = parse_poses(&content).map_err(|problem| DataError::malformed(&path, problem))?;
    Ok((poses, hex(&Sha256::digest(&content))))
}

/// Reads the poses of a whole file; the error says what is wrong with it.
pub(crate) fn parse_poses(content: &[u8]) -> Result<Npy, String> {
    let poses = parse_npy(content)?;
    match poses.shape[..] {
        [rows, JOINTS, 3] if rows > 0 => Ok(poses),
        _ => Err(format!("has the shape {:?}; it must be [frames, {JOINTS}, 3]", poses.shape)),
    }
}

impl Files {
    /// What is in the sensor's folder; none if there is none. Files of other names (pictures, for example) do not
    /// count.
    pub(crate) fn of(recording: &Path, sensor: Sensor, rows: usize) -> Result<Option<Files>, DataError> {
        let folder = recording.join(sensor.name());
        if !folder.is_dir() {
            return Ok(None);
        }
        let io = |source| DataError::io(&folder, source);
        let mut files = Files::default();
        let mut is_there = vec![false; rows];
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            let Some(frame) = name.to_str().and_then(|name| sensor.frame(name)) else { continue };
            let Some(is_there) = is_there.get_mut(frame) else {
                files.beyond.push(frame);
                continue;
            };
            *is_there = true;
            // Of what a link points to.
            let size =
                fs::metadata(entry.path()).map_err(|source| DataError::io(&entry.path(), source))?.len();
            files.bytes += size;
            if size == 0 {
                files.empty.push(frame);
            }
        }
        files.missing = (0..rows).filter(|&frame| !is_there[frame]).collect();
        files.empty.sort_unstable();
        files.beyond.sort_unstable();
        Ok(Some(files))
    }
}

/// Digest of when the folders of frames and the poses last changed.
fn stamp(root: &Path, places: &[Sequence]) -> String {
    let mut hash = Sha256::new();
    for place in places {
        hash.update(place.folder.as_os_str().as_encoded_bytes());
        let names = Sensor::ALL.map(Sensor::name).into_iter().chain([GROUND_TRUTH]);
        for name in names {
            let metadata = fs::metadata(root.join(&place.folder).join(name)).ok();
            // When it was changed as its own clock has it, which no copying tool sets back; and when it says that it
            // was.
            let times =
                metadata.as_ref().map(|of| [of.ctime(), of.ctime_nsec(), of.mtime(), of.mtime_nsec()]);
            times.unwrap_or_default().iter().for_each(|time| hash.update(time.to_le_bytes()));
            hash.update(metadata.map_or(0, |metadata| metadata.len()).to_le_bytes());
        }
    }
    hex(&hash.finalize())
}
