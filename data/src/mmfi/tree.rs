//! Where the recordings are in a folder, as users have it.
//!
//! ```text
//! ROOT/E01/S01/A01/ground_truth.npy    and rgb/frame001.npy ..., infra1, infra2, depth, lidar, mmwave, wifi-csi
//! ROOT/E01/E01/S01/A01/...             (a mirror doubles the scene)
//! ROOT/S01/A01/...                     (another packing leaves it out)
//! ```

use super::protocol::{ACTIONS, SUBJECTS, scene};
use crate::error::{DataError, shown};
use std::path::{Path, PathBuf};

/// The poses of a recording, beside its folders of frames.
pub const GROUND_TRUTH: &str = "ground_truth.npy";

/// The file that marks a tree as synthetic. It is written last: a tree that has it is whole.
pub const SYNTHETIC_MARK: &str = ".pom2dib-synthetic.json";

/// Whether a folder holds a synthetic tree.
pub fn is_synthetic(folder: &Path) -> bool {
    folder.join(SYNTHETIC_MARK).is_file()
}

/// One subject's doing of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) subject: u8,
    pub(crate) action: u8,
    /// Its folder below the root.
    pub(crate) folder: PathBuf,
    /// Other folders of the same recording, in other packings: they are not read.
    pub(crate) unread: Vec<PathBuf>,
}

/// All recordings that are there, by subject, then action.
pub(crate) fn places(root: &Path) -> Result<Vec<Sequence>, DataError> {
    if !root.is_dir() {
        return Err(DataError::missing(root, "it should be the folder that holds E01 to E04"));
    }
    let of_subject = |subject: u8| {
        let packings = packings(root, subject);
        (1..=ACTIONS).filter_map(move |action| place(root, &packings, subject, action))
    };
    let places: Vec<Sequence> = (1..=SUBJECTS).flat_map(of_subject).collect();
    match places.is_empty() {
        true => Err(DataError::malformed(
            root,
            "holds no recording of MM-Fi: it should hold E01/S01/A01 and so on, or S01/A01",
        )),
        false => Ok(places),
    }
}

/// A subject's folders below the root, in whichever packings: an archive that was unpacked twice may leave a part in
/// each.
fn packings(root: &Path, subject: u8) -> Vec<PathBuf> {
    let (scene, subject) = (format!("E{:02}", scene(subject)), format!("S{subject:02}"));
    let plain = Path::new(&scene).join(&subject);
    let doubled = Path::new(&scene).join(&plain);
    [plain, doubled, subject.into()].into_iter().filter(|folder| root.join(folder).is_dir()).collect()
}

/// A recording, if any packing has it: of several the first that has its poses.
fn place(root: &Path, packings: &[PathBuf], subject: u8, action: u8) -> Option<Sequence> {
    let folders = packings.iter().map(|folder| folder.join(format!("A{action:02}")));
    let mut folders: Vec<PathBuf> = folders.filter(|folder| root.join(folder).is_dir()).collect();
    if folders.len() > 1 {
        // Stable: among those that have poses, and among those that have none, the order of the packings stays.
        folders.sort_by_key(|folder| !root.join(folder).join(GROUND_TRUTH).is_file());
    }
    let mut folders = folders.into_iter();
    Some(Sequence { subject, action, folder: folders.next()?, unread: folders.collect() })
}

/// What a user should know of a tree: recordings that are there twice.
pub(crate) fn notes(root: &Path) -> Result<Vec<String>, DataError> {
    let places = places(root)?;
    let twice: Vec<&Sequence> = places.iter().filter(|place| !place.unread.is_empty()).collect();
    let Some(first) = twice.first() else { return Ok(Vec::new()) };
    let (read, unread) = (root.join(&first.folder), root.join(&first.unread[0]));
    let count = match twice.len() {
        1 => "a recording is".into(),
        count => format!("{count} recordings are"),
    };
    Ok(vec![format!("{count} there twice: {} is read, {} is not", shown(&read), shown(&unread))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir_all;

    #[test]
    fn all_three_packings_are_found() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["E01/S02/A03", "E02/E02/S11/A01", "S31/A27", "E01/S11/A01", "E01/S02/A28", "rgb"] {
            create_dir_all(root.path().join(folder)).unwrap();
        }
        let found = places(root.path()).unwrap();
        let found: Vec<_> =
            found.iter().map(|place| (place.subject, place.action, place.folder.to_str().unwrap())).collect();
        assert_eq!(found, [(2, 3, "E01/S02/A03"), (11, 1, "E02/E02/S11/A01"), (31, 27, "S31/A27")]);
    }

    #[test]
    fn what_lies_in_two_packings_is_found_in_either_and_what_is_there_twice_is_said() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["E01/S01/A01", "E01/S01/A02", "E01/E01/S01/A02", "E01/E01/S01/A03", "S01/A04"] {
            create_dir_all(root.path().join(folder)).unwrap();
        }
        let found = |action: usize| {
            let places = places(root.path()).unwrap();
            assert_eq!(places.len(), 4);
            places[action - 1].folder.to_str().unwrap().to_owned()
        };
        assert_eq!([1, 2, 3, 4].map(found), ["E01/S01/A01", "E01/S01/A02", "E01/E01/S01/A03", "S01/A04"]);
        let note = notes(root.path()).unwrap().join("; ");
        assert!(
            note.contains("a recording is there twice") && note.contains("E01/E01/S01/A02 is not"),
            "{note}"
        );
        // Half of one that was never unpacked to its end goes behind the whole one.
        std::fs::write(root.path().join("E01/E01/S01/A02").join(GROUND_TRUTH), "").unwrap();
        assert_eq!(found(2), "E01/E01/S01/A02");
    }

    #[test]
    fn a_folder_of_something_else_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let error = places(root.path()).unwrap_err().to_string();
        assert!(error.contains("holds no recording of MM-Fi") && error.contains("E01/S01/A01"), "{error}");
        let error = places(&root.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none is missing"), "{error}");
    }
}
