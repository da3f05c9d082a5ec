use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
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
    nonce: u64,
    end: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Locks a folder; none if another process's heartbeat runs there. Should another process take the folder after
    /// all, because this one stood still for too long, this process ends.
    pub(super) fn start(folder: &Path) -> io::Result<Option<Self>> {
        let name = folder.display().to_string();
        Heartbeat::start_with(folder, BEAT, STALE, move || {
            eprintln!(
                "error: {name}: another process has taken this folder while this one stood still: this one ends, and \
                 writes nothing more there"
            );
            std::process::exit(1)
        })
    }

    fn start_with(
        folder: &Path,
        beat: Duration,
        stale: Duration,
        lost: impl FnOnce() + Send + 'static,
    ) -> io::Result<Option<Self>> {
        let path = folder.join(NAME);
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let nonce = u64::from_be_bytes(nonce);
        loop {
            match create(&path, nonce, 0) {
                Ok(file) => {
                    // Another process that took the file for a dead owner's may have removed it just after it was
                    // created.
                    std::thread::sleep(beat);
                    if is_of(&path, nonce).is_ok_and(|own| own) {
                        return Ok(Some(Heartbeat::beating(path, nonce, file, beat, lost)));
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

    /// Writes into its own open file: even if another process replaces the file at this very moment, nothing of that
    /// one's is overwritten.
    fn beating(
        path: PathBuf,
        nonce: u64,
        mut file: File,
        beat: Duration,
        lost: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (end, ended) = channel();
        let own = path.clone();
        let heart = std::thread::spawn(move || {
            for count in 1.. {
                if !matches!(ended.recv_timeout(beat), Err(RecvTimeoutError::Timeout)) {
                    return;
                }
                match is_of(&own, nonce) {
                    // Others see it only once it is there. A failed beat is only a missed one: the next may succeed.
                    Ok(true) => drop(put(&file, nonce, count)),
                    Ok(false) => return lost(),
                    // The file was removed. If no other process has created it since, this process creates it again.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        if let Ok(again) = create(&own, nonce, count) {
                            file = again;
                        }
                    }
                    Err(_) => {}
                }
            }
        });
        Heartbeat { path, nonce, end: Some(end), heart: Some(heart) }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
        // Another process's is not this one's to remove.
        if is_of(&self.path, self.nonce).is_ok_and(|own| own) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Creates the file, which must not exist.
fn create(path: &Path, nonce: u64, count: u64) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).open(path)?;
    // Nothing that is not this process's may be left in its name.
    put(&file, nonce, count).inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(file)
}

/// Writes a beat. Later ones are never shorter.
fn put(file: &File, nonce: u64, count: u64) -> io::Result<()> {
    file.write_all_at(line(nonce, count).as_bytes(), 0)?;
    file.sync_data()
}

/// Whether a file is that of the process with this number.
fn is_of(path: &Path, nonce: u64) -> io::Result<bool> {
    Ok(fs::read_to_string(path)?.starts_with(&format!("{nonce:016x} ")))
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
        let take = || Heartbeat::start_with(folder.path(), BEAT, STALE, || ()).unwrap();
        let first = take().expect("the folder is free");
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

    #[test]
    fn an_owner_that_finds_anothers_file_ends_and_neither_overwrites_nor_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join(NAME), folder.path().join("other"));
        let (say, told) = channel();
        let lost = move || say.send(()).unwrap();
        let first =
            Heartbeat::start_with(folder.path(), BEAT, STALE, lost).unwrap().expect("the folder is free");
        // While it stood still, another process took the folder.
        fs::write(&other, line(7, 3)).unwrap();
        fs::rename(&other, &path).unwrap();

        told.recv_timeout(Duration::from_secs(60)).expect("it notices");
        assert_eq!(fs::read_to_string(&path).unwrap(), line(7, 3));
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), line(7, 3));
    }

    #[test]
    fn an_owner_whose_file_is_removed_has_another_one_soon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let first = Heartbeat::start_with(folder.path(), BEAT, STALE, || panic!("no other process takes it"));
        let first = first.unwrap().expect("the folder is free");
        fs::remove_file(&path).unwrap();
        let begun = Instant::now();
        while !is_of(&path, first.nonce).is_ok_and(|own| own) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never comes back");
            std::thread::sleep(BEAT);
        }
        drop(first);
        assert!(!path.exists());
    }
}
