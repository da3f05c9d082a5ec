use std::collections::VecDeque;

use tokio::time::Instant;

use super::{Sample, WhenFull};

/// The samples that wait to be sent, in order of their numbers.
pub(crate) struct Queue {
    waiting: VecDeque<Sample>,
    most: usize,
    when_full: WhenFull,
    /// Rows of the test set, and of a piece of it: no batch goes beyond one.
    rows: u64,
    piece: u64,
}

impl Queue {
    pub(crate) fn new(most: usize, when_full: WhenFull) -> Self {
        Queue { waiting: VecDeque::new(), most, when_full, rows: u64::MAX, piece: u64::MAX }
    }

    /// No batch goes beyond the end of a piece of the test set, whose rows number the samples.
    pub(crate) fn cut_at(&mut self, rows: u64, piece: u64) {
        (self.rows, self.piece) = (rows.max(1), piece.max(1));
    }

    /// Whether a sample may come: one that finds the queue full waits, or another is dropped for it.
    pub(crate) fn takes(&self) -> bool {
        self.waiting.len() < self.most || self.when_full != WhenFull::Block
    }

    /// Takes a sample; gives those that are dropped for it.
    pub(crate) fn push(&mut self, sample: Sample) -> Option<Sample> {
        if self.waiting.len() < self.most {
            self.waiting.push_back(sample);
            return None;
        }
        match self.when_full {
            WhenFull::DropNewest => Some(sample),
            WhenFull::Block | WhenFull::DropOldest => {
                self.waiting.push_back(sample);
                self.waiting.pop_front()
            }
        }
    }

    /// When the first in the queue came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|sample| sample.came)
    }

    /// The next batch: at most so many samples with consecutive numbers, of one piece and of one draw of u, which
    /// changes at every multiple of `draw`. None if it could still grow and is not due.
    pub(crate) fn cut(&mut self, most: usize, draw: u64, is_due: bool) -> Option<Vec<Sample>> {
        let first = self.waiting.front()?.seq;
        let row = first % self.rows;
        let of_piece = (self.piece - row % self.piece).min(self.rows - row);
        let most = (most as u64).min(of_piece).min(draw - first % draw) as usize;
        let consecutive = self.waiting.iter().zip(first..).take(most);
        let count = consecutive.take_while(|(sample, seq)| sample.seq == *seq).count();
        // A gap behind it ends a batch, too.
        let is_whole = count == most || count < self.waiting.len();
        (is_whole || is_due).then(|| self.waiting.drain(..count).collect())
    }

    pub(crate) fn empty(&mut self) -> VecDeque<Sample> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(seq: u64) -> Sample {
        Sample { seq, came: Instant::now(), observed: Vec::new() }
    }

    fn queue(seqs: impl IntoIterator<Item = u64>) -> Queue {
        let mut queue = Queue::new(1000, WhenFull::Block);
        seqs.into_iter().for_each(|seq| assert!(queue.push(sample(seq)).is_none()));
        queue
    }

    /// The first and the last number of every batch.
    fn batches(queue: &mut Queue, most: usize, draw: u64) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        while let Some(batch) = queue.cut(most, draw, true) {
            found.push((batch[0].seq, batch[batch.len() - 1].seq));
        }
        found
    }

    #[test]
    fn a_batch_ends_at_pieces_at_draws_at_gaps_and_when_it_is_full() {
        let mut queue = queue((0..26).chain(40..43));
        queue.cut_at(25, 10);
        let found = batches(&mut queue, 8, 12);
        let expected = [(0, 7), (8, 9), (10, 11), (12, 19), (20, 23), (24, 24), (25, 25), (40, 42)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_batch_that_could_grow_waits_until_it_is_due() {
        let mut queue = queue(0..3);
        assert!(queue.cut(4, u64::MAX, false).is_none());
        assert_eq!(queue.cut(4, u64::MAX, true).unwrap().len(), 3);
        queue.push(sample(3));
        queue.push(sample(9));
        assert_eq!(queue.cut(4, u64::MAX, false).unwrap().len(), 1, "nothing can come between 3 and 9");
    }

    #[test]
    fn a_full_queue_does_as_it_was_told() {
        let with = |when_full| {
            let mut queue = Queue::new(2, when_full);
            let dropped: Vec<u64> =
                (0..4).filter_map(|seq| queue.push(sample(seq))).map(|sample| sample.seq).collect();
            (dropped, queue.takes(), queue.empty().iter().map(|sample| sample.seq).collect::<Vec<u64>>())
        };
        assert_eq!(with(WhenFull::DropOldest), (vec![0, 1], true, vec![2, 3]));
        assert_eq!(with(WhenFull::DropNewest), (vec![2, 3], true, vec![0, 1]));
        let mut queue = Queue::new(1, WhenFull::Block);
        queue.push(sample(0));
        assert!(!queue.takes());
    }

    proptest! {
        #[test]
        fn every_sample_is_in_one_batch_or_dropped_and_no_batch_crosses_a_piece_a_draw_or_a_gap(
            gaps in proptest::collection::vec((1u64..4, any::<bool>()), 0..200),
            (most, batch, rows, piece, draw) in (1usize..40, 1usize..12, 1u64..50, 1u64..20, 1u64..30),
            when_full in prop_oneof![Just(WhenFull::Block), Just(WhenFull::DropOldest), Just(WhenFull::DropNewest)],
        ) {
            let mut queue = Queue::new(most, when_full);
            queue.cut_at(rows, piece);
            let (mut seq, mut pushed, mut sent, mut dropped) = (0, Vec::new(), Vec::new(), Vec::new());
            for (gap, is_due) in gaps {
                if queue.takes() {
                    seq += gap;
                    pushed.push(seq);
                    dropped.extend(queue.push(sample(seq)).map(|sample| sample.seq));
                }
                prop_assert!(queue.len() <= most);
                if is_due || !queue.takes() {
                    sent.extend(queue.cut(batch, draw, is_due || !queue.takes()));
                }
            }
            sent.extend(std::iter::from_fn(|| queue.cut(batch, draw, true)));
            prop_assert!(queue.is_empty());
            for samples in &sent {
                let (first, last) = (samples[0].seq, samples[samples.len() - 1].seq);
                prop_assert!(samples.len() <= batch && last - first == samples.len() as u64 - 1);
                prop_assert_eq!((first / rows, first % rows / piece), (last / rows, last % rows / piece));
                prop_assert_eq!(first / draw, last / draw);
            }
            let sent: Vec<u64> = sent.into_iter().flatten().map(|sample| sample.seq).collect();
            prop_assert!(sent.is_sorted_by(|one, other| one < other));
            prop_assert!(when_full != WhenFull::Block || dropped.is_empty());
            let mut all = [sent, dropped].concat();
            all.sort_unstable();
            prop_assert_eq!(all, pushed);
        }
    }
}
