//! Samples and answers over gRPC, arrays in a stream, and answers in a browser.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use harness::{Code, Place, Sensor, Signal, Wire, free_port, wait_for};
use link::{Name, Security, TlsFiles, Token};
use proto::{
    Packer,
    v1::{ElementType, Observed, Tensor, observed::Values},
};
use serde_json::{Value, json};

use super::{
    halves::{ROWS, fed, halves, left, line, npy, right},
    said::{Said, predicted},
};

use crate::PROGRAM;

/// Some values as a sample of a modality.
fn values(modality: &str, shape: &[usize], values: &[f32]) -> Values {
    let mut packer = Packer::new(values.len());
    packer.extend(values.iter().copied());
    Values { modality: modality.into(), values: Some(packer.pack(shape)) }
}

/// What stands in a row of the test set.
fn row(modality: &str, row: u64) -> Vec<f32> {
    let row = (row % ROWS) as usize;
    match modality.ends_with("left") {
        true => (0..4).map(|at| left(row, at)).collect(),
        false => (0..3).map(|at| right(row, at)).collect(),
    }
}

fn whole(seq: u64) -> Observed {
    // An image, as it might be, and a list.
    let both = vec![values("left", &[2, 2], &row("left", seq)), values("right", &[3], &row("right", seq))];
    Observed { seq, values: both }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The refusal of the next message that is acknowledged.
fn refusal(sensor: &mut Sensor) -> String {
    sensor.acknowledged().unwrap().expect("an acknowledgement").refused
}

/// Why somebody with another token than the run's is refused.
fn refused_stranger(service: SocketAddr) -> String {
    let token = Token::new("a-word-of-somebody-else", Path::new("word")).unwrap();
    let security = Security::default().with_token(token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = service.to_string();
    let dialled = link::dial(Name::Coordinator, &address, &security, Duration::from_secs(9));
    runtime.block_on(dialled).expect_err("a refusal").to_string()
}

#[test]
fn samples_over_grpc_are_answered_as_rows_are_and_each_message_is_acknowledged() {
    let place = halves("");
    let expected = predicted(&place, "trained --passes 1");
    let port = free_port();
    let service =
        place.start(&format!("serve trained --in-process --source grpc:127.0.0.1:{port} --limit 32 --json"));
    let wire = Wire::open();
    let mut sensor = wire.observe(local(port)).unwrap();
    let mut follower = wire.follow(local(port)).unwrap();
    for seq in 0..30 {
        sensor.send(whole(seq));
    }
    for seq in 0..30 {
        let told = sensor.acknowledged().unwrap().expect("an acknowledgement");
        assert_eq!((told.seq, told.refused.as_str(), told.taken), (seq, "", seq + 1));
    }
    let nan = values("right", &[3], &[0.0, f32::NAN, 0.0]);
    let bytes = Tensor { element: ElementType::Int8.into(), shape: vec![3], ..Tensor::default() };
    for (seq, values, word) in [
        (30, vec![values("middle", &[3], &row("right", 1))], "there are 0:left"),
        (
            30,
            vec![values("left", &[3], &row("right", 1))],
            "left: tensor of values has shape [3], expected [4]",
        ),
        (30, vec![nan], "holds NaN"),
        (30, vec![Values { modality: "right".into(), values: Some(bytes) }], "element type"),
        (
            30,
            vec![Values { modality: "right".into(), values: None }],
            "right: the message has no tensor of values",
        ),
        (1 << 60, Vec::new(), "larger than 2^53"),
        (3, Vec::new(), "is old"),
    ] {
        sensor.send(Observed { seq, values });
        let told = refusal(&mut sensor);
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(refused_stranger(local(port)).contains("the join token is not the coordinator's"));
    // Another caller, at the coordinator's own address.
    let mut other = wire.observe(place.address("trained/serve")).unwrap();
    other.send(Observed { seq: 30, values: whole(30).values[..1].to_vec() });
    other.send(whole(31));
    assert_eq!((refusal(&mut other), refusal(&mut other)), (String::new(), String::new()));
    for open in [&mut sensor, &mut other] {
        assert!(matches!(open.acknowledged(), Ok(None)), "the service has ended");
    }

    let outcome = service.finish().done();
    assert!(outcome.stderr.contains("caller 0: message 31: nobody observes \"middle\""), "{outcome}");
    let mut said = Said::of(&outcome);
    assert_eq!((&said.summary["answered"], &said.summary["refused"]), (&json!(32), &json!(7)));
    let mut followed = Vec::new();
    while let Some(line) = follower.line().unwrap() {
        assert_eq!(line.missed, 0);
        followed.push(line.json);
    }
    let printed: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(followed, printed[..printed.len() - 1], "whoever follows is told what is printed");
    let part = said.answers.split_off(&(30, 0));
    assert_eq!(part[&(30, 0)]["not_observed"], json!(["0:right", "1:right"]));
    said.assert_equals(&expected, ROWS, "over gRPC");
}

#[test]
fn with_certificates_each_node_s_own_may_observe_for_it_and_follow_its_answers() {
    let place = halves("");
    place.run("certs new certs --scenario halves.toml").done();
    let port = free_port();
    let service =
        place.start(&format!("serve trained --tls certs --source grpc:127.0.0.1:{port} --limit 3 --json"));
    let wire = |name| {
        let files = TlsFiles::in_folder(&place.path("certs"), name);
        Wire::secured(Security::default().with_tls(files).expect("a good certificate"))
    };
    let (transmitter, receiver) = (wire(Name::Transmitter(1)), wire(Name::Receiver(1)));
    let mut follower = receiver.follow(local(port)).unwrap();
    let mut sensor = transmitter.observe(local(port)).unwrap();
    sensor.send(Observed { seq: 0, values: vec![values("left", &[4], &row("left", 0))] });
    assert!(refusal(&mut sensor).contains("transmitter 1, who sends it, does not observe \"left\""));
    sensor.send(Observed { seq: 0, values: vec![values("right", &[3], &row("right", 0))] });
    assert_eq!(refusal(&mut sensor), "");
    for refused in [receiver.observe(local(port)).err(), transmitter.follow(local(port)).err()] {
        assert_eq!(refused.expect("a refusal").code(), Code::PermissionDenied);
    }
    let admin = wire(Name::Admin);
    let all = admin.observe(local(port)).unwrap();
    all.send(whole(1));
    all.send(whole(2));
    let said = Said::of(&service.finish().done());
    assert_eq!(said.answers[&(0, 0)]["not_observed"], json!(["0:left", "0:right"]));
    assert_eq!(said.answers[&(1, 0)].get("not_observed"), None);
    let mut followed = Vec::new();
    while let Some(line) = follower.line().unwrap() {
        let line: Value = serde_json::from_str(&line.json).unwrap();
        followed.push((line["seq"].as_u64().unwrap(), line["receiver"].as_u64().unwrap()));
    }
    assert_eq!(followed, [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn arrays_in_a_stream_are_answered_as_lines_are_and_bad_ones_are_named() {
    let place = halves("");
    let expected = predicted(&place, "trained --passes 1");
    let float = |shape: &str, values: &[f32]| {
        npy("<f4", shape, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    };
    let head = |seq: u64, names: &str| format!("{{\"seq\": {seq}, \"npy\": {names}}}\n").into_bytes();
    let mut stream = Vec::new();
    for seq in 0..20 {
        if seq % 3 == 0 {
            stream.extend(line(seq as usize, &["left", "right"]).into_bytes());
            continue;
        }
        stream.extend(head(seq, "[\"left\", \"right\"]"));
        stream.extend(float("(2, 2)", &row("left", seq)));
        stream.extend(float("(3,)", &row("right", seq)));
    }
    stream.extend([head(20, "[\"left\"]"), float("(3,)", &row("right", 0))].concat());
    stream.extend([head(20, "[\"right\"]"), float("(3,)", &[0.0, f32::INFINITY, 0.0])].concat());
    stream.extend(line(20, &["left", "right"]).into_bytes());
    stream.extend([head(21, "[\"left\"]"), b"no array".to_vec()].concat());
    stream.extend(line(22, &["left", "right"]).into_bytes());
    let outcome = fed(&place, "serve trained --in-process --source stdin --json", stream).done();
    for word in [
        "line 21: the array of left has 3 values, and a sample of it has 4: dropped",
        "line 22: the array of right holds inf",
        "line 24: the array of left is no .npy file",
        "nothing more is read from there",
    ] {
        assert!(outcome.stderr.contains(word), "{word}: {outcome}");
    }
    let said = Said::of(&outcome);
    assert_eq!((said.answers.len(), &said.summary["refused"]), (42, &json!(3)));
    said.assert_equals(&expected, ROWS, "arrays");
}

/// A reader of the answers as a browser has them, behind the head of the response.
fn read_answers(page: SocketAddr) -> BufReader<TcpStream> {
    let mut stream = wait_for("the page", Duration::from_secs(60), || TcpStream::connect(page).ok());
    // Of version 1.0, so that what follows is the events as they are.
    write!(stream, "GET /answers HTTP/1.0\r\nHost: {page}\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.0 200") && head.contains("text/event-stream"), "{head}");
    reader
}

#[test]
fn answers_are_events_for_browsers_and_one_that_reads_slowly_misses_some_and_delays_nobody() {
    /// More than lies between a service and a reader that does not read.
    const MUCH: usize = 8 << 20;
    let place = halves("");
    let page = local(free_port());
    let service = place.start(&format!("serve trained --in-process --page {page} --batch-up-to 64"));
    let mut slow = read_answers(page);
    let mut swift = read_answers(page);
    let (mut read, mut seqs) = (0, Vec::new());
    while read < MUCH {
        let mut text = String::new();
        assert_ne!(swift.read_line(&mut text).unwrap(), 0, "the service goes on: {}", service.stderr());
        read += text.len();
        if let Some(answer) = text.strip_prefix("data: {\"seq\"") {
            let answer: Value = serde_json::from_str(&format!("{{\"seq\"{answer}")).unwrap();
            if answer["receiver"] == 0 {
                seqs.push(answer["seq"].as_u64().unwrap());
            }
        }
    }
    assert!(seqs.is_sorted() && seqs.len() > 1000, "{} answers", seqs.len());
    service.signal(Signal::Terminate);
    let mut text = String::new();
    slow.read_to_string(&mut text).unwrap();
    let missed =
        text.split("event: missed\ndata: ").nth(1).expect("it has missed some").lines().next().unwrap();
    let missed: Value = serde_json::from_str(missed).unwrap();
    assert!(missed["missed"].as_u64().unwrap() > 0, "{missed}");
    assert!(service.finish().done().stdout.contains("samples answered"), "the table");
    let mut rest = String::new();
    swift.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("event: end\ndata: {}\n\n"), "{}", &rest[rest.len().saturating_sub(300)..]);
}

#[test]
fn a_modelled_latency_is_within_a_tenth_of_the_measured_one_over_emulated_links() {
    let place = halves("");
    // Of a link that is slow beside this machine, whatever else that does: what is left is what the model does not
    // know.
    let link = "link=[{delay=0.3,bandwidth=200}]";
    let profile = "profile.flops=4e9 --set profile.link.delay=0.3 --set profile.link.bandwidth=200";
    let said = super::said::serve(
        &place,
        &format!("trained --in-process --rate 1.5 --limit 8 --set {link} --set {profile}"),
    );
    for receiver in 0..2u64 {
        let modelled = said.summary["modelled"]["latency_ms"][receiver as usize].as_f64().unwrap();
        let own = said.answers.iter().filter(|((_, of), _)| *of == receiver);
        let mut measured: Vec<f64> = own.map(|(_, line)| line["latency_ms"].as_f64().unwrap()).collect();
        measured.sort_by(f64::total_cmp);
        let median = measured[measured.len() / 2];
        eprintln!("receiver {receiver}: modelled {modelled:.1} ms, measured {median:.1} ms");
        assert!(
            modelled > 300.0 && (modelled - median).abs() < 0.1 * median,
            "{modelled} beside {median} ms"
        );
    }
}

#[test]
fn samples_are_taken_from_callers_only_where_that_is_said() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --in-process --out trained --rounds 2").done();
    let service = place.start("serve trained --in-process --rate 20 --json");
    let (address, wire) = (place.address("trained/serve"), Wire::open());
    let refused = wire.observe(address).err().expect("a refusal");
    assert!(refused.message().contains("--source grpc"), "{refused}");
    let mut follower = wire.follow(address).unwrap();
    assert!(follower.line().unwrap().unwrap().json.contains("\"seq\":"));
    service.signal(Signal::Terminate);
    service.finish().done();
    place.run("serve trained --source grpc:nowhere").failed(2, &["nowhere", "grpc:127.0.0.1:7320"]);
}
