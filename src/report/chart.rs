//! Curves over rounds.

use std::{fmt::Write, ops::Range};

use super::html::{colour, escape, number};
use crate::picture::ticks;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
/// Room for the axes: left, bottom, top, right.
const MARGINS: (f64, f64, f64, f64) = (62.0, 34.0, 12.0, 24.0);
/// More points than this nobody can tell apart: rounds are put together.
const MOST_POINTS: usize = 300;

/// A quantity over the rounds of a run.
pub(crate) struct Curve {
    /// The run's number among those on the page, or the receiver's: its colour.
    pub(crate) run: usize,
    /// What it is called where one points at it.
    pub(crate) name: String,
    /// A value a round.
    pub(crate) values: Vec<f64>,
}

/// Some rounds together.
pub(super) struct Bin {
    /// The middle of them.
    round: f64,
    pub(super) mean: f64,
    low: f64,
    high: f64,
}

/// Where values are drawn.
struct Frame {
    rounds: f64,
    values: Range<f64>,
}

/// A chart of all curves. With one, a band shows how far rounds that were put together lie apart.
pub(crate) fn chart(title: &str, curves: &[Curve]) -> String {
    let bins: Vec<(&Curve, Vec<Bin>)> = curves
        .iter()
        .filter(|curve| !curve.values.is_empty())
        .map(|curve| (curve, binned(&curve.values)))
        .collect();
    let all = || bins.iter().flat_map(|(_, bins)| bins);
    let low = all().map(|bin| bin.low).fold(f64::INFINITY, f64::min);
    let high = all().map(|bin| bin.high).fold(f64::NEG_INFINITY, f64::max);
    let rounds = curves.iter().map(|curve| curve.values.len()).max().unwrap_or(0);
    if bins.is_empty() {
        return String::new();
    }
    // A constant has a place too.
    let room = if high > low { 0.05 * (high - low) } else { high.abs().max(1.0) * 0.1 };
    let frame = Frame { rounds: rounds as f64, values: low - room..high + room };
    let mut svg = frame.axes();
    for (Curve { run, name, .. }, bins) in &bins {
        if curves.len() == 1 {
            let _ =
                write!(svg, "<path class=\"band\" fill=\"{}\" d=\"{}\"/>", colour(*run), frame.band(bins));
        }
        let _ =
            writeln!(svg, "<path class=\"curve\" stroke=\"{}\" d=\"{}\"/>", colour(*run), frame.line(bins));
        svg += &frame.points(name, bins);
    }
    format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"{title}\">{svg}</svg></figure>\n",
        title = escape(title)
    )
}

/// How many of so many rounds stand in one point.
pub(crate) fn together(rounds: usize) -> usize {
    rounds.div_ceil(MOST_POINTS).max(1)
}

/// Values of rounds, put together so that they can be told apart.
pub(super) fn binned(values: &[f64]) -> Vec<Bin> {
    let size = together(values.len());
    let bin = |(number, values): (usize, &[f64])| Bin {
        round: (number * size) as f64 + values.len() as f64 / 2.0,
        mean: values.iter().sum::<f64>() / values.len() as f64,
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    values.chunks(size).enumerate().map(bin).collect()
}

impl Frame {
    fn x(&self, round: f64) -> f64 {
        let (left, _, _, right) = MARGINS;
        left + round / self.rounds * (WIDTH - left - right)
    }

    fn y(&self, value: f64) -> f64 {
        let (_, bottom, top, _) = MARGINS;
        let share = (value - self.values.start) / (self.values.end - self.values.start);
        HEIGHT - bottom - share * (HEIGHT - bottom - top)
    }

    fn axes(&self) -> String {
        let (left, bottom, _, right) = MARGINS;
        let mut svg = String::new();
        for value in ticks(&self.values, 5) {
            let y = self.y(value);
            let _ = write!(
                svg,
                "<path class=\"axis\" d=\"M{left} {y:.1}H{end}\"/><text x=\"{at}\" y=\"{text:.1}\" text-anchor=\"end\">{value}</text>",
                end = WIDTH - right,
                at = left - 6.0,
                text = y + 4.0,
                value = tick_label(value),
            );
        }
        for round in ticks(&(0.0..self.rounds), 5) {
            let x = self.x(round);
            let y = HEIGHT - bottom + 16.0;
            let _ = write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                tick_label(round)
            );
        }
        let (x, y) = (WIDTH - right, HEIGHT - 4.0);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">round</text>");
        svg
    }

    fn line(&self, bins: &[Bin]) -> String {
        path(bins.iter().map(|bin| (self.x(bin.round), self.y(bin.mean))))
    }

    /// What is said where one points at a curve: round and value.
    fn points(&self, name: &str, bins: &[Bin]) -> String {
        let point = |bin: &Bin| {
            format!(
                "<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}: round {:.0}: {}</title></circle>",
                self.x(bin.round),
                self.y(bin.mean),
                escape(name),
                bin.round.floor(),
                number(bin.mean)
            )
        };
        bins.iter().map(point).collect()
    }

    fn band(&self, bins: &[Bin]) -> String {
        let above = bins.iter().map(|bin| (self.x(bin.round), self.y(bin.high)));
        let below = bins.iter().rev().map(|bin| (self.x(bin.round), self.y(bin.low)));
        path(above.chain(below)) + "Z"
    }
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (number, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
    }
    path
}

/// A tick is a round number: what its arithmetic leaves behind is none of it.
pub(crate) fn tick_label(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
        return number(value);
    }
    ((value * 1e6).round() / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_written_without_what_arithmetic_leaves_behind() {
        let labels = |range| ticks(&range, 5).into_iter().map(tick_label).collect::<Vec<_>>();
        assert_eq!(labels(-0.33..0.02), ["-0.3", "-0.2", "-0.1", "0"]);
    }

    #[test]
    fn rounds_that_are_put_together_keep_mean_and_extremes() {
        let bins = binned(&(0..600).map(f64::from).collect::<Vec<_>>());
        assert_eq!(bins.len(), MOST_POINTS);
        let last = &bins[MOST_POINTS - 1];
        assert_eq!((last.round, last.mean, last.low, last.high), (599.0, 598.5, 598.0, 599.0));
    }

    #[test]
    fn a_constant_is_drawn_and_nothing_is_not() {
        let constant = chart("rate", &[Curve { run: 0, name: "a".into(), values: vec![2.0; 5] }]);
        assert!(constant.contains("<title>a: round 0: 2.000</title>"), "{constant}");
        assert!(constant.contains("class=\"curve\"") && !constant.contains("NaN"), "{constant}");
        assert_eq!(chart("rate", &[Curve { run: 0, name: "a".into(), values: Vec::new() }]), "");
    }
}
