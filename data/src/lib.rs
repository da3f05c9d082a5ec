//! Where samples come from: HandWritten (MNIST images paired with FSDD recordings), digits made by code, MM-Fi, and
//! arrays of anybody's own.
//!
//! The first two go through one pipeline; [`mmfi`] and arrays read their files as they are needed. Each is a
//! [`Source`], which has a name; [`register`] adds one of your own. [`Chosen::open`] loads what a node's [`Needs`] ask
//! for and nothing else: a receiver reads labels, a transmitter without `mel` reads no recording. A [`Dataset`] then
//! gives any modality of any sample of any epoch; pairing, augmentation and noise are drawn from addressed randomness,
//! so that every node sees the same.

mod arrays;
mod augment;
mod catalogue;
mod content;
mod contents;
mod digits;
mod error;
mod fetch;
mod fft;
mod handwritten;
mod held_out;
mod held_recordings;
mod info;
mod mel;
pub mod mmfi;
mod modality;
mod paired;
mod pairing;
mod preparation;
mod read_ahead;
mod rows;
mod scaling;
mod shared;
mod source;
mod task;
mod verify;
mod view;

pub use arrays::{
    ArrayReport, ArraySource, ArrayTask, DataFile, FileReport as ArrayFileReport, Kept, Label, NewArray,
    Normalisation, OutOfStep, TaskKind, TaskReport, Values, check_array_name, check_arrays, check_arrays_of,
    npy_head, parse_array, read_complex, read_npy, write_npz,
};
pub use error::DataError;
pub use fetch::{FetchEvent, Mirrors, fetch_handwritten};
pub use handwritten::{
    HandWritten, check_handwritten,
    idx::{parse_idx_images, parse_idx_labels},
    wav::parse_wav,
};
pub use held_out::Divided;
pub use info::{Info, ModalityInfo, SpeakerInfo, SplitInfo, TaskInfo};
pub use modality::is_noise;
pub use rows::{Trained, TrainedTask};
pub use scaling::Scaling;
pub use source::{Chosen, Report, Settings, Source, register, source_names};
pub use task::{About, Balance, IGNORED, Targets, Task};
pub use verify::{FileReport, FileState, VerifyReport, verify_handwritten};

/// Which samples: those to train on, or those to test on.
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

/// What a node needs loaded. A receiver needs no modalities, a transmitter no tasks.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a> {
    /// Modalities that will be read.
    pub modalities: &'a [String],
    /// Tasks whose targets will be asked for.
    pub tasks: &'a [String],
}

/// Samples with their modalities and targets. Reading may happen on many threads at once.
pub trait Dataset: Send + Sync {
    /// How many samples a split has.
    fn samples(&self, split: Split) -> usize;

    /// Values per sample of a modality, loaded or not. `None` for an unknown name, and for an array that was not among
    /// the needs.
    fn width(&self, modality: &str) -> Option<usize>;

    /// The axes of a modality's sample, outermost first, as networks that look at more than one width see them:
    /// channels x height x width, time steps x channels, or points x channels. Their product is the width. Default: one
    /// axis.
    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        Some(vec![self.width(modality)?])
    }

    /// Writes one sample of a modality, `width` values, to `out`.
    ///
    /// `epoch` addresses pairing, augmentation and noise of the training split; the test split ignores it. What is
    /// written depends on the arguments, the seed and the files alone.
    ///
    /// # Errors
    /// The file that cannot be read, and what is wrong with it.
    ///
    /// # Panics
    /// When the modality was not among the needs, `sample` is out of range, or `out` has another length than `width`.
    ///
    /// # Errors
    /// The file, if the sample lies in one and cannot be read, or holds something else than when it was opened.
    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError>;

    /// Makes of a sample's values of a modality, as they were observed, what [`read`](Self::read) would write of them:
    /// what was fitted on the training rows is applied. Default: they stay as they are.
    fn normalise(&self, _modality: &str, _values: &mut [f32]) {}

    /// The constants of the last step of [`read`](Self::read), which scales a modality's values: for programs that
    /// prepare samples themselves. `None` if there are none, or if [`kept`](Self::kept) has them.
    fn scaling(&self, _modality: &str) -> Option<Scaling> {
        None
    }

    /// Says which (sample, epoch) of a modality will be read next, in place of what was announced before: a data set
    /// that reads files can begin in the background. It changes no result.
    fn read_ahead(&self, _modality: &str, _split: Split, _samples: &[(usize, u64)]) {}

    /// What a task wants predicted of each sample of a split; `None` for an unknown name. Pairing keeps the digit, so
    /// that targets hold for every modality and epoch.
    ///
    /// # Panics
    /// When the task was not among the needs and its targets have to be read.
    fn targets(&self, task: &str, split: Split) -> Option<Targets>;

    /// What a user should know of a task.
    fn about(&self, _task: &str) -> About {
        About::default()
    }

    /// For a task of values: what 1 in its targets is in the units of the data, for each value. None: the same.
    fn units(&self, _task: &str) -> Option<Vec<f64>> {
        None
    }

    /// For a task of values: what 0 in its targets is in the units of the data, for each value. None: 0.
    fn origins(&self, _task: &str) -> Option<Vec<f64>> {
        None
    }

    /// Whether a task's values are the joints of a body, x, y and z of each in metres: then its metric is how far each
    /// joint is off, too.
    fn is_pose(&self, _task: &str) -> bool {
        false
    }

    /// For each test sample the index of the recording that it shares with others: the clusters of a bootstrap.
    fn clusters(&self) -> Vec<u32>;

    /// For each test sample the index of its recording, if the samples of a recording are neighbours in order of time:
    /// a sensor that lags behind shows the value of an earlier sample. `named` is `evaluation.recordings`, the array of
    /// recordings, for data sets that have one. `None` if samples are not in order of time, or their order is unknown.
    ///
    /// # Errors
    /// The file of that array, and what is wrong with it.
    fn recordings(&self, _named: Option<&str>) -> Result<Option<Vec<u32>>, DataError> {
        Ok(None)
    }

    /// For each training sample the group that it shares with others, if such groups are known: a group is held out as
    /// a whole.
    fn groups(&self) -> Option<Vec<u32>> {
        None
    }

    /// SHA-256 over what all nodes must agree on (sample counts, labels, recordings' names, modality shapes), whatever
    /// each of them has loaded.
    fn digest(&self) -> [u8; 32];

    /// The files that this node reads and others do not: their rows must agree among all nodes, and their contents
    /// where names do.
    fn files(&self) -> Vec<DataFile> {
        Vec::new()
    }

    /// What a checkpoint must keep of the data.
    fn kept(&self) -> Vec<Kept> {
        Vec::new()
    }

    /// Takes back what a checkpoint has kept.
    ///
    /// # Errors
    /// The file that has changed since.
    fn restore(&mut self, _kept: &[Kept]) -> Result<(), DataError> {
        Ok(())
    }
}
