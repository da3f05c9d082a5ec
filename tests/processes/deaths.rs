//! When a process of a run is lost for good, the whole run ends: soon, with one line that names the process, and
//! without leftover processes.

use std::time::Duration;

use harness::{Outcome, PATIENCE, Place, Process, Signal, Wire, join, wait_for, wait_until};
use proto::v1::Role;

use crate::PROGRAM;

/// Time limit for a run that cannot continue to end.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_transmitter_killed_in_mid_run_is_named_and_ends_the_run() {
    let (place, outcome) = run_and_kill("transmitter 1");
    outcome.failed(1, &["transmitter 1 left the run"]);
    assert_unfinished(&place);
}

#[test]
fn a_receiver_killed_in_mid_run_is_named_and_ends_the_run() {
    let (place, outcome) = run_and_kill("receiver 0");
    outcome.failed(1, &["receiver 0 left the run"]);
    assert_unfinished(&place);
}

#[test]
fn a_coordinator_killed_in_mid_run_is_named_and_ends_the_run() {
    let (place, outcome) = run_and_kill("coordinator");
    outcome.failed(1, &["the coordinator was killed", "signal: 9"]);
    assert_unfinished(&place);
}

#[test]
fn a_run_that_is_killed_takes_all_its_processes_along() {
    let (place, run) = start_endless_run();
    run.signal(Signal::Kill);
    run.finish_within(SOON).killed_by(Signal::Kill);
    place.assert_all_gone();
    assert_unfinished(&place);
}

#[test]
fn a_run_that_is_told_to_end_takes_all_its_processes_along() {
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let (place, run) = start_endless_run();
        run.signal(signal);
        let outcome = run.finish_within(SOON);
        assert_eq!(outcome.status.code(), Some(1));
        assert!(outcome.stderr.contains("stopped after round"), "{}", outcome.stderr);
        place.assert_all_gone();
        assert_unfinished(&place);
    }
}

#[test]
fn a_node_killed_before_the_start_is_named_and_ends_the_run() {
    let place = Place::for_longer_runs(PROGRAM);
    let run = place.start("run tiny.toml --out a --rounds 100000 --restarts 0");
    let node = wait_for("transmitter 1", PATIENCE, || place.find("transmitter 1"));
    node.signal(Signal::Kill);
    run.finish_within(SOON).failed(1, &["transmitter 1"]);
    place.assert_all_gone();
    assert_unfinished(&place);
}

#[test]
fn nodes_started_by_hand_end_with_their_coordinator_and_name_it() {
    let (_place, coordinator, nodes) = start_endless_network();
    coordinator.signal(Signal::Kill);
    for node in nodes {
        let outcome = node.finish_within(SOON);
        assert_eq!(outcome.status.code(), Some(1));
        assert!(outcome.stderr.contains("waiting for it to come back"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("error: lost the coordinator"), "{}", outcome.stderr);
    }
}

#[test]
fn nodes_started_by_hand_end_with_any_other_and_name_it() {
    let (_place, coordinator, mut nodes) = start_endless_network();
    let dead = nodes.remove(1);
    dead.signal(Signal::Kill);
    coordinator.finish_within(SOON).failed(1, &["transmitter 1 left the run"]);
    for node in nodes {
        node.finish_within(SOON).failed(1, &["the coordinator ended the run", "transmitter 1 left the run"]);
    }
}

#[test]
fn a_node_that_leaves_before_the_start_may_be_started_again_under_its_index() {
    let place = Place::for_longer_runs(PROGRAM);
    let coordinator = place.start("coordinator tiny.toml --out a --rounds 1 --listen 127.0.0.1:0");
    let address = place.address("a");
    let start =
        |role: &str, index: u32| place.start(&format!("{role} --coordinator {address} --index {index}"));

    let wire = Wire::open();
    let node = wire.join(address, join(Role::Transmitter, Some(0))).expect("the place is free");
    drop(node);

    let _others = [start("transmitter", 1), start("receiver", 0), start("receiver", 1)];
    let mut again = start("transmitter", 0);
    wait_until("the first round", PATIENCE, || {
        // Its place is free once the coordinator has noticed. Until then a supervisor would restart it as well.
        if again.has_ended() {
            again = start("transmitter", 0);
        }
        place.run_folder("a").rounds() > 0
    });
    coordinator.finish().done();
}

/// A run that would not end by itself, in the middle.
fn start_endless_run() -> (Place, Process) {
    let place = Place::for_longer_runs(PROGRAM);
    let run = place.start("run tiny.toml --out a --rounds 100000 --set checkpoint.every=3 --restarts 0");
    wait_for_rounds(&place);
    assert_eq!(place.running().len(), 6, "itself, a coordinator and four nodes: {:?}", place.running());
    (place, run)
}

/// Kills one of its processes and waits for the end of all others.
fn run_and_kill(role: &str) -> (Place, Outcome) {
    let (place, run) = start_endless_run();
    place.find(role).expect("it takes part in the run").signal(Signal::Kill);
    let outcome = run.finish_within(SOON);
    place.assert_all_gone();
    (place, outcome)
}

/// The same network started manually: the coordinator, and transmitters 0 and 1 and receivers 0 and 1.
fn start_endless_network() -> (Place, Process, Vec<Process>) {
    let place = Place::for_longer_runs(PROGRAM);
    let coordinator =
        place.start("coordinator tiny.toml --out a --rounds 100000 --rejoin 0 --listen 127.0.0.1:0");
    let address = place.address("a");
    let nodes = ["transmitter", "transmitter", "receiver", "receiver"].iter().zip([0, 1, 0, 1]);
    let nodes = nodes.map(|(role, index)| {
        place.start(&format!("{role} --coordinator {address} --index {index} --patience 1"))
    });
    let nodes = nodes.collect();
    wait_for_rounds(&place);
    (place, coordinator, nodes)
}

fn wait_for_rounds(place: &Place) {
    wait_until("the first rounds", PATIENCE, || place.run_folder("a").rounds() > 3);
}

/// The folder of a run that did not end must not look as if it had.
fn assert_unfinished(place: &Place) {
    let folder = place.run_folder("a");
    assert!(!folder.has("summary.json"));
    folder.assert_nothing_partial_looks_whole();
}
