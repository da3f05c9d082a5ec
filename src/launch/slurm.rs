//! Slurm, by its commands: sbatch, squeue, scontrol, and sacct where accounting is on.

use std::{collections::BTreeMap, fmt::Write, path::Path, time::Duration};

use anyhow::{Context, bail};

use super::{EngineOptions, Needs, ask};

/// How long a command of Slurm may take: its controller may be busy, or being restarted.
const LIMIT: Duration = Duration::from_secs(20);

/// The largest array where Slurm does not say it, its default.
const MAX_ARRAY: usize = 1001;

/// More tasks than Slurm's arrays can have.
const MAX_TASKS: usize = 4_000_001;

/// Words for the states of jobs that have ended, and that Slurm does not put back into the queue by itself.
const ENDS: [&str; 10] = [
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
    Ok(states.first().map(|state| state.array().to_owned()))
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
pub(crate) fn end(state: &JobState) -> Option<JobEnd> {
    let record = ask::answer("scontrol", &["--oneliner", "show", "job", &state.id], "", LIMIT);
    let of_record = record.ok().and_then(|text| JobEnd::of_record(&text, &state.name));
    of_record.or_else(|| accounted(state.array(), &state.name).remove(&state.task()?))
}

/// How the tasks of an array ended by what accounting has of them: nothing where accounting is off. A task that
/// accounting takes for one under way has no end: Slurm's controller may have lost it.
pub(crate) fn accounted(array: &str, name: &str) -> BTreeMap<usize, JobEnd> {
    let format = "--format=JobID,JobName,State,ExitCode,NodeList";
    let words = ["--allocations", "--noheader", "--parsable2", "--jobs", array, format];
    let text = ask::answer("sacct", &words, "", LIMIT).unwrap_or_default();
    JobEnd::of_account(&text, array, name)
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

    /// The number of its array.
    pub(crate) fn array(&self) -> &str {
        self.id.split('_').next().unwrap_or_default()
    }

    /// The index in its array.
    pub(crate) fn task(&self) -> Option<usize> {
        self.id.split_once('_')?.1.parse().ok()
    }

    /// Whether it has ended, and is not put back into the queue.
    pub(crate) fn has_ended(&self) -> bool {
        is_end(&self.state)
    }

    /// Whether it waits or runs, and is not about to end.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.has_ended() && self.state != "COMPLETING"
    }

    /// Whether it was cancelled; a kill (`scancel --signal=KILL`) looks the same.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.starts_with("CANCELLED")
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
    /// From a line of `scontrol --oneliner show job`, unless it is another job's that has got the same number: a
    /// controller that lost its state begins again with the first.
    fn of_record(text: &str, name: &str) -> Option<Self> {
        let line = text.lines().next()?;
        let word = |name: &str| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            value.map(str::to_owned)
        };
        if word("JobName=")? != name {
            return None;
        }
        let node = word("NodeList=").filter(|node| node != "(null)").unwrap_or_default();
        Some(JobEnd { state: word("JobState=")?, exit: word("ExitCode=")?, node })
    }

    /// The ends of an array's tasks, from lines of sacct. Those that never began share a line, `12_[0-3,7%2]`, which
    /// may also name some that have begun since.
    fn of_account(text: &str, array: &str, name: &str) -> BTreeMap<usize, Self> {
        let (mut alone, mut together) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            let words: Vec<&str> = line.split('|').map(str::trim).collect();
            let [id, of, state, exit, node] = words[..] else { continue };
            let Some(tasks) = id.strip_prefix(array).and_then(|rest| rest.strip_prefix('_')) else {
                continue;
            };
            if of != name || !is_end(state) {
                continue;
            }
            let node = if node == "None assigned" { "" } else { node };
            let [state, exit, node] = [state, exit, node].map(str::to_owned);
            let end = JobEnd { state, exit, node };
            match tasks.parse() {
                Ok(task) => drop(alone.insert(task, end)),
                Err(_) => together.extend(indices(tasks).into_iter().map(|task| (task, end.clone()))),
            }
        }
        together.extend(alone);
        together
    }

    /// Whether a person cancelled it, by accounting: it names the user. Jobs that a controller lost are "CANCELLED".
    pub(crate) fn is_by_person(&self) -> bool {
        self.state.starts_with("CANCELLED by ")
    }

    /// Whether the shell did not find the program, or could not start it.
    pub(crate) fn lacks_program(&self) -> bool {
        ["126:", "127:"].iter().any(|status| self.exit.starts_with(status))
    }
}

fn is_end(state: &str) -> bool {
    ENDS.iter().any(|end| state.starts_with(end))
}

/// The indices of tasks that wait together, of Slurm's notation: `[0-3,7%2]`.
fn indices(tasks: &str) -> Vec<usize> {
    let list = tasks.trim_start_matches('[').trim_end_matches(']');
    let list = list.split('%').next().unwrap_or_default();
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (low.parse::<usize>().ok()?, high.parse::<usize>().ok()?);
        Some(low..=high.min(low + MAX_TASKS))
    };
    list.split(',').filter_map(range).flatten().collect()
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
        assert!(state.has_ended() && state.is_cancelled() && state.task() == Some(10));
        let state = JobState::parse("12_10|COMPLETING|n1|x|None").unwrap();
        assert!(!state.has_ended() && !state.is_under_way() && state.array() == "12");
        assert_eq!(JobState::parse("slurm_load_jobs error: Unable to contact slurm controller"), None);
    }

    #[test]
    fn the_end_of_a_job_is_read_from_its_record_unless_that_is_of_another_job() {
        let record = "JobId=13 ArrayJobId=12 ArrayTaskId=3 JobName=a JobState=FAILED Reason=NonZeroExitCode ExitCode=127:0 \
                      ReqNodeList=(null) NodeList=n2 BatchHost=n2\n";
        let end = JobEnd::of_record(record, "a").unwrap();
        assert_eq!((end.state.as_str(), end.node.as_str(), end.lacks_program()), ("FAILED", "n2", true));
        assert_eq!((JobEnd::of_record(record, "b"), JobEnd::of_record("", "a")), (None, None));
    }

    /// The lines are those of Slurm 22.05 with slurmdbd.
    #[test]
    fn the_ends_of_tasks_are_read_from_accounting() {
        let text = "7_0|a|CANCELLED by 0|0:0|n2\n7_1|a|OUT_OF_MEMORY|0:125|n1\n7_2|a|CANCELLED|0:0|n1\n7_4|a|RUNNING|0:0|n1\n\
                    7_[0-1,3,5-6%1]|a|CANCELLED by 1000|0:0|None assigned\n";
        let ends = JobEnd::of_account(text, "7", "a");
        assert_eq!(ends.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 5, 6], "the fifth is under way");
        assert_eq!((ends[&0].node.as_str(), ends[&0].is_by_person()), ("n2", true));
        assert_eq!((ends[&1].state.as_str(), ends[&1].exit.as_str()), ("OUT_OF_MEMORY", "0:125"));
        assert!(!ends[&2].is_by_person(), "lost by a controller that began anew");
        assert_eq!((ends[&6].node.as_str(), ends[&6].is_by_person()), ("", true));
        for (array, name) in [("7", "b"), ("77", "a"), ("_", "a")] {
            assert!(JobEnd::of_account(text, array, name).is_empty(), "{array} {name}");
        }
        let off = "Slurm accounting storage is disabled\n7_[9-|a|FAILED|1:0|n1\n7_x|a|FAILED|1:0|n1";
        assert!(JobEnd::of_account(off, "7", "a").is_empty());
    }
}
