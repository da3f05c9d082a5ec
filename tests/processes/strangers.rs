//! A caller that does not belong to a run is refused with a reason, and the run is not affected.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use harness::{PATIENCE, Place, Process, Wire, join, wait_for, wait_until};
use proto::{
    Link, When,
    v1::{Finished, Join, LoadRequest, Ready, Role, StatePiece, Turn, report::Report},
};

use crate::{PROGRAM, assert_same};

/// A run long enough for many calls meanwhile.
const RUN: &str = "tiny.toml --rounds 60";

#[test]
fn strangers_are_refused_and_a_run_ends_as_if_nobody_had_called() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --in-process --json")).done().json();

    let network = Network::start(&place);
    network.refuse_nodes();
    network.refuse_states();
    network.refuse_callers();
    network.refuse_a_real_node_too_many(&place);
    let _silent = network.send_garbage();
    assert!(!place.run_folder("a").has("summary.json"), "the run was over before everybody had called");

    let disturbed = network.coordinator.finish().done().json();
    assert_same(&disturbed, &quiet);
    for node in network.nodes {
        node.finish().done();
    }
}

#[test]
fn a_node_with_other_data_is_named_before_the_first_round() {
    let place = Place::for_longer_runs(PROGRAM);
    let one_each = "--set network.transmitters=1 --set network.receivers=1 --set network.receiver_limit=1";
    let coordinator = place.start(&format!("coordinator tiny.toml {one_each} --out a --listen 127.0.0.1:0"));
    let address = place.address("a");
    let transmitter = place.start(&format!("transmitter --coordinator {address}"));

    let wire = Wire::open();
    let receiver = wire.join(address, join(Role::Receiver, None)).expect("the place is free");
    receiver.report(Report::Ready(Ready { data: vec![0; 32].into(), ..Ready::default() }));

    coordinator.finish().failed(2, &["receiver 0 reads other data than transmitter 0", "--data"]);
    transmitter.finish().failed(1, &["the coordinator ended the run", "other data"]);
    assert!(!place.run_folder("a").has("metrics.jsonl"));
}

/// A manually started network in the middle of its run, as an outsider sees it.
struct Network {
    coordinator: Process,
    nodes: Vec<Process>,
    wire: Wire,
    door: SocketAddr,
    /// The address of transmitter 0.
    transmitter: SocketAddr,
    /// The link of the messages between it and receiver 0.
    link: Link,
}

impl Network {
    fn start(place: &Place) -> Self {
        let words = format!("POM2DIB_LOG=info coordinator {RUN} --out a --listen 127.0.0.1:0 --json");
        let coordinator = place.start(&words);
        let door = place.address("a");
        let transmitter = SocketAddr::from(([127, 0, 0, 1], harness::free_port()));
        let nodes = [
            format!("transmitter --coordinator {door} --index 0 --listen {transmitter}"),
            format!("transmitter --coordinator {door} --index 1"),
            format!("receiver --coordinator {door} --index 0"),
            format!("receiver --coordinator {door} --index 1"),
        ]
        .map(|words| place.start(&words));
        wait_until("the first round", PATIENCE, || place.run_folder("a").rounds() > 0);
        let run = wait_for("the run's name", PATIENCE, || run_name(&coordinator.stderr()));
        let link = Link { run: run.into(), incarnation: 1, transmitter: 0, receiver: 0 };
        Network { coordinator, nodes: nodes.into(), wire: Wire::open(), door, transmitter, link }
    }

    /// Nodes with wrong data in their join reports.
    fn refuse_nodes(&self) {
        let (transmitter, receiver) = (Role::Transmitter, Role::Receiver);
        let old = Join { version: "0.0.1".into(), ..join(receiver, None) };
        let strange = Join { protocol: vec![7; 32].into(), ..join(receiver, None) };
        for (first, reason) in [
            (old, "the node is of version 0.0.1, the coordinator of version"),
            (strange, "the node speaks another protocol"),
            (join(transmitter, Some(0)), "transmitter 0 has joined already"),
            (join(receiver, Some(7)), "there is no receiver 7: this run has 2"),
            (join(receiver, None), "all 2 receivers have joined already"),
            (join(Role::Unspecified, None), "must be a transmitter or a receiver"),
        ] {
            let refusal = self.wire.join(self.door, first).err().expect("a refusal").message().to_owned();
            assert!(refusal.contains(reason), "{refusal}");
        }
        let refusal = self.wire.greet(self.door, Report::Finished(Finished {})).err().expect("a refusal");
        assert_eq!(refusal.message(), "the first report must be Join");
    }

    /// Callers without a member's secret that want to write or read a state.
    fn refuse_states(&self) {
        let (run, role) = (vec![7; 16], Role::Transmitter.into());
        let piece =
            StatePiece { run: run.clone().into(), role, sha256: vec![1].into(), ..StatePiece::default() };
        let request = LoadRequest { run: run.into(), role, ..LoadRequest::default() };
        for refusal in [self.wire.save(self.door, vec![piece]), self.wire.load(self.door, request)] {
            let refusal = refusal.unwrap_err();
            assert_eq!(refusal.code(), harness::Code::PermissionDenied);
            assert!(refusal.message().contains("does not show the secret"), "{refusal}");
        }
    }

    /// Callers of a transmitter that are not the receiver it waits for.
    fn refuse_callers(&self) {
        let stamped = |change: fn(&mut Link)| {
            let mut link = self.link.clone();
            change(&mut link);
            Turn { stamp: Some(link.stamp(When::round(0))), ..Turn::default() }
        };
        // Every message gets the same answer, which reveals nothing of the expected values.
        for turn in [
            stamped(|link| link.run = vec![7; 16].into()),
            stamped(|link| link.incarnation = 2),
            stamped(|link| link.transmitter = 1),
            stamped(|link| link.receiver = 7),
            stamped(|_| ()),
            Turn::default(),
        ] {
            let mut link = self.wire.exchange(self.transmitter, turn).expect("the call itself is taken");
            let refusal = link.answer().expect_err("a refusal");
            assert_eq!(refusal.code(), harness::Code::PermissionDenied);
            let same = "the caller does not show the secret of this receiver, which the coordinator gives it at the start";
            assert_eq!(refusal.message(), same);
        }
    }

    fn refuse_a_real_node_too_many(&self, place: &Place) {
        let words = format!("transmitter --coordinator {} --index 1", self.door);
        place
            .run(&words)
            .failed(2, &["the coordinator refused this node", "transmitter 1 has joined already"]);
    }

    /// Bytes that are not gRPC, on every port; one caller stays silent.
    fn send_garbage(&self) -> Vec<TcpStream> {
        let noise: Vec<u8> = (0u32..100_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let broken_frames = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0xff; 4096]].concat();
        let mut silent = Vec::new();
        for port in [self.door, self.transmitter] {
            for garbage in [&noise, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".as_slice(), &broken_frames, b""] {
                let mut stream = TcpStream::connect(port).expect("somebody listens there");
                // The other side may hang up before it has received everything.
                let _ = stream.write_all(garbage);
            }
            silent.push(TcpStream::connect(port).expect("somebody listens there"));
        }
        silent
    }
}

/// The run's bytes, which the coordinator logs in hexadecimal.
fn run_name(log: &str) -> Option<Vec<u8>> {
    let (_, rest) = log.split_once("run=\"")?;
    let (name, _) = rest.split_once('"')?;
    let byte = |at| u8::from_str_radix(&name[at..at + 2], 16).expect("the name is hexadecimal");
    Some((0..name.len()).step_by(2).map(byte).collect())
}
