//! How a frame of any size becomes one of the reference's sizes: what is too long is cut, what is too short is padded
//! with zeros at its end.

use randomness::Stream;

/// A run of one dimension that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it begins.
    pub start: usize,
    /// How long it is; the rest up to the target is zeros.
    pub length: usize,
}

/// Where runs of too long dimensions begin.
pub enum Crop {
    /// Anywhere, drawn uniformly: in training.
    Random(Box<Stream>),
    /// In the middle: in evaluation.
    Centred,
}

impl Crop {
    /// The run of a dimension of `size` that fits into `target`. Random runs take one draw each, also where nothing is
    /// to be cut, so that what a later dimension draws does not depend on an earlier one's size.
    pub fn run(&mut self, size: usize, target: usize) -> Run {
        let spare = size.saturating_sub(target);
        let start = match self {
            Crop::Random(stream) => stream.below(spare as u64 + 1) as usize,
            Crop::Centred => spare / 2,
        };
        Run { start, length: size.min(target) }
    }
}

/// Copies a run of rows of `columns` values to the beginning of `out`, and fills the rest with zeros.
pub(crate) fn copy_rows(values: &[f32], columns: usize, run: Run, out: &mut [f32]) {
    let kept = run.length * columns;
    out[..kept].copy_from_slice(&values[run.start * columns..][..kept]);
    out[kept..].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use randomness::{Purpose, Seed};

    #[test]
    fn runs_are_centred_or_anywhere_and_short_dimensions_are_whole() {
        assert_eq!(Crop::Centred.run(114, 90), Run { start: 12, length: 90 });
        assert_eq!(Crop::Centred.run(7, 90), Run { start: 0, length: 7 });
        let mut seen = [0; 5];
        for tick in 0..500 {
            let mut crop = Crop::Random(Box::new(Seed::from_number(1).stream(Purpose::Test, &[], tick)));
            let run = crop.run(10, 6);
            assert_eq!(run.length, 6);
            seen[run.start] += 1;
        }
        assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
    }

    #[test]
    fn what_is_short_is_padded_at_its_end() {
        let mut out = [9.0; 6];
        copy_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, Run { start: 1, length: 2 }, &mut out);
        assert_eq!(out, [3.0, 4.0, 5.0, 6.0, 0.0, 0.0]);
    }
}
