//! The grants over the rounds of a run.

use std::fmt::Write;

use super::{chart::tick_label, html::escape, recorded::Recorded};
use crate::draw::picture::ticks;

/// Columns, each of some rounds.
const MOST_COLUMNS: usize = 160;
/// Shades of the granted share.
const LEVELS: usize = 10;
const LEFT: f64 = 190.0;
const WIDTH: f64 = 960.0;
const ROW: f64 = 15.0;
/// Gap between the rows of two receivers.
const GAP: f64 = 24.0;

/// A row for each entry, receiver by receiver; a column for some rounds; the darker, the more of their ticks granted
/// it.
pub(crate) fn heat_map(run: &Recorded) -> String {
    let rounds = run.granted.len();
    if rounds == 0 {
        return String::new();
    }
    let names = run.entry_names();
    let columns = columns(&run.granted);
    let width = (WIDTH - LEFT) / columns.len() as f64;
    let mut svg = String::new();
    let mut shades = vec![String::new(); LEVELS + 1];
    let mut top = 0.0;
    for (t, receiver) in run.scenario.receiver.iter().enumerate() {
        let _ = write!(
            svg,
            "<text class=\"name\" x=\"0\" y=\"{}\">receiver {t} · {}</text>",
            top + 15.0,
            escape(&receiver.task)
        );
        top += GAP;
        for (entry, name) in names.iter().enumerate() {
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                top + 11.5,
                escape(name)
            );
            let levels: Vec<usize> =
                columns.iter().map(|column| (column[t][entry] * LEVELS as f64).round() as usize).collect();
            draw_row(&mut shades, &levels, top, width);
            let shares: Vec<f64> = columns.iter().map(|column| column[t][entry]).collect();
            svg += &words(&shares, &levels, rounds, top, width);
            top += ROW;
        }
        let _ = writeln!(svg, "<path class=\"axis\" d=\"M{LEFT} {top:.1}H{WIDTH}\"/>");
    }
    for (level, path) in shades.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let opacity = level as f64 / LEVELS as f64;
        let _ = writeln!(svg, "<path class=\"heat\" fill-opacity=\"{opacity}\" d=\"{path}\"/>");
    }
    for round in ticks(&(0.0..rounds as f64), 8) {
        let x = LEFT + round / rounds as f64 * (WIDTH - LEFT);
        let anchor = if round as usize == rounds { "end" } else { "middle" };
        let _ = write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            top + 16.0,
            tick_label(round)
        );
    }
    let height = top + 22.0;
    format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"granted share of each entry over rounds\">{svg}</svg>\
         <figcaption>granted share of the ticks: {}; to the right, rounds</figcaption></figure>\n",
        legend()
    )
}

/// The tooltip of a row: for neighbours of one shade their rounds and mean share.
fn words(shares: &[f64], levels: &[usize], rounds: usize, top: f64, width: f64) -> String {
    let size = rounds.div_ceil(MOST_COLUMNS);
    let (mut words, mut start) = (String::new(), 0);
    for run in levels.chunk_by(|one, other| one == other) {
        let end = start + run.len();
        let share = shares[start..end].iter().sum::<f64>() / run.len() as f64;
        let (first, last) = (start * size, (end * size).min(rounds) - 1);
        let of = if first == last { format!("round {first}") } else { format!("rounds {first} to {last}") };
        let (x, length) = (LEFT + start as f64 * width, run.len() as f64 * width);
        let _ = write!(
            words,
            "<rect class=\"share\" x=\"{x:.2}\" y=\"{top:.1}\" width=\"{length:.2}\" height=\"{ROW}\"><title>{of}: {:.0} \
             %</title></rect>",
            100.0 * share
        );
        start = end;
    }
    words
}

/// The legend of the shades.
fn legend() -> String {
    let shade = |percent: &u32| {
        format!(
            "<span class=\"mark\" style=\"background:color-mix(in srgb, var(--heat) {percent}%, transparent)\"></span>{percent} % "
        )
    };
    [0, 25, 50, 75, 100].iter().map(shade).collect::<String>().trim_end().to_owned()
}

/// Means over as many rounds as needed to fit, by receiver and entry.
fn columns(granted: &[Vec<Vec<f64>>]) -> Vec<Vec<Vec<f64>>> {
    let size = granted.len().div_ceil(MOST_COLUMNS);
    let mean = |rounds: &[Vec<Vec<f64>>]| {
        let mut mean = rounds[0].clone();
        for (t, entries) in mean.iter_mut().enumerate() {
            for (entry, share) in entries.iter_mut().enumerate() {
                *share = rounds.iter().map(|round| round[t][entry]).sum::<f64>() / rounds.len() as f64;
            }
        }
        mean
    };
    granted.chunks(size).map(mean).collect()
}

/// Adds a row's rectangles to the path of their shade; neighbours of one shade are merged.
fn draw_row(shades: &mut [String], levels: &[usize], top: f64, width: f64) {
    let mut start = 0;
    for run in levels.chunk_by(|one, other| one == other) {
        // A share is at most 1, but a file may contain any number.
        let level = run[0].min(LEVELS);
        if level > 0 {
            let (x, length) = (LEFT + start as f64 * width, run.len() as f64 * width);
            let height = ROW - 2.0;
            let _ = write!(shades[level], "M{x:.2} {:.1}h{length:.2}v{height}h-{length:.2}z", top + 1.0);
        }
        start += run.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_shade_are_drawn_as_one() {
        let mut shades = vec![String::new(); LEVELS + 1];
        draw_row(&mut shades, &[0, 10, 10, 3, 10], 0.0, 2.0);
        assert_eq!(shades[10].matches('M').count(), 2);
        assert_eq!(shades[3].matches('M').count(), 1);
        assert!(shades[0].is_empty() && shades[10].contains("h4.00"), "{shades:?}");
    }

    #[test]
    fn what_one_points_at_is_said_with_its_rounds() {
        let words = words(&[0.0, 0.96, 1.0, 0.3], &[0, 10, 10, 3], 4, 0.0, 2.0);
        let titles: Vec<&str> =
            words.split("<title>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
        assert_eq!(titles, ["round 0: 0 %", "rounds 1 to 2: 98 %", "round 3: 30 %"]);
        let many = super::words(&[0.5, 0.5], &[5, 5], 2 * MOST_COLUMNS - 1, 0.0, 2.0);
        assert!(many.contains("<title>rounds 0 to 3: 50 %"), "{many}");
    }

    #[test]
    fn a_column_is_the_mean_of_its_rounds() {
        let granted: Vec<Vec<Vec<f64>>> = (0..320).map(|round| vec![vec![f64::from(round % 2)]]).collect();
        let columns = columns(&granted);
        assert_eq!(columns.len(), MOST_COLUMNS);
        assert!(columns.iter().all(|column| column[0][0] == 0.5));
    }
}
