//! `bench loss` trains and evaluates over lossy links, reports the results, and repeats no finished work.

use harness::Place;

use crate::PROGRAM;

#[test]
fn networks_are_trained_and_judged_over_every_loss_rate_once() {
    let place = Place::new(PROGRAM);
    let words = "bench loss tiny.toml --loss 0.5 --out loss";
    let table = place.run(&format!("{words} --json")).done().json();
    let rows = table["rows"].as_array().unwrap();
    let of =
        |row: usize| (rows[row]["trained_at"].as_f64().unwrap(), rows[row]["judged_at"].as_f64().unwrap());
    assert_eq!((0..rows.len()).map(of).collect::<Vec<_>>(), [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5)]);
    let lost = |row: usize| rows[row]["test"]["missing"]["lost"].as_u64().unwrap();
    assert!(lost(0) == 0 && lost(1) > 0 && lost(2) > 0, "{rows:?}");
    let csv = std::fs::read_to_string(place.path("loss/loss.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * 2, "a line for every row and task: {csv}");
    assert!(std::fs::read_to_string(place.path("loss/loss.svg")).unwrap().contains("trained without loss"));

    let again = place.run(words).done();
    assert!(!again.stderr.contains("training"), "{}", again.stderr);
    assert!(again.stdout.contains("trained at"), "{}", again.stdout);

    let other = place.run(&format!("{words} --rounds 2"));
    other.failed(1, &["loss/trained-at-0 holds a run of another scenario"]);
    place.run("bench loss tiny.toml --loss 1.5 --out b").failed(2, &["loss 1.5", "from 0 to 0.99"]);
}
