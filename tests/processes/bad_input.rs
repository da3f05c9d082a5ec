//! Errors in the user's input are reported before the first round, in one line with the cause and the remedy, with exit
//! status 2, empty standard output and no process left running.

use std::net::TcpListener;

use harness::{Place, free_port};

use crate::PROGRAM;

/// A command line, and words of the one line that must answer it.
type Case = (&'static str, &'static [&'static str]);

const SCENARIOS: &[Case] = &[
    ("run nowhere.toml", &["nowhere.toml", "No such file", "give the path of a scenario file"]),
    ("run broken.toml", &["broken.toml: line 2", "expected `]`"]),
    ("run key.toml", &["key.toml: line 2", "unknown field `colour`", "expected one of `feature_dim`"]),
    ("run tiny.toml --set trian.rounds=3", &["unknown field `trian`", "`train`"]),
    ("run tiny.toml --set train.rounds", &["--set train.rounds", "key=value"]),
    ("run tiny.toml --set train.rounds=many", &["train.rounds", "many"]),
    ("run tiny.toml --set train.rounds=0", &["tiny.toml: train.rounds is 0", "at least 1"]),
    ("run tiny.toml --method best", &["best", "`pom2dib`, `rs-dib`, `tadib`"]),
    ("run tiny.toml --set data.source=mars", &["mars", "`digits`"]),
    ("run tiny.toml --set network.receiver_limit=0", &["network.receiver_limit (E_t) is 0", "from 1 to 2"]),
    ("run tiny.toml --set network.receiver_limit=3", &["network.receiver_limit (E_t) is 3", "from 1 to 2"]),
    (
        "run tiny.toml --set network.transmitter_limit=0",
        &["network.transmitter_limit (E_k) is 0", "at least 1"],
    ),
    ("run tiny.toml --set train.ticks_per_part=7", &["train.ticks_per_part is 7", "multiple of 10"]),
    ("run tiny.toml --set train.samples_per_tick=0", &["train.samples_per_tick is 0", "from 1"]),
    (
        "run tiny.toml --set train.samples_per_tick=1 --set train.ticks_per_round=1",
        &["train.ticks_per_round is 1", "two samples"],
    ),
    ("run tiny.toml --set train.beta=-1", &["train.beta is -1", "0 or more"]),
    (
        "run tiny.toml --set channel=[{kind=\"fog\"}]",
        &[
            "channel 0: kind is \"fog\", which is no kind of channel of this program",
            "`ideal`, `awgn`, `rayleigh`",
        ],
    ),
    (
        "run tiny.toml --set channel=[{kind=\"awgn\",snr_db=nan}]",
        &["channel 0: snr_db is NaN", "-200 to 200"],
    ),
    ("run tiny.toml --set channel=[{kind=\"awgn\"}]", &["channel 0: snr_db is missing"]),
    (
        "run tiny.toml --set channel=[{kind=\"rician\",snr_db=3,k_factor=-1.0}]",
        &["channel 0: k_factor is -1", "from 0"],
    ),
    ("run tiny.toml --set channel=[{transmitter=2}]", &["channel 0: transmitter is 2", "from 0 to 1"]),
    (
        "run tiny.toml --set channel=[{transmitter=1},{kind=\"awgn\",snr_db=3}]",
        &["channel 0 never holds", "channel 1 overlaps", "more general one first"],
    ),
    ("run smell.toml", &["transmitter[0].modalities", "\"smell\"", "fft, mel"]),
    ("run guess.toml", &["receiver[0].task", "\"guess\"", "parity, ring, digit"]),
];

const COMMAND_LINES: &[Case] = &[
    ("run tiny.toml --device gpu", &["--device", "'gpu'", "cpu, cuda:N and auto"]),
    ("run tiny.toml --rounds few", &["--rounds", "'few'"]),
    ("run tiny.toml --ou there", &["'--ou'", "'--out'"]),
    ("run tiny.toml --out tiny.toml/a", &["tiny.toml/a", "choose another --out"]),
    ("run --resume nowhere", &["nowhere holds no run"]),
    ("run tiny.toml --threads 0", &["'--threads", "0 is not in 1.."]),
    ("bench nowhere.toml", &["nowhere.toml", "path of a scenario file"]),
    ("evaluate nowhere", &["nowhere holds no run"]),
    (
        "coordinator tiny.toml --listen 0.0.0.0:0",
        &["0.0.0.0:0", "--tls DIR", "--token-file FILE", "127.0.0.1", "--insecure"],
    ),
    (
        "transmitter --listen 0.0.0.0:0",
        &["0.0.0.0:0", "--tls DIR", "--token-file FILE", "127.0.0.1", "--insecure"],
    ),
    ("transmitter --listen 0.0.0.0:0 --insecure", &["0.0.0.0", "--advertise HOST:PORT"]),
    ("transmitter --advertise here", &["\"here\"", "host:port"]),
    ("transmitter --coordinator nowhere", &["\"nowhere\"", "host:port"]),
    ("POM2DIB_COORDINATOR=nowhere receiver", &["\"nowhere\"", "host:port"]),
    ("receiver --coordinator no-such-host.invalid:7310 --patience 1", &["no-such-host.invalid:7310"]),
];

const NODES: &[Case] = &[
    ("run tiny.toml --out a --device cuda:0", &["device cuda:0", "--device cpu"]),
    ("run tiny.toml --out a --device cuda:0 --in-process", &["device cuda:0", "--device cpu"]),
    ("run tiny.toml --out a --set data.source=handwritten", &["\"handwritten\" reads files", "--data DIR"]),
    (
        "run tiny.toml --out a --set data.source=handwritten --data nowhere",
        &["nowhere is missing", "mnist/ and fsdd/"],
    ),
    // A flag overrides the environment, for the nodes too.
    (
        "POM2DIB_DATA=elsewhere run tiny.toml --out a --set data.source=handwritten --data nowhere",
        &["nowhere is missing", "mnist/ and fsdd/"],
    ),
    (
        "run tiny.toml --out a --set data.source=handwritten --data nowhere --in-process",
        &["nowhere is missing", "mnist/ and fsdd/"],
    ),
];

#[test]
fn a_scenario_that_cannot_be_run_is_refused_by_file_and_key() {
    let place = Place::new(PROGRAM);
    let nodes = "[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
    let limits = "[network]\nreceiver_limit = 1\n";
    place.write("broken.toml", "seed = 1\n[network\n");
    place.write("key.toml", "[network]\ncolour = 1\n");
    place.write("smell.toml", format!("{limits}{nodes}").replace("fft", "smell"));
    place.write("guess.toml", format!("{limits}{nodes}").replace("digit", "guess"));
    refuse_all(&place, SCENARIOS);
}

#[test]
fn a_command_line_that_cannot_be_followed_is_refused_by_flag_and_value() {
    refuse_all(&Place::new(PROGRAM), COMMAND_LINES);
}

#[test]
fn what_only_a_node_can_find_out_is_said_by_the_run() {
    refuse_all(&Place::new(PROGRAM), NODES);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let place = Place::new(PROGRAM);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for role in ["coordinator tiny.toml", "transmitter"] {
        refuse(&place, &format!("{role} --listen {address}"), &[&address, "in use", "--listen", "port 0"]);
    }
}

#[test]
fn a_coordinator_that_does_not_answer_is_named() {
    let place = Place::new(PROGRAM);
    let address = format!("127.0.0.1:{}", free_port());
    for role in ["transmitter", "receiver"] {
        let words = format!("{role} --coordinator {address} --patience 1");
        refuse(&place, &words, &["nobody answers", &address, "after 1 s", "is the address right?"]);
    }
}

#[test]
fn a_data_file_that_is_damaged_is_named() {
    let place = Place::new(PROGRAM);
    let run = "run tiny.toml --set data.source=handwritten --data data --out a";
    write_small_data(&place);
    let labels = idx(0x801, &[40], &[3; 40]);

    place.write("data/mnist/train-labels-idx1-ubyte", &labels[..20]);
    refuse(&place, run, &["data/mnist/train-labels-idx1-ubyte", "ends after 12 of the 40 bytes"]);

    place.write("data/mnist/train-labels-idx1-ubyte", &labels);
    place.write("data/mnist/train-images-idx3-ubyte", "this is no picture");
    refuse(&place, run, &["data/mnist/train-images-idx3-ubyte", "begins with"]);

    std::fs::remove_file(place.path("data/mnist/train-images-idx3-ubyte")).expect("it is there");
    refuse(
        &place,
        run,
        &["data/mnist/train-images-idx3-ubyte", "is missing", "pom2dib data fetch handwritten"],
    );
}

/// A folder like HandWritten's, as far as it is read before a damaged file is found.
fn write_small_data(place: &Place) {
    for (stem, count) in [("train", 40), ("t10k", 20)] {
        let labels = idx(0x801, &[count], &vec![3; count as usize]);
        place.write(&format!("data/mnist/{stem}-labels-idx1-ubyte"), labels);
        let images = idx(0x803, &[count, 28, 28], &vec![9; count as usize * 784]);
        place.write(&format!("data/mnist/{stem}-images-idx3-ubyte"), images);
    }
    for (digit, take) in (0..10).flat_map(|digit| (0..6).map(move |take| (digit, take))) {
        place.write(&format!("data/fsdd/recordings/{digit}_anna_{take}.wav"), "");
    }
}

/// An idx file.
fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let head = [magic].into_iter().chain(sizes.iter().copied());
    head.flat_map(u32::to_be_bytes).chain(body.iter().copied()).collect()
}

fn refuse_all(place: &Place, cases: &[Case]) {
    for (words, answer) in cases {
        refuse(place, words, answer);
    }
}

/// Runs a wrong command line and checks the answer and that no process is left.
fn refuse(place: &Place, words: &str, answer: &[&str]) {
    place.run(words).failed(2, answer);
    place.assert_all_gone();
}
