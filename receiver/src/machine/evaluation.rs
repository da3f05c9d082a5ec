//! A receiver's part of a pass over the test set, or over validation rows.

use node::NodeError;
use proto::{
    When, encode_ticks,
    v1::{Requests, Turn, report::Report},
};

use super::{Awaiting, Output, ReceiverMachine};
use crate::evaluate::Pass;

impl ReceiverMachine {
    /// Begins a pass, of those before `end`.
    pub(super) fn begin_pass(
        &mut self,
        pass: u64,
        end: u64,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        let requested = self.ask_for_pass(pass)?;
        let pass = Pass::new(&self.context, self.judged(pass), pass, end, requested);
        self.send_piece(&pass, 0, emit);
        self.stage = Awaiting::Evaluating(Box::new(pass));
        Ok(())
    }

    fn send_piece(&self, pass: &Pass, piece: u64, emit: &mut dyn FnMut(Output)) {
        for k in 0..self.context.scenario.transmitters() {
            let when = When::Piece { pass: pass.number, piece };
            let turn = Turn {
                stamp: Some(self.context.link(k, self.context.index).stamp(when)),
                requests: Some(Requests { ticks: encode_ticks(&[pass.requested[k]]) }),
                ..Turn::default()
            };
            emit(Output::Turn(k, turn));
        }
    }

    /// Judges a piece; the turn for the next one goes out before, so that the transmitters are not kept waiting.
    pub(super) fn judge_piece(
        &mut self,
        mut pass: Pass,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        let received = self.receive(pass.when(), std::slice::from_ref(&pass.requested))?;
        let last = pass.is_last_piece();
        if !last {
            self.send_piece(&pass, pass.piece + 1, emit);
        }
        let task = self.judged(pass.number);
        let answers = pass.judge(&self.context, task, &self.decoders, &received, self.tells)?;
        if let Some(answers) = answers {
            emit(Output::Answers(answers));
        }
        if !last {
            self.stage = Awaiting::Evaluating(Box::new(pass));
            return Ok(());
        }
        let (next, end) = (pass.number + 1, pass.end);
        let report = pass.report(&self.context, self.judged(next - 1));
        emit(Output::Report(Report::ReceiverPass(report)));
        if next < end {
            return self.begin_pass(next, end, emit);
        }
        self.schedule.done();
        self.advance(emit)
    }
}
