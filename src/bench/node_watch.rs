//! Observes the processes of a run from outside: their peak memory, and the processor time of its rounds.
//!
//! All data comes from /proc. On a system without it nothing is observed, and the figures are left out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    time::Duration,
};

use serde::Serialize;

use crate::bench::logged::warm_up;

/// Interval between observations: long enough to cost next to nothing, short enough to see each round end.
const PAUSE: Duration = Duration::from_millis(50);

/// What a process is called that has all nodes in it.
const TOGETHER: &str = "together";

/// The unit of times in /proc: a hundredth of a second on every Linux (USER_HZ).
const CLOCK_TICK: f64 = 0.01;

/// A value for each role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Roles<T> {
    pub(crate) transmitter: T,
    pub(crate) receiver: T,
    pub(crate) coordinator: T,
    /// That of a process with all nodes in it; then the others are 0.
    pub(crate) together: T,
}

/// Which processes a run's nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// This number of processes, started by the run.
    Started(usize),
    /// The run's own process.
    InOne,
}

/// Observations of a run, as far as possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Peak memory of the largest process of each role in bytes, from start to end.
    pub(crate) peak_memory: Option<Roles<u64>>,
    /// Processor seconds of a counted round, all processes of a role together. Needs a few rounds of some length.
    pub(crate) processor: Option<Roles<f64>>,
}

/// The observer of one run.
pub(crate) struct Watch {
    run: u32,
    nodes: Nodes,
    metrics: PathBuf,
    processes: Vec<Process>,
    peak_memory: Roles<u64>,
    /// Processor seconds so far, at the moments when a round was first seen to be over: (rounds, seconds).
    edges: Vec<(usize, Roles<f64>)>,
}

struct Process {
    pid: u32,
    role: String,
}

impl Watch {
    /// Observes the processes of a run's nodes until it ends. `out` is the run's folder.
    pub(crate) fn until_end(mut run: Child, nodes: Nodes, out: &Path) -> std::io::Result<(ExitStatus, Seen)> {
        let metrics = out.join("metrics.jsonl");
        let (processes, edges) = (Vec::new(), Vec::new());
        let mut watch =
            Watch { run: run.id(), nodes, metrics, processes, peak_memory: Roles::default(), edges };
        loop {
            if let Some(status) = run.try_wait()? {
                return Ok((status, watch.seen()));
            }
            watch.look();
            std::thread::sleep(PAUSE);
        }
    }

    fn look(&mut self) {
        if !self.are_found() {
            self.processes = match self.nodes {
                Nodes::Started(_) => children(self.run),
                Nodes::InOne => vec![Process { pid: self.run, role: TOGETHER.into() }],
            };
        }
        for process in &self.processes {
            if let Some(bytes) = peak_memory(process.pid) {
                let peak = self.peak_memory.of(&process.role);
                *peak = bytes.max(*peak);
            }
        }
        let rounds = fs::read_to_string(&self.metrics).map_or(0, |text| text.lines().count());
        let last = self.edges.last().map_or(0, |(rounds, _)| *rounds);
        if rounds > last && self.are_found() {
            // Skipped when a process has just ended: the sum over the others would be meaningless.
            self.edges.extend(self.processor().map(|seconds| (rounds, seconds)));
        }
    }

    fn are_found(&self) -> bool {
        match self.nodes {
            Nodes::Started(expected) => self.processes.len() == expected,
            Nodes::InOne => !self.processes.is_empty(),
        }
    }

    /// Processor seconds of all processes so far.
    fn processor(&self) -> Option<Roles<f64>> {
        let mut seconds = Roles::default();
        for process in &self.processes {
            *seconds.of(&process.role) += processor_seconds(process.pid)?;
        }
        Some(seconds)
    }

    fn seen(&self) -> Seen {
        // Without /proc the process is known, but its memory is not.
        let is_seen = self.are_found() && self.peak_memory != Roles::default();
        Seen {
            peak_memory: is_seen.then_some(self.peak_memory),
            processor: processor_of_a_round(&self.edges),
        }
    }
}

impl<T> Roles<T> {
    /// The value of a role by its name; other names are the coordinator's.
    fn of(&mut self, role: &str) -> &mut T {
        match role {
            "transmitter" => &mut self.transmitter,
            "receiver" => &mut self.receiver,
            TOGETHER => &mut self.together,
            _ => &mut self.coordinator,
        }
    }
}

impl Roles<f64> {
    /// The sum over all roles.
    pub(crate) fn total(&self) -> f64 {
        self.transmitter + self.receiver + self.coordinator + self.together
    }

    /// All values divided by `parts`.
    pub(crate) fn over(self, parts: f64) -> Self {
        let Roles { transmitter, receiver, coordinator, together } = self;
        let [transmitter, receiver, coordinator, together] =
            [transmitter, receiver, coordinator, together].map(|seconds| seconds / parts);
        Roles { transmitter, receiver, coordinator, together }
    }
}

/// Processor seconds of a round between the first and the last counted edge.
fn processor_of_a_round(edges: &[(usize, Roles<f64>)]) -> Option<Roles<f64>> {
    let (total, after) = edges.last()?;
    let (first, before) = edges.iter().find(|(rounds, _)| *rounds >= warm_up(*total))?;
    let rounds = total.checked_sub(*first).filter(|rounds| *rounds > 0)? as f64;
    let spent = Roles {
        transmitter: after.transmitter - before.transmitter,
        receiver: after.receiver - before.receiver,
        coordinator: after.coordinator - before.coordinator,
        together: after.together - before.together,
    };
    Some(spent.over(rounds))
}

// ------------------------------------------------------------------------------------------------------- /proc

/// The running child processes of `parent`.
fn children(parent: u32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|pid| child(pid, parent)).collect()
}

fn child(pid: u32, parent: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    if field(&stat, PARENT)? != u64::from(parent) {
        return None;
    }
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    // Between fork and exec a child still has its parent's command line.
    let role = command.split('\0').nth(1).filter(|word| *word != "run")?;
    Some(Process { pid, role: role.into() })
}

fn processor_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some((field(&stat, USER_TIME)? + field(&stat, SYSTEM_TIME)?) as f64 * CLOCK_TICK)
}

/// Positions in /proc/PID/stat after the program's name, which may contain spaces.
const PARENT: usize = 1;
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

fn field(stat: &str, position: usize) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(position)?.parse().ok()
}

/// The largest resident set of a process so far, in bytes.
fn peak_memory(pid: u32) -> Option<u64> {
    high_water_mark(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_parent_stand_behind_a_name_that_may_hold_anything() {
        let stat = "41 (a) b (c) S 7 41 41 0 -1 4194304 900 0 0 0 123 45 0 0 20 0 4 0 100";
        assert_eq!(
            [PARENT, USER_TIME, SYSTEM_TIME].map(|at| field(stat, at)),
            [Some(7), Some(123), Some(45)]
        );
        assert_eq!(field("41 (cut", PARENT), None);
    }

    #[test]
    fn peak_memory_is_read_in_bytes() {
        assert_eq!(high_water_mark("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(high_water_mark("Name:\tx\n"), None);
    }

    #[test]
    fn processor_time_of_a_round_is_counted_between_edges_after_the_warm_up() {
        let at = |seconds| Roles { transmitter: seconds, receiver: 2.0 * seconds, ..Roles::default() };
        let edges = [(1, at(50.0)), (9, at(60.0)), (12, at(61.0)), (20, at(65.0))];
        assert_eq!(processor_of_a_round(&edges), Some(at(0.5)));
        assert_eq!(processor_of_a_round(&edges[..1]), None);
        assert_eq!(processor_of_a_round(&[]), None);
    }
}
