//! `pom2dib bench serve`: the latency of a service over the offered load, or its accuracy over a budget of latency.

use std::{
    fs::File,
    path::PathBuf,
    process::{ExitCode, Stdio},
};

use anyhow::Context;
use coordinator::RunFolder;
use serde_json::{Value, json};

use crate::{
    bench::{measured_run, serve_budget},
    cli::complain::complain,
    draw::plot::{self, Axis, Diagram},
    program,
};

/// Command line of `bench serve`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Samples a second that are offered, one service each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [50.0, 100.0, 200.0, 400.0, 800.0])]
    pub(super) rates: Vec<f64>,

    /// Seconds for which each is offered
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    seconds: f64,

    /// How many samples are answered together at most
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_up_to: u16,

    /// Milliseconds that a sample waits for others to be answered with
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    wait_up_to: f64,

    /// Folder of the data set, if it has moved
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Instead of latency over load, measure accuracy over these budgets, in milliseconds, at the first of --rates
    #[arg(long, value_name = "MS,...", value_delimiter = ',')]
    pub(super) budgets: Vec<f64>,

    /// Change a key of straggler, link or channel, for example --set 'link=[{delay=0.01}]' (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Folder of serve.csv and serve.svg, with --budgets of budget.csv and budget.svg
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,

    /// Print only the table, as JSON, on standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// What a service came to at an offered load.
struct Point {
    rate: f64,
    summary: Value,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if let Err(error) = RunFolder::at(&arguments.run).scenario_to_evaluate(&arguments.set) {
        return complain(&error.into(), 2);
    }
    if !arguments.budgets.is_empty() {
        return serve_budget::run(arguments);
    }
    match measure(arguments) {
        Ok(points) => {
            print(&points, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<Vec<Point>> {
    std::fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    let mut points = Vec::new();
    for &rate in &arguments.rates {
        eprintln!("{rate} samples a second");
        points.push(Point { rate, summary: served(arguments, rate, None)?.summary });
        // Written after every point, so that results can be viewed early.
        plot::write(&arguments.out, &[("serve.csv", table(&points)), ("serve.svg", draw(&points)?)])?;
    }
    Ok(points)
}

/// What a service said.
pub(super) struct Served {
    pub(super) answers: Vec<Value>,
    pub(super) summary: Value,
}

/// A service at an offered load, perhaps with a deadline in milliseconds.
pub(super) fn served(arguments: &Arguments, rate: f64, deadline: Option<f64>) -> anyhow::Result<Served> {
    let log = arguments.out.join("stderr.log");
    let limit = (rate * arguments.seconds).ceil().max(1.0) as u64;
    let mut command = program::again()?;
    command.arg("serve").arg(&arguments.run).arg("--json");
    for (flag, value) in [
        ("--rate", rate.to_string()),
        ("--limit", limit.to_string()),
        ("--batch-up-to", arguments.batch_up_to.to_string()),
        ("--wait-up-to", arguments.wait_up_to.to_string()),
    ] {
        command.args([flag, &value]);
    }
    for assignment in &arguments.set {
        command.args(["--set", assignment]);
    }
    if let Some(deadline) = deadline {
        command.args(["--deadline", &deadline.to_string()]);
    }
    if let Some(data) = &arguments.data {
        command.arg("--data").arg(data);
    }
    let output = command.stdin(Stdio::null()).stderr(File::create(&log)?).output()?;
    measured_run::check(output.status, &log)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let mut answers = lines.context("the service's answers")?;
    let summary = answers.pop().context("the service said nothing")?;
    Ok(Served { answers, summary })
}

/// The columns behind `rate`, and where they stand in the summary.
const COLUMNS: [(&str, &str); 12] = [
    ("answered", "/answered"),
    ("skipped", "/skipped"),
    ("samples_per_second", "/samples_per_second"),
    ("samples_per_batch", "/samples_per_batch"),
    ("p50_ms", "/latency_ms/p50"),
    ("p90_ms", "/latency_ms/p90"),
    ("p99_ms", "/latency_ms/p99"),
    ("p999_ms", "/latency_ms/p999"),
    ("wait_p99_ms", "/stages_ms/wait/p99"),
    ("encode_p99_ms", "/stages_ms/encode/p99"),
    ("wire_p99_ms", "/stages_ms/wire/p99"),
    ("decode_p99_ms", "/stages_ms/decode/p99"),
];

impl Point {
    fn figure(&self, place: &str) -> f64 {
        self.summary.pointer(place).and_then(Value::as_f64).unwrap_or(0.0)
    }
}

/// A line for every load.
fn table(points: &[Point]) -> String {
    let names: Vec<&str> = std::iter::once("rate").chain(COLUMNS.map(|(name, _)| name)).collect();
    let line = |point: &Point| {
        let figures = COLUMNS.map(|(_, place)| format!("{:.3}", point.figure(place)));
        format!("{},{}\n", point.rate, figures.join(","))
    };
    format!("{}\n{}", names.join(","), points.iter().map(line).collect::<String>())
}

/// Latency, and answered samples a second, over the offered load.
fn draw(points: &[Point]) -> anyhow::Result<String> {
    let names: Vec<String> = points.iter().map(|point| point.rate.to_string()).collect();
    let diagram = |title: &str, lines: &[(&'static str, &str)]| {
        let lines: Vec<(&'static str, Vec<(f64, f64)>)> = lines
            .iter()
            .map(|&(name, place)| {
                let of = |(at, point): (usize, &Point)| (at as f64, point.figure(place));
                (name, points.iter().enumerate().map(of).collect())
            })
            .collect();
        let values = lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
        let top = 1.15 * values.fold(f64::MIN_POSITIVE, f64::max);
        Diagram { title: title.into(), lines, y: 0.0..top }
    };
    let diagrams = [
        diagram(
            "latency, ms",
            &[("p50", "/latency_ms/p50"), ("p90", "/latency_ms/p90"), ("p99", "/latency_ms/p99")],
        ),
        diagram("answered samples a second", &[("answered", "/samples_per_second")]),
    ];
    let name = name_at(&names);
    let axis = Axis::of_names("samples a second offered", names.len(), &name);
    plot::side_by_side("Latency over offered load", &diagrams, &axis)
}

/// The name at a whole number of an axis.
pub(super) fn name_at(names: &[String]) -> impl Fn(f64) -> String {
    |at| {
        let nearest = at.round();
        let is_near = (at - nearest).abs() < 1e-6 && nearest >= 0.0;
        is_near.then(|| names.get(nearest as usize).cloned()).flatten().unwrap_or_default()
    }
}

fn print(points: &[Point], json: bool) {
    if json {
        let rows: Vec<Value> =
            points.iter().map(|point| json!({ "rate": point.rate, "summary": point.summary })).collect();
        println!("{}", json!({ "rows": rows }));
        return;
    }
    println!(
        "{:>8}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "offered", "answered", "skipped", "p50 ms", "p90", "p99", "p99.9"
    );
    for point in points {
        println!(
            "{:>8}{:>8.0}/s{:>9}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
            point.rate,
            point.figure("/samples_per_second"),
            point.figure("/skipped"),
            point.figure("/latency_ms/p50"),
            point.figure("/latency_ms/p90"),
            point.figure("/latency_ms/p99"),
            point.figure("/latency_ms/p999"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_plot_have_every_load() {
        let summary = json!({
            "answered": 100, "skipped": 0, "samples_per_second": 49.5, "samples_per_batch": 1.0,
            "latency_ms": { "p50": 2.0, "p90": 3.0, "p99": 4.5, "p999": 5.0 },
            "stages_ms": { "wait": { "p99": 0.1 } },
        });
        let points = [50.0, 2000.0].map(|rate| Point { rate, summary: summary.clone() });
        let text = table(&points);
        assert!(
            text.starts_with("rate,answered,") && text.contains("\n50,100.000,0.000,49.500,1.000,2.000,"),
            "{text}"
        );
        let cells: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(cells, [13; 3]);
        let plot = draw(&points).unwrap();
        for word in ["50", "2000", "latency, ms", "samples a second offered"] {
            assert!(plot.contains(word), "{word}");
        }
    }
}
