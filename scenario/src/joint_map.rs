//! The form in which joint decoders get features: `network.joint_map`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Scenario;

/// Whether the first map of a joint decoder has weights for each entry or for each modality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JointMap {
    /// For each entry: its input is all features side by side, zeros where nothing was granted.
    #[default]
    Own,
    /// For each modality: its input is the sum of the modality's features, and beside it the sum of the embeddings of
    /// its granted entries. Its size does not depend on the number of transmitters.
    Shared,
}

impl Scenario {
    /// The number of a joint decoder's inputs for features, with the sums of embeddings of a shared map.
    pub fn joint_features(&self) -> usize {
        let d = self.network.feature_dim;
        match self.shared_kinds() {
            None => self.entries_per_receiver() * d,
            Some(kinds) => 2 * d * kinds.iter().max().map_or(0, |last| last + 1),
        }
    }

    /// The number of the modality of each (k, m), in (k, m) order; modalities are numbered in order of their first
    /// occurrence. `None` if every entry has a map of its own.
    pub fn shared_kinds(&self) -> Option<Vec<usize>> {
        if self.network.joint_map == JointMap::Own {
            return None;
        }
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        let mut kinds = Vec::with_capacity(self.entries_per_receiver());
        for name in self.transmitter.iter().flat_map(|node| &node.modalities) {
            let next = known.len();
            kinds.push(*known.entry(name.as_str()).or_insert(next));
        }
        Some(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = r#"
        [network]
        feature_dim = 5
        [[transmitter]]
        modalities = ["noise-1", "fft"]
        [[transmitter]]
        modalities = ["mel", "fft", "noise-1", "fft"]
        [[receiver]]
        task = "digit"
    "#;

    fn scenario(set: &[&str]) -> Scenario {
        let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
        Scenario::parse(SCENARIO, "test", &set).unwrap()
    }

    #[test]
    fn by_default_every_entry_has_a_map_of_its_own() {
        let own = scenario(&[]);
        assert_eq!((own.network.joint_map, own.shared_kinds()), (JointMap::Own, None));
        assert_eq!([own.joint_features(), own.joint_inputs(0)], [6 * 5; 2]);
        let more = scenario(&["network.transmitters=64"]);
        assert_eq!(more.joint_features(), 64 * 3 * 5);
    }

    #[test]
    fn a_shared_map_has_a_place_for_each_modality_whatever_the_number_of_transmitters() {
        let shared = scenario(&["network.joint_map=shared"]);
        assert_eq!(shared.shared_kinds().unwrap(), [0, 1, 2, 1, 0, 1]);
        // Three modalities, each with a sum of features and a sum of embeddings.
        assert_eq!([shared.joint_features(), shared.joint_inputs(0)], [3 * 2 * 5; 2]);
        let more = scenario(&["network.joint_map=shared", "network.transmitters=64"]);
        assert_eq!(more.joint_features(), 3 * 2 * 5);
    }

    #[test]
    fn an_unknown_map_is_refused_by_its_key() {
        let refused = Scenario::parse(SCENARIO, "test", &["network.joint_map=none".to_owned()]).unwrap_err();
        let line = refused.to_string();
        assert!(line.contains("joint_map") && line.contains("`own` or `shared`"), "{line}");
    }
}
