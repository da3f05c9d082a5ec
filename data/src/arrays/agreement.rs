//! Checks that files of arrays fit together: equal numbers of rows, and rows of equal shape.

use super::file::ArrayFile;
use crate::error::DataError;

/// An error for each file of a split whose number of rows differs from the most frequent number; among equally
/// frequent numbers, from that of the first file.
pub(super) fn odd_ones_out<'a>(files: &[&'a ArrayFile]) -> impl Iterator<Item = DataError> {
    let as_many = |rows: usize| files.iter().filter(|file| file.layout.rows == rows).count();
    // Reversed, since `max_by_key` returns the last of several maxima.
    let usual: Option<&'a ArrayFile> =
        files.iter().rev().copied().max_by_key(|file| as_many(file.layout.rows));
    let files: Vec<&ArrayFile> = files.to_vec();
    files.into_iter().filter_map(move |file| {
        let usual = usual.filter(|usual| usual.layout.rows != file.layout.rows)?;
        Some(file.malformed(format!(
            "has {} rows, but {} has {} rows: row i of both must be of the same sample",
            file.layout.rows,
            usual.file_name(),
            usual.layout.rows
        )))
    })
}

/// Checks that the rows of both splits have the same shape.
pub(super) fn same_width([train, test]: &[ArrayFile; 2]) -> Result<(), DataError> {
    if train.layout.shape[1..] == test.layout.shape[1..] {
        return Ok(());
    }
    Err(test.malformed(format!(
        "has rows of shape {:?}, but those of {} have {:?}",
        &test.layout.shape[1..],
        train.file_name(),
        &train.layout.shape[1..]
    )))
}
