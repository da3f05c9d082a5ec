//! Links over which bits go, and no values: `transport = "digital"`.

#[cfg(not(feature = "digital"))]
mod left_out;
#[cfg(feature = "digital")]
mod link;

use dib::Measure;
#[cfg(not(feature = "digital"))]
pub use left_out::DigitalLink;
#[cfg(feature = "digital")]
pub use link::DigitalLink;
use scenario::{Scenario, ScenarioError};

/// What became of a transport block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SentBlock {
    /// Whether its bits were received.
    pub is_received: bool,
    /// Channel uses that it took.
    pub uses: usize,
    /// What they met.
    pub measure: Option<Measure>,
}

/// Refuses a scenario with digital links where the program has none.
///
/// # Errors
/// A line that says how to get a program that has them.
pub(crate) fn check_digital(scenario: &Scenario) -> Result<(), ScenarioError> {
    check(scenario, cfg!(feature = "digital"))
}

fn check(scenario: &Scenario, is_built_in: bool) -> Result<(), ScenarioError> {
    match is_built_in || !scenario.sends_bits() {
        true => Ok(()),
        false => Err(ScenarioError::invalid(
            "channel: transport",
            "is \"digital\", and this program was built without digital links: build it with --features digital (cargo build --release \
             --features digital), or use the Python package or the image, which have them",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_the_feature_says_how_to_get_it() {
        let base = "[network]\nreceiver_limit = 1\ntransmitter_limit = 1\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        let parse = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
            Scenario::parse(base, "test", &set).unwrap()
        };
        let digital = parse(&[
            "train.coding=dithered",
            "train.rate_estimator=prior",
            "channel=[{kind=\"awgn\",snr_db=5,transport=\"digital\"}]",
        ]);
        let refused = check(&digital, false).unwrap_err().to_string();
        assert!(refused.contains("--features digital") && refused.lines().count() == 1, "{refused}");
        check(&digital, true).unwrap();
        check(&parse(&[]), false).unwrap();
    }
}
