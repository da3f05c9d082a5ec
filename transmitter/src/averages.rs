//! The running means of power by which features are scaled where a channel's power is limited on average.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use dib::channel_uses;
use node::{Context, NodeError};
use scenario::Power;

use crate::coded::Coded;

/// How far a round moves a mean.
const STEP: f64 = 0.1;

/// The mean power of a symbol before it is scaled, by modality and receiver: 0 as long as nothing was sent. A step moves it, as it does
/// parameters, but no gradient flows through it.
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
                let found = energy / (rows.max(1) as f64 * self.uses);
                if found > 0.0 && found.is_finite() {
                    let before = f64::from(*mean);
                    let after = if before > 0.0 { before + STEP * (found - before) } else { found };
                    *mean = after as f32;
                }
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
