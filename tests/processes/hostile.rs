//! A caller that floods a network, keeps it waiting or sends invalid data costs it little memory and does not change
//! its result.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use harness::{PATIENCE, Place, Process, Wire, join, wait_until};
use proto::{
    Link, When,
    v1::{Join, Requests, Role, StatePiece, Turn},
};

use crate::{PROGRAM, assert_same};

/// A run long enough for many calls meanwhile.
const RUN: &str = "tiny.toml --rounds 100";

/// How much more memory an attack may cost a process, in bytes.
const TOLERATED: u64 = 96 << 20;

#[test]
fn an_assault_costs_little_memory_and_none_of_the_result() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.start(&format!("run {RUN} --out quiet --tcp-only --json"));
    wait_until("most rounds", PATIENCE, || place.run_folder("quiet").rounds() > 90);
    let usual = peaks(&place);
    let quiet = quiet.finish().done().json();

    let network = Network::start(&place);
    let _silent = network.connect_and_say_nothing();
    let _half_open = network.open_streams_and_say_nothing();
    network.flood_with_joins();
    network.flood_with_garbage();
    network.send_a_state_without_end();
    network.send_a_huge_turn();
    let peaks = peaks(&place);
    assert!(!place.run_folder("a").has("summary.json"), "the run was over before everybody had called");

    let disturbed = network.coordinator.finish().done().json();
    assert_same(&disturbed, &quiet);
    for ((role, usual), (_, peak)) in usual.iter().zip(&peaks) {
        assert!(*peak < usual + TOLERATED, "{role}: {peak} bytes instead of {usual}");
    }
    for node in network.nodes {
        node.finish().done();
    }
}

/// The peak memory of the coordinator and transmitter 0. Empty where the system does not report it.
fn peaks(place: &Place) -> Vec<(String, u64)> {
    let roles = ["coordinator", "transmitter 0"];
    let process = |role: &str| place.find(role).expect("it takes part in the run");
    roles.map(|role| (role.to_owned(), process(role).peak_memory())).into()
}

struct Network {
    coordinator: Process,
    nodes: Vec<Process>,
    wire: Wire,
    door: SocketAddr,
    transmitter: SocketAddr,
}

impl Network {
    fn start(place: &Place) -> Self {
        let coordinator = place.start(&format!("coordinator {RUN} --out a --listen 127.0.0.1:0 --json"));
        let door = place.address("a");
        let transmitter = SocketAddr::from(([127, 0, 0, 1], harness::free_port()));
        let nodes = [
            format!("transmitter --tcp-only --coordinator {door} --index 0 --listen {transmitter}"),
            format!("transmitter --tcp-only --coordinator {door} --index 1"),
            format!("receiver --tcp-only --coordinator {door} --index 0"),
            format!("receiver --tcp-only --coordinator {door} --index 1"),
        ]
        .map(|words| place.start(&words));
        wait_until("the first round", PATIENCE, || place.run_folder("a").rounds() > 0);
        Network { coordinator, nodes: nodes.into(), wire: Wire::open(), door, transmitter }
    }

    fn connect_and_say_nothing(&self) -> Vec<TcpStream> {
        let doors = [self.door, self.transmitter];
        let connect = |door: &SocketAddr| TcpStream::connect(door).expect("somebody listens there");
        (0..200).flat_map(|_| doors.iter().map(connect).collect::<Vec<_>>()).collect()
    }

    fn open_streams_and_say_nothing(&self) -> Vec<harness::SilentCall> {
        (0..100).map(|_| self.wire.control_in_silence(self.door)).collect()
    }

    fn flood_with_joins(&self) {
        for number in 0..300u32 {
            let odd = match number % 3 {
                0 => Join { version: "9.9.9".repeat(1000), ..join(Role::Receiver, None) },
                1 => join(Role::Transmitter, Some(number + 2)),
                _ => Join { protocol: vec![7; 10_000].into(), ..join(Role::Receiver, Some(0)) },
            };
            assert!(self.wire.join(self.door, odd).is_err());
        }
    }

    fn flood_with_garbage(&self) {
        let noise: Vec<u8> = (0u32..100_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        // A frame that claims to be 16 MiB long, and a thousand empty settings.
        let huge = [preface.as_slice(), &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], &noise].concat();
        let settings = [preface.as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(1000)].concat();
        for door in [self.door, self.transmitter] {
            for garbage in [&noise, &huge, &settings] {
                for _ in 0..20 {
                    let mut stream = TcpStream::connect(door).expect("somebody listens there");
                    // The other side may hang up before it has received everything.
                    let _ = stream.write_all(garbage);
                }
            }
        }
    }

    /// A state for another run: it is not written.
    fn send_a_state_without_end(&self) {
        let piece = StatePiece {
            run: vec![7; 16].into(),
            role: Role::Transmitter.into(),
            data: vec![0; 1 << 20].into(),
            ..StatePiece::default()
        };
        assert!(self.wire.save(self.door, vec![piece; 300]).is_err());
    }

    /// Larger than any turn of this scenario.
    fn send_a_huge_turn(&self) {
        let link = Link { run: vec![7; 16].into(), incarnation: 1, transmitter: 0, receiver: 0 };
        for _ in 0..10 {
            let requests = Some(Requests { ticks: vec![0xff; 8 << 20].into() });
            let turn = Turn { stamp: Some(link.stamp(When::round(0))), requests, ..Turn::default() };
            let answer = self.wire.exchange(self.transmitter, turn).map(|mut link| link.answer());
            assert!(!matches!(answer, Ok(Ok(Some(_)))), "nobody answers that");
        }
    }
}
