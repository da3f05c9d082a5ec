//! Limits on what outsiders can cost a process: a few places for a short time, a few lines of its log, and no effect on
//! its terminal.

use std::{fs::Permissions, io::Write, net::TcpStream, os::unix::fs::PermissionsExt};

use harness::{Code, FakeNode, PATIENCE, Place, Wire, join, wait_until};
use proto::v1::{Classes, Failed, Join, Ready, Role, order::Order, report::Report};

use crate::PROGRAM;

/// Clears a screen, sets a window title, reverses text, and claims that all is well.
const VILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7} \u{9b}31m \u{202e}dlrow\u{2066} \r\nall is well";

/// Its printable form.
const SPELT_OUT: &str =
    "\\u{1b}[2J\\u{1b}]0;owned\\u{7} \\u{9b}31m \\u{202e}dlrow\\u{2066} \\u{d}\\nall is well";

#[test]
fn a_process_that_may_open_few_files_stays_reachable_under_a_flood() {
    let place = Place::for_longer_runs(PROGRAM);
    let words = "coordinator tiny.toml --insecure --out a --listen 127.0.0.1:0 --json";
    let coordinator = place.start_with_few_files(100, words);
    let door = place.address("a");
    let flood = |_| {
        let mut stream = TcpStream::connect(door).expect("somebody listens there");
        let _ = stream.write_all(b"P");
        stream
    };
    let _flood: Vec<TcpStream> = (0..300).map(flood).collect();

    assert!(place.run(&format!("status {door}")).done().stdout.starts_with("tiny: waiting for nodes"));
    let nodes = ["transmitter", "transmitter", "receiver", "receiver"]
        .map(|role| place.start(&format!("{role} --coordinator {door}")));
    coordinator.finish().done();
    for node in nodes {
        node.finish().done();
    }
}

#[test]
fn words_of_a_peer_reach_no_terminal_as_they_are() {
    let place = Place::for_longer_runs(PROGRAM);
    let wire = Wire::open();
    let vile = wire.coordinate(VILE);
    for words in [format!("receiver --coordinator {vile}"), format!("transmitter --coordinator {vile}")] {
        place.run(&words).failed(1, &[SPELT_OUT]);
    }
    let shown = place.run(&format!("status {vile}")).done().stdout;
    assert!(shown.starts_with(&format!("{SPELT_OUT}: {SPELT_OUT}, round 0")), "{shown:?}");
    assert!(shown.contains(&format!("last because {SPELT_OUT}\n")), "{shown:?}");
    assert!(!shown.contains(is_vile), "{shown:?}");
    let json = place.run(&format!("status {vile} --json")).done().json();
    assert_eq!(json["trouble"], SPELT_OUT);

    let words = "POM2DIB_LOG=info coordinator tiny.toml --insecure --out a --listen 127.0.0.1:0";
    let coordinator = place.start(words);
    let door = place.address("a");
    let stranger = Join { version: VILE.into(), ..join(Role::Receiver, None) };
    let refusal = wire.join(door, stranger).err().expect("a refusal").message().to_owned();
    assert!(refusal.contains("\\u{1b}[2J") && !refusal.contains(is_vile), "{refusal:?}");
    let receiver = wire.join(door, join(Role::Receiver, None)).expect("the place is free");
    receiver.report(Report::Failed(Failed { message: VILE.into(), ..Failed::default() }));
    let outcome = coordinator.finish();
    let stderr = &outcome.stderr;
    assert!(stderr.contains(&format!("error: receiver 0: {SPELT_OUT}")), "{outcome}");
    assert!(!stderr.contains(is_vile), "{stderr:?}");
}

#[test]
fn notes_libraries_and_class_names_of_a_stranger_reach_no_terminal_and_no_file_as_they_are() {
    let place = Place::for_longer_runs(PROGRAM);
    let coordinator = place.start("coordinator tiny.toml --insecure --out a --listen 127.0.0.1:0");
    let (door, wire) = (place.address("a"), Wire::open());
    let mut nodes: Vec<FakeNode> = [Role::Transmitter, Role::Transmitter, Role::Receiver, Role::Receiver]
        .map(|role| wire.join(door, join(role, None)).expect("the place is free"))
        .into();
    for node in &nodes {
        let names = vec![VILE.into(), "\u{200b}two".into()];
        node.report(Report::Ready(Ready {
            address: "127.0.0.1:1".into(),
            data: vec![7; 32].into(),
            label_entropy: 1.0,
            device: VILE.into(),
            notes: vec![VILE.into()],
            libraries: vec![VILE.into()],
            same_build: true,
            classes: Some(Classes { train: vec![1, 1], test: vec![1, 1], names }),
            ..Ready::default()
        }));
    }
    let last = nodes.last_mut().expect("there are four");
    assert!(matches!(last.order(), Ok(Some(Order::Start(_)))), "all are ready");
    let classes = place.run_folder("a").text("classes.json");
    assert!(classes.contains("\\\\u{202e}dlrow") && !classes.contains(is_vile), "{classes:?}");
    let shown = place.run(&format!("status {door}")).done().stdout;
    assert!(!shown.contains(is_vile), "{shown:?}");
    last.report(Report::Failed(Failed { message: "enough".into(), ..Failed::default() }));

    let outcome = coordinator.finish();
    let stderr = &outcome.stderr;
    assert!(stderr.contains(&format!("note: {SPELT_OUT}\n")), "{outcome}");
    assert!(stderr.contains("error: receiver 1: enough"), "{outcome}");
    assert!(!stderr.contains(is_vile), "{stderr:?}");
}

/// Characters that must not occur in a log or in text for a terminal.
fn is_vile(character: char) -> bool {
    (character.is_control() && character != '\n') || ['\u{202e}', '\u{2066}', '\u{200b}'].contains(&character)
}

#[test]
fn unknown_actions_are_refused_and_a_flood_leaves_a_few_log_lines_and_a_count() {
    let place = Place::for_longer_runs(PROGRAM);
    let coordinator = place.start("coordinator tiny.toml --insecure --out a --listen 127.0.0.1:0 --json");
    let door = place.address("a");
    let wire = Wire::open();
    for action in [99, -1, i32::MAX] {
        let refusal = wire.manage(door, action).expect_err("a refusal");
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains(&format!("there is no action {action}")), "{refusal}");
    }
    assert_eq!(wire.manage(door, 0).expect("a look").scenario, "tiny");

    const STRANGERS: usize = 120;
    for number in 0..STRANGERS as u32 {
        assert!(wire.join(door, join(Role::Receiver, Some(number + 2))).is_err());
    }
    wait_until("the first lines", PATIENCE, || coordinator.stderr().contains("a node was refused"));
    let nodes = ["transmitter", "transmitter", "receiver", "receiver"]
        .map(|role| place.start(&format!("{role} --coordinator {door}")));
    let log = coordinator.finish().done().stderr;
    for node in nodes {
        node.finish().done();
    }

    // On a slow machine they are spread over several minutes.
    let lines = log.lines().filter(|line| line.contains("a node was refused")).count();
    let count = |line: &str| line.rsplit_once("left_out=")?.1.trim().parse::<usize>().ok();
    let left_out: usize = log.lines().filter_map(count).sum();
    assert!(lines < STRANGERS, "{log}");
    assert_eq!(lines + left_out, STRANGERS, "{log}");
}

#[test]
fn a_token_or_key_that_others_can_read_is_refused_before_any_connection() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("certs new certs --scenario tiny.toml").done();
    place.run("certs token word").done();
    let open =
        |name: &str| std::fs::set_permissions(place.path(name), Permissions::from_mode(0o640)).unwrap();
    place.run("run tiny.toml --rounds 1 --out a --token-file word").done();
    open("word");
    open("certs/receiver-0.key");
    for (words, file) in [
        ("run tiny.toml --out b --token-file word", "word"),
        ("receiver --token-file word", "word"),
        ("receiver --index 0 --tls certs", "certs/receiver-0.key"),
    ] {
        place
            .run(words)
            .failed(2, &[&format!("{file}: "), "its mode is 0640", &format!("`chmod 600 {file}`")]);
    }
    // A certificate may be readable by all: it is not secret.
    open("certs/receiver-1.pem");
    assert_eq!(
        place.run("doctor 127.0.0.1:1 --tls certs").status.code(),
        Some(1),
        "it gets as far as the port"
    );
}
