//! Every process answers the standard gRPC health service for any client, even if its other ports are protected.

use harness::{PATIENCE, Place, free_port, wait_until};

use crate::PROGRAM;

#[test]
fn a_process_is_alive_from_its_start_and_ready_while_it_has_its_place_in_a_run() {
    let place = Place::for_longer_runs(PROGRAM);
    let (door, health) = (free_port(), free_port());
    let (door, health) = (format!("127.0.0.1:{door}"), format!("127.0.0.1:{health}"));
    place.write_secret("word", "correct-horse-battery");
    let ask = |words: &str| place.run(&format!("POM2DIB_HEALTH={health} health {words}"));
    ask("--patience 1").failed(1, &["nobody answers", &health]);

    // It waits for a coordinator.
    let words = format!("--coordinator {door} --health {health} --token-file word");
    let receiver = place.start(&format!("receiver {words}"));
    ask("").done();
    ask("--ready").failed(1, &["has no place in a run"]);

    let _coordinator = place.start(&format!("coordinator tiny.toml --listen {door} --token-file word"));
    wait_until("the receiver's place", PATIENCE, || ask("--ready").status.success());
    drop(receiver);
    ask("--patience 1").failed(1, &["nobody answers"]);
}

#[test]
fn a_coordinator_is_ready_when_it_takes_nodes_in() {
    let place = Place::for_longer_runs(PROGRAM);
    let health = format!("127.0.0.1:{}", free_port());
    let _coordinator = place.start(&format!("coordinator tiny.toml --listen 127.0.0.1:0 --health {health}"));
    place.address("run");
    let said = place.run(&format!("health {health} --ready")).done().stdout;
    assert_eq!(said, format!("{health} has its place in a run\n"));
}

#[test]
fn another_port_of_the_program_is_not_taken_for_its_health() {
    let place = Place::for_longer_runs(PROGRAM);
    let _coordinator = place.start("coordinator tiny.toml --listen 127.0.0.1:0");
    let address = place.address("run").to_string();
    place.run(&format!("health {address}")).failed(1, &[&address, "is it what --health was given?"]);
}

#[test]
fn an_address_for_health_that_is_taken_is_named() {
    let place = Place::for_longer_runs(PROGRAM);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let _listener = std::net::TcpListener::bind(&taken).unwrap();
    for role in ["coordinator tiny.toml --listen 127.0.0.1:0", "receiver"] {
        place.run(&format!("{role} --health {taken}")).failed(2, &["--health", &taken]);
    }
}
