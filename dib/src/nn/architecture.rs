//! Network architectures as plain data, which a scenario chooses from.

use super::kinds;
use super::misfit::Misfit;
use super::module::Module;

/// A network's kind, with its sizes. [`Architecture::build`] turns it into a [`Module`] for samples of a shape.
///
/// A sample's shape has one to three axes: a flat width; time steps x channels, or points x channels; or channels x
/// height x width. The described layers are followed by a linear layer to the outputs.
///
/// ```
/// use pom2dib_dib::nn::{Architecture, Layer};
///
/// let layers = vec![
///     Layer::Conv2d { channels: 8, kernel: [3, 3], stride: [1, 1], padding: [1, 1], groups: 1 },
///     Layer::Relu,
///     Layer::MaxPool { kernel: [2, 2], stride: [2, 2] },
///     Layer::Flatten,
/// ];
/// let architecture = Architecture::Sequential { layers };
/// let module = architecture.build(&[1, 28, 28], 48)?;
/// assert_eq!((module.inputs(), module.outputs()), (784, 48));
///
/// // A vector has no height and width.
/// let misfit = architecture.build(&[784], 48).err().unwrap();
/// assert_eq!(misfit.to_string(), "layer 1 (conv2d) got 784 and wants channels x height x width");
/// # Ok::<(), pom2dib_dib::nn::Misfit>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Architecture {
    /// Residual blocks of these sizes, each followed by layer normalisation: the paper's are 512 and 256. It takes the
    /// values of a sample in their order, for any shape.
    ResidualMlp {
        /// The sizes of the blocks, at least one.
        hidden: Vec<usize>,
    },
    /// A sequence of layers.
    Sequential {
        /// The layers; the first takes the sample.
        layers: Vec<Layer>,
    },
    /// A point cloud, points x channels: the same linear layers with ReLU for every point, then the maximum over the
    /// points. The order of the points does not matter. Of several equal maxima only the first gets the gradient.
    Points {
        /// The widths of the linear layers, at least one.
        hidden: Vec<usize>,
    },
    /// Gated recurrent units over time steps x channels; the output is the last step's state of the last layer.
    /// Equations, order of gates (r, z, n) and initial values are PyTorch's.
    Gru {
        /// The width of the state.
        hidden: usize,
        /// The number of stacked layers.
        layers: usize,
    },
    /// Long short-term memory over time steps x channels; the output is the last step's of the last layer. Equations,
    /// order of gates (i, f, g, o) and initial values are PyTorch's.
    Lstm {
        /// The width of the state.
        hidden: usize,
        /// The number of stacked layers.
        layers: usize,
    },
    /// A transformer encoder with pre-normalisation, over patches of an image or of a time series: a linear map of each
    /// patch plus a learned position, blocks of self-attention and a GELU network four times as wide, a final
    /// normalisation, and the mean over the patches.
    Attention {
        /// The number of blocks.
        blocks: usize,
        /// The number of heads in each; it divides the width.
        heads: usize,
        /// The width to which a patch is mapped.
        width: usize,
        /// Height and width of a patch, which divide those of the sample; for time steps or points only the first
        /// counts.
        patch: [usize; 2],
    },
    /// Feature-wise modulation, of a flat row of values h and conditions c: relu(h (1 + c G) + c B), value by value.
    Film {
        /// The number of values; all others are conditions.
        values: usize,
    },
}

/// A layer of [`Architecture::Sequential`]. Pairs of sizes are height and width; for time steps or points only the
/// first number of kernels and strides of pools counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A convolution over time steps x channels.
    Conv1d {
        /// Output channels.
        channels: usize,
        /// Window size in steps.
        kernel: usize,
        /// Stride in steps.
        stride: usize,
        /// Zero steps added before and after.
        padding: usize,
        /// Number of groups into which the channels are divided, each with its own weights.
        groups: usize,
    },
    /// A convolution over channels x height x width.
    Conv2d {
        /// Output channels.
        channels: usize,
        /// Height and width of the patch.
        kernel: [usize; 2],
        /// Stride down and right.
        stride: [usize; 2],
        /// Zero rows and columns added on each side.
        padding: [usize; 2],
        /// Number of groups into which the channels are divided, each with its own weights.
        groups: usize,
    },
    /// The maximum of a window, channel by channel. Of equal values only the first gets the gradient. Incomplete
    /// windows at the end are left out.
    MaxPool {
        /// The window.
        kernel: [usize; 2],
        /// Stride down and right.
        stride: [usize; 2],
    },
    /// The mean of a window, channel by channel. Incomplete windows at the end are left out.
    AvgPool {
        /// The window.
        kernel: [usize; 2],
        /// Stride down and right.
        stride: [usize; 2],
    },
    /// The mean over all positions of a sample, channel by channel.
    GlobalMean,
    /// A linear map with a bias: of a flat width, or of the channels of each time step or point.
    Linear {
        /// Output values.
        width: usize,
    },
    /// The maximum of a value and 0.
    Relu,
    /// x times the standard normal distribution function of x.
    Gelu,
    /// Normalises each position's channels (or a flat sample's values) to mean 0 and variance 1, times a gain, plus a
    /// bias.
    LayerNorm,
    /// Normalises each group of channels, over all positions of the sample, to mean 0 and variance 1; then a gain and a
    /// bias for each channel.
    GroupNorm {
        /// Number of groups.
        groups: usize,
    },
    /// In training, drops values with this probability and scales up the rest.
    Dropout {
        /// The probability, at least 0 and below 1.
        rate: f64,
    },
    /// Flattens a sample to one axis, in the order of its shape (channels, then height, then width).
    Flatten,
    /// The output of a list of layers plus their input. Where shapes differ, the input is mapped linearly, without a
    /// bias: at every position, with strides that give the same height and width (a 1 x 1 convolution).
    Residual(Vec<Layer>),
    /// Always refused: a sample's output would depend on other samples of its batch.
    BatchNorm,
}

/// One line of a network's description.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSummary {
    /// Its number, as in [`Misfit::layer`]; or the name of a part outside any list, such as `output`.
    pub number: String,
    /// Its kind and sizes, such as `conv2d 3 x 3`.
    pub kind: String,
    /// The output shape, outermost axis first.
    pub output: Vec<usize>,
    /// The number of its parameters.
    pub parameters: usize,
    /// Floating-point operations of the matrix products of one sample's forward pass.
    pub operations: f64,
    /// Values of a sample stored for the backward pass.
    pub kept: usize,
}

impl Architecture {
    /// A module from samples of this shape (outermost axis first, without the axis of samples) to `outputs` values.
    ///
    /// # Errors
    /// What does not fit. For any numbers, it neither panics nor allocates memory for the network.
    pub fn build(&self, shape: &[usize], outputs: usize) -> Result<Box<dyn Module>, Misfit> {
        Ok(kinds::build(self, shape, outputs)?.0)
    }

    /// What each layer does to a sample, the last linear one included.
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn describe(&self, shape: &[usize], outputs: usize) -> Result<Vec<LayerSummary>, Misfit> {
        Ok(kinds::build(self, shape, outputs)?.1)
    }

    /// The name of the kind in scenarios.
    pub fn kind(&self) -> &'static str {
        match self {
            Architecture::ResidualMlp { .. } => "residual-mlp",
            Architecture::Sequential { .. } => "sequential",
            Architecture::Points { .. } => "points",
            Architecture::Gru { .. } => "gru",
            Architecture::Lstm { .. } => "lstm",
            Architecture::Attention { .. } => "attention",
            Architecture::Film { .. } => "film",
        }
    }
}

impl Layer {
    /// The name of the kind in scenarios.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Conv1d { .. } => "conv1d",
            Layer::Conv2d { .. } => "conv2d",
            Layer::MaxPool { .. } => "max-pool",
            Layer::AvgPool { .. } => "avg-pool",
            Layer::GlobalMean => "global-mean",
            Layer::Linear { .. } => "linear",
            Layer::Relu => "relu",
            Layer::Gelu => "gelu",
            Layer::LayerNorm => "layer-norm",
            Layer::GroupNorm { .. } => "group-norm",
            Layer::Dropout { .. } => "dropout",
            Layer::Flatten => "flatten",
            Layer::Residual(_) => "residual",
            Layer::BatchNorm => "batch-norm",
        }
    }
}

impl Default for Architecture {
    /// The paper's network.
    fn default() -> Self {
        Architecture::ResidualMlp { hidden: vec![512, 256] }
    }
}
