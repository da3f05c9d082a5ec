use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Pause between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// A file unchanged for this long belongs to a killed process.
pub(super) const STALE: Duration = Duration::from_secs(15);

/// The file's name.
const NAME: &str = "lock.heartbeat";

/// A lock for file systems without locks: a file that only one process can create, and into which it writes while it
/// lives.
#[derive(Debug)]
pub(super) struct Heartbeat {
    path: PathBuf,
    end: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Locks a folder; none if another process's heartbeat runs there.
    pub(super) fn start(folder: &Path) -> io::Result<Option<Self>> {
        Heartbeat::start_with(folder, BEAT, STALE)
    }

    fn start_with(folder: &Path, beat: Duration, stale: Duration) -> io::Result<Option<Self>> {
        let path = folder.join(NAME);
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let nonce = u64::from_be_bytes(nonce);
        loop {
            match File::options().write(true).create_new(true).open(&path) {
                Ok(mut file) => {
                    file.write_all(line(nonce, 0).as_bytes())?;
                    // Another process that took the file for a dead owner's may have removed it just after it was
                    // created.
                    std::thread::sleep(beat);
                    if fs::read_to_string(&path).is_ok_and(|text| text == line(nonce, 0)) {
                        return Ok(Some(Heartbeat::beating(path, nonce, beat)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !is_still(&path, beat, stale) {
                        return Ok(None);
                    }
                    let _ = fs::remove_file(&path);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn beating(path: PathBuf, nonce: u64, beat: Duration) -> Self {
        let (end, ended) = channel();
        let file = path.clone();
        let heart = std::thread::spawn(move || {
            for count in 1.. {
                if !matches!(ended.recv_timeout(beat), Err(RecvTimeoutError::Timeout)) {
                    return;
                }
                // A failed beat is only a missed one: the next may succeed.
                let _ = fs::write(&file, line(nonce, count));
            }
        });
        Heartbeat { path, end: Some(end), heart: Some(heart) }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn line(nonce: u64, count: u64) -> String {
    format!("{nonce:016x} {count}\n")
}

/// Whether a file stays unchanged, or is gone.
fn is_still(path: &Path, beat: Duration, stale: Duration) -> bool {
    let read = || fs::read_to_string(path).ok();
    let (before, begun) = (read(), Instant::now());
    while begun.elapsed() < stale {
        let now = read();
        if now.is_none() {
            return true;
        }
        if now != before {
            return false;
        }
        std::thread::sleep(beat / 4);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(50);
    const STALE: Duration = Duration::from_secs(2);

    #[test]
    fn a_living_process_keeps_the_folder_and_a_killed_one_frees_it() {
        let folder = tempfile::tempdir().unwrap();
        let take = || Heartbeat::start_with(folder.path(), BEAT, STALE).unwrap();
        let first = take().expect("nobody has it");
        assert!(take().is_none());
        drop(first);
        assert!(!folder.path().join(NAME).exists());
        // The file that a killed process leaves.
        fs::write(folder.path().join(NAME), line(7, 7)).unwrap();
        let begun = Instant::now();
        let second = take().expect("its owner is dead");
        assert!(begun.elapsed() >= STALE);
        assert!(take().is_none());
        drop(second);
    }
}
