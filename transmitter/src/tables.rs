//! When receivers get the tables of dithered features.

use dib::Phase;
use node::NodeError;
use proto::v1::Tables;
use scenario::Coding;

use crate::machine::TransmitterMachine;

impl TransmitterMachine {
    /// The tables of a round, if features are dithered.
    pub(crate) fn make_tables(&mut self, round: u64) -> Result<(), NodeError> {
        let train = &self.context.scenario.train;
        if let (Some(priors), Coding::Dithered) = (&mut self.encoders.priors, train.coding()) {
            self.tables_due |= priors.tables_of_round(round, train.table_every)?;
        }
        Ok(())
    }

    /// Those of an evaluation, which is about to begin.
    pub(crate) fn make_tables_of_evaluation(&mut self) -> Result<(), NodeError> {
        let coding = self.context.scenario.train.coding();
        if let (Some(priors), Coding::Dithered) = (&mut self.encoders.priors, coding) {
            priors.tables_of_evaluation(self.version)?;
            self.tables_due = true;
        }
        Ok(())
    }

    /// The tables of receiver t's entries, if it is to get them.
    pub(crate) fn tables_for(&self, t: usize, phase: Phase) -> Option<Tables> {
        let tables = self.encoders.priors.as_ref()?.in_force(phase).filter(|_| self.tables_due)?;
        let entries = tables.of.iter().map(|of| of[t].to_bytes().into()).collect();
        Some(Tables { number: tables.number, entries })
    }
}
