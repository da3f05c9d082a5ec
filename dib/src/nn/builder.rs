//! Builds a chain layer by layer, each for the output shape of the one before.

use super::architecture::LayerSummary;
use super::chain::{Chain, Stages};
use super::layers::dense::Dense;
use super::layers::order::Turn;
use super::misfit::Misfit;
use super::module::Module;
use super::parameter::Layout;
use super::shape::{self, Shape};
use super::stage::Stage;

/// A chain under construction.
pub(crate) struct Builder {
    kind: &'static str,
    inputs: usize,
    /// The output shape of the layers so far.
    pub(crate) shape: Shape,
    /// Where layers add their parameters.
    pub(crate) layout: Layout,
    stages: Vec<Box<dyn Stage>>,
    /// How many layers draw random numbers.
    drawing: u64,
    summaries: Vec<LayerSummary>,
}

impl Builder {
    /// A builder for samples of a shape, outermost axis first.
    pub(crate) fn new(kind: &'static str, axes: &[usize]) -> Result<Self, Misfit> {
        let shape = Shape::of(kind, axes)?;
        let mut builder = Builder {
            kind,
            inputs: shape.size(),
            shape,
            layout: Layout::default(),
            stages: Vec::new(),
            drawing: 0,
            summaries: Vec::new(),
        };
        if let Some(turn) = Turn::to_places(shape) {
            builder.stages.push(Box::new(turn));
        }
        Ok(builder)
    }

    /// Adds a layer, whose parameters are already laid out, from [`Builder::shape`] to another shape.
    ///
    /// # Errors
    /// If it is too large.
    pub(crate) fn push(
        &mut self,
        stage: impl Stage + 'static,
        summary: Summary<'_>,
        output: Shape,
    ) -> Result<(), Misfit> {
        let operations = stage.products().iter().fold(0.0, |sum, product| sum + product.operations());
        self.push_counted(stage, summary, output, operations)
    }

    /// The same for a layer around others, with the layer's own operations.
    pub(crate) fn push_counted(
        &mut self,
        stage: impl Stage + 'static,
        summary: Summary<'_>,
        output: Shape,
        operations: f64,
    ) -> Result<(), Misfit> {
        let learnt = shape::sum(self.layout.iter().map(|(_, sizes)| shape::product(sizes)));
        let (Some(_), Some(_)) = (learnt, shape::product(&output.axes())) else {
            let wants =
                "wants smaller sizes: a sample, or what a network learns, may have 2^31 numbers at most";
            return Err(Misfit::of(summary.kind, &self.shape.axes(), wants).at(summary.number));
        };
        self.shape = output;
        self.note(summary, operations);
        self.stages.push(Box::new(stage));
        Ok(())
    }

    /// The layers that `add` adds, which become part of another layer and not of the chain.
    ///
    /// # Errors
    /// Those of `add`.
    pub(crate) fn nested(
        &mut self,
        add: impl FnOnce(&mut Builder) -> Result<(), Misfit>,
    ) -> Result<Stages, Misfit> {
        let before = std::mem::take(&mut self.stages);
        add(self)?;
        Ok(Stages::new(std::mem::replace(&mut self.stages, before)))
    }

    /// The number of the next layer that draws.
    pub(crate) fn next_that_draws(&mut self) -> u64 {
        self.drawing += 1;
        self.drawing - 1
    }

    /// Adds a summary line for a side effect of the last layer, or for a conversion without a layer.
    pub(crate) fn note(&mut self, summary: Summary<'_>, operations: f64) {
        let Summary { number, kind, sizes, kept } = summary;
        let before: usize = self.summaries.iter().map(|summary| summary.parameters).sum();
        let learnt: usize = self.layout.iter().map(|(_, sizes)| sizes.iter().product::<usize>()).sum();
        self.summaries.push(LayerSummary {
            number: number.to_owned(),
            kind: if sizes.is_empty() { kind.to_owned() } else { format!("{kind} {sizes}") },
            output: self.shape.axes(),
            parameters: learnt - before,
            operations,
            kept,
        });
    }

    /// Adds the final linear layer to `outputs` values, and returns the chain as a module.
    ///
    /// # Errors
    /// If the layers' output is not flat, or too large.
    pub(crate) fn finish(mut self, outputs: usize) -> Result<(Box<dyn Module>, Vec<LayerSummary>), Misfit> {
        let Shape::Flat(width) = self.shape else {
            let wants = "at its end, and wants one width there: end with a layer such as flatten";
            return Err(Misfit::of(self.kind, &self.shape.axes(), wants));
        };
        if outputs == 0 {
            return Err(Misfit::of(self.kind, &[], "wants at least 1 output"));
        }
        let output = Dense::new(&mut self.layout, "output", 1, width, outputs, false);
        let summary = Summary { number: "output", kind: "linear", sizes: String::new(), kept: width };
        self.push(output, summary, Shape::Flat(outputs))?;
        let Builder { inputs, layout, stages, summaries, .. } = self;
        Ok((Box::new(Chain { inputs, outputs, layout, stages: Stages::new(stages) }), summaries))
    }
}

/// The description of a layer that is added.
pub(crate) struct Summary<'a> {
    /// Its number within its list.
    pub(crate) number: &'a str,
    /// The name of its kind.
    pub(crate) kind: &'static str,
    /// Its sizes, in words.
    pub(crate) sizes: String,
    /// Values of a sample stored for the backward pass.
    pub(crate) kept: usize,
}
