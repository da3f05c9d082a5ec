//! The information plane: rate and relevance during training.

use std::{fmt::Write, ops::Range};

use super::{
    chart::{binned, tick_label},
    html::{colour, dashes, escape, number},
    recorded::Recorded,
};
use crate::draw::picture::ticks;

pub(super) const WIDTH: f64 = 520.0;
pub(super) const HEIGHT: f64 = 320.0;
pub(super) const LEFT: f64 = 62.0;
pub(super) const BOTTOM: f64 = 48.0;
pub(super) const EDGE: f64 = 16.0;

/// The path of each run over the plane, from ring to dot: sum-rate to the right, N-CE upwards, a point for rounds that
/// are merged.
pub(crate) fn plane(runs: &[Recorded]) -> String {
    let ways: Vec<(usize, Vec<(f64, f64)>)> = runs.iter().map(way).enumerate().collect();
    let all = || ways.iter().flat_map(|(_, way)| way);
    let (Some(rates), Some(gains)) = (range(all().map(|at| at.0)), range(all().map(|at| at.1))) else {
        return String::new();
    };
    let x = |rate: f64| LEFT + (rate - rates.start) / (rates.end - rates.start) * (WIDTH - LEFT - EDGE);
    let y = |gain: f64| {
        let share = (gain - gains.start) / (gains.end - gains.start);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - EDGE)
    };
    let mut svg = axes(&rates, &gains, &x, &y, "sum-rate");
    for (run, way) in ways.iter().filter(|(_, way)| !way.is_empty()) {
        let line: Vec<String> = way.iter().map(|at| format!("{:.1} {:.1}", x(at.0), y(at.1))).collect();
        let colour = colour(*run);
        let _ = writeln!(
            svg,
            "<path class=\"way\" stroke=\"{colour}\"{} d=\"M{}\"/>",
            dashes(*run),
            line.join("L")
        );
        let ends = [("none", way[0], "first"), (colour.as_str(), way[way.len() - 1], "last")];
        for (fill, at, which) in ends {
            let _ = writeln!(
                svg,
                "<circle class=\"end\" stroke=\"{colour}\" fill=\"{fill}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}: {which} \
                 rounds, rate {}, N-CE {}</title></circle>",
                x(at.0),
                y(at.1),
                escape(&runs[*run].folder),
                number(at.0),
                number(at.1)
            );
        }
    }
    format!(
        "<figure><figcaption>information plane: N-CE over sum-rate, nats; from the ring to the dot</figcaption><svg \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"information \
         plane\">{svg}</svg></figure>\n"
    )
}

/// Rate and N-CE of all rounds that can be drawn.
fn way(run: &Recorded) -> Vec<(f64, f64)> {
    let rates: Vec<f64> = run.rounds.iter().map(|round| round.sum_rate).collect();
    let gains: Vec<f64> = run.rounds.iter().map(|round| round.n_ce).collect();
    let (rates, gains) = (binned(&rates), binned(&gains));
    rates.iter().zip(&gains).map(|(rate, gain)| (rate.mean, gain.mean)).collect()
}

/// A range for all values, with a margin; none without values.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
        Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    let (low, high) = ends?;
    let room = if high > low { 0.05 * (high - low) } else { high.abs().max(1.0) * 0.1 };
    Some(low - room..high + room)
}

/// The axes of a plane, with the title of the horizontal one.
pub(super) fn axes(
    rates: &Range<f64>,
    gains: &Range<f64>,
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(f64) -> f64,
    title: &str,
) -> String {
    let mut svg = String::new();
    for gain in ticks(gains, 5) {
        let at = y(gain);
        let _ = write!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {at:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - EDGE,
            LEFT - 6.0,
            at + 4.0,
            tick_label(gain)
        );
    }
    for rate in ticks(rates, 5) {
        let (at, below) = (x(rate), HEIGHT - BOTTOM + 16.0);
        let label = tick_label(rate);
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>");
    }
    let (right, below) = (WIDTH - EDGE, HEIGHT - 8.0);
    let _ = writeln!(svg, "<text x=\"{right}\" y=\"{below}\" text-anchor=\"end\">{title}</text>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_value_has_a_range_too_and_nothing_has_none() {
        assert_eq!(range([2.0].into_iter()), Some(1.8..2.2));
        assert_eq!(range([0.0, 10.0].into_iter()), Some(-0.5..10.5));
        assert_eq!(range(std::iter::empty()), None);
    }
}
