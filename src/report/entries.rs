//! The grants and the rate of every entry, and the confusion matrices.

use coordinator::Confusion;

use super::{
    html::{escape, head, number, row, table},
    pictures::picture,
    recorded::Recorded,
};

/// The map of a run's grants over the rounds, and the network; as numbers, the grants of its last rounds.
pub(crate) fn selection(at: usize, run: &Recorded) -> String {
    let Some(late) = run.late_selection() else { return String::new() };
    let mut rows = head_of_tasks(run);
    for (entry, name) in run.entry_names().iter().enumerate() {
        rows += &row(&escape(name), late.iter().map(|shares| format!("{:.1} %", 100.0 * shares[entry])));
    }
    let note =
        format!("<p class=\"dim\">Shares of ticks, mean of the last {} rounds.</p>", run.late_rounds());
    picture("selection", at, &format!("<div>{}{note}</div>", table("", &rows)))
}

/// The rate of every entry on the test set, the share of passes that granted it, and its channel uses; a column for
/// each receiver.
pub(crate) fn rates(run: &Recorded) -> String {
    let Some(test) = run.summary.as_ref().map(|summary| &summary.test) else { return String::new() };
    let mut rows = head_of_tasks(run);
    let mut names = run.entry_names().into_iter();
    for (k, transmitter) in run.scenario.transmitter.iter().enumerate() {
        for m in 0..transmitter.modalities.len() {
            let rate = |t: usize| {
                let share = test.selection.get(t)?.get(k)?.get(m)?;
                let rate = test.entry_rates.get(t)?.get(k)?.get(m)?.as_ref()?;
                Some(format!("{} <span class=\"dim\">in {:.0} %</span>", number(*rate), 100.0 * share))
            };
            // Bits that are never received have uses and no rate.
            let uses = |t: usize| {
                let uses = test.entry_uses.get(t)?.get(k)?.get(m)?;
                (*uses > 0.0).then(|| format!(" <span class=\"dim\">{} uses</span>", number(*uses)))
            };
            let cell = |t: usize| rate(t).unwrap_or_else(|| "·".into()) + &uses(t).unwrap_or_default();
            let cells = (0..run.scenario.receivers()).map(cell);
            rows += &row(&escape(&names.next().unwrap_or_default()), cells);
        }
    }
    let uses = match test.entry_uses.is_empty() {
        true => "",
        false => " Channel uses are those of a test sample, mean over all passes.",
    };
    table("", &rows)
        + &format!(
            "<p class=\"dim\">Nats, {}, N = {}: mean over the passes that granted the entry, and how many of them did.{uses}</p>\n",
            escape(&test.rate_estimator),
            test.rate_samples
        )
}

fn head_of_tasks(run: &Recorded) -> String {
    let tasks = run.scenario.receiver.iter().map(|receiver| escape(&receiver.task));
    head(std::iter::once(String::new()).chain(tasks))
}

/// Largest share of colour in a cell, in %: numbers must stay legible on it.
pub(super) const DARKEST: u64 = 50;

/// A matrix for each classification.
pub(crate) fn confusions(run: &Recorded) -> String {
    let Some(test) = run.summary.as_ref().map(|summary| &summary.test) else { return String::new() };
    let names = |receiver: usize| test.classes.iter().find(|of| of.receiver == receiver);
    let of = |one: &Confusion| confusion(one, names(one.receiver).map_or(&[], |of| &of.names));
    test.confusion.iter().map(of).collect()
}

/// Rows are labels, columns answers, by their names if they have any; darker cells are larger shares of their row.
fn confusion(confusion: &Confusion, names: &[String]) -> String {
    let name = |class: usize| names.get(class).map_or_else(|| class.to_string(), |name| escape(name));
    let answers = (0..confusion.counts.len()).map(name);
    let mut rows = head(std::iter::once("label \\ answer".into()).chain(answers));
    for (label, counts) in confusion.counts.iter().enumerate() {
        let all: u64 = counts.iter().sum();
        let cell = |count: &u64| {
            let share = if all > 0 { (DARKEST * count).div_ceil(all) } else { 0 };
            match count {
                0 => "<td></td>".into(),
                _ => format!(
                    "<td style=\"background:color-mix(in srgb, var(--heat) {share}%, transparent)\">{count}</td>"
                ),
            }
        };
        let cells: String = counts.iter().map(cell).collect();
        rows += &format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", name(label));
    }
    format!(
        "<figure class=\"card\"><figcaption>receiver {} · {}: samples, all passes</figcaption>{}</figure>\n",
        confusion.receiver,
        escape(&confusion.task),
        table("confusion", &rows)
    )
}
