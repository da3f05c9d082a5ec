//! What features meet in the air: gain, noise, power.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    Rate, Scenario, ScenarioError,
    pair::names,
    snr::SnrDb,
    validate::{within, within_reals},
};

/// The channel of a pair, or of several that are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Channel {
    /// Of which transmitter; none: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmitter: Option<usize>,
    /// To which receiver; none: to all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<usize>,
    /// What happens to a symbol.
    pub kind: ChannelKind,
    /// Es/N0 per complex symbol at average fading power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snr_db: Option<SnrDb>,
    /// For how long a gain holds.
    pub block: Block,
    /// Who knows the gain.
    pub csi: Csi,
    /// What a receiver that knows the gain does about it.
    pub equaliser: Equaliser,
    /// Whether features go over the air, or bits that tell them.
    pub transport: Transport,
    /// Of a digital transport: the constellation of its symbols; none: the one that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modulation: Option<Modulation>,
    /// Of a digital transport: bits of a transport block over bits that are sent; none: what fits the channel uses of
    /// the features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_rate: Option<f64>,
    /// Of `rician`: power of the line of sight over that of the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k_factor: Option<f64>,
    /// Of `nakagami`: m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<f64>,
    /// Of `erasure`: the probability that a block is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<f64>,
    /// Of `trace`: a .npz file with complex gains, [times, transmitters, receivers].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Of `rayleigh` and `rician`: paths of a tapped delay line, over which features go by OFDM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taps: Option<usize>,
    /// Of `taps`: subcarriers of an OFDM symbol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subcarriers: Option<usize>,
    /// Of `taps`: the power of path l falls as exp(-decay l).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// How the power of a symbol becomes 1.
    pub power: Power,
    /// The largest power that a symbol is sent with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    /// Of a kind that a user's program adds: the kind's own keys. That program checks them, not the scenario.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub parameters: Table,
}

/// What happens to a symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ChannelKind {
    /// Nothing.
    Ideal,
    /// Noise.
    Awgn,
    /// A gain CN(0, 1), and noise.
    Rayleigh,
    /// A gain around a line of sight, and noise.
    Rician,
    /// A gain whose power has a gamma law, and noise.
    Nakagami,
    /// A gain of 0 or 1, without noise.
    Erasure,
    /// Gains that a file has, and noise.
    Trace,
    /// A gain CN(0, 1); and all that transmitters send to the receiver in the same slot, added up, and noise.
    Mac,
    /// What a user's program adds under this name. The program checks that it exists, not the scenario.
    Own(String),
}

/// The built-in kinds, by their names in scenarios.
const BUILT_IN: [(&str, ChannelKind); 8] = [
    ("ideal", ChannelKind::Ideal),
    ("awgn", ChannelKind::Awgn),
    ("rayleigh", ChannelKind::Rayleigh),
    ("rician", ChannelKind::Rician),
    ("nakagami", ChannelKind::Nakagami),
    ("erasure", ChannelKind::Erasure),
    ("trace", ChannelKind::Trace),
    ("mac", ChannelKind::Mac),
];

impl ChannelKind {
    /// The names of the built-in kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The name of a kind that a user's program adds; none of a built-in one.
    pub fn own(&self) -> Option<&str> {
        match self {
            ChannelKind::Own(name) => Some(name),
            _ => None,
        }
    }
}

impl From<String> for ChannelKind {
    fn from(name: String) -> Self {
        let built_in = BUILT_IN.into_iter().find(|(known, _)| *known == name);
        built_in.map_or(ChannelKind::Own(name), |(_, kind)| kind)
    }
}

impl From<ChannelKind> for String {
    fn from(kind: ChannelKind) -> Self {
        let built_in = BUILT_IN.into_iter().find(|(_, known)| *known == kind);
        match (built_in, kind) {
            (Some((name, _)), _) => name.to_owned(),
            (None, ChannelKind::Own(name)) => name,
            (None, other) => unreachable!("{other:?} has a name"),
        }
    }
}

/// For how long a gain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// All samples of a tick.
    Tick,
    /// All ticks of a round.
    Round,
    /// One sample.
    Sample,
}

/// Who knows the gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Csi {
    /// The receiver.
    Receiver,
    /// The transmitter too.
    Both,
    /// Nobody.
    None,
}

/// What a receiver that knows the gain h does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equaliser {
    /// h* y.
    Conjugate,
    /// h* y / |h|^2.
    ZeroForcing,
    /// h* y / (|h|^2 + N0).
    Mmse,
}

/// What symbols carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// The values of features, two a symbol.
    Analogue,
    /// Bits: the entry's code, protected by an LDPC code.
    Digital,
}

/// The constellation of a digital transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Modulation {
    /// 1 bit a symbol.
    #[serde(rename = "bpsk")]
    Bpsk,
    /// 2 bits.
    #[serde(rename = "qpsk")]
    Qpsk,
    /// 4 bits.
    #[serde(rename = "16-qam")]
    Qam16,
    /// 6 bits.
    #[serde(rename = "64-qam")]
    Qam64,
}

/// How the mean power of a complex symbol becomes 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// Of each sample, on average over its own noise.
    Sample,
    /// The same of an entry's samples of a tick together.
    Entry,
    /// Of each sample as it was drawn.
    Realised,
    /// Of all samples of an entry, on average: by a running mean of its rounds.
    Average,
}

/// Which rate is trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateAt {
    /// That of what is sent.
    Sent,
    /// That of what arrives.
    Received,
}

/// dB. More is a mistyped number.
const MOST_DB: f64 = 200.0;

/// Less is repetition without end.
const LEAST_CODE_RATE: f64 = 0.01;
/// Beyond it the first bits of 5G's codes, which are never sent, cannot be found.
const MOST_CODE_RATE: f64 = 0.925;

/// Of an OFDM symbol, as many as in 5G NR and more.
const MOST_SUBCARRIERS: usize = 4096;

impl Default for Channel {
    fn default() -> Self {
        Channel {
            transmitter: None,
            receiver: None,
            kind: ChannelKind::Ideal,
            snr_db: None,
            block: Block::Tick,
            csi: Csi::Receiver,
            equaliser: Equaliser::Mmse,
            transport: Transport::Analogue,
            modulation: None,
            code_rate: None,
            k_factor: None,
            shape: None,
            erasure: None,
            trace: None,
            taps: None,
            subcarriers: None,
            decay: None,
            power: Power::Sample,
            peak: None,
            parameters: Table::new(),
        }
    }
}

impl Channel {
    /// Whether its gain differs from block to block. What a user's program does has no gain that anybody knows.
    pub fn fades(&self) -> bool {
        !matches!(self.kind, ChannelKind::Ideal | ChannelKind::Awgn | ChannelKind::Own(_))
    }

    /// Whether its noise is that of `snr_db`.
    fn has_noise(&self) -> bool {
        !matches!(self.kind, ChannelKind::Ideal | ChannelKind::Erasure | ChannelKind::Own(_))
    }

    /// Of a kind that a user's program adds, all keys but those of the pair and of the power are its own.
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

    /// Whether bits go over the air, and no values.
    pub fn is_digital(&self) -> bool {
        self.transport == Transport::Digital
    }

    /// Bits need noise that is known, a receiver that knows the gain, and symbols of their own power.
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

    fn covers(&self, other: &Channel) -> bool {
        let of = |own: Option<usize>, other: Option<usize>| own.is_none() || own == other;
        of(self.transmitter, other.transmitter) && of(self.receiver, other.receiver)
    }
}

impl Scenario {
    /// The channel from transmitter k to receiver t; none if what is sent there arrives as it is.
    pub fn channel_between(&self, k: usize, t: usize) -> Option<&Channel> {
        let holds = |channel: &&Channel| names(channel.transmitter, k) && names(channel.receiver, t);
        self.channel.iter().rev().find(holds).filter(|channel| channel.kind != ChannelKind::Ideal)
    }

    /// The same, where it changes the values of features: none if they arrive as they are sent, or bits are sent.
    pub fn analogue_between(&self, k: usize, t: usize) -> Option<&Channel> {
        self.channel_between(k, t).filter(|channel| !channel.is_digital())
    }

    /// Whether the rate (17) of what is sent is only an estimate: that of features before a channel scales them as they
    /// were drawn, or cuts symbols off.
    pub fn rate_sent_is_estimate(&self) -> bool {
        let changes = |channel: &Channel| channel.power == Power::Realised || channel.peak.is_some();
        self.train.method.rate == Rate::Information && self.channels().any(|(_, _, channel)| changes(channel))
    }

    /// Whether any link sends bits over the air.
    pub fn sends_bits(&self) -> bool {
        self.channels().any(|(_, _, channel)| channel.is_digital())
    }

    /// The channels of all pairs that have one: transmitter, receiver, channel.
    pub fn channels(&self) -> impl Iterator<Item = (usize, usize, &Channel)> {
        let pairs = (0..self.transmitters()).flat_map(|k| (0..self.receivers()).map(move |t| (k, t)));
        pairs.filter_map(|(k, t)| Some((k, t, self.channel_between(k, t)?)))
    }

    /// Whether all samples over which a rate is estimated meet the same: only then can that of what arrives be.
    pub fn is_steady(&self, channel: &Channel) -> bool {
        let with_every_tick =
            channel.snr_db.is_some_and(SnrDb::is_range) || (channel.fades() && channel.block == Block::Tick);
        // Others' features arrive with it.
        let is_shared = channel.kind == ChannelKind::Mac;
        // Nothing arrives of values.
        let is_digital = channel.is_digital();
        let with_every_sample = channel.fades() && channel.block == Block::Sample;
        let is_unknown = channel.kind.own().is_some();
        !(is_shared
            || is_digital
            || is_unknown
            || with_every_sample
            || (with_every_tick && self.rates_over_rounds()))
    }

    /// What sets the SNR of all channels with noise on a command line, everything else of them being as it is; none if
    /// there are none.
    pub fn channels_at(&self, snr_db: f64) -> Option<String> {
        let mut channels = self.channel.clone();
        let noisy = channels.iter_mut().filter(|channel| channel.has_noise());
        let changed = noisy.map(|channel| channel.snr_db = Some(SnrDb::Fixed(snr_db))).count();
        let tables = toml::Value::try_from(&channels).expect("channels have only strings and numbers");
        (changed > 0).then(|| format!("channel={tables}"))
    }

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

    /// Who is heard together shares one noise, and comes or is lost together.
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

    /// Whether what transmitter k sends to receiver t is heard together with what others send.
    pub fn is_mac(&self, k: usize, t: usize) -> bool {
        self.channel_between(k, t).is_some_and(|channel| channel.kind == ChannelKind::Mac)
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
        if self.train.method.rate != Rate::Information {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = r#"
        [[transmitter]]
        modalities = ["fft"]
        [[transmitter]]
        modalities = ["mel"]
        [[receiver]]
        task = "digit"
        [[receiver]]
        task = "parity"
    "#;

    fn parse(channels: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse(&format!("{SCENARIO}\n{channels}"), "my.toml", &[])
    }

    #[test]
    fn the_last_table_that_matches_holds() {
        let tables = "[[channel]]\nkind = \"awgn\"\nsnr_db = 10\n\
                      [[channel]]\ntransmitter = 1\nkind = \"rayleigh\"\nsnr_db = [0, 20]\n\
                      [[channel]]\ntransmitter = 1\nreceiver = 0\n";
        let scenario = parse(tables).unwrap();
        let kind = |k, t| scenario.channel_between(k, t).map(|channel| channel.kind.clone());
        assert_eq!([kind(0, 0), kind(0, 1)], [(); 2].map(|()| Some(ChannelKind::Awgn)));
        assert_eq!([kind(1, 0), kind(1, 1)], [None, Some(ChannelKind::Rayleigh)]);
        assert_eq!(scenario.channels().count(), 3);
        assert_eq!(scenario.channel_between(0, 0).unwrap().snr_db.unwrap().ends(), [10.0, 10.0]);
        assert_eq!(scenario.channel_between(1, 1).unwrap().snr_db.unwrap().ends(), [0.0, 20.0]);
        assert_eq!(parse("").unwrap().channel_between(0, 0), None);
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
    }

    #[test]
    fn a_rate_before_the_limit_of_power_is_an_estimate() {
        let is_estimate = |more: &str, method: &str| {
            let set =
                [format!("channel=[{{kind=\"awgn\",snr_db=3{more}}}]"), format!("train.method={method}")];
            Scenario::parse(SCENARIO, "my.toml", &set).unwrap().rate_sent_is_estimate()
        };
        assert!(is_estimate(",power=\"realised\"", "pom2dib") && is_estimate(",peak=2.0", "tadib"));
        for power in ["sample", "entry", "average"] {
            assert!(!is_estimate(&format!(",power=\"{power}\""), "pom2dib"));
        }
        // Its rate is no estimate, whatever is sent.
        assert!(!is_estimate(",peak=2.0", "vddib"));
    }

    #[test]
    fn all_channels_can_be_set_on_the_command_line() {
        let overrides = ["channel=[{kind=\"awgn\",snr_db=10}]".to_owned()];
        let scenario = Scenario::parse(SCENARIO, "my.toml", &overrides).unwrap();
        assert_eq!(scenario.channel_between(1, 1).unwrap().kind, ChannelKind::Awgn);
    }

    #[test]
    fn the_snr_of_all_noise_can_be_set_at_once() {
        let tables = "[[channel]]\nkind = \"rician\"\nsnr_db = 10\nk_factor = 2.0\ncsi = \"none\"\n\
                      [[channel]]\ntransmitter = 1\nkind = \"erasure\"\nerasure = 0.5\n";
        let scenario = parse(tables).unwrap();
        let set = scenario.channels_at(-3.0).unwrap();
        let changed = Scenario::parse(&scenario.to_toml(), "again", &[set]).unwrap();
        assert_eq!(changed.channel[0].snr_db, Some(SnrDb::Fixed(-3.0)));
        assert_eq!(changed.changes(&scenario).len(), 1);
        assert_eq!(parse("").unwrap().channels_at(3.0), None);
    }

    #[test]
    fn who_is_heard_together_has_one_noise_and_is_known() {
        let mac = "[[channel]]\nkind = \"mac\"\nsnr_db = 3\n";
        let scenario = parse(mac).unwrap();
        assert!(scenario.is_mac(0, 0) && scenario.is_mac(1, 1));
        assert!(!scenario.is_steady(scenario.channel_between(0, 0).unwrap()));
        let other = format!("{mac}[[channel]]\ntransmitter = 1\nkind = \"mac\"\nsnr_db = 4\n");
        let ideal = format!("{mac}[[channel]]\ntransmitter = 1\n");
        assert!(!parse(&ideal).unwrap().is_mac(1, 0));
        for (tables, expected) in [
            (other, "transmitters 0 and 1 must have the same snr_db to receiver 0"),
            (mac.replace('3', "[1, 2]"), "needs one snr_db, no range"),
            (format!("{mac}csi = \"none\""), "needs csi = \"receiver\" or \"both\""),
            (format!("straggler.policy = \"skip\"\n{mac}"), "needs straggler.policy = \"wait\""),
        ] {
            let refused = Scenario::parse(
                &(if tables.starts_with("straggler") {
                    let (first, rest) = tables.split_once('\n').unwrap();
                    format!("{first}\n{SCENARIO}\n{rest}")
                } else {
                    format!("{SCENARIO}\n{tables}")
                }),
                "my.toml",
                &[],
            );
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.lines().count() == 1, "{refused}");
        }
    }

    #[test]
    fn what_no_channel_can_be_is_refused_by_its_key() {
        let noisy =
            "is missing; a channel with noise (awgn, rayleigh, rician, nakagami, trace, mac) needs it";
        for (tables, expected) in [
            ("kind = \"awgn\"\nsnr_db = nan", "channel 0: snr_db is NaN; it must be from -200 to 200"),
            ("kind = \"awgn\"\nsnr_db = inf", "channel 0: snr_db is inf; it must be from -200 to 200"),
            ("kind = \"awgn\"", &format!("channel 0: snr_db {noisy}")),
            ("kind = \"awgn\"\nsnr_db = [5, 1]", "channel 0: snr_db goes from 5 to 1; put the smaller first"),
            (
                "kind = \"rician\"\nsnr_db = 1\nk_factor = -1.0",
                "channel 0: k_factor is -1; it must be from 0 to 1000000",
            ),
            ("kind = \"rician\"\nsnr_db = 1", "channel 0: k_factor is missing; kind \"rician\" needs it"),
            ("kind = \"awgn\"\nsnr_db = 1\nshape = 2.0", "channel 0: shape is for kind \"nakagami\" alone"),
            (
                "kind = \"nakagami\"\nsnr_db = 1\nshape = 0.4",
                "channel 0: shape is 0.4; it must be from 0.5 to 1000000",
            ),
            ("kind = \"trace\"\nsnr_db = 1", "channel 0: trace is missing; kind \"trace\" needs it"),
            (
                "kind = \"awgn\"\nsnr_db = 1\ntrace = \"a.npz\"",
                "channel 0: trace is for kind \"trace\" alone",
            ),
            (
                "kind = \"trace\"\nsnr_db = 1\ntrace = \"a.npz\"\nblock = \"sample\"",
                "channel 0: block is \"sample\", but a trace has one gain for a tick: set \"tick\" or \"round\"",
            ),
            (
                "kind = \"awgn\"\nsnr_db = 1\ncode_rate = 0.5",
                "channel 0: code_rate is for transport = \"digital\" alone",
            ),
            (
                "kind = \"erasure\"\nerasure = 0.5\ntransport = \"digital\"",
                "channel 0: transport is \"digital\", which needs a kind \"awgn\", \"rayleigh\", \"rician\", \"nakagami\" or \"trace\"",
            ),
            (
                "kind = \"awgn\"\nsnr_db = 1\ntransport = \"digital\"\ncsi = \"none\"",
                "channel 0: csi is \"none\", but who decodes bits must know the gain: set \"receiver\" or \"both\"",
            ),
            (
                "kind = \"awgn\"\nsnr_db = 1\ntransport = \"digital\"\npower = \"entry\"",
                "channel 0: power is for transport = \"analogue\" alone: a constellation has its own power",
            ),
            (
                "kind = \"awgn\"\nsnr_db = 1\ntransport = \"digital\"\ncode_rate = 1.0",
                "channel 0: code_rate is 1; it must be from 0.01 to 0.925",
            ),
            ("kind = \"erasure\"\nerasure = 1.5", "channel 0: erasure is 1.5; it must be from 0 to 1"),
            (
                "kind = \"erasure\"\nerasure = 0.5\nsnr_db = 3",
                "channel 0: snr_db is for a channel with noise (awgn, rayleigh, rician, nakagami, trace, mac) alone",
            ),
            (
                "kind = \"awgn\"\nsnr_db = 1\ntaps = 4\nsubcarriers = 8",
                "channel 0: taps is for kinds \"rayleigh\" and \"rician\" alone",
            ),
            (
                "kind = \"rayleigh\"\nsnr_db = 1\ntaps = 4",
                "channel 0: subcarriers is missing; a channel with taps needs it",
            ),
            (
                "kind = \"rayleigh\"\nsnr_db = 1\ndecay = 0.5",
                "channel 0: decay is for a channel with taps alone",
            ),
            (
                "kind = \"rayleigh\"\nsnr_db = 1\ntaps = 9\nsubcarriers = 8",
                "channel 0: taps is 9; it must be from 1 to 8",
            ),
            (
                "kind = \"rayleigh\"\nsnr_db = 1\ntaps = 2\nsubcarriers = 8\ndecay = nan",
                "channel 0: decay is NaN; it must be from 0 to 100",
            ),
            (
                "kind = \"rayleig\"\nsnr_db = 1",
                "channel 0: snr_db is for a built-in kind (`ideal`, `awgn`, `rayleigh`, `rician`, `nakagami`, `erasure`, `trace`, \
                 `mac`); \"rayleig\" is none, and a kind that a program of your own adds has its keys in `parameters`",
            ),
            (
                "kind = \"awgn\"\nsnr_db = 1\nparameters = { strength = 2 }",
                "channel 0: parameters is for a kind that a program of your own adds, which has no other keys",
            ),
            ("transmitter = 2", "channel 0: transmitter is 2; it must be from 0 to 1"),
            ("receiver = 9", "channel 0: receiver is 9; it must be from 0 to 1"),
            (
                "kind = \"awgn\"\nsnr_db = 1\npeak = 0.5",
                "channel 0: peak is 0.5; it must be from 1 to 1000000",
            ),
            (
                "transmitter = 1\n[[channel]]\n",
                "channel 0 never holds: channel 1 overlaps all of it; put the more general one first",
            ),
            (
                "receiver = 1\n[[channel]]\ntransmitter = 0\n[[channel]]\nreceiver = 1",
                "channel 0 never holds: channel 2 overlaps all of it; put the more general one first",
            ),
        ] {
            let message = parse(&format!("[[channel]]\n{tables}")).unwrap_err().to_string();
            assert_eq!(message, format!("scenario: {expected}"), "{tables}");
        }
    }

    #[test]
    fn what_is_no_channel_at_all_is_refused_in_one_line() {
        for (tables, expected) in [
            ("kind = 3", "invalid type: integer `3`, expected a string"),
            ("kind = \"fog\"\nparameters = 3", "invalid type: integer `3`, expected a map"),
            (
                "snr = 10",
                "unknown field `snr`, expected one of `transmitter`, `receiver`, `kind`, `snr_db`, ",
            ),
            (
                "snr_db = \"high\"",
                "invalid type: string \"high\", expected a number of dB, or the two ends of a range",
            ),
            ("snr_db = [1]", "invalid length 1, expected a number of dB, or the two ends of a range"),
            ("snr_db = [1, 2, 3]", "invalid length 3, expected a number of dB, or the two ends of a range"),
        ] {
            let message = parse(&format!("[[channel]]\n{tables}")).unwrap_err().to_string();
            assert!(message.starts_with("my.toml: line "), "{message}");
            assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
        }
    }

    #[test]
    fn a_kind_of_a_users_program_has_a_name_power_and_parameters() {
        let own = "[[channel]]\ntransmitter = 1\nkind = \"fog\"\npower = \"entry\"\nparameters = { depth = [1, 2.5], name = \"low\" }";
        let scenario = parse(own).unwrap();
        let channel = scenario.channel_between(1, 0).unwrap();
        assert_eq!(channel.kind.own(), Some("fog"));
        assert_eq!(channel.parameters["depth"], toml::Value::try_from((1, 2.5)).unwrap());
        assert!(!scenario.is_steady(channel) && !scenario.link_varies(1, 0));
        assert_eq!(scenario.channels_at(3.0), None);
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
        for (set, line) in [
            (
                "train.rate_at=received",
                "train.rate_at is \"received\", but nobody knows the rate of what arrives",
            ),
            (
                "network.see_channel=true",
                "network.see_channel is true, but nobody knows a gain of what kind \"fog\" does",
            ),
            ("train.baseline=gains", "train.baseline is \"gains\", which nobody sees"),
        ] {
            let refused =
                Scenario::parse(&format!("{SCENARIO}\n{own}"), "my.toml", &[set.into()]).unwrap_err();
            assert!(refused.to_string().starts_with(&format!("scenario: {line}")), "{refused}");
        }
    }

    #[test]
    fn a_rate_of_what_arrives_wants_one_gain_for_all_its_samples() {
        let rayleigh = |more: &[&str]| {
            let mut set: Vec<String> = more.iter().map(|&assignment| assignment.into()).collect();
            set.push("train.rate_at=received".into());
            Scenario::parse(SCENARIO, "my.toml", &set).map(drop).map_err(|error| error.to_string())
        };
        rayleigh(&["channel=[{kind=\"rayleigh\",snr_db=5}]"]).unwrap();
        rayleigh(&["channel=[{kind=\"rayleigh\",snr_db=5,block=\"round\"}]", "train.samples_per_tick=1"])
            .unwrap();
        rayleigh(&["channel=[{kind=\"awgn\",snr_db=5,block=\"sample\"}]", "train.samples_per_tick=1"])
            .unwrap();
        for refused in [
            &["channel=[{kind=\"rayleigh\",snr_db=5,block=\"sample\"}]"][..],
            &["channel=[{kind=\"rayleigh\",snr_db=5}]", "train.samples_per_tick=1"],
            &["channel=[{kind=\"awgn\",snr_db=[0,5]}]", "train.samples_per_tick=1"],
            &["channel=[{kind=\"awgn\",snr_db=5}]", "train.method=dlsc"],
        ] {
            let message = rayleigh(refused).unwrap_err();
            assert!(message.starts_with("scenario: train.rate_at is \"received\", but "), "{message}");
        }
    }
}
