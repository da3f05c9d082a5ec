//! Sweeps and networks on a real Slurm, which the test starts: a controller and two nodes on this machine. Where it is
//! not installed, these tests say that they skip.

use harness::{Outcome, PATIENCE, Place, Process, Signal, Slurm, table_of_sweep, wait_until};

use crate::PROGRAM;

fn start(place: &Place, slurm: &Slurm, words: &str) -> Process {
    place.start_words([slurm.variable()], words.split_whitespace())
}

#[test]
fn a_sweep_loses_nothing_to_kills_preemption_time_limits_and_restarts() {
    let Some(mut slurm) = Slurm::start() else { return };
    let place = Place::new(PROGRAM);
    // Delays make rounds last without work: Slurm looks at time limits twice a minute.
    let points =
        "--seed 1..6 --rounds 400 --set checkpoint.every=5 --set link=[{delay=0.05}] --in-process --json";
    let local = place.start(&format!("sweep tiny.toml {points} --parallel 6 --out local"));
    let engine = "--on slurm --cores 1 --memory 300M --partition low --time 60 --notice 10";
    let first = start(&place, &slurm, &format!("sweep tiny.toml {points} --out far {engine}"));
    let folder = |task: usize| place.run_folder(&format!("far/seed={}", task + 1));
    let begun = |task: usize| !folder(task).checkpoints().is_empty();
    wait_until("all to have checkpoints", PATIENCE, || (0..6).all(begun));
    let job = place.run_folder("far/jobs").text("0001.id").trim().to_owned();
    let nodes: Vec<String> = (0..6)
        .map(|task| {
            slurm.say(&format!("squeue --noheader --format=%N --jobs={job}_{task}")).trim().to_owned()
        })
        .collect();
    let mut others = (0..6).filter(|task| nodes[*task] != nodes[5]);
    let (killed, late) = (others.next().expect("two nodes"), others.next().expect("of several tasks"));

    // One reaches its time limit, and a job of another partition takes the cores of all that are on the other node.
    slurm.order(&format!("scontrol update JobId={job}_{late} EndTime=now+2"));
    place.write("urgent.sh", "#!/bin/sh\nsleep 2\n");
    let script = place.path("urgent.sh");
    let words = "sbatch --partition=high --exclusive --output=/dev/null";
    slurm.order(&format!("{words} --nodelist={} {}", nodes[5], script.display()));
    let state =
        |task: usize| slurm.say(&format!("squeue --noheader --states=all --format=%T --jobs={job}_{task}"));
    wait_until("the preempted task to be back in the queue", PATIENCE, || state(5).contains("PENDING"));

    // The sweep is killed. Then one task is killed, and the controller; two sweeps take over while it is away.
    first.signal(Signal::Kill);
    first.finish().killed_by(Signal::Kill);
    slurm.order(&format!("scancel --signal=KILL {job}_{killed}"));
    wait_until("the end of the killed task", PATIENCE, || state(killed).contains("CANCELLED"));
    slurm.kill_controller();
    let again = [0, 1].map(|_| start(&place, &slurm, "sweep --resume far --json"));
    wait_until("the silence to be said", PATIENCE, || {
        again.iter().any(|sweep| sweep.stderr().contains("note: Slurm does not answer"))
    });
    slurm.restart_controller();

    let [one, other] = again.map(|sweep| sweep.finish_within(2 * PATIENCE).done());
    assert_eq!(one.json(), other.json());
    for task in 0..6 {
        assert_eq!(folder(task).rounds(), 400, "every round once");
    }
    let claims =
        |task: usize| (1..).take_while(|claim| folder(task).has(&format!("claims/{claim:06}"))).count();
    assert!([killed, late, 5].into_iter().all(|task| claims(task) >= 2), "killed, out of time, preempted");
    assert!(place.path("far/jobs/0002.id").exists(), "the killed one was submitted again");
    let said = one.stderr.clone() + &other.stderr;
    assert!(said.contains("jobs of this sweep are in Slurm already"), "{said}");
    // Slurm itself puts the preempted one back into the queue.
    assert!(!said.contains("seed=6: starting it again"), "{said}");
    assert_eq!(table_of_sweep(&other.json()), table_of_sweep(&local.finish().done().json()));
}

/// Words of a sweep whose delays make rounds last without work, in a folder.
fn lasting(seeds: &str, out: &str) -> String {
    let slow = "--rounds 150 --set checkpoint.every=5 --set link=[{delay=0.05}] --in-process --json";
    format!("sweep tiny.toml --seed {seeds} {slow} --out {out}")
}

const ENGINE: &str = "--on slurm --cores 1 --memory 300M --notice 10";

/// The number of the array that a sweep submitted.
fn array(place: &Place, out: &str, number: u32) -> String {
    let file = format!("{number:04}.id");
    wait_until("an array's number", PATIENCE, || place.path(&format!("{out}/jobs/{file}")).exists());
    place.run_folder(&format!("{out}/jobs")).text(&file).trim().to_owned()
}

fn wait_for_checkpoints(place: &Place, out: &str, seeds: &[u64]) {
    wait_until("checkpoints", 2 * PATIENCE, || {
        let begun = |seed: &u64| !place.run_folder(&format!("{out}/seed={seed}")).checkpoints().is_empty();
        seeds.iter().all(begun)
    });
}

/// Asserts that a sweep ended with these points cancelled, and the others done.
fn assert_cancelled(outcome: &Outcome, cancelled: &[(usize, String)]) {
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    for (at, point) in outcome.json()["points"].as_array().unwrap().iter().enumerate() {
        let job = cancelled.iter().find(|(point, _)| *point == at).map(|(_, job)| job);
        assert_eq!(point["status"], if job.is_some() { "cancelled" } else { "done" }, "{outcome}");
        let line = job.map(|job| format!("job {job} was cancelled; `pom2dib sweep --resume "));
        assert!(line.is_none_or(|line| point["error"].as_str().unwrap().starts_with(&line)), "{point}");
    }
    let line = format!("error: {} of ", cancelled.len());
    assert!(outcome.stderr.lines().last().is_some_and(|last| last.starts_with(&line)), "{outcome}");
}

#[test]
fn jobs_that_a_controller_lost_are_submitted_again_and_those_that_a_person_cancelled_are_not() {
    let Some(mut slurm) = Slurm::start() else { return };
    let place = Place::new(PROGRAM);
    let local = place.start(&(lasting("1..3", "local") + " --parallel 3"));

    // The controller loses its state, with two tasks at work and one that waits.
    let watch = start(&place, &slurm, &format!("{} {ENGINE} --parallel 2", lasting("1..3", "lost")));
    wait_for_checkpoints(&place, "lost", &[1, 2]);
    slurm.lose_state();
    let lost = watch.finish_within(4 * PATIENCE).done();
    let local = local.finish().done().json();
    assert_eq!(table_of_sweep(&lost.json()), table_of_sweep(&local));
    for seed in 1..=3 {
        assert_eq!(place.run_folder(&format!("lost/seed={seed}")).rounds(), 150, "every round once");
    }
    let again = lost.stderr.lines().filter(|line| line.contains("and then Slurm forgot it")).count();
    assert!(again == 3 && place.path("lost/jobs/0002.id").exists(), "{lost}");

    // A task that is killed alone is submitted again: Slurm calls it cancelled too. Then a person cancels both arrays.
    let watch = start(&place, &slurm, &format!("{} {ENGINE}", lasting("1..3", "left")));
    wait_for_checkpoints(&place, "left", &[1, 2, 3]);
    let first = array(&place, "left", 1);
    slurm.order(&format!("scancel --signal=KILL {first}_0"));
    let second = array(&place, "left", 2);
    slurm.order(&format!("scancel {first} {second}"));
    let left = watch.finish_within(2 * PATIENCE);
    let jobs = [format!("{second}_0"), format!("{first}_1"), format!("{first}_2")];
    assert_cancelled(&left, &jobs.into_iter().enumerate().collect::<Vec<_>>());
    let killed = format!("job {first}_0 on n");
    let again = left.stderr.lines().find(|line| line.contains("seed=1: starting it again")).unwrap();
    assert!(
        again.contains(&killed) && again.contains("ended (CANCELLED, exit ") && again.contains("(log "),
        "{left}"
    );
    let back = start(&place, &slurm, "sweep --resume left --json").finish_within(2 * PATIENCE).done();
    assert_eq!(table_of_sweep(&back.json()), table_of_sweep(&local));
}

#[test]
fn the_ends_of_jobs_that_slurm_has_forgotten_are_read_from_accounting() {
    let Some(mut slurm) = Slurm::with_accounting() else { return };
    let place = Place::new(PROGRAM);
    let local = place.start(&(lasting("1..3", "local") + " --parallel 3"));

    // While the watch is suspended, one task is killed, and a person cancels the others, of which one has not begun.
    let watch = start(&place, &slurm, &format!("{} {ENGINE} --parallel 2", lasting("1..3", "far")));
    wait_for_checkpoints(&place, "far", &[1, 2]);
    let first = array(&place, "far", 1);
    watch.signal(Signal::Stop);
    slurm.order(&format!("scontrol hold {first}_2"));
    slurm.order(&format!("scancel --signal=KILL --batch {first}_0"));
    let accounts = || {
        slurm.say(&format!("sacct --allocations --noheader --parsable2 --jobs={first} --format=JobID,State"))
    };
    wait_until("the end of the killed task", PATIENCE, || accounts().contains(&format!("{first}_0|FAILED")));
    slurm.order(&format!("scancel {first}"));
    wait_until("Slurm to forget the array", PATIENCE, || {
        slurm.say("squeue --noheader --states=all").trim().is_empty()
    });
    watch.signal(Signal::Continue);
    let outcome = watch.finish_within(2 * PATIENCE);
    assert_cancelled(&outcome, &[(1, format!("{first}_1")), (2, format!("{first}_2"))]);
    let again = outcome.stderr.lines().find(|line| line.contains("seed=1: starting it again")).unwrap();
    assert!(
        again.contains(&format!("job {first}_0 on n")) && again.contains("(FAILED, exit 0:9)"),
        "{outcome}"
    );

    // A controller without its state cancels what it has lost, by accounting. Nobody else did.
    let watch = start(&place, &slurm, "sweep --resume far --json");
    array(&place, "far", 3);
    let at_work = || slurm.say("squeue --noheader --states=running").lines().count() == 2;
    wait_until("both to be at work", PATIENCE, at_work);
    slurm.lose_state();
    let outcome = watch.finish_within(4 * PATIENCE).done();
    assert_eq!(outcome.stderr.matches("starting it again").count(), 2, "{outcome}");
    assert_eq!(table_of_sweep(&outcome.json()), table_of_sweep(&local.finish().done().json()));
}

#[test]
fn a_network_of_seven_processes_on_two_nodes_has_the_fingerprint_of_one_machine() {
    let Some(slurm) = Slurm::start() else { return };
    let place = Place::new(PROGRAM);
    let run = "tiny.toml --rounds 100 --set checkpoint.every=5 --set link=[{delay=0.05}] --set network.transmitters=3 --set network.receivers=3";
    let words = format!(
        "run {run} --out far --json --on slurm --nodes 2 --cores 2 --memory 500M --time 10 --notice 10"
    );
    let watch = start(&place, &slurm, &words);
    let folder = place.run_folder("far");
    wait_until("a checkpoint", PATIENCE, || !folder.checkpoints().is_empty());
    let roles = |rank: &str| -> Vec<String> {
        let mut roles: Vec<String> = place.running().into_iter().map(|process| process.role).collect();
        roles.retain(|role| role.ends_with(rank));
        roles
    };
    assert_eq!((roles(" 0").len(), roles(" 1").len(), roles(" 2").len()), (2, 2, 2), "{:?}", place.running());

    // Nobody else reads the token, and both nodes have a process of the job.
    let mode = std::fs::metadata(place.path("far/machines/token")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    assert!(slurm.say("squeue --noheader --format=%N").contains("n[1-2]"));

    // Put back into the queue, the network goes on from its checkpoint; the watch is interrupted, and comes back.
    watch.signal(Signal::Interrupt);
    let left = watch.finish();
    assert_eq!(left.status.code(), Some(1), "{left}");
    assert!(left.stderr.contains("come back with: pom2dib run --on slurm --resume "), "{left}");
    let job = place.run_folder("far/cluster/jobs").text("0001.id").trim().to_owned();
    slurm.order(&format!("scontrol requeue {job}_0"));
    let back = start(&place, &slurm, "run --resume far --on slurm --nodes 2 --cores 2 --memory 500M --json")
        .finish()
        .done();
    assert!(!place.path("far/cluster/jobs/0002.sh").exists(), "the job was found");
    assert!(folder.has("claims/000002"));
    let local = place.run(&format!("run {run} --out local --json")).done().json();
    assert_eq!(back.json()["fingerprint"], local["fingerprint"]);
    assert_eq!(folder.rounds(), 100);
}

#[test]
fn a_node_without_the_program_and_a_folder_that_vanishes_are_named_with_job_and_log() {
    let Some(slurm) = Slurm::start() else { return };
    let place = Place::new(PROGRAM);
    let sweep = "sweep tiny.toml --seed 1,2 --rounds 2 --in-process";
    let engine = "--on slurm --cores 1 --memory 300M --engine-option=--hold";

    // The program is removed after the jobs were submitted.
    std::fs::copy(PROGRAM, place.path("program")).unwrap();
    let words = format!("{sweep} --out s {engine}");
    let script = format!("exec ./program {words}");
    let held = place.shell([slurm.variable()], &script);
    wait_until("a job", PATIENCE, || place.path("s/jobs/0001.id").exists());
    std::fs::remove_file(place.path("program")).unwrap();
    let job = place.run_folder("s/jobs").text("0001.id").trim().to_owned();
    slurm.order(&format!("scontrol release {job}"));
    let outcome = held.finish();
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let said = format!("seed=2 failed: job {job}_1 on n");
    let log = place.path("s/jobs/0001-1.log");
    for part in [said.as_str(), "ended (FAILED, exit 127:0)", "not found", &log.display().to_string()] {
        assert!(outcome.stdout.contains(part), "{part}: {outcome}");
    }

    // A node has another version: the point says that it was planned by one.
    let held = start(&place, &slurm, &format!("{sweep} --out v {engine}"));
    let job = array(&place, "v", 1);
    let file = place.path("v/seed=1/point.json");
    let own = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&own), "{text}");
    std::fs::write(&file, text.replace(&own, "\"version\": \"9.9.9\"")).unwrap();
    slurm.order(&format!("scontrol release {job}"));
    let outcome = held.finish();
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let line = outcome.stdout.lines().find(|line| line.starts_with("seed=1 failed: n")).unwrap();
    let log = place.path("v/seed=1/stderr.log");
    for part in [
        "by version 9.9.9",
        "install the same on all nodes",
        &format!("(job {job}_0 on n"),
        &log.display().to_string(),
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }

    // The sweep's folder is gone.
    let words = format!("{sweep} --out t {engine}");
    let held = start(&place, &slurm, &words);
    wait_until("a job", PATIENCE, || place.path("t/jobs/0001.id").exists());
    std::fs::rename(place.path("t"), place.path("u")).unwrap();
    let outcome = held.finish();
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("t/seed=1: the sweep's folder is gone") && last.contains("--resume"), "{outcome}");
    let job = place.run_folder("u/jobs").text("0001.id").trim().to_owned();
    slurm.order(&format!("scancel {job}"));

    // A script that is only printed, submitted by hand, is found.
    let printed =
        start(&place, &slurm, &format!("{sweep} --out p --on slurm --cores 1 --memory 300M --print"));
    let printed = printed.finish().done();
    assert!(printed.stdout.starts_with("#!/bin/sh\n#SBATCH --job-name=pom2dib-"), "{printed}");
    let script = place.path("p/jobs/0001.sh");
    assert_eq!(std::fs::read_to_string(&script).unwrap(), printed.stdout);
    slurm.order(&format!("sbatch {}", script.display()));
    let words = format!("{sweep} --out p --on slurm --cores 1 --memory 300M");
    let outcome = start(&place, &slurm, &words).finish().done();
    assert!(!place.path("p/jobs/0002.sh").exists(), "{outcome}");
}
