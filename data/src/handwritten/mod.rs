//! The HandWritten data set from its files.
//!
//! ```text
//! FOLDER/mnist/train-images-idx3-ubyte(.gz)    and train-labels-idx1-ubyte, t10k-images-..., t10k-labels-...
//! FOLDER/fsdd/recordings/{digit}_{speaker}_{index}.wav    (or FOLDER/recordings/...)
//! ```
//!
//! MNIST is also read as others leave it: torchvision's `MNIST/raw/`, and names with a dot (`train-images.idx3-ubyte`).

mod check;
pub(crate) mod idx;
pub(crate) mod recordings;
mod source;
pub(crate) mod wav;

pub use check::check_handwritten;
pub(crate) use source::HandWrittenFiles;

use crate::{
    content::{Clip, ClipName, Content, PIXELS, Part, Wants},
    error::{DataError, shown},
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

/// Where MNIST may lie below the data set's folder: as `fetch` puts it, and as torchvision does.
const MNIST_PLACES: [&str; 4] = [MNIST, "MNIST/raw", "mnist/MNIST/raw", "mnist/raw"];

/// What to do about a missing file that was published.
pub(crate) fn remedy(root: &Path) -> String {
    format!("run `pom2dib data fetch handwritten {}`, or put it there", shown(root))
}

/// Its folder, and which samples are its test split.
#[derive(Clone, Debug, PartialEq)]
pub struct HandWritten {
    /// The folder with both data sets.
    pub folder: PathBuf,
    /// Whether a part of the training set is held out and stands in for the test set: a sixth of the images (10,000 of
    /// 60,000), the last ones, and the five takes of each speaker and digit that follow those for testing.
    pub validation: bool,
    /// The test speaker: all recordings of this speaker are tested, and none is trained or validated on.
    pub test_speaker: Option<String>,
}

impl HandWritten {
    /// With its own test set.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        HandWritten { folder: folder.into(), validation: false, test_speaker: None }
    }
}

/// Reads labels and clip names, and what else is wanted.
pub(crate) fn load(source: &HandWritten, wants: Wants) -> Result<Content, DataError> {
    let folder = source.folder.as_path();
    if !folder.is_dir() {
        return Err(DataError::missing(folder, "it should be the folder that holds mnist/ and fsdd/"));
    }
    let names = recordings::list(folder)?;
    let (train_names, test_names) = match &source.test_speaker {
        Some(speaker) => recordings::split_by_speaker(names, speaker, &recordings::folder(folder)?)?,
        None => recordings::split(names),
    };
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
    check_counts(folder, stem, count, labels)?;
    Ok(pixels)
}

/// Checks that there are as many images as labels. Of two files that disagree, the one that has as many as were
/// published is right.
fn check_counts(folder: &Path, stem: &str, images: usize, labels: usize) -> Result<(), DataError> {
    if images == labels {
        return Ok(());
    }
    let [images_file, labels_file] =
        ["images-idx3", "labels-idx1"].map(|kind| find_mnist(folder, &format!("{stem}-{kind}-ubyte")));
    let (images_file, labels_file) = (images_file?, labels_file?);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let published = if stem == "train" { 60_000 } else { 10_000 };
    Err(match images == published {
        true => DataError::malformed(
            &labels_file,
            format!("holds {labels} labels, but {} holds {images} images", name(&images_file)),
        ),
        false => DataError::malformed(
            &images_file,
            format!("holds {images} images, but {} holds {labels} labels", name(&labels_file)),
        ),
    })
}

fn read_clips(recordings: &Path, names: &[ClipName]) -> Result<Vec<Clip>, DataError> {
    names.iter().map(|name| wav::read(&recordings.join(name.file_name()))).collect()
}

/// The file of that name, plain or compressed, in whichever layout.
pub(crate) fn find_mnist(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    let found = spellings(folder, name).find(|path| path.is_file());
    found.ok_or_else(|| DataError::missing(&folder.join(MNIST).join(format!("{name}.gz")), remedy(folder)))
}

/// Where a file may be, in the order in which it is looked for: with a hyphen or a dot, or in a folder of its own name,
/// as some archives have it.
fn spellings(folder: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    let names = names.into_iter().chain([format!("{name}/{name}"), format!("{dotted}/{dotted}")]);
    let names: Vec<String> = names.collect();
    MNIST_PLACES
        .into_iter()
        .flat_map(move |place| names.clone().into_iter().map(move |name| Path::new(place).join(name)))
        .map({
            let folder = folder.to_path_buf();
            move |place| folder.join(place)
        })
}

/// What is there but not read, since the same is found at another place: a line each.
pub(crate) fn notes(folder: &Path) -> Vec<String> {
    let plain = |path: &Path| {
        path.with_file_name(path.file_name().unwrap_or_default().to_string_lossy().trim_end_matches(".gz"))
    };
    let mut notes = Vec::new();
    for name in MNIST_NAMES {
        let Ok(read) = find_mnist(folder, name) else { continue };
        // A compressed file beside its content is no news.
        let others = spellings(folder, name).filter(|path| path.is_file() && plain(path) != plain(&read));
        let line = |other: PathBuf| format!("{} is there too, but {} is read", shown(&other), shown(&read));
        notes.extend(others.map(line));
    }
    if let Ok(read) = recordings::folder(folder) {
        let others = recordings::unread_folders(folder).into_iter();
        notes.extend(others.map(|other| {
            format!("{} holds recordings too, but those in {} are read", shown(&other), shown(&read))
        }));
    }
    notes
}
