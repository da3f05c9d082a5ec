//! `pom2dib ask` and `pom2dib tell`: a search that another program drives.
//!
//! The points that were asked for are lines of `asked.jsonl` in the sweep's folder, and what was told of them lines of
//! `told.jsonl`. They are points of the sweep like others: its tables have them, and `sweep --resume` runs those that
//! nobody has run.

use std::{
    fs::{self, File},
    io::{IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    Arguments,
    axis::{Axis, label},
    halving::score,
    job::Job,
    plan::finished,
    plan_of,
    point::{Point, named},
};
use crate::{
    cli::complain::complain,
    launch::{Claims, Taken},
    records::figures::figures,
};

const ASKED: &str = "asked.jsonl";
const TOLD: &str = "told.jsonl";

/// Largest text that `tell` reads, in bytes.
const LARGEST: u64 = 1 << 20;

/// Ask a search for its next point, as JSON
///
/// DIR is the folder of a sweep with ranges, made by `pom2dib sweep ... --set KEY=LOW..HIGH --out DIR --print`. Without
/// values the next point of Sobol's sequence is drawn; an optimiser of another program gives its own, by --set. The
/// answer has "point" (its name), "folder", "command" (which runs it), "values", "rounds" and "space" (the ranges and
/// values).
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib sweep --set train.beta=1e-5..1e-1:log --rounds 50 --out search --print
  pom2dib ask search
  pom2dib ask search --set train.beta=0.003")]
pub(crate) struct AskArguments {
    /// The search's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// The value of a key of the search (may be repeated); of other keys it is drawn, or their first value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Tell a search what came of a point, as JSON
///
/// Standard input has an object with "point", the name that `ask` gave, and optionally "value", a number that is to be
/// high. By default the value is the run's N-CE on validation rows, or without such rows on the test set. The answer
/// has "point", "value", "value_is", "status", "figures", "told" (the number of points told so far) and "best".
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib tell search < told.json
  echo '{\"point\": \"train.beta=0.003\"}' | pom2dib tell search")]
pub(crate) struct TellArguments {
    /// The search's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A line of asked.jsonl.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Asked {
    point: String,
    values: Vec<(String, String)>,
    set: Vec<String>,
    /// Whether its values were drawn.
    drawn: bool,
}

/// What `tell` reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    point: String,
    value: Option<f64>,
}

/// A line of told.jsonl.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    point: String,
    value: f64,
    value_is: String,
}

pub(crate) fn ask(arguments: &AskArguments) -> ExitCode {
    answer(next(&arguments.folder, &arguments.set))
}

pub(crate) fn tell(arguments: &TellArguments) -> ExitCode {
    answer(hear(&arguments.folder))
}

fn answer(outcome: anyhow::Result<Value>) -> ExitCode {
    match outcome {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 2),
    }
}

/// The points of a folder that were asked for.
pub(super) fn asked(out: &Path) -> anyhow::Result<Vec<Point>> {
    let asked: Vec<Asked> = lines(&out.join(ASKED))?;
    let point = |asked: Asked| Point { name: asked.point, values: asked.values, set: asked.set };
    Ok(asked.into_iter().map(point).collect())
}

fn next(folder: &Path, set: &[String]) -> anyhow::Result<Value> {
    let arguments = Arguments::of_folder(folder)?;
    let out = std::path::absolute(folder).with_context(|| folder.display().to_string())?;
    let _turn = turn(&out)?;
    let space = arguments.space(true)?;
    ensure!(!space.ranges.is_empty(), "{}: its sweep has no ranges from which to ask", folder.display());
    let before: Vec<Asked> = lines(&out.join(ASKED))?;
    let mut given: Vec<(String, String)> = Vec::new();
    for assignment in set {
        let axis = Axis::parse(assignment)?;
        let known =
            space.ranges.iter().map(|range| &range.key).chain(space.axes.iter().map(|axis| &axis.key));
        let keys: Vec<&String> = known.collect();
        if !keys.contains(&&axis.key) {
            let keys: Vec<&str> = keys.into_iter().map(String::as_str).collect();
            bail!("--set {assignment}: this search has the keys {}", keys.join(", "));
        }
        ensure!(!axis.varies(), "--set {assignment}: one value");
        given.push((axis.key.clone(), axis.values[0].text.clone()));
    }
    let value_of = |key: &str| given.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
    let drawn = space.ranges.iter().any(|range| value_of(&range.key).is_none());
    let index = before.iter().filter(|asked| asked.drawn).count();
    let index = u32::try_from(index).context("the sequence has no more points")?;
    let places = space.draw(&arguments.search, index);
    let of_ranges: Vec<(String, String)> = space
        .ranges
        .iter()
        .zip(places)
        .map(|(range, drawn)| (range.key.clone(), value_of(&range.key).unwrap_or(drawn)))
        .collect();
    let of_axes: Vec<(String, String)> = space
        .axes
        .iter()
        .map(|axis| (axis.key.clone(), value_of(&axis.key).unwrap_or_else(|| axis.values[0].text.clone())))
        .collect();
    let varying = of_axes.iter().zip(&space.axes).filter(|(_, axis)| axis.varies()).map(|(value, _)| value);
    let values = of_ranges.iter().chain(varying).map(|(key, value)| (key.clone(), label(value)));
    let all = || of_ranges.iter().chain(&of_axes);
    let point = Point {
        name: String::new(),
        values: values.collect(),
        set: all().map(|(key, value)| format!("{key}={value}")).collect(),
    };
    // A name of its own, also for a point that was asked for before.
    let mut points = asked(&out)?;
    let is_known = points.iter().position(|known| known.set == point.set);
    let place = is_known.unwrap_or(points.len());
    if is_known.is_none() {
        points.push(point);
        points = named(points);
    }
    let point = points.swap_remove(place);
    let planned = plan_of(&arguments, &out, vec![point.clone()])?.pop().expect("one was planned");
    if is_known.is_none() {
        let line =
            Asked { point: point.name.clone(), values: point.values.clone(), set: point.set.clone(), drawn };
        append(&out.join(ASKED), &line)?;
    }
    Job::write(&planned, &arguments.place, None)?;
    let values: Map<String, Value> = all().map(|(key, value)| (key.clone(), written(value))).collect();
    let lists = space.axes.iter().filter(|axis| axis.varies()).map(|axis| {
        let values: Vec<Value> = axis.values.iter().map(|value| written(&value.text)).collect();
        json!({ "key": axis.key, "values": values })
    });
    let ranges = space.ranges.iter().map(|range| json!(range));
    Ok(json!({
        "point": point.name,
        "values": values,
        "rounds": planned.scenario.train.rounds,
        "folder": planned.folder,
        "command": ["pom2dib", "point", planned.folder],
        "done": finished(&planned.folder)?.is_some(),
        "space": ranges.chain(lists).collect::<Vec<_>>(),
    }))
}

fn hear(folder: &Path) -> anyhow::Result<Value> {
    let out = std::path::absolute(folder).with_context(|| folder.display().to_string())?;
    let report = read_report()?;
    let _turn = turn(&out)?;
    let asked: Vec<Asked> = lines(&out.join(ASKED))?;
    ensure!(
        asked.iter().any(|asked| asked.point == report.point),
        "\"{}\": `pom2dib ask {}` has given no such point",
        report.point,
        folder.display()
    );
    let run = out.join(&report.point);
    let summary = finished(&run)?;
    let own = summary.as_ref().map(|summary| match score(&run, summary.rounds) {
        Some(score) => (score, "n_ce on validation rows"),
        None => (summary.test.n_ce, "n_ce on the test set"),
    });
    let (value, value_is) = match (report.value, own) {
        (Some(value), _) => (value, "told"),
        (None, Some(own)) => own,
        (None, None) => bail!(
            "{}: its run is not done, and no value was told; run it with `pom2dib point {}`",
            report.point,
            run.display()
        ),
    };
    ensure!(value.is_finite(), "{}: the value is {value}, which cannot be compared", report.point);
    let told = Told { point: report.point.clone(), value, value_is: value_is.into() };
    append(&out.join(TOLD), &told)?;
    // The last word on a point holds.
    let mut latest: Vec<Told> = Vec::new();
    for line in lines::<Told>(&out.join(TOLD))? {
        latest.retain(|known| known.point != line.point);
        latest.push(line);
    }
    let best = latest.iter().reduce(|best, next| if next.value > best.value { next } else { best });
    let figures = summary.as_ref().map(|summary| {
        Map::from_iter(figures(summary).into_iter().map(|(name, value)| (name, json!(value))))
    });
    Ok(json!({
        "point": told.point,
        "value": told.value,
        "value_is": told.value_is,
        "status": if summary.is_some() { "done" } else { "open" },
        "figures": figures.unwrap_or_default(),
        "told": latest.len(),
        "best": best.map(|best| json!({ "point": best.point, "value": best.value })),
    }))
}

fn read_report() -> anyhow::Result<Report> {
    let example = "write {\"point\": \"NAME\"}, with the name that `ask` gave, to standard input";
    let mut input = std::io::stdin();
    ensure!(!input.is_terminal(), "{example}");
    let mut text = String::new();
    input.by_ref().take(LARGEST).read_to_string(&mut text).context(example)?;
    serde_json::from_str(&text).with_context(|| format!("standard input: {example}"))
}

/// One `ask` or `tell` at a time in a folder.
fn turn(out: &Path) -> anyhow::Result<crate::launch::Claim> {
    let place = out.join("asking");
    ensure!(out.is_dir(), "{} is no folder of a search", out.display());
    let mut claims = Claims::on(&place);
    loop {
        let taken = claims.take(|| std::process::exit(1)).with_context(|| place.display().to_string())?;
        match taken {
            Taken::Here(claim) => return Ok(claim),
            Taken::By(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A value as JSON: a number where it is one.
fn written(text: &str) -> Value {
    let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from));
    number.unwrap_or_else(|_| json!(text))
}

/// The lines of a file of JSON; none without it. A line that was not written to its end is left out.
fn lines<L: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<L>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| path.display().to_string())?,
    };
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).enumerate();
    let read = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}: line {}", path.display(), number + 1))
    };
    whole.map(read).collect()
}

fn append(path: &Path, line: &impl Serialize) -> anyhow::Result<()> {
    let write = || {
        let mut text = fs::read(path).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(error),
        })?;
        // What was not written to its end goes.
        text.truncate(text.iter().rposition(|letter| *letter == b'\n').map_or(0, |end| end + 1));
        let mut file = File::options().create(true).write(true).truncate(false).open(path)?;
        file.set_len(text.len() as u64)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        file.write_all((serde_json::to_string(line)? + "\n").as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| path.display().to_string())
}
