//! FSDD's folder of recordings: who spoke what, and which are for testing.

use crate::{
    catalogue::Catalogue,
    content::ClipName,
    error::{DataError, is_hidden, shown},
    handwritten::remedy,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Recordings 0 to 4 of each speaker and digit are for testing, as FSDD's authors say.
const TEST_RECORDINGS: u32 = 5;

/// Where recordings may lie below the data set's folder: as `fetch` puts them, FSDD right in the folder, a clone of its
/// repository.
const PLACES: [&str; 3] = ["fsdd/recordings", "recordings", "free-spoken-digit-dataset/recordings"];

/// The folder of recordings: the first of the places that holds any, else the first that is there.
pub(crate) fn folder(root: &Path) -> Result<PathBuf, DataError> {
    let there = || PLACES.map(|place| root.join(place)).into_iter().filter(|place| place.is_dir());
    let found = there().find(|place| holds_any(place)).or_else(|| there().next());
    found.ok_or_else(|| DataError::missing(&root.join(PLACES[0]), remedy(root)))
}

/// Other folders of recordings, which nobody reads.
pub(crate) fn unread_folders(root: &Path) -> Vec<PathBuf> {
    let read = folder(root).ok();
    let places = PLACES.map(|place| root.join(place)).into_iter();
    places.filter(|place| Some(place) != read.as_ref() && holds_any(place)).collect()
}

fn holds_any(folder: &Path) -> bool {
    files(folder).is_ok_and(|files| !files.is_empty())
}

/// All recordings in (digit, speaker, index) order: every speaker speaks every digit equally often, one more often than
/// another.
pub(crate) fn list(root: &Path) -> Result<Vec<ClipName>, DataError> {
    let folder = folder(root)?;
    let names = files(&folder)?.iter().map(|path| name_of(path)).collect::<Result<BTreeSet<_>, _>>()?;
    check_complete(root, &folder, &names)?;
    Ok(names.into_iter().collect())
}

/// Training and test recordings.
pub(crate) fn split(names: Vec<ClipName>) -> (Vec<ClipName>, Vec<ClipName>) {
    names.into_iter().partition(|name| name.index >= TEST_RECORDINGS)
}

/// The training recordings of all other speakers, and all recordings of the test speaker.
///
/// # Errors
/// [`DataError::Key`] if no speaker has this name, or no other speaker has training recordings.
pub(crate) fn split_by_speaker(
    names: Vec<ClipName>,
    speaker: &str,
    folder: &Path,
) -> Result<(Vec<ClipName>, Vec<ClipName>), DataError> {
    let refuse = |problem: String| Err(DataError::Key { key: "data.test_speaker".into(), problem });
    let speakers: Vec<String> = takes(&names).into_keys().collect();
    if !speakers.iter().any(|known| known == speaker) {
        return refuse(format!("names \"{speaker}\"; the speakers are {}", speakers.join(", ")));
    }
    let (test, others): (Vec<ClipName>, Vec<ClipName>) =
        names.into_iter().partition(|name| name.speaker == speaker);
    let (train, _) = split(others);
    if train.is_empty() {
        let others = "holds no training recordings of other speakers";
        return refuse(format!("is \"{speaker}\", but {} {others}", shown(folder)));
    }
    Ok((train, test))
}

/// Whether a recording is trained on even where some are held out for validation: those are as many as those for
/// testing.
pub(crate) fn is_for_training(name: &ClipName) -> bool {
    name.index >= 2 * TEST_RECORDINGS
}

/// The wav files of a folder, by name; other and hidden files are none of ours.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(|source| DataError::io(folder, source))? {
        let path = entry.map_err(|source| DataError::io(folder, source))?.path();
        if path.extension().is_some_and(|extension| extension == "wav") && !is_hidden(&path) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Who speaks what in a file, by its name.
pub(crate) fn name_of(path: &Path) -> Result<ClipName, DataError> {
    let name = path.file_name().and_then(|name| ClipName::parse(name.to_str()?));
    let problem = "is not named like a recording, {digit}_{speaker}_{index}.wav: rename it, or move it away";
    name.ok_or_else(|| DataError::malformed(path, problem))
}

/// How many takes there are of each digit, by speaker.
pub(crate) fn takes<'a>(names: impl IntoIterator<Item = &'a ClipName>) -> BTreeMap<String, u32> {
    let mut takes = BTreeMap::new();
    for name in names {
        let most: &mut u32 = takes.entry(name.speaker.clone()).or_default();
        *most = (*most).max(name.index.saturating_add(1));
    }
    takes
}

/// Refuses recordings of which some are missing, or none are left to train on.
pub(crate) fn check_complete(
    root: &Path,
    folder: &Path,
    names: &BTreeSet<ClipName>,
) -> Result<(), DataError> {
    if names.iter().all(|name| name.index < TEST_RECORDINGS) {
        let problem =
            "holds no training recordings: a speaker should have spoken each digit more than 5 times";
        return Err(DataError::malformed(folder, problem));
    }
    gaps(names).first().map_or(Ok(()), |gap| Err(gap.error(root, folder, names)))
}

/// A recording that is missing.
pub(crate) struct Gap {
    name: ClipName,
    /// The one that shows that it should be there.
    shown_by: ClipName,
    was_published: bool,
}

/// The first recording that is missing of each digit and speaker. Speakers of one's own may have fewer takes than
/// others; those who were published have equally many, so that half a copy is no data set.
pub(crate) fn gaps(names: &BTreeSet<ClipName>) -> Vec<Gap> {
    let published = Catalogue::published();
    let published: BTreeSet<&ClipName> = published.recordings.iter().map(|(name, _)| name).collect();
    let is_published = |speaker: &str| published.iter().any(|name| name.speaker == speaker);
    let takes = takes(names);
    let last = |of: &dyn Fn(&str) -> bool| {
        names.iter().filter(|name| of(&name.speaker)).max_by_key(|name| name.index)
    };
    let mut gaps = Vec::new();
    for speaker in takes.keys() {
        let last = match is_published(speaker) {
            true => last(&is_published),
            false => last(&|other| other == speaker),
        };
        let Some(last) = last else { continue };
        for digit in 0..10 {
            let name = |index| ClipName { digit, speaker: speaker.clone(), index };
            // Ends at the first gap: an absurd index in a file's name costs nothing.
            let gap = (0..=last.index).map(name).find(|name| !names.contains(name));
            let Some(gap) = gap else { continue };
            // A later take of the same digit tells more than one of another.
            let later = names.range(gap.clone()..).next();
            let later = later.filter(|later| (later.digit, &later.speaker) == (digit, speaker));
            let shown_by = later.unwrap_or(last).clone();
            gaps.push(Gap { was_published: published.contains(&gap), name: gap, shown_by });
        }
    }
    gaps.sort_by(|one, other| one.name.cmp(&other.name));
    gaps
}

impl Gap {
    /// Where it should be.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.name.file_name())
    }

    fn error(&self, root: &Path, folder: &Path, names: &BTreeSet<ClipName>) -> DataError {
        let ClipName { speaker, index, .. } = &self.name;
        let file_name = self.name.file_name();
        let elsewhere = unread_folders(root).into_iter().find(|other| other.join(&file_name).exists());
        // Fetching puts a folder with recordings of one's own aside: no way to complete those.
        let published = Catalogue::published();
        let only_published =
            || names.iter().all(|name| published.recordings.iter().any(|(known, _)| known == name));
        let remedy = match elsewhere {
            Some(other) => format!("it is in {}: put all recordings into one folder", shown(&other)),
            None if self.was_published && only_published() => remedy(root),
            None => {
                format!("put it there, or move away what {speaker} has from take {index} on, of every digit")
            }
        };
        let why = format!(
            "although {} is there (takes count from 0, and a speaker has equally many of every digit)",
            self.shown_by.file_name()
        );
        DataError::missing(&self.path(folder), format!("{why}: {remedy}"))
    }
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

    fn check(names: &BTreeSet<ClipName>) -> Result<(), String> {
        let (root, folder) = (Path::new("root"), Path::new("recordings"));
        check_complete(root, folder, names).map_err(|error| error.to_string())
    }

    #[test]
    fn a_full_grid_is_complete_and_a_gap_is_named() {
        let mut names = grid(&["anna", "bert"], 7);
        check(&names).unwrap();
        for gap in ["4_bert_3.wav", "9_anna_6.wav", "0_anna_0.wav"] {
            let name = ClipName::parse(gap).unwrap();
            names.remove(&name);
            let error = check(&names).unwrap_err();
            assert!(error.contains(gap), "{error}");
            names.insert(name);
        }
        assert!(check(&grid(&["anna"], 5)).unwrap_err().contains("no training recordings"));
    }

    #[test]
    fn a_speaker_of_ones_own_may_have_fewer_takes_but_a_published_one_may_not() {
        for takes in [1, 5, 6] {
            let mut names = grid(&["george", "jackson"], 7);
            names.extend(grid(&["me"], takes));
            check(&names).unwrap();
            names.remove(&ClipName { digit: 4, speaker: "me".into(), index: 0 });
            let error = check(&names).unwrap_err();
            assert!(error.contains("4_me_0.wav is missing") && !error.contains("data fetch"), "{error}");
            assert!(error.contains("move away what me has from take 0 on"), "{error}");
        }
        let mut names = grid(&["george", "jackson"], 7);
        names.retain(|name| name.speaker != "jackson" || name.index < 6);
        let error = check(&names).unwrap_err();
        assert!(
            error.contains("0_jackson_6.wav") && error.contains("data fetch handwritten root"),
            "{error}"
        );
        // Fetching would put recordings of one's own aside.
        names.extend(grid(&["me"], 6));
        assert!(!check(&names).unwrap_err().contains("data fetch"));
    }

    #[test]
    fn a_stray_take_is_named_beside_the_gap_that_it_makes() {
        let mut names = grid(&["anna"], 7);
        names.insert(ClipName { digit: 3, speaker: "anna".into(), index: u32::MAX });
        let error = gaps(&names)
            .iter()
            .find(|gap| gap.name.digit == 3)
            .unwrap()
            .error("root".as_ref(), "recordings".as_ref(), &names)
            .to_string();
        assert!(
            error.contains("3_anna_7.wav is missing") && error.contains("3_anna_4294967295.wav is there")
        );
        assert!(check(&names).unwrap_err().contains("3_anna_4294967295.wav is there"));
    }

    #[test]
    fn the_first_five_takes_are_for_testing() {
        let (train, test) = split(grid(&["anna", "bert"], 7).into_iter().collect());
        assert_eq!((train.len(), test.len()), (40, 100));
        assert!(test.iter().all(|name| name.index < 5) && train.iter().all(|name| name.index >= 5));
    }
}
