//! Assembles the page.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    configuration::{configuration, differences},
    entries::{confusions, rates, selection},
    html::{escape, mark},
    late::late_figures,
    over_snr::over_snr,
    pictures::{picture, state, together},
    recorded::Recorded,
    scores::{scores, wire},
    strengths::strengths,
};

/// Which axes are logarithmic at first.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Logarithmic {
    /// The axis of the rounds.
    pub(crate) rounds: bool,
    /// The axis of the values, where all are above 0.
    pub(crate) values: bool,
}

/// One page of one run, or of several side by side.
///
/// # Errors
/// The malformed line of a run's log.
pub(crate) fn page(runs: &[Recorded], axes: Logarithmic) -> anyhow::Result<String> {
    let figures = |_: usize, run: &Recorded| match confusions(run) {
        figures if figures.is_empty() => figures,
        figures => format!("<div class=\"beside\">{figures}</div>\n"),
    };
    let several = |content: String| if runs.len() > 1 { content } else { String::new() };
    let body = [
        runs.iter().map(unfinished).collect(),
        unequal(runs),
        section("Results", &scores(runs)),
        section("Training", &training(runs)),
        section("Training by receiver", &several(each(runs, receivers))),
        section("On the wire", &wire(runs)),
        section("Selection", &each(runs, selection)),
        section("Over the SNR of the channels", &each(runs, over_snr)),
        section("Strength of links", &each(runs, strengths)),
        section("Rate of each entry on the test set", &each(runs, |_, run| rates(run))),
        section("Confusion on the test set", &each(runs, figures)),
        section("What differs in their configuration", &several(differences(runs))),
        section("Configuration", &runs.iter().map(configuration).collect::<String>()),
    ];
    let states: Vec<Value> = runs.iter().map(state).collect::<Result<_, _>>()?;
    Ok(::page::report(&title(runs), &body.concat(), &json!({ "runs": states, "log": axes })))
}

fn title(runs: &[Recorded]) -> String {
    match runs {
        [run] => {
            let (name, method) = (escape(&run.scenario.name), run.scenario.train.method.name());
            format!("{method} on {name}, seed {}", run.scenario.seed)
        }
        _ => format!("{} runs side by side", runs.len()),
    }
}

/// A note if a run has not ended.
fn unfinished(run: &Recorded) -> String {
    if run.summary.is_some() {
        return String::new();
    }
    format!(
        "<p class=\"note\">{} has not ended: {} of {} rounds are logged, and there are no test scores yet.</p>\n",
        escape(&run.folder),
        run.rounds.len(),
        run.scenario.train.rounds
    )
}

/// A note if the runs on the page have been trained for different numbers of rounds.
fn unequal(runs: &[Recorded]) -> String {
    let all: Vec<String> =
        runs.iter().map(|run| format!("{} {}", escape(&run.folder), run.rounds.len())).collect();
    match runs.iter().all(|run| run.rounds.len() == runs[0].rounds.len()) {
        true => String::new(),
        false => format!(
            "<p class=\"note\">These runs have not been trained equally long: their rounds are {}.</p>\n",
            all.join(", ")
        ),
    }
}

/// A section, or nothing if its content is empty.
fn section(title: &str, content: &str) -> String {
    if content.is_empty() {
        String::new()
    } else {
        format!("<section><h2>{title}</h2>\n{content}</section>\n")
    }
}

/// A part of the page for every run with content for it; several runs are shown side by side, each under its name.
fn each(runs: &[Recorded], of: impl Fn(usize, &Recorded) -> String) -> String {
    let part = |(number, run): (usize, &Recorded)| match of(number, run) {
        content if content.is_empty() || runs.len() == 1 => content,
        content => format!("<div><h3>{}{}</h3>\n{content}</div>\n", mark(number), escape(&run.folder)),
    };
    let parts: String = runs.iter().enumerate().map(part).collect();
    match runs.len() > 1 && !parts.is_empty() {
        true => format!("<div class=\"beside\">{parts}</div>\n"),
        false => parts,
    }
}

/// The curves of all runs, and the last rounds in numbers.
fn training(runs: &[Recorded]) -> String {
    if runs.iter().all(|run| run.rounds.is_empty()) {
        return String::new();
    }
    let name = |(number, run): (usize, &Recorded)| format!("{}{} ", mark(number), escape(&run.folder));
    let legend = match runs {
        [run] => match together(run.rounds.len()) {
            1 => "Every round.".into(),
            size => format!("Means of {size} rounds each, and their range."),
        },
        _ => runs.iter().enumerate().map(name).collect::<String>(),
    };
    let drag = "Drag over a curve to zoom, Shift and drag to pan, double-click for all. With a curve in focus: arrows, +, −, 0.";
    format!(
        "<p class=\"dim\">{legend}</p>\n{}<p class=\"dim hint\">{drag}</p>\n{}",
        picture("training", 0, ""),
        late_figures(runs)
    )
}

/// The curves of a run that are not of the whole network.
fn receivers(at: usize, run: &Recorded) -> String {
    if run.rounds.is_empty() { String::new() } else { picture("receivers", at, "") }
}

#[cfg(test)]
mod tests {
    use super::{super::entries::DARKEST, *};
    use crate::draw::picture::tests::contrast;

    /// The colour of a name in a block of the style sheet.
    fn color(block: &str, name: &str) -> [u8; 3] {
        let (_, rest) = block.split_once(&format!("--{name}: #")).expect(name);
        let number = u32::from_str_radix(&rest[..6], 16).expect(name);
        [number >> 16, number >> 8, number].map(|part| (part & 0xff) as u8)
    }

    #[test]
    fn text_can_be_read_by_day_and_by_night() {
        let style = ::page::report("", "", &Value::Null);
        let (day, night) = style.split_once("data-theme").unwrap();
        for block in [day, night] {
            let [paper, card, ink, dim, heat] =
                ["paper", "card", "ink", "dim", "heat"].map(|name| color(block, name));
            for text in [ink, dim] {
                for under in [paper, card] {
                    assert!(contrast(text, under) >= 4.5, "{text:?} on {under:?}");
                }
            }
            // A number on the darkest cell of a confusion matrix.
            let mix = |at: usize| {
                let part = DARKEST as f64 / 100.0;
                (part * f64::from(heat[at]) + (1.0 - part) * f64::from(card[at])).round() as u8
            };
            let cell = [mix(0), mix(1), mix(2)];
            assert!(contrast(ink, cell) >= 4.5, "{ink:?} on {cell:?}: {}", contrast(ink, cell));
        }
    }
}
