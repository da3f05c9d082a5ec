//! When receivers get the tables of dithered features, and code books.

use dib::Phase;
use node::NodeError;
use proto::v1::Tables;
use scenario::Coding;

use crate::machine::TransmitterMachine;

/// Which tables the receivers have been told of.
pub(crate) struct Told {
    /// By receiver: the number of the last ones.
    numbers: Vec<Option<u64>>,
    /// By receiver, then modality: whether it has that table.
    has: Vec<Vec<bool>>,
}

impl Told {
    /// Nothing has been told.
    pub(crate) fn nothing(receivers: usize, modalities: usize) -> Self {
        Told { numbers: vec![None; receivers], has: vec![vec![false; modalities]; receivers] }
    }

    /// Counts all tables as not told: a receiver that begins a stretch after a closing turn, or an evaluation, may have
    /// lost its tables or have others.
    pub(crate) fn forget(&mut self) {
        *self = Told::nothing(self.numbers.len(), self.has.first().map_or(0, Vec::len));
    }
}

impl TransmitterMachine {
    /// The tables of a round, if features are dithered; the code books, if there are any.
    pub(crate) fn make_tables(&mut self, round: u64) -> Result<(), NodeError> {
        let train = &self.context.scenario.train;
        if let Some(books) = &mut self.encoders.books {
            // They have moved with the last step.
            books.hold(Phase::Train, 2 * round)?;
            self.told.forget();
        }
        if let (Some(priors), Coding::Dithered) = (&mut self.encoders.priors, train.coding()) {
            for (m, t) in priors.tables_of_round(round, train.table_every)? {
                self.told.has[t][m] = false;
            }
        }
        Ok(())
    }

    /// Those of an evaluation, which is about to begin.
    pub(crate) fn make_tables_of_evaluation(&mut self) -> Result<(), NodeError> {
        let train = &self.context.scenario.train;
        let simulates = train.simulates();
        if let Some(books) = &mut self.encoders.books {
            books.hold(Phase::Evaluate, 2 * self.version + 1)?;
            self.told.forget();
        }
        if let (Some(priors), true) =
            (&mut self.encoders.priors, simulates || train.coding() == Coding::Dithered)
        {
            priors.tables_of_evaluation(self.version, simulates)?;
            self.told.forget();
        }
        Ok(())
    }

    /// What receiver t is to be told of the tables in force with a message that brings it entries (tick, modality):
    /// those of theirs that it does not have.
    pub(crate) fn tables_for(
        &mut self,
        t: usize,
        phase: Phase,
        entries: &[(usize, usize)],
    ) -> Option<Tables> {
        let number = self.encoders.number_of_tables(phase)?;
        let has = &mut self.told.has[t];
        let mut is_needed = vec![false; has.len()];
        for &(_, m) in entries {
            is_needed[m] |= !std::mem::replace(&mut has[m], true);
        }
        let is_new = self.told.numbers[t].replace(number) != Some(number);
        // Code books are new in every round, and of no use without an entry.
        let is_new = is_new && self.encoders.books.is_none();
        let bytes = |(m, is_needed): (usize, &bool)| match is_needed {
            true => self.encoders.table(phase, (m, t)).into(),
            false => bytes::Bytes::new(),
        };
        let entries = is_needed.iter().enumerate().map(bytes).collect();
        (is_new || is_needed.contains(&true)).then_some(Tables { number, entries })
    }
}
