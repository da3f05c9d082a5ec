//! Whatever comes off a socket. The first byte says which message it is.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use node::Context;
use prost::Message;
use proto::{
    Secret, When, decode_ticks,
    v1::{Features, LoadRequest, ManageRequest, Order, Report, StatePiece, Turn, order, report},
};
use randomness::Seed;
use scenario::Scenario;

/// Two transmitters and two receivers, and rounds in two parts.
const SCENARIO: &str = r#"
[network]
feature_dim = 2
transmitter_limit = 2
[train]
ticks_per_round = 12
ticks_per_part = 10
samples_per_tick = 2
[[transmitter]]
modalities = ["noise-1", "fft"]
[[transmitter]]
modalities = ["mel"]
[[receiver]]
task = "digit"
[[receiver]]
task = "parity"
"#;

/// That of a run whose draws are not verified: receivers are told of the ticks at which they requested.
static CONTEXT: LazyLock<Context> = LazyLock::new(|| Context {
    scenario: Scenario::parse(SCENARIO, "fuzz", &[]).expect("it is valid").into(),
    seed: Seed::from_number(1),
    run: Bytes::from_static(b"0123456789abcdef"),
    incarnation: 1,
    index: 0,
    secret: Secret::new([7; 32]),
    weights: node::WeightFiles::default(),
    device: Device::Cpu,
    verify: false,
});

/// That of a run whose draws are verified: receivers are told of all ticks.
static VERIFIED: LazyLock<Context> = LazyLock::new(|| Context { verify: true, ..CONTEXT.clone() });

fuzz_target!(|content: &[u8]| {
    let Some((kind, content)) = content.split_first() else { return };
    match kind % 6 {
        0 => turn(content),
        1 => features(content),
        2 => report(content),
        3 => order(content),
        4 => drop(StatePiece::decode(content)),
        _ => {
            let _ = LoadRequest::decode(content);
            let _ = ManageRequest::decode(content);
        }
    }
});

fn turn(content: &[u8]) {
    let Ok(turn) = Turn::decode(content) else { return };
    let _ = CONTEXT.link(0, 0).check(turn.stamp.as_ref(), When::round(0));
    // Of the middle of a round; and of its end, where all ticks, and where some were requested.
    let all = vec![true; CONTEXT.ticks()];
    let some: Vec<bool> = (0..CONTEXT.ticks()).map(|tick| tick % 3 == 0).collect();
    for granted in [vec![], vec![(0, 0), (3, 1), (9, 0)]] {
        for requested in [None, Some(&all[..]), Some(&some[..])] {
            let _ = transmitter::check_gradients(&CONTEXT, &granted, requested, turn.gradients.as_ref());
        }
    }
    if let Some(requests) = turn.requests {
        let _ = decode_ticks(&requests.ticks, CONTEXT.ticks());
    }
}

fn features(content: &[u8]) {
    let Ok(features) = Features::decode(content) else { return };
    for part in 0..2 {
        let when = When::Round { round: 0, part };
        let ticks = CONTEXT.part(part as usize).len();
        for requested in [vec![false; ticks], (0..ticks).map(|tick| tick % 3 == 0).collect()] {
            for context in [&*CONTEXT, &*VERIFIED] {
                let _ = receiver::check_features(context, 0, when, &requested, &features);
            }
        }
    }
}

fn report(content: &[u8]) {
    let Ok(Report { report: Some(report) }) = Report::decode(content) else { return };
    for index in 0..2 {
        let _ = coordinator::check_report(&CONTEXT.scenario, index, &report);
    }
    if let report::Report::ReceiverRound(round) = &report {
        for view in &round.views {
            let _ = decode_ticks(&view.requests, CONTEXT.ticks());
        }
    }
}

fn order(content: &[u8]) {
    if let Ok(Order { order: Some(order::Order::Welcome(welcome)) }) = Order::decode(content) {
        let _ = Scenario::parse(&welcome.scenario, "the coordinator's scenario", &[]);
    }
}
