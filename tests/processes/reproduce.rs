//! Tables and figures of the paper at a tiny number of rounds: every file exists with the right content, and is made of
//! runs that are shared and not repeated.

use harness::{PATIENCE, Place, RunFolder, Signal, wait_until};
use serde_json::Value;

use crate::PROGRAM;

#[test]
fn a_table_and_heat_maps_are_made_of_shared_runs_and_compared_with_the_paper() {
    let place = Place::new(PROGRAM);
    let shrunk = "--scenario tiny.toml --rounds 3 --seeds 2 --in-process --parallel 2 --out r --json";
    let table = place.run(&format!("reproduce table1 {shrunk}")).done();
    assert!(table.stderr.contains("note: shrunk: 3 rounds instead of 2000"), "{table}");
    assert!(table.stderr.contains("10 points in r: 0 done already"), "{table}");
    let report = table.json();
    let made = &report["made"][0];
    assert_eq!((text(&made["target"]), made["lacking"].as_u64()), ("table1", Some(0)));

    // Every number equals that of the runs.
    let folder = place.run_folder("r");
    let own = place.run_folder("r/runs/tiny-3/train.method=tadib,seed=1").json("summary.json");
    let other = place.run_folder("r/runs/tiny-3/train.method=tadib,seed=2").json("summary.json");
    let mean =
        [&own, &other].map(|summary| summary["test"]["n_ce"].as_f64().unwrap()).iter().sum::<f64>() / 2.0;
    let number = numbers(made).find(|one| one["group"] == "tadib" && one["metric"] == "n_ce").unwrap();
    assert!((number["here"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{number}");
    assert_eq!((number["paper"].as_f64(), number["here"]["n"].as_u64()), (Some(-0.3), Some(2)));
    let ring = numbers(made).find(|one| one["metric"] == "ring.top1").unwrap();
    assert!(ring["here"].is_null() && ring["stands"].is_null(), "the tiny scenario has no such task: {ring}");
    // Untrained networks support no claim, and two seeds cannot decide any.
    let open = |claim: &Value| claim["holds"].is_null() && claim["verdict"] == "cannot be told";
    assert!(made["claims"].as_array().unwrap().iter().all(open), "{made}");

    let page = folder.text("table1-tiny.md");
    for words in [
        "# Table I(a): five methods by task, HandWritten",
        "(table1-tiny.svg)",
        "- shrunk: 3 rounds instead of 2000",
        "- the scenario is \"tiny\" on other data",
        "| pom2dib | yes | 2 |",
        "| tadib | no | 2 |",
        "| Table I(a) pom2dib, N-CE, nats | -0.390 ± 0.050 |",
        "pom2dib reproduce table1 --scenario tiny.toml --rounds 3 --seeds 2\n",
        "| cannot be told: only 2 of 5 seeds |",
        text(&own["fingerprint"]).get(..16).unwrap(),
        &format!("{mean:.3} ± "),
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let csv = folder.text("table1-tiny.csv");
    assert_eq!(csv.lines().count(), 6, "{csv}");
    assert!(
        csv.lines().nth(3).unwrap().starts_with(&format!("tadib,false,2,per-dimension,20,60,{mean},")),
        "{csv}"
    );
    assert_picture(&place, &folder, "table1-tiny", &["Table I(a)", "tadib, paper", "N-CE = min(0, R - 2.99"]);

    // The figure uses the runs of the table.
    let figure = place.run(&format!("reproduce fig3 {shrunk}")).done();
    assert!(figure.stderr.contains("2 points in r: 2 done already"), "{figure}");
    let caption = |seed: u32| {
        let summary = place.run_folder(&format!("r/runs/tiny-3/seed={seed}")).json("summary.json");
        let of = |key: &str| summary["test"][key].as_f64().unwrap();
        let entries = of("selected_entries");
        (
            format!("test: rate {:.1} nats", of("sum_rate")),
            format!("N-CE {:.3}, expected entries {entries:.2}", of("n_ce")),
        )
    };
    let [(rate, rest), (rate_2, rest_2)] = [1, 2].map(caption);
    let runs = ["pom2dib, seed 1", "pom2dib, seed 2"];
    let words_of_figure =
        [&["Fig. 3", "parity", "digit", "1 mel", &rate, &rest, &rate_2, &rest_2][..], &runs].concat();
    assert_picture(&place, &folder, "fig3-tiny", &words_of_figure);
    let csv = folder.text("fig3-tiny.csv");
    assert_eq!(csv.lines().count(), 1 + 2 * 3, "a line for each round of both runs: {csv}");
    let shares: Vec<f64> =
        csv.lines().nth(1).unwrap().split(',').skip(3).map(|cell| cell.parse().unwrap()).collect();
    let log = place.run_folder("r/runs/tiny-3/seed=1").lines("selection.jsonl");
    let logged: Vec<f64> = log[0]["granted"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|of| of.as_array().unwrap())
        .map(|share| share.as_f64().unwrap())
        .collect();
    // They are written with four decimals.
    let near = |(share, logged): (&f64, &f64)| (share - logged).abs() <= 5e-5;
    assert!(shares.len() == logged.len() && shares.iter().zip(&logged).all(near), "{shares:?} {logged:?}");
    let figure = folder.text("fig3-tiny.md");
    assert!(figure.contains("the converged selection drops all noise"));

    // With their records, here or elsewhere, the runs are not needed.
    std::fs::remove_dir_all(place.path("r/runs")).unwrap();
    let elsewhere = shrunk.replace("--out r", "--out s --records r/records");
    for (words, out) in [(shrunk, "r"), (&elsewhere, "s")] {
        let again = place.run(&format!("reproduce table1 fig3 {words}")).done();
        assert!(again.stderr.contains("10 of 10 runs on record in r/records/tiny-3"), "{again}");
        let folder = place.run_folder(out);
        // They differ in the command.
        let rest = |text: &str| text.replace(" table1 fig3 ", " table1 ").replace(" table1 ", " fig3 ");
        assert_eq!(rest(&folder.text("table1-tiny.md")), rest(&page));
        assert_eq!(rest(&folder.text("fig3-tiny.md")), rest(&figure));
        assert_eq!(folder.text("fig3-tiny.csv"), csv);
        assert_picture(&place, &folder, "fig3-tiny", &words_of_figure);
        assert!(!place.path(&format!("{out}/runs")).exists());
    }

    // A record has the run's origin, and its losses by test recording.
    let record: Value =
        serde_json::from_slice(&std::fs::read(place.path("r/records/tiny-3/seed=1.json")).unwrap()).unwrap();
    assert_eq!(text(&record["origin"]["data"]).len(), 64, "{record}");
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let rows = numbers(&record["recordings"]["rows"]);
    let losses = record["recordings"]["losses"].as_array().unwrap().iter().map(numbers);
    let weighed = |own: Vec<f64>| own.iter().zip(&rows).map(|(loss, rows)| loss * rows).sum::<f64>();
    let n_ce = -losses.map(weighed).sum::<f64>() / rows.iter().sum::<f64>();
    let figure = |name: &str| {
        let figures = record["figures"].as_array().unwrap();
        figures.iter().find(|own| own[0] == name).unwrap()[1].as_f64().unwrap()
    };
    assert!((n_ce - figure("n_ce")).abs() < 1e-4, "{n_ce} beside {}", figure("n_ce"));
    let scores: Vec<Vec<f64>> =
        record["recordings"]["scores"].as_array().unwrap().iter().map(numbers).collect();
    for (own, name) in scores.iter().zip(["parity.top1", "digit.top1"]) {
        let mean =
            own.iter().zip(&rows).map(|(score, rows)| score * rows).sum::<f64>() / rows.iter().sum::<f64>();
        assert!((mean - figure(name)).abs() < 1e-4, "{name}: {mean} beside {}", figure(name));
    }
    // With two seeds a table has intervals over both.
    assert!(
        page.contains("over seeds and test recordings together") && page.contains("parity, top-1"),
        "{page}"
    );

    // A record without the selection over the rounds suffices for a table, but not for a heat map.
    let name = "r/records/tiny-3/seed=1.json";
    let mut record: Value = serde_json::from_slice(&std::fs::read(place.path(name)).unwrap()).unwrap();
    record["granted"] = Value::Array(Vec::new());
    place.write(name, record.to_string());
    place.run(&format!("reproduce table1 {shrunk}")).done();
    assert_eq!(place.run(&format!("reproduce fig3 {shrunk}")).status.code(), Some(1));
    let page = folder.text("fig3-tiny.md");
    assert!(page.contains("- seed=1: its record has no selection: remove it"), "{page}");
    assert!(page.contains("- pom2dib, seed 2: test: rate"), "{page}");
}

#[test]
fn a_run_that_fails_is_named_on_the_page_and_the_rest_is_made() {
    let place = Place::new(PROGRAM);
    let no_limits = "network.limits=false,train.beta=0,seed=1";
    place.write(&format!("r/runs/tiny-2/{no_limits}"), "in the way");
    let words = "reproduce fig3 fig6 --scenario tiny.toml --rounds 2 --seeds 1 --in-process --out r";
    let outcome = place.run(words);
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    assert!(outcome.stdout.contains("1 runs lacking; r/fig6-tiny.md"), "{outcome}");
    let (folder, in_the_way) = (place.run_folder("r"), place.path(&format!("r/runs/tiny-2/{no_limits}")));
    assert_picture(&place, &folder, "fig3-tiny", &["Fig. 3"]);
    let page = folder.text("fig6-tiny.md");
    for words in [&format!("- {no_limits}: "), "N-CE, nats | -0.080 | · | · | not run |"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!folder.has("fig6-tiny.svg"));

    std::fs::remove_file(in_the_way).unwrap();
    let again = place.run(words).done();
    assert!(again.stderr.contains("2 points in r: 1 done already"), "{again}");
    assert_picture(&place, &folder, "fig6-tiny", &["Fig. 6", "digit"]);
    let scenario = place.run_folder(&format!("r/runs/tiny-2/{no_limits}")).text("scenario.toml");
    assert!(scenario.contains("limits = false") && scenario.contains("beta = 0.0"), "{scenario}");
}

#[test]
fn finished_runs_keep_their_records_if_the_others_fail() {
    let place = Place::new(PROGRAM);
    let words = "reproduce fig3 --scenario tiny.toml --rounds 100 --seeds 2 --in-process --out r";
    let killed = place.start(words);
    wait_until("a record", PATIENCE, || place.path("r/records/tiny-100/seed=1.json").exists());
    killed.signal(Signal::Kill);
    killed.finish().killed_by(Signal::Kill);
    place.assert_all_gone();
    assert!(!place.path("r/runs/tiny-100/seed=2/summary.json").exists(), "the other run had no time to end");
    std::fs::remove_dir_all(place.path("r/runs")).unwrap();
    let again = place.run(words).done();
    assert!(again.stderr.contains("1 of 2 runs on record in r/records/tiny-100"), "{again}");
    assert!(again.stderr.contains("1 points in r: 0 done already"), "{again}");
}

#[test]
fn the_other_half_runs_on_a_synthetic_tree() {
    let place = Place::new(PROGRAM);
    place.run("data synthesise mmfi tree --subjects-per-scene 1 --actions 3 --frames 3").done();
    let small = "--set network.feature_dim=4 --set train.ticks_per_round=2 --set train.samples_per_tick=4 --set evaluation.passes=2";
    place
        .run(&format!("reproduce fig4 --data tree --rounds 2 --seeds 1 --in-process --out r {small}"))
        .done();
    let folder = place.run_folder("r");
    assert_picture(&place, &folder, "fig4-mmfi-synthetic", &["Fig. 4", "MM-Fi", "pose", "2 wifi-csi"]);
    let page = folder.text("fig4-mmfi-synthetic.md");
    for words in [
        "- synthetic data, made by code",
        "- in all runs, by --set: network.feature_dim=4",
        "| caption of Fig. 4 pom2dib, sum-rate, nats | 78.17 |",
        "311.43 nats and N-CE -0.17",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(folder.has("mmfi.toml") && folder.has("runs/mmfi-synthetic-2/seed=1/summary.json"));
}

#[test]
fn errors_are_found_before_anything_runs() {
    let place = Place::new(PROGRAM);
    for (words, expected) in [
        ("fig4 --scenario handwritten", "fig4 is of mmfi, not of handwritten: leave out --scenario"),
        ("fig3 fig4", "ask for them one after the other"),
        ("fig4 --scenario tiny.toml", "fig4 is of mmfi, not of handwritten"),
        ("fig3 --scenario tiny.toml --set train.beat=1", "unknown field `beat`"),
        ("fig2a --scenario tiny.toml --betas 0,-1", "--betas: give numbers of 0 or more"),
        ("table1", "--data DIR"),
        ("table1 --scenario nowhere.toml", "nowhere.toml"),
    ] {
        place.run(&format!("reproduce --out r {words}")).failed(2, &[expected]);
    }
    assert!(!place.path("r/runs").exists());
    assert_eq!(place.run("reproduce fig9").status.code(), Some(2));
}

#[test]
fn the_large_sample_rate_over_training_rows_has_no_copies_and_changes_nothing_else() {
    let place = Place::new(PROGRAM);
    let run = |words: &str| place.run(&format!("run tiny.toml --in-process --json {words}")).done().json();
    let plain = run("--out a");
    let trained =
        run("--set evaluation.joint_rate_rows=train --set evaluation.joint_rate_samples=200 --out b");
    assert_eq!(plain["fingerprint"], trained["fingerprint"]);
    for key in ["n_ce", "n_ce_ci95", "sum_rate", "tasks", "selection"] {
        assert_eq!(plain["test"][key], trained["test"][key], "{key}");
    }
    let of = |summary: &Value, key: &str| summary["test"][key].as_f64().unwrap();
    assert_eq!((of(&plain, "joint_rate_samples"), of(&trained, "joint_rate_samples")), (60.0, 200.0));
    // Every row occurs once, so that an entry's upper limit is ln N; in the test set, rows of one recording are copies.
    let entries = of(&trained, "selected_entries");
    assert!((of(&trained, "joint_ceiling") - entries * 200_f64.ln()).abs() < 1e-6, "{trained}");
    for summary in [&plain, &trained] {
        assert!(of(summary, "joint_rate") <= of(summary, "joint_ceiling") + 1e-3, "{summary}");
    }
    assert!(of(&plain, "joint_ceiling") <= entries * 60_f64.ln() + 1e-6);
    let [low, high] = [0, 1].map(|end| plain["test"]["n_ce_ci95"][end].as_f64().unwrap());
    assert!(low < of(&plain, "n_ce") && of(&plain, "n_ce") < high, "{plain}");
    // Copies of rows do not change an entropy, since each row counts once.
    let entropy = run("--method dlsc --out c");
    assert!(entropy["test"]["joint_ceiling"].is_null() && of(&entropy, "joint_rate").is_finite());
    assert!(of(&entropy, "joint_rate") > -500.0, "{entropy}");
}

fn numbers(made: &Value) -> impl Iterator<Item = &Value> {
    made["numbers"].as_array().unwrap().iter()
}

/// The picture exists in both formats, with these words in it; the PNG is not empty.
fn assert_picture(place: &Place, folder: &RunFolder, name: &str, words: &[&str]) {
    let svg = folder.text(&format!("{name}.svg"));
    for word in words {
        assert!(svg.contains(word), "{word}: {svg}");
    }
    let png = std::fs::read(place.path(&format!("r/{name}.png"))).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 5000, "{name}: {}", png.len());
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
