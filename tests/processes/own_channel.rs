//! A program that adds a kind of channel (`examples/own_channel.rs`) runs networks of processes, and a program without
//! the kind is refused.

use harness::{PATIENCE, Place, Signal, wait_until};

use crate::{
    PROGRAM, example,
    own_parts::{assert_commands_are_accepted, assert_refused_without},
};

/// Often, so that little gets through as it was, and one link without; and networks with which a round takes its time.
const IMPULSES: &str = r#"
[network.encoder]
[network.joint]
[network.local]
[network.selector]
[[channel]]
kind = "impulses"
parameters = { probability = 0.3, power = 20.0 }
[[channel]]
transmitter = 1
receiver = 0
kind = "awgn"
snr_db = 10.0
"#;

fn place(program: &'static str) -> Place {
    let place = Place::new(program);
    place.write_tiny_with("impulses.toml", IMPULSES);
    place
}

#[test]
fn its_nodes_know_the_kind_and_come_to_the_same_as_tasks_of_one_whoever_is_killed() {
    let place = place(example("own_channel"));
    let words = "impulses.toml --rounds 20 --set checkpoint.every=2 --json";
    let tasks = place.run(&format!("run {words} --in-process --verify --out tasks")).done().json();
    let killed = place.start(&format!("run {words} --verify --out killed"));
    wait_until("some rounds", PATIENCE, || place.run_folder("killed").rounds() > 3);
    place.find("receiver 0").unwrap().signal(Signal::Kill);
    let killed = killed.finish().done().json();
    assert_eq!(killed["fingerprint"], tasks["fingerprint"]);
    assert_eq!((&killed["test"], &killed["channel"]), (&tasks["test"], &tasks["channel"]));
    assert_eq!(place.run("evaluate killed --json").done().json()["test"], tasks["test"]);

    // Its uses are counted; what arrives over it, nobody knows.
    let channel = &tasks["channel"];
    let entries = tasks["test"]["selected_entries"].as_f64().unwrap();
    assert!((channel["uses"].as_f64().unwrap() - 2.0 * entries).abs() < 1e-9, "{channel}");
    assert!(channel["rate_received"].is_null(), "{channel}");
    let milder = format!("run {words} --in-process --out milder --set channel=[{{kind=\"impulses\"}}]");
    assert_ne!(place.run(&milder).done().json()["fingerprint"], tasks["fingerprint"]);
}

#[test]
fn what_is_wrong_with_its_keys_is_said_before_the_first_round() {
    let place = place(example("own_channel"));
    for (channel, expected) in [
        ("kind=\"impulses\",parameters={power=-1}", "channel 0: power is -1; it must be from 0 to 1000000"),
        (
            "kind=\"impulses\",parameters={power=\"high\"}",
            "channel 0: power is \"high\": invalid type: string",
        ),
        (
            "kind=\"impulses\",parameters={strength=1}",
            "channel 0: parameters.strength is unknown: the kind has probability, power",
        ),
        ("kind=\"impulses\",snr_db=10", "channel 0: snr_db is for a built-in kind"),
        (
            "kind=\"pulses\"",
            "channel 0: kind is \"pulses\", which is no kind of channel of this program: it has `ideal`, `awgn`",
        ),
    ] {
        place.run(&format!("run impulses.toml --out a --set channel=[{{{channel}}}]")).failed(2, &[expected]);
        place.run(&format!("check impulses.toml --set channel=[{{{channel}}}]")).failed(2, &[expected]);
        assert_eq!(place.run_folder("a").rounds(), 0);
    }
}

#[test]
fn a_program_without_it_is_refused_by_name() {
    let (own, plain) = (place(example("own_channel")), place(PROGRAM));
    let missing = "channel 0: kind is \"impulses\", which is no kind of channel of this program";
    assert_refused_without(&own, &plain, "impulses.toml", "receiver", [missing, "`rayleigh`"]);
}

#[test]
fn the_page_s_commands_are_accepted() {
    let page = include_str!("../../docs/channels.md");
    let own = ("own_channel", include_str!("../../examples/own_channel.rs"), 60);
    assert_commands_are_accepted(&place(example("own_channel")), page, 1, own);
}
