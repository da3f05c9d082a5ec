//! A stream in service: samples in, answers out, under draws of u that every node knows.
//!
//! The coordinator counts the samples, cuts them into batches, and orders each batch; what is drawn for a sample
//! follows from its sequence number alone.

mod account;
mod answers;
mod arguments;
mod join;
mod latencies;
mod lines;
mod names;
mod newer;
mod observed;
mod prepare;
mod queue;
mod remote;
mod source;
mod under_way;
mod writer;

use std::{sync::Arc, time::Duration};

use page::AnswerFeed;
use proto::v1::{Answers, Batch};
use scenario::Scenario;
use tokio::time::Instant;

pub(crate) use account::table;
pub use arguments::{Redraw, SampleSource, StreamArguments, WhenFull};
pub(crate) use names::Names;
pub(crate) use newer::Newer;
pub use prepare::service_folder;
pub(crate) use prepare::{Prepared, prepare};
pub(crate) use remote::{Apart, StreamService};
pub use writer::AnswerSink;

use self::{
    account::Account,
    queue::Queue,
    remote::Inlet,
    source::Source,
    under_way::{Answered, UnderWay},
    writer::{Said, Writer},
};
use crate::{CoordinatorError, ServeOptions, summary::ClassCounts};

/// A sample that is to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Its number.
    pub(crate) seq: u64,
    /// When it came, or was due.
    pub(crate) came: Instant,
    /// What was observed, by entry in (k, m) order; nothing of a row of the test set, which the transmitters read
    /// themselves.
    pub(crate) observed: Vec<Option<Vec<f32>>>,
}

/// The stream of a service, over all incarnations of its network.
pub(crate) struct Stream {
    source: Source,
    queue: Queue,
    under_way: UnderWay,
    account: Account,
    writer: Writer,
    /// Those who follow the answers.
    answers: Arc<AnswerFeed>,
    /// Where callers put samples in, if that is where they come from.
    inlet: Option<Inlet>,
    names: Arc<Names>,
    wait: Duration,
    batch: usize,
    redraw: Option<Redraw>,
    /// The version of the parameters that batches name.
    version: u64,
    /// The draw of u that holds, where draws follow a clock, and when it began.
    drawn: (u64, Instant),
}

impl Stream {
    /// A stream of which nothing has come.
    ///
    /// # Errors
    /// If its source cannot be opened.
    pub(crate) fn open(
        serve: &ServeOptions,
        scenario: &Scenario,
        (json, insecure): (bool, bool),
    ) -> Result<Self, CoordinatorError> {
        let arguments = &serve.stream;
        let (source, inlet) = Source::open(arguments, insecure)?;
        let answers = Arc::new(AnswerFeed::default());
        Ok(Stream {
            source,
            queue: Queue::new(arguments.queue as usize, arguments.when_full),
            under_way: UnderWay::new(scenario.receivers()),
            account: Account::new(scenario.receivers()),
            writer: Writer::start(json, serve.answers.clone(), answers.clone())?,
            answers,
            inlet,
            names: Names::of(scenario).into(),
            wait: arguments.wait(),
            batch: arguments.batch_up_to.into(),
            redraw: arguments.redraw,
            version: 0,
            drawn: (0, Instant::now()),
        })
    }

    /// The answers, for those who follow them.
    pub(crate) fn answers(&self) -> Arc<AnswerFeed> {
        self.answers.clone()
    }

    /// The stream as callers have it.
    pub(crate) fn service(&self) -> StreamService {
        StreamService::new(self.inlet.clone(), self.answers.clone())
    }

    /// A network is ready: its test set has so many rows, and these are its classes and the widths of its modalities.
    pub(crate) fn begin(
        &mut self,
        (rows, piece, version): (u64, u64, u64),
        classes: &[ClassCounts],
        widths: Vec<usize>,
    ) -> Result<(), CoordinatorError> {
        self.queue.cut_at(rows, piece);
        self.version = version;
        Arc::make_mut(&mut self.names).know(classes, widths);
        self.source.begin(&self.names)
    }

    /// Takes what has come or is due.
    pub(crate) async fn fill(&mut self) {
        let now = Instant::now();
        while self.queue.takes() {
            let Some(sample) = self.source.due(now, self.queue.len(), 2 * self.batch) else { break };
            if let Some(dropped) = self.queue.push(sample) {
                self.skip(dropped.seq, None, "the queue was full").await;
                self.account.dropped += 1;
            }
        }
    }

    /// Whether samples come from elsewhere and there is room for them.
    pub(crate) fn listens(&self) -> bool {
        self.source.listens() && self.queue.takes()
    }

    /// What comes from elsewhere; it waits for as long as nothing comes. Cancelling it loses nothing.
    pub(crate) async fn listen(&mut self) {
        self.source.listen().await;
    }

    /// The next batch, if there is one to be sent now; each transmitter's own, by index.
    pub(crate) fn next_batch(&mut self) -> Option<Vec<Batch>> {
        let now = Instant::now();
        if self.under_way.is_full() {
            return None;
        }
        let draw_ends = match self.redraw {
            Some(Redraw::Samples(every)) => every,
            _ => u64::MAX,
        };
        let is_due =
            self.queue.oldest().is_some_and(|came| now >= came + self.wait) || self.source.has_ended();
        let samples = self.queue.cut(self.batch, draw_ends, is_due)?;
        let first = samples[0].seq;
        let draw = self.draw_of(first, now);
        let order = Batch {
            first,
            samples: samples.len() as u64,
            draw,
            given: !self.source.is_test(),
            observed: Vec::new(),
            version: self.version,
        };
        let orders = self.names.orders(&order, &samples);
        self.under_way.begin((draw, self.version), now, samples);
        Some(orders)
    }

    fn draw_of(&mut self, seq: u64, now: Instant) -> u64 {
        match self.redraw {
            None => 0,
            Some(Redraw::Samples(every)) => seq / every,
            Some(Redraw::After(every)) => {
                let (draw, since) = self.drawn;
                if now >= since + every {
                    self.drawn = (draw + 1, now);
                }
                self.drawn.0
            }
        }
    }

    /// When something is to be done even if no answer comes.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        let batch = self.queue.oldest().filter(|_| !self.under_way.is_full()).map(|came| came + self.wait);
        let sample = self.source.next_due().filter(|_| self.queue.takes());
        [batch, sample].into_iter().flatten().min()
    }

    /// What a receiver has answered.
    pub(crate) async fn answered(
        &mut self,
        receiver: usize,
        answers: Answers,
    ) -> Result<(), CoordinatorError> {
        let now = Instant::now();
        let answered = self
            .under_way
            .answered(receiver, answers, &self.names)
            .map_err(CoordinatorError::blame(format!("receiver {receiver}")))?;
        self.show_selection(receiver, &answered);
        self.account.answered(&answered, now);
        let whole = self.under_way.finish();
        self.account.whole(&whole, now);
        self.writer.say(Said::Answers(Box::new(answered), now, self.names.clone())).await;
        Ok(())
    }

    /// Tells what each receiver decodes under a draw, when it is first answered.
    fn show_selection(&mut self, receiver: usize, answered: &Answered) {
        let (draw, version) = answered.batch.under;
        if self.account.first_under((draw, version), receiver) {
            let entries = self.names.decoded(&answered.answers);
            let told = if entries.is_empty() { "nothing".to_owned() } else { entries.join(", ") };
            let task = &self.names.tasks[receiver];
            eprintln!("u {draw}, networks of round {version}: receiver {receiver} ({task}) decodes {told}");
            self.account.decodes(receiver, entries);
        }
    }

    /// A node was lost: what is under way is not answered any more.
    pub(crate) async fn lose(&mut self, why: &str) {
        for (samples, missing) in self.under_way.lose() {
            for sample in samples {
                for &receiver in &missing {
                    self.writer.say(Said::Skipped(sample.seq, Some(receiver), why.into())).await;
                }
                self.account.skipped(why);
            }
        }
        self.account.losses += 1;
    }

    async fn skip(&mut self, seq: u64, receiver: Option<usize>, why: &str) {
        self.account.skipped(why);
        self.writer.say(Said::Skipped(seq, receiver, why.into())).await;
    }

    /// From the next batch on, answers are those of another version, which all nodes have loaded.
    pub(crate) fn turn_to(&mut self, version: u64) {
        self.version = version;
    }

    /// No more samples are taken: what has been taken is answered.
    pub(crate) fn drain(&mut self) {
        self.source.end();
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether all is answered, or nobody reads the answers any more.
    pub(crate) fn is_done(&self) -> bool {
        let is_empty = self.queue.is_empty() && self.under_way.is_empty();
        (self.source.has_ended() && is_empty) || self.writer.is_closed()
    }

    /// The last word: what is still queued cannot be answered.
    pub(crate) async fn end(&mut self) -> serde_json::Value {
        for sample in self.queue.empty() {
            self.skip(sample.seq, None, "the service has ended").await;
        }
        self.writer.finish().await;
        self.account.summary(&self.names, self.version, self.source.refused())
    }

    pub(crate) fn live_line(&self) -> String {
        self.account.live_line(self.queue.len())
    }
}
