//! What a network may be, as plain data: what a scenario chooses from.

use super::kinds;
use super::misfit::Misfit;
use super::module::Module;

/// A network's kind, with its sizes. [`Architecture::build`] makes it a [`Module`] for samples of a shape.
///
/// A sample's shape has one to three axes: a flat width; time steps x channels, or points x channels; or channels x height x
/// width. After what the kind describes, a linear layer maps to the outputs.
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
    /// Residual blocks of these sizes, each with a layer normalisation behind it: the paper's are 512 and 256. It takes the
    /// values of a sample in their order, whatever its shape.
    ResidualMlp {
        /// The sizes of the blocks, at least one.
        hidden: Vec<usize>,
    },
    /// Layers one behind the other.
    Sequential {
        /// The first is given the sample.
        layers: Vec<Layer>,
    },
    /// A point cloud, points x channels: the same linear layers with rectifiers for every point, then the maximum over the
    /// points. The order of the points does not matter. Of several largest points the first alone has the gradient.
    Points {
        /// The widths of the linear layers, at least one.
        hidden: Vec<usize>,
    },
    /// Gated recurrent units over time steps x channels; the last step's state of the last layer goes on. Equations, order of
    /// gates (r, z, n) and initial values are PyTorch's.
    Gru {
        /// The width of the state.
        hidden: usize,
        /// How many lie on top of each other.
        layers: usize,
    },
    /// Long short-term memory over time steps x channels; the last step's output of the last layer goes on. Equations, order of
    /// gates (i, f, g, o) and initial values are PyTorch's.
    Lstm {
        /// The width of the state.
        hidden: usize,
        /// How many lie on top of each other.
        layers: usize,
    },
    /// A transformer encoder with normalisation first, over patches of an image or of a time series: a linear map of each
    /// patch plus a learned position, blocks of self-attention and of a rectifier-like (GELU) network four times as wide, a
    /// last normalisation, and the mean over the patches.
    Attention {
        /// How many blocks.
        blocks: usize,
        /// How many heads each has; they divide the width.
        heads: usize,
        /// How many values a patch is mapped to.
        width: usize,
        /// Height and width of a patch, which divide those of the sample; of time steps or points the first alone counts.
        patch: [usize; 2],
    },
}

/// A layer of [`Architecture::Sequential`]. Sizes in two numbers are height and width; where time steps or points come, of
/// kernels and strides of pools the first alone counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A convolution over time steps x channels.
    Conv1d {
        /// How many channels come out.
        channels: usize,
        /// How many steps it sees at once.
        kernel: usize,
        /// How many steps it moves on.
        stride: usize,
        /// How many steps of zeros stand before and behind.
        padding: usize,
        /// Into how many groups the channels fall, each with maps of its own.
        groups: usize,
    },
    /// A convolution over channels x height x width.
    Conv2d {
        /// How many channels come out.
        channels: usize,
        /// How high and wide the patch is that it sees at once.
        kernel: [usize; 2],
        /// How far it moves on.
        stride: [usize; 2],
        /// How many lines of zeros stand around.
        padding: [usize; 2],
        /// Into how many groups the channels fall, each with maps of its own.
        groups: usize,
    },
    /// The largest value of a window, channel by channel. Of equal ones the first counts, alone. What no whole window covers
    /// at the end is left out.
    MaxPool {
        /// The window.
        kernel: [usize; 2],
        /// How far it moves on.
        stride: [usize; 2],
    },
    /// The mean of a window, channel by channel. What no whole window covers at the end is left out.
    AvgPool {
        /// The window.
        kernel: [usize; 2],
        /// How far it moves on.
        stride: [usize; 2],
    },
    /// The mean over all places of a sample, channel by channel.
    GlobalMean,
    /// A linear map with a bias: of a flat width, or of the channels of each time step or point.
    Linear {
        /// How many values come out.
        width: usize,
    },
    /// The larger of a value and 0.
    Relu,
    /// x times the standard normal distribution function of x.
    Gelu,
    /// Each place's channels (or a flat sample's values) to mean 0 and variance 1, times a gain, plus a bias.
    LayerNorm,
    /// Each group of channels, over all places of the sample, to mean 0 and variance 1; then a gain and a bias for each channel.
    GroupNorm {
        /// How many groups.
        groups: usize,
    },
    /// In training, drops values with this probability, and scales the others up.
    Dropout {
        /// The probability, from 0 up to, but not, 1.
        rate: f64,
    },
    /// All values of a sample as one flat width, in the order of its shape (channels, then height, then width).
    Flatten,
    /// The layers of a list, plus what goes into it. Where shapes differ, what goes in is mapped linearly, without a bias:
    /// place by place, at strides that give the same height and width (a 1 x 1 convolution).
    Residual(Vec<Layer>),
    /// Always refused: a sample's output would depend on the others of its batch.
    BatchNorm,
}

/// One line of a network's description.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSummary {
    /// Its number, as in [`Misfit::layer`]; or the name of a part that no list numbers, such as `output`.
    pub number: String,
    /// Its kind and sizes, such as `conv2d 3 x 3`.
    pub kind: String,
    /// The shape that comes out, outermost axis first.
    pub output: Vec<usize>,
    /// How many numbers it learns.
    pub parameters: usize,
    /// Floating-point operations of the matrix products of one sample's forward pass.
    pub operations: f64,
    /// How many values of a sample are kept for the backward pass.
    pub kept: usize,
}

impl Architecture {
    /// A module from samples of this shape (outermost axis first, without the axis of samples) to `outputs` values.
    ///
    /// # Errors
    /// What does not fit. Whatever the numbers, it neither panics nor asks for memory.
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

    /// The name of the kind, as scenarios have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Architecture::ResidualMlp { .. } => "residual-mlp",
            Architecture::Sequential { .. } => "sequential",
            Architecture::Points { .. } => "points",
            Architecture::Gru { .. } => "gru",
            Architecture::Lstm { .. } => "lstm",
            Architecture::Attention { .. } => "attention",
        }
    }
}

impl Layer {
    /// The name of its kind, as scenarios have it.
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
    /// The paper's.
    fn default() -> Self {
        Architecture::ResidualMlp { hidden: vec![512, 256] }
    }
}
