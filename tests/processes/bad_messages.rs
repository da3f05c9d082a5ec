//! A member whose messages cannot be used is named, with the problem, and the run ends: no process panics, and none
//! computes with the messages. One that reports out of turn is refused, and the run goes on without it.

use std::sync::LazyLock;

use harness::{FakeNode, Place, Process, Wire, join};
use proto::{
    Link, Packer, When,
    v1::{
        Failed, Features, Finished, Gradients, Ready, ReceiverPass, ReceiverRound, Requests, Role, Start,
        TransmitterRound, Turn, order::Order, report::Report,
    },
};

use crate::PROGRAM;

/// One transmitter with one modality, one receiver: every request is granted.
const SMALLEST: &str = r#"
[network]
feature_dim = 4
receiver_limit = 1
[train]
rounds = 6
ticks_per_round = 3
samples_per_tick = 2
[[transmitter]]
modalities = ["fft"]
[[receiver]]
task = "digit"
"#;

/// The damage to a good message, and words of the resulting error.
type Case<M> = (fn(&mut M), &'static str);

const TURNS: &[Case<Turn>] = &[
    (|turn| turn.stamp = None, "no stamp"),
    (|turn| turn.stamp.as_mut().unwrap().round = 5, "of moment round 5, expected round 1"),
    (|turn| turn.stamp.as_mut().unwrap().incarnation = 2, "of incarnation 2, expected 1"),
    (|turn| turn.stamp.as_mut().unwrap().receiver = 1, "of receiver 1, expected 0"),
    (|turn| turn.requests = None, "closing turn in mid-stretch"),
    (|turn| turn.requests = Some(Requests { ticks: vec![0; 9].into() }), "requests has 9 bytes, expected 1"),
    (
        |turn| turn.requests = Some(Requests { ticks: vec![0b1000].into() }),
        "requests names 3, but there are only 3",
    ),
    (|turn| turn.gradients = None, "no gradients"),
    (
        |turn| gradients(turn).z = Some(encode_tensor(&[0.0; 8], &[1, 2, 4])),
        "shape [1, 2, 4], expected [3, 2, 4]",
    ),
    (|turn| gradients(turn).z.as_mut().unwrap().element = 7, "element type 7, expected f32"),
    (|turn| gradients(turn).z = Some(encode_tensor(&[f32::NAN; 24], &[3, 2, 4])), "holds NaN at position 0"),
    (|turn| gradients(turn).costs.push(1.0), "costs has 4 values, expected 3"),
    (|turn| gradients(turn).costs.truncate(2), "costs has 2 values, expected 3"),
    (|turn| gradients(turn).costs[2] = f64::INFINITY, "costs holds inf at position 2"),
];

const FEATURES: &[Case<Features>] = &[
    (|features| features.stamp = None, "no stamp"),
    (|features| features.stamp.as_mut().unwrap().round = 9, "of moment round 9, expected round 0"),
    (|features| features.choices = vec![0b111, 0].into(), "no well-formed choices"),
    (|features| features.choices = vec![0].into(), "0 for this receiver at tick 0, expected at least one"),
    (|features| features.granted = vec![7, 0].into(), "granted has 2 bytes, expected 1"),
    (|features| features.granted = vec![0b101].into(), "(tick, modality) (2, 0), expected (1, 0)"),
    (|features| features.granted.clear(), "(tick, modality) none, expected (0, 0)"),
    (|features| features.granted = vec![0].into(), "granted has 1 bytes, expected 0"),
    (
        |features| features.z = Some(encode_tensor(&[0.0; 24], &[3, 4, 2])),
        "shape [3, 4, 2], expected [3, 2, 4]",
    ),
    (
        |features| features.z = Some(encode_tensor(&[f32::INFINITY; 24], &[3, 2, 4])),
        "z holds inf at position 0",
    ),
    (|features| features.rates[1] = f64::NAN, "rates holds NaN at position 1"),
];

const REPORTS: &[Case<Report>] = &[
    (|report| round(report).granted.push(1), "receiver 0: granted has 2 entries, expected 1"),
    (|report| round(report).granted[0] = 4, "receiver 0: granted has 4 ticks, expected 3"),
    (|report| round(report).cross_entropy = f64::NAN, "receiver 0: the report of a round holds NaN"),
    (
        |report| *report = Report::Failed(Failed { message: "no more".into(), input: false, lost: false }),
        "receiver 0: no more",
    ),
];

/// Reports at a moment at which the receiver owes another one, and what the refusal calls them.
const OUT_OF_TURN: &[Case<Report>] = &[
    (|report| round(report).round = 3, "ReceiverRound"),
    (|report| *report = Report::TransmitterRound(TransmitterRound::default()), "TransmitterRound"),
    (|report| *report = Report::ReceiverPass(ReceiverPass::default()), "ReceiverPass"),
    (|report| *report = Report::Finished(Finished {}), "Finished"),
    (|report| *report = Report::Ready(Ready::default()), "Ready"),
];

#[test]
fn a_receivers_turn_that_does_not_fit_is_named() {
    for (spoil, complaint) in TURNS {
        let mut network = Network::new();
        let transmitter = network.start("transmitter");
        let receiver = network.join(Role::Receiver, String::new());
        let start = started(receiver);

        let stamp = |round| Some(network.link().stamp(When::round(round)));
        let secret = start.secrets[0].clone();
        let first = Turn { stamp: stamp(0), gradients: None, requests: requests(), secret };
        let mut link = network.wire.exchange(start.transmitters[0].parse().unwrap(), first).unwrap();
        let features = link.answer().unwrap().expect("a good turn is answered");
        assert_eq!(features.z.unwrap().shape, [3, 2, 4]);
        let gradients =
            Gradients { z: Some(encode_tensor(&[0.1; 24], &[3, 2, 4])), costs: vec![1.0; 3], used: None };
        let mut turn =
            Turn { stamp: stamp(1), gradients: Some(gradients), requests: requests(), ..Turn::default() };
        spoil(&mut turn);
        link.send(turn);

        network.coordinator.finish().failed(1, &["transmitter 0: ", "receiver 0", complaint]);
        transmitter.finish().failed(1, &["receiver 0", complaint]);
    }
}

#[test]
fn a_transmitters_features_that_do_not_fit_are_named() {
    for &(spoil, complaint) in FEATURES {
        let mut network = Network::new();
        let receiver = network.start("receiver");
        let address = network.wire.serve(move |turn| {
            let mut features = answer(turn);
            spoil(&mut features);
            features
        });
        started(network.join(Role::Transmitter, address.to_string()));

        network.coordinator.finish().failed(1, &["receiver 0: ", "transmitter 0", complaint]);
        receiver.finish().failed(1, &["transmitter 0", complaint]);
    }
}

#[test]
fn a_report_that_does_not_fit_is_named() {
    for (spoil, complaint) in REPORTS {
        let mut network = Network::new();
        network.join(Role::Transmitter, "127.0.0.1:1".into());
        started(network.join(Role::Receiver, String::new()));

        let mut report =
            Report::ReceiverRound(ReceiverRound { granted: vec![3], ..ReceiverRound::default() });
        spoil(&mut report);
        network.nodes[1].report(report);

        network.coordinator.finish().failed(1, &["receiver 0", complaint]);
    }
}

#[test]
fn a_member_that_reports_out_of_turn_is_refused_and_the_run_goes_on_when_its_place_is_taken() {
    for (spoil, name) in OUT_OF_TURN {
        let mut network = Network::new();
        let transmitter = network.start("transmitter");
        started(network.join(Role::Receiver, String::new()));

        let mut report =
            Report::ReceiverRound(ReceiverRound { granted: vec![3], ..ReceiverRound::default() });
        spoil(&mut report);
        network.nodes[0].report(report);
        assert_refused(&mut network.nodes[0], name);

        let receiver = network.start("receiver");
        let outcome = network.coordinator.finish().done();
        let line = format!("receiver 0 left the run: it sent {name} out of turn: going back to round 0");
        assert!(outcome.stderr.contains(&line), "{outcome}");
        transmitter.finish().done();
        receiver.finish().done();
    }
}

#[test]
fn before_the_start_only_the_node_that_reports_out_of_turn_loses_its_place() {
    let mut network = Network::new();
    network.join(Role::Receiver, String::new());
    network.nodes[0].report(Report::ReceiverRound(ReceiverRound::default()));
    assert_refused(&mut network.nodes[0], "ReceiverRound");

    let nodes = ["transmitter", "receiver"].map(|role| network.start(role));
    let outcome = network.coordinator.finish().done();
    assert!(!outcome.stderr.contains("going back"), "{outcome}");
    for node in nodes {
        node.finish().done();
    }
}

/// A coordinator and its members.
struct Network {
    place: Place,
    coordinator: Process,
    wire: Wire,
    nodes: Vec<FakeNode>,
}

impl Network {
    fn new() -> Self {
        let place = Place::new(PROGRAM);
        place.write("smallest.toml", SMALLEST);
        let coordinator = place.start("coordinator smallest.toml --out a --listen 127.0.0.1:0");
        Network { place, coordinator, wire: Wire::open(), nodes: Vec::new() }
    }

    /// Starts a real node.
    fn start(&self, role: &str) -> Process {
        self.place.start(&format!("{role} --coordinator {}", self.place.address("a")))
    }

    /// Joins as a node that a test controls, after it has reported ready.
    fn join(&mut self, role: Role, address: String) -> &mut FakeNode {
        let node = self.wire.join(self.place.address("a"), join(role, None)).expect("the place is free");
        let data = DATA.clone().into();
        let device = "none".into();
        node.report(Report::Ready(Ready { address, data, label_entropy: 1.0, device, ..Ready::default() }));
        self.nodes.push(node);
        self.nodes.last_mut().expect("it has joined just now")
    }

    /// The link of the messages between transmitter and receiver.
    fn link(&self) -> Link {
        let welcome = &self.nodes[0].welcome;
        Link { run: welcome.run.clone(), incarnation: welcome.incarnation, transmitter: 0, receiver: 0 }
    }
}

/// The digest of the data that real nodes read.
static DATA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let info = Place::new(PROGRAM).run("data info digits --json").done().json();
    let digest = info["digest"].as_str().expect("a data set has a digest");
    let byte = |at| u8::from_str_radix(&digest[at..at + 2], 16).expect("it is hexadecimal");
    (0..digest.len()).step_by(2).map(byte).collect()
});

/// Waits for the start of the run.
fn started(node: &mut FakeNode) -> Start {
    match node.order() {
        Ok(Some(Order::Start(start))) => start,
        other => panic!("the start was due, not {other:?}"),
    }
}

/// Waits for the end of the order stream, which must say why.
fn assert_refused(node: &mut FakeNode, name: &str) {
    let refusal = loop {
        match node.order() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a stream that ends without a word is no refusal"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.message(), format!("it sent {name} out of turn"));
}

/// All three ticks.
fn requests() -> Option<Requests> {
    Some(Requests { ticks: vec![0b111].into() })
}

/// A good transmitter's answer to a turn that requests all three ticks: everything is granted.
fn answer(turn: Turn) -> Features {
    let granted = vec![0b111].into();
    let choices = turn.requests.expect("it requests").ticks;
    let z = Some(encode_tensor(&[0.1; 24], &[3, 2, 4]));
    let rates = vec![0.5; 3];
    Features { stamp: turn.stamp, choices, granted, z, rates, ..Features::default() }
}

fn gradients(turn: &mut Turn) -> &mut Gradients {
    turn.gradients.as_mut().expect("a good turn has gradients")
}

fn round(report: &mut Report) -> &mut ReceiverRound {
    match report {
        Report::ReceiverRound(round) => round,
        other => panic!("{other:?} is of no round"),
    }
}

fn encode_tensor(values: &[f32], shape: &[usize]) -> proto::v1::Tensor {
    let mut packer = Packer::new(values.len());
    packer.extend(values.iter().copied());
    packer.pack(shape)
}
