//! `bench snr` trains networks in several ways, judges them at every SNR, and repeats no finished work.

use harness::Place;

use crate::PROGRAM;

#[test]
fn networks_that_were_trained_in_several_ways_are_judged_at_every_snr_once() {
    let place = Place::new(PROGRAM);
    let words = "bench snr tiny.toml --rounds 4 --snr-db=20,-20 --out snr";
    let table = place.run(&format!("{words} --json")).done().json();
    let rows = table["rows"].as_array().unwrap();
    let of = |row: &serde_json::Value| {
        (row["training"].as_str().unwrap().to_owned(), row["snr_db"].as_f64().unwrap())
    };
    let expected: Vec<(String, f64)> =
        ["trained at each SNR", "trained at random SNRs", "trained without noise", "digital chain"]
            .into_iter()
            .flat_map(|name| [-20.0, 20.0].map(|snr_db| (name.to_owned(), snr_db)))
            .collect();
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), expected);
    for row in rows {
        let (air, snr_db) = (&row["channel"], row["snr_db"].as_f64().unwrap());
        assert!((air["snr_db"].as_f64().unwrap() - snr_db).abs() < 1e-9, "{row}");
        let capacity = air["uses"].as_f64().unwrap() * (10_f64.powf(snr_db / 10.0)).ln_1p();
        assert!((air["capacity"].as_f64().unwrap() - capacity).abs() < 1e-6 * capacity, "{row}");
        assert_equal_uses_or_said(row);
    }
    // At -20 dB no block is received.
    let missing = |row: usize, key: &str| rows[row]["test"]["missing"][key].as_u64().unwrap();
    assert_eq!(missing(6, "used"), 0, "{}", rows[6]);
    let csv = std::fs::read_to_string(place.path("snr/snr.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 8 * 2, "a line for every row and task: {csv}");
    let heads: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let column = |name: &str| heads.iter().position(|head| *head == name).unwrap();
    for (row, line) in rows.iter().flat_map(|row| [row; 2]).zip(csv.lines().skip(1)) {
        let cells: Vec<&str> = line.split(',').collect();
        let ratio: f64 = cells[column("uses_ratio")].parse().unwrap();
        assert!((ratio - row["uses_ratio"].as_f64().unwrap()).abs() < 1e-5, "{line}");
        assert_eq!(cells[column("note")], row["note"].as_str().unwrap_or_default(), "{line}");
    }
    assert!(std::fs::read_to_string(place.path("snr/snr.svg")).unwrap().contains("trained at random SNRs"));

    let again = place.run(words).done();
    assert!(!again.stderr.contains("training") && !again.stderr.contains("judging"), "{}", again.stderr);
    assert!(again.stdout.contains("capacity") && again.stdout.contains("ratio: "), "{}", again.stdout);
    let marked = again.stdout.lines().filter(|line| line.ends_with("not at equal uses")).count();
    assert_eq!(marked, rows.iter().filter(|row| !row["note"].is_null()).count(), "{}", again.stdout);

    let other = place.run("bench snr tiny.toml --rounds 2 --snr-db=20,-20 --out snr");
    other.failed(1, &["holds a run of another scenario"]);
    place.run("bench snr tiny.toml --snr-db=nan --out b").failed(2, &["snr_db is NaN"]);
}

/// The ratio of a row is that of its uses to two a sample and entry; a digital chain that is more than 5 % off says so.
fn assert_equal_uses_or_said(row: &serde_json::Value) {
    let ratio = row["uses_ratio"].as_f64().unwrap();
    let missing = &row["test"]["missing"];
    // Of lost entries only the uses are known.
    if missing.is_null() || missing["lost"] == 0 {
        let plain = 2.0 * row["test"]["selected_entries"].as_f64().unwrap();
        assert!((ratio - row["channel"]["uses"].as_f64().unwrap() / plain).abs() < 1e-9, "{row}");
    }
    let is_digital = row["training"].as_str().unwrap().starts_with("digital chain");
    assert!(is_digital || ratio == 1.0, "{row}");
    assert_eq!(row["note"].as_str(), ((ratio - 1.0).abs() > 0.05).then_some("not at equal uses"), "{row}");
}

#[test]
fn a_digital_chain_that_takes_other_uses_says_so() {
    let place = Place::new(PROGRAM);
    // BPSK at a low rate repeats every bit several times.
    let bits = "--set train.coding=dithered --set train.rate_estimator=prior \
                --set channel=[{kind=\"awgn\",snr_db=0,transport=\"digital\",modulation=\"bpsk\",code_rate=0.1}]";
    let table = place.run(&format!("bench snr tiny.toml {bits} --rounds 2 --snr-db=20 --out snr --json"));
    let table = table.done().json();
    let rows = table["rows"].as_array().unwrap();
    // The others send values, whatever the scenario says.
    for row in &rows[..3] {
        assert_eq!((row["uses_ratio"].as_f64(), row.get("note")), (Some(1.0), None), "{row}");
    }
    assert_eq!(rows[3]["training"], "digital chain");
    assert_eq!(rows[3]["note"], "not at equal uses");
    assert!(rows[3]["uses_ratio"].as_f64().unwrap() > 2.0, "{}", rows[3]);
}

#[test]
fn what_a_mac_cannot_have_is_left_out_and_said_in_a_line_each() {
    let place = Place::new(PROGRAM);
    let words = "bench snr tiny.toml --set channel=[{kind=\"mac\",snr_db=0}] --rounds 2 --snr-db=5";
    let run = place.run(&format!("{words} --out snr --json")).done();
    let notes: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("note: left out: ")).collect();
    let [random, digital] = notes[..] else { panic!("{}", run.stderr) };
    assert!(random.contains("trained at random SNRs") && random.contains("no range"), "{random}");
    assert!(digital.contains("digital chain") && digital.contains("transport is \"digital\""), "{digital}");
    let table = run.json();
    let names = table["rows"].as_array().unwrap().iter().map(|row| row["training"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["trained at each SNR", "trained without noise"]);
    let asked = place.run(&format!("{words} --out b --digital-beta 0.01"));
    asked.failed(2, &["digital chain, beta 0.01", "--digital-beta none", "transport is \"digital\""]);
}
