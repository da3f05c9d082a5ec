//! Who selects: `train.selection` and `train.selection_parameters`.

use serde::{Deserialize, Serialize};

use crate::{Credit, Requests, Scenario, ScenarioError, Selection};

/// Who selects, where a method's selection is learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum SelectedBy {
    /// Selectors, networks that learn by the score function.
    #[default]
    Learned,
    /// A policy of this name that a user's program adds. The program checks that it exists, not the scenario.
    Own(String),
}

impl SelectedBy {
    /// The name of learned selectors in scenarios.
    pub const LEARNED: &'static str = "learned";

    /// The name of a policy that a user's program adds; `None` for learned selectors.
    pub fn own(&self) -> Option<&str> {
        match self {
            SelectedBy::Learned => None,
            SelectedBy::Own(name) => Some(name),
        }
    }
}

impl From<String> for SelectedBy {
    fn from(name: String) -> Self {
        if name == SelectedBy::LEARNED { SelectedBy::Learned } else { SelectedBy::Own(name) }
    }
}

impl From<SelectedBy> for String {
    fn from(by: SelectedBy) -> Self {
        match by {
            SelectedBy::Learned => SelectedBy::LEARNED.to_owned(),
            SelectedBy::Own(name) => name,
        }
    }
}

impl Scenario {
    /// Whether there are selectors: networks that learn what is selected.
    pub fn has_selectors(&self) -> bool {
        self.train.method.selects() && self.train.selection == SelectedBy::Learned
    }

    /// Checks that a policy of a user's program has something to select, and that no other key selects too.
    pub(crate) fn validate_selection(&self) -> Result<(), ScenarioError> {
        let train = &self.train;
        let refuse = |key: &str, what: String| Err(ScenarioError::invalid(key, what));
        let Some(name) = train.selection.own() else {
            if train.selection_parameters.is_empty() {
                return Ok(());
            }
            let what = "is for a policy of your program's own, but train.selection is \"learned\": leave the key out";
            return refuse("train.selection_parameters", what.into());
        };
        if train.method.selection != Selection::Learned {
            let method = train.method.name();
            let what = format!("is \"{name}\", which method \"{method}\" leaves no choice: set \"learned\"");
            return refuse("train.selection", what);
        }
        if train.requests == Requests::Strongest {
            let what = format!(
                "is \"strongest\", but train.selection = \"{name}\" says whom receivers request: set \"learned\""
            );
            return refuse("train.requests", what);
        }
        if train.credit == Credit::Difference {
            let what = format!(
                "is \"difference\", which judges each step of a selector's draw, but with train.selection = \"{name}\" \
                 there are no selectors: set \"shared\" or \"own\""
            );
            return refuse("train.credit", what);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::two_by_two::two_by_two;

    const OWN: &str = "[train]\nselection = \"bandit\"\nselection_parameters = { epsilon = 0.2 }";

    #[test]
    fn a_policy_keeps_its_name_and_its_keys_in_the_scenario_s_text() {
        let scenario = two_by_two(OWN, &[]).unwrap();
        assert_eq!(scenario.train.selection.own(), Some("bandit"));
        assert!(!scenario.has_selectors() && scenario.train.method.selects());
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);

        let learned = two_by_two("", &[]).unwrap();
        assert_eq!(learned.train.selection, SelectedBy::Learned);
        assert!(learned.has_selectors() && !learned.to_toml().contains("selection_parameters"));
        assert_eq!(two_by_two("", &["train.selection=learned"]).unwrap(), learned);
        assert!(!two_by_two("", &["train.method=tadib"]).unwrap().has_selectors());
    }

    #[test]
    fn keys_that_leave_a_policy_nothing_to_select_are_refused_by_name() {
        for (set, key, remedy) in [
            ("train.method=tadib", "train.selection is \"bandit\"", "set \"learned\""),
            ("train.method=rs-dib", "train.selection is \"bandit\"", "set \"learned\""),
            ("train.requests=strongest", "train.requests is \"strongest\"", "set \"learned\""),
            ("train.credit=difference", "train.credit is \"difference\"", "set \"shared\" or \"own\""),
            ("train.selection=learned", "train.selection_parameters is for a policy", "leave the key out"),
        ] {
            let line = two_by_two(OWN, &[set]).unwrap_err().to_string();
            assert!(line.contains(key) && line.contains(remedy) && line.lines().count() == 1, "{line}");
        }
    }

    #[test]
    fn what_judges_no_step_of_a_draw_goes_with_a_policy() {
        for set in [
            &["train.credit=own"][..],
            &["train.objective=worst", "train.baseline=label-entropy"],
            &["network.multicast=true"],
            &["network.limits=false"],
            &["train.log_mass=set"],
        ] {
            two_by_two(OWN, set).unwrap_or_else(|error| panic!("{set:?}: {error}"));
        }
    }
}
