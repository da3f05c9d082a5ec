//! `pom2dib evaluate DIR --grid`: evaluates one checkpoint where sensors are off or noisy and links lose entries.

use std::process::ExitCode;

use anyhow::Context;
use coordinator::{RunFolder, Summary, Test};
use scenario::Scenario;
use serde_json::{Value, json};

use super::evaluated::{Checkpoint, cells, evaluate, heads, label, scale};
use crate::{
    cli::complain::complain,
    draw::{
        matrix::{Cell, Matrix},
        picture,
    },
};

/// Up to this many sensors that are in use, every subset of them is turned off; of more, one or two at a time.
const ALL_SUBSETS: usize = 4;

/// Standard deviations of the sensors' noise, in root mean squares of a sample.
const NOISE: [f64; 4] = [0.1, 0.3, 1.0, 3.0];

/// Shares of the entries that links lose.
const LOSS: [f64; 4] = [0.1, 0.3, 0.5, 0.9];

/// Es/N0 of all channels with noise, dB.
const SNR_DB: [f64; 5] = [-6.0, 0.0, 6.0, 12.0, 20.0];

/// The name of the family of the undisturbed evaluation.
const UNDISTURBED: &str = "undisturbed";

/// A condition under which the checkpoint is evaluated.
struct Condition {
    family: &'static str,
    name: String,
    set: Vec<String>,
}

impl Condition {
    fn new(family: &'static str, name: String, set: String) -> Self {
        Condition { family, name, set: vec![set] }
    }
}

/// A condition, and the scores under it.
type Row = (Condition, Test);

pub(crate) fn run(checkpoint: &Checkpoint<'_>) -> ExitCode {
    let scenario = match RunFolder::at(checkpoint.folder).scenario_to_evaluate(checkpoint.set) {
        Ok(scenario) => scenario,
        Err(error) => return complain(&error.into(), 2),
    };
    match measure(checkpoint, &scenario) {
        Ok(rows) => {
            print(&rows, checkpoint.place.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

fn measure(checkpoint: &Checkpoint<'_>, scenario: &Scenario) -> anyhow::Result<Vec<Row>> {
    eprintln!("{UNDISTURBED}: evaluating");
    let summary = evaluate(checkpoint, "grid", &[])?;
    let conditions = conditions(scenario, &sensors_in_use(scenario, &summary));
    let (all, mut rows) = (conditions.len(), Vec::new());
    let undisturbed = Condition { family: UNDISTURBED, name: "as trained".into(), set: Vec::new() };
    rows.push((undisturbed, summary.test));
    for (number, condition) in (1..).zip(conditions) {
        eprintln!("{} ({number} of {all}): evaluating", condition.name);
        let summary = evaluate(checkpoint, "grid", &condition.set)?;
        rows.push((condition, summary.test));
        // Written after every condition, so that results can be viewed early and survive an interruption.
        let path = checkpoint.folder.join("grid.json");
        std::fs::write(&path, format!("{}\n", json(&rows))).with_context(|| path.display().to_string())?;
    }
    let path = checkpoint.folder.join("grid.csv");
    std::fs::write(&path, csv(&rows)).with_context(|| path.display().to_string())?;
    picture::write(checkpoint.folder, "grid", &draw(&rows))?;
    Ok(rows)
}

/// The sensors, such as "1/mel", of which any entry was granted in any pass.
fn sensors_in_use(scenario: &Scenario, summary: &Summary) -> Vec<String> {
    let mut sensors = Vec::new();
    for (k, transmitter) in scenario.transmitter.iter().enumerate() {
        for (m, modality) in transmitter.modalities.iter().enumerate() {
            let used = |receiver: &Vec<Vec<f64>>| receiver[k][m] > 0.0;
            if !scenario.is_off(k, m) && summary.test.selection.iter().any(used) {
                sensors.push(format!("{k}/{modality}"));
            }
        }
    }
    sensors
}

fn conditions(scenario: &Scenario, sensors: &[String]) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let off = |names: &[&str]| {
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let already = scenario.evaluation.off.iter().map(|name| format!("\"{name}\""));
        format!("evaluation.off=[{}]", already.chain(quoted).collect::<Vec<_>>().join(","))
    };
    for subset in subsets(sensors) {
        conditions.push(Condition::new(
            "sensors off",
            format!("without {}", subset.join(", ")),
            off(&subset),
        ));
    }
    for k in 0..scenario.transmitters() {
        let name = k.to_string();
        if sensors.iter().filter(|sensor| sensor.starts_with(&format!("{k}/"))).count() > 1 {
            let condition =
                Condition::new("transmitter leaves", format!("without transmitter {k}"), off(&[&name]));
            conditions.push(condition);
        }
    }
    for noise in NOISE {
        let set = format!("evaluation.sensor_noise={noise}");
        conditions.push(Condition::new("sensor noise", format!("sensor noise {noise}"), set));
    }
    for loss in LOSS {
        let mut condition = Condition::new(
            "lost entries",
            format!("{} % lost", 100.0 * loss),
            format!("link=[{{loss={loss}}}]"),
        );
        condition.set.push("straggler.policy=skip".into());
        conditions.push(condition);
    }
    for snr_db in SNR_DB {
        let set = scenario.channels_at(snr_db);
        conditions.extend(set.map(|set| Condition::new("SNR", format!("{snr_db} dB"), set)));
    }
    conditions
}

/// All nonempty subsets of few sensors; single ones and pairs of many.
fn subsets(sensors: &[String]) -> Vec<Vec<&str>> {
    let most = if sensors.len() <= ALL_SUBSETS { sensors.len() } else { 2 };
    let mut subsets: Vec<Vec<&str>> = vec![Vec::new()];
    for sensor in sensors {
        let with: Vec<Vec<&str>> = subsets
            .iter()
            .filter(|subset| subset.len() < most)
            .map(|subset| [subset.as_slice(), &[sensor.as_str()]].concat())
            .collect();
        subsets.extend(with);
    }
    subsets.retain(|subset| !subset.is_empty());
    subsets.sort_by_key(Vec::len);
    subsets
}

/// For each family of disturbances, in order, the mean score of every task, and N-CE, over its conditions: the area
/// under the curve over them.
fn areas(rows: &[Row]) -> Vec<(&'static str, f64, Vec<f64>)> {
    let mut families: Vec<&'static str> = rows.iter().map(|(condition, _)| condition.family).collect();
    families.dedup();
    let area = |family: &'static str| {
        let of: Vec<&Test> =
            rows.iter().filter(|(condition, _)| condition.family == family).map(|(_, test)| test).collect();
        let mean =
            |value: &dyn Fn(&Test) -> f64| of.iter().map(|test| value(test)).sum::<f64>() / of.len() as f64;
        let tasks = of.first().map_or(0, |test| test.tasks.len());
        (family, mean(&|test| test.n_ce), (0..tasks).map(|at| mean(&|test| test.tasks[at].value)).collect())
    };
    families.into_iter().filter(|family| *family != UNDISTURBED).map(area).collect()
}

fn json(rows: &[Row]) -> Value {
    let row = |(condition, test): &Row| json!({"family": condition.family, "condition": condition.name, "set": condition.set, "test": test});
    let area = |(family, n_ce, tasks): (&str, f64, Vec<f64>)| json!({"family": family, "n_ce": n_ce, "tasks": tasks});
    json!({
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "areas": areas(rows).into_iter().map(area).collect::<Vec<_>>(),
    })
}

fn csv(rows: &[Row]) -> String {
    let mut text = "family,condition,n_ce,task,metric,score,low,high\n".to_owned();
    for (condition, test) in rows {
        for task in &test.tasks {
            let ([low, high], Condition { family, name, .. }) = (task.ci95, condition);
            let (task_name, metric, value) = (&task.name, &task.metric, task.value);
            text += &format!("{family},\"{name}\",{},{task_name},{metric},{value},{low},{high}\n", test.n_ce);
        }
    }
    text
}

fn print(rows: &[Row], as_json: bool) {
    if as_json {
        println!("{}", json(rows));
        return;
    }
    let width = rows.iter().map(|(condition, _)| condition.name.chars().count()).max().unwrap_or(0);
    let tasks = rows.first().map_or(&[][..], |(_, test)| test.tasks.as_slice());
    println!("{:width$}{:>10}{}", "", "N-CE", heads(tasks));
    for (condition, test) in rows {
        println!("{:width$}{:>10.4}{}", condition.name, test.n_ce, cells(&test.tasks));
    }
    println!("\nmean over the conditions of a family:");
    for (family, n_ce, scores) in areas(rows) {
        print!("{family:width$}{n_ce:>10.4}");
        let scores = scores.iter().zip(tasks);
        scores.for_each(|(score, task)| print!("{:>10.2} {:15}", scale(&task.metric) * score, ""));
        println!();
    }
}

/// A row for each condition, a column for each task. A cell is full where the score is that of the undisturbed
/// evaluation, and empty where it is no better than the worst of all conditions.
fn draw(rows: &[Row]) -> Matrix {
    let tasks = rows.first().map_or(&[][..], |(_, test)| test.tasks.as_slice());
    let cell = |(at, test): (usize, &Test)| {
        let values = || rows.iter().map(|(_, test)| test.tasks[at].value);
        let (task, undisturbed) = (&test.tasks[at], tasks[at].value);
        // The farthest from the undisturbed score, in whichever direction a worse one lies.
        let worst = values().max_by(|a, b| (a - undisturbed).abs().total_cmp(&(b - undisturbed).abs()));
        let spread = worst.unwrap_or(undisturbed) - undisturbed;
        let share = if spread == 0.0 { 1.0 } else { 1.0 - (task.value - undisturbed) / spread };
        Cell { share, text: format!("{:.2}", scale(&task.metric) * task.value) }
    };
    Matrix {
        title: "One checkpoint under disturbances".into(),
        columns: tasks.iter().map(|task| format!("{}, {}", task.name, label(&task.metric))).collect(),
        rows: rows
            .iter()
            .map(|(condition, test)| {
                (condition.name.clone(), (0..tasks.len()).map(|at| cell((at, test))).collect())
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_sensors_all_subsets_are_turned_off_and_of_many_pairs() {
        let names = |count: usize| (0..count).map(|k| format!("{k}/fft")).collect::<Vec<_>>();
        assert_eq!(subsets(&names(2)), [vec!["0/fft"], vec!["1/fft"], vec!["0/fft", "1/fft"]]);
        assert_eq!(subsets(&names(4)).len(), 15);
        let many = names(6);
        let of_many = subsets(&many);
        assert_eq!(of_many.len(), 6 + 15);
        assert!(of_many.iter().all(|subset| subset.len() <= 2));
        assert!(subsets(&[]).is_empty());
    }
}
