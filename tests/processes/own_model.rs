//! A program that adds a kind of network (`examples/own_model.rs`) runs networks of processes, and a program without
//! the kind is refused.

use harness::Place;

use crate::{
    PROGRAM, example,
    own_parts::{assert_commands_are_accepted, assert_refused_without},
};

/// The kind for every part of the network, with keys of its own.
const SINES: &str = r#"
[network.encoder]
kind = "sines"
outputs = 12
waves = 16
[network.joint]
kind = "sines"
[network.local.digit]
kind = "sines"
waves = 8
[network.selector]
kind = "sines"
"#;

fn place(program: &'static str) -> Place {
    let place = Place::new(program);
    place.write_tiny_with("sines.toml", SINES);
    place
}

#[test]
fn its_nodes_know_the_kind_and_come_to_the_same_as_tasks_of_one() {
    let place = place(example("own_model"));
    let processes = place.run("run sines.toml --out processes --json").done().json();
    let tasks =
        place.run("run sines.toml --rounds 3 --set train.entropy_bonus=0 --out tasks --in-process --json");
    assert_ne!(tasks.done().json()["fingerprint"], processes["fingerprint"]);
    let tasks = place.run("run sines.toml --out same --in-process --json").done().json();
    assert_eq!(processes["fingerprint"], tasks["fingerprint"]);
    assert!(processes["fingerprint"].is_string());
    assert_eq!(place.run("evaluate same --json").done().json()["test"], processes["test"]);
}

#[test]
fn its_gradients_are_those_of_finite_differences() {
    let place = place(example("own_model"));
    let told = place.run("model sines.toml --json --check-gradients").done().json();
    let networks = told["networks"].as_array().unwrap();
    let own: Vec<_> = networks.iter().filter(|network| network["kind"] == "sines").collect();
    assert!(own.len() > 5, "{told}");
    for network in &own {
        assert!(network["gradient_error"].as_f64().unwrap() < 1e-6, "{network}");
    }
    // An image spectrum of 14 x 14 to 16 waves and 12 outputs.
    let trunk = own.iter().find(|network| network["network"] == "encoder of fft: trunk").unwrap();
    assert_eq!((&trunk["key"], &trunk["outputs"]), (&"network.encoder".into(), &12.into()));
    assert_eq!(trunk["parameters"], 196 * 16 + 16 + 16 * 12 + 12);
}

#[test]
fn what_is_wrong_with_its_keys_is_said_before_the_first_round() {
    let place = place(example("own_model"));
    for (set, expected) in [
        ("network.joint.wave=3", "network.joint: wave is unknown: the kind has waves"),
        ("network.joint.waves=many", "network.joint: waves is \"many\": invalid type: string"),
        ("network.joint.kind=cosines", "which is no kind of network of this program: it has `residual-mlp`"),
    ] {
        place.run(&format!("run sines.toml --out a --set {set}")).failed(2, &[expected]);
        assert_eq!(place.run_folder("a").rounds(), 0);
    }
}

#[test]
fn a_program_without_it_is_refused_by_name() {
    let (own, plain) = (place(example("own_model")), place(PROGRAM));
    let missing = "network.encoder.kind is \"sines\", which is no kind of network of this program";
    assert_refused_without(&own, &plain, "sines.toml", "transmitter", [missing, "`sequential`"]);
}

#[test]
fn the_page_s_commands_are_accepted() {
    let page = include_str!("../../docs/models.md");
    let own = ("own_model", include_str!("../../examples/own_model.rs"), 60);
    assert_commands_are_accepted(&place(example("own_model")), page, 2, own);
}
