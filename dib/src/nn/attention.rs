//! A transformer encoder with pre-normalisation, over patches of an image or of a time series.

use std::any::Any;

use candle_core::Tensor;
use kernels::elementwise::{add_bias, assign};
use kernels::groups::{Summary as Of, summarise, summarise_gradient};
use kernels::layer_norm::layer_norm;
use randomness::Stream;

use super::builder::{Builder, Summary};
use super::encoder_block::{EncoderBlock, normalisation_backward};
use super::gradient::add_bias_gradient;
use super::kinds::Built;
use super::layer::Linear;
use super::misfit::Misfit;
use super::module::{Kept, Product, kept};
use super::parameter::{Layout, Parameter, draw_uniform, draw_xavier};
use super::shape::{self, Shape};
use super::stage::{Pass, Stage, Way};
use crate::Result;

const KIND: &str = "attention";

/// The sizes of [`Architecture::Attention`](super::Architecture).
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) blocks: usize,
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) patch: [usize; 2],
}

/// `patch`: a linear map of each patch, and a learned position. `blockN`: self-attention, and a GELU network four times
/// as wide, each with a normalisation before it and a residual connection. `norm`: a final normalisation, and the mean
/// over the patches. `output`: a linear layer.
pub(super) fn build(sizes: Sizes, axes: &[usize], outputs: usize) -> std::result::Result<Built, Misfit> {
    /// Upper limit on blocks: more are probably a typing error, and blocks are laid out one by one.
    const MOST_BLOCKS: usize = 64;
    let mut builder = Builder::new(KIND, axes)?;
    let patches = Patches::of(builder.shape, sizes.patch)?;
    let Sizes { blocks, heads, width, .. } = sizes;
    if heads == 0 || width == 0 || width % heads != 0 {
        let wants = format!("wants heads that divide the width, which {heads} and {width} do not");
        return Err(Misfit::of(KIND, &[], wants));
    }
    if !(1..=MOST_BLOCKS).contains(&blocks) {
        return Err(Misfit::of(KIND, &[], format!("wants 1 to {MOST_BLOCKS} blocks")));
    }
    let places = patches.count();
    let largest = [places, width, patches.size()].into_iter().max().unwrap_or(width);
    if shape::product(&[width, 4, largest]).is_none() || shape::product(&[heads, places, places]).is_none() {
        return Err(Misfit::of(KIND, axes, "wants a smaller width, or larger patches"));
    }
    let line = Shape::Line { steps: places, channels: width };

    let embedding = Embedding::new(&mut builder.layout, patches, width);
    let kept = places * patches.size();
    let summary = Summary { number: "patch", kind: "linear and position", sizes: patches.words(), kept };
    builder.push(embedding, summary, line)?;
    for number in 1..=blocks {
        let name = format!("block{number}");
        let block = EncoderBlock::new(&mut builder.layout, &name, places, heads, width);
        let sizes = format!("of {heads} heads");
        let kept = places * EncoderBlock::KEPT * width;
        builder.push(block, Summary { number: &name, kind: "self-attention", sizes, kept }, line)?;
    }
    let mean = Mean { places, affine: builder.layout.add("norm.affine".to_owned(), &[2, width]) };
    let kind = "layer-norm and mean over patches";
    let summary = Summary { number: "norm", kind, sizes: String::new(), kept: 2 * places * width };
    builder.push(mean, summary, Shape::Flat(width))?;
    builder.finish(outputs)
}

/// How samples are cut into patches: images, or time steps as an image of one column.
#[derive(Clone, Copy)]
struct Patches {
    /// Height and width of a sample.
    sample: [usize; 2],
    /// Height and width of a patch, which divide those of the sample.
    patch: [usize; 2],
    channels: usize,
}

impl Patches {
    fn of(shape: Shape, patch: [usize; 2]) -> std::result::Result<Self, Misfit> {
        let misfit = |wants: String| Err(Misfit::of(KIND, &shape.axes(), wants));
        let (sample, patch, channels) = match shape {
            Shape::Flat(_) => {
                return misfit("wants time steps x channels, or channels x height x width".into());
            }
            Shape::Line { steps, channels } => ([steps, 1], [patch[0], 1], channels),
            Shape::Plane { channels, height, width } => ([height, width], patch, channels),
        };
        let [high, wide] = patch;
        if patch.contains(&0) || sample[0] % high != 0 || sample[1] % wide != 0 {
            return misfit(match shape {
                Shape::Plane { .. } => {
                    format!("wants patches that divide height and width, which {high} x {wide} do not")
                }
                _ => format!("wants patches that divide the steps, which {high} does not"),
            });
        }
        Ok(Patches { sample, patch, channels })
    }

    /// The number of patches.
    fn count(self) -> usize {
        (self.sample[0] / self.patch[0]) * (self.sample[1] / self.patch[1])
    }

    /// The number of values in each.
    fn size(self) -> usize {
        self.patch[0] * self.patch[1] * self.channels
    }

    fn words(self) -> String {
        format!("of {} x {}", self.patch[0], self.patch[1])
    }

    /// Cuts samples, stored position by position, into patches, [samples * patches, size]: each line by line, with the
    /// channels of a position side by side.
    fn cut(self, x: &Tensor) -> Result<Tensor> {
        let (Patches { sample, patch, channels }, samples) = (self, x.dim(0)?);
        let (down, across) = (sample[0] / patch[0], sample[1] / patch[1]);
        let lines = x.reshape((samples, down, patch[0], across, patch[1] * channels))?;
        Ok(lines.transpose(2, 3)?.contiguous()?.reshape((samples * self.count(), self.size()))?)
    }

    /// The inverse of [`cut`](Self::cut).
    fn join(self, patches: &Tensor, samples: usize) -> Result<Tensor> {
        let Patches { sample, patch, channels } = self;
        let (down, across) = (sample[0] / patch[0], sample[1] / patch[1]);
        let lines = patches.reshape((samples, down, across, patch[0], patch[1] * channels))?;
        Ok(lines.transpose(2, 3)?.contiguous()?.reshape((samples, self.count() * self.size()))?)
    }
}

/// A linear map of each patch, `patch.w` and `patch.b`, plus its position's vector, of `position` [patches, width].
struct Embedding {
    patches: Patches,
    width: usize,
    linear: Linear,
    position: usize,
}

impl Embedding {
    fn new(layout: &mut Layout, patches: Patches, width: usize) -> Self {
        let linear = Linear::new(layout, "patch", patches.size(), width);
        let position = layout.add("position".to_owned(), &[patches.count(), width]);
        Embedding { patches, width, linear, position }
    }

    /// The positions, or tensors of their shape, as one row.
    fn line(&self, positions: &Tensor) -> Result<Tensor> {
        Ok(positions.reshape(self.patches.count() * self.width)?)
    }
}

impl Stage for Embedding {
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        /// Small beside the mapped patches, whose variance is near 1.
        const POSITION: f64 = 0.02;
        draw_xavier(&parameters[self.linear.weight()].value, stream)?;
        draw_uniform(&parameters[self.position].value, POSITION, stream)
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let samples = x.dim(0)?;
        let patches = self.patches.cut(&x)?;
        let output = self.linear.forward(pass.parameters, &patches)?;
        let output = output.reshape((samples, self.patches.count() * self.width))?;
        add_bias(&output, &self.line(&pass.parameters[self.position].value)?)?;
        Ok((output, Box::new(patches)))
    }

    fn backward(&self, way: Way<'_>, patches: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        let patches: &Tensor = kept(patches)?;
        let samples = upstream.dim(0)?;
        add_bias_gradient(&self.line(&way.parameters[self.position].gradient)?, &upstream, way.blocks)?;
        let upstream = upstream.reshape((samples * self.patches.count(), self.width))?;
        way.blocks.of_places(self.patches.count(), |blocks| {
            self.linear.add_gradients(way.parameters, patches, &upstream, blocks)
        })?;
        if !way.to_input {
            return Ok(None);
        }
        Ok(Some(self.patches.join(&self.linear.to_input(way.parameters, &upstream)?, samples)?))
    }

    fn learns(&self) -> bool {
        true
    }

    fn products(&self) -> Vec<Product> {
        vec![Product {
            rows: self.patches.count(),
            inner: self.patches.size(),
            columns: self.width,
            of_input: true,
        }]
    }
}

/// The final normalisation, and the mean over the patches.
struct Mean {
    places: usize,
    affine: usize,
}

impl Stage for Mean {
    fn initialise(&self, parameters: &[Parameter], _: &mut Stream) -> Result<()> {
        let gain = parameters[self.affine].value.get(0)?;
        Ok(assign(&gain, &gain.ones_like()?)?)
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let (samples, size) = x.dims2()?;
        let x = x.reshape((samples * self.places, size / self.places))?;
        let normal = layer_norm(&x, &pass.parameters[self.affine].value)?;
        Ok((summarise(&normal, self.places, Of::Mean)?, Box::new(x)))
    }

    fn backward(&self, way: Way<'_>, x: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        let x: &Tensor = kept(x)?;
        let (samples, width) = upstream.dims2()?;
        let upstream = summarise_gradient(x, &upstream, self.places, Of::Mean)?;
        way.blocks.of_places(self.places, |blocks| {
            normalisation_backward(&way.parameters[self.affine], x, &upstream, blocks)
        })?;
        Ok(Some(upstream.reshape((samples, self.places * width))?))
    }

    fn learns(&self) -> bool {
        true
    }
}
