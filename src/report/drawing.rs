//! A drawing of the network: which entries are granted to which receiver, and how often.

use std::fmt::Write;

use super::{
    html::{colour, dashes, escape},
    recorded::Recorded,
};

const WIDTH: f64 = 820.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 600.0;
const STEP: f64 = 26.0;
/// Gap between two transmitters.
const GAP: f64 = 16.0;
/// Width of the line of an entry that is always granted.
const WIDEST: f64 = 9.0;
/// Shares below this get no line.
const LEAST: f64 = 5e-3;

/// Transmitters with their modalities on the left, receivers on the right; the width of a line shows at how many of the
/// last rounds' ticks the entry was granted.
pub(crate) fn drawing(run: &Recorded) -> String {
    let Some(shares) = run.late_selection() else { return String::new() };
    let (places, height) = modality_places(run);
    let receiver_place = |t: usize| height * (t as f64 + 0.5) / run.scenario.receivers() as f64;
    let mut svg = String::new();
    for (t, receiver) in run.scenario.receiver.iter().enumerate() {
        for (entry, &share) in shares[t].iter().enumerate().filter(|(_, share)| **share >= LEAST) {
            let what = format!(
                "{} to receiver {t} · {}: {:.1} % of ticks",
                run.entry_names()[entry],
                receiver.task,
                100.0 * share
            );
            let (from, to, middle) = (places[entry], receiver_place(t), (LEFT + RIGHT) / 2.0);
            let _ = writeln!(
                svg,
                "<path class=\"link\" stroke=\"{}\"{} stroke-width=\"{:.2}\" d=\"M{LEFT} {from:.1}C{middle} {from:.1} {middle} {to:.1} {RIGHT} \
                 {to:.1}\"><title>{}</title></path>",
                colour(t),
                dashes(t),
                WIDEST * share,
                escape(&what)
            );
        }
    }
    let mut entry = 0;
    for (k, transmitter) in run.scenario.transmitter.iter().enumerate() {
        let count = transmitter.modalities.len();
        let (first, last) = (places[entry], places[entry + count - 1]);
        let _ = write!(
            svg,
            "<rect class=\"box\" x=\"10\" y=\"{:.1}\" width=\"{}\" height=\"{:.1}\" rx=\"5\"/>\
             <text class=\"name\" x=\"20\" y=\"{:.1}\">transmitter {k}</text>",
            first - STEP / 2.0,
            LEFT - 10.0,
            last - first + STEP,
            (first + last) / 2.0 + 4.0
        );
        for modality in &transmitter.modalities {
            let (x, y) = (LEFT - 8.0, places[entry] + 4.0);
            let _ =
                writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", escape(modality));
            entry += 1;
        }
    }
    for (t, receiver) in run.scenario.receiver.iter().enumerate() {
        let y = receiver_place(t);
        let _ = writeln!(
            svg,
            "<rect class=\"box\" x=\"{RIGHT}\" y=\"{:.1}\" width=\"210\" height=\"{STEP}\" rx=\"5\"/>\
             <text class=\"name\" x=\"{}\" y=\"{:.1}\">receiver {t} · {}</text>",
            y - STEP / 2.0,
            RIGHT + 12.0,
            y + 4.0,
            escape(&receiver.task)
        );
    }
    format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"the network\">{svg}</svg><figcaption>line width: how often an entry was granted in the last {} rounds</figcaption></figure>\n",
        run.late_rounds()
    )
}

/// The middle of every modality, in (k, m) order, and the total height.
fn modality_places(run: &Recorded) -> (Vec<f64>, f64) {
    let mut places = Vec::new();
    let mut y = GAP / 2.0;
    for transmitter in &run.scenario.transmitter {
        for _ in &transmitter.modalities {
            places.push(y + STEP / 2.0);
            y += STEP;
        }
        y += GAP;
    }
    // Receivers need space too.
    (places, y.max(run.scenario.receivers() as f64 * (STEP + 8.0)))
}
