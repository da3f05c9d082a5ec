//! The coordinator as a program: from its command line to the summary that it prints.

use std::{path::Path, process::ExitCode};

use node::{Health, Shutdown};
use scenario::Scenario;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Arguments, CoordinatorError, Options, Outcome, RunFolder, RunLock, Summary, render, stream};

/// Runs the coordinator on its own runtime, prints the summary and returns the exit status: 0 done, 2 wrong user input,
/// 1 the run failed.
pub fn main(arguments: Arguments) -> ExitCode {
    if arguments.end_with_parent {
        node::end_with_parent();
    } else {
        arguments.scenario.warn_of_deprecated_keys();
    }
    match conduct(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", link::printable(&error.to_string()));
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

fn conduct(arguments: &Arguments) -> Result<(), CoordinatorError> {
    if let Some(run) = &arguments.serve {
        // Without a run there is nothing to lock.
        RunFolder::at(run).scenario()?;
    }
    let folder =
        arguments.serve.as_ref().map_or_else(|| arguments.out.clone(), |run| stream::service_folder(run));
    let before = if arguments.serve.is_none() { Some(arguments.options()?) } else { None };
    let _lock = match arguments.lock_inherited {
        true => RunLock::inherit(&folder)?,
        false => RunLock::take(&folder)?,
    };
    let options = before.map_or_else(|| arguments.options(), Ok)?;
    let options = match arguments.scenario.rounds.filter(|_| arguments.resume) {
        Some(rounds) if RunFolder::at(&options.folder).holds_run() => {
            crate::extend(&options.folder, rounds)?;
            arguments.options()?
        }
        // From here on the folder's scenario applies; the arguments only locate the store.
        Some(rounds) => {
            crate::further::extend_from_store(&options.folder, &options.scenario, rounds)?;
            options
        }
        None => options,
    };
    let options = options.with_own_token()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| CoordinatorError::Run(format!("cannot start the async runtime: {error}")))?;
    let (mut scenario, folder, json) = (options.scenario.clone(), options.folder.clone(), options.json);
    let outcome = runtime.block_on(async {
        let terminate = if arguments.end_with_parent {
            // A terminal sends Ctrl-C to the whole process group: the parent decides what it means.
            let _ignored = signal(SignalKind::interrupt());
            Shutdown::on(&[SignalKind::terminate()])
        } else {
            Shutdown::on(&[SignalKind::terminate(), SignalKind::interrupt()])
        };
        let health = Health::serve(arguments.health)
            .await
            .map_err(|error| CoordinatorError::Input(error.to_string()))?;
        // From now on the coordinator admits nodes, or it ends at once.
        health.ready(true).await;
        crate::run(Options { terminate, health, ..options }).await
    })?;
    if arguments.resume_or_start {
        // A continued run has its own scenario.
        scenario = RunFolder::at(&folder).scenario()?;
    }
    print_outcome(&outcome, &scenario, &folder, json);
    Ok(())
}

/// Prints the outcome of a run: the summary on standard output, as a table or one JSON object, or how to continue it.
pub fn print_outcome(outcome: &Outcome, scenario: &Scenario, folder: &Path, json: bool) {
    match outcome {
        Outcome::Done(summary) => print_summary(summary, scenario, folder, json),
        Outcome::Served(summary) => {
            node::say(&if json { format!("{summary}\n") } else { stream::table(summary) });
        }
        Outcome::Stopped(version) => {
            let (rounds, folder) = (scenario.train.rounds, folder.display());
            let when = match version {
                0 => "before the first round".into(),
                version => format!("after round {version} of {rounds}"),
            };
            eprintln!("stopped {when}; go on with: pom2dib run --resume {folder}");
        }
    }
}

/// Prints the summary on standard output, as a table or one JSON object. The run's folder already holds it.
fn print_summary(summary: &Summary, scenario: &Scenario, folder: &Path, json: bool) {
    let text = if json {
        serde_json::to_string(summary).expect("a summary has only strings and numbers") + "\n"
    } else {
        render(summary, scenario, folder)
    };
    node::say(&text);
}
