//! Selections that are judged by the differences that they make to costs.

use harness::Place;

use crate::{PROGRAM, assert_same_everywhere};

const DIFFERENCE: &str = "--set train.credit=difference";

#[test]
fn a_network_that_credits_differences_is_the_same_in_processes_and_in_one_and_after_a_resumption() {
    let place = Place::new(PROGRAM);
    assert_same_everywhere(&place, DIFFERENCE);
}

/// A part of a round is how it travels: what its ticks would have cost is evaluated part by part.
#[test]
fn differences_do_not_depend_on_the_parts_of_a_round() {
    let place = Place::new(PROGRAM);
    let fingerprint = |ticks: usize| {
        let parts = format!("--set train.ticks_per_round=25 --set train.ticks_per_part={ticks}");
        let words = format!("run tiny.toml {DIFFERENCE} {parts} --set evaluation.passes=1 --rounds 3");
        let summary = place.run(&format!("{words} --in-process --json --out of-{ticks}")).done().json();
        summary["fingerprint"].clone()
    };
    let of_three = fingerprint(10);
    assert!(of_three.is_string());
    assert_eq!(of_three, fingerprint(30));
}

#[test]
fn settings_with_which_a_difference_says_nothing_are_refused_before_anything_starts() {
    let place = Place::new(PROGRAM);
    for (set, key) in [
        ("network.multicast=true", "train.credit is \"difference\""),
        ("train.objective=worst", "train.credit is \"difference\""),
        ("train.log_mass=set", "train.log_mass is \"set\""),
        ("train.baseline=label-entropy", "train.baseline is \"label-entropy\""),
    ] {
        let words = format!("run tiny.toml {DIFFERENCE} --set {set} --out refused");
        place.run(&words).failed(2, &[key, "difference"]);
    }
    assert!(!place.path("refused").exists());
}
