//! The results of a finished run as named numbers: the columns of tables.

use coordinator::{Summary, Test};

/// Names and numbers in the order of a table's columns. Nats, entries, seconds; top-1 as a fraction.
pub(crate) fn figures(summary: &Summary) -> Vec<(String, f64)> {
    let test = &summary.test;
    let mut figures = vec![
        ("n_ce".to_owned(), test.n_ce),
        ("sum_rate".to_owned(), test.sum_rate),
        ("joint_rate".to_owned(), test.joint_rate),
        ("entries".to_owned(), test.selected_entries),
    ];
    figures.extend(test.joint_ceiling.map(|ceiling| ("joint_ceiling".to_owned(), ceiling)));
    figures.extend(summary.noise_share.map(|share| ("noise_share".to_owned(), share)));
    let mut last = None;
    let mut rates = rates_by_receiver(test).into_iter();
    for (at, task) in test.tasks.iter().enumerate() {
        // Two receivers may have the same task.
        let twice =
            test.tasks[..at].iter().any(|other| (&other.name, &other.metric) == (&task.name, &task.metric));
        let name = if twice { format!("{}-{at}", task.name) } else { task.name.clone() };
        figures.push((format!("{name}.{}", task.metric), task.value));
        // The loss belongs to the task, not to a metric: it is in the first row of the task.
        if last != Some(&task.name) || twice {
            figures.push((format!("{name}.ce"), task.ce));
            figures.extend(rates.next().map(|rate| (format!("{name}.rate"), rate)));
        }
        last = Some(&task.name);
    }
    figures.push(("seconds".to_owned(), summary.timing.seconds));
    figures
}

/// The same with what was spent beside the rate: coded bits of a test sample, of methods that code their features, and
/// the mean SNR in dB, of runs over channels with noise.
pub(crate) fn figures_and_costs(summary: &Summary) -> Vec<(String, f64)> {
    let coded_bits = summary.rates.as_ref().and_then(|rates| rates.coded_bits);
    let snr_db = summary.channel.as_ref().and_then(|channel| channel.snr_db);
    let costs = [("coded_bits", coded_bits), ("snr_db", snr_db)];
    let costs = costs.into_iter().filter_map(|(name, cost)| Some((name.to_owned(), cost?)));
    figures(summary).into_iter().chain(costs).collect()
}

/// The rate sent to each receiver, in nats: the rates of its entries, weighted by how often they are granted. Empty if
/// unknown.
fn rates_by_receiver(test: &Test) -> Vec<f64> {
    let of_receiver = |(rates, shares): (&Vec<Vec<Option<f64>>>, &Vec<Vec<f64>>)| {
        let entries = rates.iter().flatten().zip(shares.iter().flatten());
        entries.map(|(rate, share)| rate.unwrap_or(0.0) * share).sum()
    };
    test.entry_rates.iter().zip(&test.selection).map(of_receiver).collect()
}

/// The names in any of several lists, in order of first appearance.
pub(crate) fn columns<'a>(lists: impl IntoIterator<Item = &'a Vec<(String, f64)>>) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for (name, _) in lists.into_iter().flatten() {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns
}

/// The names of the scores in a list of figures, in the order of the summary's tasks.
pub(crate) fn scores(figures: &[(String, f64)]) -> impl Iterator<Item = &str> {
    let names = figures.iter().map(|(name, _)| name.as_str());
    names.filter(|name| {
        name.split_once('.').is_some_and(|(task, what)| task != "train" && !matches!(what, "ce" | "rate"))
    })
}

/// The number with a name in a list.
pub(crate) fn named(figures: &[(String, f64)], name: &str) -> Option<f64> {
    figures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// A line of CSV, with quotes where a cell needs them.
pub(crate) fn csv_line(cells: impl IntoIterator<Item = String>) -> String {
    let quoted = |cell: String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    };
    cells.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A made-up summary: two tasks, of which the first has two metrics.
    pub(crate) fn summary(n_ce: f64, sum_rate: f64) -> Summary {
        let task = |name: &str, metric: &str, value: f64| serde_json::json!({"name": name, "metric": metric, "value": value, "ci95": [0.1, 0.9], "ce": -n_ce / 2.0});
        serde_json::from_value(serde_json::json!({
            "method": "pom2dib", "scenario": "made-up", "seed": 1, "rounds": 6, "device": "cpu",
            "test": {
                "n_ce": n_ce, "sum_rate": sum_rate, "rate_estimator": "per-dimension", "rate_samples": 20,
                "joint_rate": sum_rate / 3.0, "joint_rate_samples": 60, "samples": 100, "passes": 1,
                "ci95_over": "test recordings and passes",
                "tasks": [task("pose", "mse", 0.3), task("pose", "mpjpe", 120.0), task("action", "top1", 0.9)],
                "selected_entries": 2.5, "selection": [[[1.0, 0.5]], [[0.0, 1.0]]],
            },
            "noise_share": 0.25, "most_asks": 2, "most_entries": 2,
            "wire": {"feature_bytes": 1, "gradient_bytes": 1, "total_bytes": 3},
            "timing": {"seconds": 2.0, "rounds_per_second": 3.0, "median_round_seconds": 0.3},
            "fingerprint": "f".repeat(64),
        }))
        .unwrap()
    }

    #[test]
    fn every_task_has_all_its_metrics_and_one_loss() {
        let names: Vec<String> = figures(&summary(-1.0, 30.0)).into_iter().map(|(name, _)| name).collect();
        let expected = [
            "n_ce",
            "sum_rate",
            "joint_rate",
            "entries",
            "noise_share",
            "pose.mse",
            "pose.ce",
            "pose.mpjpe",
            "action.top1",
            "action.ce",
            "seconds",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_receivers_rates_add_up_to_the_sum_rate() {
        let mut summary = summary(-1.0, 7.0);
        summary.test.entry_rates = vec![vec![vec![Some(4.0), Some(6.0)]], vec![vec![None, Some(0.0)]]];
        let figures = figures(&summary);
        // One entry always, the other in half of the passes.
        assert_eq!((named(&figures, "pose.rate"), named(&figures, "action.rate")), (Some(7.0), Some(0.0)));
    }

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let cells = ["a=1,b=2", "plain", "say \"x\""].map(str::to_owned);
        assert_eq!(csv_line(cells), "\"a=1,b=2\",plain,\"say \"\"x\"\"\"\n");
    }
}
