//! Checks of a scenario's channels.

use super::{Block, Channel, ChannelKind, Csi, RateAt};
use crate::{
    Rate, Scenario, ScenarioError,
    snr::SnrDb,
    validate::{within, within_reals},
};

/// Upper limit in dB, to catch mistyped numbers.
const MOST_DB: f64 = 200.0;

/// Lower limit, which bounds the repetition of bits.
const LEAST_CODE_RATE: f64 = 0.01;
/// Upper limit: above it the first bits of 5G's codes, which are never sent, cannot be decoded.
const MOST_CODE_RATE: f64 = 0.925;

/// Upper limit on the subcarriers of an OFDM symbol, above those of 5G NR.
const MOST_SUBCARRIERS: usize = 4096;

impl Scenario {
    pub(crate) fn validate_channels(&self) -> Result<(), ScenarioError> {
        for (number, channel) in self.channel.iter().enumerate() {
            self.validate_channel(number, channel)?;
            let later = self.channel.iter().skip(number + 1).position(|later| later.covers(channel));
            if let Some(later) = later {
                let by = number + 1 + later;
                let what =
                    format!("never holds: channel {by} overlaps all of it; put the more general one first");
                return Err(ScenarioError::invalid(format!("channel {number}"), what));
            }
        }
        self.validate_mac()?;
        self.validate_rate_at()
    }

    /// Checks that transmitters of a multiple-access channel share one noise, and that none of them is lost alone.
    fn validate_mac(&self) -> Result<(), ScenarioError> {
        let refuse = |what: String| Err(ScenarioError::invalid("channel", what));
        let is_mac = |channel: &Channel| channel.kind == ChannelKind::Mac;
        let mut first: Vec<Option<(usize, SnrDb)>> = vec![None; self.receivers()];
        for (k, t, channel) in self.channels().filter(|(_, _, channel)| is_mac(channel)) {
            if self.skips() {
                return refuse(
                    "of kind \"mac\" needs straggler.policy = \"wait\": what is heard together cannot be lost one by one".into(),
                );
            }
            if self.train.modality_dropout > 0.0 {
                return refuse(
                    "of kind \"mac\" needs train.modality_dropout = 0: what is heard together cannot be dropped one by one".into(),
                );
            }
            if channel.csi == Csi::None {
                return refuse(format!(
                    "of kind \"mac\" needs csi = \"receiver\" or \"both\"; that from transmitter {k} to receiver {t} has \"none\""
                ));
            }
            let Some(snr_db) = channel.snr_db.filter(|snr_db| !snr_db.is_range()) else {
                return refuse(format!(
                    "of kind \"mac\" needs one snr_db, no range; that from transmitter {k} to receiver {t} has another"
                ));
            };
            match first[t] {
                Some((other, its)) if its != snr_db => {
                    return refuse(format!(
                        "of kind \"mac\" has one noise: transmitters {other} and {k} must have the same snr_db to receiver {t}"
                    ));
                }
                _ => first[t] = Some((k, snr_db)),
            }
        }
        Ok(())
    }

    fn validate_channel(&self, number: usize, channel: &Channel) -> Result<(), ScenarioError> {
        let key = |key: &str| format!("channel {number}: {key}");
        self.validate_pair(&format!("channel {number}"), channel.transmitter, channel.receiver)?;
        if let Some(peak) = channel.peak {
            within_reals(&key("peak"), peak, 1.0, 1e6)?;
        }
        if let Some(name) = channel.kind.own() {
            return channel.validate_own(name, key);
        }
        if !channel.parameters.is_empty() {
            let what = "is for a kind that a program of your own adds, which has no other keys";
            return Err(ScenarioError::invalid(key("parameters"), what));
        }
        let snr_db = channel.snr_db.map(SnrDb::ends);
        let wants = |name: &str, value: bool, wanted: bool, whose: &str| match (value, wanted) {
            (false, true) => Err(ScenarioError::invalid(key(name), format!("is missing; {whose} needs it"))),
            (true, false) => Err(ScenarioError::invalid(key(name), format!("is for {whose} alone"))),
            _ => Ok(()),
        };
        let noisy = "a channel with noise (awgn, rayleigh, rician, nakagami, trace, mac)";
        wants("snr_db", snr_db.is_some(), channel.has_noise(), noisy)?;
        let kind = &channel.kind;
        wants("k_factor", channel.k_factor.is_some(), *kind == ChannelKind::Rician, "kind \"rician\"")?;
        wants("shape", channel.shape.is_some(), *kind == ChannelKind::Nakagami, "kind \"nakagami\"")?;
        wants("erasure", channel.erasure.is_some(), *kind == ChannelKind::Erasure, "kind \"erasure\"")?;
        wants("trace", channel.trace.is_some(), *kind == ChannelKind::Trace, "kind \"trace\"")?;
        channel.validate_transport(key)?;
        if *kind == ChannelKind::Trace && channel.block == Block::Sample {
            let what = "is \"sample\", but a trace has one gain for a tick: set \"tick\" or \"round\"";
            return Err(ScenarioError::invalid(key("block"), what));
        }
        let scattered = matches!(kind, ChannelKind::Rayleigh | ChannelKind::Rician);
        let by_ofdm = channel.taps.is_some();
        wants("taps", by_ofdm, by_ofdm && scattered, "kinds \"rayleigh\" and \"rician\"")?;
        wants("subcarriers", channel.subcarriers.is_some(), by_ofdm, "a channel with taps")?;
        wants("decay", channel.decay.is_some(), by_ofdm && channel.decay.is_some(), "a channel with taps")?;
        if let (Some(taps), Some(subcarriers)) = (channel.taps, channel.subcarriers) {
            within(&key("subcarriers"), subcarriers, 1, MOST_SUBCARRIERS)?;
            within(&key("taps"), taps, 1, subcarriers)?;
        }
        if let Some([low, high]) = snr_db {
            within_reals(&key("snr_db"), low, -MOST_DB, MOST_DB)?;
            within_reals(&key("snr_db"), high, -MOST_DB, MOST_DB)?;
            if low > high {
                let what = format!("goes from {low} to {high}; put the smaller first");
                return Err(ScenarioError::invalid(key("snr_db"), what));
            }
        }
        let given = |name: &str, value: Option<f64>, low: f64, high: f64| match value {
            Some(value) => within_reals(&key(name), value, low, high),
            None => Ok(()),
        };
        given("k_factor", channel.k_factor, 0.0, 1e6)?;
        given("shape", channel.shape, 0.5, 1e6)?;
        given("erasure", channel.erasure, 0.0, 1.0)?;
        given("decay", channel.decay, 0.0, 100.0)
    }

    fn validate_rate_at(&self) -> Result<(), ScenarioError> {
        if self.train.rate_at == RateAt::Sent {
            return Ok(());
        }
        let refuse =
            |what: &str| Err(ScenarioError::invalid("train.rate_at", format!("is \"received\", but {what}")));
        if self.train.rate() != Rate::Information {
            return refuse("this method's features have no density: set \"sent\"");
        }
        match self.channels().find(|(_, _, channel)| !self.is_steady(channel)) {
            Some((k, t, channel)) if channel.kind.own().is_some() => refuse(&format!(
                "nobody knows the rate of what arrives from transmitter {k} to receiver {t} over a channel of your own: set \"sent\""
            )),
            Some((k, t, channel)) if channel.is_digital() => {
                refuse(&format!("bits go from transmitter {k} to receiver {t}: set \"sent\""))
            }
            Some((k, t, _)) => refuse(&format!(
                "samples over which a rate is estimated meet different gains from transmitter {k} to receiver {t}: set \"sent\", or \
                 a longer block"
            )),
            None => Ok(()),
        }
    }
}

impl Channel {
    /// Whether this channel covers all pairs of another.
    fn covers(&self, other: &Channel) -> bool {
        let of = |own: Option<usize>, other: Option<usize>| own.is_none() || own == other;
        of(self.transmitter, other.transmitter) && of(self.receiver, other.receiver)
    }

    /// Checks that a kind that a user's program adds sets no built-in keys but those of the pair and of the power.
    fn validate_own(&self, name: &str, key: impl Fn(&str) -> String) -> Result<(), ScenarioError> {
        let plain = Channel::default();
        let stray = [
            ("snr_db", self.snr_db.is_some()),
            ("block", self.block != plain.block),
            ("csi", self.csi != plain.csi),
            ("equaliser", self.equaliser != plain.equaliser),
            ("transport", self.transport != plain.transport),
            ("modulation", self.modulation.is_some()),
            ("code_rate", self.code_rate.is_some()),
            ("k_factor", self.k_factor.is_some()),
            ("shape", self.shape.is_some()),
            ("erasure", self.erasure.is_some()),
            ("trace", self.trace.is_some()),
            ("taps", self.taps.is_some()),
            ("subcarriers", self.subcarriers.is_some()),
            ("decay", self.decay.is_some()),
        ];
        let Some((stray, _)) = stray.into_iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
        let built_in = ChannelKind::names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let what = format!(
            "is for a built-in kind ({built_in}); \"{name}\" is none, and a kind that a program of your own adds has its keys in \
             `parameters`"
        );
        Err(ScenarioError::invalid(key(stray), what))
    }

    /// Checks that a digital transport has noise of a known SNR, a receiver that knows the gain, and no keys of
    /// analogue symbols.
    fn validate_transport(&self, key: impl Fn(&str) -> String) -> Result<(), ScenarioError> {
        if !self.is_digital() {
            let stray = [("modulation", self.modulation.is_some()), ("code_rate", self.code_rate.is_some())];
            let Some((stray, _)) = stray.into_iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
            return Err(ScenarioError::invalid(key(stray), "is for transport = \"digital\" alone"));
        }
        let refuse = |name: &str, what: &str| Err(ScenarioError::invalid(key(name), what));
        let plain = Channel::default();
        if !self.has_noise() || self.kind == ChannelKind::Mac {
            return refuse(
                "transport",
                "is \"digital\", which needs a kind \"awgn\", \"rayleigh\", \"rician\", \"nakagami\" or \"trace\"",
            );
        }
        if self.csi == Csi::None {
            return refuse(
                "csi",
                "is \"none\", but who decodes bits must know the gain: set \"receiver\" or \"both\"",
            );
        }
        let of_features = [
            ("equaliser", self.equaliser != plain.equaliser),
            ("power", self.power != plain.power),
            ("peak", self.peak.is_some()),
        ];
        if let Some((name, _)) = of_features.into_iter().find(|(_, is_set)| *is_set) {
            return refuse(name, "is for transport = \"analogue\" alone: a constellation has its own power");
        }
        match self.code_rate {
            Some(code_rate) => within_reals(&key("code_rate"), code_rate, LEAST_CODE_RATE, MOST_CODE_RATE),
            None => Ok(()),
        }
    }
}
