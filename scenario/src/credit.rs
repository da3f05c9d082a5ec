//! What credit by differences, `train.credit = "difference"`, goes with.

use crate::{Baseline, ChannelKind, LogProbability, Objective, Scenario, ScenarioError};

impl Scenario {
    /// Checks that with `train.credit = "difference"` a cost without some entries can be told from what a receiver was
    /// sent, and does not depend on the draw that it is to judge.
    pub(crate) fn validate_credit(&self) -> Result<(), ScenarioError> {
        let train = &self.train;
        if !train.credits_differences() {
            return Ok(());
        }
        let refuse = |key: &str, what: String| Err(ScenarioError::invalid(key, what));
        if train.objective == Objective::Worst {
            let what = "is \"difference\", but with train.objective = \"worst\" receivers tell whole costs, from which their \
                        weights follow: set \"shared\" or \"own\"";
            return refuse("train.credit", what.into());
        }
        if train.log_mass == LogProbability::Set {
            let what = "is \"set\", which knows no steps of a draw, but train.credit = \"difference\" judges each of \
                        them: set \"sequence\"";
            return refuse("train.log_mass", what.into());
        }
        if train.baseline == Baseline::LabelEntropy {
            let what = "is \"label-entropy\", which is near whole costs, but train.credit = \"difference\" judges by \
                        differences of costs: set \"leave-one-out\"";
            return refuse("train.baseline", what.into());
        }
        let mac = self.channels().find(|(_, _, channel)| channel.kind == ChannelKind::Mac);
        if let Some((k, t, _)) = mac {
            let what = format!(
                "is \"difference\", but by a channel of kind \"mac\", as from transmitter {k} to receiver {t}, what is \
                 heard of one transmitter depends on who else sends: set \"shared\" or \"own\""
            );
            return refuse("train.credit", what);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credit, two_by_two::two_by_two};

    fn parse(set: &[&str]) -> Result<Scenario, ScenarioError> {
        two_by_two("[train]\ncredit = \"difference\"", set)
    }

    #[test]
    fn values_with_which_a_difference_says_nothing_are_refused() {
        assert_eq!(parse(&[]).unwrap().train.credit, Credit::Difference);
        let mac = r#"channel=[{kind="mac",snr_db=5}]"#;
        for (set, key, remedy) in [
            ("train.objective=worst", "train.credit is \"difference\"", "\"shared\" or \"own\""),
            ("train.log_mass=set", "train.log_mass is \"set\"", "set \"sequence\""),
            ("train.baseline=label-entropy", "train.baseline is \"label-entropy\"", "set \"leave-one-out\""),
            (mac, "train.credit is \"difference\"", "from transmitter 0 to receiver 0"),
        ] {
            let line = parse(&[set]).unwrap_err().to_string();
            assert!(line.contains(key) && line.contains(remedy), "{set}: {line}");
            assert!(line.contains("difference") && line.lines().count() == 1, "{line}");
            for other in ["train.credit=shared", "train.credit=own", "train.method=tadib"] {
                assert!(parse(&[set, other]).is_ok(), "{set} is refused with {other} too");
            }
        }
    }

    #[test]
    fn values_that_leave_a_cost_without_some_entries_known_are_allowed() {
        for set in [
            &["train.baseline=none"][..],
            &["train.entropy_bonus=0", "train.gamma=0.1", "train.sparse_term=global"],
            &[r#"channel=[{kind="rayleigh",snr_db=5}]"#, "network.see_channel=true", "train.baseline=gains"],
            &["straggler.policy=skip", "link=[{loss=0.1}]", "train.modality_dropout=0.2"],
            &["network.mask=true", "network.joint_map=shared"],
            &["train.coding=dithered", "train.rate_estimator=prior"],
            &["network.limits=false", "train.samples_per_tick=1"],
        ] {
            parse(set).unwrap_or_else(|error| panic!("{set:?}: {error}"));
        }
    }
}
