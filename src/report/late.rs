//! The last rounds of training in numbers.

use super::{
    html::{escape, head, mark, number, row, table},
    recorded::{LATE, Recorded},
};
use crate::records::run_log::Round;

/// A quantity of a round.
type Quantity = fn(&Round) -> f64;

const QUANTITIES: [(&str, Quantity); 6] = [
    ("N-CE, nats", |round| round.n_ce),
    ("sum-rate, nats", |round| round.sum_rate),
    ("loss (sum of the objectives)", |round| round.loss),
    ("log-likelihood (21)", |round| round.logl),
    ("bytes on the wire", |round| round.bytes.total as f64),
    ("seconds", |round| round.seconds),
];

/// A row for each quantity, and for each receiver; a column for each run.
pub(crate) fn late_figures(runs: &[Recorded]) -> String {
    let names = runs.iter().enumerate().map(|(number, run)| mark(number) + &escape(&run.folder));
    let mut rows = head(std::iter::once(String::new()).chain(names));
    for (name, of) in QUANTITIES {
        rows += &row(name, runs.iter().map(|run| mean(run, |round| Some(of(round)))));
    }
    let most = runs.iter().map(|run| run.scenario.receivers()).max().unwrap_or(0);
    for t in 0..most {
        let rate = |round: &Round| round.rate.get(t).copied();
        let ce = |round: &Round| round.ce.get(t).copied();
        rows += &row(&format!("cross entropy of receiver {t}"), runs.iter().map(|run| mean(run, ce)));
        rows += &row(&format!("rate of receiver {t}, nats"), runs.iter().map(|run| mean(run, rate)));
    }
    table("", &rows)
        + &format!("<p class=\"dim\">Means of the last {LATE} rounds, or of all if there are fewer.</p>\n")
}

fn mean(run: &Recorded, of: impl Fn(&Round) -> Option<f64>) -> String {
    let late = &run.rounds[run.rounds.len().saturating_sub(LATE)..];
    let values: Vec<f64> = late.iter().filter_map(of).collect();
    if values.is_empty() { "–".into() } else { number(values.iter().sum::<f64>() / values.len() as f64) }
}
