//! Thousands of schedules of faults. Safety: no two results for one round, no lost committed checkpoint. Liveness:
//! after the faults the run ends, with the result of an undisturbed run.
//!
//! The gate tries the same schedules every time, and new ones for a minute: their base is printed.
//! `POM2DIB_SCHEDULES=10000` tries this many instead, half of them wide; `POM2DIB_SCHEDULE=17` tries that one, and
//! prints its events; `POM2DIB_EXPLORE=600` tries new ones for this many seconds, from `POM2DIB_BASE` if given.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pom2dib_simulation::{SERVICES, Trial, WIDE, try_schedule};

/// Schedules in the gate, narrow and wide.
const SCHEDULES: u64 = 300;
const WIDE_SCHEDULES: u64 = 100;

/// Schedules beyond these that have found a fault.
const FOUND: [u64; 5] = [4127, WIDE + 3797, WIDE + 4786, WIDE + 1_840_127_281, WIDE + 1_840_128_665];

/// Schedules of services in the gate.
const SERVICE_SCHEDULES: u64 = 80;

/// Number of narrow ones that are run twice.
const REPLAYED: u64 = 30;

/// Seconds for new ones in the gate.
const EXPLORE: u64 = 60;

/// Interval between progress lines.
const PROGRESS: Duration = Duration::from_secs(30);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn whatever_fails_a_run_tells_one_truth_and_ends_when_the_faults_do() {
    if let Some(seed) = number("POM2DIB_SCHEDULE") {
        node::log_to_stderr();
        let trial = try_schedule(seed);
        trial.log.iter().for_each(|line| println!("{line}"));
        assert!(trial.violations.is_empty(), "schedule {seed}: {:#?}", trial.violations);
        return;
    }
    let seeds: Vec<u64> = match number("POM2DIB_SCHEDULES") {
        Some(all) => (0..all - all / 2).chain(WIDE..WIDE + all / 2).collect(),
        None => (0..SCHEDULES).chain(WIDE..WIDE + WIDE_SCHEDULES).chain(FOUND).collect(),
    };
    judge(&try_schedules(|at| seeds.get(at as usize).copied(), Some(seeds.len() as u64)));
}

#[test]
fn whatever_fails_a_service_answers_every_sample_once_and_in_order_or_names_it() {
    if number("POM2DIB_SCHEDULE").is_some() {
        return;
    }
    let all = number("POM2DIB_SCHEDULES").unwrap_or(SERVICE_SCHEDULES);
    let trials = try_schedules(|at| (at < all).then(|| SERVICES + at), Some(all));
    judge(&trials);
    assert!(trials.iter().all(|trial| trial.answers > 0), "every service has answered");
}

#[test]
fn so_it_is_with_schedules_that_nobody_has_tried() {
    if number("POM2DIB_SCHEDULE").or(number("POM2DIB_SCHEDULES")).is_some() {
        return;
    }
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let base = number("POM2DIB_BASE").unwrap_or(clock % (1 << 31));
    println!("base {base}: POM2DIB_BASE={base} tries the same schedules");
    let end = Instant::now() + Duration::from_secs(number("POM2DIB_EXPLORE").unwrap_or(EXPLORE));
    // Every fourth is narrow, every eighth of a service.
    let seed = |at: u64| match at % 8 {
        0 | 4 => base + at,
        2 => SERVICES + base + at,
        _ => WIDE + base + at,
    };
    judge(&try_schedules(|at| (Instant::now() < end).then(|| seed(at)), None));
}

#[test]
fn the_same_schedule_brings_the_same_events() {
    let replayed = number("POM2DIB_REPLAYS").unwrap_or(REPLAYED);
    let services = SERVICES..SERVICES + replayed / 3;
    for seed in (0..replayed).chain(WIDE..WIDE + replayed / 3).chain(services) {
        let (once, again) = (try_schedule(seed), try_schedule(seed));
        let differs = once.log.iter().zip(&again.log).find(|(once, again)| once != again);
        assert_eq!(differs, None, "schedule {seed}");
        assert_eq!(once.log.len(), again.log.len(), "schedule {seed}");
    }
}

/// Tries schedules on all cores: those with the numbers `seed(0)`, `seed(1)`, ..., until it returns none.
fn try_schedules(seed: impl Fn(u64) -> Option<u64> + Sync, all: Option<u64>) -> Vec<Trial> {
    let (start, next, told) = (Instant::now(), AtomicU64::new(0), Mutex::new(Instant::now()));
    let (done, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut trials = Vec::new();
        while let Some(seed) = seed(next.fetch_add(1, Ordering::Relaxed)) {
            let trial = try_schedule(seed);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if !trial.violations.is_empty() {
                failed.fetch_add(1, Ordering::Relaxed);
                println!("schedule {seed}: {}", trial.violations.join("; "));
            }
            let mut told = told.lock().expect("nobody panics with it");
            if told.elapsed() > PROGRESS {
                *told = Instant::now();
                let of = all.map(|all| format!(" of {all}")).unwrap_or_default();
                let (seconds, failed) = (start.elapsed().as_secs(), failed.load(Ordering::Relaxed));
                println!("{done}{of} schedules after {seconds} s, {failed} failed");
            }
            trials.push(Trial { log: Vec::new(), ..trial });
        }
        trials
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut trials: Vec<Trial> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a trial catches panics")).collect()
    });
    trials.sort_by_key(|trial| trial.seed);
    report(&trials, start);
    trials
}

/// Asserts that none has failed; otherwise says how to repeat the first failure.
fn judge(trials: &[Trial]) {
    let mut failed = trials.iter().filter(|trial| !trial.violations.is_empty()).peekable();
    let Some(Trial { seed, .. }) = failed.peek() else { return };
    let again =
        format!("POM2DIB_SCHEDULE={seed} cargo test --release -p pom2dib-simulation whatever -- --nocapture");
    panic!("{} of {} schedules failed; see the first again with\n{again}", failed.count(), trials.len());
}

fn report(trials: &[Trial], start: Instant) {
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in trials.iter().flat_map(|trial| &trial.faults) {
        *faults.entry(name).or_default() += count;
    }
    let total = |of: fn(&Trial) -> f64| trials.iter().map(of).sum::<f64>();
    println!(
        "{} schedules in {:.1} s, {:.1} h simulated, {} faults, {} incarnations, longest recovery {:.1} s, {} lines of answers",
        trials.len(),
        start.elapsed().as_secs_f64(),
        total(|trial| trial.simulated.as_secs_f64()) / 3600.0,
        faults.values().sum::<u64>(),
        total(|trial| trial.incarnations as f64),
        trials.iter().map(|trial| trial.recovery.as_secs_f64()).fold(0.0, f64::max),
        trials.iter().map(|trial| trial.answers).sum::<u64>(),
    );
    faults.iter().for_each(|(name, count)| println!("{count:>7} {name}"));
}
