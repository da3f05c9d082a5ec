//! The channel of each pair of nodes, and what it implies for rates and transport.

use super::{Block, Channel, ChannelKind, Power};
use crate::{Rate, Scenario, pair::names, snr::SnrDb};

impl Scenario {
    /// The channel from transmitter k to receiver t; `None` if it is ideal.
    pub fn channel_between(&self, k: usize, t: usize) -> Option<&Channel> {
        let holds = |channel: &&Channel| names(channel.transmitter, k) && names(channel.receiver, t);
        self.channel.iter().rev().find(holds).filter(|channel| channel.kind != ChannelKind::Ideal)
    }

    /// The analogue channel from transmitter k to receiver t; `None` if the channel is ideal or digital.
    pub fn analogue_between(&self, k: usize, t: usize) -> Option<&Channel> {
        self.channel_between(k, t).filter(|channel| !channel.is_digital())
    }

    /// Whether the rate (17) of sent features is only an estimate: it is taken before a channel normalises their
    /// realised power or clips symbols.
    pub fn rate_sent_is_estimate(&self) -> bool {
        let changes = |channel: &Channel| channel.power == Power::Realised || channel.peak.is_some();
        self.train.method.rate == Rate::Information && self.channels().any(|(_, _, channel)| changes(channel))
    }

    /// Whether any link sends bits over the air.
    pub fn sends_bits(&self) -> bool {
        self.channels().any(|(_, _, channel)| channel.is_digital())
    }

    /// All channels that are not ideal: transmitter, receiver, channel.
    pub fn channels(&self) -> impl Iterator<Item = (usize, usize, &Channel)> {
        let pairs = (0..self.transmitters()).flat_map(|k| (0..self.receivers()).map(move |t| (k, t)));
        pairs.filter_map(|(k, t)| Some((k, t, self.channel_between(k, t)?)))
    }

    /// Whether all samples of a rate estimate meet the same gain and noise: only then can the received rate be
    /// estimated.
    pub fn is_steady(&self, channel: &Channel) -> bool {
        let with_every_tick =
            channel.snr_db.is_some_and(SnrDb::is_range) || (channel.fades() && channel.block == Block::Tick);
        // The sum of several transmitters' features arrives.
        let is_shared = channel.kind == ChannelKind::Mac;
        // Bits arrive, no values.
        let is_digital = channel.is_digital();
        let with_every_sample = channel.fades() && channel.block == Block::Sample;
        let is_unknown = channel.kind.own().is_some();
        !(is_shared
            || is_digital
            || is_unknown
            || with_every_sample
            || (with_every_tick && self.rates_over_rounds()))
    }

    /// Whether transmitter k sends to receiver t over a multiple-access channel.
    pub fn is_mac(&self, k: usize, t: usize) -> bool {
        self.channel_between(k, t).is_some_and(|channel| channel.kind == ChannelKind::Mac)
    }

    /// The `--set` override that gives all channels with noise this SNR and keeps their other keys; `None` if no
    /// channel has noise.
    pub fn channels_at(&self, snr_db: f64) -> Option<String> {
        let mut channels = self.channel.clone();
        let noisy = channels.iter_mut().filter(|channel| channel.has_noise());
        let changed = noisy.map(|channel| channel.snr_db = Some(SnrDb::Fixed(snr_db))).count();
        let tables = toml::Value::try_from(&channels).expect("channels have only strings and numbers");
        (changed > 0).then(|| format!("channel={tables}"))
    }
}
