use std::time::Duration;

use tokio::{signal::unix::SignalKind, sync::watch};

/// How long a node's shutdown may take: the network writes a checkpoint first.
const GRACE: Duration = Duration::from_secs(8);

/// The signal for a node or a coordinator to shut down. By default there is none.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Option<watch::Receiver<bool>>);

impl Shutdown {
    /// A shutdown that the first of these signals announces; the second signal ends the process at once. Needs a
    /// runtime.
    pub fn on(signals: &[SignalKind]) -> Self {
        let (announce, announced) = watch::channel(false);
        for kind in signals {
            let Ok(mut signal) = tokio::signal::unix::signal(*kind) else { continue };
            let announce = announce.clone();
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    if announce.send_replace(true) {
                        std::process::exit(1);
                    }
                }
            });
        }
        // Kept open: a dropped sender would look like an announcement.
        tokio::spawn(async move { announce.closed().await });
        Shutdown(Some(announced))
    }

    /// Resolves once a shutdown is announced.
    pub async fn announced(&self) {
        match &self.0 {
            Some(announced) if announced.clone().wait_for(|told| *told).await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }

    /// Resolves when the time for an orderly shutdown is over.
    pub(crate) async fn overdue(&self) {
        self.announced().await;
        tokio::time::sleep(GRACE).await;
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.0.as_ref().is_some_and(|announced| *announced.borrow())
    }
}
