use tokio::task::JoinHandle;

use crate::{Control, NodeError};

/// The fetching of a state.
type Fetching = JoinHandle<Result<Vec<u8>, NodeError>>;

/// A state that is being fetched while the node does other work.
#[derive(Debug, Default)]
pub struct Reloading(Option<(u64, Fetching)>);

impl Reloading {
    /// Begins to fetch the state at a version, in place of what was being fetched.
    pub fn begin(&mut self, control: &Control, version: u64) {
        if let Some((_, before)) = self.0.replace((version, control.reload(version))) {
            before.abort();
        }
    }

    /// The version and its state, once it is there; pending while nothing is being fetched. Cancelling the wait loses
    /// nothing.
    ///
    /// # Errors
    /// If the coordinator is lost, or does not give the state.
    pub async fn end(&mut self) -> Result<(u64, Vec<u8>), NodeError> {
        let Some((version, fetching)) = &mut self.0 else { return std::future::pending().await };
        let (version, fetched) = (*version, fetching.await);
        self.0 = None;
        match fetched {
            Ok(state) => Ok((version, state?)),
            Err(_) => Err(NodeError::Panicked),
        }
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        if let Some((_, fetching)) = &self.0 {
            fetching.abort();
        }
    }
}
