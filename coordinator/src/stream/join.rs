use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{Sample, lines::Given};

/// Whole samples that have been taken and not passed on.
const WHOLE: usize = 64;

/// Joins what comes of the same sample, and puts samples in the order of their numbers.
pub(crate) struct Join {
    deadline: Option<Duration>,
    most: usize,
    /// Samples that are not whole, by number.
    parts: BTreeMap<u64, Sample>,
    /// Without a deadline every line is whole.
    whole: VecDeque<Sample>,
    /// The number behind that of the last sample that was passed on.
    next: u64,
}

impl Join {
    pub(crate) fn new(deadline: Option<Duration>, most: usize) -> Self {
        Join { deadline, most, parts: BTreeMap::new(), whole: VecDeque::new(), next: 0 }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.whole.len() < WHOLE
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.whole.is_empty()
    }

    /// Takes a line; an old or a repeated number is refused.
    pub(crate) fn take(&mut self, given: Given, now: Instant) -> Result<(), String> {
        let Given { seq, from, observed } = given;
        if seq < self.next {
            return Err(format!("{from}: seq {seq} is old, or was there before: dropped"));
        }
        if self.deadline.is_none() {
            self.next = seq + 1;
            self.whole.push_back(Sample { seq, came: now, observed });
            return Ok(());
        }
        let Some(sample) = self.parts.get_mut(&seq) else {
            self.parts.insert(seq, Sample { seq, came: now, observed });
            return Ok(());
        };
        let both = sample.observed.iter().zip(&observed).any(|(old, new)| old.is_some() && new.is_some());
        if both {
            return Err(format!("{from}: seq {seq} brings what was there before: dropped"));
        }
        for (old, new) in sample.observed.iter_mut().zip(observed) {
            *old = old.take().or(new);
        }
        Ok(())
    }

    /// The next sample that is whole, or not waited for any longer.
    pub(crate) fn next(&mut self, now: Instant, is_over: bool) -> Option<Sample> {
        if let Some(sample) = self.whole.pop_front() {
            return Some(sample);
        }
        let first = self.parts.first_entry()?;
        let sample = first.get();
        let is_whole = sample.observed.iter().all(Option::is_some);
        let is_due = self.deadline.is_some_and(|deadline| now >= sample.came + deadline);
        if !(is_whole || is_due || is_over) && self.parts.len() <= self.most {
            return None;
        }
        let (seq, sample) = self.parts.pop_first()?;
        self.next = seq + 1;
        Some(sample)
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        Some(self.parts.first_key_value()?.1.came + self.deadline?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(seq: u64, observed: [Option<f32>; 2]) -> Given {
        let observed = observed.map(|value| value.map(|value| vec![value])).to_vec();
        Given { seq, from: "x: 1".into(), observed }
    }

    fn taken(join: &mut Join, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| join.next(now, false)).map(|sample| sample.seq).collect()
    }

    #[test]
    fn a_line_is_a_whole_sample_where_there_is_no_deadline() {
        let (mut join, now) = (Join::new(None, 9), Instant::now());
        for seq in [3, 4, 9] {
            join.take(given(seq, [Some(1.0), None]), now).unwrap();
        }
        for seq in [9, 4, 0] {
            assert!(join.take(given(seq, [None, None]), now).unwrap_err().contains("old"), "{seq}");
        }
        assert_eq!(taken(&mut join, now), [3, 4, 9]);
    }

    #[test]
    fn parts_are_joined_until_the_deadline_and_passed_on_in_order() {
        let (mut join, now) = (Join::new(Some(Duration::from_millis(50)), 9), Instant::now());
        join.take(given(1, [Some(1.0), None]), now).unwrap();
        join.take(given(2, [Some(1.0), Some(2.0)]), now).unwrap();
        assert!(taken(&mut join, now).is_empty(), "2 is whole, and 1 comes first");
        assert!(join.take(given(1, [Some(3.0), None]), now).unwrap_err().contains("there before"));
        join.take(given(1, [None, Some(2.0)]), now).unwrap();
        assert_eq!(taken(&mut join, now), [1, 2]);
        join.take(given(5, [None, Some(2.0)]), now).unwrap();
        assert_eq!(join.next_due(), Some(now + Duration::from_millis(50)));
        let late = join.next(now + Duration::from_millis(50), false).unwrap();
        assert_eq!((late.seq, late.observed), (5, vec![None, Some(vec![2.0])]));
        assert!(join.take(given(5, [Some(1.0), None]), now).is_err());
    }

    #[test]
    fn what_is_never_whole_does_not_pile_up() {
        let (mut join, now) = (Join::new(Some(Duration::from_secs(60)), 3), Instant::now());
        for seq in 0..5 {
            join.take(given(seq, [Some(1.0), None]), now).unwrap();
        }
        assert_eq!(taken(&mut join, now), [0, 1]);
    }

    /// What happens to a join: parts come, time goes by, samples are passed on.
    #[derive(Clone, Debug)]
    enum Event {
        Comes { seq: u64, parts: [bool; 2] },
        Waits(u64),
        IsAsked,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => (0u64..30, any::<[bool; 2]>()).prop_map(|(seq, parts)| Event::Comes { seq, parts }),
            1 => (0u64..40).prop_map(Event::Waits),
            2 => Just(Event::IsAsked),
        ];
        proptest::collection::vec(event, 0..120)
    }

    proptest! {
        #[test]
        fn every_part_that_is_taken_comes_once_in_its_sample_and_samples_in_order(
            events in events(),
            deadline in proptest::option::of(1u64..60),
            most in 1usize..6,
        ) {
            let mut join = Join::new(deadline.map(Duration::from_millis), most);
            let mut now = Instant::now();
            // What has been taken of every sample: the number of the event that brought it.
            let mut taken: BTreeMap<u64, Vec<Option<Vec<f32>>>> = BTreeMap::new();
            let mut passed = Vec::new();
            for (number, event) in events.into_iter().enumerate() {
                match event {
                    Event::Waits(milliseconds) => now += Duration::from_millis(milliseconds),
                    Event::IsAsked => passed.extend(std::iter::from_fn(|| join.next(now, false))),
                    Event::Comes { seq, parts } => {
                        let given = given(seq, parts.map(|comes| comes.then_some(number as f32)));
                        let observed = given.observed.clone();
                        let known = taken.contains_key(&seq);
                        match join.take(given, now) {
                            Err(_) => prop_assert!(known || passed.iter().any(|sample: &Sample| sample.seq >= seq) || deadline.is_none()),
                            Ok(()) => {
                                prop_assert!(deadline.is_some() || !known, "without a deadline a number comes once");
                                let parts = taken.entry(seq).or_insert_with(|| vec![None; 2]);
                                for (old, new) in parts.iter_mut().zip(observed) {
                                    prop_assert!(old.is_none() || new.is_none(), "nothing takes the place of what was there");
                                    *old = old.take().or(new);
                                }
                            }
                        }
                    }
                }
            }
            passed.extend(std::iter::from_fn(|| join.next(now, true)));
            prop_assert!(join.is_empty());
            let found: Vec<_> = passed.into_iter().map(|sample| (sample.seq, sample.observed)).collect();
            let expected: Vec<_> = taken.into_iter().collect();
            prop_assert_eq!(found, expected, "in order of their numbers, with all that was taken of them");
        }
    }
}
