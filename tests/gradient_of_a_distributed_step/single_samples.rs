//! Algorithm 1 literally: one sample a tick, and rates over rounds.

use crate::played_round::{PlayedRound, Start, on_one_thread};
use crate::support::local_network::Setup;
use crate::{Impatient, THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees, agrees_with, toy};

#[test]
fn of_rates_over_rounds_of_single_samples() {
    for scenario in [TWO_BY_TWO, TIGHTLY_CAPPED] {
        for estimator in ["per-dimension", "joint"] {
            let estimator = format!("train.rate_estimator={estimator}");
            agrees(&single_samples(scenario, &[&estimator]), Start::Unsettled);
        }
    }
}

#[test]
fn of_rates_over_rounds_of_single_samples_by_every_method() {
    // In the larger network a unit of a regression decoder is so near a ReLU's kink that f32 sees it on the other side.
    let methods =
        [("rs-dib", THREE_BY_TWO), ("tadib", THREE_BY_TWO), ("vddib", THREE_BY_TWO), ("dlsc", TWO_BY_TWO)];
    for (method, scenario) in methods {
        agrees(&single_samples(scenario, &[&format!("train.method={method}")]), Start::Unsettled);
    }
}

#[test]
fn of_rates_over_rounds_of_single_samples_that_links_lose() {
    let setup = single_samples(TIGHTLY_CAPPED, &["straggler.policy=skip", "link=[{loss=0.4}]"]);
    let played = on_one_thread(|| PlayedRound::play(&setup, Start::Unsettled));
    assert_ne!(played.granted(&setup), played.sent(&setup), "nothing is lost: the test has lost its point");
    agrees_with(&setup, played);
    let setup = single_samples(TWO_BY_TWO, &["straggler.policy=skip"]);
    let played = on_one_thread(|| PlayedRound::play_by(&setup, Start::Unsettled, &mut Impatient));
    assert_ne!(played.granted(&setup), played.sent(&setup), "nothing is late: the test has lost its point");
    agrees_with(&setup, played);
}

/// A draw of u and of the selection for every sample. A round is one part, however many ticks it has.
fn single_samples(scenario: &str, assignments: &[&str]) -> Setup {
    let single = ["train.samples_per_tick=1", "train.ticks_per_round=5", "train.beta=0.5"];
    toy(scenario, &[&single, assignments].concat())
}

#[test]
fn of_rates_over_rounds_that_elsewhere_would_travel_in_parts() {
    // More ticks than the toy data has samples: some occur twice.
    let parts = ["train.ticks_per_round=12", "train.ticks_per_part=10"];
    agrees(&single_samples(TWO_BY_TWO, &parts), Start::Unsettled);
}
