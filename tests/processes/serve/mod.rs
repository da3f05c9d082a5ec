//! A trained run answers a stream: with the bits of an evaluation whatever the batches, the rate and the transport,
//! from lines as from the test set, and while its nodes are killed.

mod callers;
mod halves;
mod said;

use std::{collections::BTreeMap, io::Write, net::TcpStream, process::Stdio, time::Duration};

use harness::{Place, Signal, free_port, wait_for, wait_until};
use serde_json::{Value, json};

use self::{
    halves::{ROWS, fed, halves, line, program},
    said::{Said, predicted, serve},
};

use crate::PROGRAM;

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
        "--set train.coding=code-book --set train.code_groups=2",
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
    let outcome = fed(&place, "serve trained --in-process --source stdin --json", text);
    let stderr = outcome.stderr.clone();
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
    let page = include_str!("../../../docs/serving.md");
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
    place.run("serve trained --set evaluation.draw=tick").failed(2, &["--set evaluation.draw=pass"]);
    let together = "--set channel=[{kind=\"awgn\",snr_db=9,power=\"entry\"}]";
    place.run(&format!("serve trained {together}")).failed(2, &["power = \"entry\"", "--set channel"]);
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
