//! What a round costs one core that does nothing else.
//!
//! The machines of all nodes run on one thread and messages are handed over by function calls: no sockets, no waiting,
//! no neighbour on the core. Half of that is what two cores cannot do better than with the same code; the difference to
//! what `pom2dib bench` measures is transport, waiting and cores that share caches.

#[path = "../tests/support/local_network.rs"]
mod local_network;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use local_network::{LocalNetwork, Setup, Shuffled};
use node::ProfilerPhase;
use proto::v1::{Train, order::Order};
use randomness::Seed;
use scenario::Scenario;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds before the first that counts.
const WARM_UP: u64 = 5;

/// Measure what a round costs one core: all nodes on one thread.
#[derive(Parser)]
#[command(name = "cargo bench --bench one_thread --")]
struct Arguments {
    /// The scenario to play; without one the built-in digits
    #[arg(value_name = "SCENARIO")]
    scenario: Option<PathBuf>,

    /// Folder of the scenario's data set
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Change a key of the scenario (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Rounds that count, after 5 that do not
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,

    /// What cargo bench says
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let scenario = match &arguments.scenario {
        Some(path) => Scenario::read(path, &arguments.set)?,
        None => Scenario::parse(include_str!("../scenarios/digits.toml"), "digits.toml", &arguments.set)?,
    };
    let setup = setup(scenario, arguments.data.clone())?;
    report(&measure(&setup, arguments.rounds)?, arguments.rounds);
    Ok(())
}

fn setup(scenario: Scenario, folder: Option<PathBuf>) -> anyhow::Result<Setup> {
    let seed = Seed::from_number(scenario.seed);
    let source = node::data_source(&scenario, folder)?;
    let modalities: Vec<String> =
        scenario.transmitter.iter().flat_map(|node| node.modalities.iter().cloned()).collect();
    let tasks = scenario.tasks();
    let needs = data::Needs { modalities: &modalities, tasks: &tasks };
    let dataset = source.open(seed, &needs)?;
    Ok(Setup { scenario: scenario.into(), seed, dataset: dataset.into() })
}

/// Seconds of every counted round, and of each kind of work in all of them.
struct Measured {
    seconds: Vec<f64>,
    work: Vec<f64>,
}

fn measure(setup: &Setup, rounds: u64) -> anyhow::Result<Measured> {
    let mut network = LocalNetwork::new(setup, 0, None)?;
    let mut seconds = Vec::new();
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            network.work.clear();
        }
        let start = Instant::now();
        network.order(&Order::Train(Train { to: round + 1 }));
        network.run(&mut Shuffled::new(round)).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        network.letters.clear();
        if round >= WARM_UP {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(Measured { seconds, work: network.work })
}

fn report(measured: &Measured, rounds: u64) {
    let mut seconds = measured.seconds.clone();
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * seconds[((seconds.len() - 1) as f64 * share) as usize];
    println!(
        "{:.1} ms a round on one thread (median of {rounds}; 10 % to 90 %: {:.1} to {:.1})",
        at(0.5),
        at(0.1),
        at(0.9)
    );
    for (work, spent) in
        ProfilerPhase::ALL.iter().zip(&measured.work).filter(|(work, _)| **work != ProfilerPhase::Wait)
    {
        println!("  {:<10} {:>8.1} ms", work.name(), 1e3 * spent / rounds as f64);
    }
}
