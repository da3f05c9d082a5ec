use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A round of an incarnation: its spans, of all processes, are one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedRound {
    /// The run's 16 bytes.
    pub run: Bytes,
    /// Counted up at every rollback: a round that is computed again is another trace.
    pub incarnation: u64,
    /// The round.
    pub round: u64,
}

/// What a span is the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOf {
    /// A round, as the coordinator sees it; all others are below it.
    Round,
    /// A transmitter's part in it: from the first turn to its report.
    Transmitter(u32),
    /// A receiver's: from its first turn to its report.
    Receiver(u32),
    /// At receiver t, from a turn to the features that answer it.
    Exchange(Pair),
    /// At transmitter k, the same.
    Answer(Pair),
}

/// A receiver, a transmitter and a part of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// t.
    pub receiver: u32,
    /// k.
    pub transmitter: u32,
    /// The part of the round.
    pub part: u64,
}

impl TracedRound {
    /// The trace's id.
    pub fn id(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update("pom2dib trace");
        hash.update(&self.run);
        hash.update(self.incarnation.to_le_bytes());
        hash.update(self.round.to_le_bytes());
        first(&hash.finalize())
    }

    /// The id of a span of the trace.
    pub fn span_id(&self, of: SpanOf) -> [u8; 8] {
        let (kind, receiver, transmitter, part) = match of {
            SpanOf::Round => (0_u8, 0, 0, 0),
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
            SpanOf::Round => None,
            SpanOf::Transmitter(_) | SpanOf::Receiver(_) => Some(SpanOf::Round),
            SpanOf::Exchange(pair) => Some(SpanOf::Receiver(pair.receiver)),
            // Whoever answers does so for whoever waits: here one process's spans hang on another's.
            SpanOf::Answer(pair) => Some(SpanOf::Exchange(pair)),
        }
    }

    /// What it is called.
    pub fn name(self) -> String {
        match self {
            SpanOf::Round => "round".into(),
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

    fn round(incarnation: u64, round: u64) -> TracedRound {
        TracedRound { run: Bytes::from_static(&[7; 16]), incarnation, round }
    }

    #[test]
    fn all_processes_derive_the_same_ids_and_no_two_spans_share_one() {
        assert_eq!(round(1, 2).id(), round(1, 2).clone().id());
        let traces: BTreeSet<[u8; 16]> = [(1, 2), (2, 2), (1, 3)]
            .into_iter()
            .map(|(incarnation, at)| round(incarnation, at).id())
            .collect();
        assert_eq!(traces.len(), 3);
        let pair = |receiver, transmitter, part| Pair { receiver, transmitter, part };
        let spans = [
            SpanOf::Round,
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
        assert_ne!(round(1, 2).span_id(SpanOf::Round), round(1, 3).span_id(SpanOf::Round));
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
