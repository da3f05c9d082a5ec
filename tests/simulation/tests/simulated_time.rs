//! Thousands of schedules of faults: safety (never two truths about a round, never a lost committed checkpoint), then
//! liveness (when the faults stop, the run ends, and with what an undisturbed run ends with).
//!
//! `POM2DIB_SCHEDULES=3000` tries so many schedules; `POM2DIB_SCHEDULE=17` tries that one, and prints what happens in it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use pom2dib_simulation::{Trial, try_schedule};

/// Schedules in the gate.
const SCHEDULES: u64 = 300;

/// Of those, how many are run again.
const REPLAYED: u64 = 30;

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
    let schedules = number("POM2DIB_SCHEDULES").unwrap_or(SCHEDULES);
    let start = Instant::now();
    let trials = try_schedules(schedules);
    report(&trials, start);
    let failed: Vec<&Trial> = trials.iter().filter(|trial| !trial.violations.is_empty()).collect();
    for trial in &failed {
        println!("schedule {}: {}", trial.seed, trial.violations.join("; "));
    }
    let first = failed.first().map(|trial| {
        let seed = trial.seed;
        format!("POM2DIB_SCHEDULE={seed} cargo test --release -p pom2dib-simulation whatever -- --nocapture")
    });
    assert!(
        failed.is_empty(),
        "{} of {schedules} schedules failed; see the first again with\n{first:?}",
        failed.len()
    );
}

#[test]
fn the_same_schedule_brings_the_same_events() {
    for seed in 0..number("POM2DIB_REPLAYS").unwrap_or(REPLAYED) {
        let (once, again) = (try_schedule(seed), try_schedule(seed));
        let differs = once.log.iter().zip(&again.log).find(|(once, again)| once != again);
        assert_eq!(differs, None, "schedule {seed}");
        assert_eq!(once.log.len(), again.log.len(), "schedule {seed}");
    }
}

/// Tries so many schedules, on all cores.
fn try_schedules(count: u64) -> Vec<Trial> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut trials = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return trials;
            }
            trials.push(try_schedule(seed));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut trials: Vec<Trial> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a trial catches panics")).collect()
    });
    trials.sort_by_key(|trial| trial.seed);
    trials
}

fn report(trials: &[Trial], start: Instant) {
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in trials.iter().flat_map(|trial| &trial.faults) {
        *faults.entry(name).or_default() += count;
    }
    let total = |of: fn(&Trial) -> f64| trials.iter().map(of).sum::<f64>();
    println!(
        "{} schedules in {:.1} s, {:.1} h simulated, {} faults, {} incarnations, longest recovery {:.1} s",
        trials.len(),
        start.elapsed().as_secs_f64(),
        total(|trial| trial.simulated.as_secs_f64()) / 3600.0,
        faults.values().sum::<u64>(),
        total(|trial| trial.incarnations as f64),
        trials.iter().map(|trial| trial.recovery.as_secs_f64()).fold(0.0, f64::max),
    );
    faults.iter().for_each(|(name, count)| println!("{count:>7} {name}"));
}
