use std::{fmt::Write, path::Path};

use scenario::{JointRateRows, Scenario};

use crate::{Extension, Fork, Missing, OnAir, Rates, Strengths, Summary, TaskResult, Test};

/// The summary as text: scores, selection, bytes.
pub(crate) fn render(summary: &Summary, scenario: &Scenario, folder: &Path) -> String {
    let mut text = String::new();
    let test = &summary.test;
    let _ = writeln!(
        text,
        "{} on {}: {} rounds, seed {}; {} test samples, {} passes",
        summary.method, summary.scenario, summary.rounds, summary.seed, test.samples, test.passes
    );
    origin(&mut text, summary);
    scores(&mut text, summary);
    selection(&mut text, summary, scenario);
    training(&mut text, summary);
    let _ = writeln!(text, "fingerprint  {}", summary.fingerprint);
    let _ = writeln!(text, "folder       {}", folder.display());
    text
}

/// Where the run came from, if not from its scenario alone.
fn origin(text: &mut String, summary: &Summary) {
    if let Some(Fork { from, round, changed }) = &summary.forked {
        let _ =
            writeln!(text, "rounds up to {round} are those of {from}; changed since: {}", changed.join(", "));
    }
    for Extension { round, rounds_before, rounds, schedule } in &summary.extended {
        let _ = writeln!(
            text,
            "given {rounds} rounds instead of {rounds_before} at round {round}, from there on with the schedule of {rounds}: \
             {schedule}"
        );
    }
}

/// Cost of training, if there was any.
fn training(text: &mut String, summary: &Summary) {
    let _ = writeln!(text);
    if summary.timing.rounds_per_second == 0.0 {
        return;
    }
    let _ = writeln!(
        text,
        "on the wire  {} of features, {} of gradients, {} in all (framing and selection included)",
        bytes(summary.wire.feature_bytes),
        bytes(summary.wire.gradient_bytes),
        bytes(summary.wire.total_bytes)
    );
    if let Some(missing) = summary.missing {
        let (share, absent) = (100.0 * missing.share(), missing.absent);
        let _ = writeln!(text, "went missing {share:.2} % of entries in training; {absent} messages absent");
    }
    let _ = writeln!(
        text,
        "time         {:.1} s, {:.2} rounds a second",
        summary.timing.seconds, summary.timing.rounds_per_second
    );
}

fn scores(text: &mut String, summary: &Summary) {
    let test = &summary.test;
    let _ = writeln!(text);
    let _ = writeln!(text, "  {:<12} {:>8}  {:>17}  {:>9}", "task", "score", "95 % interval", "CE (nats)");
    let mut last = None;
    for task in &test.tasks {
        let (score, interval) = match task.metric.as_str() {
            "mpjpe" | "pa-mpjpe" => {
                (format!("{:.1} mm", task.value), format!("{:.1} to {:.1} mm", task.ci95[0], task.ci95[1]))
            }
            "top1" => (
                format!("{:.2} %", 100.0 * task.value),
                format!("{:.2} to {:.2} %", 100.0 * task.ci95[0], 100.0 * task.ci95[1]),
            ),
            _ => (format!("{:.4}", task.value), format!("{:.4} to {:.4}", task.ci95[0], task.ci95[1])),
        };
        // The loss belongs to the task, not to a metric: it is in the first row of the task.
        let loss = if last == Some(&task.name) { String::new() } else { format!("{:.4}", task.ce) };
        last = Some(&task.name);
        let name = match task.metric.as_str() {
            "top1" => task.name.clone(),
            metric => format!("{} {metric}", task.name),
        };
        let line = format!("  {name:<12} {score:>8}  {interval:>17}  {loss:>9}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "  intervals: {}", test.ci95_over);
    guesses(text, test);
    if test.tasks.iter().any(|task| task.metric == "mse") {
        let _ = writeln!(
            text,
            "  of values: score is the mean squared error in the data's units; CE is it in training units"
        );
    }
    let _ = writeln!(text);
    let interval = test.n_ce_ci95.map_or(String::new(), |[low, high]| format!(" ({low:.4} to {high:.4})"));
    let _ = writeln!(text, "  N-CE       {:>8.4} nats{interval}", test.n_ce);
    let _ = writeln!(
        text,
        "  sum-rate   {:>8.2} nats ({}, N = {}); {}",
        test.sum_rate,
        test.rate_estimator,
        test.rate_samples,
        joint(test)
    );
    let _ = writeln!(text, "  entries    {:>8.2}", test.selected_entries);
    rates(text, summary.rates.as_ref());
    on_air(text, summary.channel);
    strengths(text, summary.strengths.as_ref());
    missing(text, test.missing);
}

/// The rates of a test sample's features, if there is a rate against a prior.
fn rates(text: &mut String, rates: Option<&Rates>) {
    let Some(Rates { estimate_nats, prior_nats: Some(prior), coded_bits, message_bytes, socket_bytes }) =
        rates
    else {
        return;
    };
    let bits = |nats: f64| nats / std::f64::consts::LN_2;
    let _ = write!(text, "  bits       ");
    if let Some(estimate) = estimate_nats {
        let _ = write!(text, "{:.1} by (17), ", bits(*estimate));
    }
    let _ = write!(text, "{:.1} against the prior", bits(*prior));
    if let Some(coded) = coded_bits {
        let _ = write!(text, ", {coded:.1} coded");
    }
    let _ = write!(text, ", {:.1} in messages", 8.0 * message_bytes);
    if let Some(sockets) = socket_bytes {
        let _ = write!(text, ", {:.1} through sockets", 8.0 * sockets);
    }
    let _ = writeln!(text, " for a test sample");
}

/// Channel use for a sample, if any.
fn on_air(text: &mut String, channel: Option<OnAir>) {
    let Some(air) = channel else { return };
    let OnAir { uses, snr_db, uses_ratio, rate_sent, rate_sent_is_estimate, rate_received, capacity } = air;
    let at = snr_db.map_or(String::new(), |snr_db| format!(" at {snr_db:.1} dB"));
    let ratio =
        uses_ratio.map_or(String::new(), |ratio| format!(", {ratio:.2} times those of each entry's values"));
    let estimate = if rate_sent_is_estimate { " (estimated before the limit of power)" } else { "" };
    let arrived = rate_received.map_or(String::new(), |rate| format!(", {rate:.2} arrive"));
    let capacity = capacity.map_or(String::new(), |capacity| format!("; capacity {capacity:.2} nats"));
    let _ = writeln!(
        text,
        "  channel    {uses:>8.2} uses a sample{at}{ratio}; {rate_sent:.2} nats sent{estimate}{arrived}{capacity}"
    );
}

/// How often the strongest link was requested, where links change.
fn strengths(text: &mut String, strengths: Option<&Strengths>) {
    let Some(Strengths { clear, strongest_requested: Some(share), .. }) = strengths else { return };
    let _ = writeln!(
        text,
        "  links      {:>8.1} % of {clear} clear choices (more than 1 dB) requested the strongest",
        100.0 * share
    );
}

/// The large-sample rate, and what it can be at most.
fn joint(test: &Test) -> String {
    let rows = match test.joint_rate_rows {
        JointRateRows::Test => "",
        JointRateRows::Train => " training rows",
    };
    let plain = format!("{:.2} nats joint, N = {}{rows}", test.joint_rate, test.joint_rate_samples);
    match test.joint_ceiling {
        Some(ceiling) if test.is_at_ceiling() => {
            format!("{plain}, at its ceiling of {ceiling:.2}: it says how few rows there were")
        }
        Some(ceiling) => format!("{plain}, of at most {ceiling:.2}"),
        None => plain,
    }
}

/// Scores with equal weight for every class, and the accuracy of always answering the commonest.
fn guesses(text: &mut String, test: &Test) {
    let line = |text: &mut String, what: &str, score: &dyn Fn(&TaskResult) -> Option<f64>| {
        let scores: Vec<String> = test
            .tasks
            .iter()
            .filter_map(|task| Some(format!("{} {:.2} %", task.name, 100.0 * score(task)?)))
            .collect();
        if !scores.is_empty() {
            let _ = writeln!(text, "  {what}: {}", scores.join(", "));
        }
    };
    line(text, "balanced accuracy", &|task| task.balanced_accuracy);
    line(text, "majority baseline", &|task| task.majority);
}

/// Missing entries of receivers, if they may go without.
fn missing(text: &mut String, missing: Option<Missing>) {
    let Some(missing) = missing else { return };
    let share = 100.0 * missing.share();
    let _ =
        write!(text, "  missing    {share:>8.2} % of entries (lost {}, late {})", missing.lost, missing.late);
    let _ = match missing.absent {
        0 => writeln!(text),
        absent => writeln!(text, "; {absent} messages absent, so that this run cannot be repeated"),
    };
}

/// Selection: a row for each transmitter and modality, a column for each receiver.
fn selection(text: &mut String, summary: &Summary, scenario: &Scenario) {
    let _ = writeln!(text);
    let _ = write!(text, "  {:<28}", "granted in share of passes");
    for receiver in &scenario.receiver {
        let _ = write!(text, " {:>10}", receiver.task);
    }
    let _ = writeln!(text);
    for (k, transmitter) in scenario.transmitter.iter().enumerate() {
        for (m, modality) in transmitter.modalities.iter().enumerate() {
            let _ = write!(text, "  {:<28}", format!("transmitter {k}  {modality}"));
            for receiver in &summary.test.selection {
                match receiver[k][m] {
                    share if share < 5e-3 => drop(write!(text, " {:>10}", "·")),
                    share => drop(write!(text, " {share:>10.2}")),
                }
            }
            let _ = writeln!(text);
        }
    }
}

/// A number of bytes in readable units.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "kB", "MB", "GB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}
