//! Scores over the SNR of the channels, where the run has been evaluated at several.

use serde_json::{Value, json};

use super::{
    html::{escape, head, mark, number, row, table},
    pictures::picture,
    recorded::Recorded,
};
use crate::{
    cli::evaluated::{label, scale},
    records::over_snr::{AtSnr, OverSnr},
};

/// The curve of each task, and its numbers; nothing for a run that has not been evaluated with `--snr-db`.
pub(crate) fn over_snr(at: usize, run: &Recorded) -> String {
    match &run.over_snr {
        Some(over) if !over.rows.is_empty() => {
            let of = format!("<p class=\"dim\">The checkpoint of round {}.</p>\n", over.rounds);
            of + &picture("snr", at, &numbers(over))
        }
        _ => String::new(),
    }
}

fn numbers(over: &OverSnr) -> String {
    let tasks = over.rows.first().map_or(&[][..], |first| first.test.tasks.as_slice());
    let of_task = |(at, task): (usize, &coordinator::TaskResult)| {
        format!("{}{}: {}", mark(at), escape(&task.name), escape(label(&task.metric)))
    };
    let nats = ["N-CE", "rate sent", "rate that arrives", "capacity"].map(|what| format!("{what}, nats"));
    let mut rows = head(
        std::iter::once("Es/N0, dB".to_owned()).chain(tasks.iter().enumerate().map(of_task)).chain(nats),
    );
    for AtSnr { snr_db, test, channel } in &over.rows {
        let score = |task: &coordinator::TaskResult| {
            let [value, low, high] =
                [task.value, task.ci95[0], task.ci95[1]].map(|value| number(scale(&task.metric) * value));
            format!("{value} <span class=\"dim\">{low} to {high}</span>")
        };
        let on_air = |of: fn(&coordinator::OnAir) -> Option<f64>| {
            channel.as_ref().and_then(of).map_or_else(|| "–".into(), number)
        };
        let rates = [
            number(test.n_ce),
            on_air(|air| Some(air.rate_sent)),
            on_air(|air| air.rate_received),
            on_air(|air| air.capacity),
        ];
        rows += &row(&snr_db.to_string(), test.tasks.iter().map(score).chain(rates));
    }
    table("", &rows)
}

/// What the curves are drawn from: scores as they are shown, with their intervals.
pub(crate) fn points(over: &OverSnr) -> Value {
    let of = |AtSnr { snr_db, test, .. }: &AtSnr| {
        let score = |task: &coordinator::TaskResult| {
            let scale = scale(&task.metric);
            json!({
                "name": task.name, "metric": label(&task.metric),
                "value": scale * task.value, "ci95": task.ci95.map(|end| scale * end),
            })
        };
        json!({ "snr_db": snr_db, "n_ce": test.n_ce, "tasks": test.tasks.iter().map(score).collect::<Vec<_>>() })
    };
    over.rows.iter().map(of).collect()
}
