//! What features meet in the air: gain, noise, power.

mod between;
mod choices;
mod kind;
#[cfg(test)]
mod tests;
mod validate;

use serde::{Deserialize, Serialize};
use toml::Table;

pub use self::{
    choices::{Block, Csi, Equaliser, Modulation, Power, RateAt, Transport},
    kind::ChannelKind,
};
use crate::snr::SnrDb;

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

    /// Whether bits go over the air, and no values.
    pub fn is_digital(&self) -> bool {
        self.transport == Transport::Digital
    }
}
