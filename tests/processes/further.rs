//! An interrupted run continues from any point, also before its first checkpoint; a finished one can be trained
//! further, and another run can start from its parameters.

use harness::{Outcome, PATIENCE, Place, Process, RunFolder, Signal, wait_until};
use serde_json::Value;

use crate::{CONSTANT, PROGRAM, assert_same};

#[test]
fn a_run_of_the_worst_receiver_goes_on_with_its_weights() {
    let place = Place::new(PROGRAM);
    let worst = format!("run {CONSTANT} --set train.objective=worst --set train.worst_lr=0.5 --json");
    let whole = place.run(&format!("{worst} --in-process --out whole")).done().json();
    place.run(&format!("{worst} --rounds 3 --in-process --out parted")).done();
    let forked = place.run("run --from parted --rounds 6 --in-process --out forked --json").done().json();
    assert_eq!(forked["fingerprint"], whole["fingerprint"]);
    let parted = place.run("run --resume parted --rounds 6 --in-process --json").done().json();
    assert_eq!(parted["fingerprint"], whole["fingerprint"]);
    let weights = |folder: &str| -> Vec<Value> {
        place.run_folder(folder).lines("metrics.jsonl").iter().map(|line| line["weights"].clone()).collect()
    };
    let of_whole = weights("whole");
    assert_eq!(of_whole, weights("parted"));
    assert_eq!(of_whole[0], serde_json::json!([0.5, 0.5]));
    assert!(of_whole[1..].iter().all(|weights| *weights != of_whole[0]), "{of_whole:?}");

    let sum = place.run(&format!("run {CONSTANT} --in-process --json --out sum")).done().json();
    assert_ne!(sum["fingerprint"], whole["fingerprint"]);
    assert!(weights("sum").iter().all(Value::is_null));
    let from_sum = "run --from sum --rounds 9 --set train.objective=worst --out late";
    place.run(from_sum).failed(2, &["train.objective cannot become \"worst\"", "train anew without --from"]);
    assert!(!place.path("late/scenario.toml").exists());

    // An evaluation sends no costs: entries may be lost.
    let lossy = "evaluate whole --set straggler.policy=skip --set link=[{loss=0.4}] --in-process --json";
    let lossy = place.run(lossy).done().json();
    assert_eq!(lossy["fingerprint"], whole["fingerprint"]);
    assert!(lossy["test"]["missing"]["lost"].as_u64() > Some(0), "{}", lossy["test"]["missing"]);
}

#[test]
fn a_run_of_the_worst_receiver_loses_no_bit_with_a_node() {
    let place = Place::new(PROGRAM);
    let worst = "tiny.toml --rounds 100 --set train.objective=worst --set checkpoint.every=3 --json";
    let quiet = place.run(&format!("run {worst} --in-process --out quiet")).done().json();
    let run = place.start(&format!("run {worst} --out a"));
    wait_until("some rounds", PATIENCE, || (5..100).contains(&place.run_folder("a").rounds()));
    place.find("transmitter 1").expect("it takes part in the run").signal(Signal::Kill);
    assert_same(&run.finish().done().json(), &quiet);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_goes_on_from_its_beginning() {
    let place = Place::new(PROGRAM);
    let quiet = place.run("run tiny.toml --rounds 100 --out quiet --json").done().json();
    for way in ["", "--in-process"] {
        let run = place.start(&format!("run tiny.toml --rounds 100 --out a --force {way}"));
        wait_until("some rounds", PATIENCE, || (4..100).contains(&place.run_folder("a").rounds()));
        place.kill(run);
        assert!(place.run_folder("a").checkpoints().is_empty());

        place
            .run("run tiny.toml --rounds 100 --out a")
            .failed(2, &["a holds a run already", "--resume", "--force"]);
        let resumed = place.run(&format!("run --resume a --json {way}"));
        assert!(resumed.stderr.contains("a has no checkpoint yet: it begins anew"), "{resumed}");
        assert_same(&resumed.done().json(), &quiet);
        assert_eq!(rounds(&place.run_folder("a")), (0..100).collect::<Vec<u64>>());
    }
}

#[test]
fn a_run_stopped_before_its_first_round_gives_advice_that_works() {
    let place = Place::new(PROGRAM);
    let coordinator = place.start("coordinator tiny.toml --out a --listen 127.0.0.1:0");
    place.address("a");
    place.run("stop a").done();
    let outcome = coordinator.finish().done();
    assert!(outcome.stderr.contains("stopped before the first round"), "{outcome}");
    follow(&place, &outcome).done();
    assert_eq!(place.run_folder("a").rounds(), 6);
}

#[test]
fn a_finished_run_that_is_trained_further_is_the_longer_run() {
    let place = Place::new(PROGRAM);
    let straight = place.run(&format!("run {CONSTANT} --rounds 12 --out straight --json")).done().json();
    for (way, steps) in [("", [6, 7, 12].as_slice()), ("--in-process", &[5, 12])] {
        let first = steps[0];
        place.run(&format!("run {CONSTANT} --rounds {first} --out a --force --json {way}")).done();
        let mut last = Value::Null;
        for rounds in &steps[1..] {
            last = place.run(&format!("run --resume a --rounds {rounds} --json {way}")).done().json();
        }
        assert_same(&last, &straight);
        for key in ["rounds", "noise_share", "most_asks", "most_entries", "extended"] {
            assert_eq!(last[key], straight[key], "{key}");
        }
        for key in ["feature_bytes", "gradient_bytes"] {
            assert_eq!(last["wire"][key], straight["wire"][key], "{key}");
        }
        let (a, whole) = (place.run_folder("a"), place.run_folder("straight"));
        assert_eq!(a.lines("selection.jsonl"), whole.lines("selection.jsonl"));
        assert_eq!(learnt(&a), learnt(&whole));
        assert_eq!(a.text("scenario.toml"), whole.text("scenario.toml"));
        // The earlier summary is kept.
        assert_eq!(a.json(&format!("summary-round-{first:06}.json"))["rounds"], first);
        assert_eq!(place.run("evaluate a --in-process --json").done().json()["test"], straight["test"]);
    }
}

#[test]
fn a_run_that_is_trained_further_under_a_schedule_says_so() {
    let place = Place::new(PROGRAM);
    let schedule = "tiny.toml --set train.cool_down=0.5 --in-process --json";
    let first = place.run(&format!("run {schedule} --rounds 6 --out a")).done().json();
    assert!(first.get("extended").is_none());
    let further = place.run("run --resume a --rounds 10 --in-process --json").done().json();
    let [extension] = further["extended"].as_array().expect("it is said").as_slice() else {
        panic!("{further}")
    };
    assert_eq!(
        (&extension["round"], &extension["rounds_before"], &extension["rounds"]),
        (&6.into(), &6.into(), &10.into())
    );
    let words = extension["schedule"].as_str().unwrap();
    assert!(words.contains("learning rates fall to 0 from round 5 on"), "{words}");
    let table = place.run("run --resume a --rounds 12 --in-process").done().stdout;
    assert!(table.contains("given 10 rounds instead of 6 at round 6"), "{table}");
    assert!(table.contains("given 12 rounds instead of 10 at round 10"), "{table}");

    place.run("run --resume a --rounds 11").failed(2, &["--rounds 11", "a has trained 12 rounds already"]);
    place.run("run --resume a --rounds 0").failed(2, &["train.rounds"]);
    place.run("run --resume a --rounds 12 --in-process").done();
}

#[test]
fn a_lineage_with_a_flipped_bit_is_refused_or_changes_nothing_that_is_trained() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --rounds 6 --out a --in-process --set checkpoint.every=2").done();
    let whole = place.run("run --resume a --rounds 8 --in-process --json").done().json();
    let lineage = std::fs::read(place.path("a/lineage.json")).expect("it was trained further");
    let text = String::from_utf8_lossy(&lineage).into_owned();
    let given = text.rfind("\"rounds\": 8").expect("it says how many") + "\"rounds\": ".len();
    let flips = (0..lineage.len()).step_by(lineage.len() / 10).enumerate().map(|(n, at)| (at, n % 8));

    for (at, bit) in flips.chain([(given, 0)]) {
        // As if it had been killed while it was trained further.
        let _ = std::fs::remove_dir_all(place.path("a/checkpoints/round-000008"));
        let _ = std::fs::remove_file(place.path("a/summary.json"));
        let mut damaged = lineage.clone();
        damaged[at] ^= 1 << bit;
        place.write("a/lineage.json", damaged);
        let outcome = place.run("run --resume a --in-process --json");
        match outcome.status.success() && at != given {
            true => assert_same(&outcome.done().json(), &whole),
            false => outcome.failed(2, &["a/"]),
        }
    }
}

#[test]
fn a_run_cut_down_while_it_is_trained_further_goes_on() {
    let place = Place::new(PROGRAM);
    let straight = place.run(&format!("run {CONSTANT} --rounds 100 --out straight --json")).done().json();
    place.run(&format!("run {CONSTANT} --rounds 4 --out a --set checkpoint.every=3")).done();
    let run = place.start("run --resume a --rounds 100");
    wait_until("some rounds", PATIENCE, || (9..100).contains(&place.run_folder("a").rounds()));
    place.kill(run);
    assert_same(&place.run("run --resume a --json").done().json(), &straight);
}

#[test]
fn a_forked_run_begins_with_the_parameters_of_another() {
    let place = Place::new(PROGRAM);
    place.run(&format!("run {CONSTANT} --rounds 6 --out a --in-process")).done();
    let before = files(&place, "a");

    // Without changes it equals the extended run, in another folder.
    let straight =
        place.run(&format!("run {CONSTANT} --rounds 9 --out straight --in-process --json")).done().json();
    let same = place.run("run --from a --rounds 9 --out b --json").done().json();
    assert_same(&same, &straight);
    assert_eq!(
        place.run_folder("b").lines("selection.jsonl"),
        place.run_folder("straight").lines("selection.jsonl")
    );

    let words = "run --from a --rounds 9 --set train.beta=0.01 --seed 5 --in-process --json";
    let other = place.run(words).done().json();
    assert_ne!(other["fingerprint"], straight["fingerprint"]);
    let fork = &other["forked"];
    assert_eq!((fork["round"].as_u64(), fork["from"].as_str()), (Some(6), place.path("a").to_str()));
    let changed = ["seed: 1 -> 5", "train.beta: 0.001 -> 0.01", "train.rounds: 6 -> 9"];
    assert_eq!(fork["changed"], serde_json::json!(changed));
    let folder = place.run_folder("runs/tiny-pom2dib-s5");
    assert_eq!(rounds(&folder), (0..9).collect::<Vec<u64>>());
    assert_eq!(learnt(&folder)[..6], learnt(&place.run_folder("a"))[..6]);
    assert_eq!(files(&place, "a"), before, "the first run stays as it is");

    for (words, line) in [
        ("--out c", "the new run is to have 6 in all: give more with --rounds"),
        ("--rounds 9 --out a", "a cannot become another run"),
        ("--rounds 9 --out a --force", "a cannot become another run"),
        ("--rounds 9 --out b", "b holds a run already"),
        ("--rounds 9 --out c --set network.feature_dim=8", "network.feature_dim: 4 -> 8 cannot change"),
        ("--rounds 9 --out c --set network.transmitters=3", "modalities of transmitters cannot change"),
    ] {
        place.run(&format!("run --from a {words}")).failed(2, &[line]);
    }
    place.run("run --from nowhere --rounds 9 --out c").failed(2, &["nowhere holds no run"]);
    place.run("run --from a --rounds 9 --out b --force --in-process").done();
    assert_eq!(files(&place, "a"), before);
}

#[test]
fn the_advice_after_a_store_failure_works() {
    let place = Place::new(PROGRAM);
    let words = "tiny.toml --rounds 100 --set checkpoint.every=0 --set checkpoint.store=safe --restarts 0";
    let quiet = place.run("run tiny.toml --rounds 100 --out quiet --in-process --json").done().json();

    // Before the first checkpoint, the right advice is to start again.
    let outcome = fail(&place, &format!("run {words} --out a"));
    let line = outcome.stderr.lines().last().expect("it complains");
    assert!(line.ends_with("then start it again, with --force") && !line.contains("--resume"), "{line}");
    assert_same(&place.run(&format!("run {words} --out a --force --json")).done().json(), &quiet);

    // Afterwards it is to continue.
    let run = begin(&place, &format!("run {words} --out a --force"));
    place.run("stop a").done();
    run.finish().done();
    let outcome = fail(&place, "run --resume a --restarts 0");
    follow(&place, &outcome).done();
    assert_eq!(place.run_folder("a").json("summary.json")["fingerprint"], quiet["fingerprint"]);
}

/// A run on a small disk of the test's own, which a checkpoint fills; then there is room, and the advice is followed.
const SMALL_DISK: &str = r#"
mkdir -p disk && mount -t tmpfs -o size="$SIZE" tmpfs disk || exit 99
"$PROGRAM" run $WORDS --out disk/a > first 2> first-errors
echo $? > status
mount -o remount,size=1g disk
words=$(sed -n 's/.*go on with: pom2dib //p' first-errors)
exec "$PROGRAM" ${words:-run $WORDS --out disk/a --force} --json
"#;

#[test]
fn the_advice_after_a_full_disk_works_once_there_is_room() {
    let place = Place::new(PROGRAM);
    let words = "tiny.toml --set checkpoint.every=2";
    let quiet = place.run(&format!("run {words} --out quiet --json")).done().json();
    let checkpoint = place.run_folder("quiet").checkpoints().pop().expect("it ends with one");
    let size = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
    let one: u64 = std::fs::read_dir(checkpoint).unwrap().map(size).sum();
    assert!(
        one > 1 << 20,
        "all else that a run writes fits beside half a checkpoint, and {one} bytes are few"
    );
    place.write("script.sh", SMALL_DISK);
    for (size, advice) in [
        (one / 2, "then start it again, with --force"),
        (one + one / 2, "then go on with: pom2dib run --resume disk/a"),
    ] {
        let variables = [("PROGRAM", PROGRAM), ("WORDS", words), ("SIZE", size.to_string().as_str())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let again = place.shell(variables, "exec unshare -rm sh script.sh").finish();
        if again.status.code() == Some(99) || again.stderr.starts_with("unshare:") {
            return eprintln!("skipped: this user may not mount a disk of the test's own");
        }
        let text = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
        let errors = text("first-errors");
        assert_eq!((text("status").trim(), text("first").as_str()), ("1", ""), "{errors}");
        let line = errors.lines().find(|line| line.starts_with("error: ")).expect("it complains");
        assert!(line.contains("No space left on device") && line.ends_with(advice), "{errors}");
        assert_same(&again.done().json(), &quiet);
    }
}

/// Starts a run in the folder a and pauses it in the middle.
fn begin(place: &Place, words: &str) -> Process {
    let _ = std::fs::remove_file(place.path("a/address"));
    let run = place.start(words);
    place.address("a");
    let before = place.run_folder("a").rounds();
    wait_until("some more rounds", PATIENCE, || place.run_folder("a").rounds() > before + 2);
    place.run("pause a").done();
    run
}

/// The end of a run whose store, the folder "safe", is gone when a checkpoint is due.
fn fail(place: &Place, words: &str) -> Outcome {
    let run = begin(place, words);
    let (safe, away) = (place.path("safe"), place.path("away"));
    std::fs::rename(&safe, &away).expect("it is there");
    place.write("safe", "a file where there should be a folder");
    place.run("stop a").done();
    let outcome = run.finish();
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    std::fs::remove_file(&safe).expect("it is there");
    std::fs::rename(&away, &safe).expect("it is there");
    outcome
}

/// Follows the advice in a run's last line: "... go on with: pom2dib ...".
fn follow(place: &Place, outcome: &Outcome) -> Outcome {
    let (_, words) = outcome.stderr.rsplit_once("go on with: pom2dib ").expect("it gives advice");
    place.run(words.trim())
}

fn rounds(folder: &RunFolder) -> Vec<u64> {
    folder.lines("metrics.jsonl").iter().map(|line| line["round"].as_u64().unwrap()).collect()
}

/// The log of a run without values that depend on the machine.
fn learnt(folder: &RunFolder) -> Vec<Value> {
    let bare = |mut line: Value| {
        let fields = line.as_object_mut().expect("a line is an object");
        fields.remove("seconds");
        fields.remove("work");
        fields["bytes"].as_object_mut().expect("so is this").remove("total");
        line
    };
    folder.lines("metrics.jsonl").into_iter().map(bare).collect()
}

/// Names and contents of all files under a folder except the lock, which names its owners.
fn files(place: &Place, name: &str) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![place.path(name)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be listed").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("lock") {
                found.push((path.display().to_string(), std::fs::read(&path).expect("it can be read")));
            }
        }
    }
    found.sort();
    found
}
