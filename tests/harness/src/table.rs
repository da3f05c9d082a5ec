use std::{fs, path::Path};

use crate::Signal;

/// A process in the system's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pid: u32,
    /// Its role in a run: its command, with its index if it has one. "transmitter 1", "coordinator", "run".
    pub role: String,
}

impl Running {
    /// All running processes that work in a folder, whoever started them.
    pub(crate) fn in_folder(folder: &Path) -> Vec<Running> {
        let entries = fs::read_dir("/proc").expect("this system has a table of processes").flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(|pid| Running::find(pid, folder)).collect()
    }

    /// The process with that number, if it works in that folder. A process that has ended does not count, even if its
    /// exit status has not been collected.
    fn find(pid: u32, folder: &Path) -> Option<Running> {
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        (works_in == folder).then(|| Running { pid, role: role(&command) })
    }

    /// Its peak memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
        line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// A variable of the environment that its program began with.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let mut variables = environment.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        variables.find_map(|variable| Some(variable.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        signal.send(self.pid);
    }
}

/// Command and index from a command line, whose words end in zero bytes.
fn role(command: &str) -> String {
    let words: Vec<&str> = command.split('\0').collect();
    let name = words.get(1).copied().unwrap_or_default();
    match words.iter().position(|word| *word == "--index").and_then(|flag| words.get(flag + 1)) {
        Some(index) => format!("{name} {index}"),
        None => name.into(),
    }
}
