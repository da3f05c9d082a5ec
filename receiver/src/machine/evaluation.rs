//! A receiver's part of a pass over the test set, or over validation rows.

use node::NodeError;
use proto::{
    encode_ticks,
    v1::{Requests, Turn, report::Report},
};

use super::{Awaiting, Output, ReceiverMachine};
use crate::{evaluate::Pass, selection::ticks_of};

impl ReceiverMachine {
    /// Begins a pass, of those before `end`.
    pub(super) fn begin_pass(
        &mut self,
        pass: u64,
        end: u64,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        let requested = self.requested_of_piece(pass, 0)?;
        let pass = Pass::new(&self.context, self.evaluated(pass), pass, end, requested);
        self.send_piece(&pass, emit);
        self.stage = Awaiting::Evaluating(Box::new(pass));
        Ok(())
    }

    /// Whom this receiver requests at the ticks of a piece.
    fn requested_of_piece(&self, pass: u64, piece: u64) -> Result<Vec<Vec<bool>>, NodeError> {
        let samples = self.context.piece(piece as usize, self.evaluated(pass).test_samples()).len();
        self.request_for_piece(pass, piece, self.context.ticks_of_piece(samples))
    }

    fn send_piece(&self, pass: &Pass, emit: &mut dyn FnMut(Output)) {
        for k in 0..self.context.scenario.transmitters() {
            let ticks = ticks_of(&pass.requested, k);
            let turn = Turn {
                stamp: Some(self.context.link(k, self.context.index).stamp(pass.when())),
                requests: Some(Requests { ticks: encode_ticks(&ticks) }),
                ..Turn::default()
            };
            emit(Output::Turn(k, turn));
        }
    }

    /// Evaluates a piece; the turn for the next one goes out before, so that the transmitters are not kept waiting.
    pub(super) fn evaluate_piece(
        &mut self,
        mut pass: Pass,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        let received = self.receive(pass.when(), &pass.requested)?;
        let (piece, last) = (pass.piece, pass.is_last_piece());
        let requested = pass.requested.clone();
        if !last {
            pass.piece += 1;
            if self.context.scenario.evaluates_by_tick() {
                pass.requested = self.requested_of_piece(pass.number, pass.piece)?;
            }
            self.send_piece(&pass, emit);
        }
        let task = self.evaluated(pass.number);
        let evaluated = (piece, requested.as_slice(), received.as_slice());
        let answers = pass.evaluate(&self.context, task, &self.decoders, evaluated, self.tells)?;
        if let Some(answers) = answers {
            emit(Output::Answers(answers));
        }
        if !last {
            self.stage = Awaiting::Evaluating(Box::new(pass));
            return Ok(());
        }
        let (next, end) = (pass.number + 1, pass.end);
        let report = pass.report(&self.context, self.evaluated(next - 1));
        emit(Output::Report(Report::ReceiverPass(report)));
        if next < end {
            return self.begin_pass(next, end, emit);
        }
        self.schedule.done();
        self.advance(emit)
    }
}
