//! Putting a chain together, layer by layer, each for the shape that comes out of the one before.

use super::architecture::LayerSummary;
use super::chain::{Chain, Stages};
use super::layers::dense::Dense;
use super::layers::order::Turn;
use super::misfit::Misfit;
use super::module::Module;
use super::parameter::Layout;
use super::shape::{self, Shape};
use super::stage::Stage;

/// A chain in the making.
pub(crate) struct Builder {
    kind: &'static str,
    inputs: usize,
    /// What comes out of the layers so far.
    pub(crate) shape: Shape,
    /// Where layers lay their parameters out.
    pub(crate) layout: Layout,
    stages: Vec<Box<dyn Stage>>,
    /// How many of them draw.
    drawing: u64,
    summaries: Vec<LayerSummary>,
}

impl Builder {
    /// One of an architecture for samples of a shape, outermost axis first.
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

    /// One more layer, whose parameters are already laid out, between [`Builder::shape`] and another one.
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

    /// The same of a layer around others, with the operations that are its own.
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

    /// The layers that `add` adds, which go into another one rather than behind those so far.
    ///
    /// # Errors
    /// `add`'s.
    pub(crate) fn nested(
        &mut self,
        add: impl FnOnce(&mut Builder) -> Result<(), Misfit>,
    ) -> Result<Stages, Misfit> {
        let before = std::mem::take(&mut self.stages);
        add(self)?;
        Ok(Stages::new(std::mem::replace(&mut self.stages, before)))
    }

    /// The number of one more layer that draws.
    pub(crate) fn next_that_draws(&mut self) -> u64 {
        self.drawing += 1;
        self.drawing - 1
    }

    /// A line on what the last layer does beside, or on what no layer need do.
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

    /// The last linear layer, to so many outputs, and all of it as a module.
    ///
    /// # Errors
    /// If what the layers yield is not flat, or too large.
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

/// What is said of a layer that is pushed.
pub(crate) struct Summary<'a> {
    /// Its number within its list.
    pub(crate) number: &'a str,
    /// The name of its kind.
    pub(crate) kind: &'static str,
    /// Its sizes, in words.
    pub(crate) sizes: String,
    /// How many values of a sample it keeps for the backward pass.
    pub(crate) kept: usize,
}
