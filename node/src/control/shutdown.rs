use std::time::Duration;

use tokio::{signal::unix::SignalKind, sync::watch};

/// How long a node that is told to end may take over it: the network writes a checkpoint first.
const GRACE: Duration = Duration::from_secs(8);

/// The way by which a node, or a coordinator, learns that it is to end. By default nobody tells it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Option<watch::Receiver<bool>>);

impl Shutdown {
    /// A shutdown that the first of these signals announces; another one ends the process at once. Needs a runtime.
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
        // Kept open: who waits for an announcement must not take its end for one.
        tokio::spawn(async move { announce.closed().await });
        Shutdown(Some(announced))
    }

    /// Resolves once the process is to end.
    pub async fn announced(&self) {
        match &self.0 {
            Some(announced) if announced.clone().wait_for(|told| *told).await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }

    /// Resolves when the node has had its time to leave in good order.
    pub(crate) async fn overdue(&self) {
        self.announced().await;
        tokio::time::sleep(GRACE).await;
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.0.as_ref().is_some_and(|announced| *announced.borrow())
    }
}
