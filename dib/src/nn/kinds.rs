//! Builds modules from descriptions.

use kernels::convolution::Patches;
use kernels::recurrent::Cell;

use super::architecture::{Architecture, Layer, LayerSummary};
use super::builder::{Builder, Summary};
use super::layers::activation::{Gelu, Relu};
use super::layers::convolution::Convolution;
use super::layers::dense::Dense;
use super::layers::dropout::Dropout;
use super::layers::norm::{GroupNorm, LayerNorm};
use super::layers::order::Turn;
use super::layers::pool::{MaxPool, MeanPool};
use super::layers::residual::Residual;
use super::misfit::{Misfit, by};
use super::module::Module;
use super::residual_mlp::ResidualMlp;
use super::shape::{self, Shape, checked_size};
use super::stage::Stage;
use super::windows;
use super::{attention, film, points, recurrent};

pub(super) type Built = (Box<dyn Module>, Vec<LayerSummary>);

/// A module from samples of a shape to `outputs` values, and a summary of its layers.
pub(super) fn build(architecture: &Architecture, axes: &[usize], outputs: usize) -> Result<Built, Misfit> {
    match architecture {
        Architecture::ResidualMlp { hidden } => residual_mlp(hidden, axes, outputs),
        Architecture::Sequential { layers } => {
            let mut builder = Builder::new(architecture.kind(), axes)?;
            add_layers(&mut builder, layers, "")?;
            builder.finish(outputs)
        }
        Architecture::Points { hidden } => points::build(hidden, axes, outputs),
        &Architecture::Film { values } => film::build(values, axes, outputs),
        &Architecture::Gru { hidden, layers } => recurrent::build(Cell::Gru, hidden, layers, axes, outputs),
        &Architecture::Lstm { hidden, layers } => recurrent::build(Cell::Lstm, hidden, layers, axes, outputs),
        &Architecture::Attention { blocks, heads, width, patch } => {
            attention::build(attention::Sizes { blocks, heads, width, patch }, axes, outputs)
        }
    }
}

fn residual_mlp(hidden: &[usize], axes: &[usize], outputs: usize) -> Result<Built, Misfit> {
    const KIND: &str = "residual-mlp";
    let inputs = checked_size(KIND, axes)?;
    let Some((&first, others)) = hidden.split_first().filter(|_| !hidden.contains(&0) && outputs > 0) else {
        return Err(Misfit::of(KIND, &[], "wants at least one size in hidden, and no size of 0"));
    };
    // The largest matrix has two of these sizes.
    let pairs =
        [inputs].into_iter().chain(hidden.iter().copied()).zip(hidden.iter().copied().chain([outputs]));
    let squares = hidden.iter().map(|&size| (size, size));
    if shape::sum(pairs.chain(squares).map(|(rows, columns)| shape::product(&[rows, columns]))).is_none() {
        let wants = "wants smaller sizes in hidden: what a network learns may have 2^31 numbers at most";
        return Err(Misfit::of(KIND, &[], wants));
    }
    let module = ResidualMlp::with_hidden(inputs, (first, others), outputs);
    let summaries = module.summaries();
    Ok((Box::new(module), summaries))
}

/// Adds the layers of a list, whose numbers begin with `prefix`.
fn add_layers(builder: &mut Builder, layers: &[Layer], prefix: &str) -> Result<(), Misfit> {
    let mut layers = layers.iter().enumerate().peekable();
    while let Some((number, layer)) = layers.next() {
        let number = format!("{prefix}{}", number + 1);
        // A ReLU right after a linear map is fused with it at no cost.
        let rectifier = match layer {
            Layer::Linear { .. } | Layer::Conv1d { .. } | Layer::Conv2d { .. } => {
                layers.next_if(|(_, next)| matches!(next, Layer::Relu))
            }
            _ => None,
        };
        add_layer(builder, layer, &number, rectifier.is_some())?;
        if let Some((number, relu)) = rectifier {
            let number = format!("{prefix}{}", number + 1);
            let kept = builder.shape.size();
            builder.note(Summary { number: &number, kind: relu.kind(), sizes: String::new(), kept }, 0.0);
        }
    }
    Ok(())
}

/// Adds a layer with that number; `rectifies` says whether it includes a ReLU.
fn add_layer(builder: &mut Builder, layer: &Layer, number: &str, rectifies: bool) -> Result<(), Misfit> {
    let (shape, kind, plain) = (builder.shape, layer.kind(), String::new());
    let (channels, size) = (shape.channels(), shape.size());
    let unfit = |wants: &str| Misfit::of(kind, &shape.axes(), wants).at(number);
    let misfit = |wants: &str| Err(unfit(wants));
    let name = format!("layer{number}");
    let summary = |sizes: String, kept| Summary { number, kind, sizes, kept };
    let axes = shape.axes().len();
    match *layer {
        // The arms with guards come first: they refuse a layer that does not fit.
        Layer::Conv1d { .. } if axes != 2 => misfit("wants steps x channels"),
        Layer::Conv2d { .. } if axes != 3 => misfit("wants channels x height x width"),
        Layer::Conv1d { channels, kernel, stride, padding, groups } => {
            // Time steps are an image of one column here.
            let window = Window { kernel: [kernel, 1], stride: [stride, 1], padding: [padding, 0] };
            add_convolution(builder, number, kind, window, (groups, channels), rectifies)
        }
        Layer::Conv2d { channels, kernel, stride, padding, groups } => {
            let window = Window { kernel, stride, padding };
            add_convolution(builder, number, kind, window, (groups, channels), rectifies)
        }
        Layer::MaxPool { kernel, stride } | Layer::AvgPool { kernel, stride } => {
            let patches = windows::patches(shape, kernel, stride, [0, 0]).map_err(|wants| unfit(&wants))?;
            let output = windows::output(shape, patches, channels);
            match layer {
                Layer::MaxPool { .. } => {
                    let summary = summary(sizes(patches), size + output.size());
                    builder.push(MaxPool::new(patches), summary, output)
                }
                _ => builder.push(MeanPool::new(patches), summary(sizes(patches), 0), output),
            }
        }
        Layer::GlobalMean => {
            let whole = match shape {
                Shape::Plane { height, width, .. } => [height, width],
                _ => [shape.places(), 1],
            };
            let patches = windows::patches(shape, whole, [1, 1], [0, 0]).map_err(|wants| unfit(&wants))?;
            builder.push(MeanPool::new(patches), summary(plain, 0), Shape::Flat(channels))
        }
        Layer::Linear { .. } if axes == 3 => misfit("wants one width, or steps x channels"),
        Layer::Linear { width: 0 } => misfit("wants a width of at least 1"),
        Layer::Linear { width } => {
            let dense = Dense::new(&mut builder.layout, &name, shape.places(), channels, width, rectifies);
            builder.push(dense, summary(plain, size), shape.with_channels(width))
        }
        Layer::Relu => builder.push(Relu, summary(plain, size), shape),
        Layer::Gelu => builder.push(Gelu, summary(plain, size), shape),
        Layer::LayerNorm => {
            let norm = LayerNorm::new(&mut builder.layout, &name, shape.places(), channels);
            builder.push(norm, summary(plain, size), shape)
        }
        Layer::GroupNorm { groups } if groups == 0 || !channels.is_multiple_of(groups) => {
            misfit(&format!("wants a number of groups that divides {channels} channels"))
        }
        Layer::GroupNorm { groups } => {
            let norm = GroupNorm::new(&mut builder.layout, &name, groups, channels);
            builder.push(norm, summary(groups.to_string(), size), shape)
        }
        Layer::Dropout { rate } if !(0.0..1.0).contains(&rate) => {
            misfit("wants a rate from 0 up to, but not, 1")
        }
        Layer::Dropout { rate } => {
            let dropout = Dropout::new(rate, builder.next_that_draws());
            builder.push(dropout, summary(rate.to_string(), size), shape)
        }
        Layer::Flatten => match Turn::to_channels(shape) {
            Some(turn) => builder.push(turn, summary(plain, 0), Shape::Flat(size)),
            // The values are in order already: only the shape changes.
            None => {
                builder.shape = Shape::Flat(size);
                builder.note(summary(plain, 0), 0.0);
                Ok(())
            }
        },
        Layer::Residual(ref layers) => add_residual(builder, layers, number, kind),
        Layer::BatchNorm => misfit(
            "wants samples that know of each other, and here each stands for itself: take layer-norm or group-norm",
        ),
    }
}

/// The window of a convolution.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

/// The kernel in words.
fn sizes(patches: Patches) -> String {
    by(&patches.kernel)
}

fn add_convolution(
    builder: &mut Builder,
    number: &str,
    kind: &'static str,
    window: Window,
    (groups, outputs): (usize, usize),
    rectifies: bool,
) -> Result<(), Misfit> {
    let shape = builder.shape;
    let misfit = |wants: &str| Misfit::of(kind, &shape.axes(), wants).at(number);
    let Window { kernel, stride, padding } = window;
    let patches = windows::patches(shape, kernel, stride, padding).map_err(|wants| misfit(&wants))?;
    if outputs == 0 {
        return Err(misfit("wants at least 1 channel to come out"));
    }
    if groups == 0 || !shape.channels().is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
        let channels = shape.channels();
        let wants = format!(
            "wants a number of groups that divides {channels} channels and the {outputs} that come out"
        );
        return Err(misfit(&wants));
    }
    let name = format!("layer{number}");
    let convolution = Convolution::new(&mut builder.layout, &name, patches, (groups, outputs), rectifies);
    let summary = Summary { number, kind, sizes: sizes(patches), kept: shape.size() };
    builder.push(convolution, summary, windows::output(shape, patches, outputs))
}

fn add_residual(
    builder: &mut Builder,
    layers: &[Layer],
    number: &str,
    kind: &'static str,
) -> Result<(), Misfit> {
    let shape = builder.shape;
    let misfit = |wants: &str| Misfit::of(kind, &shape.axes(), wants).at(number);
    if layers.is_empty() {
        return Err(misfit("wants a list of at least one layer"));
    }
    let list = builder.nested(|builder| add_layers(builder, layers, &format!("{number}.")))?;
    let output = builder.shape;
    let shortcut = if output == shape {
        None
    } else {
        let Some(patches) = windows::places_of(shape, output) else {
            let wants = format!(
                "wants a list that keeps the axes, or divides them, and its own makes {}",
                by(&output.axes())
            );
            return Err(misfit(&wants));
        };
        let name = format!("layer{number}.shortcut");
        Some(Convolution::without_bias(&mut builder.layout, &name, patches, (1, output.channels())))
    };
    let products = shortcut.iter().flat_map(Stage::products);
    let operations = products.fold(0.0, |sum, product| sum + product.operations());
    let kept = if shortcut.is_some() { shape.size() } else { 0 };
    let summary = Summary { number, kind, sizes: String::new(), kept };
    builder.push_counted(Residual::new(list, shortcut), summary, output, operations)
}
