//! The page that `report` writes: of a run, of two side by side, of one that has not ended, in a browser; and its
//! refusals.

use harness::{Browser, Place};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Value, json};

use crate::{PROGRAM, numbers};

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
    // What the pictures are drawn from: every round, as it was logged.
    let drawn = data(&page)["runs"][0].clone();
    let logs = ["metrics.jsonl", "selection.jsonl"].map(|log| place.run_folder("a").lines(log));
    assert_eq!(drawn["rounds"].as_array().map(Vec::len), Some(6));
    for (round, (metrics, selection)) in
        drawn["rounds"].as_array().unwrap().iter().zip(logs[0].iter().zip(&logs[1]))
    {
        assert_eq!(&round["metrics"], metrics);
        assert_eq!(round["selection"]["granted"], selection["granted"]);
    }
    assert_eq!(pictures(&page), ["training", "selection"]);
    // And the last rounds as numbers.
    let mean = |of: &dyn Fn(&Value) -> &Value| {
        logs[0].iter().map(|line| of(line).as_f64().unwrap()).sum::<f64>() / 6.0
    };
    for (name, of) in [
        ("loss (sum of the objectives)", mean(&|line| &line["loss"])),
        ("cross entropy of receiver 1", mean(&|line| &line["ce"][1])),
        ("rate of receiver 0, nats", mean(&|line| &line["rate"][0])),
    ] {
        let shown: f64 = row(&page, name)[1].parse().unwrap();
        assert!((shown / of - 1.0).abs() < 1e-3, "{name}: {shown}, {of}");
    }
    let share = logs[1].iter().map(|line| line["granted"][1][0].as_f64().unwrap()).sum::<f64>() / 6.0;
    assert_eq!(row(&page, "transmitter 0 · noise-1")[2], format!("{:.1} %", 100.0 * share));
    assert_heads(&page);
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
    assert_eq!(pictures(&page), ["training", "receivers", "receivers", "selection", "selection"]);
    let drawn = data(&page)["runs"].as_array().unwrap().clone();
    let rounds: Vec<usize> = drawn.iter().map(|run| run["rounds"].as_array().unwrap().len()).collect();
    assert_eq!(rounds, [6, 3]);
    // Parts of single runs are side by side.
    assert_eq!(texts(&page, "h3").iter().filter(|title| *title == "b").count(), 4);
    let is_heading = |node: Node<'_, '_>| node.tag_name().name() == "h3";
    let beside: Vec<Node<'_, '_>> = page
        .descendants()
        .filter(|node| node.attribute("class") == Some("beside") && node.descendants().any(is_heading))
        .collect();
    assert_eq!(beside.len(), 4);
    assert!(beside.iter().all(|part| part.children().filter(Node::is_element).count() == 2));
}

#[test]
fn a_browser_draws_what_was_logged_and_asks_nobody() {
    let Some(mut browser) = Browser::open() else { return };
    let place = Place::new(PROGRAM);
    let words = "tiny.toml --in-process --set data.hold_out=0.02 --set evaluation.every=2";
    let summary = place.run(&format!("run {words} --out a --json")).done().json();
    place.run("report a").done();
    let best = &summary["validation"]["best_round"];
    let text = place.run_folder("a").text("report.html");
    assert!(row(&parse(&text), "best on validation rows")[1].starts_with(&format!("round {best}, N-CE -")));
    let [metrics, grants] = ["metrics.jsonl", "selection.jsonl"].map(|log| place.run_folder("a").lines(log));

    browser.look(1200, 900, false);
    browser.visit(&format!("file://{}", place.path("a/report.html").display()));
    browser.wait_until("window.drawn?.charts.every((chart) => chart.drawn > 0)");
    let lines = |browser: &mut Browser, title: &str| {
        let chart = format!("drawn.charts.find((chart) => chart.title === {title:?})");
        browser.evaluate(&format!("{chart}.shown.map(({{ name, points }}) => [name, points])"))
    };
    let of = |path: &str| -> Vec<Value> {
        let has_value = |line: &&Value| line.pointer(path).is_some_and(Value::is_number);
        metrics.iter().filter(has_value).map(|line| json!([line["round"], line.pointer(path)])).collect()
    };
    let validated = of("/validation/n_ce");
    assert_eq!(validated.len(), 3);
    for (title, expected) in [
        ("N-CE", json!([["", of("/n_ce")], ["validation", validated]])),
        ("Gap", json!([["", of("/validation/gap")]])),
        (
            "Validation score by task",
            json!([["parity", of("/validation/scores/0")], ["digit", of("/validation/scores/1")]]),
        ),
        ("Sum-rate", json!([["", of("/sum_rate")]])),
        ("Cross entropy by task", json!([["parity", of("/ce/0")], ["digit", of("/ce/1")]])),
        ("Rate by receiver", json!([["parity", of("/rate/0")], ["digit", of("/rate/1")]])),
    ] {
        assert_near(&lines(&mut browser, title), &expected);
    }
    let work = lines(&mut browser, "Work of all nodes");
    assert!(work.as_array().unwrap().len() > 4, "{work}");
    // The path over the information plane has both ends.
    let ends = browser.evaluate("[...document.querySelectorAll('circle.dot')].map((dot) => [Number(dot.dataset.x), Number(dot.dataset.y)])");
    let end = |line: &Value| json!([line["sum_rate"], line["n_ce"]]);
    assert_near(&ends, &json!([end(&metrics[0]), end(&metrics[5])]));

    // The map has a pixel for each entry in each round; the network and the table are of the last rounds, or of the
    // chosen one.
    let map = browser.evaluate(
        "(() => { const { image } = drawn.heats[0]; const { data } = image.getContext('2d').getImageData(0, 0, image.width, image.height); \
         return [...data].filter((_, at) => at % 4 === 3); })()",
    );
    let shares: Vec<Vec<f64>> = grants.iter().map(|line| numbers(&line["granted"])).collect();
    let opacities: Vec<f64> = (0..60).map(|at: usize| (255.0 * shares[at % 6][at / 6]).round()).collect();
    assert_eq!(numbers(&map), opacities);
    let widths =
        "[...document.querySelectorAll('path.link')].map((link) => Number(link.dataset.share)).sort()";
    let mut means: Vec<f64> =
        (0..10).map(|entry| shares.iter().map(|round| round[entry]).sum::<f64>() / 6.0).collect();
    means.retain(|share| *share >= 0.005);
    means.sort_by(f64::total_cmp);
    assert_near(&browser.evaluate(widths), &json!(means));
    browser.evaluate("drawn.heats[0].choose(4)");
    browser.wait_until("document.querySelector('td[data-share]')");
    let cells = browser.evaluate(
        "[0, 1].map((t) => [...document.querySelectorAll(`td[data-receiver='${t}']`)].map((cell) => Number(cell.dataset.share)))",
    );
    assert_eq!(numbers(&cells), shares[4]);

    // What one points at is said; the keyboard zooms.
    browser.evaluate(
        "(() => { const { canvas, geometry } = drawn.charts[0]; const box = canvas.getBoundingClientRect(); \
         canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: box.x + geometry.x(3), clientY: box.y + 20 })); })()",
    );
    browser.wait_until("drawn.charts[0].legend.textContent.startsWith('round 3')");
    let said = browser.evaluate("Number(drawn.charts[0].legend.querySelector('b').textContent)");
    assert!((said.as_f64().unwrap() / metrics[3]["n_ce"].as_f64().unwrap() - 1.0).abs() < 1e-3, "{said}");
    browser.evaluate(
        "drawn.charts[1].canvas.dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true }))",
    );
    browser.wait_until("drawn.view.to !== null");
    for (width, is_dark) in [(1200, true), (390, false)] {
        browser.look(width, 900, is_dark);
        browser.wait_until(&format!(
            "document.documentElement.dataset.theme === {:?}",
            if is_dark { "dark" } else { "light" }
        ));
        let fits = browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth");
        assert_eq!(fits, true, "{width} pixels are enough");
    }

    place.run("report a --log rounds,values --out log.html").done();
    browser.visit(&format!("file://{}", place.path("log.html").display()));
    browser.wait_until(
        "window.drawn?.view.logX && drawn.view.logY && drawn.charts.every((chart) => chart.drawn > 0)",
    );
    place.run("report a --log height").failed(2, &["rounds", "values"]);
    assert_eq!(browser.complaints(), [""; 0]);
    let is_own = |asked: &&String| {
        asked.starts_with("file://") || asked.starts_with("data:") || *asked == "about:blank"
    };
    let strangers: Vec<String> = browser.requests().iter().filter(|asked| !is_own(asked)).cloned().collect();
    assert!(strangers.is_empty(), "{strangers:?}");
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
    assert_eq!(data(&page)["runs"][0]["rounds"].as_array().map(Vec::len), Some(5));

    // A run that has not finished a round.
    place.write("b/scenario.toml", place.run_folder("a").text("scenario.toml"));
    place.run("report b").done();
    let page = place.run_folder("b").text("report.html");
    assert_eq!(pictures(&parse(&page)), [""; 0]);
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

/// Nothing is fetched: the only addresses are the XML namespaces of HTML and SVG.
fn assert_needs_nothing_else(text: &str, page: &Document<'_>) {
    let rest = text.replace("http://www.w3.org/1999/xhtml", "").replace("http://www.w3.org/2000/svg", "");
    assert!(!rest.contains("://") && !rest.contains("@import") && !rest.contains("url("));
    for element in page.descendants().filter(Node::is_element) {
        for attribute in ["src", "href", "onload"] {
            assert!(element.attribute(attribute).is_none_or(|value| value == "data:,"), "{element:?}");
        }
    }
}

/// The data of the pictures.
fn data(page: &Document<'_>) -> Value {
    let script = page.descendants().find(|node| node.attribute("id") == Some("data")).expect("it has data");
    serde_json::from_str(&all_text(script)).expect("the data are JSON")
}

/// The names of the pictures, in order.
fn pictures(page: &Document<'_>) -> Vec<String> {
    page.descendants().filter_map(|node| node.attribute("data-picture")).map(str::to_owned).collect()
}

/// Both have the same texts and, but for the last bits, the same numbers.
fn assert_near(shown: &Value, expected: &Value) {
    let [found, wanted] = [shown, expected].map(numbers);
    let is_near = |(one, other): (&f64, &f64)| (one - other).abs() <= 1e-9 * other.abs();
    assert!(found.len() == wanted.len() && found.iter().zip(&wanted).all(is_near), "{shown}\n{expected}");
}

/// Every granted entry has its rate.
fn assert_rates(page: &Document<'_>, test: &Value) {
    let (mut shown, mut granted) = (0, 0);
    for (k, modalities) in [["noise-1", "noise-2", "fft"].as_slice(), &["fft", "mel"]].into_iter().enumerate()
    {
        for (m, modality) in modalities.iter().enumerate() {
            // The table of rates comes after that of grants.
            let row = rows(page, &format!("transmitter {k} · {modality}")).pop().expect("it is there");
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

/// The texts of all elements of a kind.
fn texts(page: &Document<'_>, tag: &str) -> Vec<String> {
    let elements = page.descendants().filter(|node| node.is_element() && node.tag_name().name() == tag);
    elements.map(all_text).collect()
}

/// The cells of the table row that begins with a text.
fn row(page: &Document<'_>, first: &str) -> Vec<String> {
    rows(page, first).into_iter().next().unwrap_or_else(|| panic!("no row begins with {first:?}"))
}

/// The same of all such rows.
fn rows(page: &Document<'_>, first: &str) -> Vec<Vec<String>> {
    let rows = page.descendants().filter(|node| node.is_element() && node.tag_name().name() == "tr");
    let cells = |row: Node<'_, '_>| row.children().filter(Node::is_element).map(all_text).collect::<Vec<_>>();
    rows.map(cells).filter(|cells| cells.first().is_some_and(|cell| cell == first)).collect()
}

fn all_text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}
