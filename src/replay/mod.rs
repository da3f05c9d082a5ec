//! `pom2dib replay`: everything that was drawn at a tick of training.

mod samples;
mod words;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use coordinator::{CoordinatorError, OwnU, RoundDraws, RunFolder, TickDraws};
use scenario::Scenario;
use serde::Serialize;

use crate::run::{
    in_process,
    launch::{Launch, LaunchOptions},
};
use samples::Samples;

/// Show what was drawn at a tick of training: u, samples, requests, choices, grants, and what the cap took away.
///
/// u, the samples and the cap's draw follow from seed and tick. Requests and choices depend on the networks'
/// parameters: they are read from draws.jsonl, where the run recorded them (record.draws), or the rounds since the last
/// checkpoint before the tick are computed again, in this process.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib replay runs/mine --tick 1234
  pom2dib replay runs/mine --tick 1234 --json | jq .capped")]
pub(crate) struct Arguments {
    /// The run's folder
    #[arg(value_name = "RUN")]
    folder: PathBuf,

    /// The tick, counted from 0 over the whole run: tick n belongs to round n / train.ticks_per_round
    #[arg(long, value_name = "N")]
    tick: u64,

    /// Folder of the data set, if it has moved
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    place: LaunchOptions,
}

/// A tick for programs. Indices of receivers, transmitters and modalities start at 0.
#[derive(Serialize)]
struct Replayed<'a> {
    tick: u64,
    round: u64,
    /// Where requests and choices come from.
    source: Source,
    /// Empty where every node draws its own.
    u: &'a [f32],
    #[serde(skip_serializing_if = "Option::is_none")]
    own_u: Option<&'a OwnU>,
    samples: Option<Samples>,
    /// SHA-256 over the samples of all ticks of the round, as all nodes drew them.
    round_samples_sha256: &'a str,
    /// By receiver: transmitters.
    requests: &'a [Vec<usize>],
    /// By transmitter: (receiver, modality) pairs.
    choices: &'a [Vec<(usize, usize)>],
    grants: &'a [Vec<(usize, usize)>],
    capped: Vec<Vec<(usize, usize)>>,
}

/// Where the draws of a tick come from.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// draws.jsonl.
    Recorded,
    /// The rounds from this one on were computed again.
    ComputedFrom(u64),
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match replay(arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", link::printable(&error.to_string()));
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

fn replay(arguments: &Arguments) -> Result<String, CoordinatorError> {
    let mut scenario = RunFolder::at(&arguments.folder).scenario()?;
    scenario.data.path = arguments.data.clone().or(scenario.data.path);
    let round = round_of(arguments, &scenario)?;
    let (source, draws) = match RoundDraws::recorded(&arguments.folder, round)? {
        Some(draws) => (Source::Recorded, draws),
        None => compute(arguments, round)?,
    };
    let tick = draws.ticks.iter().find(|draws| draws.tick == arguments.tick).ok_or_else(|| {
        CoordinatorError::Input(format!(
            "{}: draws.jsonl has round {round} without tick {}: it is of another run",
            arguments.folder.display(),
            arguments.tick
        ))
    })?;
    let samples = Samples::of(&scenario, &draws, tick);
    Ok(match arguments.place.json {
        true => to_json(round, source, &draws, tick, samples),
        false => words::of(&scenario, round, source, tick, samples.as_ref()),
    })
}

/// The round of the tick, which must have been trained.
fn round_of(arguments: &Arguments, scenario: &Scenario) -> Result<u64, CoordinatorError> {
    let ticks = scenario.train.ticks_per_round as u64;
    let path = RunFolder::at(&arguments.folder).file("metrics.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let rounds = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).count() as u64;
    let round = arguments.tick / ticks;
    match round < rounds {
        true => Ok(round),
        false => Err(CoordinatorError::Input(format!(
            "--tick {}: {} has trained {rounds} rounds of {ticks} ticks: give one below {}",
            arguments.tick,
            arguments.folder.display(),
            rounds * ticks
        ))),
    }
}

/// Computes the rounds up to this one again, in a folder that is removed afterwards.
fn compute(arguments: &Arguments, round: u64) -> Result<(Source, RoundDraws), CoordinatorError> {
    let folder = tempfile::tempdir()
        .map_err(|error| CoordinatorError::Run(format!("there is no room for temporary files: {error}")))?;
    let begin = coordinator::rewind(&arguments.folder, folder.path(), round)?;
    let rounds = round + 1 - begin;
    eprintln!(
        "rounds {begin} to {round} are computed again ({rounds}); record.draws = true keeps draws for next time"
    );
    let place = LaunchOptions { in_process: true, json: true, ..arguments.place.clone() };
    let launch = Launch::again(folder.path(), begin > 0, round + 1, place, arguments.data.clone())?;
    in_process::outcome(&launch)?;
    let draws = RoundDraws::recorded(&launch.coordinator.out, round)?;
    let missing = || CoordinatorError::Run(format!("the draws of round {round} were not recorded"));
    check(&arguments.folder, &launch.coordinator.out, round)?;
    Ok((Source::ComputedFrom(begin), draws.ok_or_else(missing)?))
}

/// Makes sure that the round came out as it did when the run was trained.
fn check(first: &Path, again: &Path, round: u64) -> Result<(), CoordinatorError> {
    let line = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("selection.jsonl")).unwrap_or_default();
        let start = format!("{{\"round\":{round},");
        text.lines().find(|line| line.starts_with(&start)).map(str::to_owned)
    };
    match (line(first), line(again)) {
        (Some(first), Some(again)) if first != again => Err(CoordinatorError::Run(format!(
            "round {round} did not come out as in the run: another build, device or data set computes other bits"
        ))),
        _ => Ok(()),
    }
}

fn to_json(
    round: u64,
    source: Source,
    draws: &RoundDraws,
    tick: &TickDraws,
    samples: Option<Samples>,
) -> String {
    let replayed = Replayed {
        tick: tick.tick,
        round,
        source,
        u: &tick.u,
        own_u: tick.own_u.as_ref(),
        samples,
        round_samples_sha256: &draws.samples,
        requests: &tick.requests,
        choices: &tick.choices,
        grants: &tick.grants,
        capped: tick.capped(),
    };
    serde_json::to_string(&replayed).expect("it has only strings and numbers") + "\n"
}
