use bytes::Bytes;

use crate::{
    WireError,
    v1::{Phase, Stamp},
};

/// A (transmitter, receiver) pair of a run: the common part of all stamps on its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The run's 16 bytes.
    pub run: Bytes,
    /// Incremented at every rollback.
    pub incarnation: u64,
    /// k.
    pub transmitter: u32,
    /// t.
    pub receiver: u32,
}

/// The position of a message in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A part of a training round: some ticks of it, or all.
    Round {
        /// The round.
        round: u64,
        /// The part.
        part: u64,
    },
    /// A piece of the test set in an evaluation pass.
    Piece {
        /// The pass.
        pass: u64,
        /// The piece.
        piece: u64,
    },
    /// A batch of a stream in service.
    Served(Served),
}

/// Where a batch of a stream lies: its samples are counted like the test set's rows, pass by pass and piece by piece,
/// so that what is drawn for a sample depends on its sequence number alone, and is what an evaluation draws for that
/// row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The draw of u, and so the selection.
    pub draw: u64,
    /// How often the test set's rows have been counted through.
    pub pass: u64,
    /// The piece.
    pub piece: u64,
    /// The place of the first sample in the piece.
    pub offset: u64,
    /// The number of samples, all of the same piece.
    pub samples: u64,
}

impl Link {
    /// The stamp of a message on this link.
    pub fn stamp(&self, when: When) -> Stamp {
        let (phase, pass, round, part) = when.fields();
        let (samples, draw) = match when {
            When::Served(served) => (served.samples, served.draw),
            When::Round { .. } | When::Piece { .. } => (0, 0),
        };
        Stamp {
            run: self.run.clone(),
            incarnation: self.incarnation,
            transmitter: self.transmitter,
            receiver: self.receiver,
            phase: phase.into(),
            pass,
            round,
            part,
            samples,
            draw,
        }
    }

    /// Checks that a stamp belongs to this link and returns its moment.
    ///
    /// # Errors
    ///
    /// [`WireError`] if a part is missing or belongs to another run, incarnation or link.
    pub fn read(&self, stamp: Option<&Stamp>) -> Result<When, WireError> {
        let stamp = stamp.ok_or(WireError::Missing("stamp"))?;
        if stamp.run != self.run {
            return Err(WireError::AnotherRun);
        }
        equal("incarnation", stamp.incarnation, self.incarnation)?;
        equal("transmitter", stamp.transmitter.into(), self.transmitter.into())?;
        equal("receiver", stamp.receiver.into(), self.receiver.into())?;
        let phase = Phase::try_from(stamp.phase);
        if phase != Ok(Phase::Serve) {
            equal("samples", stamp.samples, 0)?;
            equal("draw", stamp.draw, 0)?;
        }
        match phase {
            Ok(Phase::Train) => {
                equal("pass", stamp.pass, 0)?;
                Ok(When::Round { round: stamp.round, part: stamp.part })
            }
            Ok(Phase::Evaluate) => {
                equal("part", stamp.part, 0)?;
                Ok(When::Piece { pass: stamp.pass, piece: stamp.round })
            }
            Ok(Phase::Serve) => {
                let Stamp { draw, pass, round: piece, part: offset, samples, .. } = *stamp;
                Ok(When::Served(Served { draw, pass, piece, offset, samples }))
            }
            Err(_) => Err(mismatch("phase", stamp.phase.to_string(), "0, 1 or 2".into())),
        }
    }

    /// Puts back what [`shorten`] left out of the stamp of a message that came on this link's own stream. A stamp that
    /// says whose it is stays as it is.
    pub fn complete(&self, stamp: &mut Option<Stamp>) {
        if let Some(stamp) = stamp.as_mut().filter(|stamp| is_short(stamp)) {
            stamp.run = self.run.clone();
            stamp.incarnation = self.incarnation;
            stamp.transmitter = self.transmitter;
            stamp.receiver = self.receiver;
        }
    }

    /// Checks that a stamp belongs to this link and to this moment.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); also [`WireError::Stamp`] for another moment.
    pub fn check(&self, stamp: Option<&Stamp>, when: When) -> Result<(), WireError> {
        let got = self.read(stamp)?;
        if got == when { Ok(()) } else { Err(mismatch("moment", got.to_string(), when.to_string())) }
    }
}

/// Leaves out of a stamp what all stamps on a stream have in common. The first message of a stream must have it.
pub fn shorten(stamp: &mut Option<Stamp>) {
    if let Some(stamp) = stamp {
        stamp.run = Bytes::new();
        stamp.incarnation = 0;
        stamp.transmitter = 0;
        stamp.receiver = 0;
    }
}

fn is_short(stamp: &Stamp) -> bool {
    stamp.run.is_empty() && (stamp.incarnation, stamp.transmitter, stamp.receiver) == (0, 0, 0)
}

/// What has come of a stream between a receiver and a transmitter: its first message says whose it is, and the others
/// need not.
#[derive(Clone, Debug)]
pub struct Incoming {
    link: Link,
    is_known: bool,
}

impl Incoming {
    /// A stream of a link of which nothing has come.
    pub fn new(link: Link) -> Self {
        Incoming { link, is_known: false }
    }

    /// Completes the stamp of the next message. One that does not fit stays as it is, for whoever checks it to refuse,
    /// and so does a short one as long as nothing has said whose the stream is.
    pub fn complete(&mut self, stamp: &mut Option<Stamp>) {
        if self.is_known {
            self.link.complete(stamp);
        }
        self.is_known |= self.link.read(stamp.as_ref()).is_ok();
    }
}

impl When {
    /// The first part of a training round.
    pub fn round(round: u64) -> Self {
        When::Round { round, part: 0 }
    }

    /// Phase, pass, round and part, as they stand in a stamp.
    fn fields(self) -> (Phase, u64, u64, u64) {
        match self {
            When::Round { round, part } => (Phase::Train, 0, round, part),
            When::Piece { pass, piece } => (Phase::Evaluate, pass, piece, 0),
            When::Served(served) => (Phase::Serve, served.pass, served.piece, served.offset),
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            When::Round { round, part: 0 } => write!(formatter, "round {round}"),
            When::Round { round, part } => write!(formatter, "part {part} of round {round}"),
            When::Piece { pass, piece } => write!(formatter, "piece {piece} of evaluation pass {pass}"),
            When::Served(Served { draw, pass, piece, offset, samples }) => {
                write!(
                    formatter,
                    "samples {offset} to {} of piece {piece} of pass {pass} under draw {draw}",
                    offset.saturating_add(*samples)
                )
            }
        }
    }
}

fn equal(what: &'static str, got: u64, expected: u64) -> Result<(), WireError> {
    if got == expected { Ok(()) } else { Err(mismatch(what, got.to_string(), expected.to_string())) }
}

fn mismatch(what: &'static str, got: String, expected: String) -> WireError {
    WireError::Stamp { what, got, expected }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn link() -> Link {
        Link { run: Bytes::from_static(&[7; 16]), incarnation: 3, transmitter: 1, receiver: 2 }
    }

    #[test]
    fn a_stamp_is_read_back() {
        let served = When::Served(Served { draw: 1, pass: 2, piece: 3, offset: 4, samples: 5 });
        for when in
            [When::round(9), When::Round { round: 9, part: 3 }, When::Piece { pass: 4, piece: 5 }, served]
        {
            assert_eq!(link().read(Some(&link().stamp(when))).unwrap(), when);
            link().check(Some(&link().stamp(when)), when).unwrap();
        }
    }

    #[test]
    fn a_short_stamp_is_the_streams_once_that_is_known() {
        let when = When::Piece { pass: 4, piece: 5 };
        let short = || {
            let mut stamp = Some(link().stamp(when));
            shorten(&mut stamp);
            stamp
        };
        let mut incoming = Incoming::new(link());
        let mut first = short();
        incoming.complete(&mut first);
        assert!(matches!(link().check(first.as_ref(), when), Err(WireError::AnotherRun)));
        // Another's word makes nothing known.
        let mut other = Some(Stamp { incarnation: 2, ..link().stamp(when) });
        incoming.complete(&mut other);
        let mut still_short = short();
        incoming.complete(&mut still_short);
        assert_eq!(still_short, short());

        incoming.complete(&mut Some(link().stamp(When::round(0))));
        let mut second = short();
        incoming.complete(&mut second);
        assert_eq!(second, Some(link().stamp(when)));
        // What says whose it is goes by what it says.
        for foreign in [
            Stamp { run: Bytes::from_static(b"x"), ..link().stamp(when) },
            Stamp { incarnation: 2, ..link().stamp(when) },
            Stamp { receiver: 1, ..short().unwrap() },
        ] {
            let mut stamp = Some(foreign.clone());
            incoming.complete(&mut stamp);
            assert_eq!(stamp, Some(foreign));
            assert!(link().check(stamp.as_ref(), when).is_err());
        }
        assert!(short().unwrap().encoded_len() < 8);
    }

    #[test]
    fn every_foreign_stamp_is_refused_by_name() {
        let other = |change: fn(&mut Stamp)| {
            let mut stamp = link().stamp(When::round(9));
            change(&mut stamp);
            link().check(Some(&stamp), When::round(9)).unwrap_err().to_string()
        };
        assert_eq!(other(|stamp| stamp.run = Bytes::from_static(b"x")), "the message is of another run");
        assert!(other(|stamp| stamp.incarnation = 2).contains("of incarnation 2, expected 3"));
        assert!(other(|stamp| stamp.transmitter = 0).contains("of transmitter 0, expected 1"));
        assert!(other(|stamp| stamp.receiver = 0).contains("of receiver 0, expected 2"));
        assert!(other(|stamp| stamp.phase = 7).contains("of phase 7"));
        assert!(other(|stamp| stamp.samples = 7).contains("of samples 7, expected 0"));
        assert!(other(|stamp| stamp.round = 8).contains("of moment round 8, expected round 9"));
        assert!(other(|stamp| stamp.part = 1).contains("of moment part 1 of round 9, expected round 9"));
        assert!(link().check(None, When::round(9)).unwrap_err().to_string().contains("no stamp"));
    }
}
