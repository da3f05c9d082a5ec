//! What happens to features in the air: the place where other channels stand.

mod air;
mod fading;
mod mac;
mod observed;
mod power;
mod sight;
mod trace;

pub use air::{Air, Block, Csi, Equaliser, Snr, Symbols};
pub use fading::Fading;
pub use mac::Mac;
pub use observed::Observed;
pub use power::{Amplified, Power, PowerGroup};
pub use trace::GainTrace;

use randomness::{Purpose, Seed, Stream};

use crate::{Result, common::Phase};

/// One crossing of a channel: the features of one entry (k, t, m) for the samples of one tick. It addresses whatever a
/// channel draws, so that the way back, a restarted receiver and a test find the same draws. A fading gain leaves the
/// modality out: all that crosses one link at one tick meets the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crossing {
    /// Training or evaluation.
    pub phase: Phase,
    /// The evaluation pass; 0 in training.
    pub pass: u64,
    /// The sending transmitter k.
    pub transmitter: usize,
    /// The hearing receiver t.
    pub receiver: usize,
    /// The modality m, by its number at the transmitter.
    pub modality: usize,
    /// The tick n of training; in evaluation, the group of `samples_per_tick` samples of the test set.
    pub tick: u64,
}

impl Crossing {
    /// Draws of its own: noise, and whatever else a channel of a user's program needs. It begins anew at every call.
    pub fn draws(&self, seed: Seed) -> Stream {
        let purpose = self.purpose(Purpose::AirNoise, Purpose::EvaluationAirNoise);
        let Crossing { transmitter, receiver, modality, pass, tick, .. } = *self;
        let indices = [transmitter as u64, receiver as u64, modality as u64, pass];
        seed.stream(purpose, &indices, tick)
    }

    fn purpose(&self, train: Purpose, evaluate: Purpose) -> Purpose {
        match self.phase {
            Phase::Train => train,
            Phase::Evaluate => evaluate,
        }
    }
}

/// A channel from one transmitter to one receiver, applied once, at the receiver, to what it has taken out of a
/// message.
///
/// All functions work on [samples, feature_dim] values, row by row, of one [`Crossing`]. `T` is f32 in runs, and f64
/// where gradients are checked.
///
/// # Contract
///
/// - What is drawn depends on the crossing alone, never on the order of calls: [`pull_back`](Channel::pull_back) may
///   come long after [`send`](Channel::send), and a checkpoint holds nothing of a channel. So a transmitter can compute
///   what arrives, too.
/// - A row's result depends on no other row, and finite values stay finite.
/// - `pull_back` is the exact transpose of the derivative of `send`. That of an affine channel, such as gain and noise,
///   depends on nothing that was sent. One that distorts [keeps](Channel::keeps_sent) it.
///
/// ```
/// use pom2dib_dib::{Channel, Crossing, Phase, Result};
///
/// /// A gain that nobody equalises, and no noise.
/// struct Gain(f64);
///
/// impl Channel<f64> for Gain {
///     fn send(&self, _: &Crossing, features: &mut [f64]) -> Result<()> {
///         features.iter_mut().for_each(|value| *value *= self.0);
///         Ok(())
///     }
///
///     fn pull_back(&self, _: &Crossing, _: &[f64], gradient: &mut [f64]) -> Result<()> {
///         gradient.iter_mut().for_each(|value| *value *= self.0);
///         Ok(())
///     }
/// }
///
/// let crossing = Crossing { phase: Phase::Train, pass: 0, transmitter: 0, receiver: 1, modality: 0, tick: 7 };
/// let (mut z, mut gradient) = ([1.0, -2.0], [0.5, 0.5]);
/// Gain(0.25).send(&crossing, &mut z)?;
/// Gain(0.25).pull_back(&crossing, &[], &mut gradient)?;
/// assert_eq!((z, gradient), ([0.25, -0.5], [0.125, 0.125]));
/// # Ok::<(), pom2dib_dib::Error>(())
/// ```
pub trait Channel<T>: Send + Sync {
    /// Replaces what was sent by what arrives, equalised: z to z'.
    ///
    /// # Errors
    /// A channel of a user's program may fail, with a line of its own.
    fn send(&self, crossing: &Crossing, features: &mut [T]) -> Result<()>;

    /// Replaces the gradient with respect to what arrived by that with respect to what was sent. `sent` is what
    /// [`send`](Channel::send) was given; empty, unless the channel [keeps](Channel::keeps_sent) it.
    ///
    /// # Errors
    /// As [`send`](Channel::send).
    fn pull_back(&self, crossing: &Crossing, sent: &[T], gradient: &mut [T]) -> Result<()>;

    /// Whether the way back depends on what was sent, which is then kept for it until the round's end.
    fn keeps_sent(&self) -> bool {
        false
    }

    /// Replaces z and the means and deviations of p(z|x) by what arrives of them, given the gains: what the rate of
    /// what arrives is counted with, (17). They are turned so that deviations stay those of single values; no rate
    /// depends on such a turn, nor on how the receiver equalises. Gives what z and mu were multiplied with, one number
    /// a value. By default nothing changes, as over an ideal channel: a channel of a user's program is never asked,
    /// since nobody knows its gains.
    fn observe(&self, _crossing: &Crossing, _rows: usize, [z, ..]: [&mut [T]; 3]) -> Vec<f64> {
        vec![1.0; z.len()]
    }

    /// SNR and capacity of a crossing, mean over `rows` rows; none for a channel without them, such as [`Ideal`].
    fn measure(&self, _crossing: &Crossing, _rows: usize) -> Option<Measure> {
        None
    }

    /// Names and versions of libraries beside this program by which it computes, such as `numpy 2.3.5`: its bits depend
    /// on them, and the summary of its run says so.
    fn libraries(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What some rows meet in the air.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// Es/N0 at average fading power, in dB; none without noise.
    pub snr_db: Option<f64>,
    /// log(1 + |h|^2 Es/N0) of a channel use, in nats, mean over the rows; none without noise.
    pub capacity: Option<f64>,
}

/// The number of complex symbols of a feature of `feature_dim` values: two values a symbol; an odd last value takes a
/// symbol alone.
pub fn channel_uses(feature_dim: usize) -> usize {
    feature_dim.div_ceil(2)
}

/// The channel on which everything arrives as it was sent. It touches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ideal;

impl<T> Channel<T> for Ideal {
    fn send(&self, _: &Crossing, _: &mut [T]) -> Result<()> {
        Ok(())
    }

    fn pull_back(&self, _: &Crossing, _: &[T], _: &mut [T]) -> Result<()> {
        Ok(())
    }
}
