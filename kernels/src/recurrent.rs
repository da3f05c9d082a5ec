//! Gated recurrent units and long short-term memory over whole sequences, forward and back through time, with PyTorch's
//! equations and its order of gates.
//!
//! Sequences are [rows, time, ...], so that the steps of a row, and the rows of a gradient block, are contiguous. The
//! input's contribution to the gates is one product over all steps, which the caller computes; this module does what
//! depends on the previous step: one product of all rows with the weights of the state, [n, gates * n], and the cells.
//! With W the state's weights and c their bias, a cell takes a = x V + b of the input and s = h W + c of the previous
//! state h, which begins with 0.
//!
//! | cell | gates | step |
//! | --- | --- | --- |
//! | GRU | r, z, n | r = sigmoid(a + s), z = sigmoid(a + s), n = tanh(a + r s), h' = (1 - z) n + z h |
//! | LSTM | i, f, g, o | i, f, o = sigmoid(a + s), g = tanh(a + s), c' = f c + i g, h' = o tanh(c') |
//!
//! (ONNX orders GRU's gates z, r, n, and calls this form of n `linear_before_reset`; it orders LSTM's i, o, f, g.)

use candle_core::{Result, Shape, Tensor, bail};

use crate::Real;
use crate::access::{for_dtype, read};
use crate::lanes::vectorise;
use crate::operation::{Apply3, Cpu, Made, Operation};
use crate::product::{Matrix, multiply_into};
use crate::threads::for_rows;

mod gru;
mod lstm;

/// The kind of recurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A gated recurrent unit.
    Gru,
    /// Long short-term memory.
    Lstm,
}

impl Cell {
    /// The number of gates: the weights of input and state are this many times as wide as the state.
    pub fn gates(self) -> usize {
        match self {
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// The number of vectors of the state's width that [`unroll`] stores for each step.
    pub fn kept(self) -> usize {
        match self {
            Cell::Gru => gru::KEPT,
            Cell::Lstm => lstm::KEPT,
        }
    }

    /// The number of gradients for a step: with r between input and state, theirs differ.
    fn sides(self) -> usize {
        match self {
            Cell::Gru => 2,
            Cell::Lstm => 1,
        }
    }
}

/// Runs through the sequences: `inputs` [rows, time, gates * n] is the input's contribution to the gates, `weight` [n,
/// gates * n] and `bias` [gates * n] are the state's. Returns the input of [`states`] and [`unroll_gradient`].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn unroll(cell: Cell, inputs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    inputs.apply_op3_no_bwd(weight, bias, &Operation(Forward { cell }))
}

/// The states after every step, [rows, time, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn states(cell: Cell, unrolled: &Tensor) -> Result<Tensor> {
    let width = unrolled.dim(2)? / cell.kept();
    unrolled.narrow(2, (cell.kept() - 1) * width, width)?.contiguous()
}

/// The gradients with respect to the contributions of input and state to the gates, each [rows * time, gates * n],
/// given `upstream` [rows, time, n], that with respect to the states after every step.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn unroll_gradient(
    cell: Cell,
    unrolled: &Tensor,
    upstream: &Tensor,
    weight: &Tensor,
) -> Result<[Tensor; 2]> {
    let sides = unrolled.apply_op3_no_bwd(upstream, weight, &Operation(Backward { cell }))?;
    Ok([sides.get(0)?, sides.get(cell.sides() - 1)?])
}

struct Forward {
    cell: Cell,
}

struct Backward {
    cell: Cell,
}

impl Apply3 for Forward {
    fn name(&self) -> &'static str {
        "unroll"
    }

    fn on_cpu(
        &self,
        (inputs, inputs_layout): Cpu<'_>,
        (weight, weight_layout): Cpu<'_>,
        (bias, bias_layout): Cpu<'_>,
    ) -> Result<Made> {
        let (rows, time, gated) = inputs_layout.shape().dims3()?;
        let (width, wide) = weight_layout.shape().dims2()?;
        if [gated, wide] != [self.cell.gates() * width; 2] || bias_layout.shape().dims() != [gated] {
            bail!("unroll: gates of {gated}, weights of {width} x {wide} and the bias do not fit");
        }
        let sizes = Sizes { rows, time, width };
        let (inputs, weight, bias) = ((inputs, inputs_layout), (weight, weight_layout), (bias, bias_layout));
        for_dtype!(inputs.0, "unroll", forward(self.cell, sizes, inputs, weight, bias))
    }
}

impl Apply3 for Backward {
    fn name(&self) -> &'static str {
        "unroll-gradient"
    }

    fn on_cpu(
        &self,
        (kept, kept_layout): Cpu<'_>,
        (upstream, upstream_layout): Cpu<'_>,
        (weight, weight_layout): Cpu<'_>,
    ) -> Result<Made> {
        let (rows, time, width) = upstream_layout.shape().dims3()?;
        let fits = kept_layout.shape().dims() == [rows, time, self.cell.kept() * width]
            && weight_layout.shape().dims() == [width, self.cell.gates() * width];
        if !fits {
            bail!(
                "unroll-gradient: shapes {:?}, {:?} and {:?} do not fit",
                kept_layout.shape(),
                upstream_layout.shape(),
                weight_layout.shape()
            );
        }
        let sizes = Sizes { rows, time, width };
        let (kept, upstream, weight) =
            ((kept, kept_layout), (upstream, upstream_layout), (weight, weight_layout));
        for_dtype!(kept.0, "unroll-gradient", backward(self.cell, sizes, kept, upstream, weight))
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    time: usize,
    width: usize,
}

impl Sizes {
    /// One step of sequences with `vectors` vectors in each step, as a matrix of which the first `columns` columns are
    /// used.
    fn step<T: Copy>(self, sequences: &[T], vectors: usize, step: usize, columns: usize) -> Matrix<'_, T> {
        let line = vectors * self.width;
        let start = (step * line).min(sequences.len());
        Matrix {
            values: &sequences[start..],
            rows: self.rows,
            columns,
            row_stride: self.time * line,
            column_stride: 1,
        }
    }
}

fn forward<T: Real>(
    cell: Cell,
    sizes: Sizes,
    inputs: Cpu<'_>,
    weight: Cpu<'_>,
    bias: Cpu<'_>,
) -> Result<Made> {
    let (inputs, weight) = (read::<T>(inputs.0, inputs.1)?, read::<T>(weight.0, weight.1)?);
    let bias = read::<T>(bias.0, bias.1)?;
    let Sizes { rows, time, width } = sizes;
    let (gated, line) = (cell.gates() * width, cell.kept() * width);
    let weight = Matrix::new(weight, width, gated);
    let mut kept = vec![T::ZERO; rows * time * line];
    let mut from_state = vec![T::ZERO; rows * gated];
    for step in 0..time {
        if gated > 0 {
            from_state.chunks_exact_mut(gated).for_each(|row| row.copy_from_slice(bias));
        }
        if step > 0 {
            // The new state is the last vector stored for a step.
            let last = line - width;
            let states = kept.get(last..).unwrap_or_default();
            let before = sizes.step(states, cell.kept(), step - 1, width);
            multiply_into(&mut from_state, before, weight, true);
        }
        for_rows(&mut kept, time * line, |first, sequences| {
            vectorise(
                #[inline(always)]
                || {
                    for (row, sequence) in (first..).zip(sequences.chunks_exact_mut(time * line)) {
                        let from_input = &inputs[(row * time + step) * gated..][..gated];
                        let from_state = &from_state[row * gated..][..gated];
                        let (past, now) = sequence.split_at_mut(step * line);
                        let (before, now) = (past.len().checked_sub(line), &mut now[..line]);
                        let before = before.map(|start| &past[start..]);
                        match cell {
                            Cell::Gru => gru::forward(from_input, from_state, before, now, width),
                            Cell::Lstm => lstm::forward(from_input, from_state, before, now, width),
                        }
                    }
                },
            );
        });
    }
    Ok((T::to_cpu_storage_owned(kept), Shape::from((rows, time, line))))
}

fn backward<T: Real>(
    cell: Cell,
    sizes: Sizes,
    kept: Cpu<'_>,
    upstream: Cpu<'_>,
    weight: Cpu<'_>,
) -> Result<Made> {
    let (kept, upstream) = (read::<T>(kept.0, kept.1)?, read::<T>(upstream.0, upstream.1)?);
    let weight = read::<T>(weight.0, weight.1)?;
    let Sizes { rows, time, width } = sizes;
    let (gated, line) = (cell.gates() * width, cell.kept() * width);
    // Transposed once, not at every step.
    let weight = transposed(weight, width, gated);
    let weight = Matrix::new(&weight, gated, width);
    let side = rows * time * gated;
    let mut out = vec![T::ZERO; cell.sides() * side];
    // The gradients passed to the previous step: with respect to the state and, for the LSTM, its memory.
    let (mut state, mut memory) = (vec![T::ZERO; rows * width], vec![T::ZERO; rows * width]);
    for step in (0..time).rev() {
        vectorise(
            #[inline(always)]
            || {
                for row in 0..rows {
                    let place = row * time + step;
                    let before = (step > 0).then(|| &kept[(place - 1) * line..][..line]);
                    let now = &kept[place * line..][..line];
                    let upstream = &upstream[place * width..][..width];
                    let state = &mut state[row * width..][..width];
                    let memory = &mut memory[row * width..][..width];
                    let (first, last) = out.split_at_mut((cell.sides() - 1) * side);
                    let last = &mut last[place * gated..][..gated];
                    match cell {
                        Cell::Gru => {
                            let first = &mut first[place * gated..][..gated];
                            gru::backward(upstream, before, now, state, first, last, width);
                        }
                        Cell::Lstm => lstm::backward(upstream, before, now, (state, memory), last, width),
                    }
                }
            },
        );
        if step > 0 {
            let at_gates = sizes.step(&out[(cell.sides() - 1) * side..], cell.gates(), step, gated);
            multiply_into(&mut state, at_gates, weight, true);
        }
    }
    Ok((T::to_cpu_storage_owned(out), Shape::from((cell.sides(), rows * time, gated))))
}

/// target = combine(target, a), elementwise. In this form, as in the next two, the compiler vectorises.
#[inline(always)]
fn combine<T: Real>(target: &mut [T], a: &[T], combine: impl Fn(T, T) -> T) {
    for (target, &a) in target.iter_mut().zip(a) {
        *target = combine(*target, a);
    }
}

/// target = combine(target, a, b).
#[inline(always)]
fn combine_2<T: Real>(target: &mut [T], a: &[T], b: &[T], combine: impl Fn(T, T, T) -> T) {
    for ((target, &a), &b) in target.iter_mut().zip(a).zip(b) {
        *target = combine(*target, a, b);
    }
}

/// target = combine(target, a, b, c).
#[inline(always)]
fn combine_3<T: Real>(target: &mut [T], a: &[T], b: &[T], c: &[T], combine: impl Fn(T, T, T, T) -> T) {
    for (((target, &a), &b), &c) in target.iter_mut().zip(a).zip(b).zip(c) {
        *target = combine(*target, a, b, c);
    }
}

#[inline(always)]
fn sigmoid_all<T: Real>(values: &mut [T]) {
    for value in values {
        *value = T::sigmoid(*value);
    }
}

#[inline(always)]
fn tanh_all<T: Real>(values: &mut [T]) {
    for value in values {
        *value = T::tanh(*value);
    }
}

fn transposed<T: Real>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len());
    vectorise(
        #[inline(always)]
        || crate::transpose::transpose_into(&mut out, values, columns, columns, rows),
    );
    out
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        for (cell, gates, kept) in [(Cell::Gru, 3, 5), (Cell::Lstm, 4, 6)] {
            let (inputs, weight, bias) =
                (zeros(&[2, 7, gates * 5]), zeros(&[5, gates * 5]), zeros(&[gates * 5]));
            let unrolled = unroll(cell, &inputs, &weight, &bias).unwrap();
            assert_eq!(unrolled.dims(), [2, 7, kept * 5]);
            assert_eq!(states(cell, &unrolled).unwrap().dims(), [2, 7, 5]);
            let sides = unroll_gradient(cell, &unrolled, &zeros(&[2, 7, 5]), &weight).unwrap();
            assert!(sides.iter().all(|side| side.dims() == [14, gates * 5]));

            assert!(unroll(cell, &zeros(&[2, 7, 5]), &weight, &bias).is_err());
            assert!(unroll(cell, &inputs, &zeros(&[6, gates * 5]), &bias).is_err());
            assert!(unroll(cell, &inputs, &weight, &zeros(&[5])).is_err());
            assert!(unroll_gradient(cell, &unrolled, &zeros(&[2, 6, 5]), &weight).is_err());
            assert!(unroll_gradient(cell, &inputs, &zeros(&[2, 7, 5]), &weight).is_err());
        }
    }
}
