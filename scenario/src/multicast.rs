//! Features that receivers share: `network.multicast`.

use crate::{Credit, Objective, RateEstimator, Scenario, ScenarioError, TaskInput, TrainCoding};

impl Scenario {
    /// Checks that with `network.multicast` no key needs a feature for each receiver, and that selections are credited
    /// with the costs of all receivers that share a feature.
    pub(crate) fn validate_multicast(&self) -> Result<(), ScenarioError> {
        if !self.network.multicast {
            return Ok(());
        }
        let train = &self.train;
        let refuse = |key: &str, what: String| Err(ScenarioError::invalid(key, what));
        if train.task_input != TaskInput::Embedding {
            let name = train.task_input.name();
            let what = format!(
                "is \"{name}\", but with network.multicast = true an encoder knows no receiver: leave the key out"
            );
            return refuse("train.task_input", what);
        }
        if let Some((k, t, _)) = self.channels().next() {
            let what = format!(
                "is not \"ideal\" from transmitter {k} to receiver {t}, but with network.multicast = true all receivers are \
                 sent the same: leave out [[channel]]"
            );
            return refuse("channel: kind", what);
        }
        if let Some(coding) = train.coding.as_ref().filter(|coding| **coding != TrainCoding::Gaussian) {
            let what = format!(
                "is \"{}\", which codes for each receiver alone, but network.multicast is true: set \"gaussian\" \
                 or leave the key out",
                coding.name()
            );
            return refuse("train.coding", what);
        }
        if train.rate_estimator == RateEstimator::Prior {
            let what = "is \"prior\", which has a prior for each receiver, but network.multicast is true: set \
                        \"per-dimension\" or \"joint\"";
            return refuse("train.rate_estimator", what.into());
        }
        if train.objective == Objective::Worst {
            let what =
                "is \"worst\", which weights rates by receiver, but network.multicast is true: set \"sum\"";
            return refuse("train.objective", what.into());
        }
        if train.method.selects() && train.credit == Credit::Own {
            let what = "is \"own\", but with network.multicast = true receivers share what a choice costs: set \"shared\"";
            return refuse("train.credit", what.into());
        }
        if train.credits_differences() {
            let what = "is \"difference\", but with network.multicast = true what a receiver pays for an entry depends on who \
                        else is granted it: set \"shared\"";
            return refuse("train.credit", what.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::two_by_two::two_by_two;

    fn parse(set: &[&str]) -> Result<Scenario, ScenarioError> {
        two_by_two("[network]\nmulticast = true", set)
    }

    #[test]
    fn by_default_every_receiver_has_features_of_its_own() {
        assert!(!Scenario::default().network.multicast);
        assert!(parse(&[]).unwrap().network.multicast);
        let refused = parse(&["network.multicast=yes"]).unwrap_err().to_string();
        assert!(refused.contains("multicast") && refused.lines().count() == 1, "{refused}");
    }

    #[test]
    fn values_that_need_features_for_each_receiver_are_refused() {
        let prior = "train.rate_estimator=prior";
        let channel = |kind: &str| format!("channel=[{{receiver=1,kind={kind:?},snr_db=5}}]");
        let (awgn, rayleigh) = (channel("awgn"), channel("rayleigh"));
        for (set, key, remedy) in [
            (&["train.task_input=scaled"][..], "train.task_input is \"scaled\"", "leave the key out"),
            (&["train.task_input=film"], "train.task_input is \"film\"", "leave the key out"),
            (&["train.task_input=output"], "train.task_input is \"output\"", "leave the key out"),
            (
                &[awgn.as_str()],
                "channel: kind is not \"ideal\" from transmitter 0 to receiver 1",
                "leave out [[channel]]",
            ),
            (&[rayleigh.as_str()], "channel: kind is not \"ideal\"", "leave out [[channel]]"),
            (&["train.coding=dithered", prior], "train.coding is \"dithered\"", "leave the key out"),
            (&["train.coding=simulated", prior], "train.coding is \"simulated\"", "leave the key out"),
            (&["train.coding=code-book"], "train.coding is \"code-book\"", "leave the key out"),
            (&["train.coding=lattice"], "train.coding is \"lattice\"", "leave the key out"),
            (&[prior], "train.rate_estimator is \"prior\"", "\"per-dimension\" or \"joint\""),
            (&["train.objective=worst"], "train.objective is \"worst\"", "set \"sum\""),
            (&["train.credit=own"], "train.credit is \"own\"", "set \"shared\""),
            (&["train.credit=difference"], "train.credit is \"difference\"", "set \"shared\""),
        ] {
            let line = parse(set).unwrap_err().to_string();
            assert!(line.contains(key) && line.contains(remedy), "{set:?}: {line}");
            assert!(line.contains("network.multicast") && line.lines().count() == 1, "{line}");
            let without = [set, &["network.multicast=false"]].concat();
            assert!(parse(&without).is_ok(), "{set:?} is refused without multicast too");
        }
    }

    #[test]
    fn values_that_concern_receivers_alone_are_allowed() {
        for set in [
            &["network.mask=true", "network.joint_map=shared"][..],
            &["train.coding=gaussian", "train.rate_estimator=joint"],
            &["train.method=tadib", "train.credit=own"],
            &["train.method=vddib"],
            &["train.method=dlsc"],
            &["train.method=rs-dib"],
            &["train.samples_per_tick=1"],
            &["train.gradient_coding=int8", "train.modality_dropout=0.2", "straggler.policy=skip"],
            &["channel=[{kind=\"ideal\"}]"],
        ] {
            parse(set).unwrap_or_else(|error| panic!("{set:?}: {error}"));
        }
    }
}
