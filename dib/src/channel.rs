//! What happens to features in the air: the place where other channels stand.

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
/// All three functions work in place on [samples, feature_dim] values, row by row, of one [`Crossing`]. `T` is f32 in runs, and
/// f64 where gradients are checked.
///
/// # Contract
///
/// - What is drawn depends on the crossing alone, never on the order of calls: [`pull_back`](Channel::pull_back) may come long after
///   [`send`](Channel::send), and a checkpoint holds nothing of a channel.
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
///     fn spread(&self, _: &Crossing, std: &mut [f64]) {
///         std.iter_mut().for_each(|value| *value *= self.0.abs());
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

    /// Replaces the standard deviations of p(z|x) by those of p(z'|x): what the rate of what arrives is counted with, (17).
    fn spread(&self, crossing: &Crossing, std: &mut [T]);
}

/// The channel on which everything arrives as it was sent. It touches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ideal;

impl<T> Channel<T> for Ideal {
    fn send(&self, _: &Crossing, _: &mut [T]) {}

    fn pull_back(&self, _: &Crossing, _: &mut [T]) {}

    fn spread(&self, _: &Crossing, _: &mut [T]) {}
}
