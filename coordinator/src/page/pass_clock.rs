use std::time::SystemTime;

use super::Feed;
use crate::evaluation::Evaluation;

/// Tells who follows a run of every pass of an evaluation: traces how long it took, the page the scores so far.
pub(crate) struct PassClock {
    began: SystemTime,
    ended: u64,
}

impl PassClock {
    /// The first pass begins.
    pub(crate) fn new() -> Self {
        PassClock { began: SystemTime::now(), ended: 0 }
    }

    /// A report has come: the passes that have ended with it are told, and the next one begins.
    pub(crate) fn reported(&mut self, judge: &Evaluation, feed: &Feed) {
        let before = self.ended;
        while self.ended < judge.finished() {
            feed.pass(judge.first() + self.ended, self.began);
            (self.began, self.ended) = (SystemTime::now(), self.ended + 1);
        }
        if self.ended > before && judge.is_of_test() {
            feed.scores(|| judge.so_far());
        }
    }
}
