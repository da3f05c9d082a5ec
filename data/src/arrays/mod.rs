//! Anybody's own data: a folder with an array for each modality or task and split, whose first axis is the sample.
//!
//! Row i of all files of a split is of the same sample. A node opens its own files and no others; rows are read in
//! place.

mod agreement;
mod check;
mod complex;
mod dataset;
pub(crate) mod element;
mod file;
mod fortran;
mod frame;
mod kept;
mod labels;
mod layout;
mod modality;
mod names;
mod normal;
pub(crate) mod npy;
mod npz;
mod safetensors_file;
mod source;
mod target;
mod text;
mod unseen;
mod write;

pub use self::{
    check::{ArrayReport, FileReport, TaskReport, check_arrays, check_arrays_of},
    complex::read_complex,
    file::parse_array,
    frame::{OutOfStep, read_npy},
    kept::Kept,
    names::check_array_name,
    normal::Normalisation,
    write::{NewArray, Values, npy_head, write_npz},
};
pub(crate) use self::{
    normal::{Fit, Map},
    source::ArrayFiles,
    text::classes,
    unseen::Unseen,
};

use std::path::PathBuf;

use crate::Split;

/// A folder of arrays, and how to take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArraySource {
    /// Where the files are.
    pub folder: PathBuf,
    /// How modalities and regression targets are normalised.
    pub normalisation: Normalisation,
    /// Values in a sample of `noise-1` to `noise-9`.
    pub noise_width: usize,
    /// Which array is a task, and of which kind.
    pub tasks: Vec<ArrayTask>,
}

/// A task over an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayTask {
    /// The array's name.
    pub name: String,
    /// Without one, integers, texts and one-hot rows are classes, and so are floats that are exactly 0 to C-1 with C at
    /// most 100; other floats are values.
    pub kind: Option<TaskKind>,
    /// Without one, one more than the largest training label.
    pub classes: Option<usize>,
    /// Labels that say that there is none.
    pub ignore: Vec<Label>,
}

impl ArrayTask {
    /// A task of which nothing but the array is known.
    pub fn plain(name: &str) -> Self {
        ArrayTask { name: name.into(), kind: None, classes: None, ignore: Vec::new() }
    }
}

/// A label as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// A number; of one-hot rows, the column.
    Number(i64),
    /// A text.
    Text(String),
}

/// The kinds of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// One of some classes.
    Classification,
    /// One or more values.
    Regression,
}

/// What must be known of a file to see that nodes read parts of the same data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its name, without its folder.
    pub name: String,
    /// Of which split it is.
    pub split: Split,
    /// Its rows.
    pub rows: usize,
    /// SHA-256 of its type, shape and values.
    pub sha256: [u8; 32],
}
