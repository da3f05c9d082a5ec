//! `pom2dib evaluate DIR --grid`: evaluates one checkpoint where sensors are off, noisy, blurred or late and links lose
//! entries.

mod without;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use coordinator::{RunFolder, Summary, Test};
use data::Needs;
use randomness::Seed;
use scenario::Scenario;
use serde_json::{Value, json};

use self::without::{Compared, Without};
use super::evaluated::{Checkpoint, cells, evaluate, heads, label, scale};
use crate::{
    cli::complain::complain,
    draw::{
        matrix::{Cell, Matrix},
        picture,
    },
};

/// Up to this many sensors that are in use, every subset of them is turned off; of more, one or two at a time.
const ALL_SUBSETS: usize = 6;

/// Standard deviations of the sensors' noise, in root mean squares of a sample.
const NOISE: [f64; 4] = [0.1, 0.3, 1.0, 3.0];

/// Standard deviations of the sensors' blur, in places of a sample.
const BLUR: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// Test rows by which the sensors lag behind.
const STALE: [usize; 4] = [1, 2, 4, 8];

/// Shares of the entries that links lose.
const LOSS: [f64; 4] = [0.1, 0.3, 0.5, 0.9];

/// Es/N0 of all channels with noise, dB.
const SNR_DB: [f64; 5] = [-6.0, 0.0, 6.0, 12.0, 20.0];

/// The name of the family of the undisturbed evaluation.
const UNDISTURBED: &str = "undisturbed";

/// The name of the undisturbed evaluation.
const AS_TRAINED: &str = "as trained";

/// The name of the family of other networks, which were trained without a sensor.
const TRAINED_WITHOUT: &str = "trained without";

/// A condition under which the checkpoint is evaluated.
#[derive(Clone)]
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

/// All that the grid found.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    compared: Vec<Compared>,
}

/// All that is known before the first evaluation, checked.
struct Planned {
    scenario: Scenario,
    without: Vec<Without>,
    /// The conditions that do not depend on which sensors are in use.
    disturbed: Vec<Condition>,
}

/// Evaluates; `without` are the folders of runs that were trained without some of the sensors.
pub(crate) fn run(checkpoint: &Checkpoint<'_>, without: &[PathBuf]) -> ExitCode {
    let planned = match plan(checkpoint, without) {
        Ok(planned) => planned,
        Err(error) => return complain(&error, 2),
    };
    match measure(checkpoint, &planned) {
        Ok(found) => {
            print(&found, checkpoint.place.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

fn plan(checkpoint: &Checkpoint<'_>, without: &[PathBuf]) -> anyhow::Result<Planned> {
    let folder = RunFolder::at(checkpoint.folder);
    let scenario = folder.scenario_to_evaluate(checkpoint.set)?;
    let without: anyhow::Result<Vec<Without>> =
        without.iter().map(|folder| Without::open(&scenario, folder, checkpoint)).collect();
    let without = without?;
    let unknown = match is_in_time(&scenario, checkpoint.data) {
        Ok(true) => None,
        Ok(false) => Some("it is not known which test rows follow each other in time".to_owned()),
        Err(error) => Some(format!("{error:#}")),
    };
    if let Some(why) = &unknown {
        eprintln!("note: stale samples are left out: {}", link::printable(why));
    }
    let disturbed = accepted(&folder, checkpoint.set, disturbed(&scenario, unknown.is_none()));
    Ok(Planned { scenario, without, disturbed })
}

/// Whether test rows follow each other in time. A data set of one's own is asked for its recordings.
fn is_in_time(scenario: &Scenario, data: Option<&Path>) -> anyhow::Result<bool> {
    if let Some(known) = scenario.is_in_time() {
        return Ok(known);
    }
    let needs = Needs { modalities: &[], tasks: &[] };
    let source = node::data_source(scenario, data.map(Path::to_owned))?;
    let dataset = source.open(Seed::from_number(scenario.seed), &needs)?;
    Ok(dataset.recordings(scenario.evaluation.recordings.as_deref())?.is_some())
}

/// Those of the conditions under which the run in a folder can be evaluated; a note says why another cannot.
fn accepted(folder: &RunFolder, set: &[String], conditions: Vec<Condition>) -> Vec<Condition> {
    let is_accepted = |condition: &Condition| {
        let refused = folder.scenario_to_evaluate(&[set, condition.set.as_slice()].concat()).err();
        if let Some(error) = &refused {
            let line = format!("{} is left out: {error}", condition.name);
            eprintln!("note: {}", link::printable(&line));
        }
        refused.is_none()
    };
    conditions.into_iter().filter(is_accepted).collect()
}

fn measure(checkpoint: &Checkpoint<'_>, planned: &Planned) -> anyhow::Result<Found> {
    let Planned { scenario, without, disturbed } = planned;
    let log = checkpoint.folder.join("grid.log");
    eprintln!("{UNDISTURBED}: evaluating");
    let summary = evaluate(checkpoint, &log, &[])?;
    let in_use = sensors_in_use(scenario, &summary);
    let off_together: Vec<Vec<&str>> = without.iter().map(|without| without.among(&in_use)).collect();
    let turned_off = turned_off(scenario, &in_use, &off_together);
    let mut conditions = accepted(&RunFolder::at(checkpoint.folder), checkpoint.set, turned_off);
    conditions.extend_from_slice(disturbed);
    let (all, mut found) = (conditions.len() + without.len(), Found::default());
    let undisturbed = Condition { family: UNDISTURBED, name: AS_TRAINED.into(), set: Vec::new() };
    found.rows.push((undisturbed, summary.test));
    // Written after every condition, so that results can be viewed early and survive an interruption.
    let path = checkpoint.folder.join("grid.json");
    let write = |found: &Found| {
        std::fs::write(&path, format!("{}\n", json(found))).with_context(|| path.display().to_string())
    };
    let mut numbers = 1..;
    let mut say = |name: &str| {
        let number = numbers.next().unwrap_or(all);
        eprintln!("{name} ({number} of {all}): evaluating");
    };
    for condition in conditions {
        say(&condition.name);
        let summary = evaluate(checkpoint, &log, &condition.set)?;
        found.rows.push((condition, summary.test));
        write(&found)?;
    }
    for (without, off) in without.iter().zip(&off_together) {
        say(&without.name());
        let test = without.evaluate(checkpoint, &log)?;
        // If the missing sensors are not in use, the network is undisturbed.
        let name = if off.is_empty() { AS_TRAINED.to_owned() } else { name_of_off(off) };
        match found.rows.iter().find(|(condition, _)| condition.name == name) {
            Some((_, off)) => found.compared.push(Compared::new(without, &name, off, &test)),
            None => {
                let line = format!("{} is compared with nothing: {name} was left out", without.name());
                eprintln!("note: {}", link::printable(&line));
            }
        }
        let condition = Condition { family: TRAINED_WITHOUT, name: without.name(), set: Vec::new() };
        found.rows.push((condition, test));
        write(&found)?;
    }
    let path = checkpoint.folder.join("grid.csv");
    std::fs::write(&path, csv(&found.rows)).with_context(|| path.display().to_string())?;
    picture::write(checkpoint.folder, "grid", &draw(&found.rows))?;
    Ok(found)
}

/// What the condition is called under which these sensors are off.
fn name_of_off(sensors: &[&str]) -> String {
    format!("without {}", sensors.join(", "))
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

/// The conditions with sensors off; some are off together in any case.
fn turned_off(scenario: &Scenario, sensors: &[String], off_together: &[Vec<&str>]) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let off = |names: &[&str]| {
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let already = scenario.evaluation.off.iter().map(|name| format!("\"{name}\""));
        format!("evaluation.off=[{}]", already.chain(quoted).collect::<Vec<_>>().join(","))
    };
    let mut all_off = subsets(sensors);
    for subset in off_together {
        if !subset.is_empty() && !all_off.contains(subset) {
            all_off.push(subset.clone());
        }
    }
    for subset in all_off {
        conditions.push(Condition::new("sensors off", name_of_off(&subset), off(&subset)));
    }
    for k in 0..scenario.transmitters() {
        let name = k.to_string();
        if sensors.iter().filter(|sensor| sensor.starts_with(&format!("{k}/"))).count() > 1 {
            let condition =
                Condition::new("transmitter leaves", format!("without transmitter {k}"), off(&[&name]));
            conditions.push(condition);
        }
    }
    conditions
}

/// The conditions of all sensors, links and channels.
fn disturbed(scenario: &Scenario, is_in_time: bool) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for noise in NOISE {
        let set = format!("evaluation.sensor_noise={noise}");
        conditions.push(Condition::new("sensor noise", format!("sensor noise {noise}"), set));
    }
    for blur in BLUR {
        let set = format!("evaluation.blur={blur}");
        conditions.push(Condition::new("sensor blur", format!("sensor blur {blur}"), set));
    }
    for stale in STALE.into_iter().filter(|_| is_in_time) {
        let set = format!("evaluation.stale={stale}");
        conditions.push(Condition::new("stale samples", format!("{stale} rows late"), set));
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

/// For each family of disturbances, in order, the plain mean of N-CE, and of the score of every task, over its
/// conditions.
fn means(rows: &[Row]) -> Vec<(&'static str, f64, Vec<f64>)> {
    let mut families: Vec<&'static str> = rows.iter().map(|(condition, _)| condition.family).collect();
    families.dedup();
    let mean_of = |family: &'static str| {
        let of: Vec<&Test> =
            rows.iter().filter(|(condition, _)| condition.family == family).map(|(_, test)| test).collect();
        let mean =
            |value: &dyn Fn(&Test) -> f64| of.iter().map(|test| value(test)).sum::<f64>() / of.len() as f64;
        let tasks = of.first().map_or(0, |test| test.tasks.len());
        (family, mean(&|test| test.n_ce), (0..tasks).map(|at| mean(&|test| test.tasks[at].value)).collect())
    };
    let is_disturbed = |family: &&str| ![UNDISTURBED, TRAINED_WITHOUT].contains(family);
    families.into_iter().filter(is_disturbed).map(mean_of).collect()
}

fn json(Found { rows, compared }: &Found) -> Value {
    let row = |(condition, test): &Row| {
        let Condition { family, name, set } = condition;
        json!({"family": family, "condition": name, "set": set, "test": test})
    };
    let mean = |(family, n_ce, tasks): (&str, f64, Vec<f64>)| json!({"family": family, "n_ce": n_ce, "tasks": tasks});
    let means: Vec<Value> = means(rows).into_iter().map(mean).collect();
    json!({
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "means": means,
        // Their old name.
        "areas": means,
        "without": compared.iter().map(Compared::json).collect::<Vec<_>>(),
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

fn print(found: &Found, as_json: bool) {
    if as_json {
        println!("{}", json(found));
        return;
    }
    let Found { rows, compared } = found;
    let width = rows.iter().map(|(condition, _)| condition.name.chars().count()).max().unwrap_or(0);
    let tasks = rows.first().map_or(&[][..], |(_, test)| test.tasks.as_slice());
    println!("{:width$}{:>10}{}", "", "N-CE", heads(tasks));
    for (condition, test) in rows {
        println!("{:width$}{:>10.4}{}", condition.name, test.n_ce, cells(&test.tasks));
    }
    println!("\nmean over the conditions of a family:");
    for (family, n_ce, scores) in means(rows) {
        print!("{family:width$}{n_ce:>10.4}");
        let scores = scores.iter().zip(tasks);
        scores.for_each(|(score, task)| print!("{:>10.2} {:15}", scale(&task.metric) * score, ""));
        println!();
    }
    if !compared.is_empty() {
        println!("\nbeside networks that were trained without a sensor:");
        compared.iter().for_each(|compared| print!("{}", compared.text()));
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
    use std::sync::Arc;

    use data::{DataError, Dataset, Settings, Source, Split, Targets};

    use super::*;

    const SCENARIO: &str = "network.receiver_limit = 1\n[straggler]\ndeadline = 40.0\npatience = 30.0\n\
                            [[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";

    /// A data set of one's own, whose test rows are one recording if that is asked for.
    struct Rows;

    impl Source for Rows {
        fn modalities(&self) -> Vec<String> {
            vec!["fft".into()]
        }

        fn tasks(&self) -> Vec<String> {
            vec!["digit".into()]
        }

        fn open(&self, _: &Settings, _: Seed, _: &Needs) -> Result<Box<dyn Dataset>, DataError> {
            Ok(Box::new(Rows))
        }
    }

    impl Dataset for Rows {
        fn samples(&self, _: Split) -> usize {
            3
        }

        fn width(&self, _: &str) -> Option<usize> {
            Some(1)
        }

        fn read(&self, _: &str, _: Split, _: usize, _: u64, out: &mut [f32]) -> Result<(), DataError> {
            out.fill(0.0);
            Ok(())
        }

        fn targets(&self, _: &str, _: Split) -> Option<Targets> {
            None
        }

        fn clusters(&self) -> Vec<u32> {
            vec![0; 3]
        }

        fn recordings(&self, named: Option<&str>) -> Result<Option<Vec<u32>>, DataError> {
            Ok(named.map(|_| vec![0; 3]))
        }

        fn digest(&self) -> [u8; 32] {
            [0; 32]
        }
    }

    #[test]
    fn a_data_set_of_ones_own_is_asked_whether_its_rows_follow_each_other_in_time() {
        data::register("rows-of-the-grid", Arc::new(Rows)).unwrap();
        let of = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
            let scenario = Scenario::parse(SCENARIO, "my.toml", &sets).unwrap();
            let is_in_time = is_in_time(&scenario, None).unwrap();
            let conditions = disturbed(&scenario, is_in_time);
            conditions.iter().filter(|condition| condition.family == "stale samples").count()
        };
        let own = "data.source=rows-of-the-grid";
        assert_eq!(of(&[own, "evaluation.recordings=recording"]), STALE.len());
        assert_eq!([of(&[own]), of(&["data.source=digits"])], [0, 0]);
    }

    #[test]
    fn conditions_that_a_run_refuses_are_left_out_beforehand() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("scenario.toml"), SCENARIO).unwrap();
        let folder = RunFolder::at(place.path());
        let scenario = folder.scenario().unwrap();
        let left = |set: &[String]| -> Vec<&'static str> {
            let accepted = accepted(&folder, set, disturbed(&scenario, false));
            let mut families: Vec<&str> = accepted.iter().map(|condition| condition.family).collect();
            families.dedup();
            families
        };
        // With policy "skip", patience must exceed the deadline.
        assert_eq!(left(&[]), ["sensor noise", "sensor blur"]);
        let patient = ["straggler.patience=50.0".to_owned()];
        assert_eq!(left(&patient), ["sensor noise", "sensor blur", "lost entries"]);
    }

    #[test]
    fn of_few_sensors_all_subsets_are_turned_off_and_of_many_pairs() {
        let names = |count: usize| (0..count).map(|k| format!("{k}/fft")).collect::<Vec<_>>();
        assert_eq!(subsets(&names(2)), [vec!["0/fft"], vec!["1/fft"], vec!["0/fft", "1/fft"]]);
        assert_eq!(subsets(&names(6)).len(), 63);
        let many = names(7);
        let of_many = subsets(&many);
        assert_eq!(of_many.len(), 7 + 21);
        assert!(of_many.iter().all(|subset| subset.len() <= 2));
        assert!(subsets(&[]).is_empty());
    }
}
