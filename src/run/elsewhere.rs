//! `run --on slurm`: one network as a job, on one machine of a cluster or spread over several.

use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use coordinator::{Outcome, RunFolder, ScenarioArguments, print_outcome};

use super::{
    Arguments,
    launch::{Before, LaunchOptions},
    launch_of_run,
};
use crate::{
    cli::complain::complain,
    launch::{Claims, Engine, Taken},
    records::origin::Origins,
    sweep::{End, Found, Planned, Point, Remote, finished, needs},
};

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let planned = plan(arguments);
    match planned {
        Ok((planned, engine)) => {
            conduct(arguments, planned, &engine).unwrap_or_else(|error| complain(&error, 1))
        }
        Err(error) => complain(&error, 2),
    }
}

/// The network as a point of its own, in the run's folder.
fn plan(arguments: &Arguments) -> anyhow::Result<(Planned, Engine)> {
    let engine = match arguments.engine.checked()? {
        Some(Engine::Slurm) => Engine::Slurm,
        _ => bail!(
            "--on: one network runs on slurm; for Kubernetes, `pom2dib kubernetes` writes its manifests"
        ),
    };
    ensure!(
        arguments.from.is_none() && !arguments.force,
        "--on: begin a run with --from or --force on this machine, with --rounds as they are, and go on with --resume"
    );
    let launch = launch_of_run(arguments)?;
    let folder = std::path::absolute(&launch.coordinator.out).context("the current folder")?;
    let run = RunFolder::at(&folder);
    ensure!(
        arguments.resume.is_some() || !run.file("metrics.jsonl").exists(),
        "{} holds a run already: go on with it by --resume, or choose another --out",
        folder.display()
    );
    let rounds = match launch.before {
        Before::Extend(rounds) => rounds,
        _ => launch.scenario.train.rounds,
    };
    let is_extended = rounds > run.scenario().map_or(rounds, |there| there.train.rounds);
    let mut scenario = launch.scenario;
    scenario.train.rounds = rounds;
    let found = match finished(&folder)?.filter(|_| !is_extended) {
        Some(summary) => Found::Finished(Box::new(summary)),
        None => Found::Nothing,
    };
    let origin = Origins::default().of(&scenario)?;
    let name = folder.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
    let point = Point { name, values: Vec::new(), set: Vec::new() };
    let arguments = ScenarioArguments::default();
    let planned = Planned { point, arguments, scenario, folder, found, board: None, origin, kinship: None };
    Ok((planned, engine))
}

fn conduct(arguments: &Arguments, planned: Planned, engine: &Engine) -> anyhow::Result<ExitCode> {
    let planned = [planned];
    let jobs = planned[0].folder.join("cluster");
    let mut claims = Claims::on(&jobs);
    let _claim = match claims.take(|| std::process::exit(1))? {
        Taken::Here(claim) => claim,
        Taken::By(owner) => bail!("{owner} watches this run already"),
    };
    let needs = needs(&arguments.engine, engine, &arguments.place, &planned)?;
    let spread = arguments.nodes.filter(|nodes| *nodes > 1);
    let place = LaunchOptions { spread, json: false, ..arguments.place.clone() };
    let folder = &planned[0].folder;
    let come_back = format!("run --on slurm --resume {}", folder.display());
    let remote = Remote {
        planned: &planned,
        out: &jobs,
        options: &arguments.engine,
        place,
        needs,
        parallel: None,
        come_back,
        race: None,
        hours: None,
    };
    if arguments.engine.print {
        print!("{}", remote.print(engine)?);
        return Ok(ExitCode::SUCCESS);
    }
    let ends = remote.run(engine)?;
    match &ends[0] {
        End::Done(summary) => {
            let outcome = Outcome::Done(summary.clone());
            print_outcome(&outcome, &planned[0].scenario, folder, arguments.place.json);
            Ok(ExitCode::SUCCESS)
        }
        End::Failed(error) | End::Cancelled(error) => bail!("{error}"),
        // What was interrupted is the watch.
        End::Open | End::Paused(_) => Ok(ExitCode::FAILURE),
    }
}
