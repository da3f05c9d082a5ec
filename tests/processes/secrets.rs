//! A member of a run is identified by the secret that it got on admission. A caller that does not show it, or shows it
//! out of turn, is refused and learns nothing: no committed checkpoint changes by a byte, and the run is not affected.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use clap::Parser;
use harness::{Code, PATIENCE, Place, Process, Signal, Status, Wire, wait_until};
use link::{Name, Security, TlsFiles};
use node::{Compute, Context, NodeError};
use proto::{
    Link, When,
    v1::{LoadRequest, Role, StatePiece, Turn},
};
use serde_json::Value;
use transmitter::{Output, TransmitterMachine};

use crate::{PROGRAM, assert_same};

/// A run long enough to be paused in the middle, with some checkpoints.
const RUN: &str = "tiny.toml --rounds 40 --set checkpoint.every=4";

#[test]
fn a_caller_without_a_members_secret_changes_nothing() {
    let place = Place::for_longer_runs(PROGRAM);
    withstand(&place, "--insecure", &Wire::open());
}

#[test]
fn a_caller_with_only_a_certificate_of_the_network_changes_nothing() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("certs new certs --scenario tiny.toml").done();
    withstand(&place, "--tls certs", &Wire::secured(security(&place, Name::Receiver(1))));
}

/// A network, started with these words, that outsiders and members out of turn call.
fn withstand(place: &Place, words: &str, stranger: &Wire) {
    let quiet = place.run(&format!("run {RUN} --out quiet --in-process --json")).done().json();
    let mut network = Network::start(place, words);

    network.hold();
    let before = files(&place.path("a/checkpoints"));
    assert!(before.keys().any(|name| name.ends_with("manifest.json")), "{:?}", before.keys());
    network.refuse_states_without_a_secret(stranger);
    network.refuse_turns_without_a_secret(stranger);
    network.refuse_a_member_out_of_turn();
    assert_eq!(files(&place.path("a/checkpoints")), before, "a committed checkpoint has changed");

    network.begin_another_incarnation(words);
    network.refuse_the_secret_of_the_old_incarnation();
    network.send_away_who_says_nothing(stranger);
    assert_eq!(files(&place.path("a/checkpoints")), before, "a committed checkpoint has changed");

    let disturbed = network.end();
    assert_same(&disturbed, &quiet);
}

/// A network in the middle of its run. Its transmitter 0 is a thread of this process, which does what a real one does
/// and also records its contexts.
struct Network<'a> {
    place: &'a Place,
    words: String,
    coordinator: Process,
    door: SocketAddr,
    transmitters: [SocketAddr; 2],
    member: Member,
    nodes: Vec<Process>,
}

/// Transmitter 0.
struct Member {
    wire: Wire,
    /// Its context in each incarnation.
    known: Arc<Mutex<Vec<Context>>>,
    life: JoinHandle<Result<(), NodeError>>,
}

/// The command line words of a node.
#[derive(Parser)]
struct Words {
    #[command(flatten)]
    options: node::Options,
}

impl<'a> Network<'a> {
    fn start(place: &'a Place, words: &str) -> Self {
        let start = format!("coordinator {RUN} --out a --listen 127.0.0.1:0 --json {words}");
        let coordinator = place.start(&start);
        let door = place.address("a");
        let transmitters = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], harness::free_port())));
        let nodes = [
            format!("transmitter --index 1 --listen {}", transmitters[1]),
            "receiver --index 0".into(),
            "receiver --index 1".into(),
        ]
        .map(|node| place.start(&format!("{node} --coordinator {door} {words}")));
        let member = Member::start(place, door, transmitters[0], words);
        wait_until("some rounds", PATIENCE, || place.run_folder("a").rounds() > 4);
        let (nodes, words) = (nodes.into(), words.into());
        Network { place, words, coordinator, door, transmitters, member, nodes }
    }

    // ------------------------------------------------------------------------------------------------- strangers

    /// A caller that knows the run's name, its members and its versions, but no secret.
    fn refuse_states_without_a_secret(&self, stranger: &Wire) {
        let known = self.member.known();
        let committed = self.status()["checkpoint"].as_u64().expect("there is a checkpoint");
        for secret in [vec![], vec![0; 32], vec![7; 31], known.run.to_vec()] {
            for (role, index) in [(Role::Receiver, 1), (Role::Receiver, 0), (Role::Transmitter, 0)] {
                for version in [committed, committed + 1, committed + 2, 0, u64::MAX] {
                    let piece = self.piece(&known, (role, index), version, secret.clone());
                    self.assert_says_nothing(stranger.save(self.door, vec![piece]));
                }
                self.assert_says_nothing(
                    stranger.load(self.door, load(&known, (role, index), secret.clone())),
                );
            }
        }
    }

    fn refuse_turns_without_a_secret(&self, stranger: &Wire) {
        let known = self.member.known();
        for (k, address) in self.transmitters.into_iter().enumerate() {
            for secret in [vec![], vec![0; 32], vec![7; 31], known.run.to_vec()] {
                for t in [1, 0, 7, u32::MAX] {
                    let refusal = exchange(stranger, address, &known.link(k, t as usize), secret.clone());
                    self.assert_says_nothing(Err(refusal));
                }
            }
        }
        let nameless = stranger.exchange(self.transmitters[0], Turn::default());
        self.assert_says_nothing(nameless.expect("the call itself is taken").answer().map(drop));
    }

    /// Asserts a refusal that does not reveal the expected values.
    fn assert_says_nothing(&self, answer: Result<(), Status>) {
        let refusal = answer.expect_err("a refusal");
        assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
        let (known, message) = (self.member.known(), refusal.message());
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for secret in
            [hex(&known.run), hex(&known.secret.to_bytes()), "expected".into(), "this run has".into()]
        {
            assert!(!message.contains(&secret), "{message}");
        }
        assert!(message.contains("secret") || message.contains("certificate"), "{message}");
    }

    // ------------------------------------------------------------------------------------------------- a member

    /// Transmitter 0, which knows its own secret, and so those of its pairs.
    fn refuse_a_member_out_of_turn(&self) {
        let (known, wire, own) = (self.member.known(), &self.member.wire, (Role::Transmitter, 0));
        let secret = known.secret.to_bytes().to_vec();
        let committed = self.status()["checkpoint"].as_u64().expect("there is a checkpoint");
        for version in [committed, committed + 1, committed + 2, 0, u64::MAX] {
            let piece = self.piece(&known, own, version, secret.clone());
            assert_refused(wire.save(self.door, vec![piece]), Code::FailedPrecondition, "nobody has ordered");
        }
        for incarnation in [0, 2, u64::MAX] {
            let of = Context { incarnation, ..known.clone() };
            let piece = self.piece(&of, own, committed + 2, secret.clone());
            assert_refused(wire.save(self.door, vec![piece]), Code::FailedPrecondition, "nobody has ordered");
            let load = wire.load(self.door, load(&of, own, secret.clone()));
            assert_refused(load, Code::FailedPrecondition, "incarnation");
        }
        // As another node: it has neither the secret nor, if there are any, the certificate.
        for other in [(Role::Transmitter, 1), (Role::Receiver, 0), (Role::Receiver, 9)] {
            let piece = self.piece(&known, other, committed, secret.clone());
            assert_refused(wire.save(self.door, vec![piece]), Code::PermissionDenied, "");
            assert_refused(
                wire.load(self.door, load(&known, other, secret.clone())),
                Code::PermissionDenied,
                "",
            );
        }

        let pair = |t| known.secret.of_pair(t).to_bytes().to_vec();
        let call = |to: usize, t: usize, secret: Vec<u8>| {
            let receiver = self.speaker(Name::Receiver(t as u32));
            exchange(&receiver, self.transmitters[to], &known.link(to, t), secret)
        };
        for refusal in [call(0, 0, secret.clone()), call(0, 0, pair(1)), call(1, 0, pair(0))] {
            assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
        }
        let twice = call(0, 0, pair(0));
        assert!(twice.message().contains("connected already"), "who has the secret is known: {twice}");
        let old = Link { incarnation: 0, ..known.link(0, 0) };
        let refusal = exchange(&self.speaker(Name::Receiver(0)), self.transmitters[0], &old, pair(0));
        assert!(
            refusal.message().contains("another") && !refusal.message().contains("expected"),
            "{refusal}"
        );
    }

    /// A member of the incarnation before a rollback has to join again.
    fn refuse_the_secret_of_the_old_incarnation(&self) {
        let all = self.member.known.lock().unwrap().clone();
        let [old, new] = &all[..] else { panic!("there have been {} incarnations", all.len()) };
        let (wire, own) = (&self.member.wire, (Role::Transmitter, 0));
        let load = |secret: &Context| wire.load(self.door, load(new, own, secret.secret.to_bytes().to_vec()));
        assert_refused(load(old), Code::PermissionDenied, "secret");
        load(new).expect("its own state at the checkpoint");
        let committed = self.status()["checkpoint"].as_u64().expect("there is a checkpoint");
        for context in [old, new] {
            let piece = self.piece(context, own, committed, old.secret.to_bytes().to_vec());
            assert_refused(wire.save(self.door, vec![piece]), Code::PermissionDenied, "secret");
        }
        let pair = old.secret.of_pair(0).to_bytes().to_vec();
        let receiver = self.speaker(Name::Receiver(0));
        let refusal = exchange(&receiver, self.transmitters[0], &new.link(0, 0), pair);
        assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
    }

    /// In a paused run, receivers send nothing for long; but they have identified themselves.
    fn send_away_who_says_nothing(&self, stranger: &Wire) {
        let call = |k: usize| stranger.exchange_in_silence(self.transmitters[k], k as u32);
        let mut silent: Vec<_> = [0, 1, 0, 1].map(|k| call(k).expect("the call itself is taken")).into();
        for link in &mut silent {
            let refusal = link.answer().expect_err("a refusal");
            assert_eq!(refusal.code(), Code::DeadlineExceeded, "{refusal}");
        }
        assert_eq!(self.status()["incarnation"], 2, "nobody else was sent away");
    }

    // ------------------------------------------------------------------------------------------------- the run

    /// Pauses the granting of rounds, and waits until the run is idle.
    fn hold(&self) {
        self.place.run(&format!("pause {}", self.as_administrator())).done();
        self.wait_until_held(1);
    }

    fn wait_until_held(&self, incarnation: u64) {
        wait_until("the hold", PATIENCE, || {
            let waits = |node: &Value| node["doing"].as_str().unwrap().starts_with("waits for orders");
            let status = self.status();
            // Granted rounds end with a checkpoint.
            status["paused"] == true
                && status["round"] == status["checkpoint"]
                && status["incarnation"] == incarnation
                && status["phase"] == "training"
                && status["nodes"].as_array().unwrap().iter().all(waits)
        });
    }

    /// Receiver 1 is lost and comes back: all nodes join again.
    fn begin_another_incarnation(&mut self, words: &str) {
        self.nodes.pop().expect("receiver 1").signal(Signal::Kill);
        wait_until("the loss to show", PATIENCE, || self.status()["rollbacks"] == 1);
        let words = format!("receiver --index 1 --coordinator {} {words}", self.door);
        self.nodes.push(self.place.start(&words));
        self.wait_until_held(2);
    }

    fn status(&self) -> Value {
        self.place.run(&format!("status {} --json", self.as_administrator())).done().json()
    }

    /// The coordinator's address, and an administrator's credentials.
    fn as_administrator(&self) -> String {
        format!("{} {}", self.door, self.words.replace("--insecure", ""))
    }

    /// Lets the run continue to its end, and returns its summary.
    fn end(self) -> Value {
        self.place.run(&format!("resume {}", self.as_administrator())).done();
        let summary = self.coordinator.finish().done().json();
        for node in self.nodes {
            node.finish().done();
        }
        self.member.life.join().expect("it does not panic").expect("it has done its work");
        summary
    }

    /// The wire of that node, with its certificate if there are any.
    fn speaker(&self, name: Name) -> Wire {
        match self.words.contains("--tls") {
            true => Wire::secured(security(self.place, name)),
            false => Wire::open(),
        }
    }

    /// A complete state that belongs to no node.
    fn piece(
        &self,
        known: &Context,
        (role, index): (Role, u32),
        version: u64,
        secret: Vec<u8>,
    ) -> StatePiece {
        let data = b"nobody's state".to_vec();
        let sha256 = harness::sha256(&data).to_vec().into();
        let (run, incarnation) = (known.run.clone(), known.incarnation);
        let (role, data, secret) = (role.into(), data.into(), secret.into());
        StatePiece { run, role, index, version, data, sha256, incarnation, secret }
    }
}

impl Member {
    fn start(place: &Place, door: SocketAddr, listen: SocketAddr, words: &str) -> Self {
        let (door, listen) = (door.to_string(), listen.to_string());
        let mut line = vec!["transmitter", "--coordinator", &door, "--index", "0", "--listen", &listen];
        let certs = place.path("certs").display().to_string();
        line.extend(words.contains("--tls").then_some(["--tls", certs.as_str()]).into_iter().flatten());
        let options = Words::parse_from(line).options;
        let wire = match words.contains("--tls") {
            true => Wire::secured(security(place, Name::Transmitter(0))),
            false => Wire::open(),
        };
        let known = Arc::new(Mutex::new(Vec::new()));
        let life = std::thread::spawn({
            let known = known.clone();
            move || live(options, known)
        });
        Member { wire, known, life }
    }

    fn known(&self) -> Context {
        self.known.lock().unwrap().last().cloned().expect("it has joined")
    }
}

/// A transmitter's life, which records its context of every incarnation.
fn live(options: node::Options, known: Arc<Mutex<Vec<Context>>>) -> Result<(), NodeError> {
    let employ = move |context: Context, options: &node::Options, state: Option<Vec<u8>>, activity| {
        known.lock().unwrap().push(context.clone());
        Compute::spawn(options.threads, activity, move |emit| {
            let source = node::data_source(&context.scenario, None)?;
            let modalities = &context.scenario.transmitter[context.index].modalities;
            let dataset = source.open(context.seed, &data::Needs { modalities, tasks: &[] })?;
            emit(Output::Ready {
                data: dataset.digest(),
                files: dataset.files(),
                same_build: false,
                libraries: Vec::new(),
                widths: Vec::new(),
            });
            TransmitterMachine::new(context, dataset.into(), state.as_deref())
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(transmitter::run_with(options, &employ))
}

fn load(known: &Context, (role, index): (Role, u32), secret: Vec<u8>) -> LoadRequest {
    let (run, incarnation) = (known.run.clone(), known.incarnation);
    LoadRequest { run, role: role.into(), index, incarnation, secret: secret.into(), version: None }
}

/// Calls a transmitter with a first turn; returns its refusal.
fn exchange(wire: &Wire, address: SocketAddr, link: &Link, secret: Vec<u8>) -> Status {
    let turn = Turn { stamp: Some(link.stamp(When::round(0))), secret: secret.into(), ..Turn::default() };
    wire.exchange(address, turn).expect("the call itself is taken").answer().expect_err("a refusal")
}

fn assert_refused(answer: Result<(), Status>, code: Code, why: &str) {
    let refusal = answer.expect_err("a refusal");
    assert!(refusal.code() == code && refusal.message().contains(why), "{refusal}");
}

fn security(place: &Place, name: Name) -> Security {
    let files = TlsFiles::in_folder(&place.path("certs"), name);
    Security::default().with_tls(files).expect("a good certificate")
}

/// All files under a folder, with the SHA-256 of each.
fn files(folder: &Path) -> BTreeMap<PathBuf, [u8; 32]> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let content = fs::read(&path).expect("the file can be read");
            found.insert(path, harness::sha256(&content));
        }
    }
    found
}
