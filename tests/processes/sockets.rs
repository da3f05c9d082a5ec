//! The connections between nodes: Unix-domain sockets where these lead to the other node, TCP otherwise. The run is the
//! same with either.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use harness::{Outcome, PATIENCE, Place, RunFolder, wait_until};

use crate::PROGRAM;

/// A node's log line about its connection.
const LOCAL: &str = "connected over a Unix-domain socket";
const TCP: &str = "connected over TCP";
const OUT_OF_REACH: &str = "the Unix-domain socket is out of reach";

#[test]
fn nodes_of_one_machine_talk_over_unix_sockets_unless_told_not_to() {
    let place = Place::for_longer_runs(PROGRAM);
    let variables = variables(&place, "tmp");

    let local = place.run(&format!("{variables} run tiny.toml --out local --json")).done();
    let tcp = place.run(&format!("{variables} run tiny.toml --out tcp --tcp-only --json")).done();
    let told =
        place.run(&format!("{variables} POM2DIB_TCP_ONLY=true run tiny.toml --out told --json")).done();

    let (local_run, tcp_run, told_run) =
        (place.run_folder("local"), place.run_folder("tcp"), place.run_folder("told"));
    for t in 0..2 {
        assert_eq!(ways(&receiver_log(&local_run, t)), [2, 0, 0], "both transmitters over sockets");
        assert_eq!(ways(&receiver_log(&tcp_run, t)), [0, 2, 0], "both transmitters over TCP");
        assert_eq!(ways(&receiver_log(&told_run, t)), [0, 2, 0], "both transmitters over TCP");
    }
    assert_same_run(&local, &tcp);
    assert_same_run(&local, &told);
    assert_eq!(left_in(&place, "tmp"), [] as [PathBuf; 0]);
}

#[test]
fn the_nodes_of_one_process_talk_over_unix_sockets_unless_told_not_to() {
    let place = Place::for_longer_runs(PROGRAM);
    let variables = variables(&place, "tmp");

    let local = place.run(&format!("{variables} run tiny.toml --in-process --out local --json")).done();
    let tcp =
        place.run(&format!("{variables} run tiny.toml --in-process --tcp-only --out tcp --json")).done();

    assert_eq!(ways(&local.stderr), [4, 0, 0]);
    assert_eq!(ways(&tcp.stderr), [0, 4, 0]);
    assert_same_run(&local, &tcp);
    assert_eq!(left_in(&place, "tmp"), [] as [PathBuf; 0]);
}

#[test]
fn the_way_to_a_socket_is_closed_once_all_receivers_have_come() {
    let place = Place::for_longer_runs(PROGRAM);
    let variables = variables(&place, "tmp");

    let _run = place.start(&format!("{variables} run tiny.toml --out a --rounds 100000"));
    wait_until("the first rounds", PATIENCE, || place.run_folder("a").rounds() > 1);

    assert_eq!(ways(&receiver_log(&place.run_folder("a"), 0)), [2, 0, 0]);
    assert_eq!(left_in(&place, "tmp"), [] as [PathBuf; 0]);
}

#[test]
fn a_receiver_that_cannot_reach_a_socket_takes_tcp() {
    let place = Place::for_longer_runs(PROGRAM);
    let variables = variables(&place, "tmp");
    let undisturbed = place.run("run tiny.toml --out undisturbed --json").done();

    let coordinator = place.start("coordinator tiny.toml --out a --listen 127.0.0.1:0 --json");
    let door = place.address("a");
    let start = |role: &str, index: usize| {
        place.start(&format!("{variables} {role} --coordinator {door} --index {index}"))
    };
    let transmitters = [0, 1].map(|k| start("transmitter", k));
    wait_until("both sockets", PATIENCE, || sockets(&place, "tmp").len() == 2);
    // As on another machine, where the path does not exist; and as if any user could have put a socket there.
    let folders = left_in(&place, "tmp");
    fs::remove_dir_all(&folders[0]).expect("it is there");
    fs::set_permissions(&folders[1], Permissions::from_mode(0o755)).expect("it is ours");
    let receivers = [0, 1].map(|t| start("receiver", t));

    assert_same_run(&coordinator.finish().done(), &undisturbed);
    for receiver in receivers {
        assert_eq!(ways(&receiver.finish().done().stderr), [0, 2, 2]);
    }
    for transmitter in transmitters {
        transmitter.finish().done();
    }
}

#[test]
fn a_transmitter_that_cannot_have_a_socket_listens_on_tcp_alone() {
    let place = Place::for_longer_runs(PROGRAM);
    let variables = variables(&place, &"long-".repeat(20));

    let outcome = place.run(&format!("{variables} run tiny.toml --in-process --out a --json")).done();

    assert_eq!(ways(&outcome.stderr), [0, 4, 0]);
    assert_eq!(outcome.stderr.matches("no Unix-domain socket: listening on TCP only").count(), 2);
}

/// Environment for a process to log its connections, and to make its sockets in a folder of the place.
fn variables(place: &Place, folder: &str) -> String {
    let folder = place.path(folder);
    fs::create_dir_all(&folder).expect("a folder can be made");
    format!("POM2DIB_LOG=pom2dib_link=debug TMPDIR={}", folder.display())
}

fn receiver_log(run: &RunFolder, t: usize) -> String {
    run.text(&format!("logs/receiver-{t}.log"))
}

/// The number of connections over sockets, over TCP, and of sockets that were not reached.
fn ways(log: &str) -> [usize; 3] {
    // The control stream always goes over TCP, and is not logged.
    [LOCAL, TCP, OUT_OF_REACH].map(|line| log.matches(line).count())
}

fn left_in(place: &Place, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path(folder)).expect("the folder is there");
    entries.map(|entry| entry.expect("a folder can be listed").path()).collect()
}

/// The sockets that are listening already.
fn sockets(place: &Place, folder: &str) -> Vec<PathBuf> {
    left_in(place, folder).into_iter().map(|path| path.join("socket")).filter(|path| path.exists()).collect()
}

/// Same parameters, same scores, same payload.
fn assert_same_run(one: &Outcome, other: &Outcome) {
    let (one, other) = (one.json(), other.json());
    assert_eq!(one["fingerprint"], other["fingerprint"]);
    assert_eq!(one["test"], other["test"]);
    for key in ["feature_bytes", "gradient_bytes"] {
        assert_eq!(one["wire"][key], other["wire"][key], "{key}");
    }
}
