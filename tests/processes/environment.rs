//! Keys of the scenario may come from the environment, and those of a folder's run from an earlier start.

use harness::{PATIENCE, Place, wait_for, wait_until};

use crate::{PROGRAM, example};

#[test]
fn the_command_line_goes_before_the_environment_and_the_environment_before_the_file() {
    let place = Place::new(PROGRAM);
    let set = "POM2DIB_SET=train.rounds=3;network.transmitters=3;;seed=5;";
    place.run(&format!("{set} run tiny.toml --set train.rounds=2 --out a --json")).done();
    let summary = place.run_folder("a").json("summary.json");
    assert_eq!((summary["rounds"].as_u64(), summary["seed"].as_u64()), (Some(2), Some(5)));
    let scenario = place.run_folder("a").text("scenario.toml");
    assert_eq!(scenario.matches("[[transmitter]]").count(), 3, "{scenario}");

    // A flag or a variable of its own overrides both.
    place.run(&format!("POM2DIB_SEED=9 {set} run tiny.toml --set train.rounds=2 --out b --json")).done();
    assert_eq!(place.run_folder("b").json("summary.json")["seed"], 9);
    place.run("POM2DIB_SET=train.colour=3 run tiny.toml").failed(2, &["unknown field `colour`"]);
}

#[test]
fn a_folder_that_holds_another_run_is_gone_on_with_and_said_so() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --out a --json").done();
    let start = |words: &str| {
        let coordinator = place
            .start(&format!("coordinator tiny.toml --out a --resume-or-start --listen 127.0.0.1:0 {words}"));
        harness::wait_until("the coordinator's patience", harness::PATIENCE, || {
            coordinator.stderr().contains("waiting for")
        });
        coordinator.stderr()
    };
    let line = "a holds a run of another scenario and goes on with that";
    assert!(start("--seed 9").contains(line));
    assert!(!start("").contains(line));
}

/// A round allocates and frees the same megabytes: processes that compute keep them unless the variable is set.
#[test]
fn processes_in_which_nodes_compute_keep_freed_memory() {
    let place = Place::for_longer_runs(PROGRAM);
    let name = "MIMALLOC_PURGE_DELAY";
    let variable = |role: &str| place.find(role)?.variable(name);

    let run = place.start("run tiny.toml --rounds 100000 --in-process --out one");
    let value = wait_for("a process that has begun anew", PATIENCE, || variable("run"));
    assert_eq!(value, "-1");
    wait_until("its first rounds", PATIENCE, || place.run_folder("one").rounds() > 1);
    assert_eq!(place.running().len(), 1, "it has begun anew beside itself");
    drop(run);
    place.assert_all_gone();

    let run = place.start(&format!("{name}=10 run tiny.toml --rounds 100000 --in-process --out own"));
    wait_until("its first rounds", PATIENCE, || place.run_folder("own").rounds() > 1);
    assert_eq!(variable("run").as_deref(), Some("10"));
    drop(run);
    place.assert_all_gone();

    let run = place.start("run tiny.toml --rounds 100000 --out many");
    for role in ["transmitter 0", "receiver 1"] {
        assert_eq!(wait_for(role, PATIENCE, || variable(role)), "-1");
    }
    drop(run);
    place.assert_all_gone();

    let run = place.start(&format!("{name}=10 run tiny.toml --rounds 100000 --out many-own"));
    assert_eq!(wait_for("transmitter 0", PATIENCE, || variable("transmitter 0")), "10");
    drop(run);
    place.assert_all_gone();
}

/// Another program may have another allocator and may have started work: it does not replace itself.
#[test]
fn a_program_that_is_not_the_command_begins_once() {
    let place = Place::for_longer_runs(example("own_dataset"));
    let run = place.start("run tiny.toml --rounds 100000 --in-process --out one");
    wait_until("its first rounds", PATIENCE, || place.run_folder("one").rounds() > 1);
    let process = place.find("run").expect("it runs");
    assert_eq!(process.variable("MIMALLOC_PURGE_DELAY"), None);
    drop(run);
    place.assert_all_gone();
}

#[test]
fn a_preset_overrides_the_file_and_assignments_override_the_preset() {
    let place = Place::new(PROGRAM);
    let small = "--set network.feature_dim=4 --set train.ticks_per_round=2 --rounds 1 --in-process";
    place.run(&format!("run --preset paper tiny.toml {small} --out a")).done();
    let scenario = place.run_folder("a").text("scenario.toml");
    for line in [
        "baseline = \"label-entropy\"",
        "credit = \"own\"",
        "entropy_bonus = 0.0",
        "transmitter_limit = 4",
        "feature_dim = 4",
        "ticks_per_round = 2",
        "rounds = 1",
    ] {
        assert!(scenario.lines().any(|other| other == line), "{line} in {scenario}");
    }

    place
        .run(&format!("POM2DIB_PRESET=paper run tiny.toml {small} --out b --set train.credit=shared"))
        .done();
    let scenario = place.run_folder("b").text("scenario.toml");
    assert!(scenario.contains("credit = \"shared\"") && scenario.contains("baseline = \"label-entropy\""));
    place.run("run --preset papers tiny.toml").failed(2, &["no preset \"papers\"", "paper"]);
    place.run("run --resume a --preset paper").failed(2, &["--preset"]);
}

#[test]
fn a_deprecated_key_is_understood_and_its_new_name_is_said_once() {
    let place = Place::new(PROGRAM);
    let tiny = std::fs::read_to_string(place.path("tiny.toml")).unwrap();
    place.write("old.toml", tiny.replace("rounds = 6", "rounds = 1\ncoding_rate = 0.5"));
    let words = "run old.toml --set train.selection_rate=0.25 --out a --json";
    let outcome = place.run(words);
    let warnings = "warning: train.coding_rate is deprecated: its name is train.coding_lr now\n\
                    warning: train.selection_rate is deprecated: its name is train.selection_lr now\n";
    assert_eq!(outcome.stderr.matches("deprecated").count(), 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(warnings), "{}", outcome.stderr);
    outcome.done();
    let scenario = place.run_folder("a").text("scenario.toml");
    assert!(scenario.contains("coding_lr = 0.5\nselection_lr = 0.25\n"), "{scenario}");
}
