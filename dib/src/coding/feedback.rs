//! Gradients in fewer bits on their way back: rounded at random so that their mean is right, and what a rounding took
//! away is added to what follows (F. Seide et al., "1-bit stochastic gradient descent", 2014; D. Alistarh et al.,
//! "QSGD", 2017).

use std::any::Any;

use candle_core::{DType, Device, Tensor};
use kernels::elementwise::assign;
use randomness::Stream;

use crate::common::Phase;
use crate::nn::{Blocks, Draws, Input, Kept, Layout, Module, Network, Parameter, Product};
use crate::{Error, Result, with_values};

/// The largest integer of a rounded gradient.
const LARGEST: f64 = 127.0;
/// The binary digits that an f32 has more than a bfloat16.
const DROPPED: u32 = 16;

/// To what gradients are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The upper half of an f32: 8 binary digits.
    Bf16,
    /// Integers from -127 to 127, times a scale of the entry and tick.
    Int8,
}

/// Some gradients as they travel.
#[derive(Clone, Debug, PartialEq)]
pub enum Rounded {
    /// The upper halves.
    Bf16(Vec<u16>),
    /// The integers, and what one of them stands for.
    Int8 {
        /// What 1 stands for; 0 if all are 0.
        scale: f32,
        /// The integers.
        values: Vec<i8>,
    },
}

impl Rounding {
    /// Rounds gradients up or down, by so many draws, so that the mean over all draws is what was rounded. Where a
    /// number is not finite, what comes out is not finite either: whoever reads it refuses it.
    pub fn round(self, gradients: &[f32], stream: &mut Stream) -> Rounded {
        match self {
            Rounding::Bf16 => Rounded::Bf16(gradients.iter().map(|&value| to_bf16(value, stream)).collect()),
            Rounding::Int8 => {
                let scale = scale(gradients);
                let integer = |&value: &f32| {
                    if scale == 0.0 {
                        return 0;
                    }
                    // The draw is below 1: what is an integer stays as it is. (A number that is not finite becomes
                    // any.)
                    (f64::from(value) / f64::from(scale) + stream.uniform()).floor() as i8
                };
                Rounded::Int8 { scale, values: gradients.iter().map(integer).collect() }
            }
        }
    }
}

impl Rounded {
    /// What was rounded, as whoever reads it finds it.
    pub fn restore(&self) -> Vec<f32> {
        match self {
            Rounded::Bf16(halves) => halves.iter().map(|&half| restore_bf16(half)).collect(),
            Rounded::Int8 { scale, values } => {
                values.iter().map(|&value| restore_int8(*scale, value)).collect()
            }
        }
    }
}

/// The f32 of an upper half.
pub fn restore_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << DROPPED)
}

/// What an integer stands for, in one rounded product.
pub fn restore_int8(scale: f32, value: i8) -> f32 {
    scale * f32::from(value)
}

/// The upper half of a number, or the next one away from 0 in so many of 2^16 cases as the lower half says.
fn to_bf16(value: f32, stream: &mut Stream) -> u16 {
    let bits = value.to_bits();
    let draw = stream.below(1 << DROPPED) as u32;
    let down = (bits >> DROPPED) as u16;
    let up = ((u64::from(bits) + u64::from(draw)) >> DROPPED) as u16;
    // Beyond the largest there is nothing to round to; and what is no number stays none.
    match (value.is_finite(), restore_bf16(up).is_finite()) {
        (true, true) => up,
        (true, false) => down,
        (false, _) => (f32::INFINITY.to_bits() >> DROPPED) as u16,
    }
}

/// The smallest f32 of which the largest gradient is at most 127.
fn scale(gradients: &[f32]) -> f32 {
    if gradients.iter().any(|value| !value.is_finite()) {
        return f32::INFINITY;
    }
    let largest = gradients.iter().fold(0.0_f64, |largest, &value| largest.max(f64::from(value).abs()));
    let nearest = (largest / LARGEST) as f32;
    if f64::from(nearest) * LARGEST < largest { nearest.next_up() } else { nearest }
}

/// The gradients of a receiver's entries on their way back: rounded, with what rounding took away added to what
/// follows.
///
/// Each entry (k, m) remembers, by dimension, by how much the sum of what it has sent falls short of the sum of what it
/// was given, over all ticks and samples. That is spread evenly over the samples of its next tick: what is sent adds up
/// to what was meant, but for what the last tick's rounding left. It is a [`Network`] without gradients, so that
/// checkpoints and fingerprints have it.
pub struct ErrorFeedback {
    network: Network,
    rounding: Rounding,
    d: usize,
}

impl ErrorFeedback {
    /// Of so many entries of d values; nothing is owed.
    ///
    /// # Errors
    /// If there are no entries or d is 0.
    pub fn new(name: &str, rounding: Rounding, [entries, d]: [usize; 2], stream: Stream) -> Result<Self> {
        let network = Network::new(name, Box::new(Owed::new(entries, d)), stream, DType::F32, &Device::Cpu)?;
        Ok(ErrorFeedback { network, rounding, d })
    }

    /// Begins to round the gradients of some ticks.
    ///
    /// # Errors
    /// If the device fails.
    pub fn begin(&self) -> Result<Owing> {
        let owed = with_values(&self.owed()?.value, <[f32]>::to_vec)?;
        Ok(Owing { owed, rounding: self.rounding, d: self.d })
    }

    /// Remembers what is still owed after them.
    ///
    /// # Errors
    /// If it is another's.
    pub fn end(&mut self, owing: Owing) -> Result<()> {
        let value = &self.owed()?.value;
        Ok(assign(value, &Tensor::from_vec(owing.owed, value.shape(), &Device::Cpu)?)?)
    }

    fn owed(&self) -> Result<&Parameter> {
        self.network.parameters().next().ok_or(Error::Trace)
    }

    /// The network that it is.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to restore it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}

/// What the entries of a receiver owe.
pub struct Owing {
    /// Of every entry, d values.
    owed: Vec<f32>,
    rounding: Rounding,
    d: usize,
}

impl Owing {
    /// Rounds the gradients of an entry's samples of a tick, rows of d values, which are changed into what is rounded.
    pub fn round(&mut self, entry: usize, gradients: &mut [f32], mut stream: Stream) -> Rounded {
        let owed = &mut self.owed[entry * self.d..(entry + 1) * self.d];
        let rows = gradients.len() / self.d;
        for row in gradients.chunks_exact_mut(self.d) {
            row.iter_mut().zip(owed.iter()).for_each(|(value, owed)| *value += owed / rows as f32);
        }
        let rounded = self.rounding.round(gradients, &mut stream);
        let sent = rounded.restore();
        for (at, owed) in owed.iter_mut().enumerate() {
            let short = (at..gradients.len())
                .step_by(self.d)
                .map(|at| f64::from(gradients[at]) - f64::from(sent[at]));
            let short = short.sum::<f64>() as f32;
            // What is not finite ends the run by the message; nothing is to be remembered of it.
            *owed = if short.is_finite() { short } else { 0.0 };
        }
        rounded
    }
}

/// What is owed is no function of anything.
struct Owed {
    layout: Layout,
    d: usize,
}

impl Owed {
    fn new(entries: usize, d: usize) -> Self {
        let mut layout = Layout::default();
        layout.add("owed".into(), &[entries, d]);
        Owed { layout, d }
    }
}

impl Module for Owed {
    fn inputs(&self) -> usize {
        self.d
    }

    fn outputs(&self) -> usize {
        self.d
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn initialise(&self, _: &[Parameter], _: &mut Stream) -> Result<()> {
        Ok(())
    }

    fn forward(
        &self,
        _: &[Parameter],
        _: &Input,
        _: &[usize],
        _: Phase,
        _: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        Err(Error::Trace)
    }

    fn backward(
        &self,
        _: &[Parameter],
        _: &Input,
        _: &(dyn Any + Send),
        _: &Tensor,
        _: Blocks<'_>,
        _: bool,
    ) -> Result<Vec<Tensor>> {
        Err(Error::Trace)
    }

    fn products(&self) -> Vec<Product> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use randomness::{Purpose, Seed};

    use super::*;

    const BOTH: [Rounding; 2] = [Rounding::Bf16, Rounding::Int8];

    fn stream(number: u64) -> Stream {
        Seed::from_number(5).stream(Purpose::Test, &[], number)
    }

    /// Half of how far two neighbours lie apart.
    fn half_step(rounding: Rounding, gradients: &[f32], at: usize) -> f64 {
        match rounding {
            Rounding::Bf16 => f64::from(gradients[at].abs()) / 256.0,
            Rounding::Int8 => f64::from(scale(gradients)) / 2.0,
        }
    }

    #[test]
    fn the_mean_of_what_is_sent_is_what_was_meant() {
        let gradients = [0.3, -0.001, 1.0e-6, -0.77, 0.0, 0.123_456_7];
        let draws = 40_000;
        for rounding in BOTH {
            let mut sums = [0.0; 6];
            for draw in 0..draws {
                let sent = rounding.round(&gradients, &mut stream(draw)).restore();
                sums.iter_mut().zip(sent).for_each(|(sum, sent)| *sum += f64::from(sent));
            }
            for (at, sum) in sums.into_iter().enumerate() {
                // A draw lies within a whole step: its deviation is at most half of one.
                let (mean, bound) = (sum / draws as f64, 5.0 * half_step(rounding, &gradients, at));
                let error = (mean - f64::from(gradients[at])).abs();
                assert!(
                    error <= bound / (draws as f64).sqrt() + 1e-12,
                    "{rounding:?}: {mean} for {}",
                    gradients[at]
                );
            }
        }
    }

    #[test]
    fn what_can_be_said_exactly_stays_as_it_is() {
        let halves =
            [1.0, -0.5, 3.0e5_f32, 0.0].map(|value| restore_bf16((value.to_bits() >> DROPPED) as u16));
        assert_eq!(Rounding::Bf16.round(&halves, &mut stream(0)).restore(), halves);
        let integers = [127.0, -127.0, 1.0, 0.0, -64.0];
        assert_eq!(Rounding::Int8.round(&integers, &mut stream(0)).restore(), integers);
        assert_eq!(
            Rounding::Int8.round(&[0.0; 3], &mut stream(0)),
            Rounded::Int8 { scale: 0.0, values: vec![0; 3] }
        );
    }

    #[test]
    fn what_is_not_finite_does_not_become_finite() {
        for rounding in BOTH {
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let sent = rounding.round(&[1.0, odd], &mut stream(0)).restore();
                assert!(sent.iter().any(|value| !value.is_finite()), "{rounding:?}: {odd} became {sent:?}");
            }
        }
        let largest = Rounding::Bf16.round(&[f32::MAX; 40], &mut stream(0)).restore();
        assert!(largest.iter().all(|value| value.is_finite()));
    }

    proptest! {
        #[test]
        fn no_value_moves_by_more_than_a_step(
            gradients in prop::collection::vec(-1e3_f32..1e3, 1..40), log in -30.0..30.0_f32, draw in any::<u64>(),
        ) {
            let gradients: Vec<f32> = gradients.iter().map(|value| value * log.exp()).collect();
            for rounding in BOTH {
                let sent = rounding.round(&gradients, &mut stream(draw)).restore();
                for (at, sent) in sent.iter().enumerate() {
                    let error = (f64::from(*sent) - f64::from(gradients[at])).abs();
                    let step = 2.0 * half_step(rounding, &gradients, at);
                    prop_assert!(error <= step * (1.0 + 1e-6) + 1e-40, "{rounding:?}: {sent} for {}", gradients[at]);
                }
            }
        }
    }

    #[test]
    fn what_is_sent_adds_up_to_what_was_meant() {
        let (entries, d, rows) = (2, 3, 4);
        for rounding in BOTH {
            let mut feedback = ErrorFeedback::new("owed", rounding, [entries, d], stream(0)).unwrap();
            let (mut meant, mut sent) = (vec![0.0; entries * d], vec![0.0; entries * d]);
            for tick in 0..300 {
                let mut owing = feedback.begin().unwrap();
                for entry in 0..entries {
                    let value = |at: usize| ((at + entry + tick as usize) as f32 * 0.37).sin() * 1e-2 + 3e-3;
                    let mut gradients: Vec<f32> = (0..rows * d).map(value).collect();
                    for (at, value) in gradients.iter().enumerate() {
                        meant[entry * d + at % d] += f64::from(*value);
                    }
                    let rounded = owing.round(entry, &mut gradients, stream(2 * tick + entry as u64));
                    for (at, value) in rounded.restore().iter().enumerate() {
                        sent[entry * d + at % d] += f64::from(*value);
                    }
                }
                feedback.end(owing).unwrap();
            }
            let owed: Vec<f32> = feedback.owed().unwrap().value.flatten_all().unwrap().to_vec1().unwrap();
            for ((meant, sent), owed) in meant.iter().zip(&sent).zip(owed) {
                assert!(
                    (meant - sent - f64::from(owed)).abs() < 1e-5,
                    "{meant} meant, {sent} sent, {owed} owed"
                );
                // Without feedback some 300 x 4 roundings would drift apart as their root.
                assert!((meant - sent).abs() < 5e-4, "{rounding:?}: {meant} meant and {sent} sent");
            }
        }
    }
}
