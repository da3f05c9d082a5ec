//! The command itself: closed or full outputs, spellings of variables and values, and the commands that need no run.

use std::{
    fs::File,
    process::{Command, Output, Stdio},
};

use harness::Place;

use crate::PROGRAM;

/// Runs the program with these outputs, in a place.
fn run(place: &Place, words: &str, stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(words.split(' ')).current_dir(place.path("")).stdin(Stdio::null());
    command.stdout(stdout).stderr(stderr).spawn().unwrap().wait_with_output().unwrap()
}

/// An output without a reader.
fn closed() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

fn text(place: &Place, file: &str) -> String {
    std::fs::read_to_string(place.path(file)).unwrap()
}

const TALKERS: [&str; 6] = [
    "data info digits",
    "data info digits --json",
    "--help",
    "run --help",
    "completions bash",
    "check tiny.toml",
];

#[test]
fn a_closed_reader_changes_nothing_and_a_full_disk_is_reported() {
    let place = Place::new(PROGRAM);
    for words in TALKERS {
        let output = run(&place, words, closed(), Stdio::piped());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{words}");
        let output = run(&place, words, full(), Stdio::piped());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{words}: {said}");
        assert!(said.starts_with("error: standard output cannot be written: "), "{words}: {said}");
    }
    // The exit status shows the result, even without a reader.
    place.write("h/notes.txt", "");
    let output = run(&place, "data verify handwritten --data h", closed(), Stdio::piped());
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(2), &b""[..]));
}

#[test]
fn a_run_whose_outputs_are_both_closed_trains_to_its_end() {
    let place = Place::new(PROGRAM);
    for (words, folder) in [("run tiny.toml --out a", "a"), ("run tiny.toml --out b --in-process", "b")] {
        let output = run(&place, words, closed(), closed());
        assert_eq!(output.status.code(), Some(0), "{words}");
        place.run_folder(folder).json("summary.json");
    }
    let output = run(&place, "run tiny.toml --out c --json", full(), Stdio::piped());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output cannot be written"));
    place.run_folder("c").json("summary.json");
    place.assert_all_gone();
}

#[test]
fn switches_in_the_environment_are_taken_as_people_write_them_and_errors_name_the_variable() {
    let place = Place::new(PROGRAM);
    for (value, folder) in [("1", "a"), ("Yes", "b"), ("off", "c")] {
        place
            .run(&format!("POM2DIB_TCP_ONLY={value} POM2DIB_VERIFY={value} run tiny.toml --out {folder}"))
            .done();
    }
    for (words, variable, value) in [
        ("POM2DIB_TCP_ONLY=maybe run tiny.toml", "POM2DIB_TCP_ONLY", "1, true, yes or on"),
        ("POM2DIB_VERIFY=2 coordinator tiny.toml", "POM2DIB_VERIFY", "1, true, yes or on"),
        ("POM2DIB_SEED=-3 run tiny.toml", "POM2DIB_SEED", "0 to 18446744073709551615"),
        ("POM2DIB_PATIENCE=soon receiver", "POM2DIB_PATIENCE", "soon"),
        ("POM2DIB_DEVICE=gpu run tiny.toml", "POM2DIB_DEVICE", "gpu"),
    ] {
        place.run(words).failed(2, &[variable, value]);
    }
    // An invalid flag has no variable to name.
    let outcome = place.run("POM2DIB_PATIENCE=5 receiver --patience soon");
    outcome.failed(2, &["--patience"]);
    assert!(!outcome.stderr.contains("POM2DIB_PATIENCE"), "{outcome}");
}

#[test]
fn seeds_reach_to_the_end_of_64_bits_and_the_range_is_named_beyond() {
    let place = Place::new(PROGRAM);
    let largest = u64::MAX.to_string();
    place.run(&format!("run tiny.toml --seed {largest} --out a")).done();
    let text = place.run_folder("a").text("scenario.toml");
    assert!(text.contains(&format!("seed = \"{largest}\"")), "{text}");
    assert_eq!(place.run_folder("a").json("summary.json")["seed"].to_string(), largest);
    place.run("evaluate a").done();
    for words in ["--seed -1", "--seed 18446744073709551616", "--set seed=-1", "--set seed=1e3"] {
        let outcome = place.run(&format!("run tiny.toml {words}"));
        outcome.failed(2, &["seed", "0 to 18446744073709551615"]);
        assert!(!outcome.stderr.contains("'-- "), "{outcome}");
    }
}

#[test]
fn what_is_no_address_is_told_with_the_one_that_was_meant() {
    let place = Place::new(PROGRAM);
    for role in ["receiver", "transmitter"] {
        for given in ["http://alice:7310", "grpc://alice:7310/", "https://alice"] {
            let words = format!("{role} --coordinator {given} --patience 1");
            place.run(&words).failed(2, &[given, "alice:7310, without a scheme or path"]);
        }
    }
    for words in ["coordinator tiny.toml --listen", "coordinator tiny.toml --health", "transmitter --listen"]
    {
        for given in ["http://127.0.0.1:7310", "localhost:7310"] {
            place
                .run(&format!("{words} {given}"))
                .failed(2, &[given, "127.0.0.1:7310", "without a name or scheme"]);
        }
    }
}

#[test]
fn what_is_empty_or_lacks_its_files_is_named_with_what_to_do() {
    let place = Place::new(PROGRAM);
    place
        .run("run tiny.toml --set checkpoint.store=\"\"")
        .failed(2, &["checkpoint.store", "is empty", "leave the key out"]);
    std::fs::create_dir(place.path("nothing")).unwrap();
    for words in ["run tiny.toml --out a --tls", "coordinator tiny.toml --tls"] {
        place.run(&format!("{words} nothing")).failed(2, &["nothing/ca.pem", "pom2dib certs new"]);
        place.run(&format!("{words} nowhere")).failed(2, &["nowhere/ca.pem", "pom2dib certs new"]);
    }
}

#[test]
fn too_few_open_files_are_reported_with_the_process_and_advice() {
    let place = Place::new(PROGRAM);
    for limit in [8, 12, 16] {
        let script = format!("ulimit -n {limit} && exec '{PROGRAM}' run tiny.toml --out a{limit}");
        let mut command = Command::new("sh");
        let output =
            command.args(["-c", &script]).current_dir(place.path("")).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        let line = said.lines().find(|line| line.contains("os error 24")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("ulimit -n 4096") && !line.starts_with("error: Too many"), "{said}");
    }
    place.assert_all_gone();
}

#[test]
fn init_writes_what_check_and_run_accept() {
    let place = Place::new(PROGRAM);
    place.run("init").done();
    assert_eq!(text(&place, "scenario.toml"), include_str!("../../scenarios/digits.toml"));
    place.run("init").failed(2, &["scenario.toml", "there already", "--force"]);
    place.run("init --force").done();
    let checked = place.run("check scenario.toml --rounds 3").done();
    assert!(
        checked.stdout.contains("digits can be run: pom2dib by 3 transmitters and 3 receivers, 3 rounds"),
        "{checked}"
    );
    place.run("init hand.toml --source handwritten --data some/where").done();
    assert!(text(&place, "hand.toml").contains("\npath = \"some/where\"\n"));
    place.run("check hand.toml").failed(2, &["some/where", "is missing"]);
    place.run("check hand.toml --set train.colour=3").failed(2, &["unknown field `colour`"]);
    place.run("init own.toml --source arrays").failed(2, &["--data DIR"]);

    for (split, rows) in [("train", 30), ("test", 6)] {
        let labels: Vec<u8> = (0..rows).map(|row| row as u8 % 3).collect();
        let values: Vec<u8> = (0..4 * rows).flat_map(|at| (at as f32).sin().to_le_bytes()).collect();
        place.write(&format!("own/kind.{split}.npy"), npy("|u1", &format!("({rows},)"), &labels));
        place.write(&format!("own/left.{split}.npy"), npy("<f4", &format!("({rows}, 4)"), &values));
    }
    place.run("init own.toml --source arrays --data own").done();
    let checked = place.run("check own.toml --json").done().json();
    assert_eq!((&checked["transmitters"], &checked["receivers"]), (&1.into(), &1.into()));
    let small =
        "--set train.ticks_per_round=2 --set train.samples_per_tick=4 --set evaluation.passes=1 --rounds 2";
    place.run(&format!("run own.toml {small} --out a")).done();
    place.write("own/kind.test.npy", npy("|u1", "(6,)", &[9; 6]));
    place.run("check own.toml").failed(2, &["kind.test.npy: row 0 is of class 9"]);
}

#[test]
fn completions_know_the_commands_and_help_has_groups_and_examples() {
    let place = Place::new(PROGRAM);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = place.run(&format!("completions {shell}")).done().stdout;
        assert!(["reproduce", "completions"].iter().all(|command| text.contains(command)), "{shell}");
    }
    let help = place.run("run --help").done().stdout;
    for part in ["What is run:", "Where and how the nodes run:", "Examples:", "--tls", "--seed"] {
        assert!(help.contains(part), "{part} in {help}");
    }
    let help = place.run("--help").done().stdout;
    assert!(help.contains("Exit status: 0 done; 1 the run failed"));
    let mut seen = 0;
    for command in commands(&help) {
        let help = place.run(&format!("{command} --help")).done().stdout;
        let inner = commands(&help).into_iter().map(|inner| format!("{command} {inner}"));
        for command in std::iter::once(command.clone()).chain(inner) {
            let help = place.run(&format!("{command} --help")).done().stdout;
            let (_, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("no example: {help}"));
            assert!(examples.contains("\n  pom2dib "), "{command}: {examples}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

/// The commands that a help text lists, except `help` itself.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let lines = listed.lines().take_while(|line| line.starts_with("  "));
    let names =
        lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_doctor_leaves_no_warning_behind_and_names_a_foreign_server_behind_tls() {
    let place = Place::new(PROGRAM);
    for authority in ["own", "foreign"] {
        place.run(&format!("certs new {authority} --scenario tiny.toml")).done();
    }
    let coordinator = place.start("coordinator tiny.toml --out a --listen 127.0.0.1:0 --tls own");
    let address = place.address("a");
    place.run(&format!("doctor {address} --tls own")).done();
    assert!(!coordinator.stderr().contains("WARN"), "{}", coordinator.stderr());
    // For a client with another authority, it is a foreign server.
    let outcome = place.run(&format!("doctor {address} --tls foreign"));
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    for words in ["another authority", "another program's port"] {
        assert!(outcome.stderr.contains(words), "{outcome}");
    }
}

/// Machines without 127.0.0.1 are simulated by network namespaces, where that is allowed.
#[test]
fn a_machine_that_has_ipv6_only_runs_and_one_without_loopback_is_told_at_once() {
    let place = Place::new(PROGRAM);
    let in_network = |setup: &str, words: &str| {
        let script = format!("{setup} exec '{PROGRAM}' {words}");
        let mut command = Command::new("unshare");
        command.args(["-rn", "sh", "-c", &script]).current_dir(place.path(""));
        command.stdin(Stdio::null()).output().ok()
    };
    let up = "ip link set lo up && ip addr del 127.0.0.1/8 dev lo || exit 99;";
    let ipv6 = "ip -6 addr show dev lo 2>/dev/null | grep -q ::1 || exit 99;";
    let Some(output) = in_network(&format!("{up} {ipv6}"), "run tiny.toml --tcp-only --out a") else {
        eprintln!("skipped: no unshare");
        return;
    };
    if output.status.code() == Some(99) || String::from_utf8_lossy(&output.stderr).starts_with("unshare:") {
        eprintln!("skipped: no network of one's own with IPv6 here");
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = in_network("", "run tiny.toml --out b").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("127.0.0.1: ") && said.contains("ip link set lo up"), "{said}");
}

/// A .npy file of version 1.0.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], dictionary.as_bytes(), values].concat()
}

#[test]
fn scenarios_that_come_with_the_program_go_by_their_names_unless_there_is_a_file_of_that_name() {
    let place = Place::new(PROGRAM);
    assert_eq!(place.run("check digits --json").done().json()["name"], "digits");
    let said = place.run("check handwritten --data nowhere --json");
    said.failed(2, &["nowhere"]);
    place.write("digits", std::fs::read_to_string(place.path("tiny.toml")).unwrap());
    assert_eq!(place.run("check digits --json").done().json()["name"], "tiny");
    place.run("run digits --rounds 1 --out a --json").done();
    assert_eq!(place.run_folder("a").rounds(), 1);
}
