//! `pom2dib serve`: the networks of a run answer a stream of samples.

mod profile;

use std::{path::PathBuf, process::ExitCode};

use coordinator::{
    CoordinatorError, Outcome, PageAddress, RunFolder, RunLock, ScenarioArguments, StreamArguments,
};
use scenario::{Profile, Scenario};
use serde_json::Value;

use crate::{
    cli::complain::complain,
    run::{
        in_process,
        launch::{Launch, LaunchOptions, REJOIN, local_coordinator},
        processes,
    },
};

/// Answer a stream of samples with the networks of a run: Algorithm 2, for as long as samples come.
///
/// u is drawn once, the selection is fixed, and from then on every sample is encoded, sent and answered by all
/// receivers, in order. What is drawn for a sample follows from its number alone: the answers to the test set are those
/// of `evaluate`, whatever the rate and the batches.
#[derive(clap::Args)]
#[command(
    after_long_help = "With --json, every answer is an object in a line of its own on standard output, and the summary is the last:
  {\"seq\":0,\"receiver\":1,\"label\":3,\"probabilities\":[...],\"entries\":[\"0:fft\",...],\"latency_ms\":2.1,...}
  {\"seq\":1,\"skipped\":\"the queue was full\"}
  {\"answered\":1999,\"skipped\":1,\"samples_per_second\":998.2,\"latency_ms\":{\"p50\":...,\"p99\":...},...}

Examples:
  pom2dib serve runs/mine --rate 100 --limit 2000 --json
  pom2dib serve runs/mine --rate 1000 --batch-up-to 16 --wait-up-to 5
  sensor | pom2dib serve runs/mine --source stdin --json      # lines {\"seq\": 0, \"fft\": [...], \"mel\": [...]}
  sensor | pom2dib serve runs/mine --source stdin --json      # {\"seq\": 0, \"npy\": [\"fft\"]} and the array behind it, as .npy
  pom2dib serve runs/mine --source tcp:127.0.0.1:7320 --deadline 50 --json
  pom2dib serve runs/mine --source grpc:127.0.0.1:7320        # proto/proto/pom2dib.proto: Serving.Observe, Serving.Answers
  pom2dib serve runs/mine --redraw every=1000"
)]
pub(crate) struct Arguments {
    /// The run's folder; it is only read, and may be trained further meanwhile
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Serve the checkpoint that scored best on validation rows (evaluation.every), instead of the last
    #[arg(long)]
    best: bool,

    /// Folder of the data set, if it has moved
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Change a key of straggler, link, channel or profile, for example --set 'link=[{delay=0.01}]' (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,

    #[command(flatten)]
    stream: StreamArguments,

    /// File with profiles of devices and links, instead of the scenario's [profile]: the summary also has milliseconds
    /// and millijoules of a sample as modelled for them
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,

    /// Address of a page for browsers with the answers as server-sent events at /answers, or off, the default
    #[arg(long, env = "POM2DIB_PAGE", value_name = "IP:PORT|off")]
    page: Option<PageAddress>,

    /// End when standard input is closed (the parent process has ended)
    #[arg(long, hide = true)]
    end_with_parent: bool,

    #[command(flatten)]
    place: LaunchOptions,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let of_run = error.downcast_ref::<CoordinatorError>().is_some_and(|error| !error.is_input());
            complain(&error, if of_run { 1 } else { 2 })
        }
    }
}

impl Arguments {
    fn serve(&self) -> anyhow::Result<()> {
        if self.end_with_parent {
            node::end_with_parent();
        }
        let launch = self.launch()?;
        let profile = match &self.profile {
            Some(file) => Some(profile::read(file, &launch.scenario)?),
            None => launch.scenario.profile.clone(),
        };
        let _lock = RunLock::take(&launch.coordinator.out)?;
        let outcome = match launch.place.in_process {
            true => in_process::outcome(&launch)?,
            false => processes::serve(&launch)?,
        };
        let Outcome::Served(mut summary) = outcome else { return Ok(()) };
        if let Some(profile) = &profile {
            summary["modelled"] = self.modelled(&launch.scenario, profile, &summary)?;
        }
        let (scenario, out, json) = (&launch.scenario, &launch.coordinator.out, self.place.json);
        let modelled = (!json && profile.is_some()).then(|| profile::table(&summary["modelled"]));
        coordinator::print_outcome(&Outcome::Served(summary), scenario, out, json);
        node::say(&modelled.unwrap_or_default());
        Ok(())
    }

    /// What a sample costs on the profile's hardware under the selection that was served last.
    fn modelled(&self, scenario: &Scenario, profile: &Profile, summary: &Value) -> anyhow::Result<Value> {
        let info = node::data_source(scenario, self.data.clone())?.info()?;
        let selection: Vec<Vec<String>> = serde_json::from_value(summary["selection"].clone())?;
        let entries: usize = selection.iter().map(Vec::len).sum();
        let bytes = summary["bytes_per_sample"].as_f64().unwrap_or(0.0) / entries.max(1) as f64;
        profile::model(profile, scenario, &info, bytes, &selection)
    }

    fn launch(&self) -> Result<Launch, CoordinatorError> {
        // Without a run there is nothing to lock.
        let scenario = RunFolder::at(&self.run).scenario_to_evaluate(&self.set)?;
        let changes = ScenarioArguments {
            data: self.data.clone(),
            set: self.set.clone(),
            ..ScenarioArguments::default()
        };
        let out = coordinator::service_folder(&self.run);
        let mut coordinator = local_coordinator(changes, out, &self.place)?;
        (coordinator.serve, coordinator.best) = (Some(self.run.clone()), self.best);
        coordinator.stream = self.stream.clone();
        coordinator.page = Some(self.page.unwrap_or(PageAddress::Off));
        // Without restarts too, a service goes on without a transmitter that is lost.
        coordinator.rejoin = REJOIN;
        Ok(Launch::of(scenario, coordinator, self.place.clone()))
    }
}
