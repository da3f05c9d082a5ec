//! The HandWritten data set from its files.
//!
//! ```text
//! FOLDER/mnist/train-images-idx3-ubyte(.gz)    and train-labels-idx1-ubyte, t10k-images-..., t10k-labels-...
//! FOLDER/fsdd/recordings/{digit}_{speaker}_{index}.wav    (or FOLDER/recordings/...)
//! ```

pub(crate) mod idx;
pub(crate) mod recordings;
pub(crate) mod wav;

use crate::{
    content::{Clip, ClipName, Content, PIXELS, Part, Wants},
    error::DataError,
};
use std::path::{Path, PathBuf};

/// MNIST's folder below the data set's.
pub(crate) const MNIST: &str = "mnist";

/// Its files' names, without the `.gz` that they may have.
pub(crate) const MNIST_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// What to do about a missing file.
pub(crate) const REMEDY: &str = "run `pom2dib data fetch handwritten`, or put it there";

/// Where it lies, and what it is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct HandWritten {
    /// The folder with both data sets.
    pub folder: PathBuf,
    /// Whether a part of the training set is held out and stands in for the test set: a sixth of the images (10,000 of 60,000),
    /// the last ones, and the five takes of each speaker and digit that follow those for testing.
    pub validation: bool,
    /// Whether every training image keeps the clip and the augmentation that it has in the first epoch.
    pub frozen_audio: bool,
}

impl HandWritten {
    /// Judged by its test set, with audio that is paired and augmented anew every epoch.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        HandWritten { folder: folder.into(), validation: false, frozen_audio: false }
    }
}

/// Reads labels and clip names, and what else is wanted.
pub(crate) fn load(source: &HandWritten, wants: Wants) -> Result<Content, DataError> {
    let folder = source.folder.as_path();
    if !folder.is_dir() {
        return Err(DataError::missing(folder, "it should be the folder that holds mnist/ and fsdd/"));
    }
    let (train_names, test_names) = recordings::split(recordings::list(folder)?);
    let part = |stem, names| read_part(folder, stem, names, wants);
    let train = part("train", train_names)?;
    if source.validation {
        return hold_out(train, &recordings::folder(folder)?);
    }
    Ok(Content { train, test: part("t10k", test_names)? })
}

/// Splits a part for validation off the training set.
fn hold_out(mut train: Part, recordings: &Path) -> Result<Content, DataError> {
    let kept = train.labels.len() - train.labels.len() / 6;
    let labels = train.labels.split_off(kept);
    let images = train.images.as_mut().map(|images| images.split_off(kept * PIXELS));
    let for_training: Vec<bool> = train.names.iter().map(recordings::is_for_training).collect();
    if !for_training.contains(&true) {
        let problem = "holds too few recordings to hold some out: each speaker should have spoken each digit more than \
                       10 times";
        return Err(DataError::malformed(recordings, problem));
    }
    let (kept_names, names) = divide(train.names, &for_training);
    let (kept_clips, clips) = train.clips.map(|clips| divide(clips, &for_training)).unzip();
    let train = Part { labels: train.labels, images: train.images, names: kept_names, clips: kept_clips };
    Ok(Content { train, test: Part { labels, images, names, clips } })
}

/// The values for which it holds, and the others.
fn divide<T>(values: Vec<T>, holds: &[bool]) -> (Vec<T>, Vec<T>) {
    let mut holds = holds.iter();
    values.into_iter().partition(|_| holds.next() == Some(&true))
}

fn read_part(folder: &Path, stem: &str, names: Vec<ClipName>, wants: Wants) -> Result<Part, DataError> {
    let labels_file = find_mnist(folder, &format!("{stem}-labels-idx1-ubyte"))?;
    let labels = idx::read_labels(&labels_file)?;
    let images = match wants.images {
        true => Some(read_images(folder, stem, labels.len())?),
        false => None,
    };
    let clips = match wants.clips {
        true => Some(read_clips(&recordings::folder(folder)?, &names)?),
        false => None,
    };
    Ok(Part { labels, images, names, clips })
}

fn read_images(folder: &Path, stem: &str, labels: usize) -> Result<Vec<u8>, DataError> {
    let file = find_mnist(folder, &format!("{stem}-images-idx3-ubyte"))?;
    let (count, pixels) = idx::read_images(&file)?;
    if count != labels {
        let problem = format!("holds {count} images, but {stem}-labels-idx1-ubyte holds {labels} labels");
        return Err(DataError::malformed(&file, problem));
    }
    Ok(pixels)
}

fn read_clips(recordings: &Path, names: &[ClipName]) -> Result<Vec<Clip>, DataError> {
    names.iter().map(|name| wav::read(&recordings.join(name.file_name()))).collect()
}

/// The file of that name, plain or compressed.
pub(crate) fn find_mnist(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    let plain = folder.join(MNIST).join(name);
    let compressed = folder.join(MNIST).join(format!("{name}.gz"));
    if plain.exists() {
        Ok(plain)
    } else if compressed.exists() {
        Ok(compressed)
    } else {
        Err(DataError::missing(&compressed, REMEDY))
    }
}
