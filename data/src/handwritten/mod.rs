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
    content::{Clip, ClipName, Content, Part, Wants},
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

/// Reads labels and clip names, and what else is wanted.
pub(crate) fn load(folder: &Path, wants: Wants) -> Result<Content, DataError> {
    if !folder.is_dir() {
        return Err(DataError::missing(folder, "it should be the folder that holds mnist/ and fsdd/"));
    }
    let (train_names, test_names) = recordings::split(recordings::list(folder)?);
    let part = |stem, names| read_part(folder, stem, names, wants);
    let content = Content { train: part("train", train_names)?, test: part("t10k", test_names)? };
    Ok(content)
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
