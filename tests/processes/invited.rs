//! Only nodes with valid credentials take part, each only as itself. Other callers get a line with the reason and
//! advice, and the run is not affected.

use std::{fs, net::SocketAddr, path::Path};

use harness::{Code, PATIENCE, Place, Process, Wire, join, wait_for, wait_until};
use link::{Name, Security, TlsFiles};
use proto::{
    Link, When,
    v1::{LoadRequest, Role, StatePiece, Turn},
};
use serde_json::Value;

use crate::PROGRAM;

/// A run long enough for many calls meanwhile.
const RUN: &str = "tiny.toml --rounds 60";

#[test]
fn a_network_that_asks_for_certificates_or_a_token_learns_the_same() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("certs new certs --scenario tiny.toml").done();
    place.run("certs token word").done();
    let log = "POM2DIB_LOG=pom2dib_link=debug";

    let open = place.run("run tiny.toml --out open --json").done().json();
    for (name, words) in [
        ("tls", "run tiny.toml --tls certs"),
        ("tls-in-one", "run tiny.toml --tls certs --in-process"),
        ("token", "run tiny.toml --token-file word"),
        ("told", "POM2DIB_TOKEN=a-word-of-many-letters run tiny.toml"),
        ("both", "POM2DIB_TLS=certs run tiny.toml --token-file word --in-process"),
    ] {
        let summary = place.run(&format!("{log} {words} --out {name} --json")).done().json();
        assert_same_run(&summary, &open);
    }
    // With certificates, Unix-domain sockets must not bypass them.
    let way = |run: &str| place.run_folder(run).text("logs/receiver-0.log");
    assert_eq!(way("tls").matches("connected over TCP").count(), 2);
    assert_eq!(way("tls").matches("connected over a Unix-domain socket").count(), 0);
    assert_eq!(way("token").matches("connected over a Unix-domain socket").count(), 2);

    let again = place.run("evaluate tls --tls certs --json").done().json();
    assert_eq!(again["test"]["tasks"], open["test"]["tasks"]);
}

#[test]
fn a_token_shows_in_no_log() {
    let place = Place::for_longer_runs(PROGRAM);
    let word = "a-word-that-nobody-else-would-write";
    let outcome =
        place.run(&format!("POM2DIB_LOG=trace POM2DIB_TOKEN={word} run tiny.toml --rounds 1 --out a")).done();
    assert!(!outcome.stderr.contains(word));
    for log in fs::read_dir(place.path("a/logs")).expect("the nodes have logs") {
        let log = fs::read_to_string(log.expect("a folder can be listed").path()).expect("a log is text");
        assert!(log.len() > 1000 && !log.contains(word));
    }
}

#[test]
fn without_the_right_certificate_a_caller_takes_no_part_and_disturbs_nothing() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --in-process --json")).done().json();
    for folder in ["certs", "foreign"] {
        place.run(&format!("certs new {folder} --scenario tiny.toml")).done();
    }
    place.run("certs add certs receiver-7").done();
    expire(&place, "certs", Name::Receiver(6));

    let network = Network::start(&place, "--tls certs");
    let door = network.door;
    let node = |words: &str| place.run(&format!("{words} --coordinator {door} --patience 60"));
    let speaks = format!("the coordinator at {door} speaks TLS");
    node("receiver").failed(2, &[&speaks, "--tls"]);
    node("POM2DIB_TOKEN=a-word-of-many-letters receiver").failed(2, &[&speaks, "--tls"]);
    node("receiver --tls foreign --index 0").failed(2, &["another authority", "pom2dib certs new"]);
    node("receiver --tls certs --index 6")
        .failed(2, &["certs/receiver-6.pem", "expired on 2010-01-01", "certs renew"]);
    node("receiver --tls certs --index 7").failed(2, &["the coordinator refused", "there is no receiver 7"]);
    node("receiver --tls certs --index 1")
        .failed(2, &["the coordinator refused", "receiver 1 has joined already"]);
    let files =
        |name: &str| format!("--tls-ca certs/ca.pem --tls-cert certs/{name}.pem --tls-key certs/{name}.key");
    node(&format!("receiver --index 0 {}", files("receiver-1"))).failed(
        2,
        &["certs/receiver-1.pem: the certificate is made out to receiver 1", "that of receiver 0"],
    );
    node(&format!("transmitter {}", files("receiver-1")))
        .failed(2, &["made out to receiver 1", "a transmitter"]);
    network.refuse_impostors(&place);
    place.run(&format!("stop {door}")).failed(1, &[&speaks]);
    place
        .run(&format!("stop {door} {}", files("receiver-1")))
        .failed(1, &["made out to receiver 1", "that of the administrator"]);
    assert!(place.run(&format!("status {door} --tls certs")).done().stdout.starts_with("tiny: training"));
    assert!(!place.run_folder("a").has("summary.json"), "the run was over before everybody had called");

    network.end_as(&quiet);
}

#[test]
fn without_the_token_a_caller_takes_no_part_and_disturbs_nothing() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run(&format!("run {RUN} --out quiet --in-process --json")).done().json();
    place.run("certs token word").done();

    let network = Network::start(&place, "--token-file word");
    let door = network.door;
    let node = |words: &str| place.run(&format!("{words} --coordinator {door} --patience 60"));
    let refuses = format!("the coordinator at {door} refuses this node");
    node("receiver").failed(2, &[&refuses, "a join token is asked for", "--token-file FILE"]);
    node("POM2DIB_TOKEN=some-word-or-other transmitter").failed(2, &[&refuses, "is not the coordinator's"]);
    place.run("certs new certs --scenario tiny.toml").done();
    node("receiver --tls certs --index 0").failed(2, &["does not speak TLS", "--tls"]);
    assert!(!place.run_folder("a").has("summary.json"), "the run was over before everybody had called");

    network.end_as(&quiet);
}

#[test]
fn certificates_that_are_replaced_in_mid_run_are_used_without_a_restart() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("certs new certs --scenario tiny.toml").done();
    copy(&place.path("certs"), &place.path("old"));
    let coordinator = place.start("coordinator tiny.toml --out a --listen 127.0.0.1:0 --tls certs --json");
    let door = place.address("a");
    let start = |role: &str, index: usize| {
        let words = format!("{role} --coordinator {door} --index {index} --tls certs");
        place.start(&format!("POM2DIB_LOG=info {words}"))
    };
    let mut nodes: Vec<Process> = [0, 1].map(|k| start("transmitter", k)).into();
    for transmitter in &nodes {
        wait_until("the transmitter's joining", PATIENCE, || transmitter.stderr().contains("joined"));
    }

    // The certificates are of a new authority too: a node that had not reloaded them would be refused.
    place.run("certs new certs --scenario tiny.toml --force").done();
    let late = place.run(&format!("receiver --coordinator {door} --index 0 --tls old"));
    late.failed(2, &["another authority"]);
    nodes.extend([0, 1].map(|t| start("receiver", t)));

    coordinator.finish().done();
    for node in nodes {
        node.finish().done();
    }
}

#[test]
fn errors_of_certificates_or_token_are_reported_before_any_connection() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("certs new certs --scenario tiny.toml").done();
    place.write_secret("short", "word");
    for (words, answer) in [
        ("run tiny.toml --out a --tls nowhere", ["nowhere/ca.pem: No such file", "pom2dib certs new DIR"]),
        (
            "run tiny.toml --out a --tls nowhere --in-process",
            ["nowhere/ca.pem: No such file", "pom2dib certs new DIR"],
        ),
        ("run tiny.toml --out a --token-file nowhere", ["nowhere: No such file", "pom2dib certs token FILE"]),
        (
            "run tiny.toml --out a --token-file short",
            ["short: a token has 16 to 1024", "pom2dib certs token FILE"],
        ),
        ("POM2DIB_TOKEN=word receiver", ["POM2DIB_TOKEN: a token has 16 to 1024", "this one 4"]),
        ("transmitter --tls certs", ["certs: holds certificates of 2 transmitters", "--index"]),
        (
            "transmitter --tls certs --index 5",
            ["certs/transmitter-5.pem: No such file", "pom2dib certs new DIR"],
        ),
        ("receiver --tls-ca certs/ca.pem", ["--tls-cert <FILE>", "--tls-key <FILE>"]),
    ] {
        place.run(words).failed(2, &answer);
    }
    place.assert_all_gone();
}

/// A manually started network, in the middle of its run.
struct Network {
    coordinator: Process,
    nodes: Vec<Process>,
    door: SocketAddr,
    /// The address of transmitter 0.
    transmitter: SocketAddr,
    /// The link of the messages between it and receiver 0.
    link: Link,
}

impl Network {
    /// Starts it with these words for every process.
    fn start(place: &Place, security: &str) -> Self {
        let words =
            format!("POM2DIB_LOG=info coordinator {RUN} --out a --listen 127.0.0.1:0 --json {security}");
        let coordinator = place.start(&words);
        let door = place.address("a");
        let transmitter = SocketAddr::from(([127, 0, 0, 1], harness::free_port()));
        let nodes = [
            format!("transmitter --coordinator {door} --index 0 --listen {transmitter}"),
            format!("transmitter --coordinator {door} --index 1"),
            format!("receiver --coordinator {door} --index 0"),
            format!("receiver --coordinator {door} --index 1"),
        ]
        .map(|words| place.start(&format!("{words} {security}")));
        wait_until("the first round", PATIENCE, || place.run_folder("a").rounds() > 0);
        let run = wait_for("the run's name", PATIENCE, || run_name(&coordinator.stderr()));
        let link = Link { run: run.into(), incarnation: 1, transmitter: 0, receiver: 0 };
        Network { coordinator, nodes: nodes.into(), door, transmitter, link }
    }

    /// A caller with a certificate that acts as another node is refused.
    fn refuse_impostors(&self, place: &Place) {
        let own = "cannot speak as receiver 0";
        let receiver = Wire::secured(security(place, Name::Receiver(1)));
        let refusal = receiver.join(self.door, join(Role::Receiver, Some(0))).err().expect("a refusal");
        assert!(refusal.code() == Code::PermissionDenied && refusal.message().contains(own), "{refusal}");

        let stamp = Some(self.link.stamp(When::round(0)));
        let mut link =
            receiver.exchange(self.transmitter, Turn { stamp, ..Turn::default() }).expect("it is taken");
        let refusal = link.answer().expect_err("a refusal");
        assert!(
            refusal.message().contains("made out to receiver 1: it cannot speak as receiver 0"),
            "{refusal}"
        );

        let (run, role) = (self.link.run.clone(), Role::Receiver.into());
        let sha256 = vec![1].into();
        let piece = StatePiece { run: run.clone(), incarnation: 1, role, sha256, ..StatePiece::default() };
        let request = LoadRequest { run, incarnation: 1, role, ..LoadRequest::default() };
        for refusal in [receiver.save(self.door, vec![piece]), receiver.load(self.door, request)] {
            assert!(refusal.as_ref().is_err_and(|status| status.message().contains(own)), "{refusal:?}");
        }

        let admin = Wire::secured(security(place, Name::Admin));
        let refusal = admin.join(self.door, join(Role::Receiver, None)).err().expect("a refusal");
        assert!(refusal.message().contains("made out to the administrator: that is no node"), "{refusal}");
    }

    /// Asserts that it ends as a run without such calls.
    fn end_as(self, quiet: &Value) {
        assert_same_run(&self.coordinator.finish().done().json(), quiet);
        for node in self.nodes {
            node.finish().done();
        }
    }
}

fn assert_same_run(one: &Value, other: &Value) {
    assert_eq!(one["fingerprint"], other["fingerprint"]);
    assert_eq!(one["test"], other["test"]);
    for key in ["feature_bytes", "gradient_bytes"] {
        assert_eq!(one["wire"][key], other["wire"][key], "{key}");
    }
}

fn security(place: &Place, name: Name) -> Security {
    let files = TlsFiles::in_folder(&place.path("certs"), name);
    Security::default().with_tls(files).expect("a good certificate")
}

/// Adds an expired certificate to a folder.
fn expire(place: &Place, folder: &str, name: Name) {
    let text = |file: &str| fs::read_to_string(place.path(&format!("{folder}/{file}"))).expect("it is there");
    let key = rcgen::KeyPair::from_pem(&text("ca.key")).expect("a key");
    let issuer = rcgen::Issuer::from_ca_cert_pem(&text("ca.pem"), key).expect("an authority");
    let mut params = rcgen::CertificateParams::new([name.dns()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2010, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    place.write(&format!("{folder}/{}.pem", name.stem()), certificate.pem());
    place.write_secret(&format!("{folder}/{}.key", name.stem()), key.serialize_pem());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder can be made");
    for entry in from.read_dir().expect("the folder is there") {
        let path = entry.expect("a folder can be listed").path();
        fs::copy(&path, to.join(path.file_name().expect("a file has a name"))).expect("a file can be copied");
    }
}

/// The run's bytes, which the coordinator logs in hexadecimal.
fn run_name(log: &str) -> Option<Vec<u8>> {
    let (_, rest) = log.split_once("run=\"")?;
    let (name, _) = rest.split_once('"')?;
    let byte = |at| u8::from_str_radix(&name[at..at + 2], 16).expect("the name is hexadecimal");
    Some((0..name.len()).step_by(2).map(byte).collect())
}
