//! Checkpoints may be in a remote store, from which alone a run can continue, even if the coordinator's machine is lost
//! for good.

use harness::{Outcome, PATIENCE, Place, Signal, table_of_sweep, wait_until};
use serde_json::Value;

use crate::PROGRAM;

const RUN: &str = "tiny.toml --rounds 20 --set checkpoint.every=4";

#[test]
fn a_run_whose_folder_is_lost_goes_on_from_its_store_alone() {
    let place = Place::for_longer_runs(PROGRAM);
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
fn a_run_is_trained_further_from_its_store_alone_and_the_store_tells_of_it() {
    let place = Place::for_longer_runs(PROGRAM);
    let stored = "tiny.toml --set train.cool_down=0.5 --set checkpoint.store=safe";
    place.run(&format!("run {stored} --rounds 6 --out a --in-process")).done();
    let straight = place.run("run --resume a --rounds 10 --in-process --json").done().json();
    assert_eq!(straight["extended"][0]["rounds"], 10);

    // Everything but the store is lost, twice: earlier extensions are known each time.
    let further = |out: &str, rounds: u64| {
        let words = format!("--rounds {rounds} --resume --out {out} --listen 127.0.0.1:0 --json");
        let coordinator = place.start(&format!("coordinator {stored} {words}"));
        let address = place.address(out);
        let _nodes = ["transmitter", "transmitter", "receiver", "receiver"]
            .map(|role| place.start(&format!("{role} --coordinator {address}")));
        coordinator.finish().done().json()
    };
    let again = further("b", 14);
    assert_eq!((&again["rounds"], place.run_folder("b").rounds()), (&14.into(), 14));
    let steps = |summary: &Value| -> Vec<u64> {
        let steps = summary["extended"].as_array().expect("it is said");
        steps.iter().map(|step| step["rounds"].as_u64().expect("a number")).collect()
    };
    assert_eq!(steps(&again), [10, 14]);
    assert_eq!(steps(&further("c", 14)), [10, 14]);
    assert_eq!(steps(&further("d", 16)), [10, 14, 16]);
    let words = "tiny.toml --set checkpoint.store=safe --resume --rounds 15 --out e --listen 127.0.0.1:0";
    place.run(&format!("coordinator {words}")).failed(2, &["--rounds 15", "has trained 16 rounds already"]);
    let words = "tiny.toml --set checkpoint.store=empty --resume --rounds 15 --out f --listen 127.0.0.1:0";
    place.run(&format!("coordinator {words}")).failed(2, &["empty has no checkpoint"]);

    // Of all earlier claims, one is left.
    let claims = std::fs::read_dir(place.path("safe/incarnations")).expect("there are claims").count();
    assert_eq!(claims, 1);
    // A new run in that store has no part in that.
    place.run(&format!("run {stored} --rounds 6 --out g --force --in-process")).done();
    assert!(!place.path("safe/lineage.json").exists());
}

#[test]
fn an_interrupted_run_sums_up_what_an_uninterrupted_one_does() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --json")).done();
    let run = place.start(&format!("run {RUN} --out a"));
    wait_until("some rounds", PATIENCE, || place.run_folder("a").rounds() > 9);
    run.signal(Signal::Kill);
    run.finish().killed_by(Signal::Kill);
    place.assert_all_gone();
    assert_same(&place.run("run --resume a --json").done(), &quiet);
}

#[test]
fn every_point_of_a_sweep_has_a_place_of_its_own_in_the_store_and_goes_on_from_there() {
    let place = Place::new(PROGRAM);
    // Delays make rounds last without work.
    let points = "tiny.toml --seed 1,2 --rounds 40 --set link=[{delay=0.05}] --in-process --json";
    let every = "--set checkpoint.every=5";
    let local = place.start(&format!("sweep {points} {every} --parallel 2 --out local"));
    let stored = format!("sweep {points} {every} --set checkpoint.store=safe --out far");
    let words = stored.split_whitespace().chain(["--on", "{command}"]);
    let watch = place.start_words([], words);
    let folder = |seed: u64| place.run_folder(&format!("far/seed={seed}"));
    let manifest = "round-000005/manifest.json";
    wait_until("checkpoints", PATIENCE, || {
        (1..=2).all(|seed| place.path(&format!("safe/seed={seed}/{manifest}")).exists())
    });
    let owner = folder(1).json("claims/000001")["pid"].as_u64().expect("a number");
    let killed = std::process::Command::new("kill").args(["-KILL", &owner.to_string()]).status();
    assert!(killed.expect("there is a kill").success());
    let far = watch.finish().done();
    let fingerprint =
        |outcome: &Outcome, point: usize| outcome.json()["points"][point]["fingerprint"].clone();
    let local = local.finish().done();
    assert_eq!(table_of_sweep(&far.json())["over_seeds"], table_of_sweep(&local.json())["over_seeds"]);
    let again = far.stderr.lines().find(|line| line.contains("seed=1: starting it again, from round "));
    let from =
        again.and_then(|line| line.split("from round ").nth(1)?.split(':').next()?.parse::<u64>().ok());
    assert!(from.is_some_and(|from| from >= 5), "not from the beginning: {far}");
    for seed in 1..=2 {
        assert!(!folder(seed).has("checkpoints") && folder(seed).rounds() == 40, "they lie elsewhere");
    }

    // On this machine too, also one that is killed before its first checkpoint.
    let late =
        stored.replace("every=5", "every=100").replace("store=safe", "store=late").replace("far", "late");
    let first = place.start(&late);
    wait_until("some rounds", PATIENCE, || place.run_folder("late/seed=1").rounds() > 2);
    first.signal(Signal::Kill);
    first.finish().killed_by(Signal::Kill);
    place.assert_all_gone();
    let back = place.run("sweep --resume late --json").done();
    assert!(back.stderr.contains("1 to go on from a checkpoint, 1 to begin"), "{back}");
    for point in 0..2 {
        assert_eq!(
            [&far, &back].map(|of| fingerprint(of, point)),
            [0; 2].map(|_| fingerprint(&local, point))
        );
    }
}

#[test]
fn a_store_that_holds_a_run_is_not_overwritten_without_force() {
    let place = Place::for_longer_runs(PROGRAM);
    let words = "tiny.toml --rounds 1 --in-process --set checkpoint.store=safe";
    place.run(&format!("run {words} --out a")).done();
    place.run(&format!("run {words} --out b")).failed(2, &["safe", "--force"]);
    place.run(&format!("run {words} --out b --force")).done();
}

#[test]
fn an_object_store_that_this_program_cannot_reach_is_named() {
    let place = Place::for_longer_runs(PROGRAM);
    let outcome = place.run("run tiny.toml --in-process --set checkpoint.store=s4://bucket/a --out a");
    outcome.failed(2, &["s4://bucket/a"]);
}

/// Asserts the same summary except for the duration, and the wire traffic of the interruption.
fn assert_same(run: &Outcome, quiet: &Outcome) {
    let bare = |outcome: &Outcome| {
        let mut summary: Value = outcome.json();
        let fields = summary.as_object_mut().expect("a summary is an object");
        fields.remove("timing");
        fields["wire"].as_object_mut().expect("so is this").remove("total_bytes");
        fields["rates"].as_object_mut().expect("and this").remove("socket_bytes");
        summary
    };
    assert_eq!(bare(run), bare(quiet));
}
