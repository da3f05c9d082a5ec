//! A sweep whose points a command starts: the table equals that of the sweep on this machine, and nothing runs twice or
//! is lost, whoever is killed meanwhile.

use harness::{PATIENCE, Place, Process, Signal, table_of_sweep, wait_until};
use serde_json::Value;

use crate::PROGRAM;

/// Words of a sweep, of which the command of `--on` may have spaces.
fn start(place: &Place, words: &str, on: &[&str]) -> Process {
    let words = words.split_whitespace().chain(on.iter().copied());
    place.start_words([], words)
}

#[test]
fn a_command_starts_every_point_once_and_the_table_is_that_of_this_machine() {
    let place = Place::new(PROGRAM);
    let points = "--set train.beta=0,1e-3 --seed 1,2 --rounds 4 --in-process --json";
    let local = place.run(&format!("sweep tiny.toml {points} --out local")).done().json();

    // Like ssh: the command runs the point, on one of two hosts that have one point each at a time.
    let on = ["--on", "echo {host} {number} {name} >> hosts; {command} 2> {log}", "--hosts", "one,two"];
    let words = format!("sweep tiny.toml {points} --out far");
    let far = start(&place, &words, &on).finish().done();
    assert_eq!(table_of_sweep(&far.json()), table_of_sweep(&local));
    assert!(far.stderr.contains("4 points in "), "{far}");
    let hosts = std::fs::read_to_string(place.path("hosts")).unwrap();
    assert!(hosts.lines().count() == 4 && hosts.contains("one 0 train.beta=0,seed=1\n"), "{hosts}");
    assert!(hosts.contains("two 1 "), "{hosts}");
    let folder = place.run_folder("far/train.beta=0,seed=2");
    let done = folder.json("done.json");
    assert_eq!((&done["status"], &done["claim"], &done["rounds"]), (&"done".into(), &1.into(), &4.into()));

    // Like qsub: the command ends at once. Two more points; those that are there are not started again.
    let on = ["--on", "(sleep 0.5; {command}) > /dev/null 2>&1 & echo queued {number} >> queue"];
    let more = format!("{} --parallel 1", words.replace("--seed 1,2", "--seed 1..3"));
    let more = start(&place, &more, &on).finish().done();
    assert!(more.stderr.contains("6 points in ") && more.stderr.contains("4 done already"), "{more}");
    assert_eq!(std::fs::read_to_string(place.path("queue")).unwrap(), "queued 2\nqueued 5\n");
    assert_eq!(more.json()["points"][5]["status"], "done");

    // What --print prints can be started by hand, and --resume finds it done.
    let on = ["--on", "nice {command}", "--print"];
    let printed = start(&place, &words.replace("--out far", "--out printed"), &on).finish().done();
    let lines: Vec<&str> = printed.stdout.lines().collect();
    assert!(lines.len() == 4 && lines.iter().all(|line| line.starts_with("nice ")), "{printed}");
    assert!(!place.path("printed/train.beta=0,seed=1/metrics.jsonl").exists());
    for line in lines {
        let line = line.strip_prefix("nice ").unwrap().split_once(' ').unwrap().1;
        place.run(line).done();
    }
    let again = place.run(&format!("sweep tiny.toml {points} --out printed")).done();
    assert!(again.stderr.contains("4 done already"), "{again}");
    assert_eq!(table_of_sweep(&again.json()), table_of_sweep(&local));
    place.assert_all_gone();
}

#[test]
fn killed_sweeps_and_points_lose_nothing_and_two_sweeps_in_one_folder_run_nothing_twice() {
    let place = Place::new(PROGRAM);
    // Delays make rounds last without work.
    let points =
        "--seed 1..3 --rounds 60 --set checkpoint.every=5 --set link=[{delay=0.05}] --in-process --json";
    let local = place.start(&format!("sweep tiny.toml {points} --parallel 3 --out local"));
    let on = ["--on", "{command}"];
    let first = start(&place, &format!("sweep tiny.toml {points} --out far"), &on);
    let folder = |seed: u64| place.run_folder(&format!("far/seed={seed}"));
    wait_until("all to have checkpoints", PATIENCE, || {
        (1..=3).all(|seed| !folder(seed).checkpoints().is_empty())
    });
    first.signal(Signal::Kill);
    first.finish().killed_by(Signal::Kill);

    // The points go on without it. One is killed with all its processes, one is told to end.
    let owner = |seed: u64| folder(seed).json("claims/000001")["pid"].as_u64().unwrap();
    signal(owner(1), "KILL");
    signal(owner(2), "TERM");
    let again = [0, 1].map(|_| place.start("sweep --resume far --json"));
    let [one, other] = again.map(|sweep| sweep.finish().done());
    assert_eq!(table_of_sweep(&one.json()), table_of_sweep(&local.finish().done().json()));
    assert_eq!(one.json(), other.json());
    let waited =
        [&one, &other].iter().filter(|outcome| outcome.stderr.contains("waiting for process ")).count();
    assert_eq!(waited, 1, "{one}\n{other}");
    for seed in 1..=3 {
        assert_eq!(folder(seed).rounds(), 60, "every round once");
        assert_eq!(folder(seed).has("claims/000002"), seed != 3, "the third was disturbed by nobody");
        assert!(!folder(seed).has("claims/000003"));
    }
    // Who comes late finds nothing to do.
    place.run("point far/seed=1").done();
    place.assert_all_gone();
}

#[test]
fn what_cannot_start_a_point_is_said_in_one_line_with_its_log() {
    let place = Place::new(PROGRAM);
    let words = "sweep tiny.toml --seed 1,2 --rounds 2 --in-process --out s";
    let refused = |on: &[&str], expected: &[&str]| start(&place, words, on).finish().failed(2, expected);
    refused(&["--on", "slrum"], &["--on slrum: write slurm, kubernetes, or a command"]);
    refused(&["--on", "slurm"], &["--on slurm submits by sbatch", "sbatch"]);
    place.run("sweep --resume s").failed(2, &["s holds no sweep", "plan.json"]);
    place.run("sweep --cores 2").failed(2, &["--on"]);
    place.run("point s").failed(1, &["no folder of a sweep's point", "storage"]);
    place.run("point --list nowhere --index 0").failed(2, &["nowhere"]);

    // A job asks for the GPUs that are named.
    let print = |on: &str, device: &str| {
        start(&place, &words.replace("--out s", "--out g"), &["--on", on, "--print", "--device", device])
    };
    for (device, gpus) in [("cpu", 0), ("cuda:1", 2)] {
        let printed = print("submit {gpus} {command}", device).finish().done();
        assert!(printed.stdout.starts_with(&format!("submit {gpus} ")), "{printed}");
    }

    // A program that is not there is not tried again; a host that does not answer, a few times.
    let missing = start(&place, words, &["--on", "no-such-launcher {command}"]).finish();
    assert_eq!(missing.status.code(), Some(1), "{missing}");
    assert!(
        missing.stdout.contains("seed=1 failed: the command of --on ended (exit status: 127)"),
        "{missing}"
    );
    assert!(missing.stdout.contains("launch.log)"), "{missing}");
    let down = ["--on", "echo no route to host >&2; false {command}", "--attempts", "2"];
    let down = start(&place, words, &down).finish();
    assert!(
        down.stdout.contains(": no route to host (log ")
            && down.stdout.contains("started 2 times in a row without a new checkpoint"),
        "{down}"
    );

    // A point of another version.
    let job = place.run_folder("s/seed=1").json("point.json");
    let other =
        Value::from_iter(job.as_object().unwrap().iter().map(|(key, value)| {
            (key.clone(), if key == "version" { "9.9.9".into() } else { value.clone() })
        }));
    place.write("s/seed=1/point.json", other.to_string());
    let outcome = place.run("point s/seed=1");
    outcome.failed(1, &["seed=1: ", "made by version 9.9.9", "install the same on all nodes"]);
    assert_eq!(place.run_folder("s/seed=1").json("done.json")["status"], "failed");
}

/// A small disk of the test's own, which is filled while a point runs.
const FULL_DISK: &str = "
mkdir disk && mount -t tmpfs -o size=24m tmpfs disk || exit 99
sweep='--rounds 60 --set checkpoint.every=5 --set link=[{delay=0.05}] --in-process --out disk/s --attempts 1'
\"$PROGRAM\" sweep tiny.toml --seed 1 $sweep --on '{command}' > first 2> first-errors &
until ls disk/s/run/checkpoints/*/manifest.json > /dev/null 2>&1; do sleep 0.1; done
cat /dev/zero > disk/filler 2> /dev/null
wait $!
echo $? > status
rm disk/filler
exec \"$PROGRAM\" sweep --resume disk/s --json
";

#[test]
fn a_full_disk_is_named_with_the_log_and_the_sweep_goes_on_once_there_is_room() {
    let place = Place::new(PROGRAM);
    place.write("script.sh", FULL_DISK);
    let variables = [("PROGRAM".to_owned(), PROGRAM.to_owned())];
    let back = place.shell(variables, "exec unshare -rm sh script.sh").finish();
    if back.status.code() == Some(99) || back.stderr.starts_with("unshare:") {
        return eprintln!("skipped: this user may not mount a disk of the test's own");
    }
    let text = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    let (said, errors) = (text("first"), text("first-errors"));
    assert_eq!(text("status"), "1\n", "{said}{errors}");
    let line = said.lines().find(|line| line.starts_with("run failed: "));
    let line = line.unwrap_or_else(|| panic!("{said}{errors}"));
    // The run says so, or where it could not, the process that started it.
    assert!(line.contains("No space left on device") || line.contains("is full: make room there"), "{line}");
    let log = format!("log {}", place.path("disk/s/run/stderr.log").display());
    assert!(line.contains(&log) && !line.contains("it was killed"), "{line}");
    let point = &back.done().json()["points"][0];
    assert_eq!((&point["status"], &point["rounds"]), (&"done".into(), &60.into()));
}

/// Sends a signal to a process by its number.
fn signal(pid: u64, name: &str) {
    let status = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(status.unwrap().success());
}
