//! Slurm, by its commands: sbatch, squeue, scontrol, and sacct where accounting is on.

use std::{fmt::Write, path::Path, time::Duration};

use anyhow::{Context, bail};

use super::{EngineOptions, Needs, ask};

/// How long a command of Slurm may take: its controller may be busy, or being restarted.
const LIMIT: Duration = Duration::from_secs(20);

/// The largest array where Slurm does not say it, its default.
const MAX_ARRAY: usize = 1001;

/// What a script has beside the options.
pub(crate) struct Script<'a> {
    /// The job's name, by which a later process finds it.
    pub(crate) name: &'a str,
    /// Whether the script starts steps by srun, which get the signals, instead of becoming the program.
    pub(crate) steps: bool,
    /// Further lines of options, without `#SBATCH`.
    pub(crate) lines: Vec<String>,
    /// The file for its output, in Slurm's pattern.
    pub(crate) log: &'a str,
    pub(crate) needs: Needs,
    /// The shell's lines.
    pub(crate) body: String,
}

/// The state of a job, or of a task of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobState {
    /// 12, or 12_3 for a task of an array.
    pub(crate) id: String,
    /// Slurm's word: PENDING, RUNNING, COMPLETED and so on.
    pub(crate) state: String,
    pub(crate) nodes: String,
    pub(crate) reason: String,
    pub(crate) name: String,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobEnd {
    pub(crate) state: String,
    /// Status and signal, as `127:0`.
    pub(crate) exit: String,
    pub(crate) node: String,
}

/// The text of a script for sbatch.
pub(crate) fn script(options: &EngineOptions, script: &Script<'_>) -> String {
    let Needs { cores, memory, gpus } = script.needs;
    let mut lines = vec![
        format!("--job-name={}", script.name),
        // Its output goes on where it was interrupted.
        format!("--output=\"{}\"", script.log),
        "--open-mode=append".into(),
        "--requeue".into(),
        // `B:` is for the script itself, which `exec` makes the program; without it, only steps are told.
        format!("--signal={}TERM@{}", if script.steps { "" } else { "B:" }, options.notice()),
        format!("--cpus-per-task={cores}"),
        format!("--mem={memory}M"),
    ];
    lines.extend((gpus > 0).then(|| format!("--gres=gpu:{gpus}")));
    let given = [("time", &options.time), ("partition", &options.partition), ("account", &options.account)];
    lines.extend(given.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))));
    lines.extend(script.lines.iter().chain(&options.engine_option).cloned());
    let mut text = String::from("#!/bin/sh\n");
    for line in lines {
        writeln!(text, "#SBATCH {line}").expect("text can be written to");
    }
    text + &script.body
}

/// Whether there is a Slurm to submit to.
///
/// # Errors
/// One line, if sbatch is not there.
pub(crate) fn check() -> anyhow::Result<()> {
    ask::answer("sbatch", &["--version"], "", LIMIT).map(drop).context(
        "--on slurm submits by sbatch, which does not run here: go to a machine that submits to the cluster",
    )
}

/// Submits a script, and returns the job's number. If the answer is lost, the job is looked for by its name.
///
/// # Errors
/// What sbatch complains about.
pub(crate) fn submit(script: &Path, name: &str) -> anyhow::Result<String> {
    let path = script.to_string_lossy();
    let answer = ask::answer("sbatch", &["--parsable", &path], "", LIMIT);
    match answer {
        Ok(text) => {
            let id = text.trim().split(';').next().unwrap_or_default().to_owned();
            let is_number = !id.is_empty() && id.chars().all(|letter| letter.is_ascii_digit());
            if is_number { Ok(id) } else { bail!("sbatch: \"{}\" is no job's number", text.trim()) }
        }
        Err(error) => match find(name) {
            Ok(Some(id)) => Ok(id),
            _ => Err(error),
        },
    }
}

/// The number of the job of a name, if Slurm knows one.
///
/// # Errors
/// If Slurm does not answer.
pub(crate) fn find(name: &str) -> anyhow::Result<Option<String>> {
    let states = states(&[name])?;
    Ok(states.first().map(|state| state.id.split('_').next().unwrap_or_default().to_owned()))
}

/// The states of all jobs of these names, tasks of arrays one by one; ended ones for as long as Slurm remembers them.
///
/// # Errors
/// If Slurm does not answer.
pub(crate) fn states(names: &[&str]) -> anyhow::Result<Vec<JobState>> {
    let names = format!("--name={}", names.join(","));
    let words = ["--noheader", "--array", "--states=all", "--format=%i|%T|%N|%j|%r", "--me", names.as_str()];
    let text = ask::answer("squeue", &words, "", LIMIT).context("Slurm does not answer")?;
    Ok(text.lines().filter_map(JobState::parse).collect())
}

/// How a job ended, from its record, or from accounting where the record is gone. None if nothing is known.
pub(crate) fn end(id: &str) -> Option<JobEnd> {
    let record = ask::answer("scontrol", &["--oneliner", "show", "job", id], "", LIMIT);
    if let Some(end) = record.ok().and_then(|text| JobEnd::of_record(&text)) {
        return Some(end);
    }
    let format = "--format=State,ExitCode,NodeList";
    let words = ["--allocations", "--noheader", "--parsable2", "--jobs", id, format];
    JobEnd::of_account(&ask::answer("sacct", &words, "", LIMIT).ok()?)
}

/// The largest number of tasks in an array.
pub(crate) fn largest_array() -> usize {
    let config = ask::answer("scontrol", &["show", "config"], "", LIMIT).unwrap_or_default();
    let line = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"));
    let size = line.and_then(|rest| rest.trim_start_matches([' ', '=']).trim().parse().ok());
    // Indices are below that number.
    size.unwrap_or(MAX_ARRAY).max(1)
}

impl JobState {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.trim().splitn(5, '|').collect();
        let [id, state, nodes, name, reason] = words[..] else { return None };
        let [id, state, nodes, name, reason] =
            [id, state, nodes, name, reason].map(|word| word.trim().to_owned());
        Some(JobState { id, state, nodes, reason, name })
    }

    /// The index in its array.
    pub(crate) fn task(&self) -> Option<usize> {
        self.id.split_once('_')?.1.parse().ok()
    }

    /// Whether it has ended, and is not put back into the queue.
    pub(crate) fn has_ended(&self) -> bool {
        let ends = [
            "COMPLETED",
            "FAILED",
            "CANCELLED",
            "TIMEOUT",
            "NODE_FAIL",
            "PREEMPTED",
            "OUT_OF_MEMORY",
            "BOOT_FAIL",
            "DEADLINE",
            "REVOKED",
        ];
        ends.iter().any(|end| self.state.starts_with(end))
    }

    /// The state in words: "12_3 pending (Resources)", "12_3 running on n1".
    pub(crate) fn words(&self) -> String {
        let JobState { id, state, nodes, reason, .. } = self;
        let state = state.to_lowercase();
        match nodes.is_empty() {
            true => format!("job {id} {state} ({reason})"),
            false => format!("job {id} {state} on {nodes}"),
        }
    }
}

impl JobEnd {
    /// From a line of `scontrol --oneliner show job`.
    fn of_record(text: &str) -> Option<Self> {
        let line = text.lines().next()?;
        let word = |name: &str| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            value.map(str::to_owned)
        };
        let node = word("NodeList=").filter(|node| node != "(null)").unwrap_or_default();
        Some(JobEnd { state: word("JobState=")?, exit: word("ExitCode=")?, node })
    }

    /// From a line of sacct.
    fn of_account(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.lines().next()?.split('|').collect();
        let [state, exit, node] = words[..] else { return None };
        let [state, exit, node] = [state, exit, node].map(str::to_owned);
        Some(JobEnd { state, exit, node })
    }

    /// Whether the shell did not find the program, or could not start it.
    pub(crate) fn lacks_program(&self) -> bool {
        ["126:", "127:"].iter().any(|status| self.exit.starts_with(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_of_tasks_are_read_line_by_line() {
        let state = JobState::parse("12_3|PENDING||pom2dib-ab|Resources, of all|sorts").unwrap();
        assert_eq!((state.task(), state.has_ended()), (Some(3), false));
        assert_eq!(state.words(), "job 12_3 pending (Resources, of all|sorts)");
        let state = JobState::parse("12_10|CANCELLED|n1|x|None").unwrap();
        assert!(state.has_ended() && state.task() == Some(10));
        assert_eq!(JobState::parse("slurm_load_jobs error: Unable to contact slurm controller"), None);
    }

    #[test]
    fn the_end_of_a_job_is_read_from_its_record_and_from_accounting() {
        let record = "JobId=13 ArrayJobId=12 ArrayTaskId=3 JobName=a JobState=FAILED Reason=NonZeroExitCode ExitCode=127:0 \
                      ReqNodeList=(null) NodeList=n2 BatchHost=n2\n";
        let end = JobEnd::of_record(record).unwrap();
        assert_eq!((end.state.as_str(), end.node.as_str(), end.lacks_program()), ("FAILED", "n2", true));
        let end = JobEnd::of_account("CANCELLED by 0|0:9|n1\n").unwrap();
        assert_eq!((end.exit.as_str(), end.lacks_program()), ("0:9", false));
        assert!(JobEnd::of_record("").is_none() && JobEnd::of_account("").is_none());
    }
}
