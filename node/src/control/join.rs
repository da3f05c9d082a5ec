use std::time::Duration;

use link::Security;
use tokio::time::Instant;

use crate::{Control, Joined, NodeError, Options, Role};

/// Between two attempts to join.
const PAUSE: Duration = Duration::from_millis(100);

/// A node's life: it joins, takes part, and joins again whenever the network goes back to its last checkpoint or the
/// coordinator was away, always under the same index.
///
/// # Errors
/// What ended `take_part` for good, as the coordinator has been told.
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
                // It did not come back: what counts is how it was lost.
                Err(error @ (NodeError::Link(_) | NodeError::CoordinatorLost(_))) => {
                    return Err(lost.unwrap_or(error));
                }
                Err(error) => return Err(error),
            };
            options.index = Some(joined.context.index as u32);
            options.state_of_health.ready(true).await;
            let outcome = take_part(joined, options.clone()).await;
            options.state_of_health.ready(false).await;
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
            // Whatever the others made of it, it has ended as it was told.
            Err(NodeError::Aborted(_) | NodeError::CoordinatorLost(_)) if shutdown.is_announced() => Ok(()),
            outcome => outcome,
        },
        () = shutdown.overdue() => Ok(()),
    }
}

/// Joins; a coordinator that is lost in the middle of it, or goes back to a checkpoint, is asked again until the node's
/// patience is over.
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
