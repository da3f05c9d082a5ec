//! Self-attention among the positions of each sample, for each head: softmax(Q K^T / sqrt(d)) V over the head's
//! columns.
//!
//! Queries, keys and values lie side by side, [samples * places, 3 * width]; a head has d = width / heads consecutive
//! columns of each. Samples do not attend to each other. The backward pass recomputes the softmax: that costs one
//! product more, and saves [places, places] numbers for every head of every sample.

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor, bail};

use crate::Real;
use crate::access::{for_dtype, read};
use crate::lanes::{sum_of, sum_of_three, vectorise};
use crate::operation::{Apply1, Apply2, Cpu, Made, Operation};
use crate::product::{Matrix, multiply_into};
use crate::threads::for_rows;

/// The output of the attention, [samples * places, width], for queries, keys and values, [samples * places, 3 * width].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn attend(projections: &Tensor, places: usize, heads: usize) -> Result<Tensor> {
    projections.apply_op1_no_bwd(&Operation(Attend { places, heads }))
}

/// The gradient with respect to queries, keys and values, given that with respect to the output.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn attend_gradient(
    projections: &Tensor,
    upstream: &Tensor,
    places: usize,
    heads: usize,
) -> Result<Tensor> {
    projections.apply_op2_no_bwd(upstream, &Operation(AttendGradient(Attend { places, heads })))
}

struct Attend {
    places: usize,
    heads: usize,
}

struct AttendGradient(Attend);

/// Sizes of one sample.
#[derive(Clone, Copy)]
struct Sizes {
    places: usize,
    heads: usize,
    width: usize,
}

impl Attend {
    fn sizes(&self, name: &str, projections: &Layout) -> Result<Sizes> {
        let &Attend { places, heads } = self;
        let (rows, columns) = projections.shape().dims2()?;
        if places == 0 || heads == 0 || rows % places != 0 || columns % (3 * heads) != 0 || columns == 0 {
            bail!("{name}: {rows} x {columns} numbers are not of {places} places and {heads} heads");
        }
        Ok(Sizes { places, heads, width: columns / 3 })
    }
}

impl Apply1 for Attend {
    fn name(&self) -> &'static str {
        "attend"
    }

    fn on_cpu(&self, (projections, layout): Cpu<'_>) -> Result<Made> {
        let sizes = self.sizes(self.name(), layout)?;
        for_dtype!(projections, self.name(), forward(sizes, projections, layout))
    }
}

impl Apply2 for AttendGradient {
    fn name(&self) -> &'static str {
        "attend-gradient"
    }

    fn on_cpu(&self, (projections, layout): Cpu<'_>, (upstream, upstream_layout): Cpu<'_>) -> Result<Made> {
        let sizes = self.0.sizes(self.name(), layout)?;
        let expected = [layout.dims()[0], sizes.width];
        if upstream_layout.dims() != expected {
            bail!("{}: shape {:?} is not {expected:?}", self.name(), upstream_layout.shape());
        }
        for_dtype!(
            projections,
            self.name(),
            backward(sizes, (projections, layout), (upstream, upstream_layout))
        )
    }
}

impl Sizes {
    /// The columns of a head.
    fn depth(self) -> usize {
        self.width / self.heads
    }

    /// A head's columns of a sample's rows, which have `parts` times the width; `part` selects queries, keys or values.
    fn head<T: Copy>(self, sample: &[T], parts: usize, part: usize, head: usize) -> Matrix<'_, T> {
        Matrix {
            values: &sample[part * self.width + head * self.depth()..],
            rows: self.places,
            columns: self.depth(),
            row_stride: parts * self.width,
            column_stride: 1,
        }
    }

    /// Writes a head's columns of such rows.
    fn put<T: Copy>(self, sample: &mut [T], parts: usize, part: usize, head: usize, values: &[T]) {
        let (start, depth) = (part * self.width + head * self.depth(), self.depth());
        for (line, values) in sample.chunks_exact_mut(parts * self.width).zip(values.chunks_exact(depth)) {
            line[start..start + depth].copy_from_slice(values);
        }
    }

    /// The attention weights between the positions of a sample: [places, places].
    fn attention<T: Real>(self, sample: &[T], head: usize) -> Vec<T> {
        let (queries, keys) = (self.head(sample, 3, 0, head), self.head(sample, 3, 1, head));
        let mut scores = vec![T::ZERO; self.places * self.places];
        multiply_into(&mut scores, queries, keys.transposed(), false);
        let scale = self.scale::<T>();
        vectorise(
            #[inline(always)]
            || scores.chunks_exact_mut(self.places).for_each(|row| softmax(row, scale)),
        );
        scores
    }

    /// 1 / sqrt(d).
    fn scale<T: Real>(self) -> T {
        T::ONE / T::from_f64(self.depth() as f64).sqrt()
    }
}

/// row = softmax(scale row).
#[inline(always)]
fn softmax<T: Real>(row: &mut [T], scale: T) {
    let largest = row.iter().fold(T::LOWEST, |largest, &score| score.larger(largest));
    for score in row.iter_mut() {
        *score = (*score - largest) * scale;
    }
    T::exp_all(row);
    let sum = sum_of(row, |share| share);
    for share in row {
        *share /= sum;
    }
}

/// gradient = the gradient with respect to the scores before scale and softmax, given that with respect to the weights.
#[inline(always)]
fn softmax_gradient<T: Real>(gradient: &mut [T], shares: &[T], scale: T) {
    let mean = sum_of_three(gradient, shares, shares, |gradient, share, _| gradient * share);
    for (gradient, &share) in gradient.iter_mut().zip(shares) {
        *gradient = share * (*gradient - mean) * scale;
    }
}

fn forward<T: Real>(sizes: Sizes, projections: &CpuStorage, layout: &Layout) -> Result<Made> {
    let projections = read::<T>(projections, layout)?;
    let Sizes { places, heads, width } = sizes;
    let rows = projections.len() / (3 * width);
    let mut out = vec![T::ZERO; rows * width];
    for_rows(&mut out, places * width, |first, samples| {
        let mut said = vec![T::ZERO; places * sizes.depth()];
        let projections = projections.chunks_exact(3 * places * width).skip(first);
        for (out, sample) in samples.chunks_exact_mut(places * width).zip(projections) {
            for head in 0..heads {
                let attention = sizes.attention(sample, head);
                let attention = Matrix::new(&attention, places, places);
                multiply_into(&mut said, attention, sizes.head(sample, 3, 2, head), false);
                sizes.put(out, 1, 0, head, &said);
            }
        }
    });
    Ok((T::to_cpu_storage_owned(out), Shape::from((rows, width))))
}

fn backward<T: Real>(sizes: Sizes, projections: Cpu<'_>, upstream: Cpu<'_>) -> Result<Made> {
    let shape = projections.1.shape().clone();
    let projections = read::<T>(projections.0, projections.1)?;
    let upstream = read::<T>(upstream.0, upstream.1)?;
    let Sizes { places, heads, width } = sizes;
    let mut out = vec![T::ZERO; projections.len()];
    for_rows(&mut out, 3 * places * width, |first, samples| {
        let projections = projections.chunks_exact(3 * places * width);
        let inputs = projections.zip(upstream.chunks_exact(places * width)).skip(first);
        for (out, (sample, upstream)) in samples.chunks_exact_mut(3 * places * width).zip(inputs) {
            for head in 0..heads {
                backward_head(sizes, out, sample, upstream, head);
            }
        }
    });
    Ok((T::to_cpu_storage_owned(out), shape))
}

fn backward_head<T: Real>(sizes: Sizes, out: &mut [T], sample: &[T], upstream: &[T], head: usize) {
    let places = sizes.places;
    let [queries, keys, values] = [0, 1, 2].map(|part| sizes.head(sample, 3, part, head));
    let upstream = sizes.head(upstream, 1, 0, head);
    let shares = sizes.attention(sample, head);
    let mut part = vec![T::ZERO; places * sizes.depth()];

    multiply_into(&mut part, Matrix::new(&shares, places, places).transposed(), upstream, false);
    sizes.put(out, 3, 2, head, &part);

    let mut at_scores = vec![T::ZERO; places * places];
    multiply_into(&mut at_scores, upstream, values.transposed(), false);
    let scale = sizes.scale::<T>();
    vectorise(
        #[inline(always)]
        || {
            let rows = at_scores.chunks_exact_mut(places).zip(shares.chunks_exact(places));
            rows.for_each(|(gradient, shares)| softmax_gradient(gradient, shares, scale));
        },
    );
    let at_scores = Matrix::new(&at_scores, places, places);
    multiply_into(&mut part, at_scores, keys, false);
    sizes.put(out, 3, 0, head, &part);
    multiply_into(&mut part, at_scores.transposed(), queries, false);
    sizes.put(out, 3, 1, head, &part);
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let zeros = |rows, columns| Tensor::zeros((rows, columns), DType::F32, &Device::Cpu).unwrap();
        let qkv = zeros(6, 12);
        assert_eq!(attend(&qkv, 3, 2).unwrap().dims(), [6, 4]);
        assert_eq!(attend_gradient(&qkv, &zeros(6, 4), 3, 2).unwrap().dims(), [6, 12]);
        for (places, heads) in [(4, 2), (0, 2), (3, 0), (3, 3)] {
            assert!(attend(&qkv, places, heads).is_err(), "{places} {heads}");
        }
        assert!(attend(&zeros(6, 0), 3, 1).is_err());
        assert!(attend_gradient(&qkv, &zeros(6, 3), 3, 2).is_err());
    }

    /// With identical keys every position gets the mean of the values.
    #[test]
    fn equal_scores_share_equally() {
        let rows = [[1f32, 0.0, 2.0], [5.0, 0.0, 4.0], [-3.0, 0.0, 9.0]];
        let qkv = Tensor::new(&rows, &Device::Cpu).unwrap();
        assert_eq!(attend(&qkv, 3, 1).unwrap().to_vec2::<f32>().unwrap(), [[5.0]; 3]);
    }
}
