//! A run's folder has one owner at a time: the process that holds the lock on its file `lock`.

mod heartbeat;
mod owner;

use std::{
    fs::{File, TryLockError},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::io::Errno;

pub(crate) use self::owner::{host, now};
use self::{heartbeat::Heartbeat, owner::Owner};
use crate::CoordinatorError;

/// The file's name. It is never removed, even with --force: a lock on a removed file would exclude no one.
const NAME: &str = "lock";

/// How long a new owner waits for an owner that is ending.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The right to write to a run's folder while it is held. The system releases it when the process ends.
#[derive(Debug)]
pub struct RunLock(Held);

#[derive(Debug)]
enum Held {
    /// The locked file.
    File(File),
    /// For file systems without locks.
    Beating { _heartbeat: Heartbeat },
    /// The parent process holds the lock, and this process keeps a copy of its file open until it ends.
    Inherited,
}

impl RunLock {
    /// Locks a folder, which is created if missing. Waits for an owner that is ending, and says so.
    ///
    /// # Errors
    /// If another process keeps working in it, or it cannot be written to.
    pub fn take(folder: &Path) -> Result<Self, CoordinatorError> {
        RunLock::take_within(folder, PATIENCE)
    }

    /// Locks a folder without waiting.
    ///
    /// # Errors
    /// If another process holds it, ending or not, or it cannot be written to.
    pub fn take_now(folder: &Path) -> Result<Self, CoordinatorError> {
        RunLock::take_within(folder, Duration::ZERO)
    }

    /// Whether no process holds a folder, as far as can be told.
    pub(crate) fn is_free(folder: &Path) -> bool {
        File::open(path(folder)).is_ok_and(|file| file.try_lock_shared().is_ok())
    }

    fn take_within(folder: &Path, patience: Duration) -> Result<Self, CoordinatorError> {
        let file = open(folder)?;
        let begun = Instant::now();
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    Owner::this_process().write(&file).map_err(CoordinatorError::file(path(folder)))?;
                    return Ok(RunLock(Held::File(file)));
                }
                Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                    return RunLock::beat(folder, &file, &error);
                }
                Err(TryLockError::Error(error)) => {
                    return Err(CoordinatorError::File { path: path(folder), error });
                }
                Err(TryLockError::WouldBlock) => {}
            }
            let owner = Owner::read(&file);
            if begun.elapsed() >= patience || owner.as_ref().is_some_and(Owner::is_at_work) {
                return Err(taken(folder, owner.as_ref()));
            }
            // A new owner may not have written its details yet.
            if begun.elapsed() > 5 * PAUSE && !said {
                eprintln!("waiting for {} to end in {}", name(owner.as_ref()), folder.display());
                said = true;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Locks a folder whose file system has no locks.
    fn beat(folder: &Path, file: &File, error: &std::io::Error) -> Result<Self, CoordinatorError> {
        eprintln!("warning: {}", unlocked(folder, error));
        let heartbeat = Heartbeat::start(folder).map_err(CoordinatorError::file(path(folder)))?;
        let heartbeat = heartbeat.ok_or_else(|| taken(folder, Owner::read(file).as_ref()))?;
        Owner::this_process().write(file).map_err(CoordinatorError::file(path(folder)))?;
        Ok(RunLock(Held::Beating { _heartbeat: heartbeat }))
    }

    /// A copy of the locked file for a child process: it stays open in every process that is started while the copy is
    /// there, and the folder is locked until the last of them has ended.
    ///
    /// # Errors
    ///
    /// If the file descriptor cannot be duplicated.
    pub fn lend(&self) -> std::io::Result<Option<OwnedFd>> {
        match &self.0 {
            // This way of duplicating keeps the copy open in children.
            Held::File(file) => Ok(Some(rustix::io::dup(file)?)),
            Held::Beating { .. } | Held::Inherited => Ok(None),
        }
    }

    /// The lock lent by this process's parent; taken if no process holds it.
    pub(crate) fn inherit(folder: &Path) -> Result<Self, CoordinatorError> {
        let file = open(folder)?;
        match file.try_lock() {
            Ok(()) => {
                Owner::this_process().write(&file).map_err(CoordinatorError::file(path(folder)))?;
                Ok(RunLock(Held::File(file)))
            }
            // Either the parent holds the lock, or the file system has no locks and the parent's heartbeat runs.
            Err(_) => Ok(RunLock(Held::Inherited)),
        }
    }
}

/// Writes the run's name into a folder's lock, for other processes that find it locked.
pub(crate) fn name_run(folder: &Path, run: &str) {
    note(folder, |owner| owner.run = Some(run.to_owned()));
}

/// Notes in a folder's lock that its owner is ending: other processes should wait.
pub(crate) fn announce_end(folder: &Path) {
    note(folder, |owner| owner.ending = true);
}

/// Changes the owner's details in the lock. They are informative only: a full disk must not end a run here.
fn note(folder: &Path, change: impl FnOnce(&mut Owner)) {
    // A coordinator within another process, as in a test, has no lock.
    let Ok(file) = File::options().read(true).write(true).open(path(folder)) else { return };
    let Some(mut owner) = Owner::read(&file) else { return };
    change(&mut owner);
    if let Err(error) = owner.write(&file) {
        tracing::debug!(%error, "the lock cannot be written to");
    }
}

fn open(folder: &Path) -> Result<File, CoordinatorError> {
    let unfit =
        |error| CoordinatorError::Input(format!("{}: {error}; choose another --out", folder.display()));
    std::fs::create_dir_all(folder).map_err(unfit)?;
    let options = File::options().read(true).write(true).create(true).truncate(false).open(path(folder));
    options.map_err(|error| {
        CoordinatorError::Input(format!("{}: {error}; a run writes to its folder", path(folder).display()))
    })
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// What a user should know of a folder whose file system has no locks.
fn unlocked(folder: &Path, error: &std::io::Error) -> String {
    format!(
        "{} cannot be locked ({error}): a file there that changes every second stands for the lock; a run that is killed \
         keeps the folder for another {} s",
        folder.display(),
        heartbeat::STALE.as_secs()
    )
}

fn taken(folder: &Path, owner: Option<&Owner>) -> CoordinatorError {
    let folder = folder.display();
    let name = name(owner);
    CoordinatorError::Input(format!(
        "{folder} is taken: {name} is under way there; wait for its end, or end it with `pom2dib stop {folder}`"
    ))
}

fn name(owner: Option<&Owner>) -> String {
    owner.map_or_else(|| "a run".into(), ToString::to_string)
}

/// Whether an error means that the file system has no locks.
fn is_unsupported(error: &std::io::Error) -> bool {
    let codes = [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOLCK, Errno::NOSYS];
    error.kind() == std::io::ErrorKind::Unsupported
        || error.raw_os_error().is_some_and(|code| codes.iter().any(|known| known.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(400);

    #[test]
    fn a_folder_has_one_owner_and_the_refusal_names_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a");
        let lock = RunLock::take(&folder).unwrap();
        name_run(&folder, "0123456789abcdef");

        let begun = Instant::now();
        let error = RunLock::take(&folder).unwrap_err();

        assert!(begun.elapsed() < PATIENCE / 2, "an owner at work is not waited for");
        let line = error.to_string();
        let pid = format!("process {}", std::process::id());
        for part in [pid.as_str(), &owner::host(), "since 2", "run 01234567", "pom2dib stop"] {
            assert!(error.is_input() && line.contains(part), "{part} in {line}");
        }
        drop(lock);
        RunLock::take(&folder).unwrap();
        assert!(folder.join(NAME).exists());
    }

    #[test]
    fn without_locks_a_heartbeat_keeps_the_folder_and_the_refusal_names_the_owner() {
        let place = tempfile::tempdir().unwrap();
        let error = std::io::Error::from(Errno::NOLCK);
        let take = || RunLock::beat(place.path(), &open(place.path()).unwrap(), &error);
        let lock = take().unwrap();
        assert!(lock.lend().unwrap().is_none(), "there is no lock to share with children");
        name_run(place.path(), "0123456789abcdef");

        let refusal = take().unwrap_err();
        let line = refusal.to_string();
        let pid = format!("process {}", std::process::id());
        for part in ["is taken", pid.as_str(), &owner::host(), "since 2", "run 01234567", "pom2dib stop"] {
            assert!(refusal.is_input() && line.contains(part), "{part} in {line}");
        }
        drop(lock);
        take().unwrap();
    }

    #[test]
    fn a_file_system_without_locks_is_known_by_its_error_and_its_user_is_told() {
        for errno in [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOLCK, Errno::NOSYS] {
            assert!(is_unsupported(&errno.into()), "{errno}");
        }
        assert!(is_unsupported(&std::io::ErrorKind::Unsupported.into()));
        for errno in [Errno::ACCESS, Errno::AGAIN, Errno::IO, Errno::NOSPC, Errno::INTR] {
            assert!(!is_unsupported(&errno.into()), "{errno}");
        }
        let line = unlocked(Path::new("runs/a"), &Errno::NOLCK.into());
        assert!(line.starts_with("runs/a cannot be locked (") && !line.contains('\n'), "{line}");
        assert!(line.contains("another 15 s"), "{line}");
    }

    #[test]
    fn an_owner_that_is_ending_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().to_owned();
        let lock = RunLock::take(&folder).unwrap();
        announce_end(&folder);
        assert!(RunLock::take_within(&folder, SHORT).is_err(), "it has not ended yet");
        let next = std::thread::spawn(move || RunLock::take(&folder).map(drop));
        std::thread::sleep(SHORT);
        assert!(!next.is_finished());
        drop(lock);
        next.join().unwrap().unwrap();
    }

    #[test]
    fn an_owner_that_is_gone_has_children_that_end() {
        let place = tempfile::tempdir().unwrap();
        let lock = RunLock::take(place.path()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        // The process has ended, but its exit status has not been collected: it does no more work.
        std::thread::sleep(SHORT);
        note(place.path(), |owner| owner.pid = child.id());
        let begun = Instant::now();
        assert!(RunLock::take_within(place.path(), SHORT).is_err());
        assert!(begun.elapsed() >= SHORT, "it was waited for");
        child.wait().unwrap();
        drop(lock);
    }

    #[test]
    fn a_child_keeps_the_lock_that_it_was_lent() {
        let place = tempfile::tempdir().unwrap();
        let lock = RunLock::take(place.path()).unwrap();
        let lent = lock.lend().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(lent);
        drop(lock);
        assert!(RunLock::take_within(place.path(), SHORT).is_err(), "the child has it");
        child.kill().unwrap();
        child.wait().unwrap();
        RunLock::take_within(place.path(), SHORT).unwrap();
    }
}
