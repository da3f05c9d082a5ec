//! Searches: drawn points, halving that goes on from checkpoints, and other programs that ask and tell.

use harness::{Outcome, PATIENCE, Place};
use serde_json::Value;

use crate::PROGRAM;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/search.py");

const RANGE: &str = "--set train.beta=1e-5..1e-1:log";

#[test]
fn drawn_points_are_run_at_every_seed_and_their_tables_compare_them() {
    let place = Place::new(PROGRAM);
    let words = format!("sweep tiny.toml {RANGE} --seed 1,2 --rounds 2 --in-process --out s --json");
    let two = place.run(&format!("{words} --sample 2 --success digit.top1>=0.0")).done().json();
    assert_eq!(two["points"].as_array().unwrap().len(), 4);
    let groups = two["over_seeds"].as_array().unwrap();
    assert!(groups.iter().any(|group| group["pareto"] == true));
    assert_eq!((&groups[0]["success"]["successes"], &groups[0]["success"]["runs"]), (&2.into(), &2.into()));
    let pair = &two["less_first"].as_array().unwrap()[0];
    let n_ce = |point: usize| two["points"][point]["figures"]["n_ce"].as_f64().unwrap();
    let mean = ((n_ce(2) - n_ce(0)) + (n_ce(3) - n_ce(1))) / 2.0;
    assert!((pair["difference"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9, "{pair}");
    assert_eq!(
        place.run_folder("s").text("sweep-pairs.csv").lines().next(),
        Some("train.beta,figure,seeds,difference,low,high")
    );

    // More points keep the first ones.
    let more = place.run(&format!("{words} --sample 3")).done();
    assert!(more.stderr.contains("6 points in s: 4 done already"), "{more}");
    assert_eq!(more.json()["points"][3]["fingerprint"], two["points"][3]["fingerprint"]);

    place.run(&words).failed(2, &["train.beta=0.00001..0.1", "--sample N"]);
    place.run("sweep tiny.toml --seed 1,2 --sample 2 --out t").failed(2, &["--sample draws from ranges"]);
    place.run("sweep tiny.toml --seed 1 --success top1 --out t").failed(2, &["--success top1"]);
}

#[test]
fn halving_trains_only_the_best_further_and_never_from_the_start() {
    let place = Place::new(PROGRAM);
    // Delays make rounds last without work: a point is paused soon after the rounds of its stage.
    let judged = "--set evaluation.every=4 --set data.hold_out=0.2 --set link=[{delay=0.05}]";
    let words = format!(
        "sweep tiny.toml --set train.beta=0,1e-3,1e-2,1e-1 --rounds 16 {judged} --in-process --out s"
    );
    let halving = format!("{words} --halving --reduce 4 --first-rounds 4 --parallel 4 --json");
    let table = place.start(&halving).finish_within(2 * PATIENCE).done();
    let points = table.json()["points"].as_array().unwrap().clone();
    let done: Vec<&Value> = points.iter().filter(|point| point["status"] == "done").collect();
    let paused = points.iter().filter(|point| point["status"] == "paused").count();
    assert_eq!((done.len(), paused), (1, 3), "{table}");
    assert!(points.iter().all(|point| point["rounds"].as_u64().unwrap() >= 4), "{table}");

    // It equals a run that was never interrupted, each round once, schedules over the rounds included.
    let beta = done[0]["values"]["train.beta"].as_str().unwrap();
    let folder = place.run_folder(&format!("s/train.beta={beta}"));
    assert_eq!(folder.rounds(), 16);
    assert!(folder.has("claims/000002") && !folder.has("claims/000003"), "one stage before the last");
    let whole = place.run(&format!(
        "run tiny.toml --set train.beta={beta} --rounds 16 {judged} --in-process --out r --json"
    ));
    assert_eq!(folder.json("summary.json")["fingerprint"], whole.done().json()["fingerprint"]);

    // Again: the race is over.
    let again = place.run(&halving).done();
    assert_eq!(again.json()["points"], table.json()["points"]);
    assert!(!folder.has("claims/000003"));
    place.run(&format!("{words} --halving --set train.rounds=4,8")).failed(2, &["train.rounds"]);
    let unjudged = "sweep tiny.toml --seed 1,2 --rounds 8 --halving --reduce 2 --out t";
    place
        .run(unjudged)
        .failed(2, &["--halving compares points by their score on validation rows", "evaluation.every"]);
    let spent = place.run("sweep tiny.toml --seed 1,2 --rounds 2 --in-process --hours 0 --out u");
    assert!(spent.status.code() == Some(1) && spent.stderr.contains("the hours are spent"), "{spent}");
}

#[test]
fn other_programs_ask_for_points_and_tell_their_values() {
    let place = Place::new(PROGRAM);
    let printed = place
        .run(&format!("sweep tiny.toml {RANGE} --seed 3 --rounds 2 --in-process --out s --print"))
        .done();
    assert_eq!(printed.stdout, "range train.beta=0.00001..0.1:log\n");

    let ask = |words: &str| place.run(&format!("ask s {words}"));
    let first = ask("").done().json();
    let beta = first["values"]["train.beta"].as_f64().unwrap();
    assert!((1e-5..=1e-1).contains(&beta), "{first}");
    assert_eq!(
        (&first["values"]["seed"], &first["rounds"], &first["done"]),
        (&3.into(), &2.into(), &false.into())
    );
    let range = &first["space"][0];
    assert_eq!(
        (&range["key"], &range["low"], &range["log"]),
        (&"train.beta".into(), &1e-5.into(), &true.into())
    );
    let given = ask("--set train.beta=0.003").done().json();
    assert_eq!(given["point"], "train.beta=0.003");
    // The same point again is the same point.
    assert_eq!(ask("--set train.beta=0.003").done().json(), given);
    assert_ne!(ask("").done().json()["point"], first["point"]);
    ask("--set gamma=1").failed(2, &["this search has the keys train.beta, seed"]);
    ask("--set train.beta=-1").failed(2, &["train.beta is -1"]);
    place.run("ask nowhere").failed(2, &["nowhere"]);

    let tell =
        |text: &str| -> Outcome { place.shell([], &format!("echo '{text}' | {PROGRAM} tell s")).finish() };
    tell("{\"point\": \"train.beta=0.003\"}").failed(2, &["its run is not done", "pom2dib point "]);
    tell("{\"point\": \"other\"}").failed(2, &["\"other\"", "no such point"]);
    tell("point").failed(2, &["standard input: write {\"point\": \"NAME\"}"]);
    place.run("point s/train.beta=0.003").done();
    let told = tell("{\"point\": \"train.beta=0.003\"}").done().json();
    let summary = place.run_folder("s/train.beta=0.003").json("summary.json");
    assert_eq!(
        (&told["value"], &told["value_is"]),
        (&summary["test"]["n_ce"], &"n_ce on the test set".into())
    );
    assert_eq!((&told["status"], &told["told"]), (&"done".into(), &1.into()));
    let name = first["point"].as_str().unwrap();
    let better = tell(&format!("{{\"point\": \"{name}\", \"value\": 7.5}}")).done().json();
    assert_eq!((&better["best"]["point"], &better["best"]["value"]), (&first["point"], &7.5.into()));

    // The sweep runs what was asked for and not run, and has all of it in its tables.
    let table = place.run("sweep --resume s --json").done();
    assert!(table.stderr.contains("3 points in s: 1 done already"), "{table}");
    let points = table.json()["points"].clone();
    assert!(points.as_array().unwrap().iter().all(|point: &Value| point["status"] == "done"), "{points}");

    // The example, with Optuna or without.
    let Some(python) = std::env::var_os("POM2DIB_PYTHON") else {
        return eprintln!("skipped: POM2DIB_PYTHON names no Python for examples/search.py");
    };
    let python = python.into_string().unwrap();
    let script = format!("exec {python} {EXAMPLE} s --points 2 --program {PROGRAM}");
    let example = place.shell([], &script).finish().done();
    assert!(example.stdout.contains("Optuna ") || example.stdout.contains("a random search"), "{example}");
    assert!(example.stdout.lines().last().unwrap().starts_with("best: "), "{example}");
    assert_eq!(place.run_folder("s").text("told.jsonl").lines().count(), 5);
}
