//! What happens to features in the air: the place where other channels stand.

mod air;
mod fading;
mod mac;
mod observed;
mod power;
mod sight;
mod trace;

pub use air::{Air, Block, Csi, Equaliser, Snr};
pub use fading::Fading;
pub use mac::Mac;
pub use observed::Observed;
pub use power::{Amplified, Power, PowerGroup};
pub use trace::GainTrace;

use crate::common::Phase;

/// One crossing of a channel: the features of one entry (k, t, m) for the samples of one tick. It addresses whatever a channel
/// draws, so that the way back, a restarted receiver and a test find the same draws. A fading gain leaves the modality out: all
/// that crosses one link at one tick meets the same.
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

/// A channel from one transmitter to one receiver, applied once, at the receiver, to what it has taken out of a message.
///
/// All functions work on [samples, feature_dim] values, row by row, of one [`Crossing`]. `T` is f32 in runs, and f64 where
/// gradients are checked.
///
/// # Contract
///
/// - What is drawn depends on the crossing alone, never on the order of calls: [`pull_back`](Channel::pull_back) may come long after
///   [`send`](Channel::send), and a checkpoint holds nothing of a channel. So a transmitter can compute what arrives, too.
/// - A row's result depends on no other row, and finite values stay finite.
/// - `pull_back` is the exact transpose of the derivative of `send`.
///
/// ```
/// use pom2dib_dib::{Channel, Crossing, Phase};
///
/// /// A gain that nobody equalises, and no noise.
/// struct Gain(f64);
///
/// impl Channel<f64> for Gain {
///     fn send(&self, _: &Crossing, features: &mut [f64]) {
///         features.iter_mut().for_each(|value| *value *= self.0);
///     }
///
///     fn pull_back(&self, _: &Crossing, gradient: &mut [f64]) {
///         gradient.iter_mut().for_each(|value| *value *= self.0);
///     }
///
///     fn observe(&self, _: &Crossing, _: usize, [z, mu, std]: [&mut [f64]; 3]) -> Vec<f64> {
///         z.iter_mut().chain(mu).for_each(|value| *value *= self.0);
///         std.iter_mut().for_each(|value| *value *= self.0.abs());
///         vec![self.0; std.len()]
///     }
/// }
///
/// let crossing = Crossing { phase: Phase::Train, pass: 0, transmitter: 0, receiver: 1, modality: 0, tick: 7 };
/// let (mut z, mut gradient) = ([1.0, -2.0], [0.5, 0.5]);
/// Gain(0.25).send(&crossing, &mut z);
/// Gain(0.25).pull_back(&crossing, &mut gradient);
/// assert_eq!((z, gradient), ([0.25, -0.5], [0.125, 0.125]));
/// ```
pub trait Channel<T>: Send + Sync {
    /// Replaces what was sent by what arrives, equalised: z to z'.
    fn send(&self, crossing: &Crossing, features: &mut [T]);

    /// Replaces the gradient with respect to what arrived by that with respect to what was sent.
    fn pull_back(&self, crossing: &Crossing, gradient: &mut [T]);

    /// Replaces z and the means and deviations of p(z|x) by what arrives of them, given the gains: what the rate of what arrives
    /// is counted with, (17). They are turned so that deviations stay those of single values; no rate depends on such a turn,
    /// nor on how the receiver equalises. Gives what z and mu were multiplied with, one number a value.
    fn observe(&self, crossing: &Crossing, rows: usize, z_mu_std: [&mut [T]; 3]) -> Vec<f64>;

    /// SNR and capacity of a crossing, mean over `rows` rows; none for a channel without them, such as [`Ideal`].
    fn measure(&self, _crossing: &Crossing, _rows: usize) -> Option<Measure> {
        None
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

/// The number of complex symbols of a feature of `feature_dim` values: two values a symbol; an odd last value takes a symbol alone.
pub fn channel_uses(feature_dim: usize) -> usize {
    feature_dim.div_ceil(2)
}

/// The channel on which everything arrives as it was sent. It touches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ideal;

impl<T> Channel<T> for Ideal {
    fn send(&self, _: &Crossing, _: &mut [T]) {}

    fn pull_back(&self, _: &Crossing, _: &mut [T]) {}

    fn observe(&self, _: &Crossing, _: usize, [z, ..]: [&mut [T]; 3]) -> Vec<f64> {
        vec![1.0; z.len()]
    }
}
