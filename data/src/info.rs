//! What a data set holds, for people to read.

use crate::{
    Balance, Source,
    catalogue::hex,
    content::{Content, Part, Wants},
    digits,
    error::DataError,
    handwritten::{self, recordings},
    mmfi,
    modality::{MODALITY_NAMES, Modality},
    paired::digest,
    task::{TASKS, Task},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a data set holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    /// The name as scenarios write it.
    pub source: &'static str,
    /// Its folder, where it has one.
    pub folder: Option<PathBuf>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Training and test split.
    pub splits: Vec<SplitInfo>,
    /// What transmitters may observe.
    pub modalities: Vec<ModalityInfo>,
    /// What receivers may predict.
    pub tasks: Vec<Task>,
    /// How many samples each class of a task has, in the tasks' order; none of tasks of values.
    pub balance: Vec<Option<Balance>>,
    /// Who speaks, where samples have recordings of speakers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub speakers: Vec<SpeakerInfo>,
    /// What a user should know of the files, a line each: what is there and not read, for example.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// [`Dataset::digest`](crate::Dataset::digest) in hexadecimal.
    pub digest: String,
}

/// One speaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpeakerInfo {
    /// The name in the files' names.
    pub name: String,
    /// How often each digit is spoken.
    pub takes: u32,
}

/// One split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitInfo {
    /// `train` or `test`.
    pub name: &'static str,
    /// How many samples it has.
    pub samples: usize,
    /// How many recordings its samples are paired with.
    pub recordings: usize,
    /// Samples of each digit, 0 to 9; none where samples are no digits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_digit: Vec<usize>,
}

/// One modality.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModalityInfo {
    /// The name as scenarios write it.
    pub name: &'static str,
    /// Sizes of the dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Values per sample.
    pub width: usize,
}

/// Describes a data set from its labels and names alone: quick, and no check of images or waveforms.
///
/// # Errors
/// As [`open`](crate::open).
pub fn info(source: &Source) -> Result<Info, DataError> {
    let (content, folder) = match source {
        Source::Digits => (digits::make(Wants::default()), None),
        Source::HandWritten(source) => {
            (handwritten::load(source, Wants::default())?, Some(source.folder.clone()))
        }
        Source::Arrays(source) => {
            let remedy = "is a folder of arrays: `pom2dib data info arrays` describes those";
            return Err(DataError::malformed(&source.folder, remedy));
        }
        Source::MmFi(source) => return mmfi::info(source),
    };
    let names = [&content.train, &content.test].into_iter().flat_map(|part| &part.names);
    let takes = if folder.is_some() { recordings::takes(names) } else { Default::default() };
    Ok(Info {
        source: source.name(),
        bytes: folder.as_deref().map_or(Ok(0), bytes)?,
        speakers: takes.into_iter().map(|(name, takes)| SpeakerInfo { name, takes }).collect(),
        notes: notes(source)?,
        folder,
        splits: vec![split("train", &content.train), split("test", &content.test)],
        modalities: MODALITY_NAMES.iter().filter_map(|name| modality(name)).collect(),
        tasks: TASKS.to_vec(),
        balance: TASKS.iter().map(|task| balance(*task, &content)).collect(),
        digest: hex(&digest(&content)),
    })
}

/// What a user should know of a source's files before a run, a line each: files that are there but not read, for example. Quick:
/// it lists folders and reads no content.
///
/// # Errors
/// When a folder cannot be listed.
pub fn notes(source: &Source) -> Result<Vec<String>, DataError> {
    match source {
        Source::Digits | Source::Arrays(_) => Ok(Vec::new()),
        Source::HandWritten(source) => Ok(handwritten::notes(&source.folder)),
        Source::MmFi(source) => mmfi::notes(&source.folder),
    }
}

fn balance(task: Task, content: &Content) -> Option<Balance> {
    Balance::of(&task.targets(&content.train.labels), &task.targets(&content.test.labels))
}

fn split(name: &'static str, part: &Part) -> SplitInfo {
    let mut per_digit = vec![0; 10];
    part.labels.iter().for_each(|&digit| per_digit[usize::from(digit)] += 1);
    SplitInfo { name, samples: part.labels.len(), recordings: part.names.len(), per_digit }
}

fn modality(name: &'static str) -> Option<ModalityInfo> {
    Modality::named(name).map(|modality| ModalityInfo {
        name,
        shape: modality.shape().to_vec(),
        width: modality.width(),
    })
}

/// The size of all files that opening may read.
fn bytes(folder: &Path) -> Result<u64, DataError> {
    let size = |path: PathBuf| match path.metadata() {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(DataError::io(&path, source)),
    };
    let mut total = 0;
    for name in handwritten::MNIST_NAMES {
        total += size(handwritten::find_mnist(folder, name)?)?;
    }
    let recordings = recordings::folder(folder)?;
    for name in recordings::list(folder)? {
        total += size(recordings.join(name.file_name()))?;
    }
    Ok(total)
}
