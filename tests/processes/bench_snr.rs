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
    }
    // At -20 dB no block is received.
    let missing = |row: usize, key: &str| rows[row]["test"]["missing"][key].as_u64().unwrap();
    assert_eq!(missing(6, "used"), 0, "{}", rows[6]);
    let csv = std::fs::read_to_string(place.path("snr/snr.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 8 * 2, "a line for every row and task: {csv}");
    assert!(std::fs::read_to_string(place.path("snr/snr.svg")).unwrap().contains("trained at random SNRs"));

    let again = place.run(words).done();
    assert!(!again.stderr.contains("training") && !again.stderr.contains("judging"), "{}", again.stderr);
    assert!(again.stdout.contains("capacity"), "{}", again.stdout);

    let other = place.run("bench snr tiny.toml --rounds 2 --snr-db=20,-20 --out snr");
    other.failed(1, &["holds a run of another scenario"]);
    place.run("bench snr tiny.toml --snr-db=nan --out b").failed(2, &["snr_db is NaN"]);
}
