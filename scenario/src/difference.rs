//! Differences of two scenarios that affect training.

use crate::{Change, Scenario};

/// Keys that do not affect training: locations of data and computation, checkpoint intervals, evaluation, how a round
/// travels, time limits, hardware that is modelled, and the number of rounds (where a schedule depends on it, a run's
/// lineage records it).
const FREE: [&str; 11] = [
    "name",
    "data.path",
    "checkpoint.",
    "evaluation.",
    "record.",
    "profile.",
    "straggler.patience",
    "train.rounds",
    "train.ticks_per_part",
    "transmitter[].device",
    "receiver[].device",
];

impl Scenario {
    /// The differences of another scenario from this one that affect training, sorted by key.
    pub fn differences(&self, other: &Scenario) -> Vec<Change> {
        self.changes(other).into_iter().filter(|change| !is_free(&change.key)).collect()
    }
}

fn is_free(key: &str) -> bool {
    let bare: String = key.chars().filter(|c| !c.is_ascii_digit()).collect();
    FREE.iter().any(|free| if free.ends_with('.') { bare.starts_with(free) } else { bare == *free })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "[[transmitter]]\nmodalities = [\"fft\"]\n[[transmitter]]\nmodalities = [\"mel\"]\n\
                        [[receiver]]\ntask = \"digit\"\n";

    fn scenario(changes: &[&str]) -> Scenario {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        Scenario::parse(BASE, "test", &changes).unwrap()
    }

    fn keys(changes: &[&str]) -> Vec<String> {
        scenario(changes).differences(&scenario(&[])).into_iter().map(|difference| difference.key).collect()
    }

    #[test]
    fn keys_that_affect_training_are_named() {
        let change = &scenario(&["seed=2"]).differences(&scenario(&[]))[0];
        assert_eq!(change.to_string(), "seed: 2 -> 1");
        assert_eq!(keys(&["train.beta=0.5", "network.feature_dim=3"]), ["network.feature_dim", "train.beta"]);
        assert_eq!(keys(&["data.noise_width=3"]), ["data.noise_width"]);
        assert_eq!(keys(&["receiver=[{task=\"parity\"}]"]), ["receiver[0].task"]);
        assert_eq!(keys(&["network.transmitters=3"]), ["transmitter[2].modalities"]);
        assert_eq!(keys(&["link=[{loss=0.5}]", "straggler.policy=skip"]).last().unwrap(), "straggler.policy");
    }

    #[test]
    fn keys_that_do_not_affect_training_may_change() {
        let free = [
            "name=other",
            "data.path=elsewhere",
            "checkpoint.every=7",
            "checkpoint.store=elsewhere",
            "evaluation.passes=3",
            "straggler.patience=9",
            "profile.flops=1e9",
            "train.rounds=3",
            "train.ticks_per_part=10",
            "receiver=[{task=\"digit\", device=\"cuda:1\"}]",
        ];
        assert_eq!(keys(&free), [] as [&str; 0]);
    }
}
