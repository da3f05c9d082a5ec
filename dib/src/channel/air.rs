use kernels::Real;
use randomness::{Purpose, Seed, Stream};

use super::{Channel, Crossing, Fading, Measure, channel_uses};
use crate::Result;

/// A link through the air: y = h s + n for every complex symbol s, which is two values of a feature side by side. An
/// odd last value has nothing beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Air {
    /// From this all draws derive.
    pub seed: Seed,
    /// Values in a feature.
    pub feature_dim: usize,
    /// Ticks in a round (or groups in a piece of the test set).
    pub ticks_per_round: usize,
    /// What h is drawn from.
    pub fading: Fading,
    /// For how long it holds.
    pub block: Block,
    /// Es/N0; none: there is no noise.
    pub snr: Option<Snr>,
    /// What the receiver does about h.
    pub csi: Csi,
}

/// For how long a gain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// All samples of a tick, of all modalities.
    Tick,
    /// All ticks of a round.
    Round,
    /// One sample of a tick.
    Sample,
}

/// Es/N0 of a complex symbol at average fading power, in dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Snr {
    /// Always this.
    Fixed(f64),
    /// Drawn for every tick, uniform from the one to the other.
    Range(f64, f64),
}

/// What a receiver knows of the gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Csi {
    /// All of it.
    Known(Equaliser),
    /// Nothing: z' = y.
    Unknown,
}

/// How a known gain is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equaliser {
    /// z' = h* y.
    Conjugate,
    /// z' = h* y / |h|^2; nothing where h = 0.
    ZeroForcing,
    /// z' = h* y / (|h|^2 + N0); nothing where both are 0.
    Mmse,
}

/// Symbols on their way through the air, [`Air::symbols`].
pub struct Symbols<'a> {
    air: &'a Air,
    crossing: Crossing,
    /// N0.
    noise: f64,
    stream: Stream,
    /// Those of the row that the next symbol belongs to.
    gains: Vec<[f64; 2]>,
    /// The number of the next symbol.
    next: usize,
}

impl Symbols<'_> {
    /// What is heard of the next symbol s: h s + n, h and N0.
    pub fn hear(&mut self, symbol: [f64; 2]) -> ([f64; 2], [f64; 2], f64) {
        let uses = channel_uses(self.air.feature_dim);
        let (row, place) = (self.next / uses, self.next % uses);
        if place == 0 && row > 0 && self.air.block == Block::Sample {
            self.gains = self.air.gains(&self.crossing, row);
        }
        self.next += 1;
        let gain = self.gains[place % self.gains.len()];
        let deviation = libm::sqrt(self.noise / 2.0);
        let [re, im] = times(gain, symbol);
        let heard = [re + deviation * self.stream.normal(), im + deviation * self.stream.normal()];
        (heard, gain, self.noise)
    }
}

/// What the symbols of a row meet.
#[derive(Clone, Debug)]
struct Condition {
    /// N0, the variance of the noise of a complex symbol.
    noise: f64,
    /// What symbol i meets, at i modulo their number: one that all of them meet, or one for each subcarrier.
    carriers: Vec<Carrier>,
}

/// What symbols of the same gain meet.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    /// h.
    gain: [f64; 2],
    /// w of z' = w y.
    weight: [f64; 2],
}

impl Carrier {
    /// |h|^2.
    fn power(&self) -> f64 {
        self.gain[0] * self.gain[0] + self.gain[1] * self.gain[1]
    }

    /// |h|.
    fn magnitude(&self) -> f64 {
        libm::sqrt(self.power())
    }

    /// w h, what a symbol is multiplied with on its whole way.
    fn through(&self) -> [f64; 2] {
        times(self.weight, self.gain)
    }
}

impl Condition {
    /// What symbol i meets.
    fn carrier(&self, symbol: usize) -> &Carrier {
        &self.carriers[symbol % self.carriers.len()]
    }
}

/// The conditions of a crossing's rows: one for each, or one that all of them share.
struct Conditions(Vec<Condition>);

impl Conditions {
    fn of_row(&self, row: usize) -> &Condition {
        &self.0[row % self.0.len()]
    }
}

impl Air {
    /// h of a crossing's row: one that all its symbols meet, or one for each subcarrier that they lie on.
    pub fn gains(&self, crossing: &Crossing, row: usize) -> Vec<[f64; 2]> {
        let (block, sample) = match self.block {
            Block::Tick => (crossing.tick, 0),
            Block::Round => (crossing.tick / self.ticks_per_round as u64, 0),
            Block::Sample => (crossing.tick, row as u64),
        };
        if let Fading::Trace(trace) = self.fading {
            return vec![trace.gain(block, crossing.transmitter, crossing.receiver)];
        }
        let purpose = crossing.purpose(Purpose::Gain, Purpose::EvaluationGain);
        let indices = [crossing.transmitter as u64, crossing.receiver as u64, crossing.pass, sample];
        self.fading.draw(&mut self.seed.stream(purpose, &indices, block), channel_uses(self.feature_dim))
    }

    /// Es/N0 at a crossing's tick, in dB; none without noise.
    pub fn snr_db(&self, crossing: &Crossing) -> Option<f64> {
        Some(match self.snr? {
            Snr::Fixed(snr_db) => snr_db,
            Snr::Range(low, high) => {
                let purpose = crossing.purpose(Purpose::Snr, Purpose::EvaluationSnr);
                let indices = [crossing.transmitter as u64, crossing.receiver as u64, crossing.pass];
                self.seed.stream(purpose, &indices, crossing.tick).uniform_in(low, high)
            }
        })
    }

    /// What symbols meet that cross one after the other and are no values of features: the gains and the noise that
    /// rows of features would meet, [`channel_uses`] symbols a row, and on.
    pub fn symbols(&self, crossing: &Crossing) -> Symbols<'_> {
        Symbols {
            air: self,
            crossing: *crossing,
            noise: self.noise_power(crossing),
            stream: self.noise_stream(crossing),
            gains: self.gains(crossing, 0),
            next: 0,
        }
    }

    /// N0 = 10^(-snr / 10), the power of a symbol being 1.
    pub(super) fn noise_power(&self, crossing: &Crossing) -> f64 {
        self.snr_db(crossing).map_or(0.0, |snr_db| libm::pow(10.0, -snr_db / 10.0))
    }

    /// What is done about a gain, N0 being `noise`.
    fn carrier(&self, gain: [f64; 2], noise: f64) -> Carrier {
        let power = gain[0] * gain[0] + gain[1] * gain[1];
        let over = |below: f64| if below > 0.0 { 1.0 / below } else { 0.0 };
        let factor = match self.csi {
            Csi::Unknown => return Carrier { gain, weight: [1.0, 0.0] },
            Csi::Known(Equaliser::Conjugate) => 1.0,
            // 1 / |h|^2 would overflow f32. Such a gain is never drawn in practice, but finite values must stay finite.
            Csi::Known(Equaliser::ZeroForcing) if power < f64::from(f32::MIN_POSITIVE) => 0.0,
            Csi::Known(Equaliser::ZeroForcing) => over(power),
            Csi::Known(Equaliser::Mmse) => over(power + noise),
        };
        Carrier { gain, weight: [factor * gain[0], -factor * gain[1]] }
    }

    fn condition(&self, crossing: &Crossing, row: usize, noise: f64) -> Condition {
        let gains = self.gains(crossing, row);
        Condition { noise, carriers: gains.into_iter().map(|gain| self.carrier(gain, noise)).collect() }
    }

    /// The conditions of a crossing of `rows` rows.
    fn conditions(&self, crossing: &Crossing, rows: usize) -> Conditions {
        let noise = self.noise_power(crossing);
        let different = if self.block == Block::Sample { rows } else { rows.min(1) };
        Conditions((0..different).map(|row| self.condition(crossing, row, noise)).collect())
    }

    /// Where the noise of a crossing comes from: two normals a symbol, row after row.
    pub(super) fn noise_stream(&self, crossing: &Crossing) -> Stream {
        crossing.draws(self.seed)
    }

    /// The draws of a crossing of so many rows, as bytes: SNR, gains, then noise.
    pub fn audit_record(&self, crossing: &Crossing, rows: usize) -> Vec<u8> {
        let mut numbers = vec![self.snr_db(crossing).unwrap_or(f64::INFINITY)];
        let gains = if self.block == Block::Sample { rows } else { 1 };
        numbers.extend((0..gains).flat_map(|row| self.gains(crossing, row)).flatten());
        if self.snr.is_some() {
            let mut stream = self.noise_stream(crossing);
            numbers.extend((0..2 * rows * channel_uses(self.feature_dim)).map(|_| stream.normal()));
        }
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Adds to every symbol, multiplied by what `through` makes of what it meets, its noise multiplied by what `weight`
    /// does.
    fn cross<T: Real>(
        &self,
        crossing: &Crossing,
        values: &mut [T],
        through: impl Fn(&Carrier) -> [f64; 2],
        weight: impl Fn(&Carrier) -> [f64; 2],
    ) {
        let conditions = self.conditions(crossing, values.len() / self.feature_dim);
        let mut noise = self.snr.is_some().then(|| self.noise_stream(crossing));
        for (row, values) in values.chunks_exact_mut(self.feature_dim).enumerate() {
            let condition = conditions.of_row(row);
            let deviation = libm::sqrt(condition.noise / 2.0);
            for (number, symbol) in values.chunks_mut(2).enumerate() {
                let carrier = condition.carrier(number);
                let [mut re, mut im] = times(through(carrier), read(symbol));
                if let Some(stream) = &mut noise {
                    let drawn = [deviation * stream.normal(), deviation * stream.normal()];
                    let [noise_re, noise_im] = times(weight(carrier), drawn);
                    (re, im) = (re + noise_re, im + noise_im);
                }
                write(symbol, [re, im]);
            }
        }
    }
}

impl<T: Real> Channel<T> for Air {
    fn send(&self, crossing: &Crossing, features: &mut [T]) -> Result<()> {
        self.cross(crossing, features, Carrier::through, |carrier| carrier.weight);
        Ok(())
    }

    fn pull_back(&self, crossing: &Crossing, _: &[T], gradient: &mut [T]) -> Result<()> {
        let conditions = self.conditions(crossing, gradient.len() / self.feature_dim);
        for (row, gradient) in gradient.chunks_exact_mut(self.feature_dim).enumerate() {
            for (number, symbol) in gradient.chunks_mut(2).enumerate() {
                // The transpose of a multiplication with a complex number is that with its conjugate.
                let [re, im] = conditions.of_row(row).carrier(number).through();
                write(symbol, times([re, -im], read(symbol)));
            }
        }
        Ok(())
    }

    /// |h| s + e^(-j arg h) n: a gain that is known can be turned back, and so the noise stays circular. What is erased tells nothing:
    /// mean 0 and deviation 1, whatever was sent.
    fn observe(&self, crossing: &Crossing, rows: usize, [z, mu, std]: [&mut [T]; 3]) -> Vec<f64> {
        let turn = |carrier: &Carrier| match carrier.magnitude() {
            0.0 => [1.0, 0.0],
            magnitude => [carrier.gain[0] / magnitude, -carrier.gain[1] / magnitude],
        };
        self.cross(crossing, z, |carrier| [carrier.magnitude(), 0.0], turn);
        let conditions = self.conditions(crossing, rows);
        let posteriors = mu.chunks_exact_mut(self.feature_dim).zip(std.chunks_exact_mut(self.feature_dim));
        let mut gains = Vec::with_capacity(rows * self.feature_dim);
        for (row, (mu, std)) in posteriors.enumerate() {
            let condition = conditions.of_row(row);
            for (value, (mu, std)) in mu.iter_mut().zip(std).enumerate() {
                let carrier = condition.carrier(value / 2);
                *mu = T::from_f64(carrier.magnitude() * mu.to_f64());
                let variance = carrier.power() * std.to_f64() * std.to_f64() + condition.noise / 2.0;
                *std = T::from_f64(if variance > 0.0 { libm::sqrt(variance) } else { 1.0 });
                gains.push(carrier.magnitude());
            }
        }
        gains
    }

    fn measure(&self, crossing: &Crossing, rows: usize) -> Option<Measure> {
        let conditions = self.conditions(crossing, rows);
        let uses = channel_uses(self.feature_dim);
        let capacity = |condition: &Condition| {
            let of_use = |number| libm::log1p(condition.carrier(number).power() / condition.noise);
            (0..uses).map(of_use).sum::<f64>() / uses as f64
        };
        let mean = (0..rows).map(|row| capacity(conditions.of_row(row))).sum::<f64>() / rows.max(1) as f64;
        Some(Measure { snr_db: self.snr_db(crossing), capacity: self.snr.is_some().then_some(mean) })
    }
}

pub(super) fn times([a, b]: [f64; 2], [c, d]: [f64; 2]) -> [f64; 2] {
    [a * c - b * d, a * d + b * c]
}

/// A symbol of two values, or of one.
pub(super) fn read<T: Real>(symbol: &[T]) -> [f64; 2] {
    [symbol[0].to_f64(), symbol.get(1).map_or(0.0, |value| value.to_f64())]
}

pub(super) fn write<T: Real>(symbol: &mut [T], [re, im]: [f64; 2]) {
    symbol[0] = T::from_f64(re);
    if let Some(value) = symbol.get_mut(1) {
        *value = T::from_f64(im);
    }
}
