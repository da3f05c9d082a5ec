//! `pom2dib bench`: the speed of this machine and of the program, and where the time goes.

pub(crate) mod flops;
pub(crate) mod growth_plot;
pub(crate) mod logged;
pub(crate) mod loss;
pub(crate) mod measured_run;
pub(crate) mod node_watch;
pub(crate) mod peak;
pub(crate) mod scale;
pub(crate) mod serve;
pub(crate) mod serve_budget;
pub(crate) mod size_figures;
pub(crate) mod snr;

use std::{collections::BTreeMap, process::ExitCode};

use coordinator::ScenarioArguments;
use serde::Serialize;

use crate::{
    bench::{
        logged::{Logged, quantile},
        measured_run::Planned,
    },
    cli::complain::complain,
    records::run_log::Round,
};

/// Measure the matrix-product peak of this machine, the time of a round in one process and in several, and the share of
/// the peak that a round reaches. `scale` measures how the cost of an entry grows with the network; `loss` the effect
/// of lost entries on accuracy.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "Examples:
  pom2dib bench
  pom2dib bench handwritten --data DIR --turns 4
  pom2dib bench scale --help"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    scenario: ScenarioArguments,

    /// How often each mode is timed; the modes alternate
    #[arg(long, default_value_t = 2, value_name = "N")]
    turns: usize,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Other benchmarks.
#[derive(clap::Subcommand)]
enum What {
    /// Measure the cost of a granted entry in ever larger networks: seconds, bytes on the wire, memory of a node.
    ///
    /// Each size N runs as N transmitters and N receivers in separate processes, with the scenario's lists of nodes
    /// repeated cyclically to that number. A receiver still requests at most E_t transmitters at a tick, so that its
    /// grants hardly depend on N: growth beyond that is the cost of the size. Selectors take their steps, but with a
    /// learning rate of 0 (unless --set train.selection_lr overrides it): a small network would soon learn to request
    /// less, and its costs would be divided by fewer entries.
    ///
    /// Seconds are those of training rounds, after a warm-up of 10: reading or making data at the start does not count.
    /// Keep the machine otherwise idle. The largest size needs 2 N + 2 processes, and N x N connections.
    #[command(after_long_help = "Example:
  pom2dib bench scale --out scale")]
    Scale(scale::Arguments),
    /// Measure the effect of lost entries on accuracy: over links with increasing loss, with straggler.policy = "skip".
    ///
    /// At each loss rate a network is trained and evaluated, and the network trained without loss is evaluated too, to
    /// show the benefit of training over such links. Finished work is not repeated: an interrupted command continues
    /// where it stopped.
    #[command(after_long_help = "Example:
  pom2dib bench loss --out loss")]
    Loss(loss::Arguments),
    /// Measure scores over the SNR of channels: networks trained at each SNR, at random SNRs, without noise, and with a
    /// digital chain (entropy code, LDPC code, QAM) in as many channel uses; with the capacity of those.
    ///
    /// The channels are those of the scenario that have noise; if none has, white noise (kind "awgn") between all
    /// nodes. The last three kinds of network are trained once and evaluated at every SNR. How many bits a block of the
    /// digital chain takes follows from train.beta: with --digital-beta several are trained, whose best is what a
    /// digital system can have. A digital chain needs a program with the Cargo feature `digital`; --digital-beta none
    /// leaves it out. Finished work is not repeated: an interrupted command continues where it stopped.
    #[command(after_long_help = "Examples:
  pom2dib bench snr --out snr
  pom2dib bench snr handwritten --data DIR --snr-db=-6,0,6,12,20 --seeds 1,2,3 --digital-beta 1e-3,1e-2,1e-1 --out snr
  pom2dib bench snr --set 'channel=[{kind=\"rayleigh\",snr_db=0}]' --out rayleigh")]
    Snr(snr::Arguments),
    /// Measure the latency of a service over the offered load, or with --budgets its accuracy over the time that
    /// answers may take: one service of a run for each rate or budget, as processes on this machine.
    ///
    /// Samples are offered at their times whether or not earlier ones are answered, and latency counts from there:
    /// above what the network can answer it grows for as long as it is offered. A budget is a deadline: what misses it
    /// is answered with the features that are there.
    #[command(after_long_help = "Examples:
  pom2dib bench serve runs/mine --rates 50,100,200,400 --out load
  pom2dib bench serve runs/mine --rates 50 --budgets 5,10,20,40 --set 'link=[{delay=0.004,jitter=0.03}]' --out budget")]
    Serve(serve::Arguments),
}

/// Results of the benchmark. Seconds and floating-point operations a second.
#[derive(Serialize)]
struct Report {
    cores: usize,
    /// Square products of 1024, f32: on one core, and on all at once.
    peak_one_core: f64,
    peak_all_cores: f64,
    /// Products at the shapes of the scenario, one core.
    peak_at_shapes: Vec<peak::Shape>,
    entries_per_tick: f64,
    /// Necessary operations of a round.
    operations: f64,
    runs: Vec<Timed>,
}

/// One mode of running.
#[derive(Serialize)]
struct Timed {
    name: &'static str,
    rounds: usize,
    median_seconds: f64,
    /// First and last decile.
    spread: [f64; 2],
    /// Necessary operations divided by what the peak of all cores would do in the median time.
    efficiency: f64,
    /// Seconds of a round, all nodes together, by profiler phase.
    work: BTreeMap<String, f64>,
    bytes_per_round: f64,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.what {
        Some(What::Scale(arguments)) => return scale::run(arguments),
        Some(What::Loss(arguments)) => return loss::run(arguments),
        Some(What::Snr(arguments)) => return snr::run(arguments),
        Some(What::Serve(arguments)) => return serve::run(arguments),
        None => {}
    }
    let planned = match plan(arguments) {
        Ok(planned) => planned,
        Err(error) => return complain(&error, 2),
    };
    match measure(arguments.turns, &planned) {
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
        Err(error) => complain(&error, 1),
    }
}

/// The run of the benchmark, checked.
fn plan(arguments: &Arguments) -> anyhow::Result<Planned> {
    let mut scenario = arguments.scenario.clone();
    scenario.warn_of_deprecated_keys();
    scenario.rounds = scenario.rounds.or(Some(60));
    scenario.set.push("evaluation.passes=1".into());
    Planned::new(scenario)
}

fn measure(turns: usize, planned: &Planned) -> anyhow::Result<Report> {
    let Planned { arguments, scenario, info } = planned;
    eprintln!("measuring the matrix-product peak");
    let cores = std::thread::available_parallelism()?.get();
    let (peak_one_core, peak_all_cores) = (peak::square(1), peak::square(cores));
    let peak_at_shapes = peak::at_shapes(scenario, info)?;
    let runs = take_turns(turns, arguments)?;
    let entries_per_tick = runs[0].1[0].entries_per_tick();
    let operations = flops::round(scenario, info, &runs[0].1[0].chosen())?.total();
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

/// Runs in several processes and in one, alternately, so that both see the machine in the same state.
fn take_turns(
    turns: usize,
    scenario: &ScenarioArguments,
) -> anyhow::Result<Vec<(&'static str, Vec<Logged>)>> {
    let folder = tempfile::tempdir()?;
    let mut runs = vec![("processes", Vec::new()), ("in-process", Vec::new())];
    for turn in 0..turns.max(1) {
        for ((name, logged), flag) in runs.iter_mut().zip([None, Some("--in-process")]) {
            eprintln!("turn {} of {turns}: {name}", turn + 1);
            let out = folder.path().join(format!("{name}-{turn}"));
            let mut words = scenario.words();
            words.extend(flag.map(str::to_owned));
            let log = folder.path().join("stderr");
            measured_run::check(measured_run::start(words, &out, &log)?.wait()?, &log)?;
            logged.push(Logged::read(&out)?);
        }
    }
    Ok(runs)
}

fn timed(name: &'static str, runs: &[Logged], floor: f64) -> Timed {
    let counted: Vec<&Round> = runs.iter().flat_map(|run| &run.rounds).collect();
    let quantile = |share: f64| quantile(counted.iter().map(|round| round.seconds).collect(), share);
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
