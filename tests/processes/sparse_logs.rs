//! Logs of large networks, which leave out what is zero: everything reads them as it reads those that say every number.

use harness::{Browser, Place};
use serde_json::{Value, json};

use crate::PROGRAM;

const LOGS: [&str; 2] = ["metrics.jsonl", "selection.jsonl"];

/// Trains over noisy channels, and leaves the run in the folder `whole` and, with the lines of a large network, in
/// `sparse`.
fn train(place: &Place) {
    let run = "run tiny.toml --set channel=[{kind=\"awgn\",snr_db=10}] --in-process --page off --out run";
    place.run(run).done();
    let folder = place.run_folder("run");
    for name in ["scenario.toml", "summary.json"] {
        for copy in ["whole", "sparse"] {
            place.write(&format!("{copy}/{name}"), folder.text(name));
        }
    }
    for name in LOGS {
        let text = |of: fn(Value) -> Value| -> String {
            folder.lines(name).into_iter().map(|line| format!("{}\n", of(line))).collect()
        };
        place.write(&format!("whole/{name}"), text(|line| line));
        place.write(&format!("sparse/{name}"), text(sparse));
    }
}

/// A line as that of a large network.
fn sparse(mut line: Value) -> Value {
    let rests = [
        ("granted", json!(0.0)),
        ("entry_uses", json!(0.0)),
        ("link_bytes", json!(0)),
        ("link_snr_db", Value::Null),
    ];
    for (key, rest) in rests {
        let Some(grid) = line.get_mut(key) else { continue };
        let rows: Vec<Vec<Value>> = serde_json::from_value(grid.take()).unwrap();
        let shape = [rows.len(), rows[0].len()];
        let said = rows.into_iter().flatten().enumerate().filter(|(_, value)| *value != rest);
        let (at, is): (Vec<usize>, Vec<Value>) = said.unzip();
        *grid = json!({ "shape": shape, "rest": rest, "at": at, "is": is });
    }
    line
}

#[test]
fn records_of_both_forms_are_the_same_and_a_damaged_line_is_named() {
    let place = Place::new(PROGRAM);
    train(&place);
    let [whole, sparse] = ["whole", "sparse"].map(|run| {
        place.run(&format!("records {run} --out {run}.csv")).done();
        let text = std::fs::read_to_string(place.path(&format!("{run}.csv"))).unwrap();
        text.lines().map(|line| line.split_once(',').unwrap().1.to_owned()).collect::<Vec<String>>()
    });
    for quantity in ["granted", "entry_uses", "link_bytes", "link_snr_db"] {
        assert!(whole.iter().any(|line| line.contains(&format!(",{quantity},"))), "{quantity}");
    }
    assert_eq!(sparse, whole);

    for log in LOGS {
        let text = place.run_folder("sparse").text(log);
        let shape = if log == LOGS[0] { "\"shape\":[2,2]" } else { "\"shape\":[2,5]" };
        assert!(text.contains(shape), "{text}");
        place.write(&format!("sparse/{log}"), text.replacen(shape, "\"shape\":[2,7]", 1));
        for command in ["records", "report"] {
            let line = format!("sparse/{log}: line 1 does not fit the scenario");
            place.run(&format!("{command} sparse")).failed(2, &[&line]);
        }
        place.write(&format!("sparse/{log}"), text);
    }
}

#[test]
fn pages_and_reports_of_both_forms_show_the_same() {
    let Some(mut browser) = Browser::open() else { return };
    let place = Place::new(PROGRAM);
    train(&place);
    for (command, store) in [("page", "watched?.store"), ("report", "drawn?.stores[0]")] {
        let [whole, sparse] = ["whole", "sparse"].map(|run| {
            let file = format!("{command}-{run}.html");
            place.run(&format!("{command} {run} --out {file}")).done();
            browser.visit(&format!("file://{}", place.path(&file).display()));
            browser.wait_until(&format!("window.{store}.rounds.length === 6"));
            browser.evaluate(&format!(
                "window.{store}.rounds.map(({{ granted, link_bytes, link_snr_db, entry_uses, n_ce }}) => \
                 [[...granted], link_bytes, link_snr_db, entry_uses, n_ce])"
            ))
        });
        assert_eq!(whole[0][0].as_array().map(Vec::len), Some(10), "{command}: {whole}");
        assert_eq!(whole[0][2].as_array().map(Vec::len), Some(2), "{command}: {whole}");
        assert_eq!(sparse, whole, "{command}");
    }
    assert_eq!(browser.complaints(), [""; 0]);
}
