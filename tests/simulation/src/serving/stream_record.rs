use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What has been seen of a stream, from outside.
#[derive(Default)]
pub(crate) struct StreamRecord {
    /// What was sent of each sample: the transmitters for which, in any message.
    pub(crate) sent: BTreeMap<u64, BTreeSet<usize>>,
    /// Messages that the service has acknowledged as taken: a sample, and the transmitters for which.
    pub(crate) taken: Vec<(u64, BTreeSet<usize>)>,
    /// All lines of answers, in order.
    pub(crate) lines: Vec<Value>,
    /// By sample, how many receivers have answered it: for whoever waits for calm.
    answered: BTreeMap<u64, usize>,
    /// The sample behind the last that was skipped for a loss, at any receiver.
    behind_skips: u64,
}

impl StreamRecord {
    /// A line of answers.
    pub(crate) fn line(&mut self, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let seq = line["seq"].as_u64().unwrap_or(0);
        match line.get("skipped") {
            // More than the network can answer is no fault of it.
            Some(why) if why == "the queue was full" => {}
            Some(_) => self.behind_skips = self.behind_skips.max(seq + 1),
            None => *self.answered.entry(seq).or_default() += 1,
        }
        self.lines.push(line);
    }

    /// How many samples from a number on have been answered by so many receivers, since one was skipped for a loss.
    pub(crate) fn answered_since(&self, first: u64, receivers: usize) -> usize {
        let from = first.max(self.behind_skips);
        self.answered.range(from..).filter(|(_, count)| **count == receivers).count()
    }
}
