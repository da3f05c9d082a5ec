//! Features that are indices of a learned code book.

use crate::oracle::Oracle;
use crate::played_round::{PlayedRound, Start, on_one_thread, tensors};
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees, agrees_with, toy};

/// Eight vectors of two values; the commitment weighs about as much as the objective.
const BOOK: [&str; 5] = [
    "train.coding=code-book",
    "train.code_bits=3",
    "train.code_groups=2",
    "train.commitment=0.7",
    "train.beta=0.5",
];

#[test]
fn of_features_with_a_code_book() {
    for start in [Start::Initial, Start::Unsettled] {
        agrees(&toy(TWO_BY_TWO, &BOOK), start);
        agrees(&toy(THREE_BY_TWO, &BOOK), start);
    }
    // Every value by itself, and all together.
    for groups in ["train.code_groups=4", "train.code_groups=1"] {
        agrees(&toy(TWO_BY_TWO, &[&BOOK[..], &[groups, "train.commitment=0"]].concat()), Start::Initial);
    }
}

#[test]
fn of_features_with_a_code_book_under_other_settings() {
    for more in [
        &["train.method=tadib"][..],
        &["train.method=rs-dib"],
        &["train.objective=worst", "train.baseline=leave-one-out", "train.credit=shared"],
        &["train.modality_dropout=0.3", "network.mask=true"],
        &["train.samples_per_tick=1", "train.ticks_per_round=8"],
        &[
            r#"network.encoder={kind="sequential",outputs=5,layers=["linear 7","gelu"],head={hidden=[9]}}"#,
            "train.method=tadib",
        ],
    ] {
        agrees(&toy(THREE_BY_TWO, &[&BOOK[..], more].concat()), Start::Unsettled);
    }
    let parts = ["train.ticks_per_round=13", "train.ticks_per_part=10"];
    agrees(&toy(TIGHTLY_CAPPED, &[&BOOK[..], &parts].concat()), Start::Unsettled);
}

/// What was not used teaches a code book nothing.
#[test]
fn of_indices_that_links_lose() {
    let links = ["straggler.policy=skip", "link=[{loss=0.4}]"];
    let setup = toy(THREE_BY_TWO, &[&BOOK[..], &links].concat());
    let played = on_one_thread(|| PlayedRound::play(&setup, Start::Unsettled));
    let count = |entries: Vec<Vec<Vec<(usize, usize)>>>| entries.iter().flatten().flatten().count();
    assert!((1..count(played.sent(&setup))).contains(&count(played.granted(&setup))), "none was lost");
    agrees_with(&setup, played);
}

/// The test has a point only if several vectors are chosen.
#[test]
fn of_several_vectors() {
    let setup = toy(TWO_BY_TWO, &BOOK);
    on_one_thread(|| {
        let played = PlayedRound::play(&setup, Start::Initial);
        let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
        let moved = |name: &str| {
            let after = tensors(&played.network.snapshots[&(played.round + 1)]);
            let moments = after[&format!("{name}.m")].abs().unwrap().sum(1).unwrap().to_vec1::<f32>();
            moments.unwrap().iter().filter(|moment| **moment > 0.0).count()
        };
        let books = oracle.variables.keys().filter(|name| name.ends_with("/vectors"));
        let most = books.map(|name| moved(name)).max().unwrap();
        assert!(most > 1, "at most {most} vectors of a code book were chosen");
    });
}
