use std::time::Duration;

use tokio::time::Instant;

/// The longest wait for an event; after it, silent nodes are looked for.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// A longer wait means that this process did not run: it was stopped (Ctrl-Z, then `fg`), or the machine was suspended.
const STOOD_STILL: Duration = Duration::from_secs(2);

/// Tells a standstill of this process by a wait that took too long.
///
/// Only waits count: while the conductor itself works, as when it commits a checkpoint to a slow store, others go on
/// hearing the nodes.
#[derive(Default)]
pub(super) struct Watch {
    since: Option<Instant>,
}

impl Watch {
    /// A wait of at most [`LOOK`] begins.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Ends the wait; returns its length if this process was stopped during it.
    pub(super) fn end(&mut self) -> Option<Duration> {
        let gap = self.since.take()?.elapsed();
        (gap > STOOD_STILL).then_some(gap)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_wait_that_took_too_long_counts_as_a_standstill() {
        let (mut watch, long) = (Watch::default(), Duration::from_secs(30));
        assert_eq!(watch.end(), None);
        watch.begin();
        advance(LOOK).await;
        assert_eq!(watch.end(), None);
        // A checkpoint goes to a slow store.
        advance(long).await;
        assert_eq!(watch.end(), None);
        watch.begin();
        advance(LOOK).await;
        assert_eq!(watch.end(), None);

        watch.begin();
        advance(long).await;
        assert!(watch.end().is_some_and(|gap| gap >= long));
        assert_eq!(watch.end(), None, "it counts once");
    }
}
