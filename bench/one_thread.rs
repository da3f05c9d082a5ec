//! `cargo bench --bench one_thread -- [SCENARIO [DIR]] [--rounds N]`: what a round costs one core that does nothing else.
//!
//! The machines of all nodes run on one thread and messages are handed over by function calls: no sockets, no waiting, no
//! neighbour on the core. Half of that is what two cores cannot do better than with the same code; the difference to
//! what `pom2dib bench` measures is transport, waiting and cores that share caches.

#[path = "../tests/support/local_network.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod local_network;

use std::{path::PathBuf, time::Instant};

use local_network::{Delivery, LocalNetwork, Setup};
use node::Work;
use proto::v1::{Train, order::Order};
use randomness::Seed;
use scenario::Scenario;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds before the first that counts.
const WARM_UP: u64 = 5;

/// Streams move in their order.
struct InOrder;

impl Delivery for InOrder {
    fn choose(&mut self, _streams: usize) -> usize {
        0
    }
}

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench").peekable();
    let mut rounds = 40;
    let mut set = vec![];
    let mut paths = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => {
                rounds = words.next().and_then(|word| word.parse().ok()).expect("--rounds takes a number");
            }
            "--set" => set.push(words.next().expect("--set takes KEY=VALUE")),
            _ => paths.push(PathBuf::from(word)),
        }
    }
    let scenario = match paths.first() {
        Some(path) => Scenario::read(path, &set),
        None => Scenario::parse(include_str!("../scenarios/digits.toml"), "digits", &set),
    };
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let setup = setup(scenario, paths.get(1).cloned());
    report(&measure(&setup, rounds), rounds);
}

fn setup(scenario: Scenario, folder: Option<PathBuf>) -> Setup {
    let seed = Seed::from_number(scenario.seed);
    let source = node::data_source(&scenario, folder).unwrap_or_else(|error| panic!("{error}"));
    let modalities: Vec<String> =
        scenario.transmitter.iter().flat_map(|node| node.modalities.iter().cloned()).collect();
    let tasks: Vec<String> = scenario.receiver.iter().map(|node| node.task.clone()).collect();
    let needs = data::Needs { modalities: &modalities, tasks: &tasks };
    let dataset = data::open(&source, seed, &needs).unwrap_or_else(|error| panic!("{error}"));
    Setup { scenario: scenario.into(), seed, dataset: dataset.into() }
}

/// Seconds of every counted round, and of each kind of work in all of them.
struct Measured {
    seconds: Vec<f64>,
    work: Vec<f64>,
}

fn measure(setup: &Setup, rounds: u64) -> Measured {
    let mut network = LocalNetwork::new(setup, 0, None).expect("the scenario can be run");
    let mut seconds = Vec::new();
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            network.work.clear();
        }
        let start = Instant::now();
        network.order(&Order::Train(Train { to: round + 1 }));
        network.run(&mut InOrder).expect("a round is played");
        network.letters.clear();
        if round >= WARM_UP {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    Measured { seconds, work: network.work }
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
    for (work, spent) in Work::ALL.iter().zip(&measured.work).filter(|(work, _)| **work != Work::Wait) {
        println!("  {:<10} {:>8.1} ms", work.name(), 1e3 * spent / rounds as f64);
    }
}
