//! A run's folder belongs to one run at a time: other commands are told its owner, and the run that owns it ends with
//! the same result as undisturbed.

use std::time::{Duration, Instant};

use harness::{Outcome, PATIENCE, Place, Process, Signal, wait_for, wait_until};
use serde_json::Value;

use crate::{PROGRAM, assert_same};

const RUN: &str = "tiny.toml --rounds 30 --set checkpoint.every=2";

/// Time within which a run under way must have refused another command: well before it could be taken for ending.
const AT_ONCE: Duration = Duration::from_secs(25);

/// All commands that would write to the folder a.
const RIVALS: [&str; 9] = [
    "run tiny.toml --out a",
    "run tiny.toml --out a --seed 2 --force",
    "run tiny.toml --out a --force --in-process",
    "run --resume a",
    "run --resume a --in-process",
    "evaluate a",
    "coordinator tiny.toml --out a --listen 127.0.0.1:0 --resume",
    "coordinator tiny.toml --out a --listen 127.0.0.1:0 --resume-or-start",
    "coordinator tiny.toml --out a --listen 127.0.0.1:0 --force",
];

#[test]
fn a_run_under_way_keeps_others_out_of_its_folder_and_is_not_disturbed() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --json")).done().json();
    for way in ["", "--in-process"] {
        let run = start(&place, &format!("run {RUN} --out a --force --json {way}"));
        let owner = owner(&place);
        let pid = format!("process {} on ", owner["pid"]);
        let name = format!("run {}", &owner["run"].as_str().expect("it has a name by now")[..8]);
        for rival in RIVALS {
            place
                .start(rival)
                .finish_within(AT_ONCE)
                .failed(2, &["a is taken", &pid, &name, "since 2", "stop a"]);
        }
        assert_same(&go_on(&place, run).done().json(), &quiet);
        assert_eq!(place.run_folder("a").rounds(), 30);
    }
}

#[test]
fn a_coordinator_that_waits_for_its_nodes_has_its_folder_too() {
    let place = Place::for_longer_runs(PROGRAM);
    let words = "coordinator tiny.toml --out a --listen 127.0.0.1:0";
    let first = place.start(&format!("{words} --json"));
    let address = place.address("a");
    for more in ["", "--force", "--resume-or-start", "--seed 2 --force"] {
        place.start(&format!("{words} {more}")).finish_within(AT_ONCE).failed(2, &["a is taken"]);
    }
    assert_eq!(place.address("a"), address);
    let nodes = ["transmitter", "transmitter", "receiver", "receiver"]
        .map(|role| place.start(&format!("{role} --coordinator {address}")));
    first.finish().done();
    for node in nodes {
        node.finish().done();
    }
}

#[test]
fn a_run_that_is_ending_is_waited_for() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --json")).done().json();
    let run = start(&place, &format!("run {RUN} --out a"));
    // Killed together with a coordinator that has no time to notice.
    let coordinator = place.find("coordinator").expect("it takes part in the run");
    coordinator.signal(Signal::Stop);
    run.signal(Signal::Kill);
    run.finish().killed_by(Signal::Kill);
    let next = place.start("run --resume a --json");
    wait_until("the next run's patience", PATIENCE, || next.stderr().contains("waiting for run"));
    coordinator.signal(Signal::Kill);
    assert_same(&next.finish().done().json(), &quiet);

    let run = start(&place, &format!("run {RUN} --out a --force"));
    run.signal(Signal::Terminate);
    wait_until("its last words", PATIENCE, || owner(&place)["ending"] == true);
    assert_same(&place.run("run --resume a --json").done().json(), &quiet);
    assert_eq!(run.finish().status.code(), Some(1));
}

#[test]
fn runs_that_begin_at_the_same_time_take_a_fresh_folder_each() {
    let place = Place::for_longer_runs(PROGRAM);
    let runs = [1, 2, 3].map(|_| place.start("run tiny.toml --rounds 2 --in-process --json"));
    let ends = runs.map(|run| run.finish().done().json()["fingerprint"].clone());
    assert!(ends.iter().all(|fingerprint| *fingerprint == ends[0]));
    for folder in ["tiny-pom2dib-s1", "tiny-pom2dib-s1-2", "tiny-pom2dib-s1-3"] {
        assert!(place.run_folder(&format!("runs/{folder}")).has("summary.json"), "{folder}");
    }
}

#[test]
fn of_two_folders_with_one_store_the_later_has_the_run() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --json")).done().json();
    let first = start(&place, &format!("run {RUN} --out a --set checkpoint.store=safe --restarts 0"));
    wait_until("the end of all that was under way", PATIENCE, || rests(&place.run("status a").stdout));

    let words = "tiny.toml --set checkpoint.store=safe --resume --out b --listen 127.0.0.1:0 --json";
    let second = place.start(&format!("coordinator {words}"));
    let address = place.address("b");
    let _nodes = ["transmitter", "transmitter", "receiver", "receiver"]
        .map(|role| place.start(&format!("{role} --coordinator {address}")));
    assert_same(&second.finish().done().json(), &quiet);

    let outcome = go_on(&place, first);
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    assert!(outcome.stderr.contains("another coordinator has gone on with this run"), "{outcome}");
    let names = std::fs::read_dir(place.path("safe")).expect("it is there").flatten();
    let whole: Vec<_> = names.filter(|entry| entry.path().join("manifest.json").exists()).collect();
    assert!(whole.iter().any(|entry| entry.file_name() == "round-000030"), "{whole:?}");
}

/// Starts a run in the folder a and pauses it in the middle, after a checkpoint.
fn start(place: &Place, words: &str) -> Process {
    let _ = std::fs::remove_file(place.path("a/address"));
    let run = place.start(words);
    place.address("a");
    wait_until("some rounds", PATIENCE, || place.run_folder("a").rounds() > 3);
    tell(place, "pause");
    run
}

/// Whether a paused run with this status is idle: its four nodes wait for orders, and the last checkpoint that was due
/// has been written.
fn rests(status: &str) -> bool {
    let number_after = |word: &str| -> Option<u64> {
        let rest = status.split_once(word)?.1;
        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    let (round, saved) = (number_after("paused, round "), number_after("last checkpoint: round "));
    status.matches("waits for orders").count() == 4
        && round.zip(saved).is_some_and(|(round, saved)| saved == round - round % 2)
}

fn go_on(place: &Place, run: Process) -> Outcome {
    tell(place, "resume");
    run.finish()
}

/// Sends an action to the run in the folder a, and waits until it is done.
fn tell(place: &Place, action: &str) {
    let address = place.address("a");
    place.run(&format!("{action} {address}")).done();
}

/// The content of the lock of the folder a.
fn owner(place: &Place) -> Value {
    let begun = Instant::now();
    wait_for("the lock's owner", PATIENCE, || {
        let owner: Value = serde_json::from_str(&place.run_folder("a").text("lock")).ok()?;
        (owner["run"].is_string() || begun.elapsed() > PATIENCE / 2).then_some(owner)
    })
}
