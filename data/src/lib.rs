//! Where samples come from: HandWritten (MNIST images paired with FSDD recordings) and digits made by code.
//!
//! Both go through one pipeline. [`open`] loads what a node's [`Needs`] ask for and nothing else: a receiver reads
//! labels, a transmitter without `mel` reads no recording. A [`Dataset`] then gives any modality of any sample of any
//! epoch; pairing, augmentation and noise are drawn from addressed randomness, so that every node sees the same.

mod augment;
mod catalogue;
mod content;
mod digits;
mod error;
mod fetch;
mod fft;
mod handwritten;
mod info;
mod mel;
mod modality;
mod paired;
mod pairing;
mod task;
mod verify;

pub use error::DataError;
pub use fetch::{FetchEvent, Mirrors, fetch_handwritten};
pub use handwritten::{
    idx::{parse_idx_images, parse_idx_labels},
    wav::parse_wav,
};
pub use info::{Info, ModalityInfo, SplitInfo, info};
pub use task::{Targets, Task};
pub use verify::{FileReport, FileState, VerifyReport, verify_handwritten};

use content::{Content, Wants};
use modality::Modality;
use paired::PairedDigits;
use randomness::Seed;
use std::path::PathBuf;

/// Which samples: those to train on, or those to judge by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// Training samples; audio is paired and augmented anew every epoch.
    Train,
    /// Test samples; pairing is fixed and nothing is augmented.
    Test,
}

impl Split {
    /// The index that addresses this split's draws.
    pub(crate) fn index(self) -> u64 {
        match self {
            Split::Train => 0,
            Split::Test => 1,
        }
    }
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Digits drawn and spoken by code: needs no files.
    Digits,
    /// MNIST and FSDD, in the folder given.
    HandWritten(PathBuf),
}

impl Source {
    /// The name as scenarios write it.
    pub fn name(&self) -> &'static str {
        match self {
            Source::Digits => "digits",
            Source::HandWritten(_) => "handwritten",
        }
    }
}

/// What a node needs loaded. A receiver needs no modalities, a transmitter no tasks.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a> {
    /// Modalities that will be read.
    pub modalities: &'a [String],
    /// Tasks whose targets will be asked for.
    pub tasks: &'a [String],
}

/// Samples with their modalities and targets. Reading is cheap and may happen on many threads at once.
pub trait Dataset: Send + Sync {
    /// How many samples a split has.
    fn samples(&self, split: Split) -> usize;

    /// Values per sample of a modality, loaded or not: `fft` and `noise-*` 196, `mel` 512. `None` for an unknown name.
    fn width(&self, modality: &str) -> Option<usize>;

    /// Writes one sample of a modality, `width` values, to `out`.
    ///
    /// `epoch` addresses pairing, augmentation and noise of the training split; the test split ignores it. What is
    /// written depends on the arguments and the seed alone.
    ///
    /// # Panics
    /// When the modality was not among the needs, `sample` is out of range, or `out` has another length than `width`.
    fn read(&self, modality: &str, split: Split, sample: usize, epoch: u64, out: &mut [f32]);

    /// What a task wants predicted of each sample of a split; `None` for an unknown name. Pairing keeps the digit, so
    /// that targets hold for every modality and epoch.
    fn targets(&self, task: &str, split: Split) -> Option<Targets>;

    /// For each test sample the index of the recording that it shares with others: the clusters of a bootstrap.
    fn clusters(&self) -> Vec<u32>;

    /// SHA-256 over what all nodes must agree on (sample counts, labels, recordings' names, modality shapes), whatever
    /// each of them has loaded.
    fn digest(&self) -> [u8; 32];
}

/// The modalities that a scenario with this `data.source` may name; none for an unknown source.
pub fn modality_names(source_name: &str) -> &'static [&'static str] {
    if is_source(source_name) { &modality::MODALITY_NAMES } else { &[] }
}

/// The tasks that a scenario with this `data.source` may name; none for an unknown source.
pub fn task_names(source_name: &str) -> &'static [&'static str] {
    if is_source(source_name) { &task::TASK_NAMES } else { &[] }
}

fn is_source(name: &str) -> bool {
    matches!(name, "digits" | "handwritten")
}

/// Opens a data set for a run with this seed and loads what is needed.
///
/// # Errors
/// One line: an unknown modality or task by its name, or the file that is missing, truncated or wrong.
pub fn open(source: &Source, seed: Seed, needs: &Needs) -> Result<Box<dyn Dataset>, DataError> {
    let content = load(source, check(needs)?)?;
    Ok(Box::new(PairedDigits::new(content, seed)))
}

/// The raw content of a data set.
fn load(source: &Source, wants: Wants) -> Result<Content, DataError> {
    match source {
        Source::Digits => Ok(digits::make(wants)),
        Source::HandWritten(folder) => handwritten::load(folder, wants),
    }
}

/// Checks the names in `needs` and says which raw content they take.
fn check(needs: &Needs) -> Result<Wants, DataError> {
    let mut wants = Wants::default();
    for name in needs.modalities {
        match Modality::named(name) {
            Some(Modality::Fft) => wants.images = true,
            Some(Modality::Mel) => wants.clips = true,
            Some(Modality::Noise) => {}
            None => {
                let known = modality::MODALITY_NAMES.join(", ");
                return Err(DataError::UnknownModality { name: name.clone(), known });
            }
        }
    }
    for name in needs.tasks {
        if Task::named(name).is_none() {
            return Err(DataError::UnknownTask { name: name.clone(), known: task::TASK_NAMES.join(", ") });
        }
    }
    Ok(wants)
}
