//! `pom2dib check`: whether a run would accept a scenario and its data.

use std::process::ExitCode;

use coordinator::ScenarioArguments;
use data::{Chosen, Needs};
use randomness::Seed;
use scenario::Scenario;
use serde_json::json;

use crate::cli::{model, slow::Slow};

/// Check a scenario and its data as a run does before its first round, without starting one. Reads labels of the data
/// but not its values; `pom2dib data verify NAME --scenario FILE` reads everything.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib check scenarios/handwritten.toml --data data-cache/handwritten
  pom2dib check mine.toml --set network.receiver_limit=3")]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match Slow::during("checking the scenario and its data", || check(&arguments.scenario)) {
        Ok((scenario, notes)) => {
            say(&scenario, &notes, arguments.json);
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::from(2)
        }
    }
}

/// The scenario, and notes on its data for the user.
fn check(arguments: &ScenarioArguments) -> Result<(Scenario, Vec<String>), String> {
    let scenario = arguments.resolve().map_err(|error| error.to_string())?;
    let data = node::data_source(&scenario, None).map_err(|error| error.to_string())?;
    let notes = data.check().map_err(|error| error.to_string())?;
    match refusal(&arguments.origin(), &scenario, &data, false) {
        Some(line) => Err(line),
        None => Ok((scenario, notes)),
    }
}

/// One line on why the nodes of a scenario would refuse its data, or why its networks do not fit the data. Opens the
/// data and divides it into training and validation rows as nodes do; with `values` all modalities are read too,
/// otherwise only labels. `origin` is the scenario's file.
pub(crate) fn refusal(origin: &str, scenario: &Scenario, data: &Chosen, values: bool) -> Option<String> {
    let modalities = if values { data.settings().modalities() } else { Vec::new() };
    let tasks = data.settings().task_names();
    let needs = Needs { modalities: &modalities, tasks: &tasks };
    let (seed, share) = (Seed::from_number(scenario.seed), scenario.data.hold_out);
    let opened = || data.divide(data.open(seed, &needs)?, seed, &needs, share).map(drop);
    // Without held-out rows, labels have been checked already.
    let opened = if values || share > 0.0 { opened().err() } else { None };
    opened
        .map(|error| error.to_string())
        .or_else(|| model::check(scenario).err().map(|error| error.of(origin).to_string()))
}

fn say(scenario: &Scenario, notes: &[String], json: bool) {
    let (transmitters, receivers) = (scenario.transmitters(), scenario.receivers());
    if json {
        let facts = json!({
            "name": scenario.name,
            "transmitters": transmitters,
            "receivers": receivers,
            "rounds": scenario.train.rounds,
            "method": scenario.train.method.name(),
            "seed": scenario.seed,
            "notes": notes,
        });
        println!("{facts}");
        return;
    }
    println!(
        "{} can be run: {} by {transmitters} transmitters and {receivers} receivers, {} rounds, seed {}",
        scenario.name,
        scenario.train.method.name(),
        scenario.train.rounds,
        scenario.seed
    );
    notes.iter().for_each(|note| println!("  note: {note}"));
}
