//! From nats to bits: a prior of an entry's features that both ends know, and a code that pays what it says.
//!
//! A [`Prior`] is learned by whoever sends. A feature that is *dithered* ([`quantise`]) becomes integers; they are
//! coded by an [`Encoder`] with the integer [`EntryTable`] that the prior's owner has made, and whoever gets table and
//! stream finds the same feature again to the bit ([`restore`]). With a [`CodeBook`] a message contains
//! the indices of code vectors. A [`Coding`] is what a user's program adds.

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

use randomness::{Purpose, Seed, Stream};

use crate::{Result, common::Phase};

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

/// Rows that are coded together: the features of one entry (k, t, m) for the samples of one tick. It addresses whatever
/// both ends of a link draw, so that a receiver, a restarted one too, finds the same draws as the transmitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodedRows {
    /// Training or evaluation.
    pub phase: Phase,
    /// The sending transmitter k.
    pub transmitter: usize,
    /// The receiver t for which it encodes.
    pub receiver: usize,
    /// The modality m, by its number at the transmitter.
    pub modality: usize,
    /// The tick n of training; in evaluation, the number of what travels in one message, counted through all passes.
    pub moment: u64,
    /// The number of the first row among those of the moment: 0, but for a batch of a stream, which is a part of what
    /// an evaluation sends in one message.
    pub first: usize,
}

impl CodedRows {
    /// Draws for a row of these, counted from 0. They begin anew at every call, are the same at both ends, and depend
    /// on no other row.
    pub fn draws(&self, seed: Seed, row: usize) -> Stream {
        let purpose = self.phase.choose(Purpose::Dither, Purpose::EvaluationDither);
        let CodedRows { transmitter, receiver, modality, moment, first, .. } = *self;
        let indices = [transmitter, receiver, modality, first + row].map(|index| index as u64);
        seed.stream(purpose, &indices, moment)
    }
}

/// How an encoder's outputs become symbols of a message's stream, and these a feature z.
///
/// z is what [`decode`](Coding::decode) makes of the symbols: at the receiver, and at the transmitter too, which reads
/// what it has written. So both have the same z. All functions work on the rows of one [`CodedRows`], row after row: d
/// values of z a row (d is the scenario's `network.feature_dim`), and [`outputs`](Coding::outputs) x d outputs; where
/// there are two for each value, first all d first ones (means, for example), then all d second ones. `T` is f32 in
/// runs, and f64 where gradients are checked.
///
/// # Contract
///
/// - Results depend on the arguments alone, never on the order of calls: [`pull_back`](Coding::pull_back) comes long
///   after [`encode`](Coding::encode), and a checkpoint holds nothing of a coding. It has no parameters that learn.
///   What is drawn comes from [`CodedRows::draws`].
/// - z of a row depends on no other row: a test set and a stream are cut differently. Of finite outputs everything is
///   finite. (Outputs that are not finite never come here.)
/// - The symbols of a value take at most 32 bits, on average over the rows.
/// - [`decode`](Coding::decode) is given what came over a network. It takes as many symbols as
///   [`encode`](Coding::encode) has written, and refuses what that never writes.
///
/// This is the part for codes without state. The built-in codings do not implement it: Gaussian and deterministic
/// features are values in f32, levels of quantised ones are coded by what was seen before in the whole message, and
/// dithered, simulated and indexed features need tables that their transmitters learn and send.
///
/// ```
/// use pom2dib_dib::coding::{CodeError, Decoder, Encoder};
/// use pom2dib_dib::{CodedRows, Coding, Phase, Result};
///
/// /// The sign of each of d values, in a bit.
/// struct Sign {
///     d: usize,
/// }
///
/// type Read = std::result::Result<(), CodeError>;
///
/// impl Coding<f64> for Sign {
///     fn encode(&self, _: &CodedRows, outputs: &[f64], symbols: &mut Encoder) -> Result<()> {
///         outputs.iter().for_each(|&output| symbols.push_digits((output > 0.0).into(), 1));
///         Ok(())
///     }
///
///     fn decode(&self, _: &CodedRows, count: usize, symbols: &mut Decoder<'_>, z: &mut Vec<f64>) -> Read {
///         for _ in 0..count {
///             z.push(if symbols.digits(1)? == 1 { 1.0 } else { -1.0 });
///         }
///         Ok(())
///     }
///
///     fn rates(&self, _: &CodedRows, outputs: &[f64]) -> Vec<f64> {
///         vec![self.d as f64 * std::f64::consts::LN_2; outputs.len() / self.d]
///     }
///
///     fn pull_back(&self, _: &CodedRows, _: &[f64], gradient: &[f64], _: f64) -> Result<Vec<f64>> {
///         Ok(gradient.to_vec()) // straight through
///     }
/// }
///
/// let phase = Phase::Train;
/// let rows = CodedRows { phase, transmitter: 0, receiver: 1, modality: 0, moment: 7, first: 0 };
/// let (sign, mut symbols) = (Sign { d: 2 }, Encoder::default());
/// sign.encode(&rows, &[0.3, -2.0, -0.1, 5.0], &mut symbols)?;
/// let stream = symbols.finish();
/// let (mut symbols, mut z) = (Decoder::new(&stream).unwrap(), Vec::new());
/// sign.decode(&rows, 4, &mut symbols, &mut z).unwrap();
/// symbols.finish().unwrap();
/// assert_eq!(z, [1.0, -1.0, -1.0, 1.0]);
/// # Ok::<(), pom2dib_dib::Error>(())
/// ```
pub trait Coding<T>: Send + Sync {
    /// How many outputs of the encoder's network there are for each value of z: 1, a mean for example, or 2, such as a
    /// mean and a standard deviation.
    fn outputs(&self) -> usize {
        1
    }

    /// Adds the symbols for these outputs to a stream. Those of other entries lie before and behind them.
    ///
    /// # Errors
    /// A coding of a user's program may fail, with a line of its own.
    fn encode(&self, rows: &CodedRows, outputs: &[T], symbols: &mut Encoder) -> Result<()>;

    /// Takes the symbols of `count` values of z, whole rows, and appends these values to `z`.
    ///
    /// # Errors
    /// If the stream ends before, or is none that a sender writes.
    fn decode(
        &self,
        rows: &CodedRows,
        count: usize,
        symbols: &mut Decoder<'_>,
        z: &mut Vec<T>,
    ) -> std::result::Result<(), CodeError>;

    /// The rate that is counted for every row, in nats, at least 0: what the scenario's beta weighs in an objective,
    /// and what `sum_rate` is the sum of. Where it depends on the outputs, [`pull_back`](Coding::pull_back) has its
    /// gradient.
    fn rates(&self, rows: &CodedRows, outputs: &[T]) -> Vec<f64>;

    /// The gradient with respect to the outputs, given `gradient`, that of an objective with respect to z, and what a
    /// nat of each row's [rate](Coding::rates) costs that objective. Where z has steps, it says how a gradient comes
    /// past them: straight through, for example, as if there were none.
    ///
    /// # Errors
    /// As [`encode`](Coding::encode).
    fn pull_back(&self, rows: &CodedRows, outputs: &[T], gradient: &[T], price: f64) -> Result<Vec<T>>;
}

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
