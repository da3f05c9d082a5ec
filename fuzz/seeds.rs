//! Writes a first corpus: `cargo run --bin seeds`, in this folder. A few good inputs for every target.

use std::{fs, path::Path};

use candle_core::{DType, Device};
use dib::{
    Network, ResidualMlp,
    coding::{Component, Encoder, EntryTable, Levels, Marginal, SharedPrior},
};
use prost::Message;
use proto::{
    Link, Packer, When,
    v1::{
        Cluster, Confusion, EntryRate, Failed, Features, Gradients, Join, LoadRequest, ManageRequest, Order,
        Ready, ReceiverPass, ReceiverRound, Report, Requests, Role, StatePiece, TransmitterRound, Turn, View,
        Welcome, order, report,
    },
};
use randomness::{Purpose, Seed};

fn main() {
    for (name, text) in [
        ("digits", include_str!("../scenarios/digits.toml")),
        ("handwritten", include_str!("../scenarios/handwritten.toml")),
        ("mmfi", include_str!("../scenarios/mmfi.toml")),
    ] {
        write("scenario", name, text.as_bytes());
    }
    write(
        "manifest",
        "good",
        br#"{"round":4,"program":"0.2.0","numerics":2,"files":{"receiver-0.safetensors":"00ff"}}"#,
    );
    write("idx", "labels", &[&[0][..], &[0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9]].concat());
    let images = [&[2, 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], &[5; 784]].concat();
    write("idx", "images", &images);
    write("wav", "good", &wav());
    arrays();
    mmfi();
    let stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
    let network = Network::new("n", Box::new(ResidualMlp::new(1, 1)), stream, DType::F32, &Device::Cpu)
        .expect("a network can be made");
    let state = node::save(std::iter::once(&network), &[], Vec::new(), 3).expect("it can be saved");
    // The header is what a fuzzer can make something of; the weights would only slow it down.
    write("checkpoint", "header", &state[..state.len().min(4096)]);
    let small = node::pack_state(Vec::new(), 3).expect("it can be packed");
    write("checkpoint", "without-networks", &small);
    code();
    messages();
    calls();
    sessions();
}

/// Of three dimensions a table, a prior and neither, each with a stream that it codes.
fn code() {
    let prior = Marginal::new(vec![Component { weight: 1.0, location: 0.3, scale: 0.4 }]);
    let table = EntryTable::new(&[0.5, 1.0, 2.0].map(|step| (prior.clone(), step)));
    let mut encoder = Encoder::default();
    (0..60).for_each(|at| table.encode(at % 3, (at * 7 % 32) as u8, (at % 5) as i32 - 2, &mut encoder));
    let bytes = table.to_bytes();
    let length = (bytes.len() as u16).to_le_bytes();
    write("code", "good", &[&length[..], &bytes, &encoder.finish()].concat());

    // Logits, locations and logarithms of scales of three components.
    let rows =
        [[0.0; 3], [-0.3; 3], [-1.2; 3], [-1.0; 3], [0.3; 3], [2.0; 3], [-0.9; 3], [0.0; 3], [-1.2; 3]];
    let prior = SharedPrior::new(&rows.concat(), 3).expect("it is one");
    let means: Vec<f32> = (0..64 * 3).map(|at| (at % 7) as f32 / 3.0 - 1.0).collect();
    let mut encoder = Encoder::default();
    prior.simulate(&means, &vec![0.3; means.len()], [5, 6]).write(&mut encoder);
    let bytes = prior.to_bytes();
    let length = (bytes.len() as u16).to_le_bytes();
    write("code", "simulated", &[&length[..], &bytes, &encoder.finish()].concat());

    // Three messages of 4 bits a value.
    let (mut levels, mut encoder) = (Levels::new(4, 3), Encoder::default());
    let values: Vec<f32> = (0..64 * 3).map(|at| (at % 16) as f32 / 15.0).collect();
    [0, 1, 0].into_iter().for_each(|modality| levels.encode(modality, &values, &mut encoder));
    let four_bits_and_no_table = [&[3, 0][..], &[0; 3]].concat();
    write("code", "quantised", &[&four_bits_and_no_table[..], &encoder.finish()].concat());
}

/// One array in each kind of file.
fn arrays() {
    let dictionary = b"{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }  \n";
    let head = [b"\x93NUMPY\x01\0", &(dictionary.len() as u16).to_le_bytes()[..], dictionary].concat();
    let values = [7; 12];
    let npy = [&head[..], &values].concat();
    write("arrays", "npy", &[&[0], &npy[..]].concat());
    for (name, method) in
        [("stored", zip::CompressionMethod::Stored), ("deflated", zip::CompressionMethod::Deflated)]
    {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file("left.npy", options).expect("memory takes everything");
        std::io::Write::write_all(&mut archive, &npy).expect("memory takes everything");
        let content = archive.finish().expect("memory takes everything").into_inner();
        write("arrays", name, &[&[1], &content[..]].concat());
    }
    let header = br#"{"left":{"dtype":"U16","shape":[2,3],"data_offsets":[0,12]}}"#;
    let file = [&[2], &(header.len() as u64).to_le_bytes()[..], header, &values].concat();
    write("arrays", "safetensors", &file);
}

/// Files by NumPy, SciPy and Pillow.
fn mmfi() {
    let folder = Path::new("../data/tests/fixtures/mmfi");
    for (target, name) in [
        ("npy", "keypoints-f4.npy"),
        ("npy", "version-2.npy"),
        ("npy", "poses.npy"),
        ("mat", "csi-compressed.mat"),
        ("mat", "csi.mat"),
        ("mat", "other.mat"),
        ("depth", "depth.png"),
        ("depth", "eight-bits.png"),
    ] {
        write(target, name, &fs::read(folder.join(name)).expect("the fixture is there"));
    }
    for (kind, name) in [(0, "lidar.bin"), (1, "mmwave.bin")] {
        let content = fs::read(folder.join(name)).expect("the fixture is there");
        write("points", name, &[&[kind][..], &content].concat());
    }
}

fn messages() {
    let link = Link { run: b"0123456789abcdef".to_vec().into(), incarnation: 1, transmitter: 0, receiver: 0 };
    let stamp = || Some(link.stamp(When::round(0)));
    let z = |entries: usize| {
        let mut packer = Packer::new(entries * 4);
        packer.extend((0..entries * 4).map(|value| value as f32));
        Some(packer.pack(&[entries, 2, 2]))
    };
    let turn = |ticks: usize| Turn {
        stamp: stamp(),
        gradients: Some(Gradients { z: z(3), costs: vec![0.5; ticks], used: None }),
        requests: Some(Requests { ticks: vec![0xff, 0x0f].into() }),
        ..Turn::default()
    };
    message("turn", 0, &turn(12));
    // The costs of ticks 0, 3, 6 and 9 alone.
    message("turn-of-some-ticks", 0, &turn(4));
    let features = Features {
        stamp: stamp(),
        choices: vec![0b1, 0b0001_0000, 0, 0b1, 0b0001_0000].into(),
        // Of two modalities the first, at ticks 0, 3, 6 and 9.
        granted: vec![0b0100_0001, 0b0001_0000, 0b100].into(),
        z: z(4),
        rates: vec![0.5; 4],
        ..Features::default()
    };
    message("features", 1, &features);
    // The same where the receiver is told of ticks 0, 3, 6 and 9 alone.
    let told = Features { choices: vec![0b0001_0001, 0b0001_0001].into(), ..features };
    message("features-of-some-ticks", 1, &told);
    // Nothing is requested, and nothing granted.
    let nothing = Features { stamp: stamp(), z: z(0), ..Features::default() };
    message("features-of-nothing", 1, &nothing);
    let view = View { requests: vec![0xff, 0x0f].into(), choices: vec![vec![1; 5].into(), vec![1].into()] };
    let round = ReceiverRound {
        granted: vec![1, 2, 3],
        views: vec![view.clone(), view.clone()],
        ..Default::default()
    };
    let report = |report| Report { report: Some(report) };
    message("receiver-round", 2, &report(report::Report::ReceiverRound(round)));
    let round =
        TransmitterRound { encoded: vec![3, 4], requested: 2, view: Some(view), ..Default::default() };
    message("transmitter-round", 2, &report(report::Report::TransmitterRound(round)));
    let pass = ReceiverPass {
        clusters: vec![Cluster { id: 1, samples: 2, scores: vec![1.0], cross_entropy: 0.5 }],
        entries: vec![EntryRate { transmitter: 1, receiver: 0, modality: 0, rate: 0.5, ceiling: None }],
        metrics: vec!["top1".into()],
        classes: 2,
        confusion: vec![
            Confusion { label: 0, answer: 0, samples: 1 },
            Confusion { label: 0, answer: 1, samples: 1 },
        ],
        ..Default::default()
    };
    message("receiver-pass", 2, &report(report::Report::ReceiverPass(pass)));
    let scenario = include_str!("../scenarios/digits.toml").lines().filter(|line| !line.starts_with('#'));
    let welcome = Welcome { scenario: scenario.collect::<Vec<_>>().join("\n"), ..Default::default() };
    message("welcome", 3, &Order { order: Some(order::Order::Welcome(welcome)) });
    message(
        "piece",
        4,
        &StatePiece { data: vec![1, 2, 3].into(), sha256: vec![4].into(), ..Default::default() },
    );
}

/// Calls at the doors of a coordinator and a transmitter, as they should be but for what only members know.
fn calls() {
    let protocol = proto::protocol_digest().to_vec();
    let join = Join {
        role: Role::Receiver.into(),
        index: Some(0),
        version: proto::VERSION.into(),
        protocol: protocol.into(),
    };
    let report = |report| Report { report: Some(report) }.encode_to_vec();
    let ready =
        Ready { data: vec![0; 32].into(), label_entropy: 1.0, device: "none".into(), ..Default::default() };
    let (join, ready) = (report(report::Report::Join(join)), report(report::Report::Ready(ready)));
    call("join", 3, &[&join]);
    call("join-and-ready", 3, &[&join, &ready]);
    let failed =
        report(report::Report::Failed(Failed { message: "no more".into(), input: false, lost: true }));
    call("join-and-fail", 3, &[&join, &failed]);
    let piece = StatePiece {
        role: Role::Receiver.into(),
        version: 1,
        data: vec![1, 2, 3].into(),
        sha256: vec![4; 32].into(),
        ..Default::default()
    };
    call("save", 4, &[&piece.encode_to_vec()]);
    call(
        "load",
        5 | 128,
        &[&LoadRequest { role: Role::Receiver.into(), secret: vec![7; 32].into(), ..Default::default() }
            .encode_to_vec()],
    );
    call("status", 6 | 128, &[&ManageRequest::default().encode_to_vec()]);
    call("pause", 6 | 128, &[&ManageRequest { action: 1 }.encode_to_vec()]);
    let link = Link { run: vec![7; 16].into(), incarnation: 1, transmitter: 0, receiver: 0 };
    let greeting =
        Turn { stamp: Some(link.stamp(When::round(0))), secret: vec![7; 32].into(), ..Default::default() };
    let turn = Turn { requests: Some(Requests { ticks: vec![0b111].into() }), ..greeting.clone() };
    call("exchange", 7, &[&greeting.encode_to_vec(), &turn.encode_to_vec()]);
    write("server", "garbage", &[0, 0xff, 0xff, 0xff]);
    write("server", "settings", &[&[2, 0, 0, 6, 4, 0, 0, 0, 0, 0][..], &[0, 3, 0, 0, 0, 100]].concat());
}

/// A call of that kind with its messages, as the target `server` takes them.
fn call(name: &str, kind: u8, messages: &[&[u8]]) {
    let length = |message: &[u8]| (message.len() as u16).to_le_bytes().to_vec();
    let messages = messages.iter().flat_map(|message| [length(message), message.to_vec()].concat());
    write("server", name, &std::iter::once(kind).chain(messages).collect::<Vec<u8>>());
}

/// Sessions of every kind in which all goes well, and some in which not all does.
fn sessions() {
    for kind in 0..8 {
        write("session", &format!("good-{kind}"), &[kind]);
        let mixed = (0..120u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
        write("session", &format!("mixed-{kind}"), &std::iter::once(kind).chain(mixed).collect::<Vec<u8>>());
        // All come in some order, and one late in the session is damaged.
        let late = (0..160).map(|at| if at == 120 { 230 } else { 2 * (at % 5) as u8 });
        write("session", &format!("late-{kind}"), &std::iter::once(kind).chain(late).collect::<Vec<u8>>());
    }
}

fn message(name: &str, kind: u8, message: &impl Message) {
    write("wire", name, &[&[kind][..], &message.encode_to_vec()].concat());
}

/// Four samples: 8 kHz, mono, 16 bit.
fn wav() -> Vec<u8> {
    let mut file = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    file.extend(8000u32.to_le_bytes());
    file.extend(16000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data\x08\0\0\0");
    file.extend([1u8, 0, 2, 0, 3, 0, 4, 0]);
    file
}

fn write(target: &str, name: &str, content: &[u8]) {
    let folder = Path::new("seeds").join(target);
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::write(folder.join(name), content).expect("a file can be written");
}
