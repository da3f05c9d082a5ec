//! Biases, ReLU, column sums, and other single passes over memory.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read, write};
use crate::lanes::{sum_of, vectorise};
use crate::operation::{Cpu, CpuMut, Operation, Update1, Update2};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, GpuMut};

/// values += bias for every row, in place: values [rows, n], bias \[n\].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn add_bias(values: &Tensor, bias: &Tensor) -> Result<()> {
    values.inplace_op2(bias, &Operation(Update::AddBias))
}

/// values = relu(values + bias) for every row, in place: values [rows, n], bias \[n\]. NaN stays NaN.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn add_bias_relu(values: &Tensor, bias: &Tensor) -> Result<()> {
    values.inplace_op2(bias, &Operation(Update::AddBiasRelu))
}

/// gradient = 0 where the ReLU's output was not positive, in place; shapes are equal.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn mask_relu(gradient: &Tensor, output: &Tensor) -> Result<()> {
    gradient.inplace_op2(output, &Operation(Update::MaskRelu))
}

/// sums += the sum over the rows, which is computed separately first: sums \[n\], values [rows, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn accumulate_rows(sums: &Tensor, values: &Tensor) -> Result<()> {
    sums.inplace_op2(values, &Operation(Update::AccumulateRows))
}

/// target += source; shapes are equal.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn add(target: &Tensor, source: &Tensor) -> Result<()> {
    target.inplace_op2(source, &Operation(Update::Add))
}

/// target = source; shapes are equal.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn assign(target: &Tensor, source: &Tensor) -> Result<()> {
    target.inplace_op2(source, &Operation(Update::Assign))
}

/// values = 0.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn clear(values: &Tensor) -> Result<()> {
    values.inplace_op1(&Operation(Clear))
}

/// Scales values whose norm is above `norm` down to it, as torch's clip_grad_norm_ does: by norm / (root of the sum of
/// their squares, in f64, + 1e-6).
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn clip(values: &Tensor, norm: f64) -> Result<()> {
    values.inplace_op1(&Operation(Clip { norm }))
}

/// The effect of an operand on the tensor that is updated.
pub(crate) enum Update {
    AddBias,
    AddBiasRelu,
    MaskRelu,
    AccumulateRows,
    Add,
    Assign,
}

impl Update2 for Update {
    fn name(&self) -> &'static str {
        match self {
            Update::AddBias => "add-bias",
            Update::AddBiasRelu => "add-bias-relu",
            Update::MaskRelu => "mask-relu",
            Update::AccumulateRows => "accumulate-rows",
            Update::Add => "add",
            Update::Assign => "assign",
        }
    }

    fn on_cpu(&self, (target, target_layout): CpuMut<'_>, (source, source_layout): Cpu<'_>) -> Result<()> {
        self.check(target_layout.shape().dims(), source_layout.shape().dims())?;
        for_dtype!(source, self.name(), update(self, (target, target_layout), (source, source_layout)))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (target, target_layout): GpuMut<'_>, (source, source_layout): Gpu<'_>) -> Result<()> {
        self.check(target_layout.shape().dims(), source_layout.shape().dims())?;
        let (target, from) = ((target, target_layout), (source, source_layout));
        for_cuda_dtype!(source, self.name(), crate::cuda::elementwise::update(self, target, from))
    }
}

impl Update {
    fn check(&self, target: &[usize], source: &[usize]) -> Result<()> {
        let fits = match (self, target, source) {
            (Update::AddBias | Update::AddBiasRelu, &[_, width], &[bias]) => width == bias,
            (Update::AccumulateRows, &[sums], &[_, width]) => sums == width,
            (Update::MaskRelu | Update::Add | Update::Assign, target, source) => target == source,
            _ => false,
        };
        if !fits {
            bail!("{}: shapes {target:?} and {source:?} do not fit", self.name());
        }
        Ok(())
    }
}

fn update<T: Real>(
    kind: &Update,
    (target, target_layout): CpuMut<'_>,
    (source, source_layout): Cpu<'_>,
) -> Result<()> {
    let target = write::<T>(target, target_layout)?;
    let source = read::<T>(source, source_layout)?;
    if source.is_empty() || target.is_empty() {
        return Ok(());
    }
    match kind {
        Update::AddBias => vectorise(
            #[inline(always)]
            || by_row(target, source, |value, bias| value + bias),
        ),
        Update::AddBiasRelu => {
            vectorise(
                #[inline(always)]
                || by_row(target, source, |value, bias| T::ZERO.larger(value + bias)),
            );
        }
        Update::MaskRelu => {
            let mask = |gradient, output| if output > T::ZERO { gradient } else { T::ZERO };
            vectorise(
                #[inline(always)]
                || by_element(target, source, mask),
            );
        }
        Update::Add => vectorise(
            #[inline(always)]
            || by_element(target, source, |left, right| left + right),
        ),
        Update::Assign => target.copy_from_slice(source),
        Update::AccumulateRows => vectorise(
            #[inline(always)]
            || sum_rows(target, source),
        ),
    }
    Ok(())
}

#[inline(always)]
fn by_element<T: Real>(target: &mut [T], source: &[T], combine: impl Fn(T, T) -> T) {
    for (value, &other) in target.iter_mut().zip(source) {
        *value = combine(*value, other);
    }
}

#[inline(always)]
fn by_row<T: Real>(target: &mut [T], row: &[T], combine: impl Fn(T, T) -> T) {
    for values in target.chunks_exact_mut(row.len()) {
        by_element(values, row, &combine);
    }
}

#[inline(always)]
fn sum_rows<T: Real>(sums: &mut [T], values: &[T]) {
    let mut block = vec![T::ZERO; sums.len()];
    for row in values.chunks_exact(sums.len()) {
        by_element(&mut block, row, |sum, value| sum + value);
    }
    by_element(sums, &block, |sum, value| sum + value);
}

struct Clear;

impl Update1 for Clear {
    fn name(&self) -> &'static str {
        "clear"
    }

    fn on_cpu(&self, (values, layout): CpuMut<'_>) -> Result<()> {
        for_dtype!(values, "clear", clear_all(values, layout))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (values, layout): GpuMut<'_>) -> Result<()> {
        for_cuda_dtype!(values, "clear", crate::cuda::elementwise::clear_all(values, layout))
    }
}

fn clear_all<T: Real>(values: &mut CpuStorage, layout: &Layout) -> Result<()> {
    write::<T>(values, layout)?.fill(T::ZERO);
    Ok(())
}

struct Clip {
    norm: f64,
}

impl Update1 for Clip {
    fn name(&self) -> &'static str {
        "clip"
    }

    fn on_cpu(&self, (values, layout): CpuMut<'_>) -> Result<()> {
        for_dtype!(values, "clip", clip_all(values, layout, self.norm))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (values, layout): GpuMut<'_>) -> Result<()> {
        for_cuda_dtype!(values, "clip", crate::cuda::elementwise::clip(values, layout, self.norm))
    }
}

fn clip_all<T: Real>(values: &mut CpuStorage, layout: &Layout, norm: f64) -> Result<()> {
    let values = write::<T>(values, layout)?;
    let factor = norm / (sum_of_squares(values).sqrt() + 1e-6);
    if factor < 1.0 {
        let factor = T::from_f64(factor);
        vectorise(
            #[inline(always)]
            || {
                for value in values.iter_mut() {
                    *value *= factor;
                }
            },
        );
    }
    Ok(())
}

fn sum_of_squares<T: Real>(values: &[T]) -> f64 {
    /// Short enough for f32 sums; the pieces are added in f64.
    const PIECE: usize = 1024;
    vectorise(
        #[inline(always)]
        || values.chunks(PIECE).map(|piece| sum_of(piece, |value| value * value).to_f64()).sum(),
    )
}
