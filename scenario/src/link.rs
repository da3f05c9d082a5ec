//! Emulated links, and the treatment of features that are lost or late.

use serde::{Deserialize, Serialize};

use crate::{Scenario, ScenarioError, pair::names, validate::within_reals};

/// A receiver's treatment of features that are lost or late.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Straggler {
    /// Whether to wait for them or to go without.
    pub policy: Policy,
    /// Under `skip`: seconds that an entry may take over its emulated link; slower entries are late.
    pub deadline: f64,
    /// Under `skip`: seconds that a receiver waits for the other transmitters after the first has answered.
    pub patience: f64,
}

/// A receiver's treatment of an entry that is lost or late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The entry is sent again until it arrives, and the receiver waits: exact.
    Wait,
    /// The receiver decodes without it, as if it had not been granted.
    Skip,
}

/// An emulated link, or several identical ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmulatedLink {
    /// The transmitter; none: all transmitters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmitter: Option<usize>,
    /// The receiver; none: all receivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<usize>,
    /// The probability that an entry is lost on its way.
    pub loss: f64,
    /// One-way delay in seconds.
    pub delay: f64,
    /// Additional delay of each entry in seconds, uniform from 0 to this value.
    pub jitter: f64,
    /// Bytes a second; none: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<f64>,
}

/// Upper limit on the loss: under `wait`, an entry is sent again until it arrives.
const MOST_LOSS: f64 = 0.99;

/// Upper limit in seconds, to catch mistyped numbers.
const LONGEST: f64 = 3600.0;

impl Default for Straggler {
    fn default() -> Self {
        Straggler { policy: Policy::Wait, deadline: 1.0, patience: 30.0 }
    }
}

impl Scenario {
    /// The emulated link from transmitter k to receiver t, if it is emulated.
    pub fn link_between(&self, k: usize, t: usize) -> Option<EmulatedLink> {
        self.link.iter().rev().find(|link| names(link.transmitter, k) && names(link.receiver, t)).copied()
    }

    /// Whether receivers go without entries that are lost or late.
    pub fn skips(&self) -> bool {
        self.straggler.policy == Policy::Skip
    }

    /// Whether entries that were granted may not come: receivers then go on without them.
    pub fn may_lose(&self) -> bool {
        self.skips() || self.sends_bits() || self.train.modality_dropout > 0.0
    }

    /// The same in an evaluation, where `modality_dropout` does not apply and sensors may be off.
    pub fn may_lose_in_evaluation(&self) -> bool {
        self.skips() || self.sends_bits() || !self.evaluation.off.is_empty()
    }

    pub(crate) fn validate_links(&self) -> Result<(), ScenarioError> {
        let Straggler { deadline, patience, .. } = self.straggler;
        within_reals("straggler.deadline", deadline, 0.0, LONGEST)?;
        within_reals("straggler.patience", patience, 0.0, LONGEST)?;
        // An entry that an emulated link delays must not count as absent: otherwise the run would depend on the clock.
        if self.skips() && patience <= deadline {
            let what = format!("is {patience}; it must be above straggler.deadline ({deadline})");
            return Err(ScenarioError::invalid("straggler.patience", what));
        }
        for (number, link) in self.link.iter().enumerate() {
            let key = |key: &str| format!("link {number}: {key}");
            self.validate_pair(&format!("link {number}"), link.transmitter, link.receiver)?;
            within_reals(&key("loss"), link.loss, 0.0, MOST_LOSS)?;
            within_reals(&key("delay"), link.delay, 0.0, LONGEST)?;
            within_reals(&key("jitter"), link.jitter, 0.0, LONGEST)?;
            if let Some(bandwidth) =
                link.bandwidth.filter(|bandwidth| !(bandwidth.is_finite() && *bandwidth >= 1.0))
            {
                let what = format!("is {bandwidth}; it must be 1 or more");
                return Err(ScenarioError::invalid(key("bandwidth"), what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::two_by_two::{TWO_BY_TWO, two_by_two};

    fn parse(links: &str) -> Result<Scenario, ScenarioError> {
        two_by_two(links, &[])
    }

    #[test]
    fn the_last_link_that_matches_holds() {
        let links = "[[link]]\nloss = 0.1\n[[link]]\ntransmitter = 1\ndelay = 0.5\n\
                     [[link]]\ntransmitter = 1\nreceiver = 0\nloss = 0.3\nbandwidth = 1e6\n";
        let scenario = parse(links).unwrap();
        let link = |k, t| scenario.link_between(k, t).unwrap();
        assert_eq!(
            [link(0, 0).loss, link(0, 1).loss, link(1, 1).loss, link(1, 0).loss],
            [0.1, 0.1, 0.0, 0.3]
        );
        assert_eq!((link(1, 1).delay, link(1, 0).delay, link(1, 0).bandwidth), (0.5, 0.0, Some(1e6)));
        assert_eq!(parse("").unwrap().link_between(0, 0), None);
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
    }

    #[test]
    fn all_links_can_be_set_on_the_command_line() {
        let overrides = ["straggler.policy=skip".to_owned(), "link=[{loss=0.25}]".to_owned()];
        let scenario = Scenario::parse(TWO_BY_TWO, "my.toml", &overrides).unwrap();
        assert!(scenario.skips());
        assert_eq!(scenario.link_between(1, 1).unwrap().loss, 0.25);
    }

    #[test]
    fn modality_dropout_may_lose_entries_and_is_refused_with_a_mac() {
        assert!(!parse("").unwrap().may_lose());
        let dropping = parse("[train]\nmodality_dropout = 0.1").unwrap();
        assert!(dropping.may_lose() && !dropping.may_lose_in_evaluation());
        let off = parse("[evaluation]\noff = [\"0\"]").unwrap();
        assert!(!off.may_lose() && off.may_lose_in_evaluation());
        let mac = "[[channel]]\nkind = \"mac\"\nsnr_db = 10\n[train]\nmodality_dropout = 0.1";
        let message = parse(mac).unwrap_err().to_string();
        assert!(message.contains("kind \"mac\" needs train.modality_dropout = 0: "), "{message}");
    }

    #[test]
    fn impossible_links_are_refused_by_their_keys() {
        for (links, expected) in [
            ("[[link]]\nloss = 1.0", "link 0: loss is 1; it must be from 0 to 0.99"),
            ("[[link]]\ndelay = -1.0", "link 0: delay is -1; it must be from 0 to 3600"),
            ("[[link]]\n[[link]]\njitter = nan", "link 1: jitter is NaN; it must be from 0 to 3600"),
            ("[[link]]\nbandwidth = 0.0", "link 0: bandwidth is 0; it must be 1 or more"),
            ("[[link]]\ntransmitter = 2", "link 0: transmitter is 2; it must be from 0 to 1"),
            ("[[link]]\nreceiver = 9", "link 0: receiver is 9; it must be from 0 to 1"),
            ("[straggler]\ndeadline = -1.0", "straggler.deadline is -1; it must be from 0 to 3600"),
            (
                "[straggler]\npolicy = \"skip\"\ndeadline = 40.0",
                "straggler.patience is 30; it must be above straggler.deadline (40)",
            ),
        ] {
            let message = parse(links).unwrap_err().to_string();
            assert_eq!(message, format!("my.toml: {expected}"), "{links}");
        }
    }
}
