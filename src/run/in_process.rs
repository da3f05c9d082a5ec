//! A whole network as tasks of this process: the same nodes, over the same sockets.

use std::{process::ExitCode, time::Duration};

use coordinator::{CoordinatorError, Outcome};
use node::Shutdown;
use tokio::{signal::unix::SignalKind, task::JoinSet};

use super::launch::{Launch, address};

/// How long the other nodes may take to end after one has.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(launch: &Launch) -> ExitCode {
    match outcome(launch) {
        Ok(outcome) => {
            let Launch { scenario, coordinator, .. } = launch;
            coordinator::print_outcome(&outcome, scenario, &coordinator.out, coordinator.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", link::printable(&error.to_string()));
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

/// Runs the network to its end.
pub(crate) fn outcome(launch: &Launch) -> Result<Outcome, CoordinatorError> {
    let options = launch.coordinator.options()?.with_own_token()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|error| CoordinatorError::Run(format!("cannot start the async runtime: {error}")))?;
    let outcome = runtime.block_on(conduct(launch, options));
    drop(runtime);
    node::join_machines();
    outcome
}

async fn conduct(launch: &Launch, options: coordinator::Options) -> Result<Outcome, CoordinatorError> {
    let terminate = Shutdown::on(&[SignalKind::terminate(), SignalKind::interrupt()]);
    let options = coordinator::Options { terminate, ..options };
    let address_file = launch.fresh_address_file();
    let mut coordinator = tokio::spawn(coordinator::run(options));
    let address = tokio::select! {
        address = address(&address_file) => address,
        outcome = &mut coordinator => return finished(outcome),
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
    Ok(outcome)
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
    outcome: Result<Result<Outcome, CoordinatorError>, tokio::task::JoinError>,
) -> Result<Outcome, CoordinatorError> {
    outcome.map_err(|error| CoordinatorError::Run(format!("the coordinator's task failed: {error}")))?
}
