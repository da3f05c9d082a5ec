//! What the scenario says of the air, as channels.

use std::sync::Arc;

use dib::{
    Air, Channel, Crossing, Csi, Equaliser, Fading, FadingBlock, Ideal, Mac, Phase, Power, PowerGroup, Snr,
};
use scenario::{Block, ChannelKind, RateAt, Scenario, SnrDb};
use sha2::{Digest, Sha256};

use crate::{Context, NodeError, described::own_channel::own_channel, described::trace::trace};

/// Of a tapped delay line: each path has 1/e of the power of the one before.
const DEFAULT_DECAY: f64 = 1.0;

/// What features of transmitter k meet on their way to receiver t; none if they arrive as they are sent, or if only a
/// user's program knows what happens to them.
pub fn air(scenario: &Scenario, seed: randomness::Seed, k: usize, t: usize) -> Option<Air> {
    let channel = scenario.channel_between(k, t)?;
    let k_factor = channel.k_factor.unwrap_or_default();
    // What a kind needs, a checked scenario has.
    let fading = match &channel.kind {
        ChannelKind::Rayleigh | ChannelKind::Rician if channel.taps.is_some() => Fading::Multipath {
            taps: channel.taps.unwrap_or(1),
            decay: channel.decay.unwrap_or(DEFAULT_DECAY),
            subcarriers: channel.subcarriers.unwrap_or(1),
            k_factor,
        },
        ChannelKind::Ideal | ChannelKind::Awgn => Fading::None,
        ChannelKind::Rayleigh | ChannelKind::Mac => Fading::Rayleigh,
        ChannelKind::Rician => Fading::Rician { k_factor },
        ChannelKind::Nakagami => Fading::Nakagami { shape: channel.shape.unwrap_or(1.0) },
        ChannelKind::Erasure => Fading::Erasure { probability: channel.erasure.unwrap_or_default() },
        // Whoever takes part has read it before.
        ChannelKind::Trace => {
            channel.trace.as_ref().and_then(|path| trace(path, scenario)).map_or(Fading::None, Fading::Trace)
        }
        ChannelKind::Own(_) => return None,
    };
    let equaliser = match channel.equaliser {
        scenario::Equaliser::Conjugate => Equaliser::Conjugate,
        scenario::Equaliser::ZeroForcing => Equaliser::ZeroForcing,
        scenario::Equaliser::Mmse => Equaliser::Mmse,
    };
    Some(Air {
        seed,
        feature_dim: scenario.network.feature_dim,
        ticks_per_round: scenario.train.ticks_per_round,
        fading,
        block: match channel.block {
            Block::Tick => FadingBlock::Tick,
            Block::Round => FadingBlock::Round,
            Block::Sample => FadingBlock::Sample,
        },
        snr: channel.snr_db.map(|snr_db| match snr_db {
            SnrDb::Fixed(snr_db) => Snr::Fixed(snr_db),
            SnrDb::Range(low, high) => Snr::Range(low, high),
        }),
        csi: match channel.csi {
            scenario::Csi::None => Csi::Unknown,
            scenario::Csi::Receiver | scenario::Csi::Both => Csi::Known(equaliser),
        },
    })
}

/// A receiver's digest of what its channels draw in a round, whoever is granted what: SNR and gain at every tick of
/// every transmitter, and the noise of every modality, or of every slot where transmitters are heard together; of a
/// channel of a user's program, what arrives of fixed values.
///
/// # Errors
/// A line of the user's program.
pub fn air_digest(
    scenario: &Scenario,
    seed: randomness::Seed,
    t: usize,
    round: u64,
) -> Result<[u8; 32], NodeError> {
    let (ticks, samples) = (scenario.train.ticks_per_round as u64, scenario.train.samples_per_tick);
    let mut digest = Sha256::new();
    for transmitter in 0..scenario.transmitters() {
        let own = own_channel(scenario, seed, transmitter, t).transpose()?;
        let air = air(scenario, seed, transmitter, t);
        for modality in 0..scenario.modalities(transmitter) {
            for tick in round * ticks..(round + 1) * ticks {
                let phase = Phase::Train;
                let crossing = Crossing { phase, pass: 0, transmitter, receiver: t, modality, tick };
                match (&own, &air) {
                    (Some(own), _) => digest.update(own.audit_record(&crossing)?),
                    (None, Some(air)) => digest.update(air.audit_record(&crossing, samples)),
                    (None, None) => {}
                }
            }
        }
    }
    if let Some(mac) = mac(scenario, seed, t) {
        let senders = (0..scenario.transmitters()).filter(|&k| scenario.is_mac(k, t));
        // A tick grants at most as many entries of a transmitter as it has modalities.
        for slot in 0..senders.map(|k| scenario.modalities(k)).max().unwrap_or_default() {
            for tick in round * ticks..(round + 1) * ticks {
                let (phase, transmitter) = (Phase::Train, 0);
                let slot = Crossing { phase, pass: 0, transmitter, receiver: t, modality: slot, tick };
                digest.update(mac.audit_record(&slot, samples));
            }
        }
    }
    Ok(digest.finalize().into())
}

/// What receiver t hears several transmitters over at once; none if it hears all alone.
fn mac(scenario: &Scenario, seed: randomness::Seed, t: usize) -> Option<Mac> {
    let k = (0..scenario.transmitters()).find(|&k| scenario.is_mac(k, t))?;
    air(scenario, seed, k, t).map(|air| Mac { air })
}

impl Context {
    /// The channel from transmitter k to receiver t.
    ///
    /// # Errors
    /// A line of the user's program, if it is of a kind that it adds.
    pub fn channel(&self, k: usize, t: usize) -> Result<Arc<dyn Channel<f32>>, NodeError> {
        if let Some(own) = own_channel(&self.scenario, self.seed, k, t) {
            return Ok(Arc::new(own?));
        }
        Ok(match self.air_alone(k, t) {
            Some(air) => Arc::new(air),
            None => Arc::new(Ideal),
        })
    }

    /// The same for the rate of what arrives; ideal where nobody knows that rate.
    pub fn observed_channel(&self, k: usize, t: usize) -> Arc<dyn Channel<f64>> {
        match self.air_alone(k, t) {
            Some(air) => Arc::new(air),
            None => Arc::new(Ideal),
        }
    }

    /// What a link's features meet by themselves: what is heard together, no channel of one link changes, nor what is
    /// sent as bits.
    fn air_alone(&self, k: usize, t: usize) -> Option<Air> {
        let scenario = &self.scenario;
        let is_alone = scenario.analogue_between(k, t).is_some() && !scenario.is_mac(k, t);
        air(scenario, self.seed, k, t).filter(|_| is_alone)
    }

    /// What receiver t hears several transmitters over at once; none if it hears all alone.
    pub fn mac(&self, t: usize) -> Option<Mac> {
        mac(&self.scenario, self.seed, t)
    }

    /// How so many rows, an entry's samples of a tick, are sent from transmitter k to receiver t; `average` is the
    /// running mean of the entry's power.
    pub fn power(&self, k: usize, t: usize, rows: usize, average: f64) -> PowerGroup {
        let channel = self.scenario.analogue_between(k, t);
        let power = channel.map(|channel| match channel.power {
            scenario::Power::Sample => Power::Sample,
            scenario::Power::Entry => Power::Entry,
            scenario::Power::Realised => Power::Realised,
            scenario::Power::Average => Power::Average(average),
        });
        PowerGroup { rows, power, peak: channel.and_then(|channel| channel.peak) }
    }

    /// Whether the rate of what arrives at receiver t of transmitter k is counted: in evaluation where all samples of
    /// an estimate meet the same, in training where it is trained with.
    pub fn counts_received(&self, k: usize, t: usize, phase: Phase) -> bool {
        let train = &self.scenario.train;
        let channel = self.scenario.channel_between(k, t);
        let can_be = channel.is_some_and(|channel| self.scenario.is_steady(channel));
        let wanted = phase == Phase::Evaluate || train.rate_at == RateAt::Received;
        can_be && wanted && train.method.rate == scenario::Rate::Information
    }
}
