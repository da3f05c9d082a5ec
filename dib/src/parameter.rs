//! Parameters, side by side in one tensor, so that one operation steps them all.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Where parameters start: multiples of a cache line of f32.
const ALIGNMENT: usize = 16;

/// One parameter tensor of a network. All four tensors are views that change with the network; copy what must not.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// `<network>/<layer>.<parameter>`, such as `encoder-0-fft/block1.w1`.
    pub name: String,
    /// The parameter itself. Weights are [in, out].
    pub value: Tensor,
    /// The gradient so far.
    pub gradient: Tensor,
    /// AdamW's first moment.
    pub first_moment: Tensor,
    /// AdamW's second moment.
    pub second_moment: Tensor,
}

/// Lays parameters out.
pub(crate) struct Layout {
    names_and_shapes: Vec<(String, Vec<usize>)>,
}

impl Layout {
    pub(crate) fn new() -> Self {
        Layout { names_and_shapes: Vec::new() }
    }

    /// One more parameter; its index.
    pub(crate) fn add(&mut self, name: String, shape: &[usize]) -> usize {
        self.names_and_shapes.push((name, shape.to_vec()));
        self.names_and_shapes.len() - 1
    }

    /// Memory for all, zero: the state, [4, total] with value, gradient and both moments as rows, and its views.
    pub(crate) fn allocate(self, dtype: DType, device: &Device) -> Result<(Tensor, Vec<Parameter>)> {
        let sizes: Vec<usize> =
            self.names_and_shapes.iter().map(|(_, shape)| shape.iter().product()).collect();
        let total = sizes.iter().map(|size| size.next_multiple_of(ALIGNMENT)).sum();
        let state = Tensor::zeros((4, total), dtype, device)?;
        let mut start = 0;
        let mut parameters = Vec::new();
        for ((name, shape), size) in self.names_and_shapes.into_iter().zip(sizes) {
            let view = |row| state.get(row)?.narrow(0, start, size)?.reshape(shape.as_slice());
            parameters.push(Parameter {
                name,
                value: view(0)?,
                gradient: view(1)?,
                first_moment: view(2)?,
                second_moment: view(3)?,
            });
            start += size.next_multiple_of(ALIGNMENT);
        }
        Ok((state, parameters))
    }
}
