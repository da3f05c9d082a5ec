use std::{fmt, fs::File, os::unix::fs::FileExt, sync::LazyLock};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Largest content that is read, in bytes.
const LARGEST: usize = 4096;

/// The owner of a run's folder, as written in its lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) host: String,
    pub(super) pid: u32,
    /// Start time of the owner, in UTC.
    pub(super) start: String,
    /// The run's name on the wire, in hexadecimal, once it has one.
    pub(super) run: Option<String>,
    /// Whether it is about to end.
    pub(super) ending: bool,
}

impl Owner {
    pub(super) fn this_process() -> Self {
        Owner { host: host(), pid: std::process::id(), start: now(), run: None, ending: false }
    }

    /// Reads a lock's content. None if it is empty or being written.
    pub(super) fn read(file: &File) -> Option<Self> {
        let mut text = [0; LARGEST];
        let size = file.read_at(&mut text, 0).ok()?;
        serde_json::from_slice(&text[..size]).ok()
    }

    /// Writes the content into a lock, in place: the lock is on this very file.
    pub(super) fn write(&self, file: &File) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(self).expect("an owner has only strings and numbers");
        text.push(b'\n');
        file.write_all_at(&text, 0)?;
        file.set_len(text.len() as u64)
    }

    /// Whether the owner is still at work, as far as can be told: it has not noted that it is ending, and its process
    /// exists. Processes of another machine cannot be checked.
    pub(super) fn is_at_work(&self) -> bool {
        !self.ending && self.host == host() && is_there(self.pid)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Owner { host, pid, start, run, .. } = self;
        let run =
            run.as_ref().map_or_else(|| "a run".into(), |run| format!("run {}", run.get(..8).unwrap_or(run)));
        // The file's content cannot be trusted.
        let line = format!("{run} (process {pid} on {host}, since {start})");
        formatter.write_str(&line.replace(char::is_control, "?"))
    }
}

/// The name of this machine, or of this container.
pub(crate) fn host() -> String {
    static HOST: LazyLock<String> = LazyLock::new(|| {
        let file = std::fs::read_to_string("/proc/sys/kernel/hostname");
        let name = file.ok().or_else(|| {
            let output = std::process::Command::new("uname").arg("-n").output().ok()?;
            String::from_utf8(output.stdout).ok()
        });
        name.map_or_else(|| "this machine".into(), |name| name.trim().to_owned())
    });
    HOST.clone()
}

/// Whether a process of this machine exists. A process that has ended but whose exit status has not been collected does
/// not count.
fn is_there(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            // The state follows the command's name, which may contain any character.
            let state = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
            !state.starts_with(['Z', 'X'])
        }
        Err(_) => {
            Pid::from_raw(pid.cast_signed()).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
        }
    }
}

/// The time, in UTC.
pub(crate) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let (date, time) = (now.date(), now.time());
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
