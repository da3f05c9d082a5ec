//! Which recording accompanies which image.

use crate::content::ClipName;
use randomness::{Purpose, Seed};

/// The clips of each digit, by their indices in name order.
pub(crate) struct Pairing {
    of_digit: [Vec<u32>; 10],
}

impl Pairing {
    /// With all clips.
    pub(crate) fn new(names: &[ClipName]) -> Self {
        Self::among(names, |_| true)
    }

    /// With those clips alone for which it holds.
    pub(crate) fn among(names: &[ClipName], holds: impl Fn(usize) -> bool) -> Self {
        let mut of_digit: [Vec<u32>; 10] = Default::default();
        for (clip, name) in names.iter().enumerate().filter(|(clip, _)| holds(*clip)) {
            of_digit[usize::from(name.digit)].push(clip as u32);
        }
        Pairing { of_digit }
    }

    /// The clip of a training image in an epoch: uniform among those of its digit.
    pub(crate) fn drawn(&self, seed: Seed, digit: u8, sample: usize, epoch: u64) -> u32 {
        let clips = &self.of_digit[usize::from(digit)];
        let mut stream = seed.stream(Purpose::Pairing, &[sample as u64], epoch);
        clips[stream.below(clips.len() as u64) as usize]
    }

    /// The clip of each test image: those of its digit in turn.
    pub(crate) fn cycled(&self, digits: &[u8]) -> Vec<u32> {
        let mut seen = [0usize; 10];
        let next = |&digit: &u8| {
            let digit = usize::from(digit);
            let clip = self.of_digit[digit][seen[digit] % self.of_digit[digit].len()];
            seen[digit] += 1;
            clip
        };
        digits.iter().map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(per_digit: u32) -> Vec<ClipName> {
        let name = |digit, index| ClipName { digit, speaker: "anna".into(), index };
        (0..10).flat_map(|digit| (0..per_digit).map(move |index| name(digit, index))).collect()
    }

    #[test]
    fn test_images_take_the_clips_of_their_digit_in_turn() {
        let pairing = Pairing::new(&names(3));
        assert_eq!(pairing.cycled(&[7, 1, 7, 7, 7, 1]), [21, 3, 22, 23, 21, 4]);
    }

    #[test]
    fn training_images_take_every_clip_of_their_digit_equally_often() {
        let names = names(27);
        let pairing = Pairing::new(&names);
        let mut counts = [0f64; 27];
        for draw in 0..27_000 {
            let clip = pairing.drawn(Seed::from_number(1), 4, draw % 100, draw as u64 / 100) as usize;
            assert_eq!(names[clip].digit, 4);
            counts[clip - 4 * 27] += 1.0;
        }
        let chi_squared: f64 = counts.iter().map(|count| (count - 1e3).powi(2) / 1e3).sum();
        // The 99.9 % quantile of chi-squared with 26 degrees of freedom.
        assert!(chi_squared < 54.05, "{chi_squared}");
    }
}
