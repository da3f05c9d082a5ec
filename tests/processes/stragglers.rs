//! Lost, late and absent features in networks of processes: under `wait` the results are the same bit for bit, under
//! `skip` receivers continue.

use std::time::Duration;

use harness::{PATIENCE, Place, Proxy, free_port, wait_until};
use serde_json::Value;

use crate::{CONSTANT, PROGRAM, assert_same, assert_same_everywhere};

/// 30 ms each way and a fifth of all entries lost.
const POOR: &str = "--set link=[{loss=0.2,delay=0.03,jitter=0.01}]";

#[test]
fn poor_links_cost_time_but_change_no_bit_under_wait() {
    let place = Place::for_longer_runs(PROGRAM);
    let plain = place.run("run tiny.toml --out plain --json").done().json();
    let poor = place.run(&format!("run tiny.toml {POOR} --out poor --json")).done().json();
    assert_same(&poor, &plain);
    let seconds = poor["timing"]["seconds"].as_f64().unwrap();
    assert!(seconds > 6.0 * 0.06, "six round trips of 60 ms took {seconds} s");
    assert_eq!(plain.get("missing"), None);
}

#[test]
fn what_links_lose_is_the_same_however_the_nodes_are_run_and_is_counted() {
    let place = Place::for_longer_runs(PROGRAM);
    let words = "--set straggler.policy=skip --set link=[{loss=0.2}] --json";
    let processes = place.run(&format!("run tiny.toml {words} --verify --out processes")).done().json();
    let in_one = place.run(&format!("run tiny.toml {words} --in-process --out in-one")).done().json();
    let plain = place.run("run tiny.toml --in-process --out plain --json").done().json();
    assert_same(&in_one, &processes);
    assert_ne!(plain["fingerprint"], processes["fingerprint"]);
    for missing in [&processes["missing"], &processes["test"]["missing"]] {
        assert!(missing["lost"].as_u64() > Some(0) && missing["used"].as_u64() > Some(0), "{missing}");
        assert_eq!((&missing["late"], &missing["absent"]), (&Value::from(0), &Value::from(0)));
    }
}

#[test]
fn what_training_drops_is_the_same_however_the_nodes_are_run_and_after_a_kill() {
    let place = Place::for_longer_runs(PROGRAM);
    let words = "--set train.modality_dropout=0.3";
    let processes = assert_same_everywhere(&place, words);
    let tcp = place.run(&format!("run {CONSTANT} {words} --tcp-only --out tcp --json")).done().json();
    assert_same(&tcp, &processes);
    let lost = processes["missing"]["lost"].as_u64().unwrap();
    let used = processes["missing"]["used"].as_u64().unwrap();
    assert!(lost > 0 && used > lost, "{lost} dropped, {used} used");
    // No evaluation drops any.
    assert_eq!(processes["test"].get("missing"), None);
    let again = place.run("evaluate in-one --in-process --json").done().json();
    assert_eq!(again["test"], processes["test"]);

    let long = format!("run tiny.toml {words} --rounds 40 --set checkpoint.every=2 --json");
    let undisturbed = place.run(&format!("{long} --in-process --out undisturbed")).done().json();
    let run = place.start(&format!("{long} --out killed"));
    wait_until("some rounds", PATIENCE, || place.run_folder("killed").rounds() > 6);
    place.kill(run);
    assert_same(&place.run("run --resume killed --json").done().json(), &undisturbed);
}

#[test]
fn a_decoder_that_is_told_what_is_absent_is_told_the_same_everywhere() {
    let place = Place::new(PROGRAM);
    let words = "--set network.mask=true --set train.modality_dropout=0.3";
    let processes = assert_same_everywhere(&place, words);
    let blind = format!("run {CONSTANT} {words} --set network.mask=false --in-process --out blind --json");
    assert_ne!(place.run(&blind).done().json()["fingerprint"], processes["fingerprint"]);
    // Groups of samples that are lost here and there have masks of their own.
    let lossy = "evaluate in-one --set straggler.policy=skip --set link=[{loss=0.4}] --json";
    let of_one = place.run(&format!("{lossy} --in-process")).done().json();
    let of_processes = place.run(lossy).done().json();
    assert_eq!(of_one["test"], of_processes["test"]);
    assert!(of_one["test"]["missing"]["lost"].as_u64() > Some(0), "{}", of_one["test"]["missing"]);
    place.run("export in-one --out networks").failed(2, &["network.mask", "cannot be exported"]);
}

#[test]
fn a_trained_network_can_be_judged_over_other_links() {
    let place = Place::for_longer_runs(PROGRAM);
    let trained = place.run("run tiny.toml --out a --json").done().json();
    let judge = |words: &str| place.run(&format!("evaluate a {words} --json")).done().json();
    let all = judge("--set straggler.policy=skip");
    assert_eq!(all["test"]["tasks"], trained["test"]["tasks"]);
    let few = judge("--set straggler.policy=skip --set link=[{loss=0.99}]");
    assert_eq!(few["fingerprint"], trained["fingerprint"]);
    assert!(few["test"]["missing"]["lost"].as_u64() > few["test"]["missing"]["used"].as_u64());
    let rate = |summary: &Value| summary["test"]["sum_rate"].as_f64().unwrap();
    assert!(rate(&few) < 0.1 * rate(&all), "{} and {} nats", rate(&few), rate(&all));
    let refused = place.run("evaluate a --set train.rounds=9");
    refused.failed(2, &["--set train.rounds=9", "evaluation, straggler, link and channel"]);
}

/// One transmitter whose two sensors are both asked for at every tick.
const TWO_SENSORS: &str = "[network]\nfeature_dim = 4\nlimits = false\n[network.encoder]\nhidden = [16]\n\
                           [network.joint]\nhidden = [16]\n[network.local]\nhidden = [16]\n\
                           [train]\nmethod = \"tadib\"\nrounds = 30\nticks_per_round = 3\ncoding_lr = 1e-2\n\
                           [evaluation]\npasses = 1\njoint_rate_samples = 60\n\
                           [[transmitter]]\nmodalities = [\"fft\", \"mel\"]\n[[receiver]]\ntask = \"digit\"\n";

#[test]
fn a_grid_evaluates_a_network_with_sensors_off_or_noisy_and_with_lost_entries() {
    let place = Place::new(PROGRAM);
    place.write("two.toml", TWO_SENSORS);
    let trained = place.run("run two.toml --in-process --out a --json").done().json();
    place.write("one.toml", TWO_SENSORS.replace("\"fft\", \"mel\"", "\"fft\""));
    let without = place.run("run one.toml --in-process --out b --json").done().json();
    let all = place.run("evaluate a --in-process --json").done().json();
    place.write("b/evaluation.json", "of another evaluation");
    let told = place.run("evaluate a --in-process --grid --without b --json").done().json();
    // Both folders keep their own evaluations.
    assert_eq!(place.run_folder("a").json("evaluation.json"), all);
    assert_eq!(place.run_folder("b").text("evaluation.json"), "of another evaluation");
    let rows = told["rows"].as_array().unwrap();
    let of = |name: &str| {
        let found = rows.iter().find(|row| row["condition"] == name);
        &found.unwrap_or_else(|| panic!("no {name} in {told}"))["test"]
    };
    let score = |name: &str| of(name)["tasks"][0]["value"].as_f64().unwrap();
    assert_eq!(of("as trained"), &trained["test"]);
    // Undisturbed it knows something, and without anything it guesses.
    let trained = score("as trained");
    assert!(trained > 0.3, "{trained}");
    for blind in ["without 0/fft, 0/mel", "without transmitter 0"] {
        assert!(score(blind) < 0.15, "{blind}: {}", score(blind));
        assert_eq!(of(blind)["missing"]["used"], 0, "{blind}");
    }
    for part in ["without 0/fft", "without 0/mel"] {
        let missing = &of(part)["missing"];
        assert_eq!(missing["lost"], missing["used"], "{part}: one of two sensors");
        assert_ne!(of(part)["tasks"], of("as trained")["tasks"]);
    }
    assert!(score("sensor noise 3") < score("sensor noise 0.1"), "{told}");
    assert!(score("90 % lost") < score("10 % lost"), "{told}");
    assert!(score("sensor blur 4") < trained, "{told}");
    let families: Vec<&Value> =
        told["means"].as_array().unwrap().iter().map(|mean| &mean["family"]).collect();
    // Rows of digits do not follow each other in time: none are late.
    let expected = ["sensors off", "transmitter leaves", "sensor noise", "sensor blur", "lost entries"];
    assert_eq!(families, expected);
    assert_eq!(told["areas"], told["means"], "the old name");
    // What was trained without a sensor stands beside the network that has it off.
    assert_eq!(of("trained without 0/mel"), &without["test"]);
    let compared = &told["without"][0];
    assert_eq!((&compared["condition"], &compared["run"]), (&"without 0/mel".into(), &"b".into()));
    let digit = &compared["tasks"][0];
    let (off, reached) = (score("without 0/mel"), score("trained without 0/mel"));
    assert_eq!((&digit["off"], &digit["trained_without"]), (&off.into(), &reached.into()));
    let below = digit["points_below"].as_f64().unwrap();
    assert!((below - 100.0 * (reached - off)).abs() < 1e-9, "{digit}");
    assert_eq!(digit["within_two_points"], below <= 2.0, "{digit}");
    let lines = std::fs::read_to_string(place.path("a/grid.csv")).unwrap().lines().count();
    assert_eq!(lines, 1 + rows.len());
    for file in ["grid.json", "grid.svg", "grid.png"] {
        assert!(place.path("a").join(file).is_file(), "{file}");
    }
    // One condition alone is the same; what is no sensor is refused.
    let alone = place.run("evaluate a --in-process --set evaluation.off=[\"0/mel\"] --json").done().json();
    assert_eq!(&alone["test"], of("without 0/mel"));
    place
        .run("evaluate a --set evaluation.off=[\"1\"]")
        .failed(2, &["evaluation.off names \"1\"", "0/fft, 0/mel"]);
    place.run("evaluate a --grid --snr-db 3").failed(2, &["--grid", "--snr-db"]);
    place.run("evaluate a --without b").failed(2, &["--grid"]);
    place.run("evaluate a --grid --without a").failed(2, &["--without a", "same sensors"]);
    place.run("evaluate b --grid --without a").failed(2, &["--without a", "that the evaluated one lacks"]);
    // What cannot stand beside it is refused before anything is evaluated.
    place
        .run("evaluate a --grid --without b --set evaluation.off=[\"0/mel\"]")
        .failed(2, &["--without b: ", "evaluation.off names \"0/mel\""]);
    place.run("evaluate a --grid --best --without b").failed(2, &["--without b: ", "no best checkpoint"]);
    let scenario = place.run_folder("b").text("scenario.toml");
    place.write("untrained/scenario.toml", &scenario);
    place.run("evaluate a --grid --without untrained").failed(2, &["--without untrained: ", "no checkpoint"]);
    let other_rows = scenario.replace("image_scale = \"range\"", "image_scale = \"log\"");
    assert_ne!(other_rows, scenario);
    place.write("other/scenario.toml", other_rows);
    place.run("evaluate a --grid --without other").failed(2, &["--without other: ", "data.image_scale"]);
    place
        .run("evaluate a --set evaluation.stale=1")
        .failed(2, &["evaluation.stale is 1", "not in order of time"]);
}

#[test]
fn sensors_lag_behind_within_the_recordings_that_an_array_tells() {
    let place = Place::new(PROGRAM);
    // A row's value is its label; a recording is twelve rows of one label, and then twelve of the other.
    let rows = |count: usize, of: &dyn Fn(usize) -> f32| -> Vec<u8> {
        let mut file = data::npy_head("<f4", &[count]);
        file.extend((0..count).flat_map(|row| of(row).to_le_bytes()));
        file
    };
    let label = |row: usize| ((row / 12) % 2) as f32;
    for split in ["train", "test"] {
        place.write(&format!("rows/level.{split}.npy"), rows(240, &label));
        place.write(&format!("rows/kind.{split}.npy"), rows(240, &label));
        place.write(&format!("rows/recording.{split}.npy"), rows(240, &|row| (row / 24) as f32));
    }
    let scenario = TWO_SENSORS
        .replace("[network]", "[data]\nsource = \"arrays\"\npath = \"rows\"\n[network]")
        .replace("\"fft\", \"mel\"", "\"level\"")
        .replace("\"digit\"", "\"kind\"")
        .replace("rounds = 30", "rounds = 60");
    place.write("rows.toml", scenario);
    place.run("run rows.toml --in-process --out a").done();
    let score = |words: &str| {
        let summary = place.run(&format!("evaluate a --in-process --json {words}")).done().json();
        summary["test"]["tasks"][0]["value"].as_f64().unwrap()
    };
    let named = "--set evaluation.recordings=recording";
    assert!(score(named) > 0.999, "labels are easy");
    // The first three rows of the second label still show the first; at a recording's start the lag is shorter.
    assert!((score(&format!("{named} --set evaluation.stale=3")) - 21.0 / 24.0).abs() < 1e-3);
    assert!((score(&format!("{named} --set evaluation.stale=99")) - 0.5).abs() < 1e-3);
    place
        .run("evaluate a --set evaluation.stale=3")
        .failed(2, &["evaluation.stale", "evaluation.recordings"]);
    let told = place.run(&format!("evaluate a --in-process --grid --json {named}")).done().json();
    let late = told["rows"].as_array().unwrap().iter().filter(|row| row["family"] == "stale samples");
    let scores: Vec<f64> = late.map(|row| row["test"]["tasks"][0]["value"].as_f64().unwrap()).collect();
    let expected = [23.0 / 24.0, 22.0 / 24.0, 20.0 / 24.0, 16.0 / 24.0];
    assert_eq!(scores.len(), 4);
    scores.iter().zip(expected).for_each(|(score, expected)| assert!((score - expected).abs() < 1e-3));
}

#[test]
fn a_transmitter_that_is_too_slow_is_passed_over_until_it_would_be_left_behind() {
    let place = Place::for_longer_runs(PROGRAM);
    let port = free_port();
    let far = Proxy::late(([127, 0, 0, 1], port).into(), Duration::from_millis(200));
    let skip = "--set straggler.policy=skip --set straggler.deadline=0.0 --set straggler.patience=0.01";
    let coordinator =
        place.start(&format!("coordinator tiny.toml {skip} --verify --out a --listen 127.0.0.1:0 --json"));
    let address = place.address("a");
    let seen = far.address();
    let nodes = [
        format!("transmitter --index 0 --tcp-only --listen 127.0.0.1:{port} --advertise {seen}"),
        "transmitter --index 1".into(),
        "receiver --index 0".into(),
        "receiver --index 1".into(),
    ]
    .map(|words| place.start(&format!("{words} --coordinator {address}")));
    let summary = coordinator.finish().done().json();
    for node in nodes {
        node.finish().done();
    }
    assert_eq!(summary["rounds"], 6);
    let absent = summary["missing"]["absent"].as_u64().unwrap();
    // Of six rounds, receivers continue without four answers each; then they wait for one.
    assert!((2..=12).contains(&absent), "{absent} messages were given up");
}
