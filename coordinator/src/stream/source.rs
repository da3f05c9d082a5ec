use std::{
    collections::{BTreeMap, VecDeque},
    io::BufReader,
    net::TcpListener,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::{
    Names, Sample, SampleSource, StreamArguments,
    lines::{Given, Line, read_lines},
};
use crate::CoordinatorError;

/// Lines that have been read and wait for room.
const LINES: usize = 64;

/// Senders of lines at a time.
const CALLERS: usize = 64;

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
}

impl Source {
    /// Opens the source.
    ///
    /// # Errors
    /// If the address to listen on cannot be had.
    pub(crate) fn open(arguments: &StreamArguments, insecure: bool) -> Result<Self, CoordinatorError> {
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
        };
        Ok(Source { kind, left: arguments.limit.unwrap_or(u64::MAX), ended: false, refused: 0 })
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

    /// The next sample, if one has come or is due. Without a rate, rows of the test set come whenever fewer than `few` wait.
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
            Some(Line::Given(given)) => join.take(given, Instant::now()).err(),
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
        }
        .map_err(cannot)?;
        Ok(lines)
    }
}

/// Joins what comes of the same sample, and puts samples in the order of their numbers.
struct Join {
    deadline: Option<Duration>,
    most: usize,
    /// Samples that are not whole, by number.
    parts: BTreeMap<u64, Sample>,
    /// Without a deadline every line is whole.
    whole: VecDeque<Sample>,
    /// The number behind that of the last sample that was passed on.
    next: u64,
}

impl Join {
    fn new(deadline: Option<Duration>, most: usize) -> Self {
        Join { deadline, most, parts: BTreeMap::new(), whole: VecDeque::new(), next: 0 }
    }

    fn has_room(&self) -> bool {
        self.whole.len() < LINES
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.whole.is_empty()
    }

    /// Takes a line; an old or a repeated number is refused.
    fn take(&mut self, given: Given, now: Instant) -> Result<(), String> {
        let Given { seq, from, observed } = given;
        if seq < self.next {
            return Err(format!("{from}: seq {seq} is old, or was there before: dropped"));
        }
        if self.deadline.is_none() {
            self.next = seq + 1;
            self.whole.push_back(Sample { seq, came: now, observed });
            return Ok(());
        }
        let Some(sample) = self.parts.get_mut(&seq) else {
            self.parts.insert(seq, Sample { seq, came: now, observed });
            return Ok(());
        };
        let both = sample.observed.iter().zip(&observed).any(|(old, new)| old.is_some() && new.is_some());
        if both {
            return Err(format!("{from}: seq {seq} brings what was there before: dropped"));
        }
        for (old, new) in sample.observed.iter_mut().zip(observed) {
            *old = old.take().or(new);
        }
        Ok(())
    }

    /// The next sample that is whole, or not waited for any longer.
    fn next(&mut self, now: Instant, is_over: bool) -> Option<Sample> {
        if let Some(sample) = self.whole.pop_front() {
            return Some(sample);
        }
        let first = self.parts.first_entry()?;
        let sample = first.get();
        let is_whole = sample.observed.iter().all(Option::is_some);
        let is_due = self.deadline.is_some_and(|deadline| now >= sample.came + deadline);
        if !(is_whole || is_due || is_over) && self.parts.len() <= self.most {
            return None;
        }
        let (seq, sample) = self.parts.pop_first()?;
        self.next = seq + 1;
        Some(sample)
    }

    fn next_due(&self) -> Option<Instant> {
        Some(self.parts.first_key_value()?.1.came + self.deadline?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(seq: u64, observed: [Option<f32>; 2]) -> Given {
        let observed = observed.map(|value| value.map(|value| vec![value])).to_vec();
        Given { seq, from: "x: 1".into(), observed }
    }

    fn taken(join: &mut Join, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| join.next(now, false)).map(|sample| sample.seq).collect()
    }

    #[test]
    fn a_line_is_a_whole_sample_where_there_is_no_deadline() {
        let (mut join, now) = (Join::new(None, 9), Instant::now());
        for seq in [3, 4, 9] {
            join.take(given(seq, [Some(1.0), None]), now).unwrap();
        }
        for seq in [9, 4, 0] {
            assert!(join.take(given(seq, [None, None]), now).unwrap_err().contains("old"), "{seq}");
        }
        assert_eq!(taken(&mut join, now), [3, 4, 9]);
    }

    #[test]
    fn parts_are_joined_until_the_deadline_and_passed_on_in_order() {
        let (mut join, now) = (Join::new(Some(Duration::from_millis(50)), 9), Instant::now());
        join.take(given(1, [Some(1.0), None]), now).unwrap();
        join.take(given(2, [Some(1.0), Some(2.0)]), now).unwrap();
        assert!(taken(&mut join, now).is_empty(), "2 is whole, and 1 comes first");
        assert!(join.take(given(1, [Some(3.0), None]), now).unwrap_err().contains("there before"));
        join.take(given(1, [None, Some(2.0)]), now).unwrap();
        assert_eq!(taken(&mut join, now), [1, 2]);
        join.take(given(5, [None, Some(2.0)]), now).unwrap();
        assert_eq!(join.next_due(), Some(now + Duration::from_millis(50)));
        let late = join.next(now + Duration::from_millis(50), false).unwrap();
        assert_eq!((late.seq, late.observed), (5, vec![None, Some(vec![2.0])]));
        assert!(join.take(given(5, [Some(1.0), None]), now).is_err());
    }

    #[test]
    fn what_is_never_whole_does_not_pile_up() {
        let (mut join, now) = (Join::new(Some(Duration::from_secs(60)), 3), Instant::now());
        for seq in 0..5 {
            join.take(given(seq, [Some(1.0), None]), now).unwrap();
        }
        assert_eq!(taken(&mut join, now), [0, 1]);
    }
}
