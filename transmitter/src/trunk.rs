//! The part of an encoder that sees a sample, and not for whom it is: it runs once a sample, however many receivers get
//! it.

use candle_core::Tensor;
use dib::{AdamW, Input, Module, Network, RowAddresses, Trace};
use node::{Context, NodeError};
use scenario::Described;

/// A trunk, from a sample of a modality to what the encoder's head is given of it.
pub(crate) struct Trunk {
    network: Network,
}

/// Rows of samples, tick by tick: each tick whose samples are encoded for anybody, once.
pub(crate) struct Seen<'a> {
    /// The moment of the part's first tick.
    pub(crate) first_moment: u64,
    /// The ticks whose samples they are, within the part.
    pub(crate) ticks: &'a [usize],
    /// How many ticks the part has.
    pub(crate) all_ticks: usize,
}

impl Trunk {
    /// That of modality m of this transmitter.
    pub(crate) fn new(
        context: &Context,
        described: &Described,
        m: usize,
        module: Box<dyn Module>,
    ) -> Result<Self, NodeError> {
        let name = format!("transmitter{}/trunk{m}", context.index);
        Ok(Trunk { network: node::network(context, described, &name, module)? })
    }

    /// What the head is given of samples [rows, width] of a training round, with what the backward pass needs.
    pub(crate) fn forward(
        &self,
        context: &Context,
        seen: &Seen<'_>,
        x: Tensor,
    ) -> Result<(Tensor, Trace), NodeError> {
        let samples = context.samples();
        let mut rows_of_tick = vec![0; seen.all_ticks];
        seen.ticks.iter().for_each(|&tick| rows_of_tick[tick] = samples);
        let blocks = context.gradient_blocks(&rows_of_tick);
        let of_row =
            |row: usize| (seen.first_moment + seen.ticks[row / samples] as u64, (row % samples) as u64);
        let rows = RowAddresses { seed: context.seed, of_row: &of_row };
        Ok(self.network.forward(Input::Dense(x), &blocks, Some(rows))?)
    }

    /// The same in evaluation.
    pub(crate) fn infer(&self, x: &Tensor) -> Result<Tensor, NodeError> {
        Ok(self.network.infer(x)?)
    }

    /// Adds its gradients, given those with respect to its output in every place of the head's input.
    pub(crate) fn backward(&mut self, trace: &Trace, at_places: &[Tensor]) -> Result<(), NodeError> {
        let Some((first, others)) = at_places.split_first() else { return Ok(()) };
        let sum = others.iter().try_fold(first.clone(), |sum, gradient| sum + gradient)?;
        Ok(self.network.backward(trace, &sum)?)
    }

    pub(crate) fn step(&mut self, optimizer: &AdamW) -> Result<(), NodeError> {
        Ok(self.network.step(optimizer)?)
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}
