//! Curves over rounds.

use std::{fmt::Write, ops::Range};

use super::html::{colour, dashes, escape, number};
use crate::draw::picture::ticks;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
/// Margins for the axes: left, bottom, top, right.
const MARGINS: (f64, f64, f64, f64) = (62.0, 34.0, 12.0, 24.0);
/// Most points in a curve: more could not be distinguished, so rounds are merged.
const MOST_POINTS: usize = 300;

/// A quantity over the rounds of a run.
pub(crate) struct Curve {
    /// The index of the run on the page, or of the receiver: its colour.
    pub(crate) run: usize,
    /// Its name in tooltips.
    pub(crate) name: String,
    /// A value for each round.
    pub(crate) values: Vec<f64>,
    /// The rounds of the values, if not all have one.
    pub(crate) rounds: Option<Vec<u64>>,
}

impl Curve {
    /// A curve with a value for each round.
    pub(crate) fn of_each_round(run: usize, name: impl Into<String>, values: Vec<f64>) -> Self {
        Curve { run, name: name.into(), values, rounds: None }
    }

    /// The number of rounds up to its end.
    fn length(&self) -> usize {
        match &self.rounds {
            Some(rounds) => rounds.last().map_or(0, |round| *round as usize + 1),
            None => self.values.len(),
        }
    }

    /// Its points, where consecutive rounds are merged if there are too many.
    fn bins(&self) -> Vec<Bin> {
        let Some(rounds) = &self.rounds else { return binned(&self.values) };
        let bin = |(&round, &value): (&u64, &f64)| Bin {
            round: round as f64,
            mean: value,
            low: value,
            high: value,
        };
        rounds.iter().zip(&self.values).map(bin).collect()
    }
}

/// Some merged rounds.
pub(super) struct Bin {
    /// Their middle.
    round: f64,
    pub(super) mean: f64,
    low: f64,
    high: f64,
}

/// Which axes are logarithmic.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Logarithmic {
    /// The axis of the rounds.
    pub(crate) rounds: bool,
    /// The axis of the values, where all are above 0.
    pub(crate) values: bool,
}

/// The area in which values are drawn.
struct Frame {
    rounds: f64,
    values: Range<f64>,
    logarithmic: Logarithmic,
}

/// A chart of all curves. For a single curve, a band shows the spread of merged rounds.
pub(crate) fn chart(title: &str, curves: &[Curve], logarithmic: Logarithmic) -> String {
    let bins: Vec<(&Curve, Vec<Bin>)> =
        curves.iter().filter(|curve| !curve.values.is_empty()).map(|curve| (curve, curve.bins())).collect();
    let all = || bins.iter().flat_map(|(_, bins)| bins);
    let low = all().map(|bin| bin.low).fold(f64::INFINITY, f64::min);
    let high = all().map(|bin| bin.high).fold(f64::NEG_INFINITY, f64::max);
    let rounds = curves.iter().map(Curve::length).max().unwrap_or(0);
    if bins.is_empty() {
        return String::new();
    }
    let logarithmic = Logarithmic { values: logarithmic.values && low > 0.0, ..logarithmic };
    // A constant curve needs a range too.
    let room = if high > low { 0.05 * (high - low) } else { high.abs().max(1.0) * 0.1 };
    let values = if logarithmic.values { low / 1.1..high * 1.1 } else { low - room..high + room };
    let frame = Frame { rounds: rounds as f64, values, logarithmic };
    let mut svg = frame.axes();
    for (Curve { run, name, rounds, .. }, bins) in &bins {
        if curves.len() == 1 {
            let _ =
                write!(svg, "<path class=\"band\" fill=\"{}\" d=\"{}\"/>", colour(*run), frame.band(bins));
        }
        let _ = writeln!(
            svg,
            "<path class=\"curve\" stroke=\"{}\"{} d=\"{}\"/>",
            colour(*run),
            dashes(*run),
            frame.line(bins)
        );
        if rounds.is_some() {
            svg += &frame.dots(&colour(*run), bins);
        }
        svg += &frame.points(name, bins);
    }
    format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"{title}\">{svg}</svg></figure>\n",
        title = escape(title)
    )
}

/// How many rounds are merged in one point.
pub(crate) fn together(rounds: usize) -> usize {
    rounds.div_ceil(MOST_POINTS).max(1)
}

/// Values of rounds, merged if there are too many.
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
        let share = match self.logarithmic.rounds {
            // Round 0 has a position too.
            true => round.ln_1p() / self.rounds.ln_1p(),
            false => round / self.rounds,
        };
        left + share * (WIDTH - left - right)
    }

    fn y(&self, value: f64) -> f64 {
        let (_, bottom, top, _) = MARGINS;
        let place = |value: f64| if self.logarithmic.values { value.ln() } else { value };
        let [low, high] = [self.values.start, self.values.end].map(place);
        let share = (place(value) - low) / (high - low);
        HEIGHT - bottom - share * (HEIGHT - bottom - top)
    }

    fn axes(&self) -> String {
        let (left, bottom, _, right) = MARGINS;
        let mut svg = String::new();
        let logarithmic = self.logarithmic;
        let of = |range: &Range<f64>, is_log| if is_log { log_ticks(range) } else { ticks(range, 5) };
        for value in of(&self.values, logarithmic.values) {
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
        let from = if logarithmic.rounds { 1.0 } else { 0.0 };
        for round in of(&(from..self.rounds), logarithmic.rounds) {
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

    /// Tooltips of a curve: round and value.
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

    /// Dots, if there are few enough points.
    fn dots(&self, colour: &str, bins: &[Bin]) -> String {
        let dot = |bin: &Bin| {
            let (x, y) = (self.x(bin.round), self.y(bin.mean));
            format!("<circle class=\"dot\" fill=\"{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>")
        };
        bins.iter().map(dot).collect()
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

/// Powers of ten in a range above 0; if those are few, also twice and five times each.
fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    let (low, high) = (range.start.log10().floor() as i32, range.end.log10().ceil() as i32);
    let all = |steps: &[f64]| -> Vec<f64> {
        let ticks = (low..=high).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        ticks.filter(|tick| (range.start..=range.end).contains(tick)).collect()
    };
    let fine = all(&[1.0, 2.0, 5.0]);
    if fine.len() > 8 { all(&[1.0]) } else { fine }
}

/// The label of a tick: rounding errors of its computation are dropped.
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
    fn tick_labels_have_no_rounding_errors() {
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
    fn logarithmic_axes_give_every_power_of_ten_the_same_room() {
        let values: Vec<f64> = (0..100).map(|round| 10f64.powf(f64::from(round) / 25.0)).collect();
        let logarithmic = Logarithmic { rounds: false, values: true };
        let frame = Frame { rounds: 100.0, values: 1.0..1e4, logarithmic };
        let steps: Vec<f64> =
            (0..4).map(|power| frame.y(10f64.powi(power)) - frame.y(10f64.powi(power + 1))).collect();
        assert!(steps.iter().all(|step| (step - steps[0]).abs() < 1e-9 && *step > 0.0), "{steps:?}");
        assert_eq!(log_ticks(&(0.5..3.0)), [0.5, 1.0, 2.0]);
        assert_eq!(log_ticks(&(0.9..1.1e6)), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
        let drawn = |logarithmic| chart("rate", &[Curve::of_each_round(0, "a", values.clone())], logarithmic);
        assert_ne!(drawn(logarithmic), drawn(Logarithmic::default()));
        // Values that are not above 0 have no logarithm.
        let negative =
            |logarithmic| chart("N-CE", &[Curve::of_each_round(0, "a", vec![-1.0, 2.0])], logarithmic);
        assert_eq!(negative(logarithmic), negative(Logarithmic::default()));
        let early = Frame {
            rounds: 1000.0,
            values: 0.0..1.0,
            logarithmic: Logarithmic { rounds: true, values: false },
        };
        assert!(early.x(0.5) > MARGINS.0 && early.x(1000.0) == WIDTH - MARGINS.3);
        assert!(!drawn(Logarithmic { rounds: true, values: true }).contains("NaN"));
    }

    #[test]
    fn a_constant_is_drawn_and_nothing_is_not() {
        let constant = chart("rate", &[Curve::of_each_round(0, "a", vec![2.0; 5])], Logarithmic::default());
        assert!(constant.contains("<title>a: round 0: 2.000</title>"), "{constant}");
        assert!(constant.contains("class=\"curve\"") && !constant.contains("NaN"), "{constant}");
        assert_eq!(chart("rate", &[Curve::of_each_round(0, "a", Vec::new())], Logarithmic::default()), "");
    }
}
