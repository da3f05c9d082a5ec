//! Checks that all nodes read parts of the same data.

use std::collections::BTreeMap;

use proto::v1::{DataFile, Ready};

use crate::{CoordinatorError, members::Member};

/// A node's file.
type Known<'a> = (&'a Member, &'a DataFile);

/// All nodes must read the same samples and labels. Of files that only one node reads, the row counts must agree, and
/// the contents where the names do.
pub(crate) fn compare_data(ready: &BTreeMap<Member, Ready>) -> Result<(), CoordinatorError> {
    let mut nodes = ready.iter();
    let Some((first, expected)) = nodes.next() else { return Ok(()) };
    if let Some((other, _)) = nodes.find(|(_, ready)| ready.data != expected.data) {
        return Err(CoordinatorError::Input(format!(
            "{other} reads other data than {first}: give both the same --data (sample counts, labels, shapes, validation rows or the traces of channels differ)"
        )));
    }
    let files =
        || ready.iter().flat_map(|(member, ready)| ready.files.iter().map(move |file| (member, file)));
    compare_rows(files().filter(|(_, file)| !file.test))?;
    compare_rows(files().filter(|(_, file)| file.test))?;
    compare_contents(files())
}

/// Row i of all files of a split belongs to the same sample. If the lengths of files differ, the commonest length is
/// taken as right; in a tie, that of the first file.
fn compare_rows<'a>(files: impl Iterator<Item = Known<'a>>) -> Result<(), CoordinatorError> {
    let files: Vec<Known<'a>> = files.collect();
    let mut as_many: BTreeMap<u64, usize> = BTreeMap::new();
    files.iter().for_each(|(_, file)| *as_many.entry(file.rows).or_default() += 1);
    // `max_by_key` returns the last of several maxima: hence the reverse order.
    let usual = files.iter().rev().max_by_key(|(_, file)| as_many[&file.rows]);
    let Some((first, expected)) = usual else { return Ok(()) };
    match files.iter().find(|(_, file)| file.rows != expected.rows) {
        None => Ok(()),
        Some((other, file)) => Err(CoordinatorError::Input(format!(
            "{other}: {} has {} rows, but {} of {first} has {}: row i of both must be of the same sample",
            file.name, file.rows, expected.name, expected.rows
        ))),
    }
}

fn compare_contents<'a>(files: impl Iterator<Item = Known<'a>>) -> Result<(), CoordinatorError> {
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for (member, file) in files {
        // The same array may be stored in files of different kinds.
        let stem = file.name.rsplit_once('.').map_or(file.name.as_str(), |(stem, _)| stem);
        let (first, expected) = known.entry(stem).or_insert((member, file));
        if file.sha256 != expected.sha256 {
            return Err(CoordinatorError::Input(format!(
                "{member}: {} holds other values than {} of {first}: give both the same file",
                file.name, expected.name
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use node::Role;

    use super::*;

    fn ready(files: &[(&str, bool, u64, u8)]) -> Ready {
        let file = |&(name, test, rows, sum): &(&str, bool, u64, u8)| DataFile {
            name: name.into(),
            test,
            rows,
            sha256: vec![sum; 32].into(),
        };
        Ready { files: files.iter().map(file).collect(), ..Ready::default() }
    }

    fn compare(transmitter: &[(&str, bool, u64, u8)], receiver: &[(&str, bool, u64, u8)]) -> String {
        let members = [Role::Transmitter, Role::Receiver].map(|role| Member { role, index: 1 });
        let both = members.into_iter().zip([ready(transmitter), ready(receiver)]).collect();
        compare_data(&both).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn files_of_as_many_rows_go_together() {
        let left = [("left.train.npy", false, 10, 1), ("left.test.npy", true, 4, 2)];
        assert_eq!(compare(&left, &[("digit.train.npy", false, 10, 3), ("digit.test.npz", true, 4, 4)]), "");
        assert_eq!(compare(&left, &[("left.train.npz", false, 10, 1), ("left.test.npy", true, 4, 2)]), "");
    }

    #[test]
    fn a_wrong_number_of_rows_names_both_files_and_their_nodes() {
        let left = [("left.train.npy", false, 10, 1), ("left.test.npy", true, 4, 2)];
        let line = compare(&left, &[("digit.train.npy", false, 10, 3), ("digit.test.npy", true, 5, 4)]);
        assert_eq!(
            line,
            "receiver 1: digit.test.npy has 5 rows, but left.test.npy of transmitter 1 has 4: row i of both must be of the \
             same sample"
        );
    }

    #[test]
    fn the_odd_file_out_is_blamed_and_not_the_first() {
        let others = [("right.train.npy", false, 10, 1), ("digit.train.npy", false, 10, 2)];
        let line = compare(&[("left.train.npy", false, 11, 3)], &others);
        assert!(
            line.starts_with(
                "transmitter 1: left.train.npy has 11 rows, but right.train.npy of receiver 1 has 10"
            ),
            "{line}"
        );
    }

    #[test]
    fn another_content_under_the_same_name_names_both_nodes() {
        let line = compare(&[("left.train.npy", false, 10, 1)], &[("left.train.npz", false, 10, 9)]);
        assert_eq!(
            line,
            "receiver 1: left.train.npz holds other values than left.train.npy of transmitter 1: give both the same file"
        );
    }
}
