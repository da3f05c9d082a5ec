use std::ops::Range;

/// Who requested at which ticks of a round, or in an evaluation pass, whose only tick is 0.
pub(crate) struct Requested {
    pub(crate) ticks: usize,
    /// (tick, receiver), in order: the rows of the selector's input.
    pub(crate) rows: Vec<(usize, usize)>,
}

impl Requested {
    /// From what each receiver requested, tick by tick.
    pub(crate) fn new(requests: &[Vec<bool>]) -> Self {
        let ticks = requests.first().map_or(0, Vec::len);
        let at =
            |tick: usize| (0..requests.len()).filter(move |&t| requests[t][tick]).map(move |t| (tick, t));
        Requested { ticks, rows: (0..ticks).flat_map(at).collect() }
    }

    /// The rows of some ticks.
    pub(crate) fn rows_of(&self, ticks: &Range<usize>) -> Range<usize> {
        let before = |end: usize| self.rows.partition_point(|&(tick, _)| tick < end);
        before(ticks.start)..before(ticks.end)
    }

    /// At which ticks receiver t requested.
    pub(crate) fn ticks_of(&self, t: usize) -> Vec<bool> {
        let mut requested = vec![false; self.ticks];
        self.rows.iter().filter(|row| row.1 == t).for_each(|row| requested[row.0] = true);
        requested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_pairs_that_requested_tick_by_tick() {
        let requested = Requested::new(&[vec![true, false, true], vec![false, false, true]]);
        assert_eq!((requested.ticks, requested.rows.as_slice()), (3, [(0, 0), (2, 0), (2, 1)].as_slice()));
        assert_eq!(
            [requested.rows_of(&(0..1)), requested.rows_of(&(1..2)), requested.rows_of(&(1..3))],
            [0..1, 1..1, 1..3]
        );
        assert_eq!(requested.ticks_of(0), [true, false, true]);
        assert_eq!(requested.ticks_of(1), [false, false, true]);
    }
}
