//! What a finished run came to.

use coordinator::{ClassCounts, Confusion, Strengths, Summary, TaskResult, Test};
use scenario::Scenario;

use crate::records::{
    over_snr::AtSnr,
    row::{At, Row},
};

/// Of summary.json.
pub(super) fn of_summary(scenario: &Scenario, summary: &Summary) -> Vec<Row> {
    let at = At::new("test", summary.rounds);
    let mut rows = of_test(at, scenario, &summary.test);
    rows.extend(at.known([("noise_share", summary.noise_share)]));
    rows.extend(summary.rates.iter().flat_map(|rates| at.rates(rates)));
    rows.extend(summary.channel.iter().flat_map(|air| at.air(air)));
    rows.extend(summary.strengths.iter().flat_map(|strengths| of_strengths(at, strengths)));
    if let Some(best) = &summary.validation {
        rows.push(At::new("validation", best.best_round).row("best_n_ce", best.best_n_ce));
    }
    rows
}

/// Of a row of snr.json.
pub(super) fn of_snr(scenario: &Scenario, rounds: u64, found: &AtSnr) -> Vec<Row> {
    let at = At::new("test", rounds).snr_db(found.snr_db);
    let mut rows = of_test(at, scenario, &found.test);
    rows.extend(found.channel.iter().flat_map(|air| at.air(air)));
    rows
}

fn of_test(at: At, scenario: &Scenario, test: &Test) -> Vec<Row> {
    let mut rows = vec![
        at.row("n_ce", test.n_ce).within(test.n_ce_ci95),
        at.row("sum_rate", test.sum_rate),
        at.row("joint_rate", test.joint_rate),
        at.row("entries", test.selected_entries),
    ];
    rows.extend(at.known([("joint_ceiling", test.joint_ceiling)]));
    let mut last = None;
    for (t, task) in by_receiver(&test.tasks) {
        rows.push(at.row(&task.metric, task.value).of(t).within(Some(task.ci95)));
        let others = at.known([
            ("balanced_accuracy", task.balanced_accuracy),
            ("macro_f1", task.macro_f1),
            ("majority", task.majority),
        ]);
        rows.extend(others.map(|row| row.of(t)));
        // A task with several metrics has one loss.
        let is_first = last.replace(t) != Some(t);
        rows.extend(is_first.then(|| at.row("ce", task.ce).of(t)));
    }
    rows.extend(test.missing.iter().flat_map(|missing| at.missing(missing)));
    let shares = test.selection.iter().map(|of| of.iter().flatten().copied().map(Some).collect());
    rows.extend(at.of_entries("granted", scenario, shares));
    let rates = test.entry_rates.iter().map(|of| of.iter().flatten().copied().collect());
    rows.extend(at.of_entries("rate", scenario, rates));
    let uses = test.entry_uses.iter().map(|of| of.iter().flatten().copied().map(Some).collect());
    rows.extend(at.of_entries("entry_uses", scenario, uses));
    rows.extend(test.classes.iter().flat_map(|classes| of_classes(at, classes)));
    rows.extend(test.confusion.iter().flat_map(|confusion| of_confusion(at, confusion, &test.classes)));
    rows
}

/// How many samples each class has.
fn of_classes(at: At, classes: &ClassCounts) -> Vec<Row> {
    let counts = [("train_samples", &classes.train), ("test_samples", &classes.test)];
    let rows = counts.into_iter().flat_map(|(quantity, counts)| {
        let row = move |(class, count): (usize, &u64)| {
            at.row(quantity, *count as f64).of(classes.receiver).named(name_of(&classes.names, class))
        };
        counts.iter().enumerate().map(row)
    });
    rows.collect()
}

/// How many samples of a class were answered with each, as "LABEL>ANSWER"; pairs without any are left out.
fn of_confusion(at: At, confusion: &Confusion, classes: &[ClassCounts]) -> Vec<Row> {
    let names: &[String] =
        classes.iter().find(|of| of.receiver == confusion.receiver).map_or(&[], |of| &of.names);
    let mut rows = Vec::new();
    for (label, answers) in confusion.counts.iter().enumerate() {
        for (answer, count) in answers.iter().enumerate().filter(|(_, count)| **count > 0) {
            let name = format!("{}>{}", name_of(names, label), name_of(names, answer));
            rows.push(at.row("confusion", *count as f64).of(confusion.receiver).named(name));
        }
    }
    rows
}

fn name_of(names: &[String], class: usize) -> String {
    names.get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// How strong links were. Steps are named by their least strength, in dB; those without links are left out.
fn of_strengths(at: At, strengths: &Strengths) -> Vec<Row> {
    let mut rows = vec![at.row("clear_groups", strengths.clear as f64)];
    rows.extend(at.known([("strongest_requested", strengths.strongest_requested)]));
    for (quantity, counts) in [("strength_links", &strengths.links), ("strength_granted", &strengths.granted)]
    {
        // What is zero among the granted is zero of so many links.
        let there = counts.iter().zip(&strengths.links).enumerate().filter(|(_, (_, links))| **links > 0);
        rows.extend(there.map(|(step, (count, _))| {
            let from = strengths.first_db + step as f64 * strengths.step_db;
            at.row(quantity, *count as f64).named(from.to_string())
        }));
    }
    rows
}

/// The rows of a summary with their receivers: rows of one receiver are adjacent, and have different metrics.
fn by_receiver(tasks: &[TaskResult]) -> Vec<(usize, &TaskResult)> {
    let mut found: Vec<(usize, &TaskResult)> = Vec::new();
    for task in tasks {
        let last = found.last().map(|(t, _)| *t);
        let another = |t: usize| {
            let mut of_last = found.iter().filter(|(of, _)| *of == t).map(|(_, known)| known);
            of_last.any(|known| known.name != task.name || known.metric == task.metric)
        };
        let t = last.map_or(0, |t| if another(t) { t + 1 } else { t });
        found.push((t, task));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::records::figures::tests::summary;

    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn task(name: &str, metric: &str) -> TaskResult {
        read(json!({"name": name, "metric": metric, "value": 0.5, "ci95": [0.4, 0.6], "ce": 0.1}))
    }

    #[test]
    fn metrics_of_a_task_are_of_one_receiver_and_the_same_task_again_is_of_the_next() {
        let tasks =
            [task("pose", "mpjpe"), task("pose", "pa-mpjpe"), task("digit", "top1"), task("digit", "top1")];
        let receivers: Vec<usize> = by_receiver(&tasks).into_iter().map(|(t, _)| t).collect();
        assert_eq!(receivers, [0, 0, 1, 2]);
    }

    #[test]
    fn all_of_a_summary_is_there_once() {
        let set = [
            "transmitter=[{modalities=[\"noise-1\",\"mel\"]}]",
            "receiver=[{task=\"parity\"},{task=\"digit\"}]",
            "network.receiver_limit=1",
            "network.transmitter_limit=2",
        ];
        let set = set.into_iter().map(Into::into).collect();
        let scenario = coordinator::ScenarioArguments { set, ..Default::default() }.resolve().unwrap();
        let mut summary = summary(-1.0, 7.0);
        let test = &mut summary.test;
        test.entry_rates = vec![vec![vec![Some(4.0), None]], vec![vec![Some(1.0), Some(2.0)]]];
        test.missing = read(json!({"used": 9, "lost": 2, "late": 1, "absent": 0}));
        test.confusion = read(json!([{"receiver": 1, "task": "digit", "counts": [[5, 1], [0, 4]]}]));
        test.classes = read(json!([{
            "receiver": 1, "task": "digit", "names": ["low", "high"], "train": [50, 60], "test": [6, 4], "empty": [],
            "majority": 0.6,
        }]));
        summary.channel = read(json!({
            "uses": 12.0, "snr_db": 10.0, "rate_sent": 3.0, "rate_received": 2.0, "capacity": null,
        }));
        summary.strengths = read(json!({
            "clear": 4, "strongest_requested": 0.75, "first_db": -10.0, "step_db": 2.0, "links": [0, 3, 2],
            "granted": [0, 0, 2],
        }));
        let rows = of_summary(&scenario, &summary);
        let of = |quantity: &str| -> Vec<String> {
            let cells = rows.iter().map(|row| row.clone().cells(&scenario).collect::<Vec<_>>());
            let wanted = cells.filter(|cells| cells[2] == quantity);
            wanted.map(|cells| format!("{} {} {} {}", cells[3], cells[6], cells[7], cells[8])).collect()
        };
        assert_eq!(of("ce"), ["0   0.5", "1   0.5"]);
        assert_eq!(
            (of("mse"), of("mpjpe"), of("top1")),
            (vec!["0   0.3".into()], vec!["0   120".into()], vec!["1   0.9".into()])
        );
        assert_eq!(of("rate"), ["0 0 noise-1 4", "1 0 noise-1 1", "1 1 mel 2"]);
        assert_eq!((of("entries_lost"), of("noise_share")), (vec!["   2".into()], vec!["   0.25".into()]));
        assert_eq!(of("confusion"), ["1  low>low 5", "1  low>high 1", "1  high>high 4"]);
        assert_eq!(of("test_samples"), ["1  low 6", "1  high 4"]);
        assert_eq!((of("uses"), of("rate_received")), (vec!["   12".into()], vec!["   2".into()]));
        assert_eq!(of("strength_links"), ["  -8 3", "  -6 2"]);
        assert_eq!(of("strength_granted"), ["  -8 0", "  -6 2"]);
        assert!(of("capacity").is_empty());

        let found = AtSnr { snr_db: 5.0, test: summary.test.clone(), channel: summary.channel };
        let rows = of_snr(&scenario, 6, &found);
        assert!(rows.len() > 20);
        assert!(rows.into_iter().all(|row| row.cells(&scenario).last().as_deref() == Some("5")));
    }
}
