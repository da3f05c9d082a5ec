//! `pom2dib bench loss`: the effect of lost entries on accuracy.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use anyhow::{Context, bail};
use coordinator::{ScenarioArguments, Summary};

use crate::{
    bench::measured_run,
    cli::complain::complain,
    draw::plot::{self, Axis, Diagram},
    program,
};

/// Command line of `bench loss`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// The probabilities with which every link loses an entry; 0 is always included
    #[arg(long, value_name = "P,...", value_delimiter = ',', default_values_t = [0.1, 0.2, 0.4, 0.6])]
    loss: Vec<f64>,

    /// Folder of the runs, loss.csv and loss.svg. Finished runs in it are not repeated
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Print only the table, as JSON, on standard output
    #[arg(long)]
    json: bool,
}

/// Scores over links of one loss rate.
struct Point {
    loss: f64,
    /// The network trained over such links.
    same: Summary,
    /// The network trained without loss.
    without: Summary,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let planned: Result<Vec<_>, _> = rates(arguments).into_iter().map(|loss| plan(arguments, loss)).collect();
    if let Err(error) = planned {
        return complain(&error, 2);
    }
    match measure(arguments) {
        Ok(points) => {
            print(&points, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

/// The distinct loss rates in increasing order.
fn rates(arguments: &Arguments) -> Vec<f64> {
    let mut rates = arguments.loss.clone();
    rates.push(0.0);
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    rates
}

/// Command line words that set the links' loss rate.
fn over(loss: f64) -> [String; 2] {
    ["straggler.policy=skip".into(), format!("link=[{{loss={loss:?}}}]")]
}

fn plan(arguments: &Arguments, loss: f64) -> anyhow::Result<ScenarioArguments> {
    let mut scenario = arguments.scenario.clone();
    scenario.set.extend(over(loss));
    scenario.resolve().with_context(|| format!("loss {loss}"))?;
    Ok(scenario)
}

fn measure(arguments: &Arguments) -> anyhow::Result<Vec<Point>> {
    let mut points = Vec::new();
    for loss in rates(arguments) {
        let same = trained(arguments, loss)?;
        let without = evaluated(arguments, loss)?;
        points.push(Point { loss, same, without });
        // Written after every point, so that results can be viewed early and survive an interruption.
        plot::write(&arguments.out, &[("loss.csv", table(&points)), ("loss.svg", draw(&points)?)])?;
    }
    Ok(points)
}

/// Trains a network over such links; a run of another scenario in its folder is refused.
fn trained(arguments: &Arguments, loss: f64) -> anyhow::Result<Summary> {
    let (scenario, out) = (plan(arguments, loss)?, folder(arguments, loss));
    if out.join("summary.json").exists() {
        // Compared as scenarios, since a key may have been renamed since the file was written.
        let written = scenario::Scenario::read(&out.join("scenario.toml"), &[]).ok();
        if written != Some(scenario.resolve()?) {
            bail!("{} holds a run of another scenario: choose another --out, or remove it", out.display());
        }
        return read(&out.join("summary.json"));
    }
    eprintln!("loss {loss}: training");
    let mut words = scenario.words();
    // Overwrites what an interrupted command left.
    words.push("--force".into());
    std::fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    let log = arguments.out.join("stderr.log");
    measured_run::check(measured_run::start(words, &out, &log)?.wait()?, &log)?;
    read(&out.join("summary.json"))
}

/// Evaluates the network trained without loss over such links.
fn evaluated(arguments: &Arguments, loss: f64) -> anyhow::Result<Summary> {
    let kept = folder(arguments, 0.0).join(format!("judged-at-{loss}.json"));
    if !kept.exists() {
        eprintln!("loss {loss}: evaluating the network that was trained without");
        let log = arguments.out.join("stderr.log");
        let mut command = program::again()?;
        command.arg("evaluate").arg(folder(arguments, 0.0)).arg("--json");
        command.args(over(loss).iter().flat_map(|assignment| ["--set", assignment]));
        let output = command.stdin(Stdio::null()).stderr(std::fs::File::create(&log)?).output()?;
        measured_run::check(output.status, &log)?;
        std::fs::write(&kept, output.stdout).with_context(|| kept.display().to_string())?;
    }
    read(&kept)
}

fn folder(arguments: &Arguments, loss: f64) -> PathBuf {
    arguments.out.join(format!("trained-at-{loss}"))
}

fn read(path: &Path) -> anyhow::Result<Summary> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// A line for every loss rate, network and task.
fn table(points: &[Point]) -> String {
    let mut text =
        "trained_at,judged_at,task,metric,value,ci95_low,ci95_high,ce,n_ce,sum_rate,missing\n".to_owned();
    for (trained_at, judged_at, summary) in rows(points) {
        let test = &summary.test;
        let missing = test.missing.map_or(0.0, |missing| missing.share());
        for task in &test.tasks {
            let [low, high] = task.ci95;
            text += &format!(
                "{trained_at},{judged_at},{},{},{:.5},{low:.5},{high:.5},{:.5},{:.5},{:.3},{missing:.5}\n",
                task.name, task.metric, task.value, task.ce, test.n_ce, test.sum_rate
            );
        }
    }
    text
}

/// Loss rate in training, loss rate in evaluation, and the summary; for each rate also the network trained without
/// loss.
fn rows(points: &[Point]) -> Vec<(f64, f64, &Summary)> {
    let own =
        points.iter().filter(|point| point.loss > 0.0).map(|point| (point.loss, point.loss, &point.same));
    points.iter().map(|point| (0.0, point.loss, &point.without)).chain(own).collect()
}

/// One diagram for each task: the score over the loss rate.
fn draw(points: &[Point]) -> anyhow::Result<String> {
    let Some(first) = points.first() else { return Ok(String::new()) };
    let score = |summary: &Summary, task: usize| 100.0 * summary.test.tasks[task].value;
    let diagram = |task: usize| {
        let line = |of: fn(&Point) -> &Summary| {
            points.iter().map(|point| (point.loss, score(of(point), task))).collect::<Vec<_>>()
        };
        let lines = vec![
            ("trained over such links", line(|point| &point.same)),
            ("trained without loss", line(|point| &point.without)),
        ];
        let least =
            lines.iter().flat_map(|(_, points)| points).map(|(_, score)| *score).fold(100.0, f64::min);
        let title = format!("{}: top-1, %", first.same.test.tasks[task].name);
        Diagram { title, lines, y: (least - 0.1 * (100.0 - least)).max(0.0) - 0.5..100.5 }
    };
    let diagrams: Vec<Diagram> = (0..first.same.test.tasks.len()).map(diagram).collect();
    let most = points.iter().map(|point| point.loss).fold(0.1, f64::max);
    let axis = Axis {
        title: "share of entries that links lose",
        range: -0.02..most + 0.02,
        labels: 6,
        name: &|at| ((at * 100.0).round() / 100.0).to_string(),
    };
    plot::side_by_side("Accuracy over links that lose entries", &diagrams, &axis)
}

fn print(points: &[Point], json: bool) {
    if json {
        let rows: Vec<_> = rows(points)
            .into_iter()
            .map(|(trained_at, judged_at, summary)| {
                serde_json::json!({"trained_at": trained_at, "judged_at": judged_at, "test": summary.test})
            })
            .collect();
        println!("{}", serde_json::json!({ "rows": rows }));
        return;
    }
    print!("{:>10}{:>10}{:>10}{:>10}{:>10}", "trained at", "tested at", "missing", "N-CE", "sum-rate");
    for task in points.iter().take(1).flat_map(|point| &point.same.test.tasks) {
        print!("{:>12}", task.name);
    }
    println!();
    for (trained_at, judged_at, summary) in rows(points) {
        let test = &summary.test;
        let missing = 100.0 * test.missing.map_or(0.0, |missing| missing.share());
        print!("{trained_at:>10}{judged_at:>10}{missing:>8.2} %{:>10.3}{:>10.1}", test.n_ce, test.sum_rate);
        for task in &test.tasks {
            print!("{:>10.2} %", 100.0 * task.value);
        }
        println!();
    }
}
