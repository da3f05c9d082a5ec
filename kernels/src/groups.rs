//! Consecutive rows in groups of equal size, such as the points of a cloud or the patches of an image: the maximum or
//! mean of each group, column by column, and its gradient.

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor, bail};

use crate::Real;
use crate::access::{for_dtype, read};
use crate::lanes::vectorise;
use crate::operation::{Apply1, Apply2, Cpu, Made, Operation};
use crate::threads::for_rows;

/// The summary of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The maximum of each column. NaN counts as the largest, so that it shows.
    Largest,
    /// The mean of each column, added up in order of rows.
    Mean,
}

/// The summaries of groups of `size` rows: values [groups * size, n] to [groups, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn summarise(values: &Tensor, size: usize, summary: Summary) -> Result<Tensor> {
    values.apply_op1_no_bwd(&Operation(Forward { size, summary }))
}

/// The gradient with respect to the values, [groups * size, n], given that with respect to the summaries, upstream
/// [groups, n]. Of several equal maxima the first gets it all.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn summarise_gradient(
    values: &Tensor,
    upstream: &Tensor,
    size: usize,
    summary: Summary,
) -> Result<Tensor> {
    values.apply_op2_no_bwd(upstream, &Operation(Backward { size, summary }))
}

struct Forward {
    size: usize,
    summary: Summary,
}

struct Backward {
    size: usize,
    summary: Summary,
}

/// The number of groups, and their width.
fn groups(name: &str, values: &Layout, size: usize) -> Result<(usize, usize)> {
    let (rows, width) = values.shape().dims2()?;
    if size == 0 || rows % size != 0 {
        bail!("{name}: {rows} rows do not fall into groups of {size}");
    }
    Ok((rows / size, width))
}

impl Apply1 for Forward {
    fn name(&self) -> &'static str {
        "summarise"
    }

    fn on_cpu(&self, (values, layout): Cpu<'_>) -> Result<Made> {
        let shape = groups(self.name(), layout, self.size)?;
        for_dtype!(values, self.name(), forward(self, shape, values, layout))
    }
}

impl Apply2 for Backward {
    fn name(&self) -> &'static str {
        "summarise-gradient"
    }

    fn on_cpu(&self, (values, layout): Cpu<'_>, (upstream, upstream_layout): Cpu<'_>) -> Result<Made> {
        let (groups, width) = groups(self.name(), layout, self.size)?;
        if upstream_layout.shape().dims() != [groups, width] {
            bail!("{}: shape {:?} is not [{groups}, {width}]", self.name(), upstream_layout.shape());
        }
        for_dtype!(values, self.name(), backward(self, (values, layout), (upstream, upstream_layout)))
    }
}

fn forward<T: Real>(
    &Forward { size, summary }: &Forward,
    (groups, width): (usize, usize),
    values: &CpuStorage,
    layout: &Layout,
) -> Result<Made> {
    let values = read::<T>(values, layout)?;
    let mut out = vec![T::ZERO; groups * width];
    for_rows(&mut out, width, |first, out| {
        let values = &values[first * size * width..];
        vectorise(
            #[inline(always)]
            || match summary {
                Summary::Largest => each(out, values, size, width, largest),
                Summary::Mean => each(out, values, size, width, mean),
            },
        );
    });
    Ok((T::to_cpu_storage_owned(out), Shape::from((groups, width))))
}

#[inline(always)]
fn each<T: Real>(
    out: &mut [T],
    values: &[T],
    size: usize,
    width: usize,
    summary: impl Fn(&mut [T], &[T], usize),
) {
    for (out, group) in out.chunks_exact_mut(width).zip(values.chunks_exact(size * width)) {
        summary(out, group, width);
    }
}

#[inline(always)]
fn largest<T: Real>(out: &mut [T], group: &[T], width: usize) {
    let (first, others) = group.split_at(width);
    out.copy_from_slice(first);
    for row in others.chunks_exact(width) {
        for (best, &value) in out.iter_mut().zip(row) {
            *best = if exceeds(value, *best) { value } else { *best };
        }
    }
}

/// Whether a value replaces the maximum so far.
#[inline(always)]
#[expect(clippy::eq_op, clippy::neg_cmp_op_on_partial_ord, reason = "what is not a number counts as largest")]
fn exceeds<T: Real>(value: T, best: T) -> bool {
    best == best && !(value <= best)
}

#[inline(always)]
fn mean<T: Real>(out: &mut [T], group: &[T], width: usize) {
    for row in group.chunks_exact(width) {
        for (sum, &value) in out.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let count = T::from_f64((group.len() / width) as f64);
    for sum in out {
        *sum /= count;
    }
}

fn backward<T: Real>(
    &Backward { size, summary }: &Backward,
    (values, layout): Cpu<'_>,
    (upstream, upstream_layout): Cpu<'_>,
) -> Result<Made> {
    let (values, upstream) = (read::<T>(values, layout)?, read::<T>(upstream, upstream_layout)?);
    let (mut out, width) = (vec![T::ZERO; values.len()], layout.dims()[1]);
    for_rows(&mut out, size * width, |first, out| {
        let groups = || values.chunks_exact(size * width).zip(upstream.chunks_exact(width)).skip(first);
        vectorise(
            #[inline(always)]
            || {
                for (out, (group, upstream)) in out.chunks_exact_mut(size * width).zip(groups()) {
                    match summary {
                        Summary::Largest => to_first_largest(out, group, upstream, width),
                        Summary::Mean => to_all(out, upstream, size),
                    }
                }
            },
        );
    });
    Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
}

#[inline(always)]
fn to_first_largest<T: Real>(out: &mut [T], group: &[T], upstream: &[T], width: usize) {
    let mut best = group[..width].to_vec();
    let mut place = vec![0u32; width];
    for (number, row) in group.chunks_exact(width).enumerate() {
        for ((best, place), &value) in best.iter_mut().zip(&mut place).zip(row) {
            let better = exceeds(value, *best);
            *best = if better { value } else { *best };
            *place = if better { number as u32 } else { *place };
        }
    }
    for (column, (&place, &upstream)) in place.iter().zip(upstream).enumerate() {
        out[place as usize * width + column] = upstream;
    }
}

#[inline(always)]
fn to_all<T: Real>(out: &mut [T], upstream: &[T], size: usize) {
    let count = T::from_f64(size as f64);
    for row in out.chunks_exact_mut(upstream.len()) {
        for (out, &upstream) in row.iter_mut().zip(upstream) {
            *out = upstream / count;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(rows: &[[f32; 2]]) -> Tensor {
        Tensor::from_vec(rows.concat(), (rows.len(), 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn the_first_of_the_largest_has_the_gradient() {
        let values = tensor(&[[1.0, -2.0], [3.0, -1.0], [3.0, -1.0], [0.0, 0.0], [0.0, 5.0], [0.0, 5.0]]);
        let largest = summarise(&values, 3, Summary::Largest).unwrap();
        assert_eq!(largest.to_vec2::<f32>().unwrap(), [[3.0, -1.0], [0.0, 5.0]]);
        let upstream = tensor(&[[10.0, 20.0], [30.0, 40.0]]);
        let gradient = summarise_gradient(&values, &upstream, 3, Summary::Largest).unwrap();
        let expected = [[0.0, 0.0], [10.0, 20.0], [0.0, 0.0], [30.0, 0.0], [0.0, 40.0], [0.0, 0.0]];
        assert_eq!(gradient.to_vec2::<f32>().unwrap(), expected);
    }

    #[test]
    fn the_mean_gives_each_its_share() {
        let values = tensor(&[[1.0, 2.0], [3.0, 6.0]]);
        let mean = summarise(&values, 2, Summary::Mean).unwrap();
        assert_eq!(mean.to_vec2::<f32>().unwrap(), [[2.0, 4.0]]);
        let gradient = summarise_gradient(&values, &mean, 2, Summary::Mean).unwrap();
        assert_eq!(gradient.to_vec2::<f32>().unwrap(), [[1.0, 2.0]; 2]);
    }

    #[test]
    fn nan_is_seen_at_any_position() {
        for place in 0..3 {
            let mut rows = [[1.0, 1.0]; 3];
            rows[place][1] = f32::NAN;
            let largest = summarise(&tensor(&rows), 3, Summary::Largest).unwrap().to_vec2::<f32>().unwrap();
            assert!(largest[0][0] == 1.0 && largest[0][1].is_nan(), "{place}");
        }
    }

    #[test]
    fn rows_that_do_not_fall_into_groups_are_refused() {
        let values = tensor(&[[1.0, 2.0]; 5]);
        assert!(summarise(&values, 2, Summary::Mean).is_err());
        assert!(summarise(&values, 0, Summary::Mean).is_err());
        let none = Tensor::zeros((0, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert_eq!(summarise(&none, 3, Summary::Largest).unwrap().dims(), [0, 2]);
    }
}
