//! The quantising encoder's head: z = sigmoid(output), rounded to one of 2^bits levels from 0 to 1.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read};
use crate::lanes::vectorise;
use crate::operation::{Apply1, Apply2, Cpu, Made, Operation};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, MadeOnGpu};

/// The most bits of a value: an f32 holds no more levels between 0 and 1.
pub const MOST_BITS: u32 = 16;

/// z of any shape, for an output of that shape.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn quantise(output: &Tensor, bits: u32) -> Result<Tensor> {
    if !(1..=MOST_BITS).contains(&bits) {
        bail!("quantise: {bits} bits are not from 1 to {MOST_BITS}");
    }
    output.apply_op1_no_bwd(&Operation(Quantise { top: f64::from((1u32 << bits) - 1) }))
}

/// The straight-through gradient with respect to the output, given that with respect to z: rounding is ignored.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn backward(gradient: &Tensor, output: &Tensor) -> Result<Tensor> {
    gradient.apply_op2_no_bwd(output, &Operation(Backward))
}

struct Quantise {
    /// The number of the highest level.
    top: f64,
}

impl Apply1 for Quantise {
    fn name(&self) -> &'static str {
        "quantise"
    }

    fn on_cpu(&self, (output, layout): Cpu<'_>) -> Result<Made> {
        let values = for_dtype!(output, self.name(), quantise_all(output, layout, self.top))?;
        Ok((values, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (output, layout): Gpu<'_>) -> Result<MadeOnGpu> {
        let values = for_cuda_dtype!(
            output,
            self.name(),
            crate::cuda::quantise::quantise_all(output, layout, self.top)
        )?;
        Ok((values, layout.shape().clone()))
    }
}

struct Backward;

impl Apply2 for Backward {
    fn name(&self) -> &'static str {
        "quantise-backward"
    }

    fn on_cpu(&self, (gradient, gradient_layout): Cpu<'_>, (output, output_layout): Cpu<'_>) -> Result<Made> {
        check_shapes(gradient_layout, output_layout)?;
        let values = for_dtype!(
            gradient,
            self.name(),
            backward_all((gradient, gradient_layout), (output, output_layout))
        )?;
        Ok((values, output_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (gradient, gradient_layout): Gpu<'_>,
        (output, output_layout): Gpu<'_>,
    ) -> Result<MadeOnGpu> {
        check_shapes(gradient_layout, output_layout)?;
        let (of_z, output) = ((gradient, gradient_layout), (output, output_layout));
        let values =
            for_cuda_dtype!(gradient, self.name(), crate::cuda::quantise::backward_all(of_z, output))?;
        Ok((values, output_layout.shape().clone()))
    }
}

fn check_shapes(gradient: &Layout, output: &Layout) -> Result<()> {
    let (gradient, output) = (gradient.shape(), output.shape());
    if gradient != output {
        bail!("quantise-backward: a gradient of shape {gradient:?} does not fit an output of {output:?}");
    }
    Ok(())
}

fn quantise_all<T: Real>(output: &CpuStorage, layout: &Layout, top: f64) -> Result<CpuStorage> {
    let mut z = read::<T>(output, layout)?.to_vec();
    let top = T::from_f64(top);
    vectorise(
        #[inline(always)]
        || {
            for z in &mut z {
                *z = (T::sigmoid(*z) * top).round() / top;
            }
        },
    );
    Ok(T::to_cpu_storage_owned(z))
}

fn backward_all<T: Real>(gradient: Cpu<'_>, output: Cpu<'_>) -> Result<CpuStorage> {
    let mut result = read::<T>(gradient.0, gradient.1)?.to_vec();
    let output = read::<T>(output.0, output.1)?;
    vectorise(
        #[inline(always)]
        || {
            for (gradient, &output) in result.iter_mut().zip(output) {
                let sigmoid = T::sigmoid(output);
                *gradient *= sigmoid * (T::ONE - sigmoid);
            }
        },
    );
    Ok(T::to_cpu_storage_owned(result))
}
