//! Biases, rectifiers, column sums, and other single passes over memory.

use candle_core::{CpuStorage, CustomOp1, InplaceOp1, InplaceOp2, Layout, Result, Shape, Tensor, bail};

use crate::Real;
use crate::access::{for_dtype, read, write};
use crate::lanes::{sum_of, vectorise};

/// values += bias for every row, in place: values [rows, n], bias \[n\].
pub fn add_bias(values: &Tensor, bias: &Tensor) -> Result<()> {
    values.inplace_op2(bias, &Update::AddBias)
}

/// values = relu(values + bias) for every row, in place: values [rows, n], bias \[n\]. What is not a number stays so.
pub fn add_bias_relu(values: &Tensor, bias: &Tensor) -> Result<()> {
    values.inplace_op2(bias, &Update::AddBiasRelu)
}

/// gradient = 0 where the rectifier's output was not positive, in place; shapes are equal.
pub fn mask_relu(gradient: &Tensor, output: &Tensor) -> Result<()> {
    gradient.inplace_op2(output, &Update::MaskRelu)
}

/// sums += the sum over the rows, which is computed by itself first: sums \[n\], values [rows, n].
pub fn accumulate_rows(sums: &Tensor, values: &Tensor) -> Result<()> {
    sums.inplace_op2(values, &Update::AccumulateRows)
}

/// target += source; shapes are equal.
pub fn add(target: &Tensor, source: &Tensor) -> Result<()> {
    target.inplace_op2(source, &Update::Add)
}

/// target = source; shapes are equal.
pub fn assign(target: &Tensor, source: &Tensor) -> Result<()> {
    target.inplace_op2(source, &Update::Assign)
}

/// values = 0, whatever they were.
pub fn clear(values: &Tensor) -> Result<()> {
    values.inplace_op1(&Clear)
}

/// values *= factor.
pub fn scale(values: &Tensor, factor: f64) -> Result<()> {
    values.inplace_op1(&Scale { factor })
}

/// The sum of squares, in f64.
pub fn sum_of_squares(values: &Tensor) -> Result<f64> {
    values.apply_op1_no_bwd(&SumOfSquares)?.to_scalar()
}

/// What an operand does to the tensor that is updated.
enum Update {
    AddBias,
    AddBiasRelu,
    MaskRelu,
    AccumulateRows,
    Add,
    Assign,
}

impl InplaceOp2 for Update {
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

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> Result<()> {
        self.check(target_layout.shape().dims(), source_layout.shape().dims())?;
        for_dtype!(source, self.name(), update(self, (target, target_layout), (source, source_layout)))
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
    (target, target_layout): (&mut CpuStorage, &Layout),
    (source, source_layout): (&CpuStorage, &Layout),
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

impl InplaceOp1 for Clear {
    fn name(&self) -> &'static str {
        "clear"
    }

    fn cpu_fwd(&self, values: &mut CpuStorage, layout: &Layout) -> Result<()> {
        for_dtype!(values, "clear", clear_all(values, layout))
    }
}

fn clear_all<T: Real>(values: &mut CpuStorage, layout: &Layout) -> Result<()> {
    write::<T>(values, layout)?.fill(T::ZERO);
    Ok(())
}

struct Scale {
    factor: f64,
}

impl InplaceOp1 for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn cpu_fwd(&self, values: &mut CpuStorage, layout: &Layout) -> Result<()> {
        for_dtype!(values, "scale", scale_all(values, layout, self.factor))
    }
}

fn scale_all<T: Real>(values: &mut CpuStorage, layout: &Layout, factor: f64) -> Result<()> {
    let values = write::<T>(values, layout)?;
    let factor = T::from_f64(factor);
    vectorise(
        #[inline(always)]
        || {
            for value in values.iter_mut() {
                *value *= factor;
            }
        },
    );
    Ok(())
}

struct SumOfSquares;

impl CustomOp1 for SumOfSquares {
    fn name(&self) -> &'static str {
        "sum-of-squares"
    }

    fn cpu_fwd(&self, values: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_dtype!(values, "sum-of-squares", squares(values, layout))
    }
}

fn squares<T: Real>(values: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    /// Short enough for f32 sums; the pieces are added in f64.
    const PIECE: usize = 1024;
    let values = read::<T>(values, layout)?;
    let total: f64 = vectorise(
        #[inline(always)]
        || values.chunks(PIECE).map(|piece| sum_of(piece, |value| value * value).to_f64()).sum(),
    );
    Ok((CpuStorage::F64(vec![total]), Shape::from(())))
}
