//! Scores on validation rows during training.

use super::{
    chart::{Curve, Logarithmic, chart},
    html::{escape, mark},
    recorded::Recorded,
};
use crate::records::run_log::Validated;

/// The curve of a run beside that of its training, or the curves of several; and the gap of each to training.
pub(crate) fn validation(runs: &[Recorded], axes: Logarithmic) -> String {
    let sparse = |run: usize, name: String, recorded: &Recorded, of: fn(&Validated) -> f64| {
        let judged = recorded.rounds.iter().filter_map(|round| Some((round.round, round.validation?)));
        let (rounds, values) = judged.map(|(round, validated)| (round, of(&validated))).unzip();
        Curve { run, name, values, rounds: Some(rounds) }
    };
    let all = |of: fn(&Validated) -> f64| -> Vec<Curve> {
        let curve = |(run, recorded): (usize, &Recorded)| sparse(run, recorded.folder.clone(), recorded, of);
        runs.iter().enumerate().map(curve).collect()
    };
    if runs.iter().all(|run| run.rounds.iter().all(|round| round.validation.is_none())) {
        return String::new();
    }
    let (curves, legend) = match runs {
        [run] => {
            let n_ce = run.rounds.iter().map(|round| round.n_ce).collect();
            let training = Curve::of_each_round(0, "training", n_ce);
            let curves = vec![training, sparse(1, "validation".into(), run, |validated| validated.n_ce)];
            (curves, format!("{}training {}validation rows", mark(0), mark(1)))
        }
        _ => {
            let name =
                |(number, run): (usize, &Recorded)| format!("{}{} ", mark(number), escape(&run.folder));
            (all(|validated| validated.n_ce), runs.iter().enumerate().map(name).collect())
        }
    };
    let charts = chart("N-CE, nats", &curves, axes)
        + &chart("gap: validation below training, nats", &all(|validated| validated.gap), axes);
    format!("<p class=\"dim\">{legend}</p>\n<div class=\"row\">{charts}</div>\n")
}
