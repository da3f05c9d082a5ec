use std::time::Duration;

use link::Security;
use tokio::time::Instant;

use crate::{Control, Joined, NodeError, Options, Role, Traces};

/// Pause between two attempts to join.
const PAUSE: Duration = Duration::from_millis(100);

/// A node's life: it joins, takes part, and joins again, under the same index, whenever the network goes back to its
/// last checkpoint or the coordinator was lost.
///
/// # Errors
/// The error that ended `take_part` for good, which the coordinator has been told.
pub async fn live<F>(
    role: Role,
    mut options: Options,
    security: &Security,
    mut take_part: impl FnMut(Joined, Options) -> F,
) -> Result<(), NodeError>
where
    F: Future<Output = Result<(), NodeError>>,
{
    let shutdown = options.shutdown.clone();
    let life = async {
        let mut lost = None;
        loop {
            let joined = match join(role, &options, security).await {
                Ok(joined) => joined,
                // The coordinator did not come back: the first loss is the error to report.
                Err(error @ (NodeError::Link(_) | NodeError::CoordinatorLost(_))) => {
                    return Err(lost.unwrap_or(error));
                }
                Err(error) => return Err(error),
            };
            options.index = Some(joined.context.index as u32);
            if !options.traces.are_wanted() {
                let who = format!("{} {}", role.name(), joined.context.index);
                options.traces = Traces::begin(options.otlp.as_ref(), &who);
            }
            options.state_of_health.ready(true).await;
            let outcome = take_part(joined, options.clone()).await;
            options.state_of_health.ready(false).await;
            options.traces.flush().await;
            match outcome {
                Err(NodeError::RolledBack(reason)) => tracing::info!(reason, "joining again"),
                Err(error @ NodeError::CoordinatorLost(_)) => {
                    tracing::warn!(%error, "waiting for it to come back");
                    lost = Some(error);
                }
                outcome => return outcome,
            }
            if shutdown.is_announced() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        biased;
        outcome = life => match outcome {
            // However the others reacted, this node ended as requested.
            Err(NodeError::Aborted(_) | NodeError::CoordinatorLost(_)) if shutdown.is_announced() => Ok(()),
            outcome => outcome,
        },
        () = shutdown.overdue() => Ok(()),
    }
}

/// Joins. If the coordinator is lost meanwhile, or goes back to a checkpoint, the node tries again until its patience
/// is over.
async fn join(role: Role, options: &Options, security: &Security) -> Result<Joined, NodeError> {
    let begun = Instant::now();
    loop {
        match Control::join(role, options, security).await {
            Err(NodeError::CoordinatorLost(_) | NodeError::RolledBack(_))
                if begun.elapsed() < options.patience() =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
