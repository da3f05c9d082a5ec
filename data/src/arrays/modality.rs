//! The two files of a modality, and the normalisation that is fitted on them.

use std::path::Path;

use super::{
    agreement::same_width,
    file::ArrayFile,
    kept::Kept,
    normal::{Fit, Normalisation},
};
use crate::{Split, error::DataError, held_out::Held};

/// A modality's files.
pub(super) struct Modality {
    pub(super) kept: Kept,
    pub(super) files: [ArrayFile; 2],
}

impl Modality {
    pub(super) fn open(folder: &Path, name: &str, normalisation: Normalisation) -> Result<Self, DataError> {
        Self::fit(name, Self::heads(folder, name)?, normalisation, &Held::default())
    }

    /// Opens both files of a modality and reads only their headers.
    pub(super) fn heads(folder: &Path, name: &str) -> Result<[ArrayFile; 2], DataError> {
        let [train, test] = [Split::Train, Split::Test].map(|split| ArrayFile::open(folder, name, split));
        let files = [train?, test?];
        same_width(&files)?;
        Ok(files)
    }

    /// Reads both and fits the normalisation on training rows that are not held out.
    pub(super) fn fit(
        name: &str,
        files: [ArrayFile; 2],
        normalisation: Normalisation,
        held: &Held,
    ) -> Result<Self, DataError> {
        let mut fit = Fit::new(normalisation, files[0].layout.width);
        let train = files[0].scan(|row, values| {
            if !held.contains(row) {
                fit.row(values);
            }
            Ok(())
        })?;
        let test = files[1].scan(|_, _| Ok(()))?;
        Ok(Modality { kept: Kept::new(name, [train, test], fit.finish()), files })
    }

    /// Checks that all normalised values are finite in float32.
    pub(super) fn check_range(&self) -> Result<(), DataError> {
        let mut out = vec![0.0; self.files[0].layout.width];
        for file in &self.files {
            file.scan(|row, values| {
                self.kept.map.apply(values, &mut out);
                check_normalised(file, row, &out)
            })?;
        }
        Ok(())
    }
}

pub(super) fn check_normalised(file: &ArrayFile, row: usize, values: &[f32]) -> Result<(), DataError> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(file.malformed(format!("row {row} leaves float32's range when it is normalised"))),
    }
}
