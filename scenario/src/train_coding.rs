//! The codings that a scenario may choose in place of its method's, by their names.

use serde::{Deserialize, Serialize};

/// A coding that a scenario may choose in place of its method's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum TrainCoding {
    /// A sample of a Gaussian, as f32.
    Gaussian,
    /// Integers, entropy-coded: [`Coding::Dithered`](crate::Coding::Dithered).
    Dithered,
    /// A sample of a Gaussian: in training as f32, in evaluation by relative entropy coding against the prior.
    Simulated,
    /// Indices of learned vectors: [`Coding::CodeBook`](crate::Coding::CodeBook).
    CodeBook,
    /// A coding of this name that a user's program adds. The program checks that it exists, not the scenario.
    Own(String),
}

/// The built-in ones, by their names in scenarios.
const BUILT_IN: [(&str, TrainCoding); 4] = [
    ("gaussian", TrainCoding::Gaussian),
    ("dithered", TrainCoding::Dithered),
    ("simulated", TrainCoding::Simulated),
    ("code-book", TrainCoding::CodeBook),
];

impl TrainCoding {
    /// The names of the built-in ones.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The name of a coding that a user's program adds; `None` for a built-in one.
    pub fn own(&self) -> Option<&str> {
        match self {
            TrainCoding::Own(name) => Some(name),
            _ => None,
        }
    }

    /// The name in scenarios.
    pub(crate) fn name(&self) -> &str {
        match self {
            TrainCoding::Gaussian => "gaussian",
            TrainCoding::Dithered => "dithered",
            TrainCoding::Simulated => "simulated",
            TrainCoding::CodeBook => "code-book",
            TrainCoding::Own(name) => name,
        }
    }
}

impl From<String> for TrainCoding {
    fn from(name: String) -> Self {
        let built_in = BUILT_IN.into_iter().find(|(known, _)| *known == name);
        built_in.map_or(TrainCoding::Own(name), |(_, coding)| coding)
    }
}

impl From<TrainCoding> for String {
    fn from(coding: TrainCoding) -> Self {
        coding.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_coding_has_its_name_and_any_other_name_is_a_coding_of_a_program() {
        for (name, coding) in BUILT_IN {
            assert_eq!((coding.name(), coding.own()), (name, None));
            assert_eq!(TrainCoding::from(name.to_owned()), coding);
        }
        let own = TrainCoding::from("lattice".to_owned());
        assert_eq!((own.own(), String::from(own.clone())), (Some("lattice"), "lattice".to_owned()));
    }
}
