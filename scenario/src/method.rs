//! The methods that the paper compares (section VIII), and their parts.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A method: selection, coding and rate. A scenario names one of [`Method::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    name: &'static str,
    /// How entries are selected.
    pub selection: Selection,
    /// How an encoder's outputs become a feature.
    pub coding: Coding,
    /// The rate that is counted.
    pub rate: Rate,
}

/// How entries are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Learned selectors, within the limits (9) and (10).
    Learned,
    /// One random draw within the limits, for the whole run.
    Fixed,
    /// Full participation: every transmitter sends all modalities to every receiver.
    Full,
}

/// How an encoder's outputs become a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// A sample of a Gaussian distribution.
    Gaussian,
    /// The outputs' sigmoid, in `train.bits` bits a value.
    Quantised,
    /// The outputs themselves.
    Deterministic,
    /// The outputs with a dither added, rounded to learned steps; receivers subtract the dither. Integers travel.
    Dithered,
    /// The outputs in groups, of each the nearest vector of a learned code book. Indices travel.
    CodeBook,
    /// A coding that a user's program adds: `train.coding` has its name. Its symbols travel.
    Own,
}

/// The rate that is counted for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// A mutual information by `train.rate_estimator`, which encoders learn to reduce.
    Information,
    /// The bits of a feature: a constant.
    Bits,
    /// The differential entropy of the features, which is not a mutual information. It is not part of the objective.
    Entropy,
}

impl Method {
    /// Learned selection under limits, variational coding.
    pub const POM2DIB: Method = Method {
        name: "pom2dib",
        selection: Selection::Learned,
        coding: Coding::Gaussian,
        rate: Rate::Information,
    };
    /// One random selection under limits for the whole run, variational coding.
    pub const RS_DIB: Method = Method { name: "rs-dib", selection: Selection::Fixed, ..Method::POM2DIB };
    /// Full participation, variational coding.
    pub const TADIB: Method = Method { name: "tadib", selection: Selection::Full, ..Method::POM2DIB };
    /// Full participation, deterministic coding in `bits` a value.
    pub const VDDIB: Method =
        Method { name: "vddib", selection: Selection::Full, coding: Coding::Quantised, rate: Rate::Bits };
    /// Full participation, deterministic coding, no rate in the objective.
    pub const DLSC: Method = Method {
        name: "dlsc",
        selection: Selection::Full,
        coding: Coding::Deterministic,
        rate: Rate::Entropy,
    };

    /// All methods.
    pub const ALL: [Method; 5] =
        [Method::POM2DIB, Method::RS_DIB, Method::TADIB, Method::VDDIB, Method::DLSC];

    const NAMES: [&str; 5] = {
        let [first, second, third, fourth, fifth] = Method::ALL;
        [first.name, second.name, third.name, fourth.name, fifth.name]
    };

    /// Whether selectors are learned.
    pub fn selects(self) -> bool {
        self.selection == Selection::Learned
    }

    /// Whether participation is less than full.
    pub fn is_partial(self) -> bool {
        self.selection != Selection::Full
    }

    /// The name in scenarios.
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Method::ALL.into_iter().find(|method| method.name == name);
        known.ok_or_else(|| D::Error::unknown_variant(&name, &Method::NAMES))
    }
}
