use std::{collections::VecDeque, sync::Arc};

/// Most rounds that are kept: more than a screen has columns.
const MOST_ROUNDS: usize = 2048;

/// Most bytes of them.
const MOST_BYTES: usize = 6 << 20;

/// The rounds of a run, thinned evenly as they grow in number: every round whose number the stride divides, and the
/// last one. Every round is kept whole, as the text that readers get.
#[derive(Debug)]
pub(crate) struct History {
    stride: u64,
    kept: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    /// The newest round, if the stride does not divide its number.
    last: Option<(u64, Arc<str>)>,
}

impl Default for History {
    fn default() -> Self {
        History { stride: 1, kept: VecDeque::new(), bytes: 0, last: None }
    }
}

impl History {
    /// Adds a round after all others; a network that went back comes to a round again.
    pub(crate) fn push(&mut self, round: u64, text: Arc<str>) {
        self.cut(round);
        if !round.is_multiple_of(self.stride) {
            self.last = Some((round, text));
            return;
        }
        self.last = None;
        self.bytes += text.len();
        self.kept.push_back((round, text));
        while self.kept.len() > MOST_ROUNDS || (self.bytes > MOST_BYTES && self.kept.len() > 1) {
            self.thin();
        }
    }

    /// Forgets all rounds from this one on.
    pub(crate) fn cut(&mut self, round: u64) {
        self.last.take_if(|(last, _)| *last >= round);
        while let Some((_, text)) = self.kept.pop_back_if(|(last, _)| *last >= round) {
            self.bytes -= text.len();
        }
    }

    /// The distance between two kept rounds.
    pub(crate) fn stride(&self) -> u64 {
        self.stride
    }

    /// All kept rounds, in order.
    pub(crate) fn rounds(&self) -> impl Iterator<Item = &Arc<str>> {
        self.kept.iter().chain(&self.last).map(|(_, text)| text)
    }

    /// The newest round.
    #[cfg(test)]
    fn newest(&self) -> Option<(u64, Arc<str>)> {
        self.last.clone().or_else(|| self.kept.back().cloned())
    }

    fn thin(&mut self) {
        self.stride *= 2;
        let stride = self.stride;
        let newest = self.kept.back().filter(|(round, _)| round % stride != 0).cloned();
        self.kept.retain(|(round, _)| round % stride == 0);
        self.bytes = self.kept.iter().map(|(_, text)| text.len()).sum();
        self.last = newest.or(self.last.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(history: &History) -> Vec<u64> {
        history.rounds().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_long_history_keeps_evenly_spaced_rounds_and_always_the_newest() {
        let mut history = History::default();
        for round in 0..10_001 {
            history.push(round, round.to_string().into());
            assert_eq!(history.newest().unwrap().0, round);
        }
        let kept = numbers(&history);
        assert_eq!(history.stride(), 8);
        assert!(kept.len() <= MOST_ROUNDS + 1 && kept.windows(2).all(|two| two[0] + 8 >= two[1]), "{kept:?}");
        assert_eq!((kept[0], kept[1], kept.last()), (0, 8, Some(&10_000)));
    }

    #[test]
    fn rounds_of_many_entries_are_thinned_by_their_bytes() {
        let mut history = History::default();
        for round in 0..300 {
            history.push(round, "x".repeat(100_000).into());
        }
        assert!(history.rounds().map(|text| text.len()).sum::<usize>() <= MOST_BYTES + 100_000);
        assert_eq!(history.newest().unwrap().0, 299);
    }

    #[test]
    fn a_network_that_goes_back_leaves_no_round_of_the_time_before() {
        let mut history = History::default();
        (0..10).for_each(|round| history.push(round, round.to_string().into()));
        history.push(4, "4".into());
        assert_eq!(numbers(&history), [0, 1, 2, 3, 4]);
        history.cut(2);
        assert_eq!(numbers(&history), [0, 1]);
    }
}
