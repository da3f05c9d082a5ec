//! From a description to a module.

use kernels::recurrent::Cell;

use super::architecture::{Architecture, Layer, LayerSummary};
use super::builder::{Builder, Summary};
use super::layers::activation::{Gelu, Relu};
use super::layers::dense::Dense;
use super::layers::dropout::Dropout;
use super::layers::order::Turn;
use super::misfit::Misfit;
use super::module::Module;
use super::residual_mlp::ResidualMlp;
use super::shape::{self, Shape, checked_size};
use super::{attention, points, recurrent};

pub(super) type Built = (Box<dyn Module>, Vec<LayerSummary>);

/// A module from samples of a shape to so many outputs, and what its layers do.
pub(super) fn build(architecture: &Architecture, axes: &[usize], outputs: usize) -> Result<Built, Misfit> {
    match architecture {
        Architecture::ResidualMlp { hidden } => residual_mlp(hidden, axes, outputs),
        Architecture::Sequential { layers } => {
            let mut builder = Builder::new(architecture.kind(), axes)?;
            add_layers(&mut builder, layers, "")?;
            builder.finish(outputs)
        }
        Architecture::Points { hidden } => points::build(hidden, axes, outputs),
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
    // The largest of its matrices has two of these sizes.
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
        // A rectifier right behind a linear map costs nothing as a part of it.
        let rectifier = match layer {
            Layer::Linear { .. } => layers.next_if(|(_, next)| matches!(next, Layer::Relu)),
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

/// Adds a layer of that number; `rectifies` is whether it is a rectifier as well.
fn add_layer(builder: &mut Builder, layer: &Layer, number: &str, rectifies: bool) -> Result<(), Misfit> {
    let shape = builder.shape;
    let misfit = |wants: &str| Err(Misfit::of(layer.kind(), &shape.axes(), wants).at(number));
    let summary = |sizes: String, kept| Summary { number, kind: layer.kind(), sizes, kept };
    match *layer {
        Layer::Linear { width } => {
            if matches!(shape, Shape::Plane { .. }) {
                return misfit("wants one width, or steps x channels");
            }
            if width == 0 {
                return misfit("wants a width of at least 1");
            }
            let (places, inputs) = (shape.places(), shape.channels());
            let name = format!("layer{number}");
            let dense = Dense::new(&mut builder.layout, &name, places, inputs, width, rectifies);
            builder.push(dense, summary(String::new(), shape.size()), shape.with_channels(width))
        }
        Layer::Relu => builder.push(Relu, summary(String::new(), shape.size()), shape),
        Layer::Gelu => builder.push(Gelu, summary(String::new(), shape.size()), shape),
        Layer::Dropout { rate } => {
            if !(0.0..1.0).contains(&rate) {
                return misfit("wants a rate from 0 up to, but not, 1");
            }
            let dropout = Dropout::new(rate, builder.next_that_draws());
            builder.push(dropout, summary(rate.to_string(), shape.size()), shape)
        }
        Layer::Flatten => {
            let flat = Shape::Flat(shape.size());
            match Turn::to_channels(shape) {
                Some(turn) => builder.push(turn, summary(String::new(), 0), flat),
                None => {
                    builder.shape = flat;
                    builder.note(summary(String::new(), 0), 0.0);
                    Ok(())
                }
            }
        }
    }
}
