//! Assembles the page.

use std::collections::BTreeSet;

use super::{
    chart::{Curve, Logarithmic, chart, together},
    configuration::{configuration, differences},
    drawing::drawing,
    entries::{confusions, rates},
    heat_map::heat_map,
    html::{escape, mark},
    plane::plane,
    recorded::Recorded,
    scores::{scores, wire},
    strengths::strengths,
    validation::validation,
};
use crate::records::run_log::Round;

pub(super) const STYLE: &str = include_str!("style.css");

/// A quantity of a round.
type Quantity = fn(&Round) -> f64;

/// Quantities that are drawn over the rounds.
const CURVES: [(&str, Quantity); 6] = [
    ("N-CE, nats", |round| round.n_ce),
    ("sum-rate, nats", |round| round.sum_rate),
    ("loss (sum of the objectives)", |round| round.loss),
    ("log-likelihood (21)", |round| round.logl),
    ("bytes on the wire", |round| round.bytes.total as f64),
    ("seconds", |round| round.seconds),
];

/// One page of one run, or of several side by side.
pub(crate) fn page(runs: &[Recorded], axes: Logarithmic) -> String {
    let title = title(runs);
    let body = [
        format!("<h1>{title}</h1>\n<p class=\"dim\">pom2dib {}</p>\n", env!("CARGO_PKG_VERSION")),
        runs.iter().map(unfinished).collect(),
        unequal(runs),
        section("Results", &scores(runs)),
        section("Training", &curves(runs, axes)),
        section("Validation", &validation(runs, axes)),
        section("Training by receiver", &each(runs, |run| by_receiver(run, axes))),
        section("Work", &each(runs, |run| work(run, axes))),
        section("On the wire", &wire(runs)),
        section("Selection", &each(runs, heat_map)),
        section("Strength of links", &each(runs, strengths)),
        section("Network", &each(runs, drawing)),
        section("Rate of each entry on the test set", &each(runs, rates)),
        section(
            "Confusion on the test set",
            &each(runs, |run| match confusions(run) {
                figures if figures.is_empty() => figures,
                figures => format!("<div class=\"row\">{figures}</div>\n"),
            }),
        ),
        if runs.len() > 1 {
            section("What differs in their configuration", &differences(runs))
        } else {
            String::new()
        },
        section("Configuration", &runs.iter().map(configuration).collect::<String>()),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>{title}</title>\
         <style>\n{STYLE}</style></head><body>\n{}</body></html>\n",
        body.concat()
    )
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
    if content.is_empty() { String::new() } else { format!("<h2>{title}</h2>\n{content}") }
}

/// A part of the page for every run with content for it; several runs are shown side by side, each under its name.
fn each(runs: &[Recorded], of: impl Fn(&Recorded) -> String) -> String {
    let part = |(number, run): (usize, &Recorded)| match of(run) {
        content if content.is_empty() || runs.len() == 1 => content,
        content => format!("<div><h3>{}{}</h3>\n{content}</div>\n", mark(number), escape(&run.folder)),
    };
    let parts: String = runs.iter().enumerate().map(part).collect();
    match runs.len() > 1 && !parts.is_empty() {
        true => format!("<div class=\"beside\">{parts}</div>\n"),
        false => parts,
    }
}

fn curves(runs: &[Recorded], axes: Logarithmic) -> String {
    let chart_of = |(title, of): (&str, Quantity)| {
        let curve = |(run, recorded): (usize, &Recorded)| {
            Curve::of_each_round(run, &*recorded.folder, recorded.rounds.iter().map(of).collect())
        };
        chart(title, &runs.iter().enumerate().map(curve).collect::<Vec<_>>(), axes)
    };
    let charts: String = CURVES.into_iter().map(chart_of).collect();
    if charts.is_empty() {
        return charts;
    }
    let charts = charts + &plane(runs);
    let name = |(number, run): (usize, &Recorded)| format!("{}{} ", mark(number), escape(&run.folder));
    let legend = match runs.len() {
        1 => match together(runs[0].rounds.len()) {
            1 => "Every round.".into(),
            size => format!("Means of {size} rounds each, and their range."),
        },
        _ => runs.iter().enumerate().map(name).collect::<String>(),
    };
    format!("<p class=\"dim\">{legend}</p>\n<div class=\"row\">{charts}</div>\n")
}

/// Cross entropy and rate of each receiver.
fn by_receiver(run: &Recorded, axes: Logarithmic) -> String {
    let receivers = || run.scenario.receiver.iter().enumerate();
    let chart_of = |title: &str, of: fn(&Round) -> &[f64]| {
        let curve = |(t, receiver): (usize, &scenario::Receiver)| {
            let values = run.rounds.iter().filter_map(|round| of(round).get(t).copied()).collect();
            Curve::of_each_round(t, format!("receiver {t} · {}", receiver.task), values)
        };
        chart(title, &receivers().map(curve).collect::<Vec<_>>(), axes)
    };
    let charts = chart_of("cross entropy, nats (of values, mean squared error)", |round| &round.ce)
        + &chart_of("rate, nats", |round| &round.rate);
    if charts.is_empty() {
        return charts;
    }
    let name = |(t, receiver): (usize, &scenario::Receiver)| {
        format!("{}receiver {t} · {} ", mark(t), escape(&receiver.task))
    };
    let legend: String = receivers().map(name).collect();
    format!("<p class=\"dim\">{legend}</p>\n<div class=\"row\">{charts}</div>\n")
}

/// Seconds of all nodes together in each profiler phase of a round.
fn work(run: &Recorded, axes: Logarithmic) -> String {
    let kinds: BTreeSet<&String> = run.rounds.iter().flat_map(|round| round.work.keys()).collect();
    let seconds = |round: &Round, kind: &String| round.work.get(kind).copied().unwrap_or(0.0);
    let curve = |(number, kind): (usize, &&String)| {
        Curve::of_each_round(number, *kind, run.rounds.iter().map(|round| seconds(round, kind)).collect())
    };
    let drawn = chart(
        "seconds of all nodes together",
        &kinds.iter().enumerate().map(curve).collect::<Vec<_>>(),
        axes,
    );
    if drawn.is_empty() {
        return drawn;
    }
    let name = |(number, kind): (usize, &&String)| format!("{}{} ", mark(number), escape(kind));
    let legend: String = kinds.iter().enumerate().map(name).collect();
    format!("<p class=\"dim\">{legend}</p>\n<div class=\"row\">{drawn}</div>\n")
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
        let (day, night) = STYLE.split_once("@media").unwrap();
        for block in [day, night] {
            let [paper, ground, ink, dim, heat] =
                ["paper", "box", "ink", "dim", "heat"].map(|name| color(block, name));
            for text in [ink, dim] {
                for under in [paper, ground] {
                    assert!(contrast(text, under) >= 4.5, "{text:?} on {under:?}");
                }
            }
            // A number on the darkest cell of a confusion matrix.
            let mix = |at: usize| {
                let part = DARKEST as f64 / 100.0;
                (part * f64::from(heat[at]) + (1.0 - part) * f64::from(paper[at])).round() as u8
            };
            let cell = [mix(0), mix(1), mix(2)];
            assert!(contrast(ink, cell) >= 4.5, "{ink:?} on {cell:?}: {}", contrast(ink, cell));
        }
    }
}
