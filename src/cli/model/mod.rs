//! `pom2dib model`: the networks that a scenario describes.

mod gradients;
mod listed;
mod weights;

use std::process::ExitCode;

use anyhow::bail;
use coordinator::{CoordinatorError, ScenarioArguments};
use node::NodeError;
use scenario::{Described, Kind, Scenario};
use serde_json::{Value, json};

use self::listed::{Listed, listed};
use crate::cli::{complain::complain, slow::Slow};

/// Largest difference between a gradient and its finite difference, relative to the gradient, in f64.
const TOLERANCE: f64 = 1e-5;

/// Show every network of a scenario: its layers, shapes, parameters, operations and memory.
///
/// Operations are those of the matrix products of one sample's forward pass; a training step takes about three times as
/// many. Memory is that of values, gradients and the optimizer's moments, and of what is stored for each sample until
/// the backward pass.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib model
  pom2dib model mine.toml --set network.encoder.hidden=[64,32]
  pom2dib model mine.toml --check-gradients")]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Compare the gradients of every network with finite differences, in f64: of each parameter, and of the input
    #[arg(long)]
    check_gradients: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let listed = match Slow::during("looking at the data set", || arguments.listed()) {
        Ok(listed) => listed,
        Err(error) => return complain(&error, 2),
    };
    match arguments.show(&listed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, 1),
    }
}

/// Checks that all networks fit their data, and the files that they begin with fit them, before any node finds that one
/// does not. The paper's fit whatever comes: then the data is not looked at. Channels, codings and policies
/// of the user's own are tried out.
///
/// # Errors
/// The key of the network, the channel, the coding or the policy, and the reason.
pub(crate) fn check(scenario: &Scenario) -> Result<(), CoordinatorError> {
    node::try_channels(scenario)?;
    node::try_coding(scenario)?;
    node::try_policies(scenario)?;
    let is_papers = |described: &Described| {
        let model = &described.model;
        model.kind.name() == Kind::default().name() && model.weights.is_none()
    };
    if scenario.models().iter().all(is_papers) {
        return Ok(());
    }
    let input = |error: String| CoordinatorError::Input(error);
    let data = node::data_source(scenario, None).map_err(|error| input(error.to_string()))?;
    let info = data.info().map_err(|error| input(error.to_string()))?;
    listed(scenario, &info).and_then(|_| weights::check(scenario, &info)).map_err(unfit)
}

/// What does not fit, as an error that can name the scenario's file.
fn unfit(error: NodeError) -> CoordinatorError {
    match error {
        NodeError::Scenario(error) => CoordinatorError::Scenario(error),
        error => CoordinatorError::Input(error.to_string()),
    }
}

impl Arguments {
    fn listed(&self) -> anyhow::Result<Vec<Listed>> {
        let scenario = self.scenario.resolve()?;
        let info = node::data_source(&scenario, None)?.info()?;
        let fits = listed(&scenario, &info)
            .and_then(|listed| weights::check(&scenario, &info).map(|()| listed))
            .map_err(|error| unfit(error).of(&self.scenario.origin()));
        Ok(fits?)
    }

    fn show(&self, listed: &[Listed]) -> anyhow::Result<()> {
        let mut errors = vec![None; listed.len()];
        if self.check_gradients {
            let check = |listed: &Listed| anyhow::Ok(Some(gradients::largest_error(listed.module()?)?));
            let all = || listed.iter().map(check).collect::<anyhow::Result<Vec<_>>>();
            errors = Slow::during("checking gradients against finite differences", all)?;
        }
        if self.json {
            let networks: Vec<Value> =
                listed.iter().zip(&errors).map(|(listed, error)| listed.to_json(*error)).collect();
            println!("{}", json!({ "networks": networks }));
        } else {
            let texts: Vec<String> =
                listed.iter().zip(&errors).map(|(listed, error)| listed.to_text(*error)).collect();
            print!("{}", texts.join("\n"));
        }
        let wrong = |(listed, error): (&Listed, &Option<f64>)| {
            // NaN is an error, too.
            error.is_some_and(|error| error.is_nan() || error >= TOLERANCE).then(|| listed.what.clone())
        };
        let wrong: Vec<String> = listed.iter().zip(&errors).filter_map(wrong).collect();
        if !wrong.is_empty() {
            bail!(
                "gradients differ from finite differences by more than {TOLERANCE:e}: {}",
                wrong.join(", ")
            );
        }
        Ok(())
    }
}
