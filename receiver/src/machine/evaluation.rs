//! A receiver's part of a pass over the test set.

use node::NodeError;
use proto::{
    When, encode_ticks,
    v1::{Asks, Turn, report::Report},
};

use super::{Output, ReceiverMachine, Stage};
use crate::evaluate::Pass;

impl ReceiverMachine {
    pub(super) fn begin_pass(
        &mut self,
        pass: u64,
        passes: u64,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        let asked = self.ask_for_pass(pass)?;
        let pass = Pass::new(&self.context, &self.task, pass, passes, asked);
        self.send_piece(&pass, 0, emit);
        self.stage = Stage::Evaluating(Box::new(pass));
        Ok(())
    }

    fn send_piece(&self, pass: &Pass, piece: u64, emit: &mut dyn FnMut(Output)) {
        for k in 0..self.context.scenario.transmitters() {
            let when = When::Piece { pass: pass.number, piece };
            let turn = Turn {
                stamp: Some(self.context.link(k, self.context.index).stamp(when)),
                asks: Some(Asks { ticks: encode_ticks(&[pass.asked[k]]) }),
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
        let received = self.receive(pass.when(), std::slice::from_ref(&pass.asked))?;
        let last = pass.is_last_piece();
        if !last {
            self.send_piece(&pass, pass.piece + 1, emit);
        }
        let answers = pass.judge(&self.context, &self.task, &self.decoders, &received, self.tells)?;
        if let Some(answers) = answers {
            emit(Output::Answers(answers));
        }
        if !last {
            self.stage = Stage::Evaluating(Box::new(pass));
            return Ok(());
        }
        let (next, passes) = (pass.number + 1, pass.passes);
        emit(Output::Report(Report::ReceiverPass(pass.report(&self.context, &self.task))));
        if next < passes {
            return self.begin_pass(next, passes, emit);
        }
        self.schedule.done();
        self.advance(emit)
    }
}
