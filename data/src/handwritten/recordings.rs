//! FSDD's folder of recordings: who spoke what, and which are for testing.

use crate::{content::ClipName, error::DataError, handwritten::REMEDY};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Recordings 0 to 4 of each speaker and digit are for testing, as FSDD's authors say.
const TEST_RECORDINGS: u32 = 5;

/// `fsdd/recordings`, or `recordings` where FSDD lies right in the data set's folder.
pub(crate) fn folder(root: &Path) -> Result<PathBuf, DataError> {
    let usual = root.join("fsdd").join("recordings");
    let short = root.join("recordings");
    match (usual.is_dir(), short.is_dir()) {
        (true, _) => Ok(usual),
        (false, true) => Ok(short),
        (false, false) => Err(DataError::missing(&usual, REMEDY)),
    }
}

/// All recordings in (digit, speaker, index) order: every speaker speaks every digit equally often.
pub(crate) fn list(root: &Path) -> Result<Vec<ClipName>, DataError> {
    let folder = folder(root)?;
    let names = parse_folder(&folder)?;
    check_complete(&folder, &names)?;
    Ok(names.into_iter().collect())
}

/// Training and test recordings.
pub(crate) fn split(names: Vec<ClipName>) -> (Vec<ClipName>, Vec<ClipName>) {
    names.into_iter().partition(|name| name.index >= TEST_RECORDINGS)
}

/// Whether a recording is trained on even where some are held out for validation: those are as many as those for testing.
pub(crate) fn is_for_training(name: &ClipName) -> bool {
    name.index >= 2 * TEST_RECORDINGS
}

/// The names of all wav files; other files are none of ours.
pub(crate) fn parse_folder(folder: &Path) -> Result<BTreeSet<ClipName>, DataError> {
    let mut names = BTreeSet::new();
    for entry in folder.read_dir().map_err(|source| DataError::io(folder, source))? {
        let path = entry.map_err(|source| DataError::io(folder, source))?.path();
        if path.extension().is_none_or(|extension| extension != "wav") {
            continue;
        }
        let name = path.file_name().and_then(|name| ClipName::parse(name.to_str()?));
        let problem = "is not named like a recording, {digit}_{speaker}_{index}.wav";
        names.insert(name.ok_or_else(|| DataError::malformed(&path, problem))?);
    }
    Ok(names)
}

/// Names the first recording that is missing for every speaker to have spoken every digit equally often.
fn check_complete(folder: &Path, names: &BTreeSet<ClipName>) -> Result<(), DataError> {
    let most = names.iter().map(|name| name.index.saturating_add(1)).max().unwrap_or(0);
    if most <= TEST_RECORDINGS {
        let problem =
            "holds no training recordings: each speaker should have spoken each digit more than 5 times";
        return Err(DataError::malformed(folder, problem));
    }
    let speakers: BTreeSet<&str> = names.iter().map(|name| name.speaker.as_str()).collect();
    for digit in 0..10 {
        for &speaker in &speakers {
            // Ends at the first gap: an absurd index in a file's name costs nothing.
            for index in 0..most {
                let name = ClipName { digit, speaker: speaker.into(), index };
                if !names.contains(&name) {
                    return Err(DataError::missing(&folder.join(name.file_name()), REMEDY));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(speakers: &[&str], takes: u32) -> BTreeSet<ClipName> {
        let mut names = BTreeSet::new();
        for digit in 0..10 {
            for &speaker in speakers {
                names.extend((0..takes).map(|index| ClipName { digit, speaker: speaker.into(), index }));
            }
        }
        names
    }

    #[test]
    fn a_full_grid_is_complete_and_a_gap_is_named() {
        let folder = Path::new("recordings");
        let mut names = grid(&["anna", "bert"], 7);
        check_complete(folder, &names).unwrap();
        for gap in ["4_bert_3.wav", "9_anna_6.wav", "0_anna_0.wav"] {
            let name = ClipName::parse(gap).unwrap();
            names.remove(&name);
            let error = check_complete(folder, &names).unwrap_err().to_string();
            assert!(error.contains(gap), "{error}");
            names.insert(name);
        }
        let error = check_complete(folder, &grid(&["anna"], 5)).unwrap_err().to_string();
        assert!(error.contains("no training recordings"), "{error}");
    }

    #[test]
    fn the_first_five_takes_are_for_testing() {
        let (train, test) = split(grid(&["anna", "bert"], 7).into_iter().collect());
        assert_eq!((train.len(), test.len()), (40, 100));
        assert!(test.iter().all(|name| name.index < 5) && train.iter().all(|name| name.index >= 5));
    }
}
