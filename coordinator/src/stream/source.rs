use std::{io::BufReader, net::TcpListener, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Names, Sample, SampleSource, StreamArguments,
    join::Join,
    lines::{Line, read_lines},
    remote::Inlet,
};
use crate::CoordinatorError;

/// Lines that have been read and wait for room.
const LINES: usize = 64;

/// Senders of lines at a time.
pub(crate) const CALLERS: usize = 64;

/// The complaints about lines that are told one by one; others are counted.
const TOLD: u64 = 10;

/// Where samples come from.
pub(crate) struct Source {
    kind: Kind,
    /// How many are still to be taken.
    left: u64,
    ended: bool,
    refused: u64,
}

enum Kind {
    /// Rows of the test set, over and over: so many a second, if that is set, from a moment on.
    Test { rate: Option<f64>, start: Option<Instant>, next: u64 },
    /// Lines from elsewhere.
    Lines(Lines),
}

struct Lines {
    from: Option<From>,
    lines: Option<mpsc::Receiver<Line>>,
    join: Join,
}

/// Where lines come from, before they are read.
enum From {
    Stdin,
    Tcp(TcpListener),
    /// Callers of `Observe`, who wait for the names.
    Grpc(watch::Sender<Option<Arc<Names>>>, mpsc::Receiver<Line>),
}

impl Source {
    /// Opens the source; and for one that is fed over gRPC, where samples go in.
    ///
    /// # Errors
    /// If the address to listen on cannot be had.
    pub(crate) fn open(
        arguments: &StreamArguments,
        insecure: bool,
    ) -> Result<(Self, Option<Inlet>), CoordinatorError> {
        let mut inlet = None;
        let join = Join::new(arguments.deadline(), arguments.queue as usize);
        let lines = |from| Kind::Lines(Lines { from: Some(from), lines: None, join });
        let kind = match arguments.source {
            SampleSource::Test => Kind::Test { rate: arguments.rate, start: None, next: 0 },
            SampleSource::Stdin => lines(From::Stdin),
            SampleSource::Tcp(address) => {
                let refused =
                    |what: String| CoordinatorError::Input(format!("--source tcp:{address}: {what}"));
                if !address.ip().is_loopback() && !insecure {
                    return Err(refused(
                        "anybody who reaches it could send samples: give a loopback address, or --insecure"
                            .into(),
                    ));
                }
                let listener = TcpListener::bind(address).map_err(|error| {
                    refused(format!("{error}; give an address of this machine and a free port"))
                })?;
                let own = listener.local_addr().unwrap_or(address);
                eprintln!("taking samples at {own}");
                lines(From::Tcp(listener))
            }
            SampleSource::Grpc(_) => {
                let ((into, samples), (names, known)) = (mpsc::channel(LINES), watch::channel(None));
                inlet = Some(Inlet::new(into, known));
                lines(From::Grpc(names, samples))
            }
        };
        let left = arguments.limit.unwrap_or(u64::MAX);
        Ok((Source { kind, left, ended: false, refused: 0 }, inlet))
    }

    /// The nodes are ready, and the names and widths of what they observe are known.
    pub(crate) fn begin(&mut self, names: &Arc<Names>) -> Result<(), CoordinatorError> {
        match &mut self.kind {
            Kind::Test { start, .. } => {
                start.get_or_insert_with(Instant::now);
            }
            Kind::Lines(lines) => {
                if let Some(from) = lines.from.take() {
                    lines.lines = Some(from.read(names.clone())?);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn is_test(&self) -> bool {
        matches!(self.kind, Kind::Test { .. })
    }

    /// The next sample, if one has come or is due. Without a rate, rows of the test set come whenever fewer than `few`
    /// wait.
    pub(crate) fn due(&mut self, now: Instant, waiting: usize, few: usize) -> Option<Sample> {
        if self.left == 0 {
            self.ended = true;
        }
        let is_over = self.ended;
        let sample = match &mut self.kind {
            Kind::Test { rate, start, next } => {
                let came = match (*rate, *start) {
                    _ if is_over => return None,
                    (_, None) => return None,
                    (None, Some(_)) => (waiting < few).then_some(now)?,
                    (Some(rate), Some(start)) => {
                        Some(due_at(start, *next, rate)).filter(|due| *due <= now)?
                    }
                };
                *next += 1;
                Sample { seq: *next - 1, came, observed: Vec::new() }
            }
            Kind::Lines(lines) => {
                let sample = lines.join.next(now, is_over)?;
                if self.left == 0 {
                    return None;
                }
                sample
            }
        };
        self.left -= 1;
        if self.left == 0 {
            self.ended = true;
        }
        Some(sample)
    }

    /// When the next sample is due by the clock.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        match &self.kind {
            _ if self.ended && self.is_test() => None,
            Kind::Test { rate, start, next } => Some(due_at((*start)?, *next, (*rate)?)),
            Kind::Lines(lines) => lines.join.next_due(),
        }
    }

    /// Whether samples may come from elsewhere.
    pub(crate) fn listens(&self) -> bool {
        match &self.kind {
            Kind::Test { .. } => false,
            Kind::Lines(lines) => !self.ended && lines.lines.is_some() && lines.join.has_room(),
        }
    }

    /// Takes a line from elsewhere. Cancelling it loses nothing.
    pub(crate) async fn listen(&mut self) {
        let Kind::Lines(Lines { lines: Some(lines), join, .. }) = &mut self.kind else {
            return std::future::pending().await;
        };
        let refusal = match lines.recv().await {
            Some(Line::Given(given, reply)) => {
                let refusal = join.take(given, Instant::now()).err();
                if let Some(reply) = reply {
                    reply.send(refusal.as_deref());
                }
                refusal
            }
            Some(Line::Wrong(what)) => Some(what),
            None => {
                self.ended = true;
                None
            }
        };
        if let Some(what) = refusal {
            self.refused += 1;
            match self.refused {
                ..TOLD => eprintln!("{what}"),
                TOLD => eprintln!("{what}; further lines like this are only counted"),
                _ => {}
            }
        }
    }

    /// No more samples are taken.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether no further sample will come.
    pub(crate) fn has_ended(&self) -> bool {
        match &self.kind {
            Kind::Test { .. } => self.ended || self.left == 0,
            Kind::Lines(lines) => self.left == 0 || (self.ended && lines.join.is_empty()),
        }
    }

    /// How many lines were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }
}

fn due_at(start: Instant, number: u64, rate: f64) -> Instant {
    start + Duration::from_secs_f64((number as f64 / rate).min(1e9))
}

impl From {
    /// Reads the lines on threads of their own, which wait while there is no room.
    fn read(self, names: Arc<Names>) -> Result<mpsc::Receiver<Line>, CoordinatorError> {
        let (into, lines) = mpsc::channel(LINES);
        let cannot = |error: std::io::Error| CoordinatorError::Run(format!("cannot start a thread: {error}"));
        let thread = std::thread::Builder::new().name("lines".into());
        match self {
            From::Stdin => thread.spawn(move || {
                read_lines(BufReader::new(std::io::stdin()), "standard input", &names, &into);
            }),
            From::Tcp(listener) => thread.spawn(move || {
                let callers = Arc::new(());
                for caller in listener.incoming().flatten() {
                    let (names, into, present) = (names.clone(), into.clone(), callers.clone());
                    if Arc::strong_count(&callers) > CALLERS + 1 || into.is_closed() {
                        continue;
                    }
                    let name = caller.peer_addr().map_or_else(|_| "a caller".into(), |peer| peer.to_string());
                    // Without a thread for it, the caller sees its connection closed.
                    let _ = std::thread::Builder::new().spawn(move || {
                        read_lines(BufReader::new(caller), &name, &names, &into);
                        drop(present);
                    });
                }
            }),
            From::Grpc(known, samples) => {
                known.send_replace(Some(names));
                return Ok(samples);
            }
        }
        .map_err(cannot)?;
        Ok(lines)
    }
}
