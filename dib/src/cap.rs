//! The cap of a transmitter: the kernel P(A given A') of section VII-A of the paper.
//!
//! Selectors draw independently, so together they may choose more entries of a transmitter than the E_k it may send at
//! a tick, constraint (10). It then keeps a uniform subset of E_k. The draw is common randomness: any node can compute
//! the grants from the choices in a transmitter's message and the seed.

use randomness::{Purpose, Seed, Stream};

use crate::common::Phase;

/// The grants of transmitter k at a tick: all `choices` if they are `limit` (E_k) or fewer, otherwise a uniform subset
/// of `limit`. Both are (receiver, modality) pairs in increasing order.
///
/// ```
/// use pom2dib_dib::{Phase, cap};
/// use randomness::Seed;
///
/// // At tick 7, three entries were chosen at transmitter 0, which may send two.
/// let chosen = [(0, 0), (0, 2), (1, 0)];
/// let granted = cap(Seed::from_number(1), 0, Phase::Train, 7, &chosen, 2);
/// assert_eq!(granted.len(), 2);
/// assert!(granted.iter().all(|entry| chosen.contains(entry)));
/// // Whoever has the seed computes the same, and so notices a transmitter that grants anything else.
/// assert_eq!(granted, cap(Seed::from_number(1), 0, Phase::Train, 7, &chosen, 2));
/// ```
pub fn cap(
    seed: Seed,
    transmitter: usize,
    phase: Phase,
    tick: u64,
    choices: &[(usize, usize)],
    limit: usize,
) -> Vec<(usize, usize)> {
    if choices.len() <= limit {
        return choices.to_vec();
    }
    let mut stream = stream(seed, transmitter, phase, tick);
    stream.subset(choices.len(), limit).into_iter().map(|position| choices[position]).collect()
}

/// The grants of transmitter k at a tick under multicast, where a modality has a single feature, which all its
/// recipients get: all `choices` if they have `limit` (E_k) modalities or fewer, otherwise those of a uniform subset of
/// `limit` modalities.
///
/// ```
/// use pom2dib_dib::{Phase, multicast_cap};
/// use randomness::Seed;
///
/// // Modality 0 was chosen for receivers 0 and 1, modality 2 for receiver 0: two features, and the limit is 1.
/// let chosen = [(0, 0), (0, 2), (1, 0)];
/// let granted = multicast_cap(Seed::from_number(1), 0, Phase::Train, 7, &chosen, 1);
/// assert!(granted == [(0, 0), (1, 0)] || granted == [(0, 2)]);
/// assert_eq!(multicast_cap(Seed::from_number(1), 0, Phase::Train, 7, &chosen, 2), chosen);
/// ```
pub fn multicast_cap(
    seed: Seed,
    transmitter: usize,
    phase: Phase,
    tick: u64,
    choices: &[(usize, usize)],
    limit: usize,
) -> Vec<(usize, usize)> {
    let chosen = modalities_of(choices);
    if chosen.len() <= limit {
        return choices.to_vec();
    }
    let subset = stream(seed, transmitter, phase, tick).subset(chosen.len(), limit);
    let kept: Vec<usize> = subset.into_iter().map(|position| chosen[position]).collect();
    choices.iter().copied().filter(|(_, modality)| kept.contains(modality)).collect()
}

/// The modalities of (receiver, modality) pairs, each once, in increasing order. Under multicast each is a feature.
fn modalities_of(entries: &[(usize, usize)]) -> Vec<usize> {
    let mut modalities: Vec<usize> = entries.iter().map(|&(_, modality)| modality).collect();
    modalities.sort_unstable();
    modalities.dedup();
    modalities
}

/// The random stream of transmitter k's cap at a tick.
fn stream(seed: Seed, transmitter: usize, phase: Phase, tick: u64) -> Stream {
    seed.stream(Purpose::Cap, &[transmitter as u64, phase.index()], tick)
}

/// Applies the [cap](cap()) to each tick of a round. `first_tick` is the tick of the grid's first row: later
/// rows follow.
pub fn grants(
    seed: Seed,
    transmitter: usize,
    phase: Phase,
    first_tick: u64,
    choices: &ChoiceGrid,
    limit: usize,
) -> Grants {
    Grants::of_rows(first_tick, choices, |tick, chosen| cap(seed, transmitter, phase, tick, chosen, limit))
}

/// Applies [`multicast_cap`] to each tick of a round. `first_tick` is the tick of the grid's first row: later rows
/// follow.
pub fn multicast_grants(
    seed: Seed,
    transmitter: usize,
    phase: Phase,
    first_tick: u64,
    choices: &ChoiceGrid,
    limit: usize,
) -> Grants {
    Grants::of_rows(first_tick, choices, |tick, chosen| {
        multicast_cap(seed, transmitter, phase, tick, chosen, limit)
    })
}

/// A transmitter's grants in a round (a of the paper).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// For each tick of the round: (receiver, modality) pairs, in increasing order.
    ticks: Vec<Vec<(usize, usize)>>,
}

impl Grants {
    /// What a cap, given tick and choices, leaves of each row of a grid.
    fn of_rows(
        first_tick: u64,
        choices: &ChoiceGrid,
        cap: impl Fn(u64, &[(usize, usize)]) -> Vec<(usize, usize)>,
    ) -> Self {
        let at = |row: usize| cap(first_tick + row as u64, &choices.choices_at(row));
        Grants { ticks: (0..choices.ticks).map(at).collect() }
    }

    /// For each tick of the round, in order: the (receiver, modality) pairs granted, in increasing order.
    pub fn ticks(&self) -> impl ExactSizeIterator<Item = &[(usize, usize)]> {
        self.ticks.iter().map(Vec::as_slice)
    }

    /// The (receiver, modality) pairs granted at a tick of the round, in increasing order.
    pub fn at(&self, tick: usize) -> &[(usize, usize)] {
        &self.ticks[tick]
    }

    /// The number of entries granted at each tick, or of features under multicast. E_k limits it.
    pub fn counts(&self, is_multicast: bool) -> impl Iterator<Item = usize> {
        self.ticks.iter().map(move |granted| match is_multicast {
            true => modalities_of(granted).len(),
            false => granted.len(),
        })
    }

    /// The number of receivers that are granted a modality at a tick of the round.
    pub fn recipients(&self, tick: usize, modality: usize) -> usize {
        self.ticks[tick].iter().filter(|(_, of)| *of == modality).count()
    }

    /// The share of each recipient in the rate of a multicast feature (tick of the round, modality), in the unit of
    /// `rate`: the shares are equal, and their sum is the rate.
    pub fn share(&self, rate: f64, (tick, modality): (usize, usize)) -> f64 {
        rate / self.recipients(tick, modality) as f64
    }

    /// The (tick of the round, modality) pairs granted to a receiver, in increasing order.
    pub fn for_receiver(&self, receiver: usize) -> Vec<(usize, usize)> {
        let all = self.ticks.iter().enumerate().flat_map(|(tick, granted)| {
            granted.iter().map(move |&(owner, modality)| (owner, (tick, modality)))
        });
        all.filter(|(owner, _)| *owner == receiver).map(|(_, entry)| entry).collect()
    }
}

/// Why bytes are not a valid grid of choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// Too few or too many bytes.
    #[error(
        "{found} bytes of choices, not {expected} ({ticks} ticks x {receivers} receivers x {modalities})"
    )]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes that the shape needs.
        expected: usize,
        /// Ticks of the shape.
        ticks: usize,
        /// Receivers of the shape.
        receivers: usize,
        /// Modalities of the shape.
        modalities: usize,
    },
    /// The last byte has bits beyond the last entry.
    #[error("choices beyond the last entry: the unused bits of the last byte must be 0")]
    StrayBits,
}

/// The entries that a transmitter chose in a round, before the cap (A' of the paper): one bit for each
/// (tick of the round, receiver, modality), in that order, lowest bit of the first byte first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceGrid {
    ticks: usize,
    receivers: usize,
    modalities: usize,
    bits: Vec<u8>,
}

impl ChoiceGrid {
    /// A grid without choices.
    pub fn new(ticks: usize, receivers: usize, modalities: usize) -> Self {
        let bits = vec![0; (ticks * receivers * modalities).div_ceil(8)];
        ChoiceGrid { ticks, receivers, modalities, bits }
    }

    /// A grid of this shape from the output of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// If the number of bytes does not match the shape, or bits beyond the last entry are set.
    pub fn from_bytes(
        ticks: usize,
        receivers: usize,
        modalities: usize,
        bytes: &[u8],
    ) -> Result<Self, GridError> {
        let entries = ticks * receivers * modalities;
        let (found, expected) = (bytes.len(), entries.div_ceil(8));
        if found != expected {
            return Err(GridError::Length { found, expected, ticks, receivers, modalities });
        }
        let used = entries % 8;
        if used != 0 && bytes.last().is_some_and(|last| last >> used != 0) {
            return Err(GridError::StrayBits);
        }
        Ok(ChoiceGrid { ticks, receivers, modalities, bits: bytes.to_vec() })
    }

    /// The bits as bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bits.clone()
    }

    /// The bytes of [`to_bytes`](Self::to_bytes), without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bits
    }

    /// The number of ticks.
    pub fn ticks(&self) -> usize {
        self.ticks
    }

    /// The number of receivers.
    pub fn receivers(&self) -> usize {
        self.receivers
    }

    /// The number of modalities.
    pub fn modalities(&self) -> usize {
        self.modalities
    }

    /// Whether a modality is chosen for a receiver at a tick of the round.
    ///
    /// # Panics
    /// If there is no such entry.
    pub fn get(&self, tick: usize, receiver: usize, modality: usize) -> bool {
        self.is_set(self.bit(tick, receiver, modality))
    }

    /// Marks a modality as chosen for a receiver at a tick of the round.
    ///
    /// # Panics
    /// If there is no such entry.
    pub fn set(&mut self, tick: usize, receiver: usize, modality: usize) {
        self.mark(self.bit(tick, receiver, modality));
    }

    /// The grid of the marked ticks alone. The grants at these ticks depend on nothing else of the grid.
    ///
    /// ```
    /// use pom2dib_dib::ChoiceGrid;
    ///
    /// // Three ticks, one receiver, one modality, which is chosen at the last tick.
    /// let mut grid = ChoiceGrid::new(3, 1, 1);
    /// grid.set(2, 0, 0);
    /// let told = grid.at_ticks(&[true, false, true]);
    /// assert_eq!((told.ticks(), told.get(1, 0, 0)), (2, true));
    /// // The tick without a mark has no choices, so `spread` restores the grid.
    /// assert_eq!(told.spread(&[true, false, true]), grid);
    /// ```
    ///
    /// # Panics
    /// If the number of marks is not the number of ticks.
    pub fn at_ticks(&self, marks: &[bool]) -> ChoiceGrid {
        assert_eq!(marks.len(), self.ticks, "a mark for every tick");
        if !marks.contains(&false) {
            return self.clone();
        }
        let mut part = ChoiceGrid::new(marked(marks).count(), self.receivers, self.modalities);
        marked(marks).enumerate().for_each(|(row, tick)| part.copy_row(row, self, tick));
        part
    }

    /// The grid of all ticks, given that of the marked ticks. The other ticks have no choices.
    ///
    /// # Panics
    /// If the number of marked ticks is not the number of this grid's ticks.
    pub fn spread(self, marks: &[bool]) -> ChoiceGrid {
        assert_eq!(marked(marks).count(), self.ticks, "a marked tick for every row");
        if !marks.contains(&false) {
            return self;
        }
        let mut whole = ChoiceGrid::new(marks.len(), self.receivers, self.modalities);
        marked(marks).enumerate().for_each(|(row, tick)| whole.copy_row(tick, &self, row));
        whole
    }

    /// The (receiver, modality) pairs chosen at a tick of the round, in increasing order.
    pub fn choices_at(&self, tick: usize) -> Vec<(usize, usize)> {
        let entries = (0..self.receivers)
            .flat_map(|receiver| (0..self.modalities).map(move |modality| (receiver, modality)));
        entries.filter(|&(receiver, modality)| self.get(tick, receiver, modality)).collect()
    }

    /// Copies a row of another grid with the same receivers and modalities to a tick without choices.
    fn copy_row(&mut self, tick: usize, from: &ChoiceGrid, row: usize) {
        let width = self.receivers * self.modalities;
        (0..width).filter(|at| from.is_set(row * width + at)).for_each(|at| self.mark(tick * width + at));
    }

    fn is_set(&self, bit: usize) -> bool {
        self.bits[bit / 8] >> (bit % 8) & 1 == 1
    }

    fn mark(&mut self, bit: usize) {
        self.bits[bit / 8] |= 1 << (bit % 8);
    }

    fn bit(&self, tick: usize, receiver: usize, modality: usize) -> usize {
        assert!(
            tick < self.ticks && receiver < self.receivers && modality < self.modalities,
            "no entry ({tick}, {receiver}, {modality}) in {} x {} x {}",
            self.ticks,
            self.receivers,
            self.modalities
        );
        (tick * self.receivers + receiver) * self.modalities + modality
    }
}

/// The marked ticks, in order.
fn marked(marks: &[bool]) -> impl Iterator<Item = usize> {
    marks.iter().enumerate().filter(|(_, marked)| **marked).map(|(tick, _)| tick)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seed() -> Seed {
        Seed::from_number(1)
    }

    fn some_grid() -> impl Strategy<Value = ChoiceGrid> {
        let shape = (1usize..6, 1usize..5, 1usize..5);
        let bits = |(ticks, receivers, modalities)| {
            let bits = proptest::collection::vec(any::<bool>(), ticks * receivers * modalities);
            (Just((ticks, receivers, modalities)), bits)
        };
        shape.prop_flat_map(bits).prop_map(|((ticks, receivers, modalities), bits)| {
            let mut grid = ChoiceGrid::new(ticks, receivers, modalities);
            for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
                let (row, modality) = (index / modalities, index % modalities);
                grid.set(row / receivers, row % receivers, modality);
            }
            grid
        })
    }

    proptest! {
        #[test]
        fn grants_are_requests_and_as_many_as_the_limit_leaves(
            grid in some_grid(), limit in 1usize..8, first_tick in 0u64..1000
        ) {
            let granted = grants(seed(), 1, Phase::Train, first_tick, &grid, limit);
            prop_assert_eq!(granted.ticks().len(), grid.ticks());
            for tick in 0..grid.ticks() {
                let choices = grid.choices_at(tick);
                prop_assert_eq!(granted.at(tick).len(), choices.len().min(limit));
                prop_assert!(granted.at(tick).iter().all(|entry| choices.contains(entry)));
                prop_assert!(granted.at(tick).is_sorted_by(|one, next| one < next));
                let alone = cap(seed(), 1, Phase::Train, first_tick + tick as u64, &choices, limit);
                prop_assert_eq!(granted.at(tick), alone);
            }
        }

        #[test]
        fn anyone_can_recompute_grants_from_the_message(
            grid in some_grid(), limit in 1usize..8, first_tick in 0u64..1000
        ) {
            let granted = grants(seed(), 2, Phase::Evaluate, first_tick, &grid, limit);
            let (ticks, receivers, modalities) = (grid.ticks(), grid.receivers(), grid.modalities());
            let received = ChoiceGrid::from_bytes(ticks, receivers, modalities, &grid.to_bytes()).unwrap();
            prop_assert_eq!(&received, &grid);
            prop_assert_eq!(grants(seed(), 2, Phase::Evaluate, first_tick, &received, limit), granted);
        }

        /// As many modalities stay as the limit allows, each for all its recipients: the grants are among those of an
        /// enumeration of the subsets of modalities.
        #[test]
        fn a_multicast_feature_is_kept_or_dropped_for_all_its_recipients(
            grid in some_grid(), limit in 1usize..5, first_tick in 0u64..1000
        ) {
            let granted = multicast_grants(seed(), 1, Phase::Train, first_tick, &grid, limit);
            prop_assert_eq!(granted.ticks().len(), grid.ticks());
            for tick in 0..grid.ticks() {
                let choices = grid.choices_at(tick);
                let possible = multicast_outcomes(&choices, limit);
                prop_assert!(possible.iter().any(|outcome| outcome == granted.at(tick)));
                let chosen = modalities_of(&choices);
                prop_assert_eq!(modalities_of(granted.at(tick)).len(), chosen.len().min(limit));
                for &m in &chosen {
                    let all = choices.iter().filter(|(_, of)| *of == m).count();
                    prop_assert!([0, all].contains(&granted.recipients(tick, m)));
                }
                let alone =
                    multicast_cap(seed(), 1, Phase::Train, first_tick + tick as u64, &choices, limit);
                prop_assert_eq!(granted.at(tick), alone);
            }
        }

        /// A receiver is told the choices for all receivers at the ticks at which it requested.
        #[test]
        fn the_choices_at_some_ticks_determine_the_grants_at_these_ticks(
            grid in some_grid(), marks in proptest::collection::vec(any::<bool>(), 6), limit in 1usize..8
        ) {
            let marks = &marks[..grid.ticks()];
            let (receivers, modalities) = (grid.receivers(), grid.modalities());
            let told = grid.at_ticks(marks);
            let count = marks.iter().filter(|marked| **marked).count();
            prop_assert_eq!(told.to_bytes().len(), (count * receivers * modalities).div_ceil(8));
            let received = ChoiceGrid::from_bytes(count, receivers, modalities, &told.to_bytes()).unwrap();
            let spread = received.spread(marks);
            let all = grants(seed(), 1, Phase::Train, 40, &grid, limit);
            let recomputed = grants(seed(), 1, Phase::Train, 40, &spread, limit);
            for (tick, &marked) in marks.iter().enumerate() {
                prop_assert_eq!(recomputed.at(tick), if marked { all.at(tick) } else { &[][..] });
            }
            let all = multicast_grants(seed(), 1, Phase::Train, 40, &grid, limit);
            let recomputed = multicast_grants(seed(), 1, Phase::Train, 40, &spread, limit);
            for (tick, &marked) in marks.iter().enumerate() {
                prop_assert_eq!(recomputed.at(tick), if marked { all.at(tick) } else { &[][..] });
                for m in (0..modalities).filter(|_| marked) {
                    prop_assert_eq!(recomputed.recipients(tick, m), all.recipients(tick, m));
                }
            }
            prop_assert_eq!(spread.at_ticks(marks), told);
        }

        #[test]
        fn receivers_share_the_grants_without_rest(grid in some_grid(), limit in 1usize..8) {
            let granted = grants(seed(), 0, Phase::Train, 0, &grid, limit);
            let mut shared = Vec::new();
            for receiver in 0..grid.receivers() {
                let own = granted.for_receiver(receiver);
                prop_assert!(own.is_sorted_by(|one, next| one < next));
                shared.extend(own.into_iter().map(|(tick, modality)| (tick, receiver, modality)));
            }
            shared.sort_unstable();
            let at = |tick| granted.at(tick).iter().map(move |&(t, m)| (tick, t, m));
            prop_assert!(shared.into_iter().eq((0..grid.ticks()).flat_map(at)));
        }
    }

    const FIVE: [(usize, usize); 5] = [(0, 0), (0, 2), (1, 1), (2, 0), (2, 1)];

    /// All grants that the multicast cap may draw from some choices: those of every set of modalities of the right
    /// size. A set is a number whose bit m stands for modality m.
    fn multicast_outcomes(choices: &[(usize, usize)], limit: usize) -> Vec<Vec<(usize, usize)>> {
        let chosen = choices.iter().fold(0_u32, |set, &(_, m)| set | (1_u32 << m));
        let size = chosen.count_ones().min(limit as u32);
        let sets = (0..=chosen).filter(|set| set & !chosen == 0 && set.count_ones() == size);
        let left = |set: u32| choices.iter().copied().filter(|&(_, m)| set >> m & 1 == 1).collect();
        sets.map(left).collect()
    }

    #[test]
    fn the_multicast_cap_keeps_every_subset_of_modalities_equally_often() {
        for (limit, outcomes, quantile) in [(1, 3, 13.82), (2, 3, 13.82), (3, 1, 0.0)] {
            let possible = multicast_outcomes(&FIVE, limit);
            assert_eq!(possible.len(), outcomes);
            let mut counts = vec![0.0; outcomes];
            let ticks = 20_000;
            for tick in 0..ticks {
                let granted = multicast_cap(seed(), 0, Phase::Train, tick, &FIVE, limit);
                let place = possible.iter().position(|outcome| *outcome == granted);
                counts[place.expect("an outcome that the enumeration has")] += 1.0;
            }
            let expected = ticks as f64 / outcomes as f64;
            let chi_squared: f64 =
                counts.iter().map(|count: &f64| (count - expected).powi(2) / expected).sum();
            // The 99.9 % quantile of chi-squared with 2 degrees of freedom.
            assert!(chi_squared <= quantile, "{chi_squared} with a limit of {limit}");
        }
    }

    #[test]
    fn the_cap_keeps_every_subset_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        let ticks = 20_000;
        for tick in 0..ticks {
            *counts.entry(cap(seed(), 0, Phase::Train, tick, &FIVE, 2)).or_insert(0.0) += 1.0;
        }
        assert_eq!(counts.len(), 10);
        let expected = ticks as f64 / 10.0;
        let chi_squared: f64 = counts.values().map(|count: &f64| (count - expected).powi(2) / expected).sum();
        // The 99.9 % quantile of chi-squared with 9 degrees of freedom.
        assert!(chi_squared < 27.88, "{chi_squared}");
    }

    #[test]
    fn the_cap_is_a_function_of_seed_transmitter_phase_and_tick() {
        let run = |seed, transmitter, phase, first: u64| -> Vec<_> {
            (first..first + 32).map(|tick| cap(seed, transmitter, phase, tick, &FIVE, 2)).collect()
        };
        let base = run(seed(), 0, Phase::Train, 0);
        assert_eq!(base, run(seed(), 0, Phase::Train, 0));
        assert_ne!(base, run(seed(), 1, Phase::Train, 0));
        assert_ne!(base, run(seed(), 0, Phase::Evaluate, 0));
        assert_ne!(base, run(seed(), 0, Phase::Train, 32));
        assert_ne!(base, run(Seed::from_number(2), 0, Phase::Train, 0));
    }

    #[test]
    fn bits_are_where_the_wire_says() {
        let mut grid = ChoiceGrid::new(2, 3, 2);
        grid.set(0, 0, 1);
        grid.set(1, 1, 0);
        grid.set(1, 2, 1);
        assert_eq!(grid.to_bytes(), [0b0000_0010, 0b0000_1001]);
        assert_eq!(grid.choices_at(1), [(1, 0), (2, 1)]);
        assert!(grid.get(0, 0, 1) && !grid.get(0, 0, 0));
    }

    #[test]
    fn bad_bytes_are_refused() {
        let read = |bytes: &[u8]| ChoiceGrid::from_bytes(2, 3, 2, bytes);
        for bytes in [&[0u8; 1][..], &[0; 3], &[]] {
            assert!(matches!(read(bytes), Err(GridError::Length { expected: 2, .. })));
        }
        assert_eq!(read(&[0xff, 0x1f]), Err(GridError::StrayBits));
        assert!(read(&[0xff, 0x0f]).is_ok());
        assert!(ChoiceGrid::from_bytes(2, 2, 2, &[0xff]).is_ok());
    }
}
