//! What a tree holds, for people to read.

use super::{
    MmFi,
    dataset::TASKS,
    index::Index,
    modality::{MODALITY_NAMES, NOISE_WIDTH, Sensor},
    parallel::Progress,
    selection::Selection,
};
use crate::{
    Balance, Split, Task,
    catalogue::hex,
    error::DataError,
    info::{Info, ModalityInfo, SplitInfo, TaskInfo},
};
use serde::Serialize;
use std::{collections::BTreeSet, path::PathBuf};

/// What a tree holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MmFiInfo {
    /// `mmfi`.
    pub source: &'static str,
    /// Its root.
    pub folder: PathBuf,
    /// Whether it was made by this program and is not the published data.
    pub synthetic: bool,
    /// Bytes of all frames.
    pub bytes: u64,
    /// Recordings that are there, of 1080.
    pub recordings: usize,
    /// Modalities of which every recording has a folder.
    pub modalities: Vec<&'static str>,
    /// Training and test split: protocol 3, random split of seed 0, of these modalities.
    pub splits: Vec<MmFiSplit>,
    /// What always answering the commonest training class scores, by task.
    pub majority: Vec<(&'static str, f64)>,
    /// What a user should know of the files, a line each: recordings that are there twice, for example.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// [`Dataset::digest`](crate::Dataset::digest) in hexadecimal.
    pub digest: String,
}

/// One split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MmFiSplit {
    /// `train` or `test`.
    pub name: &'static str,
    /// How many samples it has.
    pub samples: usize,
    /// Of how many recordings.
    pub recordings: usize,
    /// Of how many subjects.
    pub subjects: usize,
    /// Samples of each scene, E01 to E04.
    pub per_scene: [usize; 4],
    /// Samples of each action, A01 to A27.
    pub per_action: [usize; 27],
}

/// Describes a tree from its index: quick once that is made, and no check of any frame.
///
/// # Errors
/// As [`MmFi::open`].
pub fn describe(folder: PathBuf, progress: Progress<'_>) -> Result<MmFiInfo, DataError> {
    let index = Index::open(&folder, progress)?;
    let everywhere = |sensor: &Sensor| {
        index.recordings.iter().all(|recording| recording.files[*sensor as usize].is_some())
    };
    let modalities: Vec<&str> = Sensor::ALL.into_iter().filter(everywhere).map(Sensor::name).collect();
    let source =
        MmFi { modalities: modalities.iter().map(|&name| name.into()).collect(), ..MmFi::at(folder.clone()) };
    let selection = Selection::new(&source, &index)?;
    let files = index.recordings.iter().flat_map(|recording| recording.files.iter().flatten());
    let splits = [("train", Split::Train), ("test", Split::Test)];
    let [train, test] = splits.map(|(name, of)| split(name, &selection, of));
    let majority = |task: &Task| Some((task.name, balance(task.name, [&train, &test])?.majority));
    Ok(MmFiInfo {
        majority: TASKS.iter().filter_map(majority).collect(),
        source: "mmfi",
        synthetic: super::is_synthetic(&folder),
        notes: super::notes(&folder)?,
        folder,
        bytes: files.map(|files| files.bytes).sum(),
        recordings: index.recordings.len(),
        modalities,
        splits: vec![train, test],
        digest: hex(&selection.digest),
    })
}

fn split(name: &'static str, selection: &Selection, split: Split) -> MmFiSplit {
    let (mut per_scene, mut per_action) = ([0; 4], [0; 27]);
    let (mut recordings, mut subjects) = (0, BTreeSet::new());
    for (place, frames) in selection.by_recording(split) {
        per_scene[place.scene_class() as usize] += frames.len();
        per_action[place.action_class() as usize] += frames.len();
        recordings += 1;
        subjects.insert(place.subject);
    }
    let samples = selection.samples(split).len();
    MmFiSplit { name, samples, recordings, subjects: subjects.len(), per_scene, per_action }
}

/// The classes of a task; none of poses, which are values.
fn balance(task: &str, [train, test]: [&MmFiSplit; 2]) -> Option<Balance> {
    let counts = |split: &MmFiSplit| -> Option<Vec<u64>> {
        let counts: &[usize] = match task {
            "scene" => &split.per_scene,
            "action" => &split.per_action,
            _ => return None,
        };
        Some(counts.iter().map(|&count| count as u64).collect())
    };
    Some(Balance::of_counts(counts(train)?, counts(test)?))
}

impl MmFi {
    /// The same in the terms of all data sets, for a run's own choice of frames.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn info(&self) -> Result<Info, DataError> {
        let source = self;
        let index = Index::open(&source.folder, &|_, _| {})?;
        let selection = Selection::new(source, &index)?;
        let [train, test] =
            [("train", Split::Train), ("test", Split::Test)].map(|(name, of)| split(name, &selection, of));
        let split = |name, split| SplitInfo {
            name,
            samples: selection.samples(split).len(),
            recordings: selection.by_recording(split).count(),
            per_digit: Vec::new(),
        };
        let modality = |name| {
            let shape = Sensor::named(name).map_or(vec![NOISE_WIDTH], Sensor::axes);
            ModalityInfo { name: name.into(), width: shape.iter().product(), shape }
        };
        let files = index.recordings.iter().flat_map(|recording| recording.files.iter().flatten());
        Ok(Info {
            source: "mmfi".into(),
            folder: Some(source.folder.clone()),
            bytes: files.map(|files| files.bytes).sum(),
            splits: vec![split("train", Split::Train), split("test", Split::Test)],
            modalities: MODALITY_NAMES.into_iter().map(modality).collect(),
            tasks: TASKS.map(TaskInfo::from).to_vec(),
            balance: TASKS.iter().map(|task| balance(task.name, [&train, &test])).collect(),
            speakers: Vec::new(),
            notes: super::notes(&source.folder)?,
            digest: hex(&selection.digest),
        })
    }
}
