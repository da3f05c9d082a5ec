//! Options of the objective and of the score function work in all pairwise combinations.

use crate::played_round::Start;
use crate::{THREE_BY_TWO, agrees, toy};

/// Keys, and two values of each.
const OPTIONS: [[&str; 2]; 7] = [
    ["network.limits=true", "network.limits=false"],
    ["train.rate_estimator=per-dimension", "train.rate_estimator=joint"],
    ["train.sparse_term=own", "train.sparse_term=global"],
    ["train.baseline=leave-one-out", "train.baseline=OTHER"],
    ["train.credit=own", "train.credit=shared"],
    ["train.log_mass=sequence", "train.log_mass=set"],
    // With one sample a tick, rates are over the round.
    ["train.samples_per_tick=3", "train.samples_per_tick=1"],
];

/// The value of each option in a row: every pair of values of every pair of options is in two rows (the orthogonal
/// array of eight rows).
fn row(number: usize) -> [usize; 7] {
    let [a, b, c] = [number & 1, number >> 1 & 1, number >> 2 & 1];
    [a, b, c, a ^ b, a ^ c, b ^ c, a ^ b ^ c]
}

#[test]
fn of_all_pairs_of_options() {
    for number in 0..8 {
        // Each of the two other baselines has its rows.
        let other = ["label-entropy", "none"][number >> 2];
        let values =
            OPTIONS.iter().zip(row(number)).map(|(values, value)| values[value].replace("OTHER", other));
        let rest = [
            "train.gamma=0.3",
            "train.beta=0.5",
            "train.beta_start=0.1",
            "train.rounds=20",
            "train.entropy_bonus=0.2",
        ];
        let all: Vec<String> = values.chain(rest.map(str::to_owned)).collect();
        println!("{all:?}");
        agrees(&toy(THREE_BY_TWO, &all.iter().map(String::as_str).collect::<Vec<_>>()), Start::Unsettled);
    }
}
