//! The enumerated values of a channel's keys.

use serde::{Deserialize, Serialize};

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

/// Which nodes know the gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Csi {
    /// The receiver.
    Receiver,
    /// The receiver and the transmitter.
    Both,
    /// Neither.
    None,
}

/// How a receiver that knows the gain h equalises.
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

/// Which mean power of complex symbols is normalised to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// Of each sample, on average over its own noise.
    Sample,
    /// Of an entry's samples of a tick together, on average over their noise.
    Entry,
    /// Of each sample as it was drawn.
    Realised,
    /// Of all samples of an entry, by a running mean over its rounds.
    Average,
}

/// Which rate training uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateAt {
    /// That of the sent features.
    Sent,
    /// That of the received features.
    Received,
}
