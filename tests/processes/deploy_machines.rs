//! The three roles on separate machines: network namespaces with their own addresses on two networks. Where none can be
//! made, these tests say that they skip.

use harness::{Machines, PATIENCE, Place, Process, RunFolder, wait_until};
use serde_json::Value;

use crate::PROGRAM;

const RUN: &str = "tiny.toml --set train.rounds=30 --set checkpoint.every=5";

/// Enough rounds to be disturbed.
const LONG_RUN: &str = "tiny.toml --set train.rounds=150 --set checkpoint.every=5";

/// Two places: programs started in one run through `ip` on a machine, and work in the other's folder.
struct World {
    machines: Machines,
    ip: Place,
}

/// A run of the tiny network: two transmitters on one machine, two receivers on another.
struct Run {
    coordinator: Process,
    nodes: Vec<Process>,
    folder: RunFolder,
}

impl World {
    fn new() -> Option<Self> {
        let machines = Machines::of(&["alice", "bob", "carol"])?;
        Some(World { machines, ip: Place::for_longer_runs("ip") })
    }

    fn start(&self, machine: &str, words: &str) -> Process {
        self.ip.start(&format!("{} {PROGRAM} {words}", self.machines.on(machine)))
    }

    /// Nodes start first and wait for their coordinator.
    fn run(&self, run: &str, coordinator: &str, transmitter: &str, listen: &str) -> Run {
        let node =
            |machine: &str, words: &str| self.start(machine, &format!("{words} --coordinator {coordinator}"));
        let nodes = [
            node("carol", "receiver"),
            node("bob", &format!("transmitter {transmitter}:7311")),
            node("carol", "receiver"),
            node("bob", &format!("transmitter {transmitter}:7312")),
        ];
        let words = format!("coordinator {run} --out run --json --insecure --listen {listen}");
        let coordinator = self.start("alice", &words);
        Run { coordinator, nodes: nodes.into(), folder: self.ip.run_folder("run") }
    }

    fn doctor(&self, machine: &str, words: &str) -> harness::Outcome {
        self.start(machine, &format!("doctor {words}")).finish()
    }
}

impl Run {
    fn wait_for_rounds(&self, rounds: usize) {
        wait_until("some rounds", PATIENCE, || self.folder.rounds() > rounds);
    }

    fn fingerprint(self) -> Value {
        let outcome = self.coordinator.finish().done();
        for node in self.nodes {
            node.finish().done();
        }
        outcome.json()["fingerprint"].clone()
    }
}

/// The summary of the same run on one machine.
fn undisturbed(run: &str) -> Value {
    let place = Place::for_longer_runs(PROGRAM);
    place.run(&format!("run {run} --out a --json")).done().json()["fingerprint"].clone()
}

#[test]
fn nodes_on_other_machines_say_by_themselves_where_they_are() {
    let Some(world) = World::new() else { return };
    let run = world.run(RUN, "10.77.1.1:7310", "--insecure --listen 0.0.0.0", "0.0.0.0:7310");
    assert_eq!(run.fingerprint(), undisturbed(RUN));
}

#[test]
fn a_network_speaks_version_6_of_ip_alone() {
    let Some(world) = World::new() else { return };
    let run = world.run(RUN, "[fd77:1::1]:7310", "--insecure --listen [::]", "[fd77:1::1]:7310");
    assert_eq!(run.fingerprint(), undisturbed(RUN));
}

#[test]
fn receivers_find_transmitters_in_another_network_than_the_coordinators() {
    let Some(world) = World::new() else { return };
    // Bob is unreachable at the address from which it connects.
    world.machines.connect("carol", 1, false);
    let node = |machine: &str, words: &str| world.start(machine, &format!("{words} --insecure"));
    let bob = |port: u16| {
        let there = format!("--listen 10.77.2.2:{port} --advertise 10.77.2.2:{port}");
        node("bob", &format!("transmitter --coordinator 10.77.1.1:7310 {there}"))
    };
    let nodes = vec![
        bob(7311),
        bob(7312),
        node("carol", "receiver --coordinator [fd77:2::1]:7310"),
        node("carol", "receiver --coordinator 10.77.2.1:7310"),
    ];
    let coordinator =
        world.start("alice", &format!("coordinator {RUN} --out run --json --insecure --listen [::]:7310"));
    let run = Run { coordinator, nodes, folder: world.ip.run_folder("run") };
    assert_eq!(run.fingerprint(), undisturbed(RUN));
}

#[test]
fn a_machine_whose_cable_is_cut_is_named_and_takes_part_again_when_it_is_mended() {
    let Some(world) = World::new() else { return };
    let run =
        world.run(LONG_RUN, "10.77.1.1:7310", "--insecure --listen 0.0.0.0", "10.77.1.1:7310 --silence 3");
    run.wait_for_rounds(6);
    world.machines.connect("bob", 1, false);
    wait_until("the cut to be named", PATIENCE, || run.coordinator.stderr().contains("going back to round"));
    let said = run.coordinator.stderr();
    assert!(said.contains("left the run: it has said nothing for 3 s"), "{said}");
    world.machines.connect("bob", 1, true);
    assert_eq!(run.fingerprint(), undisturbed(LONG_RUN));
}

#[test]
fn the_doctor_names_the_hop_that_is_broken() {
    let Some(world) = World::new() else { return };
    world.ip.write_secret("word", "correct-horse-battery");
    world.ip.write_secret("other", "wrong-horse-battery");
    let coordinator = world.start("alice", "coordinator tiny.toml --listen 0.0.0.0:7310 --token-file word");
    wait_until("the coordinator", PATIENCE, || world.ip.path("run/address").exists());

    let well = world.doctor("bob", "10.77.1.1:7310 --token-file word").done();
    for hop in ["name ", "port ", "TLS and token ", "version ", "round trip ", "bandwidth ", "clock "] {
        assert_eq!(well.stdout.lines().filter(|line| line.starts_with(hop)).count(), 1, "{hop}: {well}");
    }
    assert!(well.stdout.contains("the coordinator, version"), "{well}");
    let json = world.doctor("bob", "10.77.1.1:7310 --token-file word --json").done().json();
    assert_eq!((json["broken"].clone(), json["hops"].as_array().unwrap().len()), (Value::Null, 7));

    let broken = |words: &str, expected: &[&str]| {
        let outcome = world.doctor("bob", words);
        assert_eq!(outcome.status.code(), Some(1), "{outcome}");
        let complaint = outcome.stderr.lines().last().unwrap_or_default();
        for word in expected {
            assert!(complaint.starts_with("error: ") && complaint.contains(word), "{word}: {outcome}");
        }
    };
    broken("no-such-host.invalid:7310", &["name: ", "no-such-host.invalid"]);
    broken("10.77.1.1:7399 --token-file word", &["port: ", "nothing listens at that port", "--listen"]);
    broken("10.99.0.1:7310 --token-file word", &["port: ", "cannot be reached from here"]);
    broken("10.77.1.1:7310", &["TLS and token: ", "a join token is asked for"]);
    broken("10.77.1.1:7310 --token-file other", &["TLS and token: ", "is not the coordinator's"]);
    world.machines.connect("alice", 1, false);
    broken("10.77.1.1:7310 --token-file word --patience 1", &["port: "]);
    drop(coordinator);
}

#[test]
fn refusals_of_a_node_are_one_line() {
    let Some(world) = World::new() else { return };
    world.ip.write_secret("word", "correct-horse-battery");
    world.ip.write_secret("other", "wrong-horse-battery");
    let coordinator = world.start("alice", "coordinator tiny.toml --listen 0.0.0.0:7310 --token-file word");
    wait_until("the coordinator", PATIENCE, || world.ip.path("run/address").exists());
    let refused = |words: &str, expected: &[&str]| {
        let node = world.start("carol", &format!("receiver --patience 2 {words}"));
        node.finish().failed(2, expected);
    };
    let doctor = "`pom2dib doctor 10.77.1.1:7399` looks hop by hop";
    refused(
        "--coordinator 10.77.1.1:7399",
        &["nobody answers at 10.77.1.1:7399", "Connection refused", doctor],
    );
    refused("--coordinator 10.77.1.9:7310", &["nobody answers at 10.77.1.9:7310"]);
    refused("--coordinator 10.77.1.1:7310 --token-file other", &["the join token is not the coordinator's"]);
    drop(coordinator);
}

/// docs/clusters.md: `ssh` to several hosts, which are network namespaces here.
#[test]
fn a_sweep_runs_on_several_hosts_one_point_on_each_at_a_time() {
    let Some(machines) = Machines::of(&["alice", "bob"]) else { return };
    let place = Place::new(PROGRAM);
    let spaces = ["alice", "bob"].map(|name| machines.on(name).replace("netns exec ", ""));
    let points = "sweep tiny.toml --seed 1..3 --rounds 2 --in-process --json";
    let hosts = spaces.join(",");
    let on = ["--on", "ip netns exec {host} {command}", "--hosts", &hosts];
    let words = format!("{points} --out far");
    let far = place.start_words([], words.split_whitespace().chain(on)).finish().done().json();
    let local = place.run(&format!("{points} --out local")).done().json();
    for point in 0..3 {
        assert_eq!(far["points"][point]["fingerprint"], local["points"][point]["fingerprint"]);
    }
}
