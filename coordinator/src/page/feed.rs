use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ::page::Watch;
use bytes::Bytes;
use node::{Span, SpanOf, TraceOf, Traced, Traces};
use proto::v1::{ReceiverRound, TransmitterRound};
use scenario::Scenario;
use serde::Serialize;

use super::figures::Figures;
use crate::{
    Summary, evaluation::SoFar, rounds::Metrics, screen::Screen, tensorboard::TensorBoard, totals::Totals,
};

/// What a run tells its page. The conductor calls it; it never waits.
pub(crate) struct Feed {
    watch: Arc<Watch>,
    /// Whether there is a page: without one no round is kept.
    is_served: bool,
    /// Whether anybody may ask for figures.
    is_scraped: bool,
    /// Whether events are written down: an evaluation leaves a run's folder as it is.
    writes: bool,
    figures: Mutex<Figures>,
    board: Mutex<Option<TensorBoard>>,
    screen: Mutex<Option<Screen>>,
    traces: Traces,
    /// The run's 16 bytes.
    run: Bytes,
    incarnation: AtomicU64,
    /// How many passes of a number have ended in this incarnation.
    passes: Mutex<BTreeMap<u64, u64>>,
}

/// Seconds of each node in a round, by profiler phase.
#[derive(Serialize)]
struct Work<'a> {
    transmitters: Vec<&'a [f64]>,
    receivers: Vec<&'a [f64]>,
}

impl Feed {
    pub(crate) fn new(scenario: &Scenario, run: Bytes, watch: Watch, readers: Readers) -> Self {
        let Readers { is_served, is_scraped, traces, writes } = readers;
        Feed {
            watch: watch.into(),
            is_served,
            is_scraped,
            writes,
            figures: Mutex::new(Figures::of(scenario)),
            board: Mutex::default(),
            screen: Mutex::default(),
            traces,
            run,
            incarnation: AtomicU64::new(0),
            passes: Mutex::default(),
        }
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Something happened after this many rounds.
    pub(crate) fn moment(&self, kind: &str, round: u64, text: &str) {
        if self.writes {
            self.watch.moment(kind, round, text);
        }
    }

    /// An incarnation has cut the logs back to a version.
    pub(crate) fn restart(&self, version: u64, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::Relaxed);
        self.passes.lock().expect("no code panics while it holds this lock").clear();
        if self.is_served {
            self.watch.restart(version);
        }
    }

    /// Seconds of each node, as text of JSON, for the readers of a round; none without a page.
    pub(crate) fn work(
        &self,
        transmitters: &[&TransmitterRound],
        receivers: &[&ReceiverRound],
    ) -> Option<String> {
        if !self.is_served {
            return None;
        }
        let work = Work {
            transmitters: transmitters.iter().map(|report| report.work.as_slice()).collect(),
            receivers: receivers.iter().map(|report| report.work.as_slice()).collect(),
        };
        serde_json::to_string(&work).ok()
    }

    /// A round has been logged: its figures and totals, and its lines in the logs.
    pub(crate) fn round(
        &self,
        metrics: &Metrics,
        totals: &Totals,
        granted: &[Vec<f64>],
        lines: RoundLines<'_>,
    ) {
        if let Some(board) = self.board().as_mut() {
            board.round(metrics, granted);
        }
        if let Some(screen) = self.screen().as_ref() {
            screen.round(metrics, granted);
        }
        if self.traces.are_wanted() {
            self.trace(metrics);
        }
        if self.is_scraped {
            self.figures().round(metrics, totals);
        }
        if self.is_served {
            self.watch.round(metrics.round, lines.metrics, Some(lines.selection), lines.work);
        }
    }

    /// Adds the span of a round that has just been logged.
    fn trace(&self, metrics: &Metrics) {
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        let ended = SystemTime::now();
        let figures = [("pom2dib.n_ce_nats", metrics.n_ce), ("pom2dib.sum_rate_nats", metrics.sum_rate)];
        let of = TraceOf::Round(metrics.round);
        self.traces.record(&Span {
            trace: Traced { run: self.run.clone(), incarnation, of },
            of: SpanOf::Whole,
            began: ended - Duration::try_from_secs_f64(metrics.seconds).unwrap_or_default(),
            ended,
            figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
        });
    }

    /// A pass of evaluation has ended, which began then.
    pub(crate) fn pass(&self, number: u64, began: SystemTime) {
        let before = {
            let mut passes = self.passes.lock().expect("no code panics while it holds this lock");
            let ended = passes.entry(number).or_default();
            *ended += 1;
            *ended - 1
        };
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        let of = TraceOf::Pass { number, before };
        self.traces.record(&Span {
            trace: Traced { run: self.run.clone(), incarnation, of },
            of: SpanOf::Whole,
            began,
            ended: SystemTime::now(),
            figures: Vec::new(),
        });
    }

    /// More passes over the test set have ended: the scores so far, which are asked for only if there is a page.
    pub(crate) fn scores(&self, so_far: impl FnOnce() -> SoFar) {
        if self.is_served {
            let text = serde_json::to_string(&so_far()).expect("scores have only strings and numbers");
            self.watch.pass(&text);
        }
    }

    /// Waits a moment until a collector has all spans.
    pub(crate) async fn flush(&self) {
        self.traces.flush().await;
    }

    /// The run has its summary.
    pub(crate) fn summary(&self, summary: &Summary) {
        if let Some(board) = self.board().as_mut() {
            board.summary(summary);
        }
        let text = serde_json::to_string(summary).expect("a summary has only strings and numbers");
        self.watch.summary(&text);
    }

    /// Writes event files of TensorBoard as well.
    pub(crate) fn write_to(&self, board: TensorBoard) {
        *self.board() = Some(board);
    }

    /// Shows the run on a screen as well.
    pub(crate) fn show_on(&self, screen: Screen) {
        *self.screen() = Some(screen);
    }

    /// Whether a screen shows the run, so that nothing else need be written there.
    pub(crate) fn has_screen(&self) -> bool {
        self.screen().is_some()
    }

    /// Gives the terminal back.
    pub(crate) fn close_screen(&self) {
        drop(self.screen().take());
    }

    fn screen(&self) -> MutexGuard<'_, Option<Screen>> {
        self.screen.lock().expect("no code panics while it holds this lock")
    }

    fn board(&self) -> MutexGuard<'_, Option<TensorBoard>> {
        self.board.lock().expect("no code panics while it holds this lock")
    }

    /// Metrics for a scraper.
    pub(crate) fn metrics(&self) -> String {
        let status = self.watch.status();
        self.figures().text(&status)
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().expect("no code panics while it holds this lock")
    }
}

/// Who follows a run.
pub(crate) struct Readers {
    /// Whether there is a page.
    pub(crate) is_served: bool,
    /// Whether there are metrics.
    pub(crate) is_scraped: bool,
    /// Where spans go.
    pub(crate) traces: Traces,
    /// Whether events are written down.
    pub(crate) writes: bool,
}

/// A round's lines in the logs, and the seconds of its nodes.
pub(crate) struct RoundLines<'a> {
    pub(crate) metrics: &'a str,
    pub(crate) selection: &'a str,
    pub(crate) work: Option<&'a str>,
}
