//! Slurm as a launcher: job arrays, a point for each task.
//!
//! An array's files are in the sweep's `jobs`: `0001.list` (a folder of a point in each line), `0001.sh` (the script),
//! and once it is submitted `0001.id` (its number). Its name in Slurm has the sweep's own number, so that a process
//! that comes later finds even an array whose number was not written any more.
//!
//! Slurm says the same, CANCELLED, of a task that a person cancelled and of one that was killed by
//! `scancel --signal=KILL`. A person cancels a whole array, or what has not begun: such points are left alone. A task
//! that ends so by itself while others of its array go on counts as killed, and is submitted again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::Context;
use node::{shell_path, shell_word};

use super::{super::pool::last_line, Known, Launcher, Remote, jobs::Jobs};
use crate::{
    launch::{
        slurm::{self, JobEnd, JobState, Script},
        whole::replace,
    },
    program,
};

pub(super) struct SlurmLauncher<'a> {
    remote: &'a Remote<'a>,
    jobs: Jobs,
    arrays: Vec<Array>,
    /// The states of points that have not been told to have ended.
    known: BTreeMap<usize, Known>,
    largest: usize,
}

/// A submitted array.
struct Array {
    number: usize,
    name: String,
    id: String,
    /// The points of its tasks; none for those of other sweeps in the same folder.
    points: Vec<Option<usize>>,
}

impl<'a> SlurmLauncher<'a> {
    pub(super) fn new(remote: &'a Remote<'a>) -> anyhow::Result<Self> {
        let jobs = Jobs::of(remote.out)?;
        let largest = slurm::largest_array();
        Ok(SlurmLauncher { remote, jobs, arrays: Vec::new(), known: BTreeMap::new(), largest })
    }

    /// Writes the files of a new array, and returns its number.
    fn write(&self, points: &[usize]) -> anyhow::Result<usize> {
        let folders = points.iter().map(|&at| self.remote.planned[at].folder.as_path());
        let (array, list) = self.jobs.list("sh", folders)?;
        let file = self.jobs.file(array, "sh");
        let script = self.script(array, points.len(), &list)?;
        replace(&file, script.as_bytes()).with_context(|| file.display().to_string())?;
        Ok(array)
    }

    fn script(&self, array: usize, tasks: usize, list: &Path) -> anyhow::Result<String> {
        let again = program::again()?;
        let words = std::iter::once(again.get_program()).chain(again.get_args());
        let words: Vec<String> = words.map(|word| shell_word(&word.to_string_lossy())).collect();
        let throttle = self.remote.parallel.map_or_else(String::new, |parallel| format!("%{parallel}"));
        let directory = std::env::current_dir().context("the current folder")?;
        let machines = self.remote.place.spread.unwrap_or(1);
        let lines = vec![
            format!("--array=0-{}{throttle}", tasks - 1),
            format!("--nodes={machines}"),
            "--ntasks-per-node=1".into(),
            format!("--chdir=\"{}\"", directory.display()),
        ];
        let srun = match machines {
            1 => String::new(),
            // A process on each machine; when that of the coordinator fails, all end.
            _ => format!(
                "srun --mpi=none --kill-on-bad-exit=1 --nodes={machines} --ntasks={machines} --ntasks-per-node=1 \
                 --cpus-per-task={} ",
                self.remote.needs.cores
            ),
        };
        let body = format!(
            "# Each task runs the point in one line of the list; a point that is done, or runs elsewhere, is left alone.\n\
             exec {srun}{} point --list {}\n",
            words.join(" "),
            shell_path(list)
        );
        let log = self.jobs.log(array, "%a");
        let script = Script {
            name: &self.jobs.name(array),
            steps: machines > 1,
            lines,
            log: &log.to_string_lossy(),
            needs: self.remote.needs,
            body,
        };
        Ok(slurm::script(self.remote.options, &script))
    }

    /// What is known of a task that has ended. `others`: whether further tasks of its array wait or run.
    fn ended(&self, array: &Array, state: &JobState, others: bool) -> Known {
        if state.is_cancelled() && (state.nodes.is_empty() || !others) {
            return Known::Cancelled(format!("job {} was cancelled", state.id));
        }
        // Hundreds may have run to their end at once: of those there is nothing to ask.
        let end = if state.state == "COMPLETED" { None } else { slurm::end(state) };
        let (how, node) = match &end {
            Some(end) => (format!("{}, exit {}", end.state, end.exit), &end.node),
            None => (state.state.clone(), &state.nodes),
        };
        let again = !end.as_ref().is_some_and(JobEnd::lacks_program);
        self.in_words(array, &state.id, &how, node, again)
    }

    /// How a task's job ended, in words with its log.
    fn in_words(&self, array: &Array, id: &str, how: &str, node: &str, again: bool) -> Known {
        let log = self.jobs.log(array.number, id.rsplit('_').next().unwrap_or_default());
        let said = last_line(&log).map_or_else(String::new, |line| format!(": {line}"));
        let node = if node.is_empty() { String::new() } else { format!(" on {node}") };
        let how = format!("job {id}{node} ended ({how}){said} (log {})", log.display());
        Known::Ended { how, again }
    }

    /// What is known of a task that waited or ran when it was seen last, and that Slurm does not know any more: it
    /// forgets jobs a while after their end, and all of them if its controller loses its state. `others`: the arrays of
    /// which tasks wait or run; `accounts`: what accounting has told of arrays so far.
    fn forgotten(
        &self,
        point: usize,
        before: &str,
        others: &BTreeSet<usize>,
        accounts: &mut BTreeMap<usize, BTreeMap<usize, JobEnd>>,
    ) -> Known {
        let unknown = || Known::Ended { how: format!("{before}, and then Slurm forgot it"), again: true };
        let place = |array: &&Array| array.points.contains(&Some(point));
        let Some(array) = self.arrays.iter().rev().find(place) else { return unknown() };
        let task = array.points.iter().position(|at| *at == Some(point)).unwrap_or_default();
        let ends = accounts.entry(array.number).or_insert_with(|| slurm::accounted(&array.id, &array.name));
        let Some(end) = ends.remove(&task) else { return unknown() };
        let id = format!("{}_{task}", array.id);
        if end.is_by_person() && (end.node.is_empty() || !others.contains(&array.number)) {
            return Known::Cancelled(format!("job {id} was cancelled"));
        }
        let how = format!("{}, exit {}", end.state, end.exit);
        self.in_words(array, &id, &how, &end.node, !end.lacks_program())
    }

    /// The tasks that Slurm knows, by point: the place of the array, and the state. Later arrays override earlier ones.
    fn tasks(&self, states: &[JobState]) -> BTreeMap<usize, (usize, JobState)> {
        let mut tasks = BTreeMap::new();
        for (at, array) in self.arrays.iter().enumerate() {
            let of_array =
                states.iter().filter(|state| state.name == array.name && state.array() == array.id);
            for state in of_array {
                let point = state.task().and_then(|task| *array.points.get(task)?);
                tasks.extend(point.map(|point| (point, (at, state.clone()))));
            }
        }
        tasks
    }

    /// Submits an array whose files are written.
    fn submit(&mut self, array: usize, points: Vec<Option<usize>>) -> anyhow::Result<()> {
        let name = self.jobs.name(array);
        let id = slurm::submit(&self.jobs.file(array, "sh"), &name);
        let id = id.inspect_err(|_| {
            // Nothing was submitted: the number is free again.
            for kind in ["sh", "list"] {
                let _ = fs::remove_file(self.jobs.file(array, kind));
            }
        })?;
        // Without the file the array is found by its name.
        let _ = replace(&self.jobs.file(array, "id"), format!("{id}\n").as_bytes());
        for (task, point) in points.iter().enumerate() {
            if let Some(point) = point {
                self.known.insert(*point, Known::Alive(format!("job {id}_{task} submitted")));
            }
        }
        self.arrays.push(Array { number: array, name, id, points });
        Ok(())
    }
}

impl Launcher for SlurmLauncher<'_> {
    fn recover(&mut self) -> anyhow::Result<()> {
        self.arrays.clear();
        for array in self.jobs.numbers("sh") {
            let name = self.jobs.name(array);
            let written = fs::read_to_string(self.jobs.file(array, "id")).ok();
            let id = match written.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) {
                Some(id) => Some(id),
                None => slurm::find(&name)?,
            };
            // Printed, and never submitted: or forgotten by Slurm, which is the same for points that have not ended.
            let Some(id) = id else { continue };
            let points = self.jobs.points(array, self.remote.planned);
            self.arrays.push(Array { number: array, name, id, points });
        }
        // Only those under way: what ended before is started again, whoever ended it.
        let known = self.look()?;
        let ended = known.iter().filter(|(_, known)| !matches!(known, Known::Alive(_)));
        ended.for_each(|(point, _)| self.forget(*point));
        let found = self.known.len();
        if found > 0 {
            eprintln!("{found} jobs of this sweep are in Slurm already");
        }
        Ok(())
    }

    fn room(&self) -> usize {
        let alive = self.known.values().filter(|known| matches!(known, Known::Alive(_))).count();
        match self.remote.parallel {
            // An array limits itself; further ones would add their own limit to it.
            Some(parallel) if alive > 0 => parallel.saturating_sub(alive),
            _ => usize::MAX,
        }
    }

    fn start(&mut self, points: &[usize]) -> anyhow::Result<()> {
        for points in points.chunks(self.largest) {
            let array = self.write(points)?;
            self.submit(array, points.iter().copied().map(Some).collect())?;
        }
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<BTreeMap<usize, Known>> {
        let names: Vec<&str> = self.arrays.iter().map(|array| array.name.as_str()).collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let tasks = self.tasks(&slurm::states(&names)?);
        let under_way = tasks.values().filter(|(_, state)| state.is_under_way());
        let under_way: BTreeSet<usize> = under_way.map(|(at, _)| self.arrays[*at].number).collect();
        let mut known = BTreeMap::new();
        for (&point, (at, state)) in &tasks {
            let array = &self.arrays[*at];
            let state = match self.known.get(&point) {
                _ if !state.has_ended() => Known::Alive(state.words()),
                Some(ended @ (Known::Ended { .. } | Known::Cancelled(_))) => ended.clone(),
                _ => self.ended(array, state, under_way.contains(&array.number)),
            };
            known.insert(point, state);
        }
        let mut accounts = BTreeMap::new();
        for (&point, before) in &self.known {
            known.entry(point).or_insert_with(|| match before {
                Known::Alive(words) => self.forgotten(point, words, &under_way, &mut accounts),
                other => other.clone(),
            });
        }
        self.known.clone_from(&known);
        Ok(known)
    }

    fn forget(&mut self, point: usize) {
        self.known.remove(&point);
        for array in &mut self.arrays {
            array.points.iter_mut().filter(|at| **at == Some(point)).for_each(|at| *at = None);
        }
        self.arrays.retain(|array| array.points.iter().any(Option::is_some));
    }

    fn print(&mut self, points: &[usize]) -> anyhow::Result<String> {
        let mut text = String::new();
        for points in points.chunks(self.largest) {
            let array = self.write(points)?;
            text += &fs::read_to_string(self.jobs.file(array, "sh"))?;
            eprintln!("written; submit it with: sbatch {}", self.jobs.file(array, "sh").display());
        }
        Ok(text)
    }
}
