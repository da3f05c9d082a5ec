//! Parameters, stored side by side in one tensor, so that one operation steps them all.

use candle_core::{DType, Device, Tensor};
use randomness::Stream;

use crate::Result;

/// Alignment of parameters: a cache line of f32.
const ALIGNMENT: usize = 16;

/// One parameter tensor of a network. All four tensors are views that change with the network; copy them to keep
/// values.
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

/// Names and shapes of a module's parameters, in a fixed order.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    names_and_shapes: Vec<(String, Vec<usize>)>,
}

impl Layout {
    /// Adds a parameter with a name within the network, such as `block1.w1`; returns its index.
    pub fn add(&mut self, name: String, shape: &[usize]) -> usize {
        self.names_and_shapes.push((name, shape.to_vec()));
        self.names_and_shapes.len() - 1
    }

    /// The parameters so far.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[usize])> {
        self.names_and_shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()))
    }

    /// Allocates zeroed memory for all parameters of a network of this name: the state, [4, total] with value, gradient
    /// and both moments as rows, and its views.
    pub(super) fn allocate(
        &self,
        network: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<(Tensor, Vec<Parameter>)> {
        let sizes: Vec<usize> = self.iter().map(|(_, shape)| shape.iter().product()).collect();
        let total = sizes.iter().map(|size| size.next_multiple_of(ALIGNMENT)).sum();
        let state = Tensor::zeros((4, total), dtype, device)?;
        let mut start = 0;
        let mut parameters = Vec::new();
        for ((name, shape), size) in self.iter().zip(sizes) {
            let view = |row| state.get(row)?.narrow(0, start, size)?.reshape(shape);
            parameters.push(Parameter {
                name: format!("{network}/{name}"),
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

/// Draws a weight [inputs, outputs] uniformly from +-sqrt(6 / (inputs + outputs)), row by row.
///
/// # Errors
/// If it is not a matrix, or the device fails.
pub fn draw_xavier(weight: &Tensor, stream: &mut Stream) -> Result<()> {
    let (inputs, outputs) = weight.dims2()?;
    draw_uniform(weight, libm::sqrt(6.0 / (inputs + outputs) as f64), stream)
}

/// Draws a parameter uniformly from +-bound, in its order.
///
/// # Errors
/// If the device fails.
pub fn draw_uniform(parameter: &Tensor, bound: f64, stream: &mut Stream) -> Result<()> {
    let drawn: Vec<f64> = (0..parameter.elem_count()).map(|_| stream.uniform_in(-bound, bound)).collect();
    let drawn = Tensor::from_vec(drawn, parameter.shape(), &Device::Cpu)?;
    let drawn = drawn.to_dtype(parameter.dtype())?.to_device(parameter.device())?;
    Ok(kernels::elementwise::assign(parameter, &drawn)?)
}
