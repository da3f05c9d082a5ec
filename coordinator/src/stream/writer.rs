use std::{
    fmt,
    io::{ErrorKind, Write},
    sync::Arc,
    thread::JoinHandle,
};

use page::AnswerFeed;
use tokio::{sync::mpsc, time::Instant};

use super::{Names, answers, under_way::Answered};
use crate::CoordinatorError;

/// Messages that wait for standard output. Beyond that, no further batch is ordered.
const WAITING: usize = 64;

/// Messages to the writer of a stream.
pub(crate) enum Said {
    /// A receiver's answers, and when they came.
    Answers(Box<Answered>, Instant, Arc<Names>),
    /// A sample that is not answered, by this receiver or by any, and why.
    Skipped(u64, Option<usize>, String),
}

impl Said {
    fn receiver(&self) -> Option<usize> {
        match self {
            Said::Answers(answered, ..) => Some(answered.receiver),
            Said::Skipped(_, receiver, _) => *receiver,
        }
    }

    /// Adds its lines.
    fn write(&self, text: &mut String) {
        match self {
            Said::Answers(answered, came, names) => answers::lines(answered, *came, names, text),
            Said::Skipped(seq, receiver, why) => answers::skipped(*seq, *receiver, why, text),
        }
    }
}

/// A function of the calling program that is given every line of a service's answers, instead of standard output.
#[derive(Clone)]
pub struct AnswerSink(Arc<dyn Fn(&str) + Send + Sync>);

impl AnswerSink {
    /// The function. The service waits for it.
    pub fn new(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        AnswerSink(Arc::new(take))
    }
}

impl fmt::Debug for AnswerSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnswerSink")
    }
}

/// Writes answers as lines: to standard output, and to the callers that follow them.
pub(crate) struct Writer {
    way: Way,
    feed: Arc<AnswerFeed>,
    closed: bool,
}

/// Where lines go.
enum Way {
    /// To a thread of its own, since the reader of standard output may be slow: the service waits for that reader, and
    /// for no other.
    Thread {
        said: mpsc::Sender<Said>,
        thread: JoinHandle<()>,
        prints: bool,
    },
    /// To a function.
    Sink(AnswerSink),
    Ended,
}

impl Writer {
    /// One that prints, if `json`; or has a sink.
    pub(crate) fn start(
        json: bool,
        sink: Option<AnswerSink>,
        feed: Arc<AnswerFeed>,
    ) -> Result<Self, CoordinatorError> {
        if let Some(sink) = sink {
            return Ok(Writer { way: Way::Sink(sink), feed, closed: false });
        }
        let (into, said) = mpsc::channel(WAITING);
        let readers = feed.clone();
        let thread = std::thread::Builder::new().name("answers".into());
        let thread = thread.spawn(move || write_all(said, json, &readers));
        let thread =
            thread.map_err(|error| CoordinatorError::Run(format!("cannot start a thread: {error}")))?;
        Ok(Writer { way: Way::Thread { said: into, thread, prints: json }, feed, closed: false })
    }

    /// Says something, once there is room.
    pub(crate) async fn say(&mut self, said: Said) {
        match &self.way {
            Way::Thread { said: into, prints, .. } if *prints || self.feed.has_readers() => {
                self.closed |= into.send(said).await.is_err();
            }
            Way::Sink(sink) => {
                let mut text = String::new();
                said.write(&mut text);
                text.lines().for_each(|line| (sink.0)(line));
                publish(&said, &text, &self.feed);
            }
            Way::Thread { .. } | Way::Ended => {}
        }
    }

    /// Whether the reader of standard output has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(&mut self) {
        if let Way::Thread { said, thread, .. } = std::mem::replace(&mut self.way, Way::Ended) {
            drop(said);
            // A thread that panicked has said so.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn publish(said: &Said, text: &str, feed: &AnswerFeed) {
    if feed.has_readers() {
        text.lines().for_each(|line| feed.publish(said.receiver(), line));
    }
}

/// Writes until everything is written, or nobody reads.
fn write_all(mut said: mpsc::Receiver<Said>, prints: bool, feed: &AnswerFeed) {
    let mut text = String::new();
    while let Some(first) = said.blocking_recv() {
        text.clear();
        let mut next = Some(first);
        // What has come meanwhile goes out together.
        while let Some(now) = next {
            let start = text.len();
            now.write(&mut text);
            publish(&now, &text[start..], feed);
            next = if text.len() < 1 << 16 { said.try_recv().ok() } else { None };
        }
        if !prints {
            continue;
        }
        let mut output = std::io::stdout().lock();
        match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
            Err(error) => {
                eprintln!("error: standard output cannot be written: {error}");
                std::process::exit(1)
            }
        }
    }
}
