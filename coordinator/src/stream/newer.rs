use std::{collections::BTreeSet, time::Duration};

use scenario::Scenario;
use tokio::{task::JoinHandle, time::Instant};

use crate::{CoordinatorError, RunFolder, ServeOptions, checkpoints::Checkpoints, members::Member};

/// Interval between two looks for a newer checkpoint.
const EVERY: Duration = Duration::from_secs(1);

/// The copying of a newer checkpoint, if there is one: gives its version.
type Copying = JoinHandle<Result<Option<u64>, CoordinatorError>>;

/// Where newer checkpoints than the one that is served are looked for.
pub(crate) struct Newer {
    from: Checkpoints,
    scenario: Scenario,
    best: bool,
    next: Instant,
    copying: Option<Copying>,
    /// The version that nodes are loading, and which have not.
    loading: Option<(u64, BTreeSet<Member>)>,
    /// The last complaint, which is not repeated.
    told: String,
}

impl Newer {
    pub(crate) fn of(serve: &ServeOptions) -> Result<Self, CoordinatorError> {
        let run = RunFolder::at(&serve.run);
        let scenario = run.scenario()?;
        let from = run.checkpoints(&scenario)?;
        let (next, told) = (Instant::now() + EVERY, String::new());
        Ok(Newer { from, scenario, best: serve.best, next, copying: None, loading: None, told })
    }

    /// Looks, from time to time, and copies what it finds: to `to`, for a service of this scenario at this version.
    /// Gives the version of what has been copied.
    pub(crate) async fn look(&mut self, version: u64, to: &Checkpoints, served: &Scenario) -> Option<u64> {
        if let Some(copying) = self.copying.take_if(|copying| copying.is_finished()) {
            return match copying.await {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => {
                    self.complain(&error.to_string());
                    None
                }
                Err(_) => None,
            };
        }
        if self.copying.is_none() && self.loading.is_none() && Instant::now() >= self.next {
            self.next = Instant::now() + EVERY;
            let copy = copy(
                self.from.clone(),
                to.clone(),
                self.scenario.clone(),
                served.clone(),
                version,
                self.best,
            );
            self.copying = Some(tokio::spawn(copy));
        }
        None
    }

    fn complain(&mut self, line: &str) {
        if self.told != line {
            eprintln!("no newer checkpoint: {line}");
            self.told = line.into();
        }
    }

    /// When to look again.
    pub(crate) fn wakes(&self) -> Instant {
        self.next
    }

    /// These members are told to load a version.
    pub(crate) fn begin(&mut self, version: u64, members: BTreeSet<Member>) {
        self.loading = Some((version, members));
    }

    /// A member has loaded a version: gives it if that was the last.
    pub(crate) fn loaded(&mut self, member: Member, version: u64) -> Option<u64> {
        let (due, missing) = self.loading.as_mut().filter(|(due, _)| *due == version)?;
        missing.remove(&member);
        let due = *due;
        if !missing.is_empty() {
            return None;
        }
        self.loading = None;
        Some(due)
    }

    /// A node was lost: whoever comes back loads what is served.
    pub(crate) fn forget(&mut self) {
        self.loading = None;
    }
}

/// Copies the run's last or best checkpoint, if it is another than that of a version; none if there is no other.
async fn copy(
    from: Checkpoints,
    to: Checkpoints,
    trained: Scenario,
    served: Scenario,
    version: u64,
    best: bool,
) -> Result<Option<u64>, CoordinatorError> {
    if !best && from.newest().await?.is_none_or(|newest| newest <= version) {
        return Ok(None);
    }
    let members = Some((trained.transmitters(), trained.receivers()));
    let found = if best { from.best(members).await? } else { from.last(members).await? };
    let Some(found) = found.filter(|found| found.round > version) else { return Ok(None) };
    let round = found.round;
    from.copy(found, &to, &served).await?;
    Ok(Some(round))
}
