//! Pareto fronts: the rows of a sweep that no other row beats in both N-CE and what was spent for it.

use scenario::Channel;

/// What is spent for a score: a figure of runs, of which less is better.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) figure: &'static str,
    /// The column of the front in tables.
    pub(crate) column: &'static str,
    /// The title of its axis.
    pub(crate) title: &'static str,
    /// Whether only rows with the same channels are compared: a bit goes further where there is less noise.
    over_same_channels: bool,
}

/// All that fronts are made of; the first is that of every sweep.
pub(crate) static SPENT: [Spent; 3] = [
    Spent { figure: "sum_rate", column: "pareto", title: "sum-rate, nats", over_same_channels: false },
    Spent {
        figure: "coded_bits",
        column: "pareto.coded_bits",
        title: "coded bits of a test sample",
        over_same_channels: true,
    },
    Spent { figure: "snr_db", column: "pareto.snr_db", title: "SNR, dB", over_same_channels: false },
];

/// A row's place in a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) n_ce: f64,
    pub(crate) spent: f64,
}

/// A front with all rows, of which those without a place are not on it.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) of: &'static Spent,
    pub(crate) places: Vec<Option<Place>>,
    pub(crate) is_on: Vec<bool>,
}

impl Front {
    /// The front of rows with their places and channels.
    pub(crate) fn new(of: &'static Spent, rows: &[(Option<Place>, &[Channel])]) -> Self {
        let beats = |(other, there): &(Option<Place>, &[Channel]), here: &[Channel], place: Place| {
            (!of.over_same_channels || *there == here) && other.is_some_and(|other| other.beats(place))
        };
        let is_on = |(place, here): &(Option<Place>, &[Channel])| {
            place.is_some_and(|place| !rows.iter().any(|row| beats(row, here, place)))
        };
        let (places, is_on) = rows.iter().map(|row| (row.0, is_on(row))).unzip();
        Front { of, places, is_on }
    }
}

impl Place {
    /// Whether it has as high a score for as little, and one of both is better.
    fn beats(self, other: Place) -> bool {
        let (gain, saving) = (self.n_ce - other.n_ce, other.spent - self.spent);
        gain >= 0.0 && saving >= 0.0 && (gain > 0.0 || saving > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use scenario::{ChannelKind, SnrDb};

    use super::*;

    fn at(n_ce: f64, spent: f64) -> Option<Place> {
        Some(Place { n_ce, spent })
    }

    #[test]
    fn the_front_has_those_that_nobody_beats_in_both() {
        let places = [at(-1.0, 10.0), at(-2.0, 5.0), at(-2.0, 6.0), None, at(-1.0, 10.0)];
        let ideal: &[Channel] = &[];
        let front = Front::new(&SPENT[0], &places.map(|place| (place, ideal)));
        assert_eq!(front.is_on, [true, true, false, false, true]);
        assert_eq!(front.places, places);
    }

    #[test]
    fn bits_are_compared_over_the_same_channels_alone() {
        let air = |snr_db| {
            [Channel { kind: ChannelKind::Awgn, snr_db: Some(SnrDb::Fixed(snr_db)), ..Channel::default() }]
        };
        let (quiet, noisy) = (air(20.0), air(0.0));
        // Fewer bits at a higher score, but with less noise; and fewer of those with the same.
        let (quiet, noisy) = (quiet.as_slice(), noisy.as_slice());
        let rows = [(at(-1.0, 10.0), quiet), (at(-2.0, 20.0), noisy), (at(-2.5, 30.0), noisy)];
        assert_eq!(Front::new(&SPENT[1], &rows).is_on, [true, true, false]);
        assert_eq!(Front::new(&SPENT[0], &rows).is_on, [true, false, false]);
    }
}
