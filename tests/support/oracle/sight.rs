//! What nodes see of gains, as the formulas say: |h|^2 in dB by the mean and deviation of an exponential law's
//! logarithm.

use std::f64::consts::{LN_10, PI};

use candle_core::{Device, Result, Tensor};
use scenario::{Channel, ChannelKind, Csi, Selection, SnrDb};

use super::{Oracle, mean};

const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

impl Oracle<'_> {
    /// Of receiver t at a tick: one number a transmitter; none at all if no link of it is seen.
    pub(super) fn seen_by_receiver(&self, t: usize, tick: usize) -> Result<Vec<f64>> {
        let transmitters = 0..self.setup.scenario.transmitters();
        let sees = |k: usize| self.sees(k, t, &[Csi::Receiver, Csi::Both]);
        if !transmitters.clone().any(sees) {
            return Ok(Vec::new());
        }
        transmitters.map(|k| if sees(k) { self.seen(k, t, tick) } else { Ok(0.0) }).collect()
    }

    /// Of transmitter k at a tick, of its link to receiver t; none at all if it sees no link.
    pub(super) fn seen_by_transmitter(&self, k: usize, t: usize, tick: usize) -> Result<Vec<f64>> {
        let sees = |t: usize| self.sees(k, t, &[Csi::Both]);
        if !(0..self.setup.scenario.receivers()).any(sees) {
            return Ok(Vec::new());
        }
        Ok(vec![if sees(t) { self.seen(k, t, tick)? } else { 0.0 }])
    }

    /// The same for selectors: one selection for the whole run sees nothing.
    pub(super) fn seen_by_selectors(&self) -> bool {
        self.setup.scenario.train.method.selection == Selection::Learned
    }

    /// Those that receiver t requests where it goes by the strength of its links.
    pub(super) fn strongest(&self, t: usize, tick: usize) -> Result<Vec<usize>> {
        let scenario = &self.setup.scenario;
        let strengths = (0..scenario.transmitters())
            .map(|k| {
                let channel = scenario.channel_between(k, t).expect("all links have one");
                let (gain_db, snr_db) = self.gain_and_snr(channel, k, t, tick)?;
                Ok((gain_db + snr_db, k))
            })
            .collect::<Result<Vec<_>>>()?;
        let beaten = |own: f64| strengths.iter().filter(|(other, _)| *other > own).count();
        let is_strong = |(own, _): &&(f64, usize)| beaten(*own) < scenario.receiver_limit();
        Ok(strengths.iter().filter(is_strong).map(|(_, k)| *k).collect())
    }

    fn sees(&self, k: usize, t: usize, by: &[Csi]) -> bool {
        let changes = |channel: &Channel| {
            channel.kind != ChannelKind::Awgn || matches!(channel.snr_db, Some(SnrDb::Range(..)))
        };
        let channel = self.setup.scenario.channel_between(k, t);
        let seen = channel.is_some_and(|channel| changes(channel) && by.contains(&channel.csi));
        self.setup.scenario.network.see_channel && seen
    }

    /// As a network is given it, in f32.
    fn seen(&self, k: usize, t: usize, tick: usize) -> Result<f64> {
        let channel = self.setup.scenario.channel_between(k, t).expect("it is seen");
        let (gain_db, snr_db) = self.gain_and_snr(channel, k, t, tick)?;
        let centre = mean(channel.snr_db.expect("it has noise").ends().into_iter());
        let (law_mean, deviation) = (-10.0 * EULER_GAMMA / LN_10, 10.0 * PI / (6f64.sqrt() * LN_10));
        Ok(f64::from((((gain_db + snr_db - centre) - law_mean) / deviation).clamp(-4.0, 4.0) as f32))
    }

    fn gain_and_snr(&self, channel: &Channel, k: usize, t: usize, tick: usize) -> Result<(f64, f64)> {
        let link = self.link(channel, [k, t, 0, tick], 1)?;
        let powers = link.gains.iter().map(|[re, im]| re * re + im * im);
        Ok((10.0 * mean(powers).log10(), -10.0 * link.noise_power.log10()))
    }
}

/// Rows with the same values beside each.
pub(super) fn beside(rows: Tensor, values: &[f64]) -> Result<Tensor> {
    if values.is_empty() {
        return Ok(rows);
    }
    let values = Tensor::new(values, &Device::Cpu)?.unsqueeze(0)?;
    let values = values.broadcast_as((rows.dim(0)?, values.dim(1)?))?;
    Tensor::cat(&[&rows, &values], 1)
}
