//! What was drawn at a tick: as it was recorded, and computed again.

use harness::Place;
use serde_json::Value;

use crate::PROGRAM;

#[test]
fn a_tick_that_is_computed_again_is_what_was_recorded() {
    let place = Place::new(PROGRAM);
    let run = "run tiny.toml --page off --set checkpoint.every=2";
    let recorded = place.run(&format!("{run} --json --set record.draws=true --out recorded")).done().json();
    let plain = place.run(&format!("{run} --json --out plain")).done().json();
    assert_eq!(recorded["fingerprint"], plain["fingerprint"], "recording changes nothing");
    assert!(!place.run_folder("plain").has("draws.jsonl"));
    assert_eq!(place.run_folder("recorded").lines("draws.jsonl").len(), 6);

    // The last two checkpoints are those of rounds 4 and 6: tick 13 is of round 4, and tick 4 of round 1.
    for (tick, round, begin) in [(13, 4, 4), (4, 1, 0)] {
        let seen = place.run(&format!("replay recorded --tick {tick} --json")).done().json();
        let again = place.run(&format!("replay plain --tick {tick} --json")).done();
        assert!(again.stderr.contains(&format!("rounds {begin} to {round} are computed again")), "{again}");
        let again = again.json();
        assert_eq!((&seen["source"], &again["source"]["computed_from"]), (&"recorded".into(), &begin.into()));
        assert_eq!((&seen["tick"], &seen["round"]), (&tick.into(), &round.into()));
        for key in ["u", "samples", "round_samples_sha256", "requests", "choices", "grants", "capped"] {
            assert_eq!(seen[key], again[key], "{key} of tick {tick}");
            assert!(!seen[key].is_null(), "{key}: {seen}");
        }
        assert_eq!(seen["u"].as_array().map(Vec::len), Some(4));
        assert_eq!(seen["samples"]["rows"].as_array().map(Vec::len), Some(20));
        check_shares(&place, round);
    }
    let text = place.run("replay recorded --tick 13").done().stdout;
    for words in
        ["tick 13 of round 4, recorded", "receiver 1 (digit) requests transmitter", "transmitter 1 chooses"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    place.run("replay plain --tick 18").failed(2, &["--tick 18", "6 rounds of 3 ticks", "below 18"]);
    place.run("replay nowhere --tick 1").failed(2, &["nowhere", "no run"]);
}

#[test]
fn a_tick_says_whose_u_it_is() {
    let place = Place::new(PROGRAM);
    let run = "run tiny.toml --page off --json --set record.draws=true --set train.rounds=2";
    place.run(&format!("{run} --set train.common_randomness=private --out own")).done();
    let seen = place.run("replay own --tick 4 --json").done().json();
    assert_eq!(seen["u"].as_array().map(Vec::len), Some(0), "{seen}");
    let of = |role: &str| seen["own_u"][role].as_array().unwrap().clone();
    let all = [of("receivers"), of("transmitters")].concat();
    assert_eq!((all.len(), of("receivers").len()), (4, 2));
    for (at, u) in all.iter().enumerate() {
        assert_eq!(u.as_array().map(Vec::len), Some(4));
        assert!(!all[..at].contains(u), "node {at} has the u of another: {seen}");
    }
    let text = place.run("replay own --tick 4").done().stdout;
    assert!(text.contains("u of receiver 1 ") && text.contains("u of transmitter 0 "), "{text}");

    place.run(&format!("{run} --set train.common_randomness=fixed --out fixed")).done();
    let u = |tick: u64| place.run(&format!("replay fixed --tick {tick} --json")).done().json()["u"].clone();
    assert_eq!(u(1), u(5));
    assert_eq!(u(1).as_array().map(Vec::len), Some(4));
}

/// The grants of a round's ticks are those that selection.jsonl has as shares.
fn check_shares(place: &Place, round: u64) {
    let folder = place.run_folder("recorded");
    let draws = &folder.lines("draws.jsonl")[round as usize];
    let selection = &folder.lines("selection.jsonl")[round as usize];
    let modalities = [3, 2];
    for t in 0..2_u64 {
        let mut entry = 0;
        for (k, count) in modalities.into_iter().enumerate() {
            for m in 0..count {
                let is_it = |pair: &Value| pair[0] == t && pair[1] == m;
                let ticks = draws["ticks"].as_array().unwrap().iter();
                let granted =
                    ticks.filter(|tick| tick["grants"][k].as_array().unwrap().iter().any(is_it)).count();
                let share = selection["granted"][t as usize][entry].as_f64().unwrap();
                assert!((granted as f64 / 3.0 - share).abs() < 1e-9, "entry {entry} of receiver {t}");
                entry += 1;
            }
        }
    }
}
