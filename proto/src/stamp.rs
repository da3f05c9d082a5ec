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
}

impl Link {
    /// The stamp of a message on this link.
    pub fn stamp(&self, when: When) -> Stamp {
        let (phase, pass, round, part) = when.fields();
        Stamp {
            run: self.run.clone(),
            incarnation: self.incarnation,
            transmitter: self.transmitter,
            receiver: self.receiver,
            phase: phase.into(),
            pass,
            round,
            part,
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
        match Phase::try_from(stamp.phase) {
            Ok(Phase::Train) => {
                equal("pass", stamp.pass, 0)?;
                Ok(When::Round { round: stamp.round, part: stamp.part })
            }
            Ok(Phase::Evaluate) => {
                equal("part", stamp.part, 0)?;
                Ok(When::Piece { pass: stamp.pass, piece: stamp.round })
            }
            Err(_) => Err(mismatch("phase", stamp.phase.to_string(), "0 or 1".into())),
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
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            When::Round { round, part: 0 } => write!(formatter, "round {round}"),
            When::Round { round, part } => write!(formatter, "part {part} of round {round}"),
            When::Piece { pass, piece } => write!(formatter, "piece {piece} of evaluation pass {pass}"),
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
    use super::*;

    fn link() -> Link {
        Link { run: Bytes::from_static(&[7; 16]), incarnation: 3, transmitter: 1, receiver: 2 }
    }

    #[test]
    fn a_stamp_is_read_back() {
        for when in [When::round(9), When::Round { round: 9, part: 3 }, When::Piece { pass: 4, piece: 5 }] {
            assert_eq!(link().read(Some(&link().stamp(when))).unwrap(), when);
            link().check(Some(&link().stamp(when)), when).unwrap();
        }
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
        assert!(other(|stamp| stamp.round = 8).contains("of moment round 8, expected round 9"));
        assert!(other(|stamp| stamp.part = 1).contains("of moment part 1 of round 9, expected round 9"));
        assert!(link().check(None, When::round(9)).unwrap_err().to_string().contains("no stamp"));
    }
}
