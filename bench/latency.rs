//! What distance costs: seconds a round with a delay added to every link between transmitters and receivers, against
//! the bound of one round trip a round. A measurement, not a test: it asserts nothing about time.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, ensure};
use clap::Parser;
use harness::{PATIENCE, Place, Process, Proxy, free_port, wait_until};
use scenario::Scenario;
use serde::Serialize;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pom2dib");

/// Delays of one way, in milliseconds; the first is what the others are compared with.
const DELAYS: [u64; 4] = [0, 1, 10, 50];

/// Rounds at the start of a run that are not counted: caches are cold, and memory is being asked for.
const WARM_UP: usize = 10;

/// No run takes so long.
const LIMIT: Duration = Duration::from_secs(3600);

/// Measure what a delay on every link costs, against one round trip a round.
#[derive(Parser)]
#[command(name = "cargo bench --bench latency --")]
struct Arguments {
    /// The scenario to run; without one a tiny scenario, in which a round computes little, and the built-in digits
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,

    /// Folder of the scenario's data set
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Rounds of each run, of which the first 10 are not counted
    #[arg(long, default_value_t = 60, value_name = "N")]
    rounds: usize,

    /// How often each delay is measured; they take turns
    #[arg(long, default_value_t = 2, value_name = "N")]
    turns: usize,

    /// Print one JSON object a scenario
    #[arg(long)]
    json: bool,

    /// What cargo bench says
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was found in a scenario.
#[derive(Serialize)]
struct Report {
    scenario: String,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    /// Added on every way, seconds.
    delay: f64,
    rounds: usize,
    /// Of a round, median.
    seconds: f64,
    /// First and last decile.
    spread: [f64; 2],
    rounds_per_second: f64,
    /// The seconds without a delay and one round trip.
    bound: f64,
    /// Seconds over the bound.
    ratio: f64,
}

fn main() -> ExitCode {
    match measure_all(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.rounds > WARM_UP, "--rounds must be more than the {WARM_UP} of the warm-up");
    ensure!(arguments.turns > 0, "--turns must be at least 1");
    let place = Place::new(PROGRAM);
    let names: &[&str] = match &arguments.scenario {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            place.write("given.toml", text);
            &["given.toml"]
        }
        None => {
            place.write("digits.toml", include_str!("../scenarios/digits.toml"));
            &["tiny.toml", "digits.toml"]
        }
    };
    if let Some(data) = &arguments.data {
        // Under a name without spaces, whatever its own.
        let data = data.canonicalize().with_context(|| data.display().to_string())?;
        std::os::unix::fs::symlink(data, place.path("data"))?;
    }
    for name in names {
        let report = measure(&place, name, arguments)?;
        match arguments.json {
            true => println!("{}", serde_json::to_string(&report)?),
            false => print_report(&report),
        }
    }
    Ok(())
}

/// All delays take turns, so that all see the same machine.
fn measure(place: &Place, name: &str, arguments: &Arguments) -> anyhow::Result<Report> {
    let mut seconds = DELAYS.map(|_| Vec::new());
    let mut scenario = String::new();
    for turn in 0..arguments.turns {
        for (delay, seconds) in DELAYS.iter().zip(&mut seconds) {
            let out = format!("{}-{turn}-{delay}", name.trim_end_matches(".toml"));
            eprintln!("turn {} of {}: {name} with {delay} ms", turn + 1, arguments.turns);
            scenario = run(place, name, &out, Duration::from_millis(*delay), arguments)?;
            seconds.extend(round_seconds(place, &out));
        }
    }
    let seconds = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds
    });
    let alone = quantile(&seconds[0], 0.5);
    let lines = DELAYS.iter().zip(&seconds).map(|(delay, seconds)| line(*delay, seconds, alone)).collect();
    Ok(Report { scenario, lines })
}

/// A network that is started manually, a long way between everybody. Gives the scenario's name.
fn run(
    place: &Place,
    name: &str,
    out: &str,
    delay: Duration,
    arguments: &Arguments,
) -> anyhow::Result<String> {
    let data = if arguments.data.is_some() { "--data data" } else { "" };
    let rounds = format!("--rounds {} --set checkpoint.every=0 --set evaluation.passes=1", arguments.rounds);
    let mut coordinator =
        place.start(&format!("coordinator {name} {rounds} {data} --out {out} --listen 127.0.0.1:0 --json"));
    wait_until("the coordinator's address", PATIENCE, || {
        coordinator.has_ended() || place.run_folder(out).has("address")
    });
    ensure!(!coordinator.has_ended(), "the run did not begin: {}", coordinator.stderr().trim());
    let door = place.address(out);
    let scenario = Scenario::read(&place.path(out).join("scenario.toml"), &[])?;
    // As `run` starts its nodes: see src/run/processes.rs.
    let node = |role: &str, index: usize, words: &str| {
        let words = format!("--coordinator {door} --index {index} {words} {data}");
        place.start(&format!("MIMALLOC_PURGE_DELAY=-1 {role} {words}"))
    };
    let transmitters = (0..scenario.transmitters()).map(|k| {
        let own = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let proxy = Proxy::late(own, delay);
        // No short cut past the proxy.
        let words = format!("--tcp-only --listen {own} --advertise {}", proxy.address());
        (node("transmitter", k, &words), proxy)
    });
    let (mut nodes, proxies): (Vec<Process>, Vec<Proxy>) = transmitters.unzip();
    nodes.extend((0..scenario.receivers()).map(|t| node("receiver", t, "")));
    let outcome = coordinator.finish_within(LIMIT);
    ensure!(outcome.status.success(), "the run failed: {}", outcome.stderr.trim());
    for node in nodes {
        node.finish().done();
    }
    let passed = proxies.iter().all(|proxy| proxy.pieces() > arguments.rounds as u64);
    ensure!(passed, "the features did not go through the proxies");
    Ok(scenario.name)
}

/// Of all rounds after the warm-up.
fn round_seconds(place: &Place, out: &str) -> Vec<f64> {
    let metrics = place.run_folder(out).lines("metrics.jsonl");
    let counted = metrics.iter().skip(WARM_UP);
    counted.map(|line| line["seconds"].as_f64().expect("a round has its seconds")).collect()
}

fn line(delay: u64, sorted: &[f64], alone: f64) -> Line {
    let delay = Duration::from_millis(delay).as_secs_f64();
    let (seconds, bound) = (quantile(sorted, 0.5), alone + 2.0 * delay);
    Line {
        delay,
        rounds: sorted.len(),
        seconds,
        spread: [quantile(sorted, 0.1), quantile(sorted, 0.9)],
        rounds_per_second: 1.0 / seconds,
        bound,
        ratio: seconds / bound,
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn print_report(report: &Report) {
    println!("{}: median of {} rounds at each delay", report.scenario, report.lines[0].rounds);
    println!();
    println!(
        "| added, one way | seconds a round (10 % to 90 %) | rounds a second | bound, seconds | time over bound |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for line in &report.lines {
        println!(
            "| {} ms | {:.4} ({:.4} to {:.4}) | {:.2} | {:.4} | {:.3} |",
            1e3 * line.delay,
            line.seconds,
            line.spread[0],
            line.spread[1],
            line.rounds_per_second,
            line.bound,
            line.ratio
        );
    }
    println!();
}
