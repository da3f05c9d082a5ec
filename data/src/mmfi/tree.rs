//! Where the recordings are in a folder, as users have it.
//!
//! ```text
//! ROOT/E01/S01/A01/ground_truth.npy    and rgb/frame001.npy ..., infra1, infra2, depth, lidar, mmwave, wifi-csi
//! ROOT/E01/E01/S01/A01/...             (a mirror doubles the scene)
//! ROOT/S01/A01/...                     (another packing leaves it out)
//! ```

use super::protocol::{ACTIONS, SUBJECTS, scene};
use crate::error::DataError;
use std::path::{Path, PathBuf};

/// The poses of a recording, beside its folders of frames.
pub(crate) const GROUND_TRUTH: &str = "ground_truth.npy";

/// One subject's doing of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) subject: u8,
    pub(crate) action: u8,
    /// Its folder below the root.
    pub(crate) folder: PathBuf,
}

/// All recordings that are there, by subject, then action.
pub(crate) fn places(root: &Path) -> Result<Vec<Place>, DataError> {
    if !root.is_dir() {
        return Err(DataError::missing(root, "it should be the folder that holds E01 to E04"));
    }
    let of_subject = |subject: u8| {
        let below = subject_folder(root, subject);
        let folder = move |action: u8| below.as_ref().map(|folder| folder.join(format!("A{action:02}")));
        let place = move |action| Some(Place { subject, action, folder: folder(action)? });
        (1..=ACTIONS).filter_map(place)
    };
    let all = (1..=SUBJECTS).flat_map(of_subject);
    let places: Vec<Place> = all.filter(|place| root.join(&place.folder).is_dir()).collect();
    match places.is_empty() {
        true => Err(DataError::malformed(
            root,
            "holds no recording of MM-Fi: it should hold E01/S01/A01 and so on, or S01/A01",
        )),
        false => Ok(places),
    }
}

/// A subject's folder below the root, in whichever packing.
fn subject_folder(root: &Path, subject: u8) -> Option<PathBuf> {
    let (scene, subject) = (format!("E{:02}", scene(subject)), format!("S{subject:02}"));
    let plain = Path::new(&scene).join(&subject);
    let doubled = Path::new(&scene).join(&plain);
    [plain, doubled, subject.into()].into_iter().find(|folder| root.join(folder).is_dir())
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
    fn a_folder_of_something_else_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let error = places(root.path()).unwrap_err().to_string();
        assert!(error.contains("holds no recording of MM-Fi") && error.contains("E01/S01/A01"), "{error}");
        let error = places(&root.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none is missing"), "{error}");
    }
}
