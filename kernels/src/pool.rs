//! Pooling: the maximum or the mean of an image's patches, channel by channel.
//!
//! The layout of images is that of [`convolution`](crate::convolution). Patches have no padding here; incomplete
//! patches at the ends of lines and columns are left out.

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor, bail};

use crate::Real;
use crate::access::{for_dtype, read};
use crate::lanes::{combine_short, vectorise};
use crate::operation::{Apply1, Apply3, Cpu, Made, Operation};
use crate::patches::Patches;
use crate::threads::for_rows;

/// The maximum of every patch, [images, size] to [images, places x channels]; NaN stays NaN.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn max_pool(x: &Tensor, patches: Patches) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Operation(Forward { patches, mean: false }))
}

/// The gradient with respect to x, given that with respect to the maxima, `output`: of equal values of a patch only the
/// first, line by line, gets it.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn max_pool_gradient(upstream: &Tensor, x: &Tensor, output: &Tensor, patches: Patches) -> Result<Tensor> {
    upstream.apply_op3_no_bwd(x, output, &Operation(MaxGradient { patches }))
}

/// The mean of every patch, [images, size] to [images, places x channels].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn mean_pool(x: &Tensor, patches: Patches) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Operation(Forward { patches, mean: true }))
}

/// The gradient with respect to x, given that with respect to the means.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn mean_pool_gradient(upstream: &Tensor, patches: Patches) -> Result<Tensor> {
    upstream.apply_op1_no_bwd(&Operation(MeanGradient { patches }))
}

fn check(name: &str, patches: Patches, layout: &Layout, width: usize) -> Result<usize> {
    patches.check(name)?;
    let (images, got) = layout.shape().dims2()?;
    if got != width || patches.padding != [0, 0] {
        bail!("{name}: {got} values do not fit {patches:?}");
    }
    Ok(images)
}

/// The number of values of an image after pooling.
fn pooled(patches: Patches) -> usize {
    patches.places() * patches.channels
}

/// Where the channels of a patch's positions start in an image, line by line.
#[inline(always)]
fn starts(patches: Patches, columns: usize, number: usize) -> impl Iterator<Item = usize> {
    let Patches { width, channels, kernel, stride, .. } = patches;
    let first = (number / columns * stride[0] * width + number % columns * stride[1]) * channels;
    (0..kernel[0])
        .flat_map(move |line| (0..kernel[1]).map(move |place| first + (line * width + place) * channels))
}

struct Forward {
    patches: Patches,
    mean: bool,
}

impl Apply1 for Forward {
    fn name(&self) -> &'static str {
        if self.mean { "mean-pool" } else { "max-pool" }
    }

    fn on_cpu(&self, (x, layout): Cpu<'_>) -> Result<Made> {
        let images = check(self.name(), self.patches, layout, self.patches.size())?;
        for_dtype!(x, self.name(), forward(self, images, x, layout))
    }
}

fn forward<T: Real>(pool: &Forward, images: usize, x: &CpuStorage, layout: &Layout) -> Result<Made> {
    let x = read::<T>(x, layout)?;
    let (size, pooled) = (pool.patches.size(), pooled(pool.patches));
    let mut output = vec![T::ZERO; images * pooled];
    for_rows(&mut output, pooled, |first, output| {
        let images = x[first * size..].chunks_exact(size).zip(output.chunks_exact_mut(pooled));
        for (x, output) in images {
            vectorise(
                #[inline(always)]
                || if pool.mean { means(pool.patches, x, output) } else { maxima(pool.patches, x, output) },
            );
        }
    });
    Ok((T::to_cpu_storage_owned(output), Shape::from((images, pooled))))
}

#[inline(always)]
fn maxima<T: Real>(patches: Patches, x: &[T], output: &mut [T]) {
    let ([_, columns], channels) = (patches.output(), patches.channels);
    for (number, largest) in output.chunks_exact_mut(channels).enumerate() {
        let whole = channels - channels % WIDTH;
        for channel in (0..whole).step_by(WIDTH) {
            let of_chunk = largest_of::<T, WIDTH>(patches, columns, number, &x[channel..]);
            largest[channel..channel + WIDTH].copy_from_slice(&of_chunk);
        }
        for channel in whole..channels {
            [largest[channel]] = largest_of(patches, columns, number, &x[channel..]);
        }
    }
}

/// Channels that a loop takes at a time.
const WIDTH: usize = 8;

/// The maxima of a patch's first channels.
#[inline(always)]
fn largest_of<T: Real, const N: usize>(patches: Patches, columns: usize, number: usize, x: &[T]) -> [T; N] {
    let mut largest = [T::LOWEST; N];
    for start in starts(patches, columns, number) {
        let values = &x[start..start + N];
        let mut lane = 0;
        while lane < N {
            let value = values[lane];
            // NaN differs from itself.
            #[expect(clippy::eq_op, reason = "a test for what is not a number")]
            let replaces = (value > largest[lane]) | (value != value);
            largest[lane] = if replaces { value } else { largest[lane] };
            lane += 1;
        }
    }
    largest
}

#[inline(always)]
fn means<T: Real>(patches: Patches, x: &[T], output: &mut [T]) {
    let [_, columns] = patches.output();
    let share = share::<T>(patches);
    for (number, sum) in output.chunks_exact_mut(patches.channels).enumerate() {
        for start in starts(patches, columns, number) {
            combine_short(sum, &x[start..start + patches.channels], |sum, x| sum + x);
        }
        sum.iter_mut().for_each(|sum| *sum *= share);
    }
}

/// The weight of each value of a patch in its mean.
#[inline(always)]
fn share<T: Real>(patches: Patches) -> T {
    T::from_f64(1.0 / (patches.kernel[0] * patches.kernel[1]) as f64)
}

struct MaxGradient {
    patches: Patches,
}

impl Apply3 for MaxGradient {
    fn name(&self) -> &'static str {
        "max-pool-gradient"
    }

    fn on_cpu(
        &self,
        (upstream, upstream_layout): Cpu<'_>,
        (x, x_layout): Cpu<'_>,
        (output, output_layout): Cpu<'_>,
    ) -> Result<Made> {
        let images = check(self.name(), self.patches, x_layout, self.patches.size())?;
        let pooled = [images, pooled(self.patches)];
        if upstream_layout.shape().dims() != pooled || output_layout.shape().dims() != pooled {
            bail!("{}: shapes {:?} and {:?} are not {pooled:?}", self.name(), upstream_layout, output_layout);
        }
        let operands = ((upstream, upstream_layout), (x, x_layout), (output, output_layout));
        for_dtype!(x, self.name(), max_gradient(self.patches, images, operands))
    }
}

fn max_gradient<T: Real>(
    patches: Patches,
    images: usize,
    (upstream, x, output): (Cpu<'_>, Cpu<'_>, Cpu<'_>),
) -> Result<Made> {
    let upstream = read::<T>(upstream.0, upstream.1)?;
    let (x, output) = (read::<T>(x.0, x.1)?, read::<T>(output.0, output.1)?);
    let (size, pooled) = (patches.size(), pooled(patches));
    let mut gradient = vec![T::ZERO; images * size];
    for_rows(&mut gradient, size, |first, gradient| {
        let mut left = vec![T::ZERO; patches.channels];
        let outputs = upstream[first * pooled..]
            .chunks_exact(pooled)
            .zip(output[first * pooled..].chunks_exact(pooled));
        let images = x[first * size..].chunks_exact(size).zip(gradient.chunks_exact_mut(size));
        for ((x, gradient), (upstream, output)) in images.zip(outputs) {
            vectorise(
                #[inline(always)]
                || to_maxima(patches, gradient, x, output, upstream, &mut left),
            );
        }
    });
    Ok((T::to_cpu_storage_owned(gradient), Shape::from((images, size))))
}

/// Adds to one image's gradient; `left` is the part of a patch's gradient that has not been assigned yet.
#[inline(always)]
fn to_maxima<T: Real>(
    patches: Patches,
    gradient: &mut [T],
    x: &[T],
    output: &[T],
    upstream: &[T],
    left: &mut [T],
) {
    let ([_, columns], channels) = (patches.output(), patches.channels);
    let outputs = output.chunks_exact(channels).zip(upstream.chunks_exact(channels));
    for (number, (largest, upstream)) in outputs.enumerate() {
        combine_short(left, upstream, |_, upstream| upstream);
        for start in starts(patches, columns, number) {
            let place = start..start + channels;
            give(&mut gradient[place.clone()], &x[place], largest, left);
        }
    }
}

/// Assigns the remaining gradient to the channels of a position where they are the maxima.
#[inline(always)]
fn give<T: Real>(gradient: &mut [T], x: &[T], largest: &[T], left: &mut [T]) {
    let (gradients, gradient) = gradient.as_chunks_mut::<WIDTH>();
    let (lefts, left) = left.as_chunks_mut::<WIDTH>();
    let ((xs, x), (largests, largest)) = (x.as_chunks::<WIDTH>(), largest.as_chunks::<WIDTH>());
    let mut number = 0;
    while number < gradients.len() {
        give_to(&mut gradients[number], &xs[number], &largests[number], &mut lefts[number]);
        number += 1;
    }
    let mut rest = 0;
    while rest < gradient.len() {
        let one = |values: &[T]| [values[rest]];
        let (mut to, mut from) = (one(gradient), one(left));
        give_to(&mut to, &one(x), &one(largest), &mut from);
        ([gradient[rest]], [left[rest]]) = (to, from);
        rest += 1;
    }
}

#[inline(always)]
fn give_to<T: Real, const N: usize>(gradient: &mut [T; N], x: &[T; N], largest: &[T; N], left: &mut [T; N]) {
    let (mut sums, mut remaining) = (*gradient, *left);
    let mut lane = 0;
    while lane < N {
        let is_largest = x[lane] == largest[lane];
        sums[lane] += if is_largest { remaining[lane] } else { T::ZERO };
        remaining[lane] = if is_largest { T::ZERO } else { remaining[lane] };
        lane += 1;
    }
    (*gradient, *left) = (sums, remaining);
}

struct MeanGradient {
    patches: Patches,
}

impl Apply1 for MeanGradient {
    fn name(&self) -> &'static str {
        "mean-pool-gradient"
    }

    fn on_cpu(&self, (upstream, layout): Cpu<'_>) -> Result<Made> {
        let images = check(self.name(), self.patches, layout, pooled(self.patches))?;
        for_dtype!(upstream, self.name(), mean_gradient(self.patches, images, upstream, layout))
    }
}

fn mean_gradient<T: Real>(
    patches: Patches,
    images: usize,
    upstream: &CpuStorage,
    layout: &Layout,
) -> Result<Made> {
    let upstream = read::<T>(upstream, layout)?;
    let (size, pooled) = (patches.size(), pooled(patches));
    let mut gradient = vec![T::ZERO; images * size];
    for_rows(&mut gradient, size, |first, gradient| {
        let images = upstream[first * pooled..].chunks_exact(pooled).zip(gradient.chunks_exact_mut(size));
        for (upstream, gradient) in images {
            vectorise(
                #[inline(always)]
                || to_all(patches, gradient, upstream),
            );
        }
    });
    Ok((T::to_cpu_storage_owned(gradient), Shape::from((images, size))))
}

/// Adds to one image's gradient.
#[inline(always)]
fn to_all<T: Real>(patches: Patches, gradient: &mut [T], upstream: &[T]) {
    let ([_, columns], channels) = (patches.output(), patches.channels);
    let share = share::<T>(patches);
    for (number, upstream) in upstream.chunks_exact(channels).enumerate() {
        for start in starts(patches, columns, number) {
            combine_short(&mut gradient[start..start + channels], upstream, |gradient, upstream| {
                gradient + upstream * share
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// 3 x 5 positions of one channel; patches of 2 x 2, two apart: a line and a column are left over.
    const PATCHES: Patches =
        Patches { height: 3, width: 5, channels: 1, kernel: [2, 2], stride: [2, 2], padding: [0, 0] };

    fn row(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn of_equal_values_the_first_alone_gets_the_gradient() {
        let x = row(&[1.0, 2.0, 7.0, 7.0, 9.0, 2.0, 2.0, 7.0, 0.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]);
        let output = max_pool(&x, PATCHES).unwrap();
        assert_eq!(values(&output), [2.0, 7.0]);
        let gradient = max_pool_gradient(&row(&[3.0, 5.0]), &x, &output, PATCHES).unwrap();
        let mut expected = [0.0; 15];
        (expected[1], expected[2]) = (3.0, 5.0);
        assert_eq!(values(&gradient), expected);
    }

    #[test]
    fn patches_that_overlap_add_up() {
        let patches = Patches { height: 1, width: 4, kernel: [1, 3], stride: [1, 1], ..PATCHES };
        let x = row(&[0.0, 5.0, 1.0, 2.0]);
        let output = max_pool(&x, patches).unwrap();
        let gradient = max_pool_gradient(&row(&[1.0, 10.0]), &x, &output, patches).unwrap();
        assert_eq!(values(&gradient), [0.0, 11.0, 0.0, 0.0]);
        assert_eq!(values(&mean_pool(&x, patches).unwrap()), [2.0, 8.0 * (1.0 / 3.0)]);
        let gradient = mean_pool_gradient(&row(&[3.0, 6.0]), patches).unwrap();
        let third = 1.0 / 3.0;
        assert_eq!(
            values(&gradient),
            [3.0 * third, 3.0 * third + 6.0 * third, 3.0 * third + 6.0 * third, 6.0 * third]
        );
    }

    #[test]
    fn nan_stays_nan_at_any_position() {
        for place in [0, 1, 5, 6] {
            let mut x = [1f32; 15];
            x[place] = f32::NAN;
            let got = values(&max_pool(&row(&x), PATCHES).unwrap());
            assert!(got[0].is_nan() && got[1] == 1.0);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let x = row(&[0.0; 15]);
        let output = max_pool(&x, PATCHES).unwrap();
        assert!(max_pool(&row(&[0.0; 14]), PATCHES).is_err());
        assert!(mean_pool(&x, Patches { padding: [1, 0], ..PATCHES }).is_err());
        assert!(max_pool_gradient(&x, &x, &output, PATCHES).is_err());
        assert!(mean_pool_gradient(&x, PATCHES).is_err());
    }
}
