//! With --verify a node that cheats is named, and an honest run is unchanged.

use harness::{Outcome, Place, Wire, join};
use proto::{
    Packer,
    v1::{Features, Ready, Role, TransmitterRound, Turn, View, order::Order, report::Report},
};

use crate::PROGRAM;

/// One transmitter with one modality, two receivers: every request is granted.
const SCENARIO: &str = r#"
[network]
feature_dim = 4
receiver_limit = 1
transmitter_limit = 2
[train]
rounds = 6
ticks_per_round = 3
samples_per_tick = 2
[[transmitter]]
modalities = ["fft"]
[[receiver]]
task = "digit"
[[receiver]]
task = "parity"
"#;

#[test]
fn an_honest_run_passes_and_is_the_same_with_and_without_proof() {
    let place = Place::new(PROGRAM);
    let plain = place.run("run tiny.toml --out plain --json").done();
    let verified = place.run("run tiny.toml --verify --out verified --json").done();
    let parts = "--set train.ticks_per_round=20 --set train.ticks_per_part=10";
    let in_parts =
        place.run(&format!("run tiny.toml {parts} --verify --in-process --out parts --json")).done();
    let full = place.run("run tiny.toml --method tadib --verify --in-process --out full --json").done();
    assert_eq!(verified.json()["fingerprint"], plain.json()["fingerprint"]);
    for outcome in [in_parts, full] {
        assert_eq!(outcome.json()["rounds"], 6);
    }
}

#[test]
fn a_transmitter_that_tells_every_receiver_another_story_is_named() {
    let outcome = cheat("--verify");
    outcome.failed(1, &["transmitter 0 told receiver", "other choices than the others", "in round 0"]);
}

/// A run whose only transmitter tells each receiver that the other did not request, which a receiver cannot check.
fn cheat(words: &str) -> Outcome {
    let place = Place::new(PROGRAM);
    place.write("two.toml", SCENARIO);
    let coordinator = place.start(&format!("coordinator two.toml {words} --out a --listen 127.0.0.1:0"));
    let address = place.address("a");
    let wire = Wire::open();
    let own = wire.serve(answer_as_if_nobody_else_had_asked);
    let mut cheat = wire.join(address, join(Role::Transmitter, None)).expect("the place is free");
    let _receivers = [(); 2].map(|()| place.start(&format!("receiver --coordinator {address}")));
    let info = place.run("data info digits --json").done().json();
    let digest = info["digest"].as_str().expect("a data set has a digest");
    let byte = |at| u8::from_str_radix(&digest[at..at + 2], 16).expect("it is hexadecimal");
    let data: Vec<u8> = (0..digest.len()).step_by(2).map(byte).collect();
    cheat.report(Report::Ready(Ready { address: own.to_string(), data: data.into(), ..Ready::default() }));
    assert!(matches!(cheat.order(), Ok(Some(Order::Start(_)))));
    let view = Some(View { choices: vec![vec![0b0011_1111].into()], ..View::default() });
    cheat.report(Report::TransmitterRound(TransmitterRound { encoded: vec![3], view, ..Default::default() }));
    coordinator.finish()
}

fn answer_as_if_nobody_else_had_asked(turn: Turn) -> Features {
    let receiver = turn.stamp.as_ref().expect("receivers stamp their turns").receiver;
    let mut packer = Packer::new(24);
    packer.extend([0.1; 24]);
    Features {
        stamp: turn.stamp,
        // (Tick, receiver) in order.
        choices: vec![0b0001_0101 << receiver].into(),
        granted: vec![0b111].into(),
        z: Some(packer.pack(&[3, 2, 4])),
        rates: vec![0.5; 3],
        ..Features::default()
    }
}
