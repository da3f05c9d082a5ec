//! MM-Fi: people moving, seen by cameras, lidar, radar and WiFi, from the published tree of files.
//!
//! Frames are indexed once (`index`); which of them are samples follows from protocol and split (`selection`). Files
//! are read one by one as they are needed, and ahead in the background (`read_ahead`): the tree has 80 GB. What is read
//! is brought to the sizes of the authors' own experiment (`crop`). The crate `synthetic` makes a tree in the same
//! formats, for tests and for users who lack the real one.

mod crop;
mod csi;
mod dataset;
mod depth;
mod describe;
mod files;
mod frames;
mod index;
mod mat;
mod modality;
mod npy;
pub mod parallel;
mod permutation;
mod points;
mod protocol;
mod scale;
mod selection;
mod source;
mod split;
mod text;
mod tree;
mod verify;

pub use crop::Crop;
pub use csi::{CSI_SHAPE, parse_csi};
pub use depth::{DEPTH_SIDE, parse_depth};
pub use describe::{MmFiInfo, MmFiSplit, describe};
pub use mat::{MatArray, parse_mat};
pub use modality::{JOINTS, Sensor};
pub use npy::{Npy, parse_npy};
pub use parallel::Progress;
pub use points::{LIDAR_COLUMNS, RADAR_COLUMNS, parse_points};
pub use protocol::{ACTIONS, Protocol, SCENES, SUBJECTS, scene};
pub use split::{Listed, SplitRule};
pub use tree::{GROUND_TRUTH, SYNTHETIC_MARK, is_synthetic};
pub use verify::{MmFiReport, SensorReport, verify};

pub(crate) use dataset::TASK_NAMES;
pub(crate) use modality::MODALITY_NAMES;
pub(crate) use source::MmFiTree;
pub(crate) use tree::notes;

use crate::error::DataError;
use std::path::PathBuf;

/// Which frames of which folder.
#[derive(Clone, Debug, PartialEq)]
pub struct MmFi {
    /// The root: it holds `E01` to `E04`, or `S01` to `S40`.
    pub folder: PathBuf,
    /// Which actions take part.
    pub protocol: Protocol,
    /// How recordings are split.
    pub split: SplitRule,
    /// Modalities that any node of the run reads: a frame is a sample if it has a file with content for each of them.
    /// The same at every node, or they would not agree on the samples.
    pub modalities: Vec<String>,
    /// Whether modalities are brought about their mean and into units of their spread over training frames. The toolbox
    /// and the authors' script leave them as they are.
    pub standardise: bool,
}

impl MmFi {
    /// All of a folder as the toolbox reads it by default: protocol 3, random split, all seven modalities.
    pub fn at(folder: PathBuf) -> Self {
        MmFi {
            folder,
            protocol: Protocol::All,
            split: SplitRule::Random { ratio: 0.8, seed: 0 },
            modalities: MODALITY_NAMES.map(String::from).to_vec(),
            standardise: false,
        }
    }

    /// Finds out what files there are, which takes a while for the first time, and keeps it in the folder: who opens
    /// the data set afterwards need not.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn index(&self, progress: Progress<'_>) -> Result<(), DataError> {
        selection::Selection::new(self, &index::Index::open(&self.folder, progress)?).map(drop)
    }
}
