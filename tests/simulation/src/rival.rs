//! One more host: a second coordinator, in the run's own folder or with another folder at the same store.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use coordinator::{Options, RunLock};

use crate::ledger::Ledger;

/// Its host.
pub(crate) const RIVAL: &str = "rival";

/// Pause between two checks whether it is wanted.
const PAUSE: Duration = Duration::from_millis(50);

/// The folder of the coordinator to start. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Rival(Arc<Mutex<Option<PathBuf>>>);

impl Rival {
    /// Starts a coordinator in that folder.
    pub(crate) fn start(&self, folder: PathBuf) {
        *self.0.lock().expect("nobody panics with it") = Some(folder);
    }

    /// Cancels a start that has not happened yet.
    pub(crate) fn forget(&self) {
        drop(self.wanted());
    }

    fn wanted(&self) -> Option<PathBuf> {
        self.0.lock().expect("nobody panics with it").take()
    }

    /// The life of its host, with correct options except for the folder.
    pub(crate) async fn live(self, options: Options, ledger: Ledger) -> turmoil::Result {
        loop {
            tokio::time::sleep(PAUSE).await;
            let Some(folder) = self.wanted() else { continue };
            match take(&folder) {
                Ok(_lock) => {
                    if ledger.record().holds.as_ref() == Some(&folder) {
                        ledger.violation("a folder that a coordinator works in is let to another one");
                    }
                    ledger.note("a rival begins");
                    match coordinator::run(Options { folder, ..options.clone() }).await {
                        Ok(_) => ledger.violation("a rival without nodes has ended the run"),
                        Err(error) => ledger.note(format_args!("a rival ends: {error}")),
                    }
                }
                Err(error) => ledger.note(format_args!("a rival is refused: {error}")),
            }
        }
    }
}

/// The lock of a folder, or an error that it is taken, without the owner's details, which differ every time.
fn take(folder: &Path) -> Result<RunLock, String> {
    RunLock::take_now(folder).map_err(|error| {
        let line = error.to_string();
        line.split_once(": ").map_or(line.as_str(), |(first, _)| first).to_owned()
    })
}

/// While it exists, a coordinator works in the run's folder.
pub(crate) struct Work {
    ledger: Ledger,
    _lock: RunLock,
}

impl Work {
    /// Takes the folder.
    ///
    /// # Errors
    /// If another coordinator holds it.
    pub(crate) fn begin(folder: PathBuf, ledger: &Ledger) -> Result<Self, String> {
        let lock = take(&folder)?;
        ledger.record().holds = Some(folder);
        Ok(Work { ledger: ledger.clone(), _lock: lock })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.ledger.record().holds = None;
    }
}
