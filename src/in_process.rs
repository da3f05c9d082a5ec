//! A whole network as tasks of this process: the same nodes, over the same loopback sockets.

use std::{path::Path, process::ExitCode, time::Duration};

use coordinator::CoordinatorError;
use tokio::task::JoinSet;

use crate::run_command::Launch;

pub(crate) fn run(launch: &Launch) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(conduct(launch)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

async fn conduct(launch: &Launch) -> Result<(), CoordinatorError> {
    let options = launch.coordinator.options()?;
    let address_file = launch.fresh_address_file();
    let json = options.json;
    let mut coordinator = tokio::spawn(coordinator::run(options));
    let address = tokio::select! {
        address = address(&address_file) => address,
        outcome = &mut coordinator => return finished(outcome).map(|_| ()),
    };
    let mut nodes = JoinSet::new();
    for k in 0..launch.scenario.transmitters() {
        nodes.spawn(transmitter::run(launch.node_options(&address, k)));
    }
    for t in 0..launch.scenario.receivers() {
        nodes.spawn(receiver::run(launch.node_options(&address, t)));
    }
    let summary = finished(coordinator.await)?;
    // The nodes have said that they are finished: what is left of them is their last goodbye.
    let goodbyes = async { while nodes.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), goodbyes).await;
    if json {
        println!("{}", serde_json::to_string(&summary).expect("a summary has only strings and numbers"));
    } else {
        print!("{}", coordinator::render(&summary, &launch.scenario));
    }
    Ok(())
}

fn finished(
    outcome: Result<Result<coordinator::Summary, CoordinatorError>, tokio::task::JoinError>,
) -> Result<coordinator::Summary, CoordinatorError> {
    outcome.map_err(|error| CoordinatorError::Run(format!("the coordinator's task failed: {error}")))?
}

/// Waits until the coordinator has written its address.
pub(crate) async fn address(file: &Path) -> String {
    loop {
        if let Ok(address) = tokio::fs::read_to_string(file).await {
            return address;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
