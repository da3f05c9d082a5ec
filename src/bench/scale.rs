//! `pom2dib bench scale`: the cost of a granted entry in ever larger networks.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use coordinator::ScenarioArguments;
use serde::Serialize;

use crate::{
    bench::{
        growth_plot,
        logged::Logged,
        measured_run::{self, Planned},
        node_watch::{Nodes, Roles, Seen, Watch},
        size_figures::SizeFigures,
    },
    cli::complain::complain,
};

/// Command line of `bench scale`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// The sizes, smallest first
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [2, 4, 8, 16])]
    sizes: Vec<usize>,

    /// The size with which the last one is compared: the smallest that keeps all cores busy
    #[arg(long, value_name = "N", default_value_t = 4)]
    against: usize,

    /// Run all nodes of a size as tasks of one process
    #[arg(long)]
    in_process: bool,

    /// Print only one JSON object on standard output
    #[arg(long)]
    json: bool,

    /// Write growth.csv and growth.svg into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Default number of rounds for each size.
const ROUNDS: u64 = 60;

/// Results in the order of the sizes.
#[derive(Serialize)]
struct Report {
    cores: usize,
    in_process: bool,
    sizes: Vec<SizeFigures>,
    growth: Option<Growth>,
}

/// The cost of a granted entry in the last size relative to another.
#[derive(Serialize)]
struct Growth {
    from: String,
    to: String,
    seconds: f64,
    processor: Option<f64>,
    bytes: f64,
    operations: f64,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    // All sizes are checked before the first runs: a mistake in the last must not waste the time of the others.
    let planned = match arguments.sizes.iter().map(|size| plan(arguments, *size)).collect() {
        Ok(planned) => planned,
        Err(error) => return complain(&error, 2),
    };
    match measure(arguments, planned) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, 1),
    }
}

fn plan(arguments: &Arguments, size: usize) -> anyhow::Result<Planned> {
    let mut scenario = arguments.scenario.clone();
    scenario.rounds = scenario.rounds.or(Some(ROUNDS));
    // Inserted first, so that the user's own setting overrides it.
    scenario.set.insert(0, "train.selection_lr=0.0".into());
    for nodes in ["transmitters", "receivers"] {
        scenario.set.push(format!("network.{nodes}={size}"));
    }
    // Only rounds are measured: one pass and one checkpoint at the end are the minimum of a run.
    scenario.set.extend(["evaluation.passes=1".into(), "checkpoint.every=0".into()]);
    Planned::new(scenario).with_context(|| format!("size {size}"))
}

fn measure(arguments: &Arguments, planned: Vec<Planned>) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let mut sizes = Vec::with_capacity(planned.len());
    for planned in &planned {
        let name = format!("{}x{}", planned.scenario.transmitters(), planned.scenario.receivers());
        eprintln!("{name}: {} rounds", planned.scenario.train.rounds);
        sizes.push(measure_one(planned, arguments.in_process).with_context(|| name)?);
    }
    let growth = growth(&sizes, arguments.against);
    let report = Report { cores, in_process: arguments.in_process, sizes, growth };
    if report.sizes.iter().any(|size| size.peak_memory.is_none()) {
        eprintln!("memory and processor time are left out: this system has no /proc to read them from");
    } else if report.sizes.iter().any(|size| size.processor_per_entry.is_none()) {
        eprintln!("processor time is left out: it takes more rounds; say --rounds 30 or more");
    }
    if let Some(folder) = &arguments.out {
        growth_plot::write(folder, &report.sizes)?;
    }
    print(&report, arguments.json);
    Ok(())
}

fn measure_one(planned: &Planned, in_process: bool) -> anyhow::Result<SizeFigures> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("run");
    let seen = run_once(planned, in_process, &out, &folder.path().join("stderr"))?;
    let logged = Logged::read(&out)?;
    SizeFigures::new(&planned.scenario, &planned.info, &logged, seen)
}

/// Runs a network to its end and observes its processes. Its output goes to `log`.
fn run_once(planned: &Planned, in_process: bool, out: &Path, log: &Path) -> anyhow::Result<Seen> {
    let mut words = planned.arguments.words();
    let nodes = match in_process {
        true => {
            words.push("--in-process".into());
            Nodes::InOne
        }
        false => Nodes::Started(1 + planned.scenario.transmitters() + planned.scenario.receivers()),
    };
    let run = measured_run::start(words, out, log)?;
    let (status, seen) = Watch::until_end(run, nodes, out)?;
    measured_run::check(status, log)?;
    Ok(seen)
}

/// The last size relative to that with `against` nodes of each kind, or else the first.
fn growth(sizes: &[SizeFigures], against: usize) -> Option<Growth> {
    let to = sizes.last()?;
    let from = sizes.iter().find(|size| size.transmitters == against).or(sizes.first())?;
    let processor = |size: &SizeFigures| size.processor_per_entry.map(|seconds| seconds.total());
    Some(Growth {
        from: from.name(),
        to: to.name(),
        seconds: to.seconds_per_entry / from.seconds_per_entry,
        processor: processor(to).zip(processor(from)).map(|(to, from)| to / from),
        bytes: to.bytes_per_entry.total() / from.bytes_per_entry.total(),
        operations: to.operations_per_entry.total() / from.operations_per_entry.total(),
    })
}

fn print(report: &Report, json: bool) {
    if json {
        println!("{}", serde_json::to_string(report).expect("a report has only strings and numbers"));
    } else {
        print_tables(report);
    }
}

fn print_tables(report: &Report) {
    // In one process there is one peak.
    let roles = match report.in_process {
        true => ["all nodes", ""],
        false => ["transmitter", "receiver"],
    };
    println!(
        "{} cores; a granted entry is one modality for one receiver at one tick\n\n\
         {:<8}{:>10}{:>12}{:>13}{:>13}{:>9}{:>10}{:>8}{:>14}{:>10}",
        report.cores,
        "",
        "entries",
        "round",
        "an entry",
        "processor",
        "busy",
        "payload",
        "wire",
        roles[0],
        roles[1]
    );
    println!(
        "{:<8}{:>10}{:>12}{:>13}{:>13}{:>9}{:>10}{:>8}{:>14}{:>10}",
        "size",
        "a round",
        "s",
        "ms",
        "ms an entry",
        "cores",
        "B",
        "B",
        "peak MB",
        if report.in_process { "" } else { "peak MB" }
    );
    for size in &report.sizes {
        let processor = size.processor_per_entry.map(|seconds| seconds.total());
        let memory = |bytes: fn(Roles<u64>) -> u64| size.peak_memory.map(|peak| bytes(peak) as f64 / 1e6);
        let peaks = match report.in_process {
            true => [known(memory(|peak| peak.together), 0), String::new()],
            false => [known(memory(|peak| peak.transmitter), 0), known(memory(|peak| peak.receiver), 0)],
        };
        println!(
            "{:<8}{:>10.0}{:>12.3}{:>13.3}{:>13}{:>9}{:>10.0}{:>8.0}{:>14}{:>10}",
            size.name(),
            size.entries_per_round,
            size.round_seconds,
            1e3 * size.seconds_per_entry,
            known(processor.map(|seconds| 1e3 * seconds), 3),
            known(processor.map(|seconds| seconds / size.seconds_per_entry), 2),
            size.bytes_per_entry.payload,
            size.bytes_per_entry.total(),
            peaks[0],
            peaks[1],
        );
    }
    print_terms(report);
    if let Some(Growth { from, to, seconds, processor, bytes, operations }) = &report.growth {
        println!(
            "\nfrom {from} to {to}, an entry takes {seconds:.2} times the time, {} times the processor time, \
             {operations:.2} times the operations and {bytes:.2} times the bytes",
            known(*processor, 2)
        );
    }
}

/// The cost of a granted entry, term by term.
fn print_terms(report: &Report) {
    println!(
        "\n{:<8}{:>44}{:>38}\n{:<8}{:>9}{:>7}{:>7}{:>11}{:>12}{:>12}{:>10}{:>8}{:>8}",
        "",
        "MFLOP an entry",
        "B an entry",
        "size",
        "encoders",
        "local",
        "joint",
        "sel. of t",
        "sel. of k",
        "payload",
        "requests",
        "costs",
        "rest"
    );
    for size in &report.sizes {
        let (operations, bytes) = (size.operations_per_entry, size.bytes_per_entry);
        println!(
            "{:<8}{:>9.1}{:>7.1}{:>7.1}{:>11.1}{:>12.1}{:>12.0}{:>10.0}{:>8.0}{:>8.0}",
            size.name(),
            operations.encoders / 1e6,
            operations.local_decoders / 1e6,
            operations.joint_decoders / 1e6,
            operations.receiver_selectors / 1e6,
            operations.transmitter_selectors / 1e6,
            bytes.payload,
            bytes.requests,
            bytes.costs,
            bytes.rest
        );
    }
}

fn known(value: Option<f64>, digits: usize) -> String {
    value.map_or("?".into(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::size_figures::tests::figures;

    #[test]
    fn the_last_size_is_compared_with_the_one_asked_for_or_else_the_first() {
        let mut sizes = vec![figures(2, false), figures(4, false), figures(16, true)];
        sizes[2].seconds_per_entry *= 1.5;
        let against = |size| growth(&sizes, size).map(|growth| (growth.from, growth.to, growth.processor));
        assert_eq!(against(4), Some(("4x4".into(), "16x16".into(), None)));
        assert_eq!(against(5), Some(("2x2".into(), "16x16".into(), None)));
        assert!((growth(&sizes, 4).unwrap().seconds - 1.5).abs() < 1e-12);
        assert_eq!(growth(&sizes, 16).unwrap().processor, Some(1.0));
        assert!(growth(&[], 4).is_none());
    }
}
