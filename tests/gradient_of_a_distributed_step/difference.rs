//! Where selections are judged by the differences that they make to costs.

use crate::oracle::selection::Selection;
use crate::played_round::Start;
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees, toy};

fn difference(scenario: &str, more: &[&str]) -> Selection {
    let plain = ["train.credit=difference", "train.beta=0.5", "train.baseline=leave-one-out"];
    agrees(&toy(scenario, &[&plain, more].concat()), Start::Unsettled)
}

#[test]
fn of_differences_less_every_baseline() {
    for scenario in [TWO_BY_TWO, THREE_BY_TWO, TIGHTLY_CAPPED] {
        difference(scenario, &["train.ticks_per_round=5"]);
        difference(scenario, &["train.baseline=none", "train.rate_estimator=joint"]);
    }
    let rayleigh = r#"channel=[{kind="rayleigh",snr_db=5,csi="both"}]"#;
    let gains = ["network.see_channel=true", "train.baseline=gains", rayleigh];
    difference(TWO_BY_TWO, &[&gains[..], &["train.ticks_per_round=7"]].concat());
}

#[test]
fn of_differences_with_an_entropy_bonus_and_sparse_terms() {
    let bonus = ["train.entropy_bonus=0.2", "train.rounds=20", "train.gamma=0.3"];
    for sparse in ["train.sparse_term=own", "train.sparse_term=global"] {
        difference(THREE_BY_TWO, &[&bonus[..], &[sparse]].concat());
        difference(TIGHTLY_CAPPED, &[&bonus[..], &[sparse]].concat());
    }
}

#[test]
fn of_differences_of_draws_of_up_to_all_transmitters() {
    let all = ["network.receiver_limit=3", "train.ticks_per_round=10"];
    let selection = difference(THREE_BY_TWO, &all);
    let longest = selection.requests.iter().flatten().map(Vec::len).max();
    assert_eq!(longest, Some(3), "no receiver drew all transmitters: no draw of three was checked");
    difference(THREE_BY_TWO, &["network.limits=false"]);
}

#[test]
fn of_differences_in_a_round_of_several_parts_in_which_some_are_granted_nothing() {
    let ticks = format!("train.ticks_per_round={}", scenario::GRADIENT_BLOCK_TICKS + 2);
    let parts: [&str; 3] = [&ticks, "train.ticks_per_part=10", "train.empty_penalty=2.5"];
    let selection = difference(TIGHTLY_CAPPED, &parts);
    let is_without = selection.granted.iter().flatten().any(Vec::is_empty);
    assert!(is_without, "the cap left every receiver an entry: the test has lost its point");
}

#[test]
fn of_differences_of_single_samples_and_of_other_decoders() {
    difference(TWO_BY_TWO, &["train.samples_per_tick=1", "train.ticks_per_round=5"]);
    difference(THREE_BY_TWO, &["train.rate_estimator=prior"]);
    difference(THREE_BY_TWO, &["network.mask=true", "network.joint_map=shared"]);
    difference(
        THREE_BY_TWO,
        &[
            r#"network.joint={kind="sequential",layers=["linear 8","gelu"]}"#,
            "train.common_randomness=private",
        ],
    );
}

#[test]
fn of_differences_of_entries_that_links_lose() {
    let lossy = ["straggler.policy=skip", "link=[{loss=0.4}]", "train.modality_dropout=0.2"];
    difference(THREE_BY_TWO, &[&lossy[..], &["train.ticks_per_round=6"]].concat());
}

/// A receiver that goes by the strength of links learns nothing, but tells transmitters differences.
#[test]
fn of_differences_where_requests_go_by_the_strength_of_links() {
    let rayleigh = r#"channel=[{kind="rayleigh",snr_db=5}]"#;
    difference(THREE_BY_TWO, &["train.requests=strongest", "evaluation.draw=tick", rayleigh]);
}

/// Methods without selectors ignore the key: receivers send whole costs, and no network learns from them.
#[test]
fn of_methods_without_selectors_whatever_is_credited() {
    for method in ["train.method=tadib", "train.method=rs-dib"] {
        difference(TWO_BY_TWO, &[method]);
    }
}
