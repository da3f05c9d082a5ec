//! The kinds of channel, by their names in scenarios.

use serde::{Deserialize, Serialize};

/// The kind of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ChannelKind {
    /// No gain and no noise.
    Ideal,
    /// Gaussian noise.
    Awgn,
    /// A gain CN(0, 1), and noise.
    Rayleigh,
    /// A gain around a line of sight, and noise.
    Rician,
    /// A gain whose power has a gamma distribution, and noise.
    Nakagami,
    /// A gain of 0 or 1, without noise.
    Erasure,
    /// Gains from a file, and noise.
    Trace,
    /// Gains CN(0, 1): the receiver gets the sum of all transmitters' symbols of a slot, and noise.
    Mac,
    /// A kind of this name that a user's program adds. The program checks that it exists, not the scenario.
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

    /// The name of a kind that a user's program adds; `None` for a built-in kind.
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
