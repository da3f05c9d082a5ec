//! A run started on this machine without certificates or a token is closed to other users of the machine, who can
//! neither see nor change it, while the user's own programs need no settings.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt};

use harness::{PATIENCE, Place, wait_until};

use crate::PROGRAM;

/// A user without any rights.
const NOBODY: u32 = 65_534;

#[test]
fn another_user_has_no_word_in_a_run_on_loopback() {
    let place = Place::for_longer_runs(PROGRAM);
    let quiet = place.run("run tiny.toml --rounds 20 --out quiet --in-process --json").done().json();
    for (folder, way) in [("a", ""), ("b", "--in-process")] {
        let run = place.start(&format!("run tiny.toml --rounds 20 --out {folder} --json {way}"));
        let address = begun(&place, folder);
        place.run(&format!("pause {address}")).done();
        let mode = |name: &str| place.path(name).metadata().expect("it is there").permissions().mode();
        assert_eq!(mode(&format!("{folder}/token")) & 0o777, 0o600);
        for action in ["status", "pause", "resume", "stop"] {
            let Some(outcome) = place.run_as(NOBODY, &format!("{action} {address}")) else {
                return println!("SKIPPED: only root can act as another user");
            };
            outcome.failed(1, &["refuses this node", "a join token is asked for"]);
        }
        let joins = place.run_as(NOBODY, &format!("receiver --coordinator {address} --patience 5"));
        joins.expect("root").failed(2, &["a join token is asked for"]);
        let doctor = place.run_as(NOBODY, &format!("doctor {address}")).expect("root");
        assert!(doctor.stderr.contains("TLS and token") && !doctor.status.success(), "{doctor}");
        place.run(&format!("resume {address}")).done();
        assert_eq!(run.finish().done().json()["fingerprint"], quiet["fingerprint"]);
    }
}

#[test]
fn the_users_own_processes_find_the_token_of_a_run() {
    let place = Place::for_longer_runs(PROGRAM);
    let port = harness::free_port();
    // Nodes may start first.
    let node = |role: &str| place.start(&format!("{role} --coordinator 127.0.0.1:{port}"));
    let nodes = ["transmitter", "transmitter", "receiver", "receiver"].map(node);
    let words = format!("coordinator tiny.toml --rounds 20 --out a --listen 127.0.0.1:{port} --json");
    let coordinator = place.start(&words);
    let address = begun(&place, "a");
    place.run("pause a").done();
    for run in ["a", "a/", &address.to_string(), &format!("localhost:{port}")] {
        assert!(place.run(&format!("status {run}")).done().stdout.starts_with("tiny: training, paused"));
    }
    let seen = place.run(&format!("doctor {address}")).done().stdout;
    assert!(seen.contains("the token is taken"), "{seen}");
    place.run("resume a").done();
    let summary = coordinator.finish().done().json();
    for node in nodes {
        node.finish().done();
    }

    place.run("status a").failed(1, &["no run is under way in a"]);
    place.run("stop nowhere").failed(1, &["\"nowhere\" is neither a run's folder nor an address"]);
    // It belongs to this run while the run lasts, and to no other.
    let token = place.run_folder("a").text("token");
    let again = place.run("evaluate a --json").done().json();
    assert_eq!(again["fingerprint"], summary["fingerprint"]);
    assert_eq!(place.run_folder("a").text("token"), token);
    place.run("run tiny.toml --out a --force --in-process --rounds 1").done();
    assert_ne!(place.run_folder("a").text("token"), token);
}

#[test]
fn a_coordinator_that_is_started_again_keeps_its_token() {
    let place = Place::for_longer_runs(PROGRAM);
    let port = harness::free_port();
    let words = format!("coordinator tiny.toml --out a --listen 127.0.0.1:{port} --resume-or-start");
    let first = place.start(&words);
    place.address("a");
    let token = place.run_folder("a").text("token");
    drop(first);
    fs::remove_file(place.path("a/address")).expect("it is there");
    let _second = place.start(&words);
    place.address("a");
    assert_eq!(place.run_folder("a").text("token"), token);
}

#[test]
fn no_token_is_generated_with_insecure_or_a_given_token() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("certs token word").done();
    place.run("certs new certs --scenario tiny.toml").done();
    for (folder, words) in [("a", "--insecure"), ("b", "--token-file word"), ("c", "--tls certs")] {
        let words = format!("coordinator tiny.toml --out {folder} --listen 127.0.0.1:0 {words}");
        let _coordinator = place.start(&words);
        let address = place.address(folder);
        assert!(!place.run_folder(folder).has("token"), "{folder}");
        let Some(outcome) = place.run_as(NOBODY, &format!("status {address}")) else {
            return println!("SKIPPED: only root can act as another user");
        };
        assert_eq!(outcome.status.success(), folder == "a", "{outcome}");
    }
}

#[test]
fn a_token_goes_to_no_store() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("run tiny.toml --out a --rounds 2 --in-process --set checkpoint.store=safe").done();
    let token = place.run_folder("a").text("token");
    let mut folders = vec![place.path("safe")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it can be listed").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                let content = fs::read(entry.path()).expect("it can be read");
                assert!(!content.windows(token.trim().len()).any(|part| part == token.trim().as_bytes()));
            }
        }
    }
    assert!(files > 4);
}

/// Waits until the run in a folder is in the middle; returns its address.
fn begun(place: &Place, folder: &str) -> SocketAddr {
    wait_until("some rounds", PATIENCE, || {
        place.run_folder(folder).has("address") && place.run_folder(folder).rounds() > 0
    });
    place.address(folder)
}
