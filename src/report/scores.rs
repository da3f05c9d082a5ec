//! The results of runs side by side.

use std::f64::consts::LN_2;

use coordinator::{OnAir, Rates, Started, Summary, TaskResult};

use super::{
    html::{bytes, escape, head, mark, number, row, table},
    recorded::Recorded,
};
use crate::records::run_log::Bytes;

/// Shown for unknown values.
const NONE: &str = "–";

/// A row for each figure, a column for each run.
pub(crate) fn scores(runs: &[Recorded]) -> String {
    let names = runs.iter().enumerate().map(|(number, run)| mark(number) + &escape(&run.folder));
    let mut rows = head(std::iter::once(String::new()).chain(names));
    let mut line = |name: &str, of: &dyn Fn(&Recorded) -> Option<String>| {
        let cells: Vec<Option<String>> = runs.iter().map(of).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| NONE.into()));
            rows += &row(&escape(name), cells);
        }
    };
    line("method", &|run| Some(run.scenario.train.method.name().into()));
    line("scenario, seed", &|run| Some(format!("{}, {}", escape(&run.scenario.name), run.scenario.seed)));
    line("rounds", &|run| Some(format!("{} of {}", run.rounds.len(), run.scenario.train.rounds)));
    for (name, metric, place) in tasks(runs) {
        let title = format!("{name}: {metric}");
        let of = |run: &Recorded, of: &dyn Fn(&TaskResult) -> Option<String>| {
            of_summary(run, |summary| task(summary, &name, &metric, place).and_then(of))
        };
        line(&title, &|run| of(run, &|result| Some(score(result))));
        line(&format!("{name}: balanced accuracy, macro F1, majority baseline"), &|run| of(run, &by_class));
    }
    line("N-CE, nats", &|run| of_summary(run, |summary| Some(number(summary.test.n_ce))));
    line("sum-rate, nats", &|run| of_summary(run, |summary| Some(number(summary.test.sum_rate))));
    line("its estimator", &|run| {
        of_summary(run, |summary| {
            Some(format!("{}, N = {}", escape(&summary.test.rate_estimator), summary.test.rate_samples))
        })
    });
    line("joint rate, nats", &|run| {
        of_summary(run, |summary| {
            let test = &summary.test;
            let plain = format!("{}, N = {}", number(test.joint_rate), test.joint_rate_samples);
            Some(match test.joint_ceiling {
                Some(ceiling) if test.is_at_ceiling() => {
                    format!("{plain}, at its ceiling of {}", number(ceiling))
                }
                Some(ceiling) => format!("{plain}, of at most {}", number(ceiling)),
                None => plain,
            })
        })
    });
    let on_air = |of: fn(&OnAir) -> Option<f64>| {
        move |run: &Recorded| of_summary(run, |summary| summary.channel.as_ref().and_then(of).map(number))
    };
    line("channel uses a sample", &on_air(|air| Some(air.uses)));
    line("over those of each entry's values", &on_air(|air| air.uses_ratio));
    line("Es/N0, dB", &on_air(|air| air.snr_db));
    line("rate sent over channels, nats", &|run| {
        of_summary(run, |summary| {
            let air = summary.channel.as_ref()?;
            let estimate =
                if air.rate_sent_is_estimate { ", estimated before the limit of power" } else { "" };
            Some(number(air.rate_sent) + estimate)
        })
    });
    line("rate that arrives, nats", &on_air(|air| air.rate_received));
    line("capacity of the uses, nats", &on_air(|air| air.capacity));
    // For runs with learned priors: otherwise there is no rate to compare with.
    let bits = |of: fn(&Rates) -> Option<f64>| {
        move |run: &Recorded| {
            let of = |rates: &Rates| rates.prior_nats.and(of(rates)).map(number);
            of_summary(run, |summary| summary.rates.as_ref().and_then(of))
        }
    };
    line("bits a test sample by (17)", &bits(|rates| Some(rates.estimate_nats? / LN_2)));
    line("against the prior", &bits(|rates| Some(rates.prior_nats? / LN_2)));
    line("coded", &bits(|rates| rates.coded_bits));
    line("in messages", &bits(|rates| Some(8.0 * rates.message_bytes)));
    line("through sockets", &bits(|rates| Some(8.0 * rates.socket_bytes?)));
    line("coded for one by (17)", &bits(|rates| rates.ratios()[0]));
    line("entries", &|run| of_summary(run, |summary| Some(number(summary.test.selected_entries))));
    line("limits", &|run| Some(limits(run)));
    line("most asks, entries at a tick", &|run| {
        of_summary(run, |summary| Some(format!("{}, {}", summary.most_asks, summary.most_entries)))
    });
    line("grants of noise", &|run| {
        of_summary(run, |summary| summary.noise_share.map(|share| format!("{:.1} %", 100.0 * share)))
    });
    line("best on validation rows", &|run| {
        of_summary(run, |summary| {
            let validation = summary.validation.as_ref()?;
            let ended = if validation.stopped_early { ", where no later one was better" } else { "" };
            Some(format!(
                "round {}, N-CE {} nats{ended}",
                validation.best_round,
                number(validation.best_n_ce)
            ))
        })
    });
    line("entries that went missing", &|run| {
        of_summary(run, |summary| summary.missing.map(|missing| format!("{:.2} %", 100.0 * missing.share())))
    });
    line("training", &|run| Some(time(run)));
    line("started", &|run| of_starts(run, |start| escape(&start.at)));
    line("on the machine", &|run| of_starts(run, |start| escape(&start.host)));
    line("by", &|run| of_starts(run, |start| format!("<code>{}</code>", escape(&start.command))));
    line("device", &|run| of_summary(run, |summary| Some(escape(&summary.device))));
    line("fingerprint", &|run| {
        of_summary(run, |summary| Some(format!("<code>{}</code>", escape(&summary.fingerprint))))
    });
    table("", &rows)
}

/// The duration of training: that in the summary, once there is one, counted from the first round granted after the
/// last start; before that from the log, by each receiver's own clock.
fn time(run: &Recorded) -> String {
    match &run.summary {
        Some(summary) if summary.timing.rounds_per_second > 0.0 => {
            let timing = &summary.timing;
            let rounds = timing.seconds * timing.rounds_per_second;
            let (seconds, rate) = (number(timing.seconds), number(timing.rounds_per_second));
            format!("{rounds:.0} rounds in {seconds} s, {rate} a second")
        }
        _ => {
            let seconds: f64 = run.rounds.iter().map(|round| round.seconds).sum();
            format!("{} rounds in {} s so far", run.rounds.len(), number(seconds))
        }
    }
}

/// Bytes on the wire, and the bytes that the rates imply.
pub(crate) fn wire(runs: &[Recorded]) -> String {
    let heads = ["", "features", "gradients", "all", "a sample's features", "by the sum-rate"];
    let mut rows = head(heads.map(str::to_owned));
    for (place, run) in runs.iter().enumerate().filter(|(_, run)| !run.rounds.is_empty()) {
        let sum =
            |of: &dyn Fn(&Bytes) -> u64| run.rounds.iter().map(|round| of(&round.bytes)).sum::<u64>() as f64;
        let features = sum(&|bytes| bytes.feature);
        rows += &row(
            &(mark(place) + &escape(&run.folder)),
            [
                bytes(features),
                bytes(sum(&|bytes| bytes.gradient)),
                bytes(sum(&|bytes| bytes.total)),
                bytes(features / run.samples()),
                theory(run).map_or(NONE.into(), bytes),
            ],
        );
    }
    table("", &rows)
        + "<p class=\"dim\">Bytes between transmitters and receivers in training; all has framing, asks, requests and costs too. By \
           the sum-rate: what a code at the mean estimated rate of training would take for the features of a sample, nats / (8 ln \
           2) bytes. Features travel as 32-bit numbers.</p>\n"
}

/// Bytes for a sample at the mean rate of training. A differential entropy implies no number of bytes.
fn theory(run: &Recorded) -> Option<f64> {
    let nats = run.rounds.iter().map(|round| round.sum_rate).sum::<f64>() / run.rounds.len() as f64;
    let is_rate = run.scenario.train.method.rate != scenario::Rate::Entropy;
    is_rate.then_some(nats.max(0.0) / (8.0 * std::f64::consts::LN_2))
}

/// A value for each start of a run, if known.
fn of_starts(run: &Recorded, of: impl Fn(&Started) -> String) -> Option<String> {
    let starts: Vec<String> = run.starts.iter().map(of).collect();
    (!starts.is_empty()).then(|| starts.join("<br/>"))
}

fn of_summary(run: &Recorded, of: impl Fn(&Summary) -> Option<String>) -> Option<String> {
    run.summary.as_ref().and_then(of)
}

/// Task, metric, and a number to distinguish equal names, of all rows of any run, in order of first appearance.
fn tasks(runs: &[Recorded]) -> Vec<(String, String, usize)> {
    let mut known: Vec<(String, String, usize)> = Vec::new();
    for summary in runs.iter().filter_map(|run| run.summary.as_ref()) {
        for (position, result) in summary.test.tasks.iter().enumerate() {
            let earlier = summary.test.tasks[..position].iter();
            let place = earlier
                .filter(|other| (&other.name, &other.metric) == (&result.name, &result.metric))
                .count();
            let key = (result.name.clone(), result.metric.clone(), place);
            if !known.contains(&key) {
                known.push(key);
            }
        }
    }
    known
}

fn task<'a>(summary: &'a Summary, name: &str, metric: &str, place: usize) -> Option<&'a TaskResult> {
    summary.test.tasks.iter().filter(|result| result.name == name && result.metric == metric).nth(place)
}

/// A score with its 95 % interval.
fn score(result: &TaskResult) -> String {
    let (scale, unit) = match result.metric.as_str() {
        "top1" => (100.0, " %"),
        "mpjpe" | "pa-mpjpe" => (1.0, " mm"),
        _ => (1.0, ""),
    };
    let [low, high] = result.ci95.map(|end| number(scale * end));
    format!("{}{unit} <span class=\"dim\">[{low}, {high}]</span>", number(scale * result.value))
}

/// Scores with equal weight for every class, since some may be rare.
fn by_class(result: &TaskResult) -> Option<String> {
    let shares = [result.balanced_accuracy?, result.macro_f1?, result.majority?];
    Some(shares.map(|share| format!("{} %", number(100.0 * share))).join(", "))
}

fn limits(run: &Recorded) -> String {
    match run.scenario.limited() {
        true => {
            let network = &run.scenario.network;
            format!("E_t = {}, E_k = {}", network.receiver_limit, network.transmitter_limit)
        }
        false => "none".into(),
    }
}
