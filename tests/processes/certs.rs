//! `pom2dib certs` makes the certificates of a network, protects keys from other users and overwrites only on request.

use std::{fs, os::unix::fs::PermissionsExt};

use harness::{Outcome, Place};

use crate::PROGRAM;

#[test]
fn every_process_of_a_scenario_gets_a_certificate_and_only_its_owner_the_key() {
    let place = Place::new(PROGRAM);
    place.run("certs new certs --scenario tiny.toml --days 30").done();

    let names = ["ca", "coordinator", "transmitter-0", "transmitter-1", "receiver-0", "receiver-1", "admin"];
    assert_eq!(shown(&place, "certs"), names);
    assert_eq!(mode(&place, "certs"), 0o700);
    for name in names {
        assert_eq!(mode(&place, &format!("certs/{name}.key")), 0o600);
    }
    let table = place.run("certs show certs").done().stdout;
    assert!(
        table.lines().any(|line| line.starts_with("receiver 1") && line.ends_with("(29 days left)")),
        "{table}"
    );

    place.run("certs new few --transmitters 1 --receivers 0").failed(2, &["--receivers", "0 is not in 1.."]);
    place.run("certs new few --transmitters 1 --receivers 1").done();
    assert_eq!(shown(&place, "few"), ["ca", "coordinator", "transmitter-0", "receiver-0", "admin"]);
}

#[test]
fn certificates_are_replaced_only_when_that_is_asked_for() {
    let place = Place::new(PROGRAM);
    let text = |name: &str| fs::read(place.path(name)).expect("the file is there");
    place.run("certs new certs --transmitters 2 --receivers 1").done();
    let (ca, receiver) = (text("certs/ca.pem"), text("certs/receiver-0.pem"));

    place.run("certs new certs").failed(2, &["certs holds something already", "--force"]);
    place.run("certs add certs receiver-0").failed(2, &["holds a certificate of receiver 0", "--force"]);
    place.write("other/precious.txt", "mine");
    place.run("certs new other --force").failed(2, &["other holds no certificates"]);
    assert_eq!(text("certs/receiver-0.pem"), receiver);
    assert_eq!(text("other/precious.txt"), b"mine");

    place.run("certs add certs receiver-7 transmitter-2").done();
    assert_eq!(text("certs/receiver-0.pem"), receiver);
    place.run("certs renew certs").done();
    assert_ne!(text("certs/receiver-0.pem"), receiver);
    assert_eq!(text("certs/ca.pem"), ca);
    assert_eq!(mode(&place, "certs/receiver-0.key"), 0o600);
    let names = ["transmitter-0", "transmitter-1", "transmitter-2", "receiver-0", "receiver-7", "admin"];
    assert_eq!(shown(&place, "certs")[2..], names);

    place.run("certs new certs --transmitters 1 --receivers 1 --force").done();
    assert_ne!(text("certs/ca.pem"), ca);
    assert_eq!(shown(&place, "certs")[2..], ["transmitter-0", "receiver-0", "admin"]);
}

#[test]
fn a_token_is_made_for_its_owner_alone() {
    let place = Place::new(PROGRAM);
    place.run("certs token word").done();
    let word = fs::read_to_string(place.path("word")).expect("it is there");
    assert_eq!(word.trim().len(), 64);
    assert_eq!(mode(&place, "word"), 0o600);
    place.run("certs token word").failed(2, &["word exists already", "--force"]);
    place.run("certs token word --force").done();
    assert_ne!(fs::read_to_string(place.path("word")).expect("it is there"), word);
}

#[test]
fn certificates_that_cannot_be_made_or_shown_are_named() {
    let place = Place::new(PROGRAM);
    let refuse = |words: &str, answer: &[&str]| -> Outcome {
        let outcome = place.run(words);
        outcome.failed(2, answer);
        outcome
    };
    refuse("certs show nowhere", &["nowhere", "No such file"]);
    refuse("certs add nowhere admin", &["nowhere/ca.pem", "authority's own files", "No such file"]);
    refuse("certs add nowhere receiver-01", &["'receiver-01'", "names are coordinator, transmitter-K"]);
    refuse("certs new certs --scenario nowhere.toml", &["nowhere.toml", "No such file"]);
    refuse("certs new tiny.toml/certs", &["tiny.toml/certs", "Not a directory"]);
    refuse("certs new certs --days 0", &["--days", "0 is not in 1.."]);
}

fn mode(place: &Place, name: &str) -> u32 {
    fs::metadata(place.path(name)).expect("it is there").permissions().mode() & 0o777
}

/// The names of the certificates in a folder, as shown.
fn shown(place: &Place, folder: &str) -> Vec<String> {
    let list = place.run(&format!("certs show {folder} --json")).done().json();
    let list = list["certificates"].as_array().expect("a list of certificates");
    assert!(list.iter().all(|one| one["expired"] == false));
    list.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}
