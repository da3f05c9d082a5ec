//! `pom2dib bench`: how fast this machine could be, how fast the program is, and where the time goes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, bail};
use coordinator::ScenarioArguments;
use scenario::Scenario;
use serde::{Deserialize, Serialize};

use crate::{flops, peak};

/// Rounds at the start of a run that are not counted: caches are cold, and memory is being asked for.
const WARM_UP: usize = 10;

/// Measure the matrix-product peak of this machine, the time of a round in one process and in several, and the share
/// of the peak that a round reaches.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// How often each way of running is timed; they take turns
    #[arg(long, default_value_t = 2, value_name = "N")]
    turns: usize,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the benchmark found. Seconds and floating-point operations a second.
#[derive(Serialize)]
struct Report {
    cores: usize,
    /// Square products of 1024, f32: one core, and all of them at once.
    peak_one_core: f64,
    peak_all_cores: f64,
    /// Products at the shapes of the scenario, one core.
    peak_at_shapes: Vec<peak::Shape>,
    entries_per_tick: f64,
    /// Necessary operations of a round.
    operations: f64,
    runs: Vec<Timed>,
}

/// One way of running.
#[derive(Serialize)]
struct Timed {
    name: &'static str,
    rounds: usize,
    median_seconds: f64,
    /// First and last decile.
    spread: [f64; 2],
    /// Necessary operations over what all cores' peak could do in the median time.
    efficiency: f64,
    /// Seconds of a round, all nodes together, by kind of work.
    work: BTreeMap<String, f64>,
    bytes_per_round: f64,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match measure(arguments) {
        Ok(report) => {
            if arguments.json {
                println!(
                    "{}",
                    serde_json::to_string(&report).expect("a report has only strings and numbers")
                );
            } else {
                print_report(&report);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut scenario = arguments.scenario.clone();
    scenario.rounds = scenario.rounds.or(Some(60));
    scenario.set.push("evaluation.passes=1".into());
    let resolved = scenario.resolve()?;
    let info = data::info(&node::data_source(&resolved, None)?)?;
    eprintln!("measuring the matrix-product peak");
    let cores = std::thread::available_parallelism()?.get();
    let (peak_one_core, peak_all_cores) = (peak::square(1), peak::square(cores));
    let peak_at_shapes = peak::at_shapes(&resolved);
    let runs = take_turns(arguments.turns, &scenario)?;
    let entries_per_tick = runs[0].1[0].entries_per_tick();
    let operations = flops::round(&resolved, &info, &runs[0].1[0].granted());
    let timed = |(name, runs): &(&'static str, Vec<Logged>)| timed(name, runs, operations / peak_all_cores);
    Ok(Report {
        cores,
        peak_one_core,
        peak_all_cores,
        peak_at_shapes,
        entries_per_tick,
        operations,
        runs: runs.iter().map(timed).collect(),
    })
}

/// Runs in several processes and in one, alternately, so that both see the same machine.
fn take_turns(
    turns: usize,
    scenario: &ScenarioArguments,
) -> anyhow::Result<Vec<(&'static str, Vec<Logged>)>> {
    let folder = tempfile::tempdir()?;
    let mut runs = vec![("processes", Vec::new()), ("in-process", Vec::new())];
    for turn in 0..turns.max(1) {
        for (name, logged) in &mut runs {
            eprintln!("turn {} of {turns}: {name}", turn + 1);
            let out = folder.path().join(format!("{name}-{turn}"));
            run_once(scenario, &out, *name == "in-process")?;
            logged.push(Logged::read(&out)?);
        }
    }
    Ok(runs)
}

fn run_once(scenario: &ScenarioArguments, out: &Path, in_process: bool) -> anyhow::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("run").args(scenario.words()).arg("--out").arg(out).arg("--json");
    if in_process {
        command.arg("--in-process");
    }
    let status =
        command.env("MIMALLOC_PURGE_DELAY", "-1").stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("a run failed ({status}): try it by itself with pom2dib run");
    }
    Ok(())
}

/// What a run logged of its rounds.
struct Logged {
    metrics: Vec<Metrics>,
    selection: Vec<Selection>,
    ticks: usize,
}

#[derive(Deserialize)]
struct Metrics {
    seconds: f64,
    bytes: Bytes,
    work: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Bytes {
    total: u64,
}

#[derive(Deserialize)]
struct Selection {
    granted: Vec<Vec<f64>>,
}

impl Logged {
    fn read(out: &Path) -> anyhow::Result<Self> {
        let scenario = Scenario::read(&out.join("scenario.toml"), &[])?;
        Ok(Logged {
            metrics: lines(&out.join("metrics.jsonl"))?,
            selection: lines(&out.join("selection.jsonl"))?,
            ticks: scenario.train.ticks_per_round,
        })
    }

    /// Granted entries of a counted round, by (k, m), all receivers together: mean over rounds.
    fn granted(&self) -> Vec<f64> {
        let counted = &self.selection[WARM_UP.min(self.selection.len() - 1)..];
        let mut sums = vec![0.0; counted[0].granted[0].len()];
        for receiver in counted.iter().flat_map(|line| &line.granted) {
            for (sum, share) in sums.iter_mut().zip(receiver) {
                *sum += share * self.ticks as f64 / counted.len() as f64;
            }
        }
        sums
    }

    fn entries_per_tick(&self) -> f64 {
        self.granted().iter().sum::<f64>() / self.ticks as f64
    }
}

fn lines<L: for<'a> Deserialize<'a>>(path: &PathBuf) -> anyhow::Result<Vec<L>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn timed(name: &'static str, runs: &[Logged], floor: f64) -> Timed {
    let counted: Vec<&Metrics> =
        runs.iter().flat_map(|run| run.metrics.iter().skip(WARM_UP.min(run.metrics.len() - 1))).collect();
    let mut seconds: Vec<f64> = counted.iter().map(|round| round.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let quantile = |share: f64| seconds[((seconds.len() - 1) as f64 * share).round() as usize];
    let mut work = BTreeMap::new();
    for (kind, spent) in counted.iter().flat_map(|round| &round.work) {
        *work.entry(kind.clone()).or_insert(0.0) += spent / counted.len() as f64;
    }
    Timed {
        name,
        rounds: counted.len(),
        median_seconds: quantile(0.5),
        spread: [quantile(0.1), quantile(0.9)],
        efficiency: floor / quantile(0.5),
        work,
        bytes_per_round: counted.iter().map(|round| round.bytes.total as f64).sum::<f64>()
            / counted.len() as f64,
    }
}

fn print_report(report: &Report) {
    let giga = |value: f64| value / 1e9;
    println!(
        "{} cores; f32 matrix product of 1024: {:.0} GFLOP/s on one, {:.0} on all",
        report.cores,
        giga(report.peak_one_core),
        giga(report.peak_all_cores)
    );
    println!("at the shapes of a round, one core:");
    for shape in &report.peak_at_shapes {
        println!(
            "  {:>5} x {:<4} times {:<4} x {:<4} {:>6.0} GFLOP/s",
            shape.rows,
            shape.inner,
            shape.inner,
            shape.columns,
            giga(shape.rate)
        );
    }
    println!(
        "a round of {:.2} entries a tick needs {:.1} GFLOP: at least {:.3} s",
        report.entries_per_tick,
        giga(report.operations),
        report.operations / report.peak_all_cores
    );
    for run in &report.runs {
        println!();
        println!(
            "{}: {:.3} s a round (median of {}; 10 % to 90 %: {:.3} to {:.3}), efficiency {:.2}, {:.2} MB a round",
            run.name,
            run.median_seconds,
            run.rounds,
            run.spread[0],
            run.spread[1],
            run.efficiency,
            run.bytes_per_round / 1e6
        );
        for (work, seconds) in &run.work {
            println!("  {work:<10} {:>8.1} ms", 1e3 * seconds);
        }
    }
    if let [processes, in_process] = report.runs.as_slice() {
        println!();
        println!(
            "processes take {:.3} times as long as one process",
            processes.median_seconds / in_process.median_seconds
        );
    }
}
