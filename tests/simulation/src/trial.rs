//! Runs one schedule and compares it with the undisturbed run of the same shape.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use coordinator::Summary;
use serde_json::Value;

use crate::{
    ledger::{Host, Ledger, Record},
    plan::{Plan, SERVICES, Shape},
    serving,
    world::{self, Ended},
};

/// The result of a schedule.
pub struct Trial {
    /// The schedule's number.
    pub seed: u64,
    /// All events, line by line, in simulated seconds.
    pub log: Vec<String>,
    /// Violations: none if all is well.
    pub violations: Vec<String>,
    /// How often each kind of fault happened, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// The number of incarnations.
    pub incarnations: u64,
    /// The lines of its service's answers, if it was served.
    pub answers: u64,
    /// Its duration in simulated time.
    pub simulated: Duration,
    /// The part of it after the last fault.
    pub recovery: Duration,
}

/// The results of an undisturbed run.
struct Undisturbed {
    truth: BTreeMap<(Host, u64), u64>,
    summary: Summary,
    metrics: Vec<Value>,
    selection: Vec<Value>,
}

thread_local! {
    /// The panics of this thread since the last check.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs the schedule of that number.
pub fn try_schedule(seed: u64) -> Trial {
    watch_panics();
    if seed >= SERVICES {
        return try_service(seed);
    }
    let plan = Plan::draw(seed);
    let undisturbed = undisturbed(plan.shape);
    let ledger = match plan.shape.skips {
        true => Ledger::of_skipping(),
        false => Ledger::with_truth(undisturbed.truth.clone()),
    };
    let ended = simulate(&plan, &ledger);
    if let Some(ended) = &ended {
        compare(ended, &undisturbed, plan.shape.skips, &ledger);
    }
    trial(seed, &mut ledger.record(), ended.as_ref())
}

/// What has become of a schedule.
fn trial(seed: u64, record: &mut Record, ended: Option<&Ended>) -> Trial {
    for panic in PANICS.take() {
        record.violation(format_args!("a panic: {panic}"));
    }
    Trial {
        seed,
        log: std::mem::take(&mut record.log),
        violations: std::mem::take(&mut record.violations),
        incarnations: record.incarnations(),
        answers: record.stream.lines.len() as u64,
        faults: ended.map(|ended| ended.faults.clone()).unwrap_or_default(),
        simulated: ended.map(|ended| ended.simulated).unwrap_or_default(),
        recovery: ended.map(|ended| ended.recovery).unwrap_or_default(),
    }
}

/// Runs the schedule of a service of that number.
fn try_service(seed: u64) -> Trial {
    let plan = Plan::draw_service(seed);
    let ledger = Ledger::default();
    let ended = simulate(&plan, &ledger);
    let mut record = ledger.record();
    if let Some(summary) = ended.as_ref().and_then(|ended| ended.served.as_ref()) {
        for wrong in serving::judge(&plan, &record.stream, summary) {
            record.violation(wrong);
        }
    }
    trial(seed, &mut record, ended.as_ref())
}

/// The undisturbed run of a shape; each is run once.
fn undisturbed(shape: Shape) -> Arc<Undisturbed> {
    static KNOWN: Mutex<BTreeMap<Shape, Arc<Undisturbed>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().expect("nobody panics with it");
    known.entry(shape).or_insert_with(|| run_undisturbed(shape).into()).clone()
}

fn run_undisturbed(shape: Shape) -> Undisturbed {
    let ledger = Ledger::default();
    let ended = simulate(&Plan::undisturbed(shape), &ledger).expect("an undisturbed run ends");
    let mut record = ledger.record();
    assert!(record.violations.is_empty(), "{shape:?}: {:#?}", record.log);
    assert_eq!(record.last_committed(), shape.rounds);
    Undisturbed {
        truth: std::mem::take(&mut record.truth),
        summary: ended.summary.expect("it has a summary"),
        metrics: ended.metrics.iter().map(|line| essence(line)).collect(),
        selection: ended.selection.iter().map(|line| essence(line)).collect(),
    }
}

/// Runs a plan in a folder of its own, in memory if the system supports it.
fn simulate(plan: &Plan, ledger: &Ledger) -> Option<Ended> {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = tempfile::tempdir_in(place).expect("there is room for a folder");
    let ended = catch_unwind(AssertUnwindSafe(|| world::run(plan, ledger, folder.path()))).ok();
    // The same schedule gives the same lines, in any folder.
    let place = folder.path().display().to_string();
    for line in &mut ledger.record().log {
        *line = line.replace(&place, "DIR");
    }
    ended
}

/// The run's end must equal that of the undisturbed one, and its logs must contain each round once. If receivers
/// continue without late entries, results depend on the faults; if a log was damaged, so does its content.
fn compare(ended: &Ended, undisturbed: &Undisturbed, skips: bool, ledger: &Ledger) {
    let Some(summary) = &ended.summary else { return };
    if summary.fingerprint != undisturbed.summary.fingerprint && !skips {
        ledger.violation("the run ends with another fingerprint than undisturbed");
    }
    if summary.test != undisturbed.summary.test && !skips {
        ledger.violation("the run ends with other scores than undisturbed");
    }
    let told = |summary: &Summary| (summary.rounds, if skips { 0 } else { summary.wire.feature_bytes });
    if told(summary) != told(&undisturbed.summary) {
        ledger.violation("the summary tells of other rounds than undisturbed");
    }
    if ledger.record().logs_damaged {
        return;
    }
    for (name, lines, expected) in [
        ("metrics.jsonl", &ended.metrics, &undisturbed.metrics),
        ("selection.jsonl", &ended.selection, &undisturbed.selection),
    ] {
        let of = |line: &Value| if skips { line["round"].clone() } else { line.clone() };
        let lines: Vec<Value> = lines.iter().map(|line| of(&essence(line))).collect();
        if lines != expected.iter().map(of).collect::<Vec<Value>>() {
            let rounds: Vec<&Value> = lines.iter().map(|line| line.get("round").unwrap_or(line)).collect();
            ledger.violation(format_args!("{name} tells of other rounds than undisturbed: {rounds:?}"));
        }
    }
}

/// A line of a log without the values that may differ: duration and framing.
fn essence(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(line) = line.as_object_mut() {
        ["seconds", "work", "bytes"].iter().for_each(|name| drop(line.remove(*name)));
    }
    line
}

/// Records the panics of every thread of this process; tasks would swallow them.
fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            before(panic);
        }));
    });
}
