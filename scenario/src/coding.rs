//! Which codings and rates go together.

use crate::{
    Coding, RateEstimator, Scenario, ScenarioError, TrainCoding,
    validate::{LARGEST_FEATURE, within},
};

/// More would make code books larger than what is coded with them.
const MOST_CODE_BITS: usize = 12;

impl Scenario {
    /// As what features travel. Quantised ones travel as levels where all of them arrive as they were sent; over a
    /// channel their values do.
    pub fn travels_as(&self) -> Coding {
        match self.train.coding() {
            Coding::Quantised if self.channels().next().is_some() => Coding::Deterministic,
            coding => coding,
        }
    }

    /// How many vectors a code book has, and how many values each has.
    pub fn code_book_size(&self) -> [usize; 2] {
        [1 << self.train.code_bits, self.network.feature_dim / self.train.code_groups]
    }

    /// Checks `train.coding` and `train.rate_estimator` against the method, the channels and each other.
    pub(crate) fn validate_coding(&self) -> Result<(), ScenarioError> {
        let train = &self.train;
        within("train.table_every", train.table_every as usize, 1, usize::MAX)?;
        within("train.code_bits", train.code_bits as usize, 1, MOST_CODE_BITS)?;
        within("train.code_groups", train.code_groups, 1, LARGEST_FEATURE)?;
        let refuse = |key: &str, what: String| Err(ScenarioError::invalid(key, what));
        let method = train.method.name();
        let coding = train.coding.as_ref().map_or("", TrainCoding::name);
        if train.coding() != Coding::Own && !train.coding_parameters.is_empty() {
            let what = "is for a coding that a program of your own adds, which train.coding names";
            return refuse("train.coding_parameters", what.into());
        }
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
        match train.coding() {
            Coding::CodeBook => {
                self.validate_code_groups()?;
                self.validate_symbols(coding, "the bits of the indices")?;
            }
            Coding::Own => self.validate_symbols(coding, "what the coding says")?,
            Coding::Gaussian | Coding::Quantised | Coding::Deterministic | Coding::Dithered => {}
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

    fn validate_code_groups(&self) -> Result<(), ScenarioError> {
        let (d, groups) = (self.network.feature_dim, self.train.code_groups);
        if d.is_multiple_of(groups) {
            return Ok(());
        }
        let what = format!(
            "is {groups}, but with train.coding = \"code-book\" it must divide network.feature_dim, which is {d}"
        );
        Err(ScenarioError::invalid("train.code_groups", what))
    }

    /// Checks what does not go with features that are nothing but symbols, and whose rate is `rate`.
    fn validate_symbols(&self, coding: &str, rate: &str) -> Result<(), ScenarioError> {
        if self.train.rate_estimator == RateEstimator::Prior {
            let what = format!(
                "is \"prior\", but with train.coding = \"{coding}\" the rate is {rate}: leave the key out"
            );
            return Err(ScenarioError::invalid("train.rate_estimator", what));
        }
        match self.channels().next() {
            Some((k, t, _)) => {
                let what = format!(
                    "is \"{coding}\", whose symbols arrive or do not, but a channel changes what goes from transmitter {k} to \
                     receiver {t}: leave out [[channel]], or set another coding"
                );
                Err(ScenarioError::invalid("train.coding", what))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rate;

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
        let book = parse(&["train.coding=code-book", "train.code_groups=8"]).unwrap();
        assert_eq!(
            (book.train.coding(), book.train.rate(), book.code_book_size()),
            (Coding::CodeBook, Rate::Bits, [16, 3])
        );
        let own = parse(&["train.coding=lattice", "train.coding_parameters={levels=4}"]).unwrap();
        assert_eq!(
            (own.train.coding(), own.train.rate(), own.travels_as()),
            (Coding::Own, Rate::Bits, Coding::Own)
        );
        assert_eq!(own.train.coding_parameters["levels"].as_integer(), Some(4));
        assert_eq!(Scenario::parse(&own.to_toml(), "again", &[]).unwrap(), own);
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
            (&["train.coding=code-book", "train.method=vddib"], "train.coding is", "leave the key out"),
            (&["train.coding=code-book", prior], "train.rate_estimator is \"prior\"", "leave the key out"),
            (
                &["train.coding=code-book", "train.rate_at=received"],
                "train.rate_at is \"received\"",
                "set \"sent\"",
            ),
            (
                &["train.coding=code-book", "channel=[{kind=\"awgn\",snr_db=5}]"],
                "train.coding is \"code-book\"",
                "leave out [[channel]]",
            ),
            (
                &["train.coding=code-book", "channel=[{kind=\"awgn\",snr_db=5,transport=\"digital\"}]"],
                "train.coding is \"code-book\"",
                "leave out [[channel]]",
            ),
            (
                &["train.coding=lattice", "train.method=vddib"],
                "train.coding is \"lattice\"",
                "leave the key out",
            ),
            (&["train.coding=lattice", prior], "train.rate_estimator is \"prior\"", "leave the key out"),
            (
                &["train.coding=lattice", "train.rate_at=received"],
                "train.rate_at is \"received\"",
                "set \"sent\"",
            ),
            (
                &["train.coding=lattice", "channel=[{kind=\"awgn\",snr_db=5}]"],
                "train.coding is \"lattice\"",
                "leave out [[channel]]",
            ),
            (
                &["train.coding=gaussian", "train.coding_parameters={levels=4}"],
                "train.coding_parameters is for a coding",
                "which train.coding names",
            ),
            (
                &["train.coding=code-book", "train.code_groups=5"],
                "train.code_groups is 5",
                "divide network.feature_dim",
            ),
            (&["train.code_groups=0"], "train.code_groups is 0", "1"),
            (&["train.code_bits=13"], "train.code_bits is 13", "12"),
            (&["train.commitment=-1"], "train.commitment is -1", "0 or more"),
        ] {
            let message = parse(set).unwrap_err().to_string();
            assert!(message.contains(key) && message.contains(remedy), "{set:?}: {message}");
        }
    }
}
