//! From nats to bits: a prior of an entry's features that both ends know, and a code that pays what it says.
//!
//! A [`Prior`] is learned by whoever sends. A feature that is *dithered* ([`quantise`]) becomes integers; they are
//! coded by an [`Encoder`] with the integer [`EntryTable`] that the prior's owner has made, and whoever gets table and
//! stream finds the same feature again to the bit ([`restore`]). With a [`CodeBook`] a message has the
//! indices of code vectors.

mod bits;
mod code_book;
mod coder;
mod dither;
mod feedback;
mod levels;
mod marginal;
mod numbers;
mod posterior;
mod prior;
mod proposals;
mod simulated;
mod table;

pub use code_book::{CodeBook, CodeShape, CodeVectors};
pub use coder::{Decoder, Encoder, PRECISION, Share, TOTAL};
pub use dither::{DITHERS, MOST_STEP, quantise, restore};
pub use feedback::{ErrorFeedback, Owing, Rounded, Rounding, restore_bf16, restore_int8};
pub use levels::Levels;
pub use marginal::{Component, Marginal};
pub use numbers::Numbers;
pub use posterior::{log_densities, uniform_rates};
pub use prior::{COMPONENTS, Prior, PriorKind};
pub use proposals::{Block, Chosen, Gaussian, MOST_PROPOSALS, divergence};
pub use simulated::{SharedPrior, Simulated, bias_of, percentile_99};
pub use table::EntryTable;

/// What is wrong with a stream or a table.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CodeError {
    /// It is too short.
    #[error("ends before its last symbol")]
    Ends,
    /// It is too long.
    #[error("has {bytes} bytes after its last symbol")]
    Left {
        /// How many.
        bytes: usize,
    },
    /// It is none that a sender writes.
    #[error("is damaged")]
    Damaged,
    /// A step that no sender uses.
    #[error("has a step of {step}, which is not from 1/{MOST_STEP} to {MOST_STEP}")]
    Step {
        /// The step.
        step: f32,
    },
}
