//! A program that adds a rule of selection (`examples/own_selection.rs`) runs networks of processes, and a program
//! without the rule is refused.

use harness::{PATIENCE, Place, Signal, wait_until};
use serde_json::Value;

use crate::{
    PROGRAM, example, numbers,
    own_parts::{assert_commands_are_accepted, assert_refused_without},
};

/// Receivers may request one of two transmitters, which send up to two entries.
const BANDIT: &str = "tiny.toml --rounds 40 --set network.receiver_limit=1 --set train.selection=bandit \
                      --set train.selection_parameters={epsilon=0.3} --set checkpoint.every=2 --json";

fn place() -> Place {
    Place::for_longer_runs(example("own_selection"))
}

#[test]
fn its_nodes_know_the_rule_and_come_to_the_same_as_tasks_of_one_whoever_is_killed() {
    let place = place();
    let tasks = place.run(&format!("run {BANDIT} --in-process --verify --out tasks")).done().json();
    for node in ["receiver 0", "transmitter 1"] {
        let words = format!("run {BANDIT} --verify --set record.draws=true --out killed --force");
        let killed = place.start(&words);
        wait_until("some rounds", PATIENCE, || (4..40).contains(&place.run_folder("killed").rounds()));
        place.find(node).unwrap().signal(Signal::Kill);
        let killed = killed.finish().done().json();
        assert_eq!(killed["fingerprint"], tasks["fingerprint"], "{node}");
        assert_eq!(killed["test"], tasks["test"], "{node}");
    }
    assert_eq!(place.run("evaluate killed --json").done().json()["test"], tasks["test"]);

    // Nothing is learnt by the score function, and no network says how likely a choice was.
    for line in place.run_folder("tasks").lines("metrics.jsonl") {
        assert_eq!(line["logl"], 0.0, "{line}");
    }
    assert_limits(&place);
    // A tick that was not recorded is computed again.
    let again = place.run("replay tasks --tick 13 --json").done().json();
    let draws = place.run_folder("killed").lines("draws.jsonl");
    let recorded = &draws[4]["ticks"][1];
    for key in ["tick", "requests", "choices", "grants"] {
        assert_eq!(again[key], recorded[key], "{key}");
    }

    // Without selectors there are the other networks to be exported.
    place.run("export tasks --out networks").done();
    assert!(place.path("networks/receiver0-joint.safetensors").exists());
    assert!(!place.path("networks/receiver0-selector.safetensors").exists());
    let change = "--set train.selection=learned --set train.selection_parameters={} --rounds 50";
    let words = format!("run --from tasks {change} --in-process --out learned");
    place.run(&words).failed(2, &["train.selection cannot change", "train anew without --from"]);
}

/// Of the runs "tasks" and "killed".
fn assert_limits(place: &Place) {
    for line in place.run_folder("tasks").lines("selection.jsonl") {
        // Each of two receivers requests one transmitter.
        assert!((numbers(&line["asked"]).iter().sum::<f64>() - 2.0).abs() < 1e-9, "{line}");
        let granted = numbers(&line["granted"]);
        // Three entries of transmitter 0, then two of transmitter 1, for each receiver.
        let of_first: f64 = [&granted[..3], &granted[5..8]].concat().iter().sum();
        let of_second: f64 = [&granted[3..5], &granted[8..]].concat().iter().sum();
        assert!(of_first <= 2.0 + 1e-9 && of_second <= 2.0 + 1e-9, "{line}");
    }
    let rounds = place.run_folder("killed").lines("draws.jsonl");
    let ticks: Vec<&Value> = rounds.iter().flat_map(|round| round["ticks"].as_array().unwrap()).collect();
    assert_eq!(ticks.len(), 40 * 3);
    let mut requested = [0, 0];
    for tick in ticks {
        let requests: Vec<Vec<f64>> = tick["requests"].as_array().unwrap().iter().map(numbers).collect();
        assert!(requests.iter().all(|of_receiver| of_receiver.len() == 1), "{tick}");
        requests.iter().flatten().for_each(|&k| requested[k as usize] += 1);
        for granted in tick["grants"].as_array().unwrap() {
            assert!(granted.as_array().unwrap().len() <= 2, "{tick}");
        }
    }
    assert!(requested.iter().all(|times| *times > 0), "it explores: {requested:?}");
}

#[test]
fn a_run_killed_whole_goes_on_with_what_its_rule_has_learnt() {
    let place = place();
    let quiet = place.run(&format!("run {BANDIT} --in-process --out quiet")).done().json();
    let mut run = place.start(&format!("run {BANDIT} --out a"));
    for rounds in [6, 15] {
        wait_until("some rounds", PATIENCE, || (rounds..40).contains(&place.run_folder("a").rounds()));
        place.kill(run);
        run = place.start("run --resume a --json");
    }
    let resumed = run.finish().done().json();
    assert_eq!((&resumed["fingerprint"], &resumed["test"]), (&quiet["fingerprint"], &quiet["test"]));

    let others = format!("run {BANDIT} --in-process --out other --set train.selection_parameters.step=0.5");
    assert_ne!(place.run(&others).done().json()["fingerprint"], quiet["fingerprint"]);
}

#[test]
fn what_is_wrong_with_its_keys_is_said_before_the_first_round() {
    let place = place();
    for (set, expected) in [
        (
            "train.selection=bandits",
            "train.selection is \"bandits\", which is no policy of this program: it has `learned`, `bandit`",
        ),
        (
            "train.selection_parameters={epsilon=2}",
            "train.selection_parameters: epsilon is 2; it must be from 0 to 1",
        ),
        (
            "train.selection_parameters={epsilon=\"often\"}",
            "train.selection_parameters: epsilon is \"often\": invalid type: string",
        ),
        (
            "train.selection_parameters={strength=1}",
            "train.selection_parameters: strength is unknown: the kind has epsilon, step",
        ),
        ("train.selection=learned", "train.selection_parameters is for a policy of your program's own"),
        ("train.method=tadib", "train.selection is \"bandit\", which method \"tadib\" leaves no choice"),
        ("train.requests=strongest", "train.requests is \"strongest\", but train.selection = \"bandit\""),
        ("train.credit=difference", "train.credit is \"difference\""),
    ] {
        let words = BANDIT.replace(" --json", "");
        place.run(&format!("run {words} --out a --set {set}")).failed(2, &[expected]);
        place.run(&format!("check {words} --set {set}")).failed(2, &[expected]);
        assert_eq!(place.run_folder("a").rounds(), 0);
    }
}

#[test]
fn a_program_without_it_is_refused_by_name() {
    let (own, plain) = (place(), Place::new(PROGRAM));
    let missing = "train.selection is \"bandit\", which is no policy of this program";
    let words = "tiny.toml --set train.selection=bandit";
    assert_refused_without(&own, &plain, words, "receiver", [missing, "it has `learned`"]);
}

#[test]
fn the_page_s_commands_are_accepted() {
    let page = include_str!("../../docs/models.md");
    let own = ("own_selection", include_str!("../../examples/own_selection.rs"), 100);
    assert_commands_are_accepted(&place(), page, 1, own);
}
