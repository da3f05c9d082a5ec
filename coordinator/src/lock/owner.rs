use std::{fmt, fs::File, os::unix::fs::FileExt, sync::LazyLock};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What is read of it at most, in bytes.
const LARGEST: usize = 4096;

/// Who has a run's folder: what stands in its lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) host: String,
    pub(super) pid: u32,
    /// Since when, in UTC.
    pub(super) start: String,
    /// The run's name on the wire, in hexadecimal, once it has one.
    pub(super) run: Option<String>,
    /// It is about to end.
    pub(super) ending: bool,
}

impl Owner {
    pub(super) fn this_process() -> Self {
        Owner { host: host(), pid: std::process::id(), start: now(), run: None, ending: false }
    }

    /// What a lock says. None if it says nothing, or is being written.
    pub(super) fn read(file: &File) -> Option<Self> {
        let mut text = [0; LARGEST];
        let size = file.read_at(&mut text, 0).ok()?;
        serde_json::from_slice(&text[..size]).ok()
    }

    /// Writes it into a lock: in place, for the lock is on this very file.
    pub(super) fn write(&self, file: &File) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(self).expect("an owner has only strings and numbers");
        text.push(b'\n');
        file.write_all_at(&text, 0)?;
        file.set_len(text.len() as u64)
    }

    /// Whether it goes on working, as far as can be told: it has not said that it ends, and its process is there. Of another
    /// machine's process nothing is known.
    pub(super) fn is_at_work(&self) -> bool {
        !self.ending && self.host == host() && is_there(self.pid)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Owner { host, pid, start, run, .. } = self;
        let run =
            run.as_ref().map_or_else(|| "a run".into(), |run| format!("run {}", run.get(..8).unwrap_or(run)));
        // What stands in a file may be anything.
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

/// Whether a process of this machine is there. One that has ended and whose exit status nobody has asked for is not.
fn is_there(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            // After the command's name, which may hold anything.
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
