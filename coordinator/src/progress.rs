use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{rounds::Metrics, validation::Validated};

/// Interval between lines where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The same where there is one.
const LIVE_EVERY: Duration = Duration::from_millis(200);

/// Shows progress of the run on standard error: a bar on a terminal, occasional lines elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Instant,
    shown: u64,
    total: u64,
    unit: &'static str,
    started: Instant,
    first: u64,
    /// The last scores on validation rows.
    validated: String,
}

impl Progress {
    /// Progress over `total` units, of which `done` are already done.
    pub(crate) fn new(unit: &'static str, total: u64, done: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{msg}}  {{eta}} left");
            let style = ProgressStyle::with_template(&template).expect("the template is well-formed");
            let bar = ProgressBar::new(total).with_style(style).with_position(done);
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        Progress {
            bar,
            last_line: now,
            shown: done,
            total,
            unit,
            started: now,
            first: done,
            validated: String::new(),
        }
    }

    /// Progress that something else shows.
    pub(crate) fn hidden() -> Self {
        Progress { bar: Some(ProgressBar::hidden()), ..Progress::new("", 0, 0) }
    }

    /// Shows that a training round is done.
    pub(crate) fn round(&mut self, metrics: &Metrics) {
        let Metrics { n_ce, sum_rate, .. } = metrics;
        let message = format!("N-CE {n_ce:.3}  sum-rate {sum_rate:.1} nats{}", self.validated);
        self.show(metrics.round + 1, &message);
    }

    /// Shows the scores of the version after a round on validation rows; `best` is the best version so far.
    pub(crate) fn validated(&mut self, metrics: &Metrics, best: u64) {
        let Some(Validated { n_ce, gap, .. }) = &metrics.validation else { return };
        let place = if *gap < 0.0 { "above" } else { "below" };
        let far = gap.abs();
        self.validated =
            format!("  validation N-CE {n_ce:.3}, {far:.3} {place} training, best at round {best}");
        if self.bar.is_none() {
            eprintln!("round {} of {}{}", metrics.round + 1, self.total, self.validated);
        }
    }

    /// Shows the number of finished units.
    pub(crate) fn show(&mut self, done: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(message.to_owned());
        } else if done > self.shown && (self.last_line.elapsed() > LINE_EVERY || done == self.total) {
            (self.last_line, self.shown) = (Instant::now(), done);
            eprintln!("{} {done} of {}  {message}  {} left", self.unit, self.total, self.left(done));
        }
    }

    fn left(&self, done: u64) -> String {
        let pace = self.started.elapsed().as_secs_f64() / done.saturating_sub(self.first).max(1) as f64;
        let seconds = (pace * self.total.saturating_sub(done) as f64).round() as u64;
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line about a service on standard error that is kept up to date: on a terminal in place, elsewhere now and then.
pub(crate) struct Live {
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Live {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg}").expect("the template is well-formed");
            ProgressBar::new_spinner().with_style(style)
        });
        Live { bar, last: Instant::now() }
    }

    /// Shows a line, if it is time for one.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        let every = if self.bar.is_some() { LIVE_EVERY } else { LINE_EVERY };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        match &self.bar {
            Some(bar) => bar.set_message(line()),
            None => eprintln!("{}", line()),
        }
    }

    /// Removes it.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
