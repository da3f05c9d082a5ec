//! The output of `pom2dib compose`, and its refusals.

use harness::Place;

use crate::PROGRAM;

#[test]
fn every_node_of_a_scenario_becomes_a_service() {
    let place = Place::new(PROGRAM);
    place.write("digits/keep", "");
    let words = "--scenario tiny.toml --set network.transmitters=3 --data digits --gpu --out net";
    let said = place.run(&format!("compose {words}")).done().stdout;
    assert!(said.contains("3 transmitters and 2 receivers"), "{said}");
    let file = std::fs::read_to_string(place.path("net/docker-compose.yml")).unwrap();
    for service in [
        "coordinator",
        "service",
        "transmitter-0",
        "transmitter-1",
        "transmitter-2",
        "receiver-0",
        "receiver-1",
    ] {
        assert_eq!(file.matches(&format!("\n  {service}:\n")).count(), 1, "{service}: {file}");
    }
    let data = format!("\"{}:/data:ro\"", place.path("digits").display());
    assert_eq!(file.matches(&data).count(), 5, "the coordinator reads no data: {file}");
    assert_eq!(file.matches("capabilities: [gpu]").count(), 5, "{file}");
    assert!(!place.path("net/certs").exists());
    let scenario = std::fs::read_to_string(place.path("net/scenario.toml")).unwrap();
    assert!(scenario.contains("path = \"/data\""), "{scenario}");
}

#[test]
fn each_service_gets_only_its_own_certificate() {
    let place = Place::new(PROGRAM);
    place.run("compose --scenario tiny.toml --tls --out net").done();
    let file = std::fs::read_to_string(place.path("net/docker-compose.yml")).unwrap();
    for name in ["coordinator", "transmitter-1", "receiver-0"] {
        assert!(place.path(&format!("net/certs/{name}.pem")).exists(), "{name}");
        // The coordinator's is that of its service, too.
        let count = if name == "coordinator" { 2 } else { 1 };
        assert_eq!(file.matches(&format!("/certs/{name}.key:ro")).count(), count, "{name}");
    }
    assert_eq!(file.matches("ca.pem:/certs/ca.pem:ro").count(), 6);
    assert_eq!(file.matches("    profiles: [serve]\n").count(), 1, "{file}");
    assert!(!file.contains("ca.key") && !file.contains("admin") && !file.contains("INSECURE"), "{file}");
}

#[test]
fn a_folder_that_holds_something_is_not_written_to() {
    let place = Place::new(PROGRAM);
    place.write("net/mine", "");
    place.run("compose --out net").failed(2, &["net holds something already", "--force"]);
    place.run("compose --out net --force").done();
    place.run("compose --out other --scenario nowhere.toml").failed(2, &["nowhere.toml"]);
    place
        .run("compose --out other --set checkpoint.store=/there")
        .failed(2, &["checkpoint.store is /there", "no container has"]);
    assert!(!place.path("other").exists());
}
