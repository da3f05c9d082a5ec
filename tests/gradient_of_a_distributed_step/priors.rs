//! Rates against learned priors, of Gaussian and of dithered features.

use crate::played_round::Start;
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees, toy};

const PRIOR: &str = "train.rate_estimator=prior";
const DITHERED: &str = "train.coding=dithered";

#[test]
fn of_gaussian_features_with_rates_against_a_prior() {
    for start in [Start::Initial, Start::Unsettled] {
        agrees(&toy(TWO_BY_TWO, &[PRIOR, "train.beta=0.5"]), start);
    }
}

#[test]
fn of_dithered_features_whose_tables_are_new() {
    agrees(&toy(TWO_BY_TWO, &[PRIOR, DITHERED, "train.beta=0.5"]), Start::Initial);
    agrees(&toy(THREE_BY_TWO, &[PRIOR, DITHERED, "train.beta=0.5", "train.table_every=1"]), Start::Unsettled);
}

#[test]
fn of_dithered_features_with_the_steps_of_older_tables() {
    agrees(&toy(THREE_BY_TWO, &[PRIOR, DITHERED, "train.beta=0.5"]), Start::Unsettled);
}

#[test]
fn of_dithered_features_in_a_round_of_several_parts_and_of_single_samples() {
    let parts = ["train.ticks_per_round=12", "train.ticks_per_part=10"];
    agrees(&toy(TIGHTLY_CAPPED, &[PRIOR, DITHERED, "train.beta=0.5", parts[0], parts[1]]), Start::Unsettled);
    for coding in [DITHERED, "train.coding=gaussian"] {
        let single = ["train.samples_per_tick=1", "train.ticks_per_round=8"];
        agrees(&toy(TWO_BY_TWO, &[PRIOR, coding, "train.beta=0.5", single[0], single[1]]), Start::Unsettled);
    }
}

#[test]
fn of_features_of_encoders_with_trunks() {
    let networks = [
        PRIOR,
        r#"network.encoder={kind="sequential",outputs=5,layers=["linear 7","gelu"],head={hidden=[9]}}"#,
        r#"network.encoder.wide={kind="gru",outputs=3,shape=[3,2],hidden=4}"#,
        "train.beta=0.5",
    ];
    agrees(&toy(TWO_BY_TWO, &networks), Start::Unsettled);
    agrees(
        &toy(THREE_BY_TWO, &[&networks[..], &[DITHERED, "train.table_every=1"]].concat()),
        Start::Unsettled,
    );
}
