//! Progress of a sweep: one bar on a terminal, lines elsewhere, on standard error.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{plan::Planned, pool::End};

/// Interval between lines where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Rows of the table of points that run elsewhere.
const MOST_ROWS: usize = 20;

/// Bytes at the end of a log that must contain its last complete line.
const LAST_LINE: i64 = 64 << 10;

pub(super) struct Progress<'a> {
    planned: &'a [Planned],
    /// Finished rounds of every point, at the last check.
    rounds: Vec<u64>,
    running: BTreeSet<usize>,
    ended: usize,
    bar: Option<ProgressBar>,
    begun: Instant,
    /// Rounds finished before this process began.
    before: u64,
    last_line: Instant,
    /// The states of points that run elsewhere, in words.
    states: Vec<(usize, String)>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(planned: &'a [Planned], ends: &[End]) -> Self {
        let done = |(planned, end): (&Planned, &End)| match end {
            End::Done(_) => planned.scenario.train.rounds,
            _ => rounds_done(&planned.folder),
        };
        let rounds: Vec<u64> = planned.iter().zip(ends).map(done).collect();
        let before = rounds.iter().sum();
        let total = planned.iter().map(|planned| planned.scenario.train.rounds).sum();
        let ended = ends.iter().filter(|end| **end != End::Open).count();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} rounds, {eta} left  {msg}");
            let bar = ProgressBar::new(total).with_style(style.expect("the template is well-formed"));
            bar.set_position(before);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        let now = Instant::now();
        let (running, states) = (BTreeSet::new(), Vec::new());
        Progress { planned, rounds, running, ended, bar, begun: now, before, last_line: now, states }
    }

    pub(super) fn begin(&mut self, at: usize) {
        self.running.insert(at);
        self.show();
    }

    pub(super) fn end(&mut self, at: usize, end: &End) {
        self.running.remove(&at);
        self.rounds[at] = rounds_done(&self.planned[at].folder);
        let how = match end {
            End::Open => "interrupted".into(),
            End::Paused(rounds) => format!("paused after {rounds} rounds"),
            End::Failed(error) => format!("failed: {error}"),
            End::Cancelled(how) => format!("cancelled: {how}"),
            End::Done(summary) => {
                let test = &summary.test;
                format!("done, N-CE {:.3} at {:.1} nats", test.n_ce, test.sum_rate)
            }
        };
        self.ended += usize::from(*end != End::Open);
        let (name, of) = (&self.planned[at].point.name, self.planned.len());
        self.say(&format!("{name}: {how}; {} of {of} points", self.ended));
        self.show();
    }

    /// A point that had ended goes on.
    pub(super) fn reopen(&mut self) {
        self.ended = self.ended.saturating_sub(1);
    }

    /// Checks the progress of running points.
    pub(super) fn look(&mut self) {
        for &at in &self.running {
            self.rounds[at] = rounds_done(&self.planned[at].folder);
        }
        self.show();
    }

    /// Shows the states of points that run elsewhere: a table on a terminal.
    pub(super) fn states(&mut self, states: Vec<(usize, String)>) {
        self.states = states;
        self.look();
    }

    /// A row for each point that has not ended, those with the most rounds first.
    fn table(&self) -> String {
        let mut open: Vec<&(usize, String)> = self.states.iter().collect();
        open.sort_by_key(|(at, _)| (std::cmp::Reverse(self.rounds[*at]), *at));
        let row = |(at, state): &&(usize, String)| {
            let (name, of) = (&self.planned[*at].point.name, self.planned[*at].scenario.train.rounds);
            vec![format!("  {name}"), format!("{} of {of}", self.rounds[*at]), state.clone()]
        };
        let rows: Vec<Vec<String>> = open.iter().take(MOST_ROWS).map(row).collect();
        let more = open.len().saturating_sub(MOST_ROWS);
        let more = if more > 0 { format!("  and {more} more\n") } else { String::new() };
        format!("\n{}{more}", super::cells::aligned(&rows))
    }

    fn show(&mut self) {
        let done: u64 = self.rounds.iter().sum();
        if let Some(bar) = &self.bar {
            let names: Vec<&str> =
                self.running.iter().map(|&at| self.planned[at].point.name.as_str()).collect();
            bar.set_position(done);
            let detail = if self.states.is_empty() { names.join("  ") } else { self.table() };
            bar.set_message(format!("{} of {} points  {detail}", self.ended, self.planned.len()));
        } else if self.last_line.elapsed() > LINE_EVERY {
            self.last_line = Instant::now();
            let total: u64 = self.planned.iter().map(|planned| planned.scenario.train.rounds).sum();
            let pace = self.begun.elapsed().as_secs_f64() / done.saturating_sub(self.before).max(1) as f64;
            let left = (pace * total.saturating_sub(done) as f64).round() as u64;
            let (hours, minutes) = (left / 3600, left / 60 % 60);
            let points = self.planned.len();
            eprintln!(
                "points {} of {points}, rounds {done} of {total}  {hours} h {minutes:02} min left",
                self.ended
            );
        }
    }

    /// Prints a separate line.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The number of rounds in a run's log, by its last complete line.
pub(super) fn rounds_done(folder: &Path) -> u64 {
    last_round(&folder.join("metrics.jsonl")).map_or(0, |round| round + 1)
}

fn last_round(log: &Path) -> Option<u64> {
    let mut file = std::fs::File::open(log).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::End(-LAST_LINE.min(size.cast_signed()))).ok()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().rev();
    let round = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["round"].as_u64();
    lines.take(2).find_map(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_line_of_a_log_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(rounds_done(folder.path()), 0);
        let log = folder.path().join("metrics.jsonl");
        std::fs::write(&log, "{\"round\":0}\n{\"round\":1}\n{\"rou").unwrap();
        assert_eq!(rounds_done(folder.path()), 2);
        std::fs::write(&log, format!("{}{{\"round\":41}}\n", "{\"round\":0}\n".repeat(10_000))).unwrap();
        assert_eq!(rounds_done(folder.path()), 42);
    }
}
