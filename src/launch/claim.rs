//! Exclusive claims on a folder, for processes of any machine that shares it.
//!
//! A folder's claims are the numbered files of its `claims`, and the highest number is the owner's. To take a folder
//! whose owner has ended, a process makes the file of the next number. Only one process can make it (by a hard link,
//! which is atomic on NFS too), and no file of a claim is ever removed: there is no moment at which two processes can
//! each take what the other has just taken. The owner writes to its file again and again; a file that no longer
//! changes is that of an owner that was killed. No clocks are compared: whoever waits counts its own seconds.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::whole::{draft, replace, write};

/// Pause between two heartbeats: rare enough for hundreds of runs on one file server.
const BEAT: Duration = Duration::from_secs(5);

/// A claim unchanged for this long is that of a killed process. NFS may show a change only after a minute.
const STALE: Duration = Duration::from_secs(90);

/// The subfolder of claims.
const FOLDER: &str = "claims";

/// Largest content of a claim that is read, in bytes.
const LARGEST: u64 = 4096;

/// The content of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) host: String,
    /// The machine since its last start, and the namespace in which its `pid` counts: empty where there is no /proc.
    machine: String,
    pid: u32,
    /// The process's start, in ticks since the machine's: another process may get the same number later.
    start: u64,
    /// The job of a batch system in which it runs, if any.
    pub(crate) job: Option<String>,
    /// Heartbeats so far.
    beats: u64,
    /// Whether it has ended by itself.
    ended: bool,
}

impl Owner {
    fn this_process() -> Self {
        let pid = std::process::id();
        let start = start(pid).unwrap_or_default();
        Owner { host: host(), machine: machine(), pid, start, job: job(), beats: 0, ended: false }
    }

    /// Whether it is a process of this machine that is no longer there.
    fn is_gone(&self) -> bool {
        !self.machine.is_empty() && self.machine == machine() && start(self.pid) != Some(self.start)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let job = self.job.as_ref().map_or_else(String::new, |job| format!("{job}, "));
        // The file's content cannot be trusted.
        let line = format!("{job}process {} on {}", self.pid, self.host);
        formatter.write_str(&line.replace(char::is_control, "?"))
    }
}

/// The right to work in a folder, until it is dropped or its process ends.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) number: u64,
    end: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

/// The outcome of an attempt to claim a folder.
#[derive(Debug)]
pub(crate) enum Taken {
    Here(Claim),
    /// Another process works there.
    By(Owner),
}

/// The claims on one folder, as one process observes them.
#[derive(Debug)]
pub(crate) struct Claims {
    folder: PathBuf,
    beat: Duration,
    stale: Duration,
    /// The last claim with its owner, and since when it is unchanged.
    seen: Option<(u64, Owner, Instant)>,
}

impl Claims {
    /// The claims on a folder.
    pub(crate) fn on(folder: &Path) -> Self {
        Claims { folder: folder.join(FOLDER), beat: BEAT, stale: STALE, seen: None }
    }

    /// The number of the last claim; 0 if there was none.
    pub(crate) fn last(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.folder) else { return 0 };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.max().unwrap_or(0)
    }

    /// The owner at work, as far as can be told so far: an owner that was killed counts until its claim has been
    /// unchanged for a while under repeated calls.
    pub(crate) fn owner(&mut self) -> Option<Owner> {
        self.look().1
    }

    /// The number of the last claim, and its owner if that is at work.
    fn look(&mut self) -> (u64, Option<Owner>) {
        let number = self.last();
        if number == 0 {
            return (0, None);
        }
        let owner = read(&self.path(number));
        let is_stale = match &self.seen {
            Some((known, before, since)) if *known == number && *before == owner => {
                since.elapsed() >= self.stale
            }
            _ => {
                self.seen = Some((number, owner.clone(), Instant::now()));
                false
            }
        };
        (number, (!owner.ended && !owner.is_gone() && !is_stale).then_some(owner))
    }

    /// Takes the folder, unless another process works there. `lost` is called if the claim is ever lost: if this
    /// process has not been able to write for so long that another one took over.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(crate) fn take(&mut self, lost: impl Fn() + Send + 'static) -> io::Result<Taken> {
        fs::create_dir_all(&self.folder)?;
        loop {
            let (last, at_work) = self.look();
            if let Some(owner) = at_work {
                return Ok(Taken::By(owner));
            }
            // The number after the claim that was looked at: whoever took the folder meanwhile has made this file.
            let (number, owner) = (last + 1, Owner::this_process());
            if create(&self.path(number), &text(&owner))? {
                return Ok(Taken::Here(self.hold(number, owner, lost)));
            }
        }
    }

    /// The same after it is certain whether the folder's owner is at work: waits for one that may have been killed.
    /// An owner that sends a heartbeat meanwhile keeps the folder.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn take_for_certain(&mut self, lost: impl Fn() + Clone + Send + 'static) -> io::Result<Taken> {
        let mut first = None;
        loop {
            match self.take(lost.clone())? {
                Taken::By(owner) => match first.get_or_insert_with(|| owner.clone()) {
                    first if *first != owner => return Ok(Taken::By(owner)),
                    _ => std::thread::sleep(self.beat / 10),
                },
                here => return Ok(here),
            }
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:06}"))
    }

    fn hold(&self, number: u64, mut owner: Owner, lost: impl Fn() + Send + 'static) -> Claim {
        let (end, ended) = channel();
        let (path, next, beat) = (self.path(number), self.path(number + 1), self.beat);
        let heart = std::thread::spawn(move || {
            while matches!(ended.recv_timeout(beat), Err(RecvTimeoutError::Timeout)) {
                if next.exists() {
                    return lost();
                }
                owner.beats += 1;
                // A failed beat is only a missed one: the next may succeed.
                let _ = replace(&path, &text(&owner));
            }
            let _ = replace(&path, &text(&Owner { ended: true, ..owner }));
        });
        Claim { number, end: Some(end), heart: Some(heart) }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
    }
}

fn text(owner: &Owner) -> Vec<u8> {
    let mut text = serde_json::to_vec(owner).expect("an owner has only strings and numbers");
    text.push(b'\n');
    text
}

/// The owner in a file; a malformed one is nobody in particular, and is waited for like a killed one.
fn read(path: &Path) -> Owner {
    let read = || {
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(File::open(path)?, LARGEST), &mut text)?;
        Ok::<_, io::Error>(serde_json::from_slice(&text)?)
    };
    read().unwrap_or_default()
}

/// Makes a file with its content in one step. False if it is there already.
fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let draft = draft(path)?;
    let made = write(&draft, content).and_then(|()| link(&draft, path));
    let _ = fs::remove_file(&draft);
    made
}

/// Over NFS the answer to a link that was made may be lost, and the repeated request fails: the number of the file's
/// names tells.
fn link(draft: &Path, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let error = match fs::hard_link(draft, path) {
        Ok(()) => return Ok(true),
        Err(error) => error,
    };
    if fs::metadata(draft)?.nlink() == 2 {
        return Ok(true);
    }
    match error.kind() {
        ErrorKind::AlreadyExists => Ok(false),
        // File systems without hard links: a file that is made exclusively, with its content a moment later.
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::CrossesDevices => {
            match File::create_new(path) {
                Ok(mut file) => file.write_all(&fs::read(draft)?).map(|()| true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        }
        _ => Err(error),
    }
}

/// The name of this machine, and of the node that a batch system takes it for.
pub(crate) fn host() -> String {
    if let Ok(node) = std::env::var("SLURMD_NODENAME") {
        return node;
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".into() } else { name.trim().into() }
}

/// The job of a batch system in which this process runs.
pub(crate) fn job() -> Option<String> {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(job) = named("SLURM_ARRAY_JOB_ID") {
        return Some(format!("job {job}_{}", named("SLURM_ARRAY_TASK_ID").unwrap_or_default()));
    }
    let known = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"];
    if let Some(job) = known.into_iter().find_map(named) {
        return Some(format!("job {job}"));
    }
    named("JOB_COMPLETION_INDEX").map(|index| format!("pod of index {index}"))
}

fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match fs::read_link("/proc/self/ns/pid") {
        Ok(space) if !boot.is_empty() => format!("{} {}", boot.trim(), space.display()),
        _ => String::new(),
    }
}

/// When a process began; none if it has ended. (One that has ended but was not collected does no more work.)
fn start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The state follows the command's name, which may contain any character; the start is the 20th word from there.
    let words = stat.rsplit_once(')')?.1.split_whitespace().collect::<Vec<_>>();
    if words.first().is_some_and(|state| ["Z", "X"].contains(state)) {
        return None;
    }
    words.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn claims(folder: &Path) -> Claims {
        let (beat, stale) = (Duration::from_millis(20), Duration::from_millis(400));
        Claims { beat, stale, ..Claims::on(folder) }
    }

    fn taken(outcome: io::Result<Taken>) -> Claim {
        match outcome.unwrap() {
            Taken::Here(claim) => claim,
            Taken::By(owner) => panic!("{owner} has it"),
        }
    }

    /// The claim of a process on a machine that cannot be looked at.
    fn elsewhere(beats: u64) -> Vec<u8> {
        text(&Owner { host: "far".into(), machine: "other".into(), pid: 7, beats, ..Owner::default() })
    }

    #[test]
    fn a_folder_has_one_owner_until_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = taken(claims(folder.path()).take(|| ()));
        assert!(matches!(claims(folder.path()).take_for_certain(|| ()).unwrap(), Taken::By(_)));
        drop(first);
        assert_eq!(taken(claims(folder.path()).take(|| ())).number, 2);
    }

    #[test]
    fn of_many_processes_that_take_a_free_folder_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let (start, won) = (Arc::new(Barrier::new(8)), Arc::new(AtomicUsize::new(0)));
            // All hold what they have taken until everybody has tried.
            let end = Arc::new(Barrier::new(8));
            let one = || {
                let (start, end, won, folder) =
                    (start.clone(), end.clone(), won.clone(), folder.path().to_owned());
                std::thread::spawn(move || {
                    start.wait();
                    let outcome = claims(&folder).take(|| ()).unwrap();
                    won.fetch_add(usize::from(matches!(outcome, Taken::Here(_))), Ordering::SeqCst);
                    end.wait();
                })
            };
            let all: Vec<_> = (0..8).map(|_| one()).collect();
            all.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!((won.load(Ordering::SeqCst), claims(folder.path()).last()), (1, round + 1));
        }
    }

    #[test]
    fn a_killed_process_of_this_machine_frees_the_folder_at_once_and_one_elsewhere_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(FOLDER);
        fs::create_dir_all(&place).unwrap();
        let gone = Owner { pid: u32::MAX >> 1, ..Owner::this_process() };
        fs::write(place.join("000001"), text(&gone)).unwrap();
        drop(taken(claims(folder.path()).take(|| ())));

        fs::write(place.join("000003"), elsewhere(1)).unwrap();
        assert!(
            matches!(claims(folder.path()).take(|| ()).unwrap(), Taken::By(owner) if owner.host == "far")
        );
        let begun = Instant::now();
        assert_eq!(taken(claims(folder.path()).take_for_certain(|| ())).number, 4);
        assert!(begun.elapsed() >= Duration::from_millis(400));
    }

    #[test]
    fn one_elsewhere_that_is_alive_keeps_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FOLDER).join("000001");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, elsewhere(1)).unwrap();
        let beating = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            replace(&file, &elsewhere(2)).unwrap();
        });
        assert!(matches!(claims(folder.path()).take_for_certain(|| ()).unwrap(), Taken::By(_)));
        beating.join().unwrap();
    }

    #[test]
    fn an_owner_that_was_taken_for_dead_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (tell, told) = channel();
        let claim = taken(claims(folder.path()).take(move || tell.send(()).expect("it is waited for")));
        fs::write(folder.path().join(FOLDER).join("000002"), elsewhere(1)).unwrap();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(claim);
    }
}
