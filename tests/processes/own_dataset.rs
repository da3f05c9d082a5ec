//! A program that adds a data set (`examples/own_dataset.rs`) runs networks of processes, and a program without the
//! data set is refused.

use harness::Place;

use crate::{PROGRAM, example};

fn place() -> Place {
    let place = Place::new(example("own_dataset"));
    place.write("rings.toml", include_str!("../../examples/own_dataset.toml"));
    place
}

#[test]
fn its_network_learns_and_processes_come_to_the_same_as_tasks_of_one() {
    let place = place();
    let processes = place.run("run rings.toml --out processes --json").done().json();
    // Guessing is right half of the time, and one coordinate alone three quarters at most.
    let top1 = processes["test"]["tasks"][0]["value"].as_f64().unwrap();
    assert!(top1 > 0.8, "{top1}");
    assert_eq!(processes["test"]["ci95_over"], "bootstrap over test rows and passes");
    let tasks = place.run("run rings.toml --out tasks --in-process --json").done().json();
    assert_eq!(processes["fingerprint"], tasks["fingerprint"]);
    assert!(processes["fingerprint"].is_string());

    // A run continues with the data set's own keys.
    let written = place.run_folder("processes").text("scenario.toml");
    assert!(written.contains("source = \"rings\"") && written.contains("noise = 0.1"), "{written}");
    place.run("run --resume processes --rounds 102").done();
    place.run("run --from processes --set data.noise=0.2 --rounds 104 --out other").done();
    assert_eq!(place.run_folder("other").rounds(), 104);
}

#[test]
fn every_command_knows_it() {
    let place = place();
    place.run("check rings.toml").done();
    let info = place.run("data info rings --json").done().json();
    assert_eq!(info["modalities"][1]["name"], "y");
    assert_eq!((&info["splits"][0]["samples"], &info["tasks"][0]["classes"]), (&4000.into(), &2.into()));
    let verified = place.run("data verify rings --scenario rings.toml").done();
    assert_eq!(verified.stdout, "4000 training and 1000 test samples can be read\n");
}

#[test]
fn what_is_wrong_with_its_keys_and_names_is_said_before_the_first_round() {
    let place = place();
    for (words, expected) in [
        ("data.nosie=0.2", "data.nosie is unknown: the data set \"rings\" has noise"),
        ("data.noise=2.0", "data.noise is 2; it must be from 0 to 1"),
        ("data.noise=loud", "data.noise is \"loud\": invalid type: string"),
        (
            "receiver=[{task=\"colour\"}]",
            "receiver[0].task names \"colour\"; the data set \"rings\" has ring",
        ),
        ("data.source=circles", "data.source is \"circles\", which is no data set of this program"),
    ] {
        let outcome = place.run(&format!("run rings.toml --out a --set {words}"));
        outcome.failed(2, &[expected]);
        assert_eq!(place.run_folder("a").rounds(), 0);
    }
}

#[test]
fn a_program_without_it_exports_its_networks_and_says_what_is_left_out() {
    let own = place();
    own.run("run rings.toml --rounds 1 --in-process --out a").done();
    let out = own.path("networks");
    let plain = Place::new(PROGRAM);
    let words = format!("export {} --out {}", own.path("a").display(), out.display());
    let said = plain.run(&words).done().stderr;
    let line = "note: the constants of x, y are left out: ";
    assert!(said.contains(line) && said.contains("which is no data set of this program"), "{said}");
    // Not where the data is: it is in no folder.
    assert!(!said.contains("--data") && out.join("export.json").is_file(), "{said}");
}

#[test]
fn a_program_without_it_is_refused_by_name() {
    let own = place();
    let plain = Place::new(PROGRAM);
    plain.write("rings.toml", include_str!("../../examples/own_dataset.toml"));
    let missing = "data.source is \"rings\", which is no data set of this program";
    plain.run("run rings.toml --out a").failed(2, &[missing, "`digits`"]);

    // A node of another program than the coordinator's reports that.
    let coordinator = own.start("coordinator rings.toml --out a --listen 127.0.0.1:0");
    let address = own.address("a");
    let node = plain.start(&format!("transmitter --coordinator {address} --index 0"));
    let said = node.finish();
    assert!(!said.status.success() && said.stderr.contains(missing), "{said}");
    let ended = coordinator.finish();
    assert!(!ended.status.success() && ended.stderr.contains(missing), "{ended}");
}
