//! The input of a network, in a form that saves its first layer from treating it as one dense matrix.

use candle_core::Tensor;
use kernels::elementwise::add;
use kernels::product::{DEPTH, Transpose, accumulate_product, product};
pub use kernels::segments::Segment;
use kernels::segments::{collect, spread};

use super::gradient::{self, Blocks};
use crate::Result;

/// The rows of a network's input.
#[derive(Clone, Debug)]
pub enum Input {
    /// [rows, inputs].
    Dense(Tensor),
    /// Blocks of values side by side and below each other, with zeros between them. A block's linear map is computed
    /// once, even if its rows occur in several rows of the input, and zeros cost nothing.
    Blocks {
        /// The number of rows of the input.
        rows: usize,
        /// The blocks, in the order in which they are summed.
        blocks: Vec<Block>,
    },
}

/// Values that occur in some rows and some consecutive columns of an input.
#[derive(Clone, Debug)]
pub struct Block {
    /// [n, columns].
    pub values: Tensor,
    /// The first column of the input that they occupy.
    pub column: usize,
    /// Which of the n rows occur in which rows of the input; ordered by target, without overlap. No segment may
    /// straddle gradient blocks.
    pub segments: Vec<Segment>,
    /// Whether the gradient with respect to the values is needed.
    pub learns: bool,
}

impl Block {
    /// Values whose row i is in row i of the input.
    ///
    /// # Errors
    ///
    /// If the values are not a matrix.
    pub fn whole(values: Tensor, column: usize, learns: bool) -> Result<Self> {
        let rows = values.dim(0)?;
        let segments = vec![Segment { source: 0, target: 0, rows, repeat: false }];
        Ok(Block { values, column, segments, learns })
    }

    /// The rows of `weight` for its columns.
    fn weight(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(weight.narrow(0, self.column, self.values.dim(1)?)?)
    }

    /// Its columns of the dense input: a view on a GPU, whose operations take one, a copy on the CPU.
    fn columns(&self, dense: &Tensor) -> Result<Tensor> {
        let columns = dense.narrow(1, self.column, self.values.dim(1)?)?;
        Ok(if dense.device().is_cpu() { columns.contiguous()? } else { columns })
    }

    /// Adds its rows to their rows of the whole input.
    fn spread_into(&self, dense: &Tensor) -> Result<()> {
        if !dense.device().is_cpu() {
            return Ok(spread(&self.columns(dense)?, &self.values, &self.segments)?);
        }
        let right = dense.dim(1)? - self.column - self.values.dim(1)?;
        let wide = self.values.pad_with_zeros(1, self.column, right)?;
        Ok(spread(dense, &wide, &self.segments)?)
    }

    /// Whether row i of it is in row i of the input.
    fn is_whole(&self, rows: usize) -> bool {
        matches!(self.segments[..], [Segment { source: 0, target: 0, rows: all, repeat: false }] if all == rows)
            && self.values.dims()[0] == rows
    }

    /// The gradient with respect to its rows, [n, width], summed over their positions, given that of all rows of the
    /// input.
    fn collected(&self, upstream: &Tensor) -> Result<Tensor> {
        let (rows, width) = upstream.dims2()?;
        if self.is_whole(rows) {
            return Ok(upstream.clone());
        }
        let sum = Tensor::zeros((self.values.dim(0)?, width), upstream.dtype(), upstream.device())?;
        collect(&sum, upstream, &self.segments)?;
        Ok(sum)
    }

    /// Adds the weight gradient of the input's rows `start..start + rows`, which is computed separately first.
    fn add_weight_gradient(
        &self,
        gradient: &Tensor,
        upstream: &Tensor,
        start: usize,
        rows: usize,
    ) -> Result<()> {
        let gradient = self.weight(gradient)?;
        if self.is_whole(upstream.dim(0)?) {
            let (values, upstream) = (self.values.narrow(0, start, rows)?, upstream.narrow(0, start, rows)?);
            return Ok(accumulate_product(&gradient, &values, &upstream, Transpose::Left)?);
        }
        let inside = |segment: &&Segment| (start..start + rows).contains(&segment.target);
        let segments: Vec<Segment> = self.segments.iter().filter(inside).copied().collect();
        let Some(first) = segments.iter().map(|segment| segment.source).min() else { return Ok(()) };
        let end =
            segments.iter().map(|segment| segment.source + segment.source_rows()).max().unwrap_or(first);
        let moved: Vec<Segment> =
            segments.iter().map(|segment| Segment { source: segment.source - first, ..*segment }).collect();
        let sum = Tensor::zeros((end - first, upstream.dim(1)?), upstream.dtype(), upstream.device())?;
        collect(&sum, upstream, &moved)?;
        let values = self.values.narrow(0, first, end - first)?;
        Ok(accumulate_product(&gradient, &values, &sum, Transpose::Left)?)
    }
}

impl Input {
    /// The number of rows.
    ///
    /// # Errors
    ///
    /// If the values are not a matrix.
    pub fn rows(&self) -> Result<usize> {
        match self {
            Input::Dense(x) => Ok(x.dim(0)?),
            Input::Blocks { rows, .. } => Ok(*rows),
        }
    }

    /// The whole input as one matrix of `inputs` columns, of the type and device of `like`. This is faster on a GPU,
    /// where a launch costs more than the products that blocks save.
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or the device fails.
    pub fn matrix(&self, inputs: usize, like: &Tensor) -> Result<Tensor> {
        match self {
            Input::Dense(x) => Ok(x.clone()),
            Input::Blocks { rows, blocks } => {
                let dense = Tensor::zeros((*rows, inputs), like.dtype(), like.device())?;
                for block in blocks {
                    block.spread_into(&dense)?;
                }
                Ok(dense)
            }
        }
    }

    /// The gradients of the blocks that learn, given that with respect to [`Input::matrix`].
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or the device fails.
    pub fn of_blocks(&self, dense: &Tensor) -> Result<Vec<Tensor>> {
        match self {
            Input::Dense(_) => Ok(vec![dense.clone()]),
            Input::Blocks { blocks, .. } => blocks
                .iter()
                .filter(|block| block.learns)
                .map(|block| {
                    let sum = block.values.zeros_like()?;
                    collect(&sum, &block.columns(dense)?, &block.segments)?;
                    Ok(sum)
                })
                .collect(),
        }
    }

    /// The input times `weight`, [rows, width].
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or the device fails.
    pub fn product(&self, weight: &Tensor) -> Result<Tensor> {
        match self {
            Input::Dense(x) => Ok(product(x, weight, Transpose::Neither)?),
            Input::Blocks { rows, blocks } => {
                let (out, others) = match blocks.split_first() {
                    Some((first, others)) if first.is_whole(*rows) => {
                        (product(&first.values, &first.weight(weight)?, Transpose::Neither)?, others)
                    }
                    _ => {
                        let zeros = Tensor::zeros((*rows, weight.dim(1)?), weight.dtype(), weight.device())?;
                        (zeros, blocks.as_slice())
                    }
                };
                accumulate_blocks(&out, weight, *rows, others)?;
                Ok(out)
            }
        }
    }

    /// Adds the input times `weight` to `out`.
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or the device fails.
    pub fn accumulate_product(&self, out: &Tensor, weight: &Tensor) -> Result<()> {
        match self {
            Input::Dense(x) => Ok(accumulate_product(out, x, weight, Transpose::Neither)?),
            Input::Blocks { rows, blocks } => accumulate_blocks(out, weight, *rows, blocks),
        }
    }

    /// Adds the input itself to `out`, which has the same width.
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or the device fails.
    pub fn add_to(&self, out: &Tensor) -> Result<()> {
        match self {
            Input::Dense(x) => add(out, x)?,
            Input::Blocks { blocks, .. } => blocks.iter().try_for_each(|block| block.spread_into(out))?,
        }
        Ok(())
    }

    /// Adds the gradient of the weights, block by block.
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or the device fails.
    pub fn add_weight_gradient(
        &self,
        gradient: &Tensor,
        upstream: &Tensor,
        gradient_blocks: Blocks<'_>,
    ) -> Result<()> {
        match self {
            Input::Dense(x) => gradient::add_weight_gradient(gradient, x, upstream, gradient_blocks),
            Input::Blocks { blocks, .. } => {
                gradient_blocks.clear_first(gradient)?;
                gradient_blocks.each(|_, start, rows| {
                    blocks
                        .iter()
                        .try_for_each(|block| block.add_weight_gradient(gradient, upstream, start, rows))
                })
            }
        }
    }

    /// The gradients with respect to the values (of the dense matrix, or of each block that learns), given those with
    /// respect to the input's product with `weight` and its product with `shortcut`, or with respect to the input
    /// itself if there is no shortcut.
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or the device fails.
    pub fn gradients(
        &self,
        (hidden, weight): (&Tensor, &Tensor),
        (direct, shortcut): (&Tensor, Option<&Tensor>),
    ) -> Result<Vec<Tensor>> {
        match self {
            Input::Dense(_) => {
                let gradient = product(hidden, weight, Transpose::Right)?;
                match shortcut {
                    Some(shortcut) => accumulate_product(&gradient, direct, shortcut, Transpose::Right)?,
                    None => add(&gradient, direct)?,
                }
                Ok(vec![gradient])
            }
            Input::Blocks { blocks, .. } => blocks
                .iter()
                .filter(|block| block.learns)
                .map(|block| {
                    // A row at several positions sums their gradients before the product.
                    let weight = block.weight(weight)?;
                    let gradient = product(&block.collected(hidden)?, &weight, Transpose::Right)?;
                    let direct = block.collected(direct)?;
                    match shortcut {
                        Some(shortcut) => {
                            accumulate_product(
                                &gradient,
                                &direct,
                                &block.weight(shortcut)?,
                                Transpose::Right,
                            )?;
                        }
                        None => {
                            let own = direct.narrow(1, block.column, gradient.dim(1)?)?;
                            add(&gradient, &own.contiguous()?)?;
                        }
                    }
                    Ok(gradient)
                })
                .collect(),
        }
    }
}

/// Adds the products of the blocks of an input with `rows` rows to `out`, block by block.
fn accumulate_blocks(out: &Tensor, weight: &Tensor, rows: usize, blocks: &[Block]) -> Result<()> {
    for block in blocks {
        let weight = block.weight(weight)?;
        // Both ways give the same bits, up to the depth at which a product is summed in pieces.
        if block.is_whole(rows) && block.values.dim(1)? <= DEPTH {
            accumulate_product(out, &block.values, &weight, Transpose::Neither)?;
        } else {
            let mapped = product(&block.values, &weight, Transpose::Neither)?;
            spread(out, &mapped, &block.segments)?;
        }
    }
    Ok(())
}
