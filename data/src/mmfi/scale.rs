//! Modalities about their mean, and in units of their spread.
//!
//! As published, values lie far from 0: joints at some hundred pixels, walls at some metres. What a network first sees
//! of that is the same in all frames, and as the selection changes from tick to tick, whether a feature is there
//! outweighs what it says. The authors' script takes values as they are.

use super::{
    frames::{Address, Frames},
    modality::Sensor,
};
use crate::{Scaling, Split, error::DataError, held_out::Held};

/// Training frames from which a scale is made, evenly over the split: the same at every node.
const FRAMES: usize = 256;

/// How a sensor's values are scaled.
pub(crate) struct Scale {
    /// Of each value.
    mean: Vec<f32>,
    /// One over the root mean square of all values about their means; 0 if there is none.
    factor: f32,
}

impl Scale {
    /// Reads some training frames of a sensor, as they are, and none that is held out.
    pub(crate) fn of(frames: &Frames, sensor: Sensor, held: &Held) -> Result<Scale, DataError> {
        let samples = 0..frames.selection.samples(Split::Train).len();
        let samples: Vec<usize> = samples.filter(|&sample| !held.contains(sample)).collect();
        let count = samples.len().min(FRAMES);
        let width = sensor.width();
        let (mut sums, mut squares) = (vec![0.0f64; width], vec![0.0f64; width]);
        let mut values = vec![0.0; width];
        for number in 0..count {
            let sample = samples[number * samples.len() / count];
            frames.read(Address { sensor, split: Split::Train, sample, epoch: 0 }, &mut values)?;
            for (position, &value) in values.iter().enumerate() {
                sums[position] += f64::from(value);
                squares[position] += f64::from(value) * f64::from(value);
            }
        }
        let count = count as f64;
        let variances =
            sums.iter().zip(&squares).map(|(sum, square)| (square - sum * sum / count).max(0.0) / count);
        let spread = libm::sqrt(variances.sum::<f64>() / width as f64);
        let factor = if spread > 0.0 { (1.0 / spread) as f32 } else { 0.0 };
        Ok(Scale { mean: sums.iter().map(|sum| (sum / count) as f32).collect(), factor })
    }

    /// The constants of [`apply`](Self::apply).
    pub(crate) fn scaling(&self) -> Scaling {
        let shift: Vec<f64> = self.mean.iter().map(|&mean| f64::from(mean)).collect();
        // 1 / 0 is infinite, so that all values become 0.
        Scaling { scale: vec![1.0 / f64::from(self.factor); shift.len()], shift }
    }

    pub(crate) fn apply(&self, values: &mut [f32]) {
        for (value, mean) in values.iter_mut().zip(&self.mean) {
            *value = (*value - mean) * self.factor;
        }
    }
}
