//! A run survives the loss of any of its processes at any moment: it goes back to its last checkpoint and ends with the
//! result of an undisturbed run, bit for bit.

use std::{net::SocketAddr, sync::LazyLock};

use harness::{Outcome, PATIENCE, Place, Process, Signal, wait_until};
use serde_json::Value;

use crate::PROGRAM;

/// A run long enough to be killed repeatedly, with a checkpoint after every other round.
const RUN: &str = "tiny.toml --rounds 40 --set checkpoint.every=2";

#[test]
fn a_run_killed_whole_goes_on_with_resume_again_and_again() {
    let place = Place::for_longer_runs(PROGRAM);
    let mut run = place.start(&format!("run {RUN} --out a --json"));
    for rounds in [6, 15, 31] {
        wait_until("some rounds", PATIENCE, || place.run_folder("a").rounds() > rounds);
        place.kill(run);
        run = place.start("run --resume a --json");
    }
    assert_same(&run.finish().done());
}

#[test]
fn a_node_that_died_is_named_and_waited_for_until_somebody_starts_it_again() {
    let place = Place::for_longer_runs(PROGRAM);
    let mut network = Network::start(&place, "");
    network.wait_for_rounds(5);
    network.nodes.remove(1).signal(Signal::Kill);
    wait_until("the loss to show", PATIENCE, || {
        let status = network.status();
        status["rollbacks"] == 1 && status["nodes"][1]["doing"] == "is missing"
    });
    let status = network.status();
    assert!(status["trouble"].as_str().unwrap().starts_with("transmitter 1 left the run"), "{status}");
    assert_eq!(
        (status["incarnation"].as_u64(), status["phase"].as_str()),
        (Some(2), Some("waiting for nodes"))
    );

    // It need not give its index: the places of the others are reserved for them.
    network.nodes.push(place.start(&format!("transmitter --coordinator {}", network.address)));
    assert_same(&network.finish());
}

#[test]
fn a_coordinator_that_died_is_waited_for_by_its_nodes() {
    let place = Place::for_longer_runs(PROGRAM);
    let mut network = Network::start(&place, "");
    network.wait_for_rounds(5);
    network.coordinator.signal(Signal::Kill);
    network.start_coordinator_again("--resume-or-start");
    assert_same(&network.finish());
}

#[test]
fn a_node_that_freezes_is_named_in_time_and_takes_part_again_when_it_thaws() {
    let place = Place::for_longer_runs(PROGRAM);
    let network = Network::start(&place, "--silence 3");
    network.wait_for_rounds(5);
    network.nodes[2].signal(Signal::Stop);
    let line = "receiver 0 left the run: it has said nothing for 3 s";
    wait_until("the silence to be named", PATIENCE, || network.status()["trouble"].as_str() == Some(line));
    assert!(network.coordinator.stderr().contains(&format!("{line}: going back to round")));
    network.nodes[2].signal(Signal::Continue);
    assert_same(&network.finish());
}

/// As with Ctrl-Z and a later fg: no node counts as silent.
#[test]
fn a_network_that_was_stopped_as_a_whole_goes_on_as_if_no_time_had_passed() {
    let place = Place::for_longer_runs(PROGRAM);
    let network = Network::start(&place, "--silence 3 --stall 4");
    network.wait_for_rounds(5);
    let all = || network.nodes.iter().chain([&network.coordinator]);
    all().for_each(|process| process.signal(Signal::Stop));
    std::thread::sleep(std::time::Duration::from_secs(5));
    // The coordinator first, so that no heartbeat comes before it looks.
    all().rev().for_each(|process| process.signal(Signal::Continue));
    network.wait_for_rounds(7);
    let log = network.coordinator.stderr();
    assert!(!log.contains("it has said nothing") && !log.contains("nothing has moved"), "{log}");
    assert_same(&network.finish());
}

#[test]
fn a_cut_between_two_nodes_is_named_and_mended_by_going_back() {
    let place = Place::for_longer_runs(PROGRAM);
    let port = harness::free_port();
    let cable = harness::Proxy::late(SocketAddr::from(([127, 0, 0, 1], port)), std::time::Duration::ZERO);
    let words = format!("--tcp-only --listen 127.0.0.1:{port} --advertise {}", cable.address());
    let network = Network::start_with(&place, "--stall 4", &words);
    network.wait_for_rounds(5);
    cable.cut(true);
    wait_until("the cut to be named", PATIENCE, || network.status()["rollbacks"] == 1);
    let trouble = network.status()["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.starts_with("nothing has moved for 4 s"), "{trouble}");
    assert!(trouble.contains("waits for transmitter 0"), "{trouble}");
    cable.cut(false);
    assert_same(&network.finish());
}

#[test]
fn a_run_can_be_watched_held_and_let_go() {
    let place = Place::for_longer_runs(PROGRAM);
    let network = Network::start(&place, "--set checkpoint.every=0");
    network.wait_for_rounds(3);
    network.tell("pause").said("it is to pause");
    wait_until("the hold", PATIENCE, || {
        let waits = |node: &Value| node["doing"].as_str().unwrap().starts_with("waits for orders");
        let status = network.status();
        status["paused"] == true && status["nodes"].as_array().unwrap().iter().all(waits)
    });
    let held_at = network.status()["round"].clone();
    network.tell("status").said("tiny: training, paused, round");
    assert_eq!(network.status()["round"], held_at);
    network.tell("resume").said("it is to go on");
    assert_same(&network.finish());
}

#[test]
fn a_run_that_is_told_to_stop_saves_a_checkpoint_first_and_goes_on_later() {
    let place = Place::for_longer_runs(PROGRAM);
    let network = Network::start(&place, "--set checkpoint.every=0");
    network.wait_for_rounds(3);
    network.tell("stop").said("it is to stop");
    let stopped = network.finish();
    assert!(stopped.stderr.contains("stopped after round"), "{}", stopped.stderr);
    assert_eq!(place.run_folder("a").checkpoints().len(), 1);
    assert!(place.run_folder("a").rounds() < 40);
    assert_same(&place.run("run --resume a --json").done());
}

#[test]
fn a_coordinator_that_is_told_to_end_does_not_wait_for_who_is_lost() {
    let place = Place::for_longer_runs(PROGRAM);
    let network = Network::start(&place, "--silence 3 --set checkpoint.every=0");
    network.wait_for_rounds(3);
    network.nodes[2].signal(Signal::Stop);
    network.coordinator.signal(Signal::Terminate);
    let outcome = network.coordinator.finish().done();
    let line = "receiver 0 left the run: it has said nothing for 3 s: ending without a further checkpoint";
    assert!(outcome.stderr.contains(line), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("stopped before the first round"), "{}", outcome.stderr);
    let mut nodes = network.nodes;
    nodes.remove(2);
    for node in nodes {
        node.finish().failed(1, &["the coordinator ended the run: the run was told to stop"]);
    }
}

#[test]
fn an_interrupted_run_saves_a_checkpoint_first() {
    let place = Place::for_longer_runs(PROGRAM);
    for (name, signal) in [("a", Signal::Interrupt), ("b", Signal::Terminate)] {
        let folder = place.run_folder(name);
        let run = place.start(&format!("run tiny.toml --rounds 40 --set checkpoint.every=0 --out {name}"));
        wait_until("some rounds", PATIENCE, || folder.rounds() > 3);
        run.signal(signal);
        let outcome = run.finish();
        assert_eq!(outcome.status.code(), Some(1));
        let line = format!("go on with: pom2dib run --resume {name}");
        assert!(outcome.stderr.contains(&line), "{}", outcome.stderr);
        place.assert_all_gone();
        let manifest = format!("checkpoints/round-{:06}/manifest.json", folder.rounds());
        assert!(folder.has(&manifest), "what was computed is lost: {:?}", folder.checkpoints());
        assert_same(&place.run(&format!("run --resume {name} --json")).done());
    }
}

#[test]
fn a_node_that_is_told_to_end_leaves_after_a_checkpoint() {
    let place = Place::for_longer_runs(PROGRAM);
    let mut network = Network::start(&place, "--set checkpoint.every=0");
    network.wait_for_rounds(5);
    let leaver = network.nodes.remove(3);
    leaver.signal(Signal::Terminate);
    leaver.finish().done();
    wait_until("the rollback", PATIENCE, || network.status()["rollbacks"] == 1);
    let status = network.status();
    assert_eq!(status["trouble"], "receiver 1 left the run: it was told to end");
    assert!(status["checkpoint"].as_u64().unwrap() > 5, "it took a checkpoint before it left: {status}");
    network.nodes.push(place.start(&format!("receiver --coordinator {} --index 1", network.address)));
    assert_same(&network.finish());
}

/// A manually started network.
struct Network<'a> {
    place: &'a Place,
    coordinator: Process,
    address: SocketAddr,
    /// Transmitters 0 and 1, receivers 0 and 1.
    nodes: Vec<Process>,
}

impl<'a> Network<'a> {
    /// Starts it with further words for the coordinator.
    fn start(place: &'a Place, words: &str) -> Self {
        Network::start_with(place, words, "")
    }

    /// Starts it with further words for the coordinator and transmitter 0.
    fn start_with(place: &'a Place, words: &str, first: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], harness::free_port()));
        let coordinator = start_coordinator(place, address, words);
        let nodes = [
            format!("transmitter --coordinator {address} --index 0 {first}"),
            format!("transmitter --coordinator {address} --index 1"),
            format!("receiver --coordinator {address} --index 0"),
            format!("receiver --coordinator {address} --index 1"),
        ]
        .map(|words| place.start(&words));
        Network { place, coordinator, address, nodes: nodes.into() }
    }

    fn start_coordinator_again(&mut self, words: &str) {
        // Its port is free only once it has ended.
        wait_until("the end of the coordinator", PATIENCE, || self.coordinator.has_ended());
        self.coordinator = start_coordinator(self.place, self.address, words);
    }

    fn wait_for_rounds(&self, rounds: usize) {
        wait_until("some rounds", PATIENCE, || self.place.run_folder("a").rounds() > rounds);
    }

    fn status(&self) -> Value {
        self.place.run(&format!("status {} --json", self.address)).done().json()
    }

    fn tell(&self, action: &str) -> Told {
        Told(self.place.run(&format!("{action} {}", self.address)).done())
    }

    /// Waits for the end of all; returns the coordinator's.
    fn finish(self) -> Outcome {
        let outcome = self.coordinator.finish().done();
        for node in self.nodes {
            node.finish().done();
        }
        outcome
    }
}

fn start_coordinator(place: &Place, address: SocketAddr, words: &str) -> Process {
    place.start(&format!("coordinator {RUN} {words} --out a --listen {address} --json"))
}

struct Told(Outcome);

impl Told {
    fn said(&self, what: &str) {
        assert!(self.0.stdout.contains(what), "{}", self.0.stdout);
    }
}

/// The summary of an undisturbed run.
static QUIET: LazyLock<Value> = LazyLock::new(|| {
    Place::for_longer_runs(PROGRAM).run(&format!("run {RUN} --out quiet --json")).done().json()
});

/// Asserts the same network with the same scores as in an undisturbed run.
fn assert_same(run: &Outcome) {
    crate::assert_same(&run.json(), &QUIET);
}
