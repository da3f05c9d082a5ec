//! The stochastic encoder's head: z = mu + std * noise, std = softplus(raw - 5).

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read};
use crate::lanes::vectorise;
use crate::operation::{Apply2, Apply3, Cpu, Made, Operation};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, MadeOnGpu};

/// Subtracted from `raw`, so that an untrained encoder has a small standard deviation.
pub const SHIFT: f64 = 5.0;

/// z, mu and std, packed as [3, rows, d]: output [rows, 2 d] holds mu and raw side by side, noise is [rows, d].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn sample(output: &Tensor, noise: &Tensor) -> Result<Tensor> {
    output.apply_op2_no_bwd(noise, &Operation(Sample))
}

/// The gradient with respect to the output, [rows, 2 d], from those with respect to z, mu and std, packed as [3, rows,
/// d]. That of z is not yet propagated to mu and std.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn backward(gradient: &Tensor, output: &Tensor, noise: &Tensor) -> Result<Tensor> {
    gradient.apply_op3_no_bwd(output, noise, &Operation(Backward))
}

struct Sample;

impl Apply2 for Sample {
    fn name(&self) -> &'static str {
        "gaussian-sample"
    }

    fn on_cpu(&self, (output, output_layout): Cpu<'_>, (noise, noise_layout): Cpu<'_>) -> Result<Made> {
        let (rows, width) = shape(output_layout, noise_layout)?;
        let values = for_dtype!(
            output,
            self.name(),
            sample_all((output, output_layout), (noise, noise_layout), width)
        )?;
        Ok((values, Shape::from((3, rows, width))))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (output, output_layout): Gpu<'_>, (noise, noise_layout): Gpu<'_>) -> Result<MadeOnGpu> {
        let (rows, width) = shape(output_layout, noise_layout)?;
        let (from, noise) = ((output, output_layout), (noise, noise_layout));
        let values =
            for_cuda_dtype!(output, self.name(), crate::cuda::gaussian::sample_all(from, noise, width))?;
        Ok((values, Shape::from((3, rows, width))))
    }
}

struct Backward;

impl Apply3 for Backward {
    fn name(&self) -> &'static str {
        "gaussian-backward"
    }

    fn on_cpu(
        &self,
        (gradient, gradient_layout): Cpu<'_>,
        (output, output_layout): Cpu<'_>,
        (noise, noise_layout): Cpu<'_>,
    ) -> Result<Made> {
        let (rows, width) = backward_shape(gradient_layout, output_layout, noise_layout)?;
        let values = for_dtype!(
            gradient,
            self.name(),
            backward_all((gradient, gradient_layout), (output, output_layout), (noise, noise_layout), width)
        )?;
        Ok((values, Shape::from((rows, 2 * width))))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (gradient, gradient_layout): Gpu<'_>,
        (output, output_layout): Gpu<'_>,
        (noise, noise_layout): Gpu<'_>,
    ) -> Result<MadeOnGpu> {
        let (rows, width) = backward_shape(gradient_layout, output_layout, noise_layout)?;
        let (of_z, output, noise) =
            ((gradient, gradient_layout), (output, output_layout), (noise, noise_layout));
        let values = for_cuda_dtype!(
            gradient,
            self.name(),
            crate::cuda::gaussian::backward_all(of_z, output, noise, width)
        )?;
        Ok((values, Shape::from((rows, 2 * width))))
    }
}

fn backward_shape(gradient: &Layout, output: &Layout, noise: &Layout) -> Result<(usize, usize)> {
    let (rows, width) = shape(output, noise)?;
    if gradient.shape().dims() != [3, rows, width] {
        bail!("gaussian-backward: a gradient of shape {:?} does not fit", gradient.shape());
    }
    Ok((rows, width))
}

fn shape(output: &Layout, noise: &Layout) -> Result<(usize, usize)> {
    let (rows, width) = noise.shape().dims2()?;
    if output.shape().dims() != [rows, 2 * width] || width == 0 {
        bail!("an encoder's output of shape {:?} does not fit noise of {:?}", output.shape(), noise.shape());
    }
    Ok((rows, width))
}

fn sample_all<T: Real>(output: Cpu<'_>, noise: Cpu<'_>, width: usize) -> Result<CpuStorage> {
    let (output, noise) = (read::<T>(output.0, output.1)?, read::<T>(noise.0, noise.1)?);
    let mut packed = vec![T::ZERO; 3 * noise.len()];
    let (z, moments) = packed.split_at_mut(noise.len());
    let (mu, std) = moments.split_at_mut(noise.len());
    vectorise(
        #[inline(always)]
        || {
            let targets = mu.chunks_exact_mut(width).zip(std.chunks_exact_mut(width));
            for ((mu, raw), output) in targets.zip(output.chunks_exact(2 * width)) {
                mu.copy_from_slice(&output[..width]);
                raw.copy_from_slice(&output[width..]);
            }
            for std in std.iter_mut() {
                *std = softplus(*std - T::from_f64(SHIFT));
            }
            for ((z, &noise), (&mu, &std)) in z.iter_mut().zip(noise).zip(mu.iter().zip(&*std)) {
                *z = mu + std * noise;
            }
        },
    );
    Ok(T::to_cpu_storage_owned(packed))
}

fn backward_all<T: Real>(
    gradient: Cpu<'_>,
    output: Cpu<'_>,
    noise: Cpu<'_>,
    width: usize,
) -> Result<CpuStorage> {
    let gradient = read::<T>(gradient.0, gradient.1)?;
    let (output, noise) = (read::<T>(output.0, output.1)?, read::<T>(noise.0, noise.1)?);
    let (z, moments) = gradient.split_at(noise.len());
    let (mu, std) = moments.split_at(noise.len());
    let mut result = vec![T::ZERO; output.len()];
    vectorise(
        #[inline(always)]
        || {
            for (row, result) in result.chunks_exact_mut(2 * width).enumerate() {
                let here = row * width..(row + 1) * width;
                let (z, mu, std, noise) =
                    (&z[here.clone()], &mu[here.clone()], &std[here.clone()], &noise[here]);
                let raw = &output[(2 * row + 1) * width..][..width];
                let (to_mu, to_raw) = result.split_at_mut(width);
                for (to, (&mu, &z)) in to_mu.iter_mut().zip(mu.iter().zip(z)) {
                    *to = mu + z;
                }
                let values = std.iter().zip(z).zip(noise.iter().zip(raw));
                for (to, ((&std, &z), (&noise, &raw))) in to_raw.iter_mut().zip(values) {
                    *to = (std + z * noise) * T::sigmoid(raw - T::from_f64(SHIFT));
                }
            }
        },
    );
    Ok(T::to_cpu_storage_owned(result))
}

/// ln(1 + e^x), without overflow and accurate for small values.
#[inline(always)]
fn softplus<T: Real>(x: T) -> T {
    x.larger(T::ZERO) + T::magnitude_decay(x).ln_1p()
}
