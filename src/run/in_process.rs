//! A whole network as tasks of this process: the same nodes, over the same sockets.

use std::{path::Path, process::ExitCode, time::Duration};

use coordinator::CoordinatorError;
use node::Shutdown;
use tokio::{signal::unix::SignalKind, task::JoinSet};

use crate::run::Launch;

/// How long the other nodes may take to end after one has.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(launch: &Launch) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(conduct(launch));
    drop(runtime);
    node::join_machines();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", link::printable(&error.to_string()));
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

async fn conduct(launch: &Launch) -> Result<(), CoordinatorError> {
    let terminate = Shutdown::on(&[SignalKind::terminate(), SignalKind::interrupt()]);
    let options = coordinator::Options { terminate, ..launch.coordinator.options()?.with_own_token()? };
    let address_file = launch.fresh_address_file();
    let json = options.json;
    let mut coordinator = tokio::spawn(coordinator::run(options));
    let address = tokio::select! {
        address = address(&address_file) => address,
        outcome = &mut coordinator => return finished(outcome).map(|_| ()),
    };
    let mut nodes = JoinSet::new();
    for k in 0..launch.scenario.transmitters() {
        let run = transmitter::run(launch.node_options(&address, k));
        nodes.spawn(async move { run.await.map_err(|error| format!("transmitter {k}: {error}")) });
    }
    for t in 0..launch.scenario.receivers() {
        let run = receiver::run(launch.node_options(&address, t));
        nodes.spawn(async move { run.await.map_err(|error| format!("receiver {t}: {error}")) });
    }
    let outcome = tokio::select! {
        outcome = &mut coordinator => outcome,
        complaint = first_complaint(&mut nodes) => {
            // If the node had joined, the coordinator knows of the error too, and reports it better.
            match tokio::time::timeout(GRACE, coordinator).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(CoordinatorError::Run(complaint)),
            }
        }
    };
    let outcome = finished(outcome)?;
    // The nodes have finished: only their shutdown remains.
    let goodbyes = async { while nodes.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, goodbyes).await;
    coordinator::print_outcome(&outcome, &launch.scenario, &launch.coordinator.out, json);
    Ok(())
}

/// Waits for the first node that ends with an error.
async fn first_complaint(nodes: &mut JoinSet<Result<(), String>>) -> String {
    while let Some(ended) = nodes.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(complaint)) => return complaint,
            Err(error) => return format!("a node's task failed: {error}"),
        }
    }
    std::future::pending().await
}

fn finished(
    outcome: Result<Result<coordinator::Outcome, CoordinatorError>, tokio::task::JoinError>,
) -> Result<coordinator::Outcome, CoordinatorError> {
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
