//! A trained run answers a stream: with the bits of an evaluation whatever the batches, the rate and the transport, from lines as from
//! the test set, and while its nodes are killed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use harness::{Outcome, Place, Signal, free_port, wait_for, wait_until};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pom2dib");

/// Rows of the test set of [`SCENARIO`].
const ROWS: u64 = 50;

/// Pieces of 16 rows, of groups of 4: the test set ends in the midst of a piece and of a group.
const SCENARIO: &str = r#"
    name = "halves"
    [data]
    source = "arrays"
    path = "halves"
    [network]
    feature_dim = 6
    receiver_limit = 2
    transmitter_limit = 2
    [network.encoder]
    hidden = [32, 16]
    [network.joint]
    hidden = [32, 16]
    [network.local]
    hidden = [32, 16]
    [train]
    rounds = 8
    ticks_per_round = 4
    samples_per_tick = 4
    coding_lr = 2e-3
    [evaluation]
    passes = 3
    [[transmitter]]
    modalities = ["left", "right"]
    [[transmitter]]
    modalities = ["right"]
    [[receiver]]
    task = "digit"
    [[receiver]]
    task = "ink"
"#;

/// What was said of a stream: answers by (number, receiver), what was skipped, and the summary.
struct Said {
    answers: BTreeMap<(u64, u64), Value>,
    skipped: Vec<Value>,
    summary: Value,
}

impl Said {
    /// What a service wrote; no sample may be answered, or skipped, twice, and every receiver's answers come in order.
    fn of(outcome: &Outcome) -> Self {
        let (mut answers, mut skipped) = (BTreeMap::new(), Vec::new());
        let mut lines: Vec<Value> =
            outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().expect("a summary");
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for line in lines {
            let seq = line["seq"].as_u64().expect("a number");
            if line.get("skipped").is_some() {
                skipped.push(line);
                continue;
            }
            let receiver = line["receiver"].as_u64().expect("a receiver");
            let before = last.insert(receiver, seq);
            assert!(before.is_none_or(|before| before < seq), "{seq} after {before:?}: {line}");
            assert!(line["latency_ms"].as_f64().is_some_and(|latency| latency >= 0.0), "{line}");
            answers.insert((seq, receiver), line);
        }
        for line in &skipped {
            let receivers = line["receiver"].as_u64().map_or(vec![0, 1], |receiver| vec![receiver]);
            for receiver in receivers {
                let key = (line["seq"].as_u64().unwrap(), receiver);
                assert!(!answers.contains_key(&key), "{key:?} is answered, and skipped");
            }
        }
        assert!(summary.get("answered").is_some(), "{outcome}");
        Said { answers, skipped, summary }
    }

    /// Asserts that samples were answered as `predict` answers those rows of those passes.
    fn assert_equals(&self, expected: &BTreeMap<(u64, u64, u64), Value>, rows: u64, words: &str) {
        for (&(seq, receiver), line) in &self.answers {
            let expected = &expected[&(seq / rows, seq % rows, receiver)];
            assert_eq!(line["entries"], expected["entries"], "{words}: {line} beside {expected}");
            assert_eq!(line["label"], expected["answer"], "{words}: {line} beside {expected}");
            assert_eq!(line["probabilities"], expected["probabilities"], "{words}");
        }
    }
}

fn serve(place: &Place, words: &str) -> Said {
    Said::of(&place.run(&format!("serve {words} --json")).done())
}

/// What `predict` answers, by (pass, row, receiver).
fn predicted(place: &Place, words: &str) -> BTreeMap<(u64, u64, u64), Value> {
    place.run(&format!("predict {words} --force --out answers.jsonl")).done();
    let text = std::fs::read_to_string(place.path("answers.jsonl")).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| line[key].as_u64().unwrap();
        ((number("pass"), number("row"), number("receiver")), line)
    };
    text.lines().map(line).collect()
}

/// A place with the scenario and its arrays, and the run "trained" with further words.
fn halves(words: &str) -> Place {
    let place = Place::new(PROGRAM);
    place.write("halves.toml", SCENARIO);
    for (split, rows) in [("train", 60), ("test", ROWS as usize)] {
        let write =
            |name: &str, content: Vec<u8>| place.write(&format!("halves/{name}.{split}.npy"), content);
        let values = |width: usize, of: fn(usize, usize) -> f32| {
            let all = (0..rows).flat_map(|row| (0..width).map(move |at| of(row, at)));
            all.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
        };
        write("left", npy("<f4", &format!("({rows}, 4)"), &values(4, left)));
        write("right", npy("<f4", &format!("({rows}, 3)"), &values(3, right)));
        write("ink", npy("<f4", &format!("({rows},)"), &values(1, |row, _| 50.0 + 3.0 * left(row, 0))));
        let digits: Vec<u8> = (0..rows).map(|row| (row % 3) as u8).collect();
        write("digit", npy("|u1", &format!("({rows},)"), &digits));
    }
    place.run(&format!("run halves.toml --in-process --out trained {words}")).done();
    place
}

fn left(row: usize, at: usize) -> f32 {
    ((4 * row + at) as f32).sin()
}

fn right(row: usize, at: usize) -> f32 {
    100.0 * ((3 * row + at + 7) as f32).sin()
}

/// A .npy file of version 1.0.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], dictionary.as_bytes(), values].concat()
}

#[test]
fn answers_are_those_of_an_evaluation_to_the_sample() {
    let place = Place::new(PROGRAM);
    let trained = place.run("run tiny.toml --in-process --out run --json").done().json();
    let expected = predicted(&place, "run");
    let whole = serve(&place, "run --in-process --limit 4000 --batch-up-to 50");
    whole.assert_equals(&expected, 4000, "all rows");
    assert_eq!((&whole.summary["answered"], &whole.summary["skipped"]), (&json!(4000), &json!(0)));
    assert_eq!(whole.answers.len(), 8000);
    for t in 0..2 {
        let (found, expected) = (&whole.summary["tasks"][t]["value"], &trained["test"]["tasks"][t]["value"]);
        assert!(
            (found.as_f64().unwrap() - expected.as_f64().unwrap()).abs() < 1e-9,
            "{found} beside {expected}"
        );
    }
    for words in ["--limit 90", "--limit 90 --tcp-only --rate 400 --batch-up-to 7 --wait-up-to 20"] {
        let said = serve(&place, &format!("run {words}"));
        said.assert_equals(&expected, 4000, words);
        assert_eq!(said.answers.len(), 180, "{words}");
        let latency = &said.summary["latency_ms"];
        assert!(latency["p50"].as_f64() <= latency["p99"].as_f64(), "{latency}");
        assert!(said.summary["samples_per_second"].as_f64().unwrap() > 0.0);
    }
    let table = place.run("serve run --in-process --limit 60 --batch-up-to 1").done();
    assert!(table.stdout.contains("60 samples answered") && table.stdout.contains("p99.9"), "{table}");
    assert!(table.stderr.contains("u 0, networks of round 6: receiver 1 (digit) decodes "), "{table}");
}

#[test]
fn so_are_those_over_channels_and_links_and_of_coded_features_pass_by_pass() {
    for words in [
        "",
        "--method vddib",
        "--method rs-dib",
        "--set train.coding=dithered --set train.rate_estimator=prior",
        "--set channel=[{kind=\"rayleigh\",snr_db=6,block=\"sample\"}]",
        "--set channel=[{kind=\"rayleigh\",snr_db=6,block=\"tick\",csi=\"both\"}] --set network.see_channel=true",
        "--set channel=[{kind=\"mac\",snr_db=9}]",
        "--set straggler.policy=skip --set link=[{loss=0.3}]",
    ] {
        let place = halves(words);
        let expected = predicted(&place, "trained --passes 3");
        // A draw for every pass is what an evaluation has.
        let said = serve(&place, "trained --in-process --limit 150 --batch-up-to 7 --redraw every=50");
        assert_eq!((said.answers.len(), said.summary["draws"].as_u64()), (300, Some(3)), "{words}");
        said.assert_equals(&expected, ROWS, words);
    }
}

/// A line of a sample, with the values that stand in its rows.
fn line(seq: usize, with: &[&str]) -> String {
    let mut object = json!({ "seq": seq });
    for name in with {
        let (width, of): (usize, fn(usize, usize) -> f32) =
            if name.ends_with("left") { (4, left) } else { (3, right) };
        object[*name] = (0..width).map(|at| f64::from(of(seq % ROWS as usize, at))).collect();
    }
    format!("{object}\n")
}

/// The program in a place, with other input and output than a [`harness::Process`] has.
fn program(place: &Place, words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(place.path("")).args(words.split(' ')).env_remove("POM2DIB_DATA");
    command
}

#[test]
fn lines_are_answered_as_rows_are_and_bad_ones_are_named() {
    let place = halves("");
    let expected = predicted(&place, "trained --passes 1");
    let mut text = String::new();
    for seq in 0..30 {
        text += &line(seq, &["left", "right"]);
    }
    text += "{\"seq\": 30, \"left\": [1, 2]}\n{\"seq\": 30, \"left\": [1, 2, 3, 1e99]}\nnonsense\n";
    text += &line(12, &["left", "right"]);
    text += &line(40, &["left", "0:right"]);
    text += &line(41, &[]);
    place.write("lines", text);
    let mut command = program(&place, "serve trained --in-process --source stdin --json");
    let output = command.stdin(File::open(place.path("lines")).unwrap()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let outcome = Outcome {
        words: "serve".into(),
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: stderr.clone(),
    };
    let mut said = Said::of(&outcome.done());
    assert_eq!(said.summary["refused"], 4, "{stderr}");
    for word in
        ["line 31: left has 2 values", "line 32: left is no list of finite", "line 33: ", "seq 12 is old"]
    {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
    let mut absent = said.answers.split_off(&(40, 0));
    assert_eq!(absent.len(), 4);
    said.assert_equals(&expected, ROWS, "lines");
    assert_eq!(said.answers.len(), 60);
    for receiver in 0..2 {
        let nothing = absent.remove(&(41, receiver)).unwrap();
        assert_eq!((&nothing["entries"], nothing["not_observed"].as_array().unwrap().len()), (&json!([]), 3));
        let without = absent.remove(&(40, receiver)).unwrap();
        assert_eq!(without["not_observed"], json!(["1:right"]));
        let known: Vec<Value> = expected[&(0, 40, receiver)]["entries"].as_array().unwrap().clone();
        let known: Vec<Value> = known.into_iter().filter(|entry| entry != "1:right").collect();
        assert_eq!(without["entries"], json!(known));
    }
}

#[test]
fn parts_of_a_sample_are_joined_and_waited_for_until_the_deadline() {
    let place = halves("");
    let expected = predicted(&place, "trained --passes 1");
    let port = free_port();
    let words =
        format!("serve trained --in-process --source tcp:127.0.0.1:{port} --deadline 700 --limit 21 --json");
    let service = place.start(&words);
    let dial = || {
        wait_for("the service's port", Duration::from_secs(60), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        })
    };
    let (mut one, mut other) = (dial(), dial());
    for seq in 0..20 {
        one.write_all(line(seq, &["left"]).as_bytes()).unwrap();
        other.write_all(line(seq, &["right"]).as_bytes()).unwrap();
    }
    one.write_all(line(20, &["left"]).as_bytes()).unwrap();
    let said = Said::of(&service.finish().done());
    assert_eq!(said.answers.len(), 42);
    for receiver in 0..2 {
        let late = &said.answers[&(20, receiver)];
        assert_eq!(late["not_observed"], json!(["0:right", "1:right"]), "{late}");
        assert!(late["latency_ms"].as_f64().unwrap() >= 700.0, "{late}");
    }
    let whole = said.answers.into_iter().filter(|((seq, _), _)| *seq < 20).collect();
    Said { answers: whole, ..said }.assert_equals(&expected, ROWS, "parts");
}

#[test]
fn killed_nodes_come_back_and_every_sample_is_answered_once_or_named() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --in-process --out run").done();
    let expected = predicted(&place, "run");
    let service = place.start("serve run --rate 150 --batch-up-to 8 --restarts 20 --json");
    let stderr = |text: &str| service.stderr().matches(text).count();
    let answered = || service.stdout().lines().count();
    for (number, role) in ["transmitter 0", "receiver 1", "transmitter 1"].into_iter().enumerate() {
        let so_far = answered();
        wait_until("answers", Duration::from_secs(60), || answered() > so_far + 60);
        place.find(role).expect("it runs").signal(Signal::Kill);
        wait_until("its loss to be noticed", Duration::from_secs(60), || {
            stderr("waiting for it to come back") > number
        });
    }
    let so_far = answered();
    wait_until("answers", Duration::from_secs(60), || answered() > so_far + 60);
    service.signal(Signal::Terminate);
    let outcome = service.finish().done();
    let said = Said::of(&outcome);
    said.assert_equals(&expected, 4000, "under kills");
    assert_eq!(said.summary["losses"], 3, "{}", said.summary);
    let answered = said.summary["answered"].as_u64().unwrap();
    let skipped = said.summary["skipped"].as_u64().unwrap();
    let last = said.answers.keys().map(|(seq, _)| *seq).max().unwrap();
    // Whoever was told to end answers what it had taken.
    assert_eq!(answered + skipped, last + 1, "{}", said.summary);
    assert!(said.skipped.iter().all(|line| line["skipped"].as_str().unwrap().contains("left the run")));
    for seq in 0..=last {
        for receiver in 0..2 {
            let is_skipped =
                said.skipped.iter().any(|line| line["seq"] == seq && line["receiver"] == receiver);
            assert_ne!(is_skipped, said.answers.contains_key(&(seq, receiver)), "{seq} at {receiver}");
        }
    }
    place.assert_all_gone();
}

#[test]
fn a_transmitter_that_is_gone_for_good_degrades_answers_and_ends_nothing() {
    let place = halves("");
    let service =
        place.start("serve trained --rate 50 --restarts 0 --without-after 1 --redraw every=5 --json");
    let lines = || service.stdout().lines().count();
    wait_until("answers", Duration::from_secs(60), || lines() > 40);
    place.find("transmitter 1").expect("it runs").signal(Signal::Kill);
    wait_until("its loss", Duration::from_secs(60), || {
        service.stderr().contains("going on without transmitter 1")
    });
    wait_until("answers without it", Duration::from_secs(60), || service.stdout().contains("\"without\""));
    let so_far = lines();
    wait_until("more answers", Duration::from_secs(60), || lines() > so_far + 20);
    service.signal(Signal::Interrupt);
    let said = Said::of(&service.finish().done());
    let without = said.answers.values().filter(|line| line.get("without").is_some());
    for line in without.clone() {
        assert_eq!(line["without"], json!(["transmitter 1"]));
        let entries = line["entries"].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry.as_str().unwrap().starts_with("0:")), "{line}");
    }
    assert!(without.count() > 0);
    place.assert_all_gone();
}

#[test]
fn a_newer_checkpoint_is_taken_without_a_lost_sample() {
    let place = halves("");
    let passes = "trained --passes 100";
    let before = predicted(&place, passes);
    let service = place.start("serve trained --in-process --rate 60 --redraw every=50 --reload --json");
    wait_until("answers", Duration::from_secs(60), || service.stdout().lines().count() > 20);
    place.run("run --resume trained --rounds 12 --in-process").done();
    let after = predicted(&place, passes);
    wait_until("the newer networks", Duration::from_secs(60), || {
        service.stderr().contains("turning to the networks of round 12")
    });
    let so_far = service.stdout().lines().count();
    wait_until("more answers", Duration::from_secs(60), || service.stdout().lines().count() > so_far + 20);
    service.signal(Signal::Terminate);
    let said = Said::of(&service.finish().done());
    assert_eq!((said.summary["skipped"].as_u64(), said.summary["round"].as_u64()), (Some(0), Some(12)));
    let is = |line: &Value, expected: &BTreeMap<(u64, u64, u64), Value>| {
        let (seq, receiver) = (line["seq"].as_u64().unwrap(), line["receiver"].as_u64().unwrap());
        let row = &expected[&(seq / ROWS, seq % ROWS, receiver)];
        line["probabilities"] == row["probabilities"]
            && line["label"] == row["answer"]
            && line["entries"] == row["entries"]
    };
    let mut turns = Vec::new();
    for receiver in 0..2 {
        let own: Vec<&Value> = said.answers.values().filter(|line| line["receiver"] == receiver).collect();
        let turn = own.iter().position(|line| !is(line, &before)).expect("newer networks answer otherwise");
        assert!(
            turn > 0 && own[turn..].iter().all(|line| is(line, &after)),
            "receiver {receiver} from {turn} on"
        );
        turns.push(turn);
    }
    // What both networks answer alike may hide the turn by a sample or two.
    assert!(turns[0].abs_diff(turns[1]) < 32, "{turns:?}");
    let last = said.answers.keys().map(|(seq, _)| *seq).max().unwrap();
    assert_eq!(said.answers.len() as u64, 2 * (last + 1), "every sample is answered by both");
}

#[test]
fn nodes_that_were_started_by_hand_serve_too() {
    let place = halves("");
    let expected = predicted(&place, "trained --passes 1");
    let service =
        place.start("coordinator --serve trained --listen 127.0.0.1:0 --limit 40 --rate 200 --json");
    let address = place.address("trained/serve");
    let nodes: Vec<_> = ["transmitter", "transmitter", "receiver", "receiver"]
        .map(|role| place.start(&format!("{role} --coordinator {address}")))
        .into_iter()
        .collect();
    let said = Said::of(&service.finish().done());
    assert_eq!(said.answers.len(), 80);
    said.assert_equals(&expected, ROWS, "by hand");
    nodes.into_iter().for_each(|node| drop(node.finish().done()));
}

#[test]
fn a_full_queue_drops_and_says_so_or_lets_the_source_wait() {
    let place = halves("");
    let dropping =
        serve(&place, "trained --in-process --rate 1000000 --limit 3000 --queue 10 --when-full drop-newest");
    let number = |key: &str| dropping.summary[key].as_u64().unwrap();
    assert_eq!(number("answered") + number("skipped"), 3000);
    assert!(number("dropped") > 0 && number("dropped") == number("skipped"), "{}", dropping.summary);
    assert_eq!(dropping.skipped.len() as u64, number("skipped"));
    let waiting = serve(&place, "trained --in-process --rate 1000000 --limit 500 --queue 10");
    assert_eq!(waiting.summary["answered"], 500);
}

#[test]
fn the_page_s_commands_run() {
    let place = Place::new(PROGRAM);
    let page = include_str!("../docs/serving.md");
    let commands = page.split("```sh\n").nth(1).and_then(|block| block.split("```").next()).unwrap();
    let commands: Vec<&str> = commands.lines().filter_map(|line| line.strip_prefix("pom2dib ")).collect();
    assert_eq!(commands.len(), 5);
    for command in commands {
        // Fewer rounds and samples do for what is tested here.
        let command = command
            .replace("--rounds 60", "--rounds 2 --set train.ticks_per_round=5 --set evaluation.passes=1");
        let outcome = place
            .run(&command.replace("--limit 500", "--limit 60").replace("--limit 2000", "--limit 200"))
            .done();
        if command.contains("--json") {
            assert_eq!(Said::of(&outcome).summary["answered"], 60);
        }
    }
    let table = std::fs::read_to_string(place.path("load/serve.csv")).unwrap();
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(place.path("load/serve.svg").exists());
    place.write("profile.toml", "[profile]\nflops = 1e9\njoules_per_flop = 1e-10\n[link]\nbandwidth = 1e6\n");
    let said = serve(&place, "digits --in-process --limit 20 --profile profile.toml");
    let modelled = &said.summary["modelled"];
    assert!(
        modelled["slowest_ms"].as_f64().unwrap() > 0.0 && modelled["nodes"].as_array().unwrap().len() == 6,
        "{modelled}"
    );
    place.write("profile.toml", "[profile]\nflops = 0\n");
    place.run("serve digits --profile profile.toml").failed(2, &["profile.toml", "above 0"]);
}

#[test]
fn what_cannot_be_served_is_named() {
    let place = halves("");
    place.run("serve nothing --json").failed(2, &["nothing holds no run"]);
    place.run("serve trained --source tcp:0.0.0.0:9").failed(2, &["tcp:0.0.0.0:9", "loopback"]);
    place.run("serve trained --source file").failed(2, &["--source", "stdin"]);
    place.run("serve trained --best").failed(2, &["no best checkpoint"]);
    place.run("serve trained --redraw 5").failed(2, &["every=N"]);
    // Whoever stops reading is no reason to complain.
    let mut service = program(&place, "serve trained --in-process --json");
    let mut service =
        service.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(service.stdout.take());
    let ended = wait_for("the end of a service that nobody reads", Duration::from_secs(60), || {
        service.try_wait().unwrap()
    });
    assert!(ended.success(), "{ended}");
}
