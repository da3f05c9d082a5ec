//! Which codings and rates go together.

use crate::{Coding, RateEstimator, Scenario, ScenarioError, TrainCoding, validate::within};

impl Scenario {
    /// As what features travel. Quantised ones travel as levels where all of them arrive as they were sent; over a
    /// channel their values do.
    pub fn travels_as(&self) -> Coding {
        match self.train.coding() {
            Coding::Quantised if self.channels().next().is_some() => Coding::Deterministic,
            coding => coding,
        }
    }

    /// Checks `train.coding` and `train.rate_estimator` against the method, the channels and each other.
    pub(crate) fn validate_coding(&self) -> Result<(), ScenarioError> {
        let train = &self.train;
        within("train.table_every", train.table_every as usize, 1, usize::MAX)?;
        let refuse = |key: &str, what: String| Err(ScenarioError::invalid(key, what));
        let method = train.method.name();
        let coding = train.coding.map_or("", TrainCoding::name);
        if train.coding.is_some() && train.method.coding != Coding::Gaussian {
            let what = format!(
                "is \"{coding}\", but the method \"{method}\" codes in its own way: leave the key out, or set train.method to \
                 \"pom2dib\", \"rs-dib\" or \"tadib\""
            );
            return refuse("train.coding", what);
        }
        let is_prior = train.rate_estimator == RateEstimator::Prior;
        if is_prior && train.method.coding != Coding::Gaussian {
            let what = format!(
                "is \"prior\", but the rate of the method \"{method}\" is not estimated: leave the key out, or set train.method \
                 to \"pom2dib\", \"rs-dib\" or \"tadib\""
            );
            return refuse("train.rate_estimator", what);
        }
        if (train.coding() == Coding::Dithered || train.simulates()) && !is_prior {
            let what = format!(
                "is \"{coding}\", which is coded with a prior: set train.rate_estimator = \"prior\" too"
            );
            return refuse("train.coding", what);
        }
        let digital = self.channels().find(|(_, _, channel)| channel.is_digital());
        if let Some((k, t, _)) = digital.filter(|_| train.coding() != Coding::Dithered) {
            let what = format!(
                "is \"digital\" from transmitter {k} to receiver {t}, and bits need a code: set train.coding = \"dithered\" and \
                 train.rate_estimator = \"prior\" too"
            );
            return refuse("channel: transport", what);
        }
        match self.channels().find(|(_, _, channel)| !channel.is_digital()) {
            Some((k, t, _)) if is_prior => {
                let what = format!(
                    "is \"prior\", but a channel changes what goes from transmitter {k} to receiver {t}: leave out [[channel]], or \
                     set \"per-dimension\" or \"joint\""
                );
                refuse("train.rate_estimator", what)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "[[transmitter]]\nmodalities = [\"fft\"]\n[[transmitter]]\nmodalities = [\"mel\"]\n\
                        [[receiver]]\ntask = \"digit\"\n";

    fn parse(changes: &[&str]) -> Result<Scenario, ScenarioError> {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        Scenario::parse(BASE, "test", &changes)
    }

    #[test]
    fn dithered_features_go_with_a_prior_and_methods_that_draw() {
        for method in ["pom2dib", "rs-dib", "tadib"] {
            let set =
                ["train.coding=dithered", "train.rate_estimator=prior", &format!("train.method={method}")];
            let train = parse(&set).unwrap().train;
            assert_eq!((train.coding(), train.has_priors()), (Coding::Dithered, true));
            assert_eq!(parse(&set[1..]).unwrap().train.coding(), Coding::Gaussian);
        }
        let simulated = parse(&["train.coding=simulated", "train.rate_estimator=prior"]).unwrap().train;
        assert_eq!((simulated.coding(), simulated.simulates()), (Coding::Gaussian, true));
        let digital = "channel=[{kind=\"rayleigh\",snr_db=5,transport=\"digital\",modulation=\"16-qam\"}]";
        let digital = parse(&["train.coding=dithered", "train.rate_estimator=prior", digital]).unwrap();
        assert!(digital.sends_bits() && digital.may_lose() && digital.analogue_between(0, 0).is_none());
        assert!(!digital.is_steady(digital.channel_between(0, 0).unwrap()));
        let default = parse(&[]).unwrap().train;
        assert_eq!((default.coding(), default.has_priors()), (Coding::Gaussian, false));
    }

    #[test]
    fn pairs_that_cannot_be_are_refused_with_what_would_be_right() {
        let prior = "train.rate_estimator=prior";
        for (set, key, remedy) in [
            (&["train.coding=dithered"][..], "train.coding is", "rate_estimator = \"prior\" too"),
            (
                &["train.coding=simulated"][..],
                "train.coding is \"simulated\"",
                "rate_estimator = \"prior\" too",
            ),
            (
                &["evaluation.samples_per_message=30"],
                "evaluation.samples_per_message is 30",
                "a multiple of train.samples_per_tick, 20",
            ),
            (&["train.coding=dithered", prior, "train.method=vddib"], "train.coding is", "leave the key out"),
            (&["train.coding=gaussian", "train.method=dlsc"], "train.coding is", "leave the key out"),
            (&[prior, "train.method=vddib"], "train.rate_estimator is", "leave the key out"),
            (
                &[prior, "channel=[{kind=\"awgn\",snr_db=5}]"],
                "train.rate_estimator is",
                "leave out [[channel]]",
            ),
            (
                &["channel=[{kind=\"awgn\",snr_db=5,transport=\"digital\"}]"],
                "channel: transport is \"digital\"",
                "set train.coding = \"dithered\"",
            ),
            (&["train.table_every=0"], "train.table_every is 0", "at least 1"),
        ] {
            let message = parse(set).unwrap_err().to_string();
            assert!(message.contains(key) && message.contains(remedy), "{set:?}: {message}");
        }
    }
}
