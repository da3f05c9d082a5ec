//! How strong links were in the evaluation, and which of them were used.

use std::fmt::Write;

use coordinator::Strengths;

use super::{html::mark, recorded::Recorded};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 240.0;
/// Room for the axes: left, bottom.
const MARGINS: (f64, f64) = (40.0, 34.0);

/// Links by their strength, and of each step those over which anything was granted; nothing where no link changes.
pub(crate) fn strengths(run: &Recorded) -> String {
    let Some(counts) = run.summary.as_ref().and_then(|summary| summary.strengths.as_ref()) else {
        return String::new();
    };
    let clear = match counts.strongest_requested {
        Some(share) => format!(
            "Of {} groups of test samples at which one link was stronger than the receiver's others by more than 1 dB, that one was \
             requested at {:.1} %. ",
            counts.clear,
            100.0 * share
        ),
        None => String::new(),
    };
    format!(
        "<p class=\"dim\">{clear}Links by |h|² Es/N0: {}all {}granted.</p>\n{}",
        mark(5),
        mark(0),
        histogram(counts)
    )
}

/// The steps that have any link, the least first: from which to which.
fn occupied(counts: &Strengths) -> std::ops::Range<usize> {
    let has = |count: &u64| *count > 0;
    let first = counts.links.iter().position(has).unwrap_or(0);
    first..counts.links.iter().rposition(has).map_or(first, |last| last + 1)
}

fn histogram(counts: &Strengths) -> String {
    let steps = occupied(counts);
    let most = counts.links.iter().max().copied().unwrap_or(0).max(1) as f64;
    let (left, bottom) = MARGINS;
    let wide = (WIDTH - left) / steps.len().max(1) as f64;
    let high = |count: u64| (HEIGHT - bottom - 8.0) * count as f64 / most;
    let ground = HEIGHT - bottom;
    let mut svg = format!("<path class=\"axis\" d=\"M{left} {ground}H{WIDTH}\"/>");
    for (place, step) in steps.clone().enumerate() {
        let x = left + place as f64 * wide;
        let low = counts.first_db + step as f64 * counts.step_db;
        let (links, granted) = (counts.links[step], counts.granted.get(step).copied().unwrap_or(0));
        for (count, colour) in [(links, "--c5"), (granted, "--c0")] {
            let _ = write!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"var({colour})\"/>",
                x + 1.0,
                ground - high(count),
                (wide - 2.0).max(1.0),
                high(count)
            );
        }
        let _ = write!(
            svg,
            "<rect class=\"point\" x=\"{x:.1}\" y=\"0\" width=\"{wide:.1}\" height=\"{ground:.1}\"><title>{low:.0} to {:.0} dB: {granted} of \
             {links} links granted</title></rect>",
            low + counts.step_db
        );
        if step.is_multiple_of(5) {
            let _ = write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{low:.0}</text>",
                ground + 16.0
            );
        }
    }
    let _ = write!(svg, "<text x=\"{WIDTH}\" y=\"{:.1}\" text-anchor=\"end\">dB</text>", HEIGHT - 4.0);
    format!(
        "<figure><figcaption>links by strength</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
         aria-label=\"links by strength\">{svg}</svg></figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_count_and_empty_ends_are_left_out() {
        let mut links = vec![0; 40];
        let mut granted = links.clone();
        (links[19], links[20], granted[20]) = (10, 20, 5);
        let counts = Strengths {
            clear: 9,
            strongest_requested: Some(0.5),
            first_db: -40.0,
            step_db: 2.0,
            links,
            granted,
        };
        assert_eq!(occupied(&counts), 19..21);
        let drawn = histogram(&counts);
        let full = HEIGHT - MARGINS.1 - 8.0;
        for height in [full, full / 2.0, full / 4.0, 0.0] {
            assert!(drawn.contains(&format!("height=\"{height:.1}\" fill")), "{height}: {drawn}");
        }
        assert!(drawn.contains("0 to 2 dB: 5 of 20 links granted"));
    }
}
