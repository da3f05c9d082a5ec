//! Any command as a launcher: ssh to workstations, `qsub`, `bsub`.
//!
//! The contract: a command that ends with status 0 has run the point, or has handed it over to a queue; the done file
//! in the point's folder tells which. Any other status, without a done file, means that it could not start the point.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use node::{shell_path, shell_word};
use rustix::process::{Pid, Signal, kill_process};

use super::{super::pool::last_line, Known, Launcher, Remote};
use crate::program;

/// The placeholders of a template.
const PLACEHOLDERS: [&str; 9] =
    ["command", "folder", "name", "log", "host", "cores", "memory", "gpus", "number"];

pub(super) struct CommandLauncher<'a> {
    remote: &'a Remote<'a>,
    template: &'a str,
    /// Commands that run, or have ended, by point.
    started: BTreeMap<usize, Started>,
    /// The most that run at a time.
    most: usize,
    /// Whether they end with this process.
    is_here: bool,
}

struct Started {
    host: Option<usize>,
    /// Its point has ended or is to be started again: only the command itself is waited for.
    is_over: bool,
    state: StartedState,
}

enum StartedState {
    Runs(Child),
    Ended(Known),
}

impl<'a> CommandLauncher<'a> {
    pub(super) fn new(remote: &'a Remote<'a>, template: &'a str) -> anyhow::Result<Self> {
        check(template)?;
        let hosts = &remote.options.hosts;
        let names_host = template.contains("{host}");
        ensure!(!names_host || !hosts.is_empty(), "--on has {{host}}: name the hosts, as in --hosts one,two");
        ensure!(names_host || hosts.is_empty(), "--hosts is for {{host}} in --on, which has none");
        let most = match (remote.parallel, hosts.len()) {
            (Some(parallel), 0) => parallel,
            (Some(parallel), hosts) => parallel.min(hosts),
            (None, 0) => usize::MAX,
            (None, hosts) => hosts,
        };
        Ok(CommandLauncher { remote, template, started: BTreeMap::new(), most, is_here: false })
    }

    /// Starts points on this machine.
    pub(super) fn here(remote: &'a Remote<'a>) -> anyhow::Result<Self> {
        Ok(CommandLauncher { is_here: true, ..CommandLauncher::new(remote, "exec {command}")? })
    }

    /// The command that starts a point. Every value is a word of the shell's, or part of one.
    fn command(&self, point: usize, host: Option<usize>) -> anyhow::Result<String> {
        let planned = &self.remote.planned[point];
        let again = program::again()?;
        let words = std::iter::once(again.get_program()).chain(again.get_args());
        let words: Vec<String> = words.map(|word| shell_word(&word.to_string_lossy())).collect();
        let needs = self.remote.needs;
        let mut command = self.template.to_owned();
        for name in PLACEHOLDERS {
            let value = match name {
                "command" => format!("{} point {}", words.join(" "), shell_path(&planned.folder)),
                "folder" => shell_path(&planned.folder),
                "name" => shell_word(&planned.point.name),
                "log" => shell_path(&self.log(point)),
                "host" => host.map(|at| shell_word(&self.remote.options.hosts[at])).unwrap_or_default(),
                "cores" => needs.cores.to_string(),
                "memory" => needs.memory.to_string(),
                "gpus" => needs.gpus.to_string(),
                _ => point.to_string(),
            };
            command = command.replace(&format!("{{{name}}}"), &value);
        }
        Ok(command)
    }

    fn log(&self, point: usize) -> PathBuf {
        self.remote.planned[point].folder.join("launch.log")
    }

    /// A host on which nothing was started that still runs.
    fn free_host(&self) -> Option<usize> {
        let busy: Vec<usize> = self.running().filter_map(|started| started.host).collect();
        (0..self.remote.options.hosts.len()).find(|host| !busy.contains(host))
    }

    fn running(&self) -> impl Iterator<Item = &Started> {
        let holds = |state: &StartedState| {
            matches!(state, StartedState::Runs(_) | StartedState::Ended(Known::HandedOver))
        };
        self.started.values().filter(move |started| holds(&started.state))
    }

    fn ended(&self, point: usize, status: std::process::ExitStatus) -> Known {
        if status.success() {
            return Known::HandedOver;
        }
        let log = self.log(point);
        let said = last_line(&log).unwrap_or_else(|| "it said nothing".into());
        // The shell's statuses for a program that is not there.
        let again = !matches!(status.code(), Some(126 | 127));
        let how = format!("the command of --on ended ({status}): {said} (log {})", log.display());
        Known::Ended { how, again }
    }
}

impl Launcher for CommandLauncher<'_> {
    fn room(&self) -> usize {
        self.most.saturating_sub(self.running().count())
    }

    fn start(&mut self, points: &[usize]) -> anyhow::Result<()> {
        for &point in points {
            // What ran before there has ended.
            self.started.remove(&point);
            let host = self.free_host();
            let text = self.command(point, host)?;
            let log = File::options().create(true).append(true).open(self.log(point))?;
            let mut command = Command::new("sh");
            // It does not receive the terminal's Ctrl-C: what was started goes on.
            command.args(["-c", &text]).process_group(0).stdin(Stdio::null());
            command.stdout(log.try_clone()?).stderr(log);
            let child = command.spawn().context("sh, for the command of --on")?;
            self.started.insert(point, Started { host, is_over: false, state: StartedState::Runs(child) });
        }
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<BTreeMap<usize, Known>> {
        let mut ended = Vec::new();
        for (&point, started) in &mut self.started {
            if let StartedState::Runs(child) = &mut started.state {
                ended.extend(child.try_wait()?.map(|status| (point, status)));
            }
        }
        for (point, status) in ended {
            if self.started[&point].is_over {
                self.started.remove(&point);
                continue;
            }
            let known = self.ended(point, status);
            let started = self.started.get_mut(&point).expect("it was there just now");
            started.state = StartedState::Ended(known);
        }
        let known = |started: &Started| match &started.state {
            StartedState::Runs(_) => Known::Alive(match started.host {
                Some(host) => format!("started on {}", self.remote.options.hosts[host]),
                None => "started".into(),
            }),
            StartedState::Ended(known) => known.clone(),
        };
        Ok(self.started.iter().map(|(point, started)| (*point, known(started))).collect())
    }

    fn leave(&mut self) -> bool {
        if !self.is_here {
            return true;
        }
        for started in self.started.values_mut() {
            if let StartedState::Runs(child) = &mut started.state {
                if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
                    // It may just have ended.
                    let _ = kill_process(pid, Signal::TERM);
                }
                let _ = child.wait();
            }
        }
        false
    }

    fn forget(&mut self, point: usize) {
        match self.started.get_mut(&point) {
            Some(started) if matches!(started.state, StartedState::Runs(_)) => started.is_over = true,
            _ => drop(self.started.remove(&point)),
        }
    }

    fn print(&mut self, points: &[usize]) -> anyhow::Result<String> {
        let hosts = self.remote.options.hosts.len();
        let host = |at: usize| (hosts > 0).then(|| at % hosts);
        let lines = points.iter().enumerate().map(|(at, &point)| self.command(point, host(at)));
        let lines: Vec<String> = lines.collect::<anyhow::Result<_>>()?;
        Ok(lines.join("\n") + "\n")
    }
}

/// Refuses a placeholder that does not exist: a mistyped one would be started as it stands.
fn check(template: &str) -> anyhow::Result<()> {
    for piece in template.split('{').skip(1) {
        let Some((name, _)) = piece.split_once('}') else { continue };
        let is_word = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase());
        ensure!(
            !is_word || PLACEHOLDERS.contains(&name),
            "--on: there is no {{{name}}}; there are {{{}}}",
            PLACEHOLDERS.join("}, {")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_placeholder_is_named_and_braces_of_the_shell_are_left() {
        check("ssh {host} {command} ${HOME} {a,b} ${x%.*} {}").unwrap();
        let error = check("ssh {hosts} {command}").unwrap_err().to_string();
        assert!(error.starts_with("--on: there is no {hosts}; there are {command}, {folder}"), "{error}");
    }
}
