//! The `fft` modality: the magnitude of an image's 2-D spectrum.

use crate::{
    Scaling,
    content::{PIXELS, SIDE},
};
use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// Values per sample: 14 x 14, the zero frequency in row 7, column 7.
pub(crate) const WIDTH: usize = CROP * CROP;

/// The centre of the image, rows and columns 7..21.
pub(crate) const CROP: usize = 14;
const MARGIN: usize = 7;

/// Columns of the half spectrum of a real row.
const HALF: usize = CROP / 2 + 1;

/// Mean and standard deviation of MNIST's training pixels, full scale being 1.
const MEAN: f32 = 0.1307;
const DEVIATION: f32 = 0.3081;

/// The range of the training set's magnitudes, which scales both splits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    low: f32,
    high: f32,
}

impl Range {
    /// The range of all values of the rows given.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let start = Range { low: f32::INFINITY, high: f32::NEG_INFINITY };
        let wider =
            |range: Range, &value: &f32| Range { low: range.low.min(value), high: range.high.max(value) };
        rows.into_iter().fold(start, |range, row| row.iter().fold(range, wider))
    }

    /// The constants of [`scale`](Self::scale).
    pub(crate) fn scaling(self) -> Scaling {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let width = if high > low { high - low } else { f64::INFINITY };
        Scaling { shift: vec![low], scale: vec![width] }
    }

    /// Maps the range onto 0 to 1. Values outside it, which only images that are not trained on can have, stay outside.
    pub(crate) fn scale(self, values: &mut [f32]) {
        // All-equal images have no range: everything becomes 0.
        let factor = if self.high > self.low { 1.0 / (self.high - self.low) } else { 0.0 };
        for value in values {
            *value = (*value - self.low) * factor;
        }
    }
}

/// The unscaled magnitudes of images: [`WIDTH`] values for each [`PIXELS`] bytes.
pub(crate) fn magnitudes(images: &[u8]) -> Vec<f32> {
    let mut transform = Transform::new();
    let mut out = vec![0.0; images.len() / PIXELS * WIDTH];
    for (image, out) in images.chunks_exact(PIXELS).zip(out.chunks_exact_mut(WIDTH)) {
        transform.magnitude(image, out);
    }
    out
}

/// A pixel less MNIST's mean, over its standard deviation.
pub(crate) fn standardised(pixel: u8) -> f32 {
    (f32::from(pixel) / 255.0 - MEAN) / DEVIATION
}

/// The constants of [`standardised`] for pixels from 0 to 255.
pub(crate) fn pixel_scaling() -> Scaling {
    Scaling { shift: vec![255.0 * f64::from(MEAN)], scale: vec![255.0 * f64::from(DEVIATION)] }
}

/// Plans and buffers, kept from image to image.
struct Transform {
    rows: Arc<dyn RealToComplex<f32>>,
    columns: Arc<dyn Fft<f32>>,
    row: Vec<f32>,
    half_row: Vec<Complex<f32>>,
    /// The half spectrum, column by column.
    half: Vec<Complex<f32>>,
    row_scratch: Vec<Complex<f32>>,
    column_scratch: Vec<Complex<f32>>,
}

impl Transform {
    fn new() -> Self {
        let rows = RealFftPlanner::new().plan_fft_forward(CROP);
        let columns = FftPlanner::new().plan_fft_forward(CROP);
        Transform {
            row: rows.make_input_vec(),
            half_row: rows.make_output_vec(),
            half: vec![Complex::default(); HALF * CROP],
            row_scratch: rows.make_scratch_vec(),
            column_scratch: vec![Complex::default(); columns.get_inplace_scratch_len()],
            rows,
            columns,
        }
    }

    fn magnitude(&mut self, image: &[u8], out: &mut [f32]) {
        for row in 0..CROP {
            let start = (MARGIN + row) * SIDE + MARGIN;
            for (value, &pixel) in self.row.iter_mut().zip(&image[start..start + CROP]) {
                *value = standardised(pixel);
            }
            self.rows
                .process_with_scratch(&mut self.row, &mut self.half_row, &mut self.row_scratch)
                .expect("the buffers were made by the plan");
            for (column, &value) in self.half_row.iter().enumerate() {
                self.half[column * CROP + row] = value;
            }
        }
        self.columns.process_with_scratch(&mut self.half, &mut self.column_scratch);
        for row in 0..CROP {
            for column in 0..CROP {
                out[shifted(row) * CROP + shifted(column)] = self.at(row, column).norm_sqr().sqrt();
            }
        }
    }

    /// The spectrum at a frequency. Beyond the half that is kept, a real image's spectrum is its mirror's conjugate.
    fn at(&self, row: usize, column: usize) -> Complex<f32> {
        if column < HALF {
            self.half[column * CROP + row]
        } else {
            self.half[(CROP - column) * CROP + (CROP - row) % CROP].conj()
        }
    }
}

/// Where a frequency goes when zero is moved to the centre.
fn shifted(frequency: usize) -> usize {
    (frequency + CROP / 2) % CROP
}

#[cfg(test)]
mod tests {
    use super::*;
    use randomness::{Purpose, Seed};

    /// The definition, term by term.
    fn brute_force(image: &[u8]) -> Vec<f64> {
        let mut out = vec![0.0; WIDTH];
        for row in 0..CROP {
            for column in 0..CROP {
                let (mut real, mut imaginary) = (0.0, 0.0);
                for y in 0..CROP {
                    for x in 0..CROP {
                        let pixel = f64::from(image[(MARGIN + y) * SIDE + MARGIN + x]) / 255.0;
                        let angle = -std::f64::consts::TAU * (row * y + column * x) as f64 / CROP as f64;
                        real += (pixel - 0.1307) / 0.3081 * libm::cos(angle);
                        imaginary += (pixel - 0.1307) / 0.3081 * libm::sin(angle);
                    }
                }
                out[(row + 7) % 14 * 14 + (column + 7) % 14] = libm::hypot(real, imaginary);
            }
        }
        out
    }

    #[test]
    fn magnitudes_are_those_of_the_definition() {
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        let images: Vec<u8> = (0..3 * PIXELS).map(|_| stream.below(256) as u8).collect();
        let computed = magnitudes(&images);
        for (image, computed) in images.chunks_exact(PIXELS).zip(computed.chunks_exact(WIDTH)) {
            for (value, expected) in computed.iter().zip(brute_force(image)) {
                assert!((f64::from(*value) - expected).abs() < 1e-4 * (1.0 + expected), "{value} {expected}");
            }
        }
    }

    #[test]
    fn scaling_maps_the_range_onto_zero_to_one_and_survives_a_constant() {
        let mut values = [2.0, 4.0, 3.0];
        Range::of([&values[..]]).scale(&mut values);
        assert_eq!(values, [0.0, 1.0, 0.5]);
        let mut constant = [5.0; 3];
        Range::of([&constant[..]]).scale(&mut constant);
        assert_eq!(constant, [0.0; 3]);
    }
}
