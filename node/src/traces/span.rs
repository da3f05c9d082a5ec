use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A round or a pass of an incarnation: its spans, of all processes, are one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The run's 16 bytes.
    pub run: Bytes,
    /// Counted up at every rollback: a round that is computed again is another trace.
    pub incarnation: u64,
    /// What the trace is of.
    pub of: TraceOf,
}

/// What a trace is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceOf {
    /// A round of training.
    Round(u64),
    /// A pass of evaluation.
    Pass {
        /// Its number, as messages have it.
        number: u64,
        /// How many passes of this number there were before in the incarnation: every evaluation on validation rows
        /// counts anew.
        before: u64,
    },
}

/// What a span is the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOf {
    /// All of it, as the coordinator sees it; all others are below it.
    Whole,
    /// A transmitter's part in it: from the first turn to its report.
    Transmitter(u32),
    /// A receiver's: from its first turn to its report.
    Receiver(u32),
    /// At receiver t, from a turn to the features that answer it.
    Exchange(Pair),
    /// At transmitter k, the same.
    Answer(Pair),
}

/// A receiver, a transmitter and a part of what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// t.
    pub receiver: u32,
    /// k.
    pub transmitter: u32,
    /// The part of the round, or the piece of the test set.
    pub part: u64,
}

impl Traced {
    /// The trace's id.
    pub fn id(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update("pom2dib trace");
        hash.update(&self.run);
        hash.update(self.incarnation.to_le_bytes());
        match self.of {
            TraceOf::Round(round) => hash.update(round.to_le_bytes()),
            TraceOf::Pass { number, before } => {
                hash.update("pass");
                hash.update(number.to_le_bytes());
                hash.update(before.to_le_bytes());
            }
        }
        first(&hash.finalize())
    }

    /// What a span of the trace is called.
    pub fn name(&self, of: SpanOf) -> String {
        match (of, self.of) {
            (SpanOf::Whole, TraceOf::Pass { .. }) => "evaluation pass".into(),
            (of, _) => of.name(),
        }
    }

    /// The id of a span of the trace.
    pub fn span_id(&self, of: SpanOf) -> [u8; 8] {
        let (kind, receiver, transmitter, part) = match of {
            SpanOf::Whole => (0_u8, 0, 0, 0),
            SpanOf::Transmitter(k) => (1, 0, k, 0),
            SpanOf::Receiver(t) => (2, t, 0, 0),
            SpanOf::Exchange(Pair { receiver, transmitter, part }) => (3, receiver, transmitter, part),
            SpanOf::Answer(Pair { receiver, transmitter, part }) => (4, receiver, transmitter, part),
        };
        let mut hash = Sha256::new();
        hash.update("pom2dib span");
        hash.update(self.id());
        hash.update([kind]);
        hash.update(receiver.to_le_bytes());
        hash.update(transmitter.to_le_bytes());
        hash.update(part.to_le_bytes());
        first(&hash.finalize())
    }
}

impl SpanOf {
    /// The span that this one is part of.
    pub fn parent(self) -> Option<SpanOf> {
        match self {
            SpanOf::Whole => None,
            SpanOf::Transmitter(_) | SpanOf::Receiver(_) => Some(SpanOf::Whole),
            SpanOf::Exchange(pair) => Some(SpanOf::Receiver(pair.receiver)),
            // Whoever answers does so for whoever waits: here one process's spans hang on another's.
            SpanOf::Answer(pair) => Some(SpanOf::Exchange(pair)),
        }
    }

    /// What it is called in a round.
    fn name(self) -> String {
        match self {
            SpanOf::Whole => "round".into(),
            SpanOf::Transmitter(k) => format!("transmitter {k}"),
            SpanOf::Receiver(t) => format!("receiver {t}"),
            SpanOf::Exchange(pair) => format!("exchange with transmitter {}", pair.transmitter),
            SpanOf::Answer(pair) => format!("answer to receiver {}", pair.receiver),
        }
    }
}

/// The first bytes of a hash.
fn first<const N: usize>(hash: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn traced(incarnation: u64, of: TraceOf) -> Traced {
        Traced { run: Bytes::from_static(&[7; 16]), incarnation, of }
    }

    fn round(incarnation: u64, round: u64) -> Traced {
        traced(incarnation, TraceOf::Round(round))
    }

    #[test]
    fn all_processes_derive_the_same_ids_and_no_two_spans_share_one() {
        assert_eq!(round(1, 2).id(), round(1, 2).clone().id());
        let traces: BTreeSet<[u8; 16]> = [(1, 2), (2, 2), (1, 3)]
            .into_iter()
            .map(|(incarnation, at)| round(incarnation, at).id())
            .collect();
        assert_eq!(traces.len(), 3);
        let pass = |number, before| traced(1, TraceOf::Pass { number, before }).id();
        let passes = BTreeSet::from([pass(2, 0), pass(2, 1), pass(1, 0), pass(0, 2)]);
        assert!(passes.len() == 4 && passes.is_disjoint(&traces));
        let pair = |receiver, transmitter, part| Pair { receiver, transmitter, part };
        let spans = [
            SpanOf::Whole,
            SpanOf::Transmitter(0),
            SpanOf::Receiver(0),
            SpanOf::Transmitter(1),
            SpanOf::Exchange(pair(0, 1, 0)),
            SpanOf::Exchange(pair(1, 0, 0)),
            SpanOf::Exchange(pair(0, 1, 1)),
            SpanOf::Answer(pair(0, 1, 0)),
        ];
        let ids: BTreeSet<[u8; 8]> = spans.iter().map(|of| round(1, 2).span_id(*of)).collect();
        assert_eq!(ids.len(), spans.len());
        assert_ne!(round(1, 2).span_id(SpanOf::Whole), round(1, 3).span_id(SpanOf::Whole));
    }

    #[test]
    fn every_span_hangs_on_the_round() {
        let pair = Pair { receiver: 2, transmitter: 1, part: 0 };
        let mut of = SpanOf::Answer(pair);
        let mut names = vec![of.name()];
        while let Some(parent) = of.parent() {
            of = parent;
            names.push(of.name());
        }
        assert_eq!(names, ["answer to receiver 2", "exchange with transmitter 1", "receiver 2", "round"]);
    }
}
