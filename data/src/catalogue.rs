//! What the published HandWritten files are: names and checksums.

pub(crate) use randomness::hex;

use crate::{content::ClipName, error::DataError};
use sha2::{Digest, Sha256};
use std::{io::Read, path::Path};

/// Names and checksums of all files.
pub(crate) struct Catalogue {
    /// Uncompressed name and SHA-256 (in hexadecimal) of each MNIST file.
    pub(crate) mnist: Vec<(String, String)>,
    /// Each recording, and how the SHA-256 of its file begins: enough to tell which one differs.
    pub(crate) recordings: Vec<(ClipName, String)>,
    /// [`recordings_digest`] of all of them: what decides.
    pub(crate) recordings_digest: String,
}

/// SHA-256 of MNIST's uncompressed files.
const MNIST: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];

/// FSDD v1.0.10: a line per digit and speaker, with the first eight digits of each take's SHA-256.
const RECORDINGS: &str = include_str!("fsdd-v1.0.10.sums");

const RECORDINGS_DIGEST: &str = "2f17dea19a57e5b41c96377cc76619e34da46105a595ef978b7d26466f8a9689";

impl Catalogue {
    /// MNIST as published, and FSDD v1.0.10.
    pub(crate) fn published() -> Self {
        Catalogue {
            mnist: MNIST.iter().map(|&(name, sum)| (name.into(), sum.into())).collect(),
            recordings: RECORDINGS.lines().flat_map(recordings_of_line).collect(),
            recordings_digest: RECORDINGS_DIGEST.into(),
        }
    }
}

fn recordings_of_line(line: &'static str) -> impl Iterator<Item = (ClipName, String)> {
    let mut words = line.split(' ');
    let digit = words.next().and_then(|digit| digit.parse().ok()).unwrap_or_default();
    let speaker = words.next().unwrap_or_default();
    words.zip(0..).map(move |(sum, index)| (ClipName { digit, speaker: speaker.into(), index }, sum.into()))
}

/// The SHA-256 of what a reader gives, in hexadecimal.
pub(crate) fn sum_of(mut reader: impl Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// One SHA-256 over recordings, in the order of their file names: each name, a zero byte, the length of the file (8
/// bytes, little-endian) and its bytes.
pub(crate) fn recordings_digest<'a>(
    folder: &Path,
    names: impl Iterator<Item = &'a ClipName>,
) -> Result<String, DataError> {
    let mut files: Vec<String> = names.map(ClipName::file_name).collect();
    files.sort_unstable();
    let mut hash = Sha256::new();
    for name in files {
        let path = folder.join(&name);
        let bytes = std::fs::read(&path).map_err(|source| DataError::io(&path, source))?;
        hash.update(name);
        hash.update([0]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_lists_every_published_file() {
        let catalogue = Catalogue::published();
        assert_eq!((catalogue.mnist.len(), catalogue.recordings.len()), (4, 3000));
        assert!(catalogue.recordings.iter().all(|(_, sum)| sum.len() == 8));
        assert!(catalogue.recordings.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
