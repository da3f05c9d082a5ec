use std::{
    io::{ErrorKind, Write},
    sync::Arc,
    thread::JoinHandle,
};

use tokio::{sync::mpsc, time::Instant};

use super::{Names, answers, under_way::Answered};
use crate::CoordinatorError;

/// Messages that wait for standard output. Beyond that, no further batch is ordered.
const WAITING: usize = 64;

/// What is said of a stream.
pub(crate) enum Said {
    /// A receiver's answers, and when they came.
    Answers(Box<Answered>, Instant, Arc<Names>),
    /// A sample that is not answered, by this receiver or by any, and why.
    Skipped(u64, Option<usize>, String),
}

/// Writes lines to standard output on a thread of its own, since its reader may be slow.
pub(crate) struct Writer {
    lines: Option<(mpsc::Sender<Said>, JoinHandle<()>)>,
    closed: bool,
}

impl Writer {
    /// One that writes nothing, if `json` is false.
    pub(crate) fn start(json: bool) -> Result<Self, CoordinatorError> {
        let start = || {
            let (into, said) = mpsc::channel(WAITING);
            let thread = std::thread::Builder::new().name("answers".into()).spawn(move || write_all(said))?;
            Ok::<_, std::io::Error>((into, thread))
        };
        let lines = json.then(start).transpose();
        let cannot = |error| CoordinatorError::Run(format!("cannot start a thread: {error}"));
        Ok(Writer { lines: lines.map_err(cannot)?, closed: false })
    }

    /// Says something, once there is room.
    pub(crate) async fn say(&mut self, said: Said) {
        if let Some((into, _)) = &self.lines {
            self.closed |= into.send(said).await.is_err();
        }
    }

    /// Whether nobody reads.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(&mut self) {
        if let Some((into, thread)) = self.lines.take() {
            drop(into);
            // A thread that panicked has said so.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Writes until everything is said, or nobody reads.
fn write_all(mut said: mpsc::Receiver<Said>) {
    let mut text = String::new();
    while let Some(first) = said.blocking_recv() {
        text.clear();
        let mut next = Some(first);
        // What has come meanwhile goes out together.
        while let Some(said_now) = next {
            match said_now {
                Said::Answers(answered, came, names) => answers::lines(&answered, came, &names, &mut text),
                Said::Skipped(seq, receiver, why) => answers::skipped(seq, receiver, &why, &mut text),
            }
            next = if text.len() < 1 << 16 { said.try_recv().ok() } else { None };
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
