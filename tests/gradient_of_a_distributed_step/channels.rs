//! What is sent meets noise and fading: gradients come back through equalisation, gain and power.

use crate::played_round::Start;
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees, toy};

fn over(scenario: &str, channel: &str, more: &[&str]) {
    let channel = format!("channel=[{{{channel}}}]");
    agrees(&toy(scenario, &[&["train.beta=0.5", &channel], more].concat()), Start::Unsettled);
}

#[test]
fn of_features_over_awgn() {
    over(TWO_BY_TWO, "kind=\"awgn\",snr_db=3", &[]);
    over(THREE_BY_TWO, "kind=\"awgn\",snr_db=[-3,10],power=\"entry\"", &["train.rate_estimator=joint"]);
    over(TIGHTLY_CAPPED, "kind=\"awgn\",snr_db=3,power=\"realised\"", &[]);
}

#[test]
fn of_features_over_rayleigh_and_every_equaliser() {
    for equaliser in ["conjugate", "zero-forcing", "mmse"] {
        over(TWO_BY_TWO, &format!("kind=\"rayleigh\",snr_db=5,equaliser=\"{equaliser}\""), &[]);
    }
    over(THREE_BY_TWO, "kind=\"rayleigh\",snr_db=5,csi=\"none\",block=\"sample\"", &[]);
}

#[test]
fn of_features_over_the_subcarriers_of_a_delay_line() {
    let paths = "kind=\"rayleigh\",snr_db=5,taps=3,subcarriers=3,decay=0.4";
    over(TWO_BY_TWO, paths, &[]);
    over(
        THREE_BY_TWO,
        &format!("{paths},block=\"round\",equaliser=\"conjugate\""),
        &["train.rate_at=received"],
    );
}

#[test]
fn of_the_rate_of_what_arrives() {
    let received = "train.rate_at=received";
    over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &[received]);
    over(THREE_BY_TWO, "kind=\"awgn\",snr_db=0,power=\"entry\"", &[received, "train.rate_estimator=joint"]);
    // Over ideal channels what is sent arrives.
    over(TWO_BY_TWO, "transmitter=1,kind=\"rayleigh\",snr_db=5,block=\"round\"", &[received]);
}

#[test]
fn of_single_samples_and_of_several_parts_over_rayleigh() {
    over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &["train.samples_per_tick=1", "train.ticks_per_round=6"]);
    let parts = ["train.ticks_per_round=13", "train.ticks_per_part=10"];
    over(TIGHTLY_CAPPED, "kind=\"rayleigh\",snr_db=5,block=\"round\"", &parts);
}

#[test]
fn of_features_without_a_density_over_rayleigh() {
    for method in ["train.method=vddib", "train.method=dlsc", "train.method=tadib", "train.method=rs-dib"] {
        over(TWO_BY_TWO, "kind=\"rayleigh\",snr_db=5", &[method]);
    }
}

#[test]
fn of_entries_that_a_link_loses_over_a_channel() {
    let lossy = ["straggler.policy=skip", "link=[{loss=0.4}]"];
    over(THREE_BY_TWO, "kind=\"rayleigh\",snr_db=5", &lossy);
}
