//! Layer normalisation over the features, usually after a ReLU.
//!
//! With mean m and variance v of a row: n = (x - m) / sqrt(v + [`EPSILON`]), output = n * gain + bias. Gain and bias
//! are the two rows of one tensor, `affine`, [2, n]. The statistics of a row are recomputed where they are needed,
//! which is cheaper than storing them.

use candle_core::{Layout, Result, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read, write};
use crate::lanes::{sum_of, sum_of_three, vectorise};
use crate::operation::{Apply2, Cpu, CpuMut, Made, Operation, Update3};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, GpuMut, MadeOnGpu, update_3_by_cpu};

/// Added to the variance.
pub const EPSILON: f64 = 1e-5;

/// The normalised, scaled and shifted rows: input [rows, n], affine [2, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn layer_norm(input: &Tensor, affine: &Tensor) -> Result<Tensor> {
    input.apply_op2_no_bwd(affine, &Operation(Forward))
}

/// affine_gradient += the gradient with respect to gain and bias, whose sum over the rows is computed separately first:
/// affine_gradient [2, n], input and upstream [rows, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn accumulate_affine_gradient(affine_gradient: &Tensor, input: &Tensor, upstream: &Tensor) -> Result<()> {
    affine_gradient.inplace_op3(input, upstream, &Operation(AffineGradient))
}

/// Replaces the gradient with respect to the output by that with respect to the input of the preceding ReLU: zero where
/// `input` is not positive. All [rows, n], affine [2, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn backward_through_relu(gradient: &Tensor, input: &Tensor, affine: &Tensor) -> Result<()> {
    gradient.inplace_op3(input, affine, &Operation(Backward { through_relu: true }))
}

/// The same without a preceding ReLU: nothing is masked.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn backward_alone(gradient: &Tensor, input: &Tensor, affine: &Tensor) -> Result<()> {
    gradient.inplace_op3(input, affine, &Operation(Backward { through_relu: false }))
}

struct Forward;

impl Apply2 for Forward {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn on_cpu(&self, (input, input_layout): Cpu<'_>, (affine, affine_layout): Cpu<'_>) -> Result<Made> {
        check("layer-norm", input_layout, input_layout, affine_layout)?;
        for_dtype!(input, "layer-norm", forward((input, input_layout), (affine, affine_layout)))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (input, input_layout): Gpu<'_>, (affine, affine_layout): Gpu<'_>) -> Result<MadeOnGpu> {
        check("layer-norm", input_layout, input_layout, affine_layout)?;
        let (from, affine) = ((input, input_layout), (affine, affine_layout));
        for_cuda_dtype!(input, "layer-norm", crate::cuda::layer_norm::forward(from, affine))
    }
}

struct AffineGradient;

impl Update3 for AffineGradient {
    fn name(&self) -> &'static str {
        "layer-norm-affine-gradient"
    }

    fn on_cpu(
        &self,
        (sums, sums_layout): CpuMut<'_>,
        (input, input_layout): Cpu<'_>,
        (upstream, upstream_layout): Cpu<'_>,
    ) -> Result<()> {
        let name = self.name();
        check(name, input_layout, upstream_layout, sums_layout)?;
        for_dtype!(
            input,
            name,
            affine_gradient((sums, sums_layout), (input, input_layout), (upstream, upstream_layout))
        )
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (sums, sums_layout): GpuMut<'_>,
        (input, input_layout): Gpu<'_>,
        (upstream, upstream_layout): Gpu<'_>,
    ) -> Result<()> {
        let name = self.name();
        check(name, input_layout, upstream_layout, sums_layout)?;
        let (sums, from, upstream) =
            ((sums, sums_layout), (input, input_layout), (upstream, upstream_layout));
        for_cuda_dtype!(input, name, crate::cuda::layer_norm::affine_gradient(sums, from, upstream))
    }
}

struct Backward {
    through_relu: bool,
}

impl Update3 for Backward {
    fn name(&self) -> &'static str {
        "layer-norm-backward"
    }

    fn on_cpu(
        &self,
        (gradient, gradient_layout): CpuMut<'_>,
        (input, input_layout): Cpu<'_>,
        (affine, affine_layout): Cpu<'_>,
    ) -> Result<()> {
        let name = self.name();
        check(name, input_layout, gradient_layout, affine_layout)?;
        let (gradient, input, affine) =
            ((gradient, gradient_layout), (input, input_layout), (affine, affine_layout));
        match self.through_relu {
            true => for_dtype!(input.0, name, backward_through(gradient, input, affine)),
            false => for_dtype!(input.0, name, backward_only(gradient, input, affine)),
        }
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (gradient, gradient_layout): GpuMut<'_>,
        (input, input_layout): Gpu<'_>,
        (affine, affine_layout): Gpu<'_>,
    ) -> Result<()> {
        let name = self.name();
        check(name, input_layout, gradient_layout, affine_layout)?;
        let (gradient, from, affine) =
            ((gradient, gradient_layout), (input, input_layout), (affine, affine_layout));
        if !self.through_relu {
            return update_3_by_cpu(self, gradient, from, affine);
        }
        for_cuda_dtype!(input, name, crate::cuda::layer_norm::backward(gradient, from, affine))
    }
}

fn check(name: &str, input: &Layout, output: &Layout, affine: &Layout) -> Result<()> {
    let (input, output, affine) = (input.shape().dims(), output.shape().dims(), affine.shape().dims());
    let fits = matches!((input, affine), (&[_, width], &[2, same]) if width == same && width > 0);
    if !fits || input != output {
        bail!("{name}: shapes {input:?}, {output:?} and {affine:?} do not fit");
    }
    Ok(())
}

/// Mean and inverse standard deviation of a row.
#[inline(always)]
fn statistics<T: Real>(row: &[T]) -> (T, T) {
    let count = T::from_f64(row.len() as f64);
    let mean = sum_of(row, |x| x) / count;
    let variance = sum_of(row, |x| (x - mean) * (x - mean)) / count;
    (mean, T::ONE / (variance + T::from_f64(EPSILON)).sqrt())
}

fn forward<T: Real>(input: Cpu<'_>, affine: Cpu<'_>) -> Result<Made> {
    let shape = input.1.shape().clone();
    let (input, affine) = (read::<T>(input.0, input.1)?, read::<T>(affine.0, affine.1)?);
    let output = vectorise(
        #[inline(always)]
        || forward_rows(input, affine),
    );
    Ok((T::to_cpu_storage_owned(output), shape))
}

#[inline(always)]
fn forward_rows<T: Real>(input: &[T], affine: &[T]) -> Vec<T> {
    let width = affine.len() / 2;
    let (gain, bias) = affine.split_at(width);
    let mut output = Vec::with_capacity(input.len());
    for row in input.chunks_exact(width) {
        let (mean, inverse) = statistics(row);
        let affine = gain.iter().zip(bias);
        output.extend(row.iter().zip(affine).map(|(&x, (&gain, &bias))| (x - mean) * inverse * gain + bias));
    }
    output
}

fn affine_gradient<T: Real>(sums: CpuMut<'_>, input: Cpu<'_>, upstream: Cpu<'_>) -> Result<()> {
    let sums = write::<T>(sums.0, sums.1)?;
    let (input, upstream) = (read::<T>(input.0, input.1)?, read::<T>(upstream.0, upstream.1)?);
    vectorise(
        #[inline(always)]
        || affine_gradient_rows(sums, input, upstream),
    );
    Ok(())
}

#[inline(always)]
fn affine_gradient_rows<T: Real>(sums: &mut [T], input: &[T], upstream: &[T]) {
    let width = sums.len() / 2;
    let mut block = vec![T::ZERO; sums.len()];
    let (gain, bias) = block.split_at_mut(width);
    for (row, upstream) in input.chunks_exact(width).zip(upstream.chunks_exact(width)) {
        let (mean, inverse) = statistics(row);
        let sums = gain.iter_mut().zip(bias.iter_mut());
        for ((&x, &up), (gain, bias)) in row.iter().zip(upstream).zip(sums) {
            *gain += up * ((x - mean) * inverse);
            *bias += up;
        }
    }
    for (sum, &value) in sums.iter_mut().zip(&block) {
        *sum += value;
    }
}

fn backward_through<T: Real>(gradient: CpuMut<'_>, input: Cpu<'_>, affine: Cpu<'_>) -> Result<()> {
    backward::<T, true>(gradient, input, affine)
}

fn backward_only<T: Real>(gradient: CpuMut<'_>, input: Cpu<'_>, affine: Cpu<'_>) -> Result<()> {
    backward::<T, false>(gradient, input, affine)
}

fn backward<T: Real, const MASKED: bool>(
    gradient: CpuMut<'_>,
    input: Cpu<'_>,
    affine: Cpu<'_>,
) -> Result<()> {
    let gradient = write::<T>(gradient.0, gradient.1)?;
    let (input, affine) = (read::<T>(input.0, input.1)?, read::<T>(affine.0, affine.1)?);
    vectorise(
        #[inline(always)]
        || {
            let gain = &affine[..affine.len() / 2];
            let rows = input.chunks_exact(gain.len());
            for (gradient, row) in gradient.chunks_exact_mut(gain.len()).zip(rows) {
                backward_row::<T, MASKED>(gradient, row, gain);
            }
        },
    );
    Ok(())
}

/// With g = upstream * gain and n the normalised row: (g - mean(g) - n mean(g n)) / std, masked if `MASKED`.
#[inline(always)]
fn backward_row<T: Real, const MASKED: bool>(gradient: &mut [T], row: &[T], gain: &[T]) {
    let count = T::from_f64(row.len() as f64);
    let (mean, inverse) = statistics(row);
    let (plain, projected) = backward_sums(gradient, row, gain, mean, inverse);
    let (plain, projected) = (plain / count, projected / count);
    for ((gradient, &x), &gain) in gradient.iter_mut().zip(row).zip(gain) {
        let normal = (x - mean) * inverse;
        let value = (*gradient * gain - plain - normal * projected) * inverse;
        *gradient = if !MASKED || x > T::ZERO { value } else { T::ZERO };
    }
}

/// The sums of g and of g n over a row.
#[inline(always)]
fn backward_sums<T: Real>(upstream: &[T], row: &[T], gain: &[T], mean: T, inverse: T) -> (T, T) {
    let plain = sum_of_three(upstream, row, gain, |up, _, gain| up * gain);
    let projected = sum_of_three(upstream, row, gain, |up, x, gain| up * gain * ((x - mean) * inverse));
    (plain, projected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::tests::random;

    #[test]
    fn the_bits_do_not_depend_on_the_instruction_set() {
        for width in [1, 15, 256, 517] {
            let (x, affine, upstream) =
                (random::<f32>(1, 9 * width), random::<f32>(2, 2 * width), random::<f32>(3, 9 * width));
            let output = vectorise(
                #[inline(always)]
                || forward_rows(&x, &affine),
            );
            assert_eq!(output, forward_rows(&x, &affine));
            let [mut fast, mut plain] = [(); 2].map(|()| (vec![0.0; 2 * width], upstream.clone()));
            vectorise(
                #[inline(always)]
                || {
                    affine_gradient_rows(&mut fast.0, &x, &upstream);
                    backward_row::<_, true>(&mut fast.1[..width], &x[..width], &affine[..width]);
                },
            );
            affine_gradient_rows(&mut plain.0, &x, &upstream);
            backward_row::<_, true>(&mut plain.1[..width], &x[..width], &affine[..width]);
            assert_eq!(fast, plain);
        }
    }
}
