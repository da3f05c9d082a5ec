//! Digits drawn and spoken by code: the built-in data set, which needs no files.
//!
//! Its content comes from a seed of its own, so that every run, whatever its seed, sees the same pixels and waveforms.

mod draw;
mod glyphs;
mod source;
mod speech;
mod words;

pub(crate) use source::Digits;

use crate::content::{Clip, ClipName, Content, PIXELS, Part, Wants};
use randomness::{Purpose, Seed, Stream};
use speech::Voice;

/// What the content's randomness derives from. Another number is another data set.
const CONTENT: u64 = 0x7064_6967_6974_7331;

/// Images to train on and to test on.
const IMAGES: [usize; 2] = [20_000, 4_000];

/// Voices; each speaks every digit in both splits.
const VOICES: u64 = 10;

/// How often a voice speaks a digit for testing and for training: takes 0 to 2, then 3 to 22.
const TEST_TAKES: u32 = 3;
const TRAIN_TAKES: u32 = 20;

/// Makes labels and clip names, and what else is wanted.
pub(crate) fn make(wants: Wants) -> Content {
    Content {
        train: part(0, TEST_TAKES..TEST_TAKES + TRAIN_TAKES, wants),
        test: part(1, 0..TEST_TAKES, wants),
    }
}

fn part(split: usize, takes: std::ops::Range<u32>, wants: Wants) -> Part {
    let mut stream = content("label", &[split as u64]);
    let labels: Vec<u8> = (0..IMAGES[split]).map(|_| stream.below(10) as u8).collect();
    let names = names(takes);
    Part {
        images: wants.images.then(|| images(split, &labels)),
        clips: wants.clips.then(|| clips(&names)),
        labels,
        names,
    }
}

/// The stream of one thing's content.
fn content(what: &str, indices: &[u64]) -> Stream {
    Seed::from_number(CONTENT).named_stream(Purpose::Content, what, indices, 0)
}

fn images(split: usize, labels: &[u8]) -> Vec<u8> {
    let mut pixels = vec![0; labels.len() * PIXELS];
    for (sample, (&digit, image)) in labels.iter().zip(pixels.chunks_exact_mut(PIXELS)).enumerate() {
        draw::digit(digit, &mut content("image", &[split as u64, sample as u64]), image);
    }
    pixels
}

/// Names in (digit, speaker, index) order.
fn names(takes: std::ops::Range<u32>) -> Vec<ClipName> {
    let mut names = Vec::new();
    for digit in 0..10 {
        for voice in 0..VOICES {
            names.extend(takes.clone().map(|index| ClipName {
                digit,
                speaker: format!("voice-{voice}"),
                index,
            }));
        }
    }
    names
}

/// Clips in the names' order.
fn clips(names: &[ClipName]) -> Vec<Clip> {
    let voices: Vec<Voice> = (0..VOICES).map(|voice| Voice::draw(&mut content("voice", &[voice]))).collect();
    let takes = names.len() / (10 * voices.len());
    let clip = |(at, name): (usize, &ClipName)| {
        let voice = at / takes % voices.len();
        let mut stream = content("clip", &[u64::from(name.digit), voice as u64, u64::from(name.index)]);
        Clip::new(speech::say(name.digit, &voices[voice], &mut stream))
    };
    names.iter().enumerate().map(clip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::hex;
    use sha2::{Digest, Sha256};

    #[test]
    fn content_is_pinned_so_that_published_runs_stay_reproducible() {
        let mut hash = Sha256::new();
        for (sample, digit) in (0..100).map(|sample| (sample, (sample % 10) as u8)) {
            let mut image = [0; PIXELS];
            draw::digit(digit, &mut content("image", &[0, sample]), &mut image);
            hash.update(image);
        }
        for clip in clips(&names(0..1)) {
            clip.samples.iter().for_each(|sample| hash.update(sample.to_le_bytes()));
        }
        assert_eq!(hex(&hash.finalize()), PINNED);
    }
    const PINNED: &str = "07a36f52a63ea188f5970f67d32a2941bdfa07ff3ae819f2aeefc68f5d8fc21c";

    #[test]
    fn names_and_clips_are_in_order() {
        let content = make(Wants { clips: true, ..Wants::default() });
        for (part, takes) in [(content.train, 20), (content.test, 3)] {
            assert!(part.names.is_sorted());
            assert_eq!(part.names.len(), 100 * takes);
            assert_eq!(part.clips.unwrap().len(), part.names.len());
        }
    }
}
