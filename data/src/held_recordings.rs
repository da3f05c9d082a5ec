//! What is held out of images that are paired with recordings anew in every epoch: images, and recordings that nobody
//! else hears.

use std::collections::BTreeMap;

use crate::{
    content::{ClipName, Part},
    held_out::{Held, HoldOut},
    pairing::Pairing,
};

/// Training images and recordings that nobody trains on.
#[derive(Debug, Default)]
pub(crate) struct HeldRecordings {
    /// Whether an image is held out.
    pub(crate) rows: Held,
    /// Whether a recording is.
    pub(crate) clips: Held,
    /// The recording of each image that is held out: those of its digit in turn, as in the test split.
    pub(crate) pairs: BTreeMap<u32, u32>,
}

impl HeldRecordings {
    /// Draws both: images one by one, and recordings one by one or by whole speakers.
    ///
    /// # Errors
    /// What is wrong with the recordings, as words that follow the name of their folder.
    pub(crate) fn of(train: &Part, hold_out: &HoldOut) -> Result<Self, String> {
        if hold_out.is_nothing() {
            return Ok(HeldRecordings::default());
        }
        let each: Vec<u32> = (0..train.labels.len() as u32).collect();
        let rows = hold_out.rows(&each);
        let clips = match hold_out.groups.as_deref() {
            None => of_every_digit(&train.names, hold_out),
            Some("speaker") => hold_out.draw(&speakers(&train.names), &[SPEAKERS]),
            Some(other) => {
                return Err(format!(
                    "is to be divided by data.groups = \"{other}\", which must be \"speaker\""
                ));
            }
        };
        check_digits(&train.names, &clips, hold_out)?;
        let (held, labels): (Vec<u32>, Vec<u8>) = each
            .iter()
            .zip(&train.labels)
            .filter_map(|(&row, &label)| rows.contains(row as usize).then_some((row, label)))
            .unzip();
        let pairs = Pairing::among(&train.names, |clip| clips.contains(clip)).cycled(&labels);
        Ok(HeldRecordings { pairs: held.into_iter().zip(pairs).collect(), rows, clips })
    }
}

/// The draw of speakers; those of a digit's recordings follow it.
const SPEAKERS: u64 = 1;

/// The same share of the recordings of every digit.
fn of_every_digit(names: &[ClipName], hold_out: &HoldOut) -> Held {
    let mut held = vec![false; names.len()];
    for digit in 0..10 {
        let clips: Vec<usize> = (0..names.len()).filter(|&clip| names[clip].digit == digit).collect();
        let each: Vec<u32> = (0..clips.len() as u32).collect();
        let drawn = hold_out.draw(&each, &[SPEAKERS + 1, u64::from(digit)]);
        clips.iter().enumerate().for_each(|(at, &clip)| held[clip] = drawn.contains(at));
    }
    Held(held)
}

/// Each recording's speaker, as a number.
fn speakers<'a>(names: &'a [ClipName]) -> Vec<u32> {
    let mut known: BTreeMap<&str, u32> = BTreeMap::new();
    let number = |name: &'a ClipName| {
        let next = known.len() as u32;
        *known.entry(name.speaker.as_str()).or_insert(next)
    };
    names.iter().map(number).collect()
}

/// Checks that every digit is heard on both sides.
fn check_digits(names: &[ClipName], held: &Held, hold_out: &HoldOut) -> Result<(), String> {
    let one = match hold_out.groups {
        Some(_) => "a single speaker",
        None => "a single recording",
    };
    for digit in 0..10 {
        let sides: Vec<bool> = (0..names.len())
            .filter(|&clip| names[clip].digit == digit)
            .map(|clip| held.contains(clip))
            .collect();
        if !sides.is_empty() && (!sides.contains(&true) || !sides.contains(&false)) {
            return Err(format!(
                "holds {one} of digit {digit} to train on, of which data.hold_out can hold none out: record more, or set \
                 data.hold_out = 0"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use randomness::Seed;

    use super::*;
    use crate::Settings;

    /// A hundred images, and so many takes of each digit by each of three speakers.
    fn part(takes: u32) -> Part {
        let name = |digit, speaker: &str, index| ClipName { digit, speaker: speaker.into(), index };
        let of_digit = |digit| {
            let by = move |speaker| (0..takes).map(move |index| name(digit, speaker, index));
            ["ann", "bob", "cleo"].into_iter().flat_map(by)
        };
        Part {
            labels: (0..100).map(|row| row % 10).collect(),
            images: None,
            names: (0..10).flat_map(of_digit).collect(),
            clips: None,
        }
    }

    fn hold_out(share: f64, groups: Option<&str>, seed: u64) -> HoldOut {
        let mut settings = Settings::new("digits", None).with("hold_out", share);
        if let Some(groups) = groups {
            settings = settings.with("groups", groups);
        }
        HoldOut::of(&settings, Seed::from_number(seed)).unwrap()
    }

    #[test]
    fn no_recording_is_heard_on_both_sides_and_every_digit_on_each() {
        let part = part(4);
        for (groups, count) in [(None, 30), (Some("speaker"), 40)] {
            let held = HeldRecordings::of(&part, &hold_out(0.2, groups, 1)).unwrap();
            assert_eq!(held.clips.0.iter().filter(|&&held| held).count(), count, "{groups:?}");
            assert_eq!(held.pairs.len(), 20);
            for (&row, &clip) in &held.pairs {
                assert!(held.rows.contains(row as usize) && held.clips.contains(clip as usize));
                assert_eq!(part.labels[row as usize], part.names[clip as usize].digit);
            }
            let training = Pairing::among(&part.names, |clip| !held.clips.contains(clip));
            for epoch in 0..200 {
                for digit in 0..10 {
                    let clip = training.drawn(Seed::from_number(1), digit, 3, epoch);
                    assert!(!held.clips.contains(clip as usize));
                }
            }
        }
    }

    #[test]
    fn a_speaker_is_held_out_as_a_whole_where_that_is_said() {
        let part = part(4);
        let speakers = |held: &HeldRecordings, side: bool| -> BTreeSet<String> {
            let of = |(clip, name): (usize, &ClipName)| {
                (held.clips.contains(clip) == side).then(|| name.speaker.clone())
            };
            part.names.iter().enumerate().filter_map(of).collect()
        };
        let mut drawn = BTreeSet::new();
        for seed in 0..20 {
            let held = HeldRecordings::of(&part, &hold_out(0.2, Some("speaker"), seed)).unwrap();
            assert!(speakers(&held, true).is_disjoint(&speakers(&held, false)));
            drawn.extend(speakers(&held, true));
        }
        assert_eq!(drawn.len(), 3, "another seed holds another out");
        let by_recording = HeldRecordings::of(&part, &hold_out(0.2, None, 1)).unwrap();
        assert_eq!(speakers(&by_recording, true).len(), 3);
    }

    #[test]
    fn what_cannot_be_held_out_is_said() {
        let mut alone = part(1);
        alone.names.retain(|name| name.speaker == "ann");
        let error = |groups| HeldRecordings::of(&alone, &hold_out(0.1, groups, 1)).unwrap_err();
        assert!(error(None).contains("holds a single recording of digit 0 to train on"));
        assert!(error(Some("speaker")).contains("holds a single speaker of digit 0"));
        assert!(error(Some("age")).contains("data.groups = \"age\", which must be \"speaker\""));
        assert_eq!(HeldRecordings::of(&alone, &hold_out(0.0, None, 1)).unwrap().pairs.len(), 0);
    }
}
