//! The running means of power by which features are scaled where a channel's power is limited on average.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use dib::channel_uses;
use node::{Context, NodeError};
use scenario::Power;

use crate::coded::Coded;

/// How far a round moves a mean.
const STEP: f64 = 0.1;

/// The mean power of a symbol before it is scaled, by modality and receiver: 0 as long as nothing was sent. A step
/// moves it, as it does parameters, but no gradient flows through it.
pub(crate) struct Averages {
    /// What its tensor is called in a state.
    name: String,
    uses: f64,
    of: Vec<Vec<f32>>,
}

impl Averages {
    /// Those of a transmitter; none if no channel of it wants them.
    pub(crate) fn new(context: &Context) -> Option<Self> {
        let (scenario, k) = (&context.scenario, context.index);
        let is_average =
            |t| scenario.channel_between(k, t).is_some_and(|channel| channel.power == Power::Average);
        (0..scenario.receivers()).any(is_average).then(|| Averages {
            // The ending says that it is no parameter.
            name: format!("transmitter{k}/power.mean"),
            uses: channel_uses(context.feature_dim()) as f64,
            of: vec![vec![0.0; scenario.receivers()]; scenario.modalities(k)],
        })
    }

    /// That of an entry.
    pub(crate) fn of(&self, m: usize, t: usize) -> f64 {
        self.of[m][t].into()
    }

    /// Moves every mean towards that of a round whose parts were encoded so: sums are over ticks, in their order.
    pub(crate) fn learn<'a>(&mut self, samples: usize, parts: impl Iterator<Item = &'a Coded> + Clone) {
        for (m, of_modality) in self.of.iter_mut().enumerate() {
            for (t, mean) in of_modality.iter_mut().enumerate() {
                let (mut energy, mut rows) = (0.0, 0);
                for coded in parts.clone().filter_map(|part| part.modalities[m].as_ref()) {
                    let Some(amplified) = &coded.on_air.amplified else { continue };
                    let own = coded.entries.iter().zip(&amplified.energies).filter(|(entry, _)| entry.1 == t);
                    for (_, of_entry) in own {
                        energy += of_entry;
                        rows += samples;
                    }
                }
                *mean = moved(*mean, energy / (rows.max(1) as f64 * self.uses));
            }
        }
    }

    /// As a state keeps them.
    pub(crate) fn tensor(&self) -> Result<(String, Tensor), NodeError> {
        let (rows, columns) = (self.of.len(), self.of.first().map_or(0, Vec::len));
        Ok((self.name.clone(), Tensor::from_vec(self.of.concat(), (rows, columns), &Device::Cpu)?))
    }

    /// Takes them from a state.
    ///
    /// # Errors
    /// If it has none, others, or such as no mean can be.
    pub(crate) fn restore(&mut self, tensors: &HashMap<String, Tensor>) -> Result<(), NodeError> {
        let columns = self.of.first().map_or(0, Vec::len);
        let kept = tensors.get(&self.name).and_then(|tensor| tensor.to_vec2::<f32>().ok());
        let fits = |kept: &Vec<Vec<f32>>| {
            let is_mean = |value: &f32| value.is_finite() && *value >= 0.0;
            let fits = |row: &Vec<f32>| row.len() == columns && row.iter().all(is_mean);
            kept.len() == self.of.len() && kept.iter().all(fits)
        };
        self.of = kept.filter(fits).ok_or_else(|| {
            let shape = format!("{} x {columns}", self.of.len());
            NodeError::Input(format!(
                "the checkpoint has no tensor \"{}\" of {shape} means of power",
                self.name
            ))
        })?;
        Ok(())
    }
}

/// A mean after a round of this mean power a symbol: 0 if nothing was sent. An entry's first round gives it its value.
fn moved(mean: f32, found: f64) -> f32 {
    if !(found > 0.0 && found.is_finite()) {
        return mean;
    }
    let before = f64::from(mean);
    let after = if before > 0.0 { before + STEP * (found - before) } else { found };
    after as f32
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "drawn features need not be equal bit by bit")]
mod tests {
    use dib::{Amplified, Features, Posterior, PowerGroup};
    use randomness::{Purpose, Seed, Stream};

    use super::*;

    const WIDTH: usize = 8;
    const ROWS: usize = 2000;
    const ROUNDS: usize = 60;
    /// Rounds until nothing is left of the first one's mean.
    const WARM_UP: usize = 20;

    /// Features of a round: means and deviations of the same laws in every round.
    fn features(stream: &mut Stream) -> Features {
        let draw = |stream: &mut Stream| (0..ROWS * WIDTH).map(|_| stream.normal()).collect::<Vec<f64>>();
        let mu: Vec<f64> = draw(stream).iter().map(|normal| 3.0 * normal).collect();
        let std: Vec<f64> = draw(stream).iter().map(|normal| (0.5 * normal).exp()).collect();
        let noise = draw(stream);
        let z: Vec<f64> =
            mu.iter().zip(&std).zip(&noise).map(|((mu, std), noise)| mu + std * noise).collect();
        let tensor = |values: Vec<f64>| Tensor::from_vec(values, (ROWS, WIDTH), &Device::Cpu).unwrap();
        Features { z: tensor(z), posterior: Some(Posterior { mu: tensor(mu), std: tensor(std) }) }
    }

    #[test]
    fn features_that_stay_alike_are_sent_with_a_power_of_one_after_warm_up() {
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        let symbols = (ROWS * channel_uses(WIDTH)) as f64;
        let (mut mean, mut powers) = (0.0_f32, Vec::new());
        for _ in 0..ROUNDS {
            let power = Some(dib::Power::Average(mean.into()));
            let group = PowerGroup { rows: ROWS, power, peak: None };
            let amplified = Amplified::new(&features(&mut stream), &[group]).unwrap();
            let sent: Vec<f64> = amplified.sent.flatten_all().unwrap().to_vec1().unwrap();
            powers.push(sent.iter().map(|value| value * value).sum::<f64>() / symbols);
            mean = moved(mean, amplified.energies[0] / symbols);
        }
        // In the first round there is no mean yet, and nothing is scaled.
        assert!(powers[0] > 10.0, "{}", powers[0]);
        let warm = &powers[WARM_UP..];
        let power = warm.iter().sum::<f64>() / warm.len() as f64;
        assert!((power - 1.0).abs() < 0.01, "{power}");
        // 8000 symbols a round: no round is far off.
        assert!(warm.iter().all(|power| (power - 1.0).abs() < 0.1), "{warm:?}");
    }

    #[test]
    fn a_round_in_which_nothing_is_sent_moves_no_mean() {
        assert_eq!(
            [moved(2.0, 0.0), moved(2.0, f64::INFINITY), moved(2.0, 3.0), moved(0.0, 3.0)],
            [2.0, 2.0, 2.1, 3.0]
        );
    }
}
