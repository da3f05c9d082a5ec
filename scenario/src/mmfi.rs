use serde::{Deserialize, Serialize};

use crate::{ScenarioError, validate::within};

/// Numbers of subjects and actions in the data set.
const SUBJECTS: usize = 40;
const ACTIONS: usize = 27;

/// The frames of MM-Fi that are used. Other data sets ignore it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MmFi {
    /// Actions: 1 the daily ones, 2 the rehabilitation exercises, 3 all.
    pub protocol: u8,
    /// Whether modalities are standardised to mean 0 and standard deviation 1.
    pub standardise: bool,
    /// How recordings are split.
    pub split: MmFiSplit,
    /// Random split: the share of subjects for training.
    pub split_ratio: f64,
    /// Random split: the seed of its first permutation.
    pub split_seed: u32,
    /// Manual split: subjects for training. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_subjects: Option<Vec<u8>>,
    /// Manual split: actions for training. Default: 1 to 21.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_actions: Option<Vec<u8>>,
    /// Manual split: subjects for testing. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_subjects: Option<Vec<u8>>,
    /// Manual split: actions for testing. Default: 22 to 27.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_actions: Option<Vec<u8>>,
}

/// How recordings of MM-Fi are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MmFiSplit {
    /// Separately for every action, by a permutation of the subjects.
    Random,
    /// Every fifth subject is for testing.
    CrossSubject,
    /// Scene E04 is for testing.
    CrossScene,
    /// By the lists of subjects and actions.
    Manual,
}

impl Default for MmFi {
    fn default() -> Self {
        MmFi {
            protocol: 3,
            standardise: false,
            split: MmFiSplit::Random,
            split_ratio: 0.8,
            split_seed: 0,
            train_subjects: None,
            train_actions: None,
            test_subjects: None,
            test_actions: None,
        }
    }
}

impl MmFi {
    pub(crate) fn validate(&self) -> Result<(), ScenarioError> {
        within("mmfi.protocol", self.protocol.into(), 1, 3)?;
        // At least one subject on each side.
        if !(0.025..0.999).contains(&self.split_ratio) {
            let what = format!("is {}; it must be from 0.025 to below 0.999", self.split_ratio);
            return Err(ScenarioError::invalid("mmfi.split_ratio", what));
        }
        for (key, list, most) in [
            ("mmfi.train_subjects", &self.train_subjects, SUBJECTS),
            ("mmfi.train_actions", &self.train_actions, ACTIONS),
            ("mmfi.test_subjects", &self.test_subjects, SUBJECTS),
            ("mmfi.test_actions", &self.test_actions, ACTIONS),
        ] {
            let Some(list) = list else { continue };
            if self.split != MmFiSplit::Manual {
                return Err(ScenarioError::invalid(key, "is for split = \"manual\" only; leave it out"));
            }
            within(&format!("{key}: its length"), list.len(), 1, most)?;
            list.iter()
                .try_for_each(|&number| within(&format!("a number in {key}"), number.into(), 1, most))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Scenario;

    #[test]
    fn what_no_subject_or_action_is_called_is_refused_by_its_key() {
        let refusal = |assignments: &[&str]| {
            let overrides: Vec<String> = assignments.iter().map(|&text| text.into()).collect();
            let text = include_str!("../../scenarios/mmfi.toml");
            Scenario::parse(text, "mmfi.toml", &overrides).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(refusal(&["mmfi.split=manual", "mmfi.test_subjects=[5, 40]"]), Ok(()));
        for (assignments, expected) in [
            (&["mmfi.protocol=4"][..], "mmfi.protocol is 4; it must be from 1 to 3"),
            (&["mmfi.split_ratio=1"], "mmfi.split_ratio is 1; it must be from 0.025 to below 0.999"),
            (&["mmfi.test_subjects=[5]"], "mmfi.test_subjects is for split = \"manual\" only; leave it out"),
            (
                &["mmfi.split=manual", "mmfi.test_subjects=[41]"],
                "a number in mmfi.test_subjects is 41; it must be from 1 to 40",
            ),
            (
                &["mmfi.split=manual", "mmfi.train_actions=[]"],
                "mmfi.train_actions: its length is 0; it must be from 1 to 27",
            ),
        ] {
            assert_eq!(refusal(assignments), Err(format!("mmfi.toml: {expected}")));
        }
    }
}
