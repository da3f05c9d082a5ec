//! The gradients of features on their way back to a transmitter.

use dib::{
    coding::{Owing, Rounded},
    gradient_rounding,
};
use node::Context;
use proto::{Packer, v1::Tensor};

use crate::granted::GrantedEntry;

/// The gradients of the entries that a transmitter sent, in the making of their message.
pub(crate) struct Returned {
    packer: Packer,
    /// Entries, samples and values.
    shape: [usize; 3],
}

impl Returned {
    /// Those of so many entries.
    pub(crate) fn new(context: &Context, entries: usize) -> Self {
        let shape = [entries, context.samples(), context.feature_dim()];
        let element = node::gradient_element(context.scenario.train.gradient_coding);
        Returned { packer: Packer::of(element, shape.iter().product()), shape }
    }

    /// Adds the gradient of the next entry, which is of a tick of training. `owing` is there where gradients are
    /// rounded.
    pub(crate) fn add(
        &mut self,
        context: &Context,
        (entry, tick): (&GrantedEntry, u64),
        gradient: &mut [f32],
        owing: Option<&mut Owing>,
    ) {
        let Some(owing) = owing else { return self.packer.extend(gradient.iter().copied()) };
        let address = [entry.k, context.index, entry.entry - context.entry(entry.k, 0)];
        let stream = gradient_rounding(context.seed, address, tick);
        match owing.round(entry.entry, gradient, stream) {
            Rounded::Bf16(halves) => self.packer.extend_bf16(halves),
            Rounded::Int8 { scale, values } => self.packer.extend_int8(scale, values),
        }
    }

    pub(crate) fn pack(self) -> Tensor {
        self.packer.pack(&self.shape)
    }
}
