use std::{collections::VecDeque, sync::Arc};

use node::BATCHES_UNDER_WAY;
use proto::{WireError, v1::Answers};
use tokio::time::Instant;

use super::{Names, Sample};

/// The batches that have been ordered and are not answered by all receivers.
pub(crate) struct UnderWay {
    batches: VecDeque<(Arc<Sent>, Vec<bool>)>,
    receivers: usize,
}

/// A batch that has been ordered.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The draw of u, and the version of the parameters.
    pub(crate) under: (u64, u64),
    pub(crate) when: Instant,
    pub(crate) samples: Vec<Sample>,
}

/// What a receiver has answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) receiver: usize,
    pub(crate) batch: Arc<Sent>,
    /// Checked.
    pub(crate) answers: Answers,
}

impl UnderWay {
    pub(crate) fn new(receivers: usize) -> Self {
        UnderWay { batches: VecDeque::new(), receivers }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batches.len() >= BATCHES_UNDER_WAY
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(crate) fn begin(&mut self, under: (u64, u64), when: Instant, samples: Vec<Sample>) {
        let sent = Sent { under, when, samples };
        self.batches.push_back((sent.into(), vec![false; self.receivers]));
    }

    /// Takes a receiver's answers, which must be to the first batch that it has not answered.
    pub(crate) fn answered(
        &mut self,
        receiver: usize,
        answers: Answers,
        names: &Names,
    ) -> Result<Answered, WireError> {
        let due = self.batches.iter_mut().find(|(_, answered)| !answered[receiver]);
        let (batch, answered) = due.ok_or(WireError::Missing("batch that it answers"))?;
        names.check(receiver, batch.samples[0].seq, batch.samples.len(), &answers)?;
        answered[receiver] = true;
        Ok(Answered { receiver, batch: batch.clone(), answers })
    }

    /// The batches that all receivers have answered now.
    pub(crate) fn finish(&mut self) -> Vec<Arc<Sent>> {
        let mut finished = Vec::new();
        while self.batches.front().is_some_and(|(_, answered)| answered.iter().all(|answered| *answered)) {
            finished.extend(self.batches.pop_front().map(|(batch, _)| batch));
        }
        finished
    }

    /// Gives up all of them: their samples, and the receivers that have not answered those.
    pub(crate) fn lose(&mut self) -> Vec<(Vec<Sample>, Vec<usize>)> {
        let missing = |answered: &[bool]| (0..answered.len()).filter(|&t| !answered[t]).collect();
        let lost = self.batches.drain(..);
        lost.map(|(batch, answered)| (batch.samples.clone(), missing(&answered))).collect()
    }
}
