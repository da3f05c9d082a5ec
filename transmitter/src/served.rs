//! A transmitter in service: Algorithm 2, batch by batch.

use bytes::Bytes;
use data::Split;
use dib::{ChoiceGrid, Grants, Phase};
use node::{NodeError, Stopwatch};
use proto::{
    Served, When, encode_bits,
    v1::{Batch, Features, Observation},
};

use crate::{
    machine::{Output, TransmitterMachine},
    observed::Observed,
};

/// The selection under a draw of u.
pub(crate) struct Selected {
    draw: u64,
    version: u64,
    /// By receiver, whether it requests this transmitter at the only tick. Nothing is sent to the others.
    requested: Vec<Vec<bool>>,
    choices: ChoiceGrid,
    grants: Grants,
}

impl TransmitterMachine {
    /// Whether the receivers' requests are due before this batch: it is the first of its draw, or of its version.
    pub(crate) fn begins_draw(&self, batch: &Batch) -> bool {
        self.selected
            .as_ref()
            .is_none_or(|selected| (selected.draw, selected.version) != (batch.draw, batch.version))
    }

    /// Encodes a batch for every receiver. False if the receivers' requests have to come first.
    pub(crate) fn serve(&mut self, batch: &Batch, emit: &mut dyn FnMut(Output)) -> Result<bool, NodeError> {
        let taken = Stopwatch::begin();
        let rows = self.dataset.samples(Split::Test);
        let served = self.context.served(batch.first, batch.samples, batch.draw, rows);
        let served = served.ok_or_else(|| {
            let what = format!(
                "orders {} samples from {} on, which are of no one piece",
                batch.samples, batch.first
            );
            NodeError::protocol("the coordinator", what)
        })?;
        if self.begins_draw(batch) {
            if !self.turns_are_in() {
                return Ok(false);
            }
            self.begin_draw(served, batch.version)?;
        }
        let selected = self.selected.take().expect("its draw has begun");
        let given = batch.given.then(|| self.observed(served, &batch.observed)).transpose()?;
        let rows = served.samples as usize;
        let pieces = self.context.pieces(self.dataset.samples(Split::Test)) as u64;
        let moment = self.context.feature_moment(served.pass, served.piece, pieces);
        let first = (batch.first % self.dataset.samples(Split::Test) as u64) as usize;
        let coded = self.encoders.encode_served(
            &self.context,
            (served, moment),
            first..first + rows,
            given.as_ref(),
            &selected.grants,
            &mut self.profiler,
        )?;
        let mut tell = |output: Output| match output {
            Output::Features(t, _) if !selected.requested[t][0] => {}
            Output::Features(t, features) => {
                let entries = selected.grants.for_receiver(t);
                let absent = given.as_ref().map_or_else(Bytes::new, |given| absent(given, &entries, rows));
                let seconds = taken.seconds();
                emit(Output::Features(t, Features { seconds, absent, ..features }));
            }
            other => emit(other),
        };
        let choices = (&selected.choices, selected.requested.as_slice());
        self.send(When::Served(served), choices, &selected.grants, (&coded, rows), &mut tell)?;
        self.selected = Some(selected);
        Ok(true)
    }

    /// Draws modalities for those who request under a new draw of u.
    fn begin_draw(&mut self, served: Served, version: u64) -> Result<(), NodeError> {
        let mut requested = Vec::new();
        for (t, turn) in self.take_turns(When::Served(served))?.into_iter().enumerate() {
            let missing =
                || NodeError::protocol(format!("receiver {t}"), "sent a turn without requests in service");
            requested.push(turn.requests.ok_or_else(missing)?);
        }
        if version != self.version {
            let state = node::reloaded(&mut self.reloaded, version)?;
            self.restore_networks(&state)?;
        }
        if self.selected.as_ref().is_none_or(|selected| selected.version != version) {
            self.make_tables_of_evaluation()?;
        }
        let choices = self.choices_of_piece(served.draw, 0, &requested)?;
        let first = self.context.selection_moment(served.draw, 0);
        let grants = self.grant(Phase::Evaluate, first, &choices);
        self.selected = Some(Selected { draw: served.draw, version, requested, choices, grants });
        Ok(())
    }

    /// What came with a batch, checked.
    fn observed(&self, served: Served, observed: &[Observation]) -> Result<Observed, NodeError> {
        let widths = self.encoders.widths();
        let mut observed = Observed::check(served.samples as usize, widths, observed)
            .map_err(NodeError::message("the coordinator's batch"))?;
        let names = &self.context.scenario.transmitter[self.context.index].modalities;
        observed.each(widths, |m, values| self.dataset.normalise(&names[m], values));
        Ok(observed)
    }
}

/// A bit for every (entry, sample) that was not observed; none if all were.
fn absent(given: &Observed, entries: &[(usize, usize)], rows: usize) -> Bytes {
    let bits: Vec<bool> =
        entries.iter().flat_map(|&(_, m)| (0..rows).map(move |row| !given.has(m, row))).collect();
    if bits.contains(&true) { encode_bits(&bits) } else { Bytes::new() }
}
