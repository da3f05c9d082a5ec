//! Elementwise activation functions without a bias.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

use crate::Real;
use crate::access::{for_dtype, read, write};
use crate::lanes::vectorise;
use crate::operation::{Apply1, Cpu, CpuMut, Made, Operation, Update2};
use crate::threads::for_rows;

/// The maximum of every number and 0; NaN stays NaN.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Operation(Forward::Relu))
}

/// x Phi(x), with Phi the standard normal distribution function (GELU, without the approximation by a tanh).
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Operation(Forward::Gelu))
}

/// gradient = 0 where the ReLU's output was not positive, in place; shapes are equal. Like
/// [`mask_relu`](crate::elementwise::mask_relu), but on several threads.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn relu_backward(gradient: &Tensor, output: &Tensor) -> Result<()> {
    gradient.inplace_op2(output, &Operation(Backward::Relu))
}

/// gradient = gradient (Phi(x) + x phi(x)), in place, with phi the standard normal density; shapes are equal.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn gelu_backward(gradient: &Tensor, x: &Tensor) -> Result<()> {
    gradient.inplace_op2(x, &Operation(Backward::Gelu))
}

enum Forward {
    Relu,
    Gelu,
}

impl Apply1 for Forward {
    fn name(&self) -> &'static str {
        match self {
            Forward::Relu => "relu",
            Forward::Gelu => "gelu",
        }
    }

    fn on_cpu(&self, (x, layout): Cpu<'_>) -> Result<Made> {
        for_dtype!(x, self.name(), forward(self, x, layout))
    }
}

fn forward<T: Real>(kind: &Forward, x: &CpuStorage, layout: &Layout) -> Result<Made> {
    let mut output = read::<T>(x, layout)?.to_vec();
    for_rows(&mut output, 1, |_, values| match kind {
        Forward::Relu => vectorise(
            #[inline(always)]
            || values.iter_mut().for_each(|value| *value = T::ZERO.larger(*value)),
        ),
        Forward::Gelu => vectorise(
            #[inline(always)]
            || values.iter_mut().for_each(|value| *value *= T::normal_share(*value)),
        ),
    });
    Ok((T::to_cpu_storage_owned(output), layout.shape().clone()))
}

enum Backward {
    Relu,
    Gelu,
}

impl Update2 for Backward {
    fn name(&self) -> &'static str {
        match self {
            Backward::Relu => "relu-backward",
            Backward::Gelu => "gelu-backward",
        }
    }

    fn on_cpu(&self, (gradient, gradient_layout): CpuMut<'_>, (x, x_layout): Cpu<'_>) -> Result<()> {
        if gradient_layout.shape() != x_layout.shape() {
            bail!("{}: shapes {:?} and {:?} differ", self.name(), gradient_layout.shape(), x_layout.shape());
        }
        for_dtype!(x, self.name(), backward(self, (gradient, gradient_layout), (x, x_layout)))
    }
}

fn backward<T: Real>(kind: &Backward, gradient: CpuMut<'_>, x: Cpu<'_>) -> Result<()> {
    let (gradient, x) = (write::<T>(gradient.0, gradient.1)?, read::<T>(x.0, x.1)?);
    for_rows(gradient, 1, |first, gradient| {
        let x = &x[first..];
        match kind {
            Backward::Relu => vectorise(
                #[inline(always)]
                || mask(gradient, x),
            ),
            Backward::Gelu => vectorise(
                #[inline(always)]
                || through_gelu(gradient, x),
            ),
        }
    });
    Ok(())
}

/// Through a buffer: with the output written to the memory that is read, the selections become masked stores, which
/// take some processors twenty times as long.
#[inline(always)]
fn mask<T: Real>(gradient: &mut [T], output: &[T]) {
    const LENGTH: usize = 128;
    let mut buffer = [T::ZERO; LENGTH];
    for (gradient, output) in gradient.chunks_mut(LENGTH).zip(output.chunks(LENGTH)) {
        let length = gradient.len();
        for (kept, (&gradient, &output)) in buffer.iter_mut().zip(gradient.iter().zip(output)) {
            *kept = if output > T::ZERO { gradient } else { T::ZERO };
        }
        gradient.copy_from_slice(&buffer[..length]);
    }
}

#[inline(always)]
fn through_gelu<T: Real>(gradient: &mut [T], x: &[T]) {
    let root = T::from_f64(0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2);
    for (gradient, &x) in gradient.iter_mut().zip(x) {
        let density = root * (-T::HALF * x * x).exp();
        *gradient *= T::normal_share(x) + x * density;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// The standard normal distribution function at x, from the complementary error function.
    fn phi(x: f64) -> f64 {
        0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
    }

    #[test]
    fn gelu_and_its_slope_are_those_of_the_formula() {
        let points: Vec<f64> = (-1200..=1200).map(|i| f64::from(i) * 0.01).collect();
        for (dtype, tolerance) in [(candle_core::DType::F32, 1e-6), (candle_core::DType::F64, 1e-14)] {
            let x = Tensor::new(points.as_slice(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let slope = x.ones_like().unwrap();
            gelu_backward(&slope, &x).unwrap();
            let numbers =
                |tensor: &Tensor| tensor.to_dtype(candle_core::DType::F64).unwrap().to_vec1::<f64>().unwrap();
            let (values, slopes, points) = (numbers(&gelu(&x).unwrap()), numbers(&slope), numbers(&x));
            for ((value, slope), x) in values.into_iter().zip(slopes).zip(points) {
                let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
                assert!((value - x * phi(x)).abs() < tolerance * x.abs().max(1.0), "{value} at {x}");
                assert!(
                    (slope - phi(x) - x * density).abs() < tolerance * x.abs().max(1.0),
                    "{slope} at {x}"
                );
            }
        }
    }

    #[test]
    fn relu_passes_positive_values_and_nan() {
        let x = Tensor::new(&[-1f32, 0.0, 2.0, f32::NAN], &Device::Cpu).unwrap();
        let got = relu(&x).unwrap().to_vec1::<f32>().unwrap();
        assert!(got[..3] == [0.0, 0.0, 2.0] && got[3].is_nan());
        assert_eq!(x.to_vec1::<f32>().unwrap()[0], -1.0);
        let gradient = Tensor::new(&[5f32, 6.0, -7.0, 8.0], &Device::Cpu).unwrap();
        relu_backward(&gradient, &relu(&x).unwrap()).unwrap();
        assert_eq!(gradient.to_vec1::<f32>().unwrap(), [0.0, 0.0, -7.0, 0.0]);
    }

    #[test]
    fn the_bits_do_not_depend_on_threads() {
        let x =
            Tensor::from_vec(crate::product::tests::random::<f32>(1, 50_000), 50_000, &Device::Cpu).unwrap();
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let slope = x.ones_like().unwrap();
                gelu_backward(&slope, &x).unwrap();
                (gelu(&x).unwrap().to_vec1::<f32>().unwrap(), slope.to_vec1::<f32>().unwrap())
            })
        };
        assert!(of(1) == of(2) && of(1) == of(4));
    }
}
