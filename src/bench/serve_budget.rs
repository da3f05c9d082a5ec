//! `pom2dib bench serve --budgets`: the accuracy of a service over the time that its answers may take.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::{
    bench::serve::{Arguments, Served, name_at, served},
    cli::complain::complain,
    draw::plot::{self, Axis, Diagram},
};

/// What a service came to under a budget.
struct Point {
    /// Milliseconds.
    budget: f64,
    /// Entries of an answer, mean.
    entries: f64,
    /// The share of answers that came within the budget.
    in_time: f64,
    summary: Value,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match measure(arguments) {
        Ok(points) => {
            print(&points, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<Vec<Point>> {
    let rate = arguments.rates.first().copied().unwrap_or(50.0);
    std::fs::create_dir_all(&arguments.out)?;
    let mut points = Vec::new();
    for &budget in &arguments.budgets {
        eprintln!("{budget} ms for an answer, {rate} samples a second");
        points.push(Point::of(budget, served(arguments, rate, Some(budget))?));
        // Written after every point, so that results can be viewed early.
        plot::write(&arguments.out, &[("budget.csv", table(&points)), ("budget.svg", draw(&points)?)])?;
    }
    Ok(points)
}

impl Point {
    fn of(budget: f64, served: Served) -> Self {
        let answered = served.answers.iter().filter(|line| line.get("skipped").is_none());
        let (mut answers, mut entries, mut in_time) = (0.0f64, 0.0, 0.0);
        for line in answered {
            answers += 1.0;
            entries += line["entries"].as_array().map_or(0, Vec::len) as f64;
            in_time +=
                f64::from(u8::from(line["latency_ms"].as_f64().is_some_and(|latency| latency <= budget)));
        }
        let (entries, in_time) = (entries / answers.max(1.0), in_time / answers.max(1.0));
        Point { budget, entries, in_time, summary: served.summary }
    }

    fn figure(&self, place: &str) -> f64 {
        self.summary.pointer(place).and_then(Value::as_f64).unwrap_or(0.0)
    }

    fn tasks(&self) -> &[Value] {
        self.summary["tasks"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// A line for every budget and task.
fn table(points: &[Point]) -> String {
    let mut text =
        "budget_ms,task,metric,value,judged,answered,skipped,in_time,entries,p50_ms,p99_ms\n".to_owned();
    for point in points {
        for task in point.tasks() {
            text += &format!(
                "{},{},{},{:.5},{},{},{},{:.4},{:.3},{:.3},{:.3}\n",
                point.budget,
                task["name"].as_str().unwrap_or_default(),
                task["metric"].as_str().unwrap_or_default(),
                task["value"].as_f64().unwrap_or(f64::NAN),
                task["judged"],
                point.summary["answered"],
                point.summary["skipped"],
                point.in_time,
                point.entries,
                point.figure("/latency_ms/p50"),
                point.figure("/latency_ms/p99"),
            );
        }
    }
    text
}

/// The score of every task over the budget, and how many entries an answer has.
fn draw(points: &[Point]) -> anyhow::Result<String> {
    let names: Vec<String> = points.iter().map(|point| point.budget.to_string()).collect();
    let line = |of: &dyn Fn(&Point) -> f64| -> Vec<(f64, f64)> {
        points.iter().enumerate().map(|(at, point)| (at as f64, of(point))).collect()
    };
    let diagram = |title: String, name, points: Vec<(f64, f64)>| {
        let top = points.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        Diagram { title, lines: vec![(name, points)], y: 0.0..1.15 * top }
    };
    let mut diagrams = Vec::new();
    for (at, task) in points.first().map(Point::tasks).unwrap_or_default().iter().enumerate() {
        let [name, metric] = ["name", "metric"].map(|key| task[key].as_str().unwrap_or_default());
        let score = |point: &Point| point.tasks()[at]["value"].as_f64().unwrap_or(0.0);
        diagrams.push(diagram(format!("{name}: {metric}"), "score", line(&score)));
    }
    diagrams.push(diagram("entries of an answer".into(), "decoded", line(&|point| point.entries)));
    let name = name_at(&names);
    let axis = Axis::of_names("ms that an answer may take", names.len(), &name);
    plot::side_by_side("Accuracy over a budget of latency", &diagrams, &axis)
}

fn print(points: &[Point], json: bool) {
    if json {
        let row = |point: &Point| json!({ "budget_ms": point.budget, "entries": point.entries, "in_time": point.in_time, "summary": point.summary });
        println!("{}", json!({ "rows": points.iter().map(row).collect::<Vec<Value>>() }));
        return;
    }
    print!("{:>10}{:>9}{:>9}{:>9}{:>9}", "budget ms", "p50", "p99", "in time", "entries");
    for task in points.first().map(Point::tasks).unwrap_or_default() {
        print!("{:>12}", task["name"].as_str().unwrap_or_default());
    }
    println!();
    for point in points {
        let [p50, p99] = ["p50", "p99"].map(|name| point.figure(&format!("/latency_ms/{name}")));
        let in_time = 100.0 * point.in_time;
        print!("{:>10}{p50:>9.2}{p99:>9.2}{in_time:>7.1} %{:>9.2}", point.budget, point.entries);
        for task in point.tasks() {
            print!("{:>12.4}", task["value"].as_f64().unwrap_or(f64::NAN));
        }
        println!();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(budget: f64, value: f64) -> Point {
        let answer = |entries: &[&str], latency: f64| json!({ "seq": 0, "receiver": 0, "entries": entries, "latency_ms": latency });
        let answers = vec![
            answer(&["0:a", "1:a"], budget - 1.0),
            answer(&["0:a"], budget + 1.0),
            json!({ "seq": 2, "skipped": "the queue was full" }),
        ];
        let summary = json!({
            "answered": 2, "skipped": 1, "latency_ms": { "p50": 3.0, "p99": 9.0 },
            "tasks": [{ "name": "digit", "metric": "top1", "value": value, "judged": 2 }],
        });
        Point::of(budget, Served { answers, summary })
    }

    #[test]
    fn a_budget_s_line_counts_entries_and_what_came_in_time() {
        let points = [point(5.0, 0.25), point(20.0, 0.75)];
        let text = table(&points);
        let expected = "\n5,digit,top1,0.25000,2,2,1,0.5000,1.500,3.000,9.000\n20,digit,top1,0.75000,";
        assert!(text.contains(expected), "{text}");
        let plot = draw(&points).unwrap();
        for word in ["digit: top1", "entries of an answer", "ms that an answer may take", "20"] {
            assert!(plot.contains(word), "{word}");
        }
    }
}
