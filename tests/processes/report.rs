//! The page that `report` writes: of a run, of two side by side, of one that has not ended; and its refusals.

use harness::Place;
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;

use crate::PROGRAM;

#[test]
fn a_page_of_a_run_is_well_formed_needs_nothing_else_and_has_all_that_was_found() {
    let place = Place::new(PROGRAM);
    let name = "<tiny>&co";
    let run = format!("run tiny.toml --set name={name} --set evaluation.passes=2 --out a --json");
    let summary = place.run(&run).done().json();

    let outcome = place.run("report a").done();

    assert_eq!(outcome.stdout.trim(), "a/report.html");
    let text = place.run_folder("a").text("report.html");
    let page = parse(&text);
    assert_needs_nothing_else(&text, &page);
    assert!(text.contains("prefers-color-scheme: dark"));
    assert_eq!(texts(&page, "h1"), [format!("pom2dib on {name}, seed 1")]);

    let cells = texts(&page, "td");
    let fingerprint = summary["fingerprint"].as_str().unwrap();
    for expected in ["6 of 6", "per-dimension, N = 20", fingerprint] {
        assert!(cells.iter().any(|cell| cell == expected), "{expected} in {cells:?}");
    }
    for task in summary["test"]["tasks"].as_array().unwrap() {
        let title = format!("{}: top1", task["name"].as_str().unwrap());
        let score = 100.0 * task["value"].as_f64().unwrap();
        let row = row(&page, &title);
        let shown: f64 = row[1].split(' ').next().unwrap().parse().unwrap();
        assert!((shown - score).abs() < 0.01, "{title}: {row:?}, {score}");
    }
    // Rounds, seconds and their quotient all come from the summary, and are consistent.
    let time = row(&page, "training")[1].clone();
    let timing = |key: &str| summary["timing"][key].as_f64().unwrap();
    let words: Vec<&str> = time.split(' ').collect();
    let [rounds, seconds, rate] = [0, 3, 5].map(|at| words[at].parse::<f64>().unwrap());
    let near = |shown: f64, own: f64| (shown / own - 1.0).abs() < 0.01;
    assert!(
        rounds == 6.0 && near(seconds, timing("seconds")) && near(rate, timing("rounds_per_second")),
        "{time}"
    );
    // When, where and by which command it was started.
    let command = row(&page, "by")[1].clone();
    assert!(command.starts_with("pom2dib run tiny.toml --set 'name=<tiny>&co' --set"), "{command}");
    assert!(row(&page, "started")[1].ends_with(" UTC") && !row(&page, "on the machine")[1].is_empty());
    // Six rounds are drawn one by one, without a note to the contrary.
    assert!(texts(&page, "p").contains(&"Every round.".into()) && !text.contains("equally long"));
    // Six charts of one curve, with a band; two receivers' curves for cross entropy and rate; and one for each profiler
    // phase.
    let log = place.run_folder("a").text("metrics.jsonl");
    let rounds: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds = rounds[0]["work"].as_object().unwrap().len();
    assert_eq!((with_class(&page, "curve"), with_class(&page, "band")), (6 + 4 + kinds, 6));
    assert_eq!(with_class(&page, "point"), 6 * (6 + 4 + kinds));
    // A path over the plane, with both ends; and a legend of five shades for the heat map.
    assert_eq!((with_class(&page, "way"), with_class(&page, "end")), (1, 2));
    assert!(texts(&page, "figcaption").iter().any(|text| text.contains(": 0 % 25 % 50 % 75 % 100 %; to")));
    let said = texts(&page, "title");
    for (t, task) in ["parity", "digit"].into_iter().enumerate() {
        let (start, ce) = (format!("receiver {t} · {task}: round 5: "), rounds[5]["ce"][t].as_f64().unwrap());
        let own = said.iter().filter_map(|title| title.strip_prefix(&start)?.parse::<f64>().ok());
        assert!(own.into_iter().any(|shown| (shown / ce - 1.0).abs() < 1e-3), "{start}{ce} in {said:?}");
    }
    assert_heads(&page);
    // The tooltips: a receiver's rate, and the grants of each round.
    let shown = |start: &str| {
        said.iter().filter_map(|title| title.strip_prefix(start)?.parse::<f64>().ok()).collect::<Vec<_>>()
    };
    let rate = rounds[2]["rate"][1].as_f64().unwrap();
    assert!(
        shown("receiver 1 · digit: round 2: ").iter().any(|shown| (shown / rate - 1.0).abs() < 1e-3),
        "{rate}"
    );
    let granted = |title: &&String| title.starts_with("round") && title.ends_with(" %");
    assert!(said.iter().filter(granted).count() >= 10, "{said:?}");
    for (task, digits) in summary["test"]["tasks"].as_array().unwrap().iter().zip(["parity", "digit"]) {
        let name = format!("{digits}: balanced accuracy, macro F1, majority baseline");
        let shares =
            ["balanced_accuracy", "macro_f1", "majority"].map(|key| 100.0 * task[key].as_f64().unwrap());
        let shown: Vec<f64> = row(&page, &name)[1]
            .split(", ")
            .map(|part| part.trim_end_matches(" %").parse().unwrap())
            .collect();
        assert!(
            shares.iter().zip(&shown).all(|(share, shown)| (share - shown).abs() < 0.01),
            "{shown:?} {shares:?}"
        );
    }
    assert!(with_class(&page, "heat") > 0 && with_class(&page, "link") > 0);
    assert_rates(&page, &summary["test"]);
    assert_confusions(&page, &summary["test"]);
    assert!(texts(&page, "pre")[0].contains("feature_dim = 4"));
}

#[test]
fn a_page_of_two_runs_shows_them_side_by_side_with_their_differences() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --in-process --out a").done();
    place.run("run tiny.toml --in-process --rounds 3 --set train.beta=0.5 --method tadib --out b").done();

    let said = place.run("report a b --out both.html --json").done().json();

    assert_eq!(said["page"], "both.html");
    assert_eq!((&said["runs"][1]["rounds"], &said["runs"][1]["finished"]), (&3.into(), &true.into()));
    let text = std::fs::read_to_string(place.path("both.html")).unwrap();
    let page = parse(&text);
    assert_needs_nothing_else(&text, &page);
    assert_eq!(row(&page, "rounds"), ["rounds", "6 of 6", "3 of 3"]);
    let note = texts(&page, "p").into_iter().find(|text| text.contains("equally long")).unwrap();
    assert!(note.ends_with("their rounds are a 6, b 3."), "{note}");
    assert_eq!(row(&page, "method"), ["method", "pom2dib", "tadib"]);
    assert_eq!(row(&page, "train.beta"), ["train.beta", "0.001", "0.5"]);
    assert!(!texts(&page, "th").contains(&"train.gamma".into()), "what does not differ is not said");
    assert_heads(&page);
    // Six charts have two curves each, and no bands to hide them. Parts of single runs are side by side.
    assert!(with_class(&page, "curve") > 2 * (6 + 4));
    assert_eq!(with_class(&page, "band"), 0);
    assert_eq!(texts(&page, "h3").iter().filter(|title| *title == "b").count(), 6);
    let beside: Vec<Node<'_, '_>> =
        page.descendants().filter(|node| node.attribute("class") == Some("beside")).collect();
    assert_eq!(beside.len(), 6);
    assert!(beside.iter().all(|part| part.children().filter(Node::is_element).count() == 2));
}

#[test]
fn what_was_scored_on_validation_rows_is_drawn_beside_training_and_axes_may_be_logarithmic() {
    let place = Place::new(PROGRAM);
    let words = "tiny.toml --in-process --set data.hold_out=0.02 --set evaluation.every=2";
    let summary = place.run(&format!("run {words} --out a --json")).done().json();
    place.run("report a").done();
    let text = place.run_folder("a").text("report.html");
    let page = parse(&text);
    assert_needs_nothing_else(&text, &page);
    assert!(texts(&page, "h2").contains(&"Validation".into()));
    // Three versions were evaluated: a dot for each N-CE, and one for each gap.
    assert_eq!(with_class(&page, "dot"), 6);
    let (best, said) = (&summary["validation"]["best_round"], texts(&page, "title"));
    assert!(row(&page, "best on validation rows")[1].starts_with(&format!("round {best}, N-CE -")));
    let lines = place.run_folder("a").lines("metrics.jsonl");
    let last = lines[5]["validation"]["n_ce"].as_f64().unwrap();
    let shown =
        said.iter().find_map(|title| title.strip_prefix("validation: round 5: ")?.parse::<f64>().ok());
    assert!((shown.unwrap() / last - 1.0).abs() < 1e-3, "{last} in {said:?}");

    place.run("report a --log rounds,values --out log.html").done();
    let log = std::fs::read_to_string(place.path("log.html")).unwrap();
    assert_needs_nothing_else(&log, &parse(&log));
    assert_ne!(log, text);
    assert!(!log.contains("NaN"));
    place.run("report a --log height").failed(2, &["rounds", "values"]);
}

#[test]
fn the_page_of_an_interrupted_run_shows_what_exists_and_says_so() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --in-process --out a").done();
    std::fs::remove_file(place.path("a/summary.json")).unwrap();
    for log in ["a/metrics.jsonl", "a/selection.jsonl"] {
        let whole = std::fs::read_to_string(place.path(log)).unwrap();
        place.write(log, &whole[..whole.len() - 10]);
    }

    let said = place.run("report a --json").done().json();

    assert_eq!((&said["runs"][0]["rounds"], &said["runs"][0]["finished"]), (&5.into(), &false.into()));
    let text = place.run_folder("a").text("report.html");
    let page = parse(&text);
    let note = texts(&page, "p").into_iter().find(|text| text.contains("has not ended")).unwrap();
    assert!(note.starts_with("a has not ended: 5 of 6 rounds are logged"), "{note}");
    assert!(with_class(&page, "curve") > 6 + 4);

    // A run that has not finished a round.
    place.write("b/scenario.toml", place.run_folder("a").text("scenario.toml"));
    place.run("report b").done();
    let page = place.run_folder("b").text("report.html");
    assert_eq!(with_class(&parse(&page), "curve"), 0);
    assert!(page.contains("0 of 6 rounds"), "{page}");
}

#[test]
fn what_is_no_run_is_refused_in_one_line() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --in-process --rounds 2 --out a").done();
    let scenario = place.run_folder("a").text("scenario.toml");
    place.run("report nowhere").failed(2, &["nowhere holds no run", "scenario.toml"]);
    place.run("report a nowhere").failed(2, &["nowhere holds no run"]);
    place.run("report a --out nowhere/page.html").failed(2, &["nowhere/page.html", "--out"]);

    place.write("b/scenario.toml", &scenario);
    place.write("b/metrics.jsonl", "{\"round\":0}\n");
    place.run("report b").failed(2, &["b/metrics.jsonl: line 1", "missing field"]);
    place.write("b/metrics.jsonl", "");
    place.write("b/selection.jsonl", "{\"granted\":[[1.0]],\"encoded\":[1.0],\"asked\":[1.0]}\n");
    place.run("report b").failed(2, &["b/selection.jsonl: line 1", "does not fit"]);
    place.write("b/selection.jsonl", "");
    place.write("b/summary.json", "{}");
    place.run("report b").failed(2, &["b/summary.json", "missing field"]);
}

fn parse(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// No scripts, and nothing is fetched: the only address is the XML namespace of HTML.
fn assert_needs_nothing_else(text: &str, page: &Document<'_>) {
    assert_eq!(text.matches("://").count(), 1, "{text}");
    assert!(!text.contains("@import") && !text.contains("url("));
    for element in page.descendants().filter(Node::is_element) {
        assert_ne!(element.tag_name().name(), "script");
        for attribute in ["src", "href", "onload", "data"] {
            assert!(!element.has_attribute(attribute), "{element:?}");
        }
    }
}

/// Every granted entry has its rate.
fn assert_rates(page: &Document<'_>, test: &Value) {
    let (mut shown, mut granted) = (0, 0);
    for (k, modalities) in [["noise-1", "noise-2", "fft"].as_slice(), &["fft", "mel"]].into_iter().enumerate()
    {
        for (m, modality) in modalities.iter().enumerate() {
            let row = row(page, &format!("transmitter {k} · {modality}"));
            for t in 0..2 {
                let share = test["selection"][t][k][m].as_f64().unwrap();
                granted += usize::from(share > 0.0);
                shown += usize::from(row[t + 1].ends_with(&format!("in {:.0} %", 100.0 * share)));
                assert_eq!(test["entry_rates"][t][k][m].is_null(), share == 0.0);
                assert_eq!(row[t + 1] == "·", share == 0.0, "{row:?}");
            }
        }
    }
    assert!(granted > 0 && shown >= granted, "{shown} of {granted}");
}

/// Every matrix has every sample of every pass, with the right answers on its diagonal.
fn assert_confusions(page: &Document<'_>, test: &Value) {
    let is_matrix = |node: &Node<'_, '_>| node.attribute("class") == Some("confusion");
    let matrices: Vec<Node<'_, '_>> = page.descendants().filter(is_matrix).collect();
    assert_eq!(matrices.len(), 2);
    let samples = test["samples"].as_u64().unwrap() * test["passes"].as_u64().unwrap();
    let found = test["confusion"].as_array().unwrap().iter().zip(test["tasks"].as_array().unwrap());
    for (matrix, (confusion, task)) in matrices.iter().zip(found) {
        let cells = matrix.descendants().filter(|node| node.tag_name().name() == "td");
        let shown: u64 = cells.filter_map(|cell| all_text(cell).parse::<u64>().ok()).sum();
        assert_eq!(shown, samples);
        let counts = confusion["counts"].as_array().unwrap();
        let right: u64 = (0..counts.len()).map(|class| counts[class][class].as_u64().unwrap()).sum();
        let top1 = task["value"].as_f64().unwrap();
        assert!((right as f64 / samples as f64 - top1).abs() < 1e-12, "{right} right, top-1 {top1}");
    }
}

/// Every header states its scope, and every row of a table begins with one.
fn assert_heads(page: &Document<'_>) {
    let heads = page.descendants().filter(|node| node.tag_name().name() == "th");
    assert!(heads.into_iter().all(|head| matches!(head.attribute("scope"), Some("col" | "row"))));
    let rows: Vec<Node<'_, '_>> = page.descendants().filter(|node| node.tag_name().name() == "tr").collect();
    assert!(rows.len() > 10);
    for row in rows {
        let cells: Vec<Node<'_, '_>> = row.children().filter(Node::is_element).collect();
        let scopes: Vec<Option<&str>> = cells.iter().map(|cell| cell.attribute("scope")).collect();
        let is_head = scopes[1..].iter().all(|scope| *scope == Some("col"));
        assert!(is_head || scopes[0] == Some("row"), "{}", all_text(row));
    }
}

fn with_class(page: &Document<'_>, class: &str) -> usize {
    page.descendants().filter(|node| node.attribute("class") == Some(class)).count()
}

/// The texts of all elements of a kind.
fn texts(page: &Document<'_>, tag: &str) -> Vec<String> {
    let elements = page.descendants().filter(|node| node.is_element() && node.tag_name().name() == tag);
    elements.map(all_text).collect()
}

/// The cells of the table row that begins with a text.
fn row(page: &Document<'_>, first: &str) -> Vec<String> {
    let rows = page.descendants().filter(|node| node.is_element() && node.tag_name().name() == "tr");
    let cells = |row: Node<'_, '_>| row.children().filter(Node::is_element).map(all_text).collect::<Vec<_>>();
    let found = rows.map(cells).find(|cells| cells.first().is_some_and(|cell| cell == first));
    found.unwrap_or_else(|| panic!("no row begins with {first:?}"))
}

fn all_text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}
