//! Checkpoints may lie elsewhere, and from there alone a run goes on: the machine of its coordinator may be lost for good.

use harness::{Outcome, PATIENCE, Place, Signal, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pom2dib");

const RUN: &str = "tiny.toml --rounds 20 --set checkpoint.every=4";

#[test]
fn a_run_whose_folder_is_lost_goes_on_from_its_store_alone() {
    let place = Place::new(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --json")).done();
    let stored = format!("{RUN} --set checkpoint.store=safe");
    let run = place.start(&format!("run {stored} --out a --restarts 0"));
    wait_until("a checkpoint", PATIENCE, || place.path("safe/round-000008/manifest.json").exists());
    run.signal(Signal::Kill);
    run.finish().killed_by(Signal::Kill);
    place.assert_all_gone();
    assert!(!place.path("a/checkpoints").exists(), "they lie elsewhere");
    std::fs::remove_dir_all(place.path("a")).expect("it can be removed");

    let words = "tiny.toml --set checkpoint.store=safe --resume --out b --listen 127.0.0.1:0 --json";
    let coordinator = place.start(&format!("coordinator {words}"));
    let address = place.address("b");
    let _nodes = ["transmitter", "transmitter", "receiver", "receiver"]
        .map(|role| place.start(&format!("{role} --coordinator {address}")));
    assert_same(&coordinator.finish().done(), &quiet);
    assert_eq!(place.run_folder("b").rounds(), 20);
    assert!(place.run_folder("b").text("incarnation").trim().parse::<u64>().unwrap() > 1);
}

#[test]
fn an_interrupted_run_sums_up_what_an_uninterrupted_one_does() {
    let place = Place::new(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --json")).done();
    let run = place.start(&format!("run {RUN} --out a"));
    wait_until("some rounds", PATIENCE, || place.run_folder("a").rounds() > 9);
    run.signal(Signal::Kill);
    run.finish().killed_by(Signal::Kill);
    place.assert_all_gone();
    assert_same(&place.run("run --resume a --json").done(), &quiet);
}

#[test]
fn a_store_that_holds_a_run_is_not_overwritten_without_force() {
    let place = Place::new(PROGRAM);
    let words = "tiny.toml --rounds 1 --in-process --set checkpoint.store=safe";
    place.run(&format!("run {words} --out a")).done();
    place.run(&format!("run {words} --out b")).failed(2, &["safe", "--force"]);
    place.run(&format!("run {words} --out b --force")).done();
}

#[test]
fn an_object_store_that_this_program_cannot_reach_is_named() {
    let place = Place::new(PROGRAM);
    let outcome = place.run("run tiny.toml --in-process --set checkpoint.store=s4://bucket/a --out a");
    outcome.failed(2, &["s4://bucket/a"]);
}

/// The same summary but for the time that it took, and what the interruption cost on the wire.
fn assert_same(run: &Outcome, quiet: &Outcome) {
    let bare = |outcome: &Outcome| {
        let mut summary: Value = outcome.json();
        let fields = summary.as_object_mut().expect("a summary is an object");
        fields.remove("timing");
        fields["wire"].as_object_mut().expect("so is this").remove("total_bytes");
        summary
    };
    assert_eq!(bare(run), bare(quiet));
}
