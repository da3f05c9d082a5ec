//! `pom2dib bench snr`: scores over the SNR of channels, for networks that were trained in different ways.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use anyhow::{Context, bail};
use coordinator::{OnAir, ScenarioArguments, Summary, TaskResult, Test};
use scenario::{Channel, ChannelKind, Equaliser, Power, Scenario, SnrDb, Transport};
use serde::Serialize;

use crate::{
    bench::measured_run,
    cli::{
        complain::complain,
        evaluated::{label, scale},
    },
    draw::{
        chart::{Axis, Chart, Diagram, Line, Look, Mark, Series},
        picture,
        plot::write,
    },
    program,
    records::over_snr::OverSnr,
};

/// Es/N0 in dB of a channel that is as good as without noise.
const CLEAR: f64 = 100.0;

/// How far the ratio of a digital chain's uses to those of analogue features may be off 1.
const MOST_OFF: f64 = 0.05;

/// What is said of a digital chain beyond that.
const UNEQUAL: &str = "not at equal uses";

/// Command line of `bench snr`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// The SNRs: Es/N0 of every channel, in dB
    #[arg(long, value_name = "DB,...", value_delimiter = ',', allow_hyphen_values = true, default_values_t = [-6.0, 0.0, 6.0, 12.0, 20.0])]
    snr_db: Vec<f64>,

    /// The seeds; by default, the scenario's
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    seeds: Vec<u64>,

    /// The train.beta of each network with a digital chain; by default, the scenario's. `none` leaves the digital chain
    /// out. By default it is also left out where it cannot be, as over a `mac` or in a build without the feature
    /// `digital`
    #[arg(long, value_name = "BETA,...", value_delimiter = ',')]
    digital_beta: Vec<String>,

    /// Folder of the runs, snr.csv, snr.svg and snr.png. Finished runs in it are not repeated
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Print only the table, as JSON, on standard output
    #[arg(long)]
    json: bool,
}

/// How a network was trained.
#[derive(Clone, Debug, PartialEq)]
enum Training {
    /// At the SNR of its evaluation.
    Each(f64),
    /// At SNRs drawn from the whole range.
    Random(f64, f64),
    /// Without noise.
    Clear,
    /// With bits over channels without noise, at this train.beta.
    Digital(Option<String>),
}

/// A network, and the SNRs at which it is judged.
struct Planned {
    training: Training,
    seed: u64,
    arguments: ScenarioArguments,
    /// None: at that of its training, by its own summary.
    judged_at: Vec<f64>,
}

/// The scores of a network at an SNR.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    training: String,
    seed: u64,
    snr_db: f64,
    /// Channel uses over the ceil(d/2) a sample that the values of the same entries would take; none if nothing is
    /// known of them.
    uses_ratio: Option<f64>,
    /// Of a digital chain: that it is not compared at equal uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    test: Test,
    channel: Option<OnAir>,
}

impl Training {
    /// In the table and the picture.
    fn name(&self) -> String {
        match self {
            Training::Each(_) => "trained at each SNR".into(),
            Training::Random(..) => "trained at random SNRs".into(),
            Training::Clear => "trained without noise".into(),
            Training::Digital(None) => "digital chain".into(),
            Training::Digital(Some(beta)) => format!("digital chain, beta {beta}"),
        }
    }

    /// Of its folder.
    fn folder(&self) -> String {
        match self {
            Training::Each(snr_db) => format!("at-{snr_db}"),
            Training::Random(low, high) => format!("random-{low}-to-{high}"),
            Training::Clear => "clear".into(),
            Training::Digital(None) => "digital".into(),
            Training::Digital(Some(beta)) => format!("digital-beta-{beta}"),
        }
    }

    /// What sets it on a command line, given the scenario's channels.
    fn set(&self, channels: &[Channel]) -> Vec<String> {
        let (snr_db, is_digital) = match *self {
            Training::Each(snr_db) => (SnrDb::Fixed(snr_db), false),
            Training::Random(low, high) => (SnrDb::Range(low, high), false),
            Training::Clear => (SnrDb::Fixed(CLEAR), false),
            Training::Digital(_) => (SnrDb::Fixed(CLEAR), true),
        };
        let changed = channels.iter().cloned().map(|mut channel| {
            channel.snr_db = channel.snr_db.map(|_| snr_db);
            if !is_digital {
                channel.transport = Transport::Analogue;
                (channel.modulation, channel.code_rate) = (None, None);
            } else if channel.snr_db.is_some() {
                // A constellation has a power of its own.
                (channel.transport, channel.power, channel.peak) = (Transport::Digital, Power::Sample, None);
                channel.equaliser = Equaliser::Mmse;
            }
            channel
        });
        let tables =
            toml::Value::try_from(changed.collect::<Vec<_>>()).expect("channels have strings and numbers");
        let mut set = vec![format!("channel={tables}")];
        if let Training::Digital(beta) = self {
            set.extend(["train.coding=dithered", "train.rate_estimator=prior"].map(String::from));
            set.extend(beta.iter().map(|beta| format!("train.beta={beta}")));
        } else if channels.iter().any(Channel::is_digital) {
            // What a scenario with bits must have, values must not.
            set.extend(["train.coding=gaussian", "train.rate_estimator=per-dimension"].map(String::from));
        }
        set
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    // All networks are checked before the first is trained.
    let (planned, left_out) = match plan(arguments) {
        Ok(plan) => plan,
        Err(error) => return complain(&error, 2),
    };
    left_out.iter().for_each(|line| eprintln!("note: {}", link::printable(line)));
    match measure(arguments, &planned) {
        Ok(rows) => {
            print(&rows, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

/// All networks, and a line for each training that is left out.
fn plan(arguments: &Arguments) -> anyhow::Result<(Vec<Planned>, Vec<String>)> {
    let scenario = arguments.scenario.resolve()?;
    let channels = channels(&scenario);
    let mut snrs = arguments.snr_db.clone();
    snrs.sort_by(f64::total_cmp);
    snrs.dedup();
    let (Some(&low), Some(&high)) = (snrs.first(), snrs.last()) else { bail!("--snr-db: give at least one") };
    let mut trainings: Vec<Training> = snrs.iter().map(|snr_db| Training::Each(*snr_db)).collect();
    trainings.extend([Training::Random(low, high), Training::Clear]);
    match arguments.digital_beta.as_slice() {
        [] => trainings.push(Training::Digital(None)),
        [none] if none == "none" => {}
        betas => trainings.extend(betas.iter().map(|beta| Training::Digital(Some(beta.clone())))),
    }
    let set = |training: &Training, seed: u64| {
        let mut own = arguments.scenario.clone();
        own.seed = Some(seed);
        own.set.extend(training.set(&channels));
        own
    };
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for training in trainings {
        let checked = set(&training, scenario.seed).resolve().map(drop);
        match why_left_out(&training, checked.map_err(anyhow::Error::from))? {
            Some(why) => left_out.push(why),
            None => kept.push(training),
        }
    }
    let seeds = if arguments.seeds.is_empty() { vec![scenario.seed] } else { arguments.seeds.clone() };
    let planned = seeds.into_iter().flat_map(|seed| kept.iter().map(move |training| (seed, training)));
    let plan = |(seed, training): (u64, &Training)| Planned {
        training: training.clone(),
        seed,
        arguments: set(training, seed),
        judged_at: if matches!(training, Training::Each(_)) { Vec::new() } else { snrs.clone() },
    };
    Ok((planned.map(plan).collect(), left_out))
}

/// Why a training is left out, given what the check of its scenario says: one that nobody has asked for and that these
/// channels, or this program, cannot have. None if it is kept.
fn why_left_out(training: &Training, checked: anyhow::Result<()>) -> anyhow::Result<Option<String>> {
    let Err(error) = checked else { return Ok(None) };
    match training {
        // A mac has one SNR, and sends no bits; a program without the feature `digital` says how to get one with it.
        Training::Random(..) | Training::Digital(None) => {
            Ok(Some(format!("left out: {}: {error:#}", training.name())))
        }
        Training::Digital(Some(_)) => {
            Err(error.context(format!("{} (--digital-beta none leaves it out)", training.name())))
        }
        Training::Each(_) | Training::Clear => Err(error.context(training.name())),
    }
}

/// What is to be said of a digital chain with this ratio of its uses to those of analogue features.
fn unequal(ratio: f64) -> Option<&'static str> {
    ((ratio - 1.0).abs() > MOST_OFF).then_some(UNEQUAL)
}

/// The scenario's channels; one with white noise between all nodes if none has noise.
fn channels(scenario: &Scenario) -> Vec<Channel> {
    match scenario.channel.iter().any(|channel| channel.snr_db.is_some()) {
        true => scenario.channel.clone(),
        false => {
            vec![Channel { kind: ChannelKind::Awgn, snr_db: Some(SnrDb::Fixed(CLEAR)), ..Channel::default() }]
        }
    }
}

fn measure(arguments: &Arguments, planned: &[Planned]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (number, planned_one) in planned.iter().enumerate() {
        let of = format!(
            "{} of {}: seed {}, {}",
            number + 1,
            planned.len(),
            planned_one.seed,
            planned_one.training.name()
        );
        rows.extend(measure_one(arguments, planned_one, &of).with_context(|| of.clone())?);
        // Written after every network, so that results can be viewed early and survive an interruption.
        write(&arguments.out, &[("snr.csv", table(&rows))])?;
        picture::write(&arguments.out, "snr", &draw(&rows))?;
    }
    Ok(rows)
}

/// Trains a network and judges it, as far as that has not been done before.
fn measure_one(arguments: &Arguments, planned: &Planned, of: &str) -> anyhow::Result<Vec<Row>> {
    let folder = arguments.out.join(format!("seed-{}", planned.seed)).join(planned.training.folder());
    let summary = trained(planned, &folder, of)?;
    let is_digital = matches!(planned.training, Training::Digital(_));
    let row = |snr_db, test: Test, channel: Option<OnAir>| {
        // An older program, whose results may lie in the folder, has not counted the uses of entries.
        let counted = channel.filter(|air| air.uses > 0.0 && !test.entry_uses.is_empty());
        let uses_ratio = counted.map(|air| air.uses_ratio.unwrap_or(1.0));
        Row {
            training: planned.training.name(),
            seed: planned.seed,
            snr_db,
            uses_ratio,
            note: uses_ratio.filter(|_| is_digital).and_then(unequal),
            test,
            channel,
        }
    };
    if let Training::Each(snr_db) = planned.training {
        return Ok(vec![row(snr_db, summary.test, summary.channel)]);
    }
    let judged = judged(&folder, &planned.judged_at, of)?;
    Ok(judged.rows.into_iter().map(|judged| row(judged.snr_db, judged.test, judged.channel)).collect())
}

/// The summary of a network in a folder; a run of another scenario there is refused.
fn trained(planned: &Planned, folder: &Path, of: &str) -> anyhow::Result<Summary> {
    let summary = folder.join("summary.json");
    if summary.exists() {
        // Compared as scenarios, since a key may have been renamed since the file was written.
        let written = Scenario::read(&folder.join("scenario.toml"), &[]).ok();
        if written != Some(planned.arguments.resolve()?) {
            bail!("{} holds a run of another scenario: choose another --out, or remove it", folder.display());
        }
        return read(&summary);
    }
    eprintln!("{of}: training");
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let log = folder.with_extension("log");
    let mut words = planned.arguments.words();
    // Overwrites what an interrupted command left.
    words.push("--force".into());
    measured_run::check(measured_run::start(words, folder, &log)?.wait()?, &log)?;
    let _ = std::fs::remove_file(&log);
    read(&summary)
}

/// Scores of a network at these SNRs.
fn judged(folder: &Path, snrs: &[f64], of: &str) -> anyhow::Result<OverSnr> {
    let kept = folder.join("judged.json");
    if kept.exists() {
        let before: OverSnr = read(&kept)?;
        if before.rows.iter().map(|row| row.snr_db).eq(snrs.iter().copied()) {
            return Ok(before);
        }
    }
    eprintln!("{of}: judging at {} SNRs", snrs.len());
    let log = folder.with_extension("log");
    let list = snrs.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let mut command = program::again()?;
    command.arg("evaluate").arg(folder).args(["--json", "--snr-db", &list]);
    let output = command.stdin(Stdio::null()).stderr(std::fs::File::create(&log)?).output()?;
    measured_run::check(output.status, &log)?;
    let _ = std::fs::remove_file(&log);
    std::fs::write(&kept, output.stdout).with_context(|| kept.display().to_string())?;
    read(&kept)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// A line for every network, SNR and task.
fn table(rows: &[Row]) -> String {
    let mut text = "training,seed,snr_db,task,metric,value,ci95_low,ci95_high,ce,n_ce,sum_rate,uses,uses_ratio,capacity,lost,note\n"
        .to_owned();
    for row in rows {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.5}"));
        let uses = number(row.channel.map(|air| air.uses));
        let ratio = number(row.uses_ratio);
        let note = row.note.unwrap_or_default();
        let capacity = number(row.channel.and_then(|air| air.capacity));
        for task in &row.test.tasks {
            let [low, high] = task.ci95;
            let _ = writeln!(
                text,
                "\"{}\",{},{},{},{},{:.5},{low:.5},{high:.5},{:.5},{:.5},{:.3},{uses},{ratio},{capacity},{:.5},{note}",
                row.training,
                row.seed,
                row.snr_db,
                task.name,
                task.metric,
                task.value,
                task.ce,
                row.test.n_ce,
                row.test.sum_rate,
                lost(row)
            );
        }
    }
    text
}

/// The share of entries that did not arrive.
fn lost(row: &Row) -> f64 {
    row.test.missing.map_or(0.0, |missing| missing.share())
}

/// The names of all trainings, in their order.
fn trainings(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.training.as_str()) {
            names.push(&row.training);
        }
    }
    names
}

/// What a value of a training is at each SNR: the mean over seeds, the lowest and the highest.
fn over_seeds(rows: &[Row], training: &str, of: impl Fn(&Row) -> Option<f64>) -> Vec<(f64, [f64; 3])> {
    let own = || rows.iter().filter(|row| row.training == training);
    let mut snrs: Vec<f64> = own().map(|row| row.snr_db).collect();
    snrs.sort_by(f64::total_cmp);
    snrs.dedup();
    let at = |snr_db: f64| {
        let values: Vec<f64> = own().filter(|row| row.snr_db == snr_db).filter_map(&of).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (!values.is_empty()).then_some((snr_db, [mean, low, high]))
    };
    snrs.into_iter().filter_map(at).collect()
}

/// Each task's score, N-CE, and what the channel uses could carry, over the SNR; with bars where there are several
/// seeds.
fn draw(rows: &[Row]) -> Chart {
    let tasks: &[TaskResult] = rows.first().map_or(&[], |row| &row.test.tasks);
    let names = trainings(rows);
    let diagram = |title: &str, what: &str, of: &dyn Fn(&Row) -> Option<f64>| {
        let series = |(number, name): (usize, &&str)| {
            let points = over_seeds(rows, name, of);
            let bars = points.iter().filter(|(_, [_, low, high])| low < high);
            Series {
                name: (*name).into(),
                bars: bars.map(|&(at, [_, low, high])| [(at, low), (at, high)]).collect(),
                points: points.into_iter().map(|(at, [mean, ..])| (at, mean)).collect(),
                look: Look { color: Some(number), line: Line::Solid, mark: Mark::Dot },
            }
        };
        let series: Vec<Series> = names.iter().enumerate().map(series).collect();
        let values = series
            .iter()
            .flat_map(|series| series.points.iter().map(|(_, value)| *value))
            .collect::<Vec<_>>();
        Diagram {
            title: title.into(),
            x: Axis::linear("Es/N0, dB", rows.iter().map(|row| row.snr_db)),
            y: Axis::linear(what, values),
            series,
        }
    };
    let of_task = |(at, task): (usize, &TaskResult)| {
        let scale = scale(&task.metric);
        diagram(&task.name, label(&task.metric), &|row| Some(scale * row.test.tasks[at].value))
    };
    let mut diagrams: Vec<Diagram> = tasks.iter().enumerate().map(of_task).collect();
    diagrams.push(diagram("all tasks", "N-CE, nats", &|row| Some(row.test.n_ce)));
    diagrams.push(diagram("capacity of the channel uses", "nats a sample", &|row| {
        row.channel.and_then(|air| air.capacity)
    }));
    Chart { title: "Scores over the SNR of channels".into(), diagrams }
}

fn print(rows: &[Row], json: bool) {
    if json {
        println!("{}", serde_json::json!({ "rows": rows }));
        return;
    }
    print!(
        "{:<28}{:>8}{:>10}{:>10}{:>8}{:>8}{:>10}{:>9}",
        "", "dB", "N-CE", "sum-rate", "uses", "ratio", "capacity", "lost"
    );
    let tasks: &[TaskResult] = rows.first().map_or(&[], |row| &row.test.tasks);
    tasks.iter().for_each(|task| print!("{:>14}", format!("{}, {}", task.name, label(&task.metric))));
    println!();
    for name in trainings(rows) {
        let of = |of: &dyn Fn(&Row) -> Option<f64>| over_seeds(rows, name, of);
        let mean = |values: &[(f64, [f64; 3])], snr_db: f64| {
            values.iter().find(|(at, _)| *at == snr_db).map_or(f64::NAN, |(_, [mean, ..])| *mean)
        };
        let columns = [
            of(&|row| Some(row.test.sum_rate)),
            of(&|row| row.channel.map(|air| air.uses)),
            of(&|row| row.uses_ratio),
            of(&|row| row.channel.and_then(|air| air.capacity)),
            of(&|row| Some(100.0 * lost(row))),
        ];
        let scores = |(at, task): (usize, &TaskResult)| {
            let scale = scale(&task.metric);
            of(&move |row| Some(scale * row.test.tasks[at].value))
        };
        let scores: Vec<_> = tasks.iter().enumerate().map(scores).collect();
        for (snr_db, [n_ce, ..]) in of(&|row| Some(row.test.n_ce)) {
            let [rate, uses, ratio, capacity, lost] = columns.each_ref().map(|values| mean(values, snr_db));
            let ratio = if ratio.is_nan() { "–".to_owned() } else { format!("{ratio:.2}") };
            print!(
                "{name:<28}{snr_db:>8}{n_ce:>10.4}{rate:>10.2}{uses:>8.1}{ratio:>8}{capacity:>10.2}{lost:>7.1} %"
            );
            scores.iter().for_each(|values| print!("{:>14.2}", mean(values, snr_db)));
            let mut own = rows.iter().filter(|row| row.training == name && row.snr_db == snr_db);
            match own.find_map(|row| row.note) {
                Some(note) => println!("  {note}"),
                None => println!(),
            }
        }
    }
    println!("ratio: channel uses over those of the same entries as values, ceil(d/2) a sample");
    if rows.iter().any(|row| row.note.is_some()) {
        println!(
            "{UNEQUAL}: the ratio is more than 5 % off 1; blocks that do not fit want a larger train.beta (--digital-beta)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(training: &Training, channel: &str) -> anyhow::Result<Scenario> {
        let given = if channel.is_empty() { Vec::new() } else { vec![format!("channel=[{{{channel}}}]")] };
        parsed(training.set(&channels(&parsed(given)?)))
    }

    fn parsed(set: Vec<String>) -> anyhow::Result<Scenario> {
        let base = "[network]\nreceiver_limit = 1\ntransmitter_limit = 1\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        Ok(Scenario::parse(base, "test", &set)?)
    }

    #[test]
    fn what_these_channels_or_this_program_cannot_have_is_left_out_unless_it_is_asked_for() {
        let refused = || Err(anyhow::anyhow!("build it with --features digital"));
        let why = |training: &Training| why_left_out(training, refused()).unwrap().unwrap();
        assert_eq!(
            why(&Training::Digital(None)),
            "left out: digital chain: build it with --features digital"
        );
        assert!(why(&Training::Random(0.0, 5.0)).starts_with("left out: trained at random SNRs: "));
        let asked = why_left_out(&Training::Digital(Some("0.1".into())), refused()).unwrap_err();
        let line = format!("{asked:#}");
        assert!(line.contains("--digital-beta none") && line.contains("--features digital"), "{line}");
        why_left_out(&Training::Each(3.0), refused()).unwrap_err();
        assert_eq!(why_left_out(&Training::Clear, Ok(())).unwrap(), None);
    }

    #[test]
    fn uses_are_equal_within_5_percent() {
        assert_eq!([0.96, 1.0, 1.04].map(unequal), [None; 3]);
        assert_eq!([0.94, 1.06, 3.0].map(unequal), [Some(UNEQUAL); 3]);
    }

    #[test]
    fn every_training_has_the_scenarios_channels_at_its_own_snr() {
        let at = |training: &Training, channel: &str| {
            words(training, channel).unwrap().channel_between(0, 0).unwrap().clone()
        };
        let plain = at(&Training::Each(-3.0), "");
        assert_eq!((plain.kind, plain.snr_db), (ChannelKind::Awgn, Some(SnrDb::Fixed(-3.0))));
        let own = "kind=\"rayleigh\",snr_db=5,power=\"entry\",block=\"round\"";
        let random = at(&Training::Random(-6.0, 20.0), own);
        assert_eq!((random.kind, random.power), (ChannelKind::Rayleigh, Power::Entry));
        assert_eq!(random.snr_db, Some(SnrDb::Range(-6.0, 20.0)));
        // What only a digital transport has is left behind.
        let bits =
            format!("{own},transport=\"digital\",modulation=\"bpsk\"").replace("\"entry\"", "\"sample\"");
        let set = format!("channel=[{{{bits}}}]");
        let coded = ["train.coding=dithered", "train.rate_estimator=prior"].map(String::from);
        let scenario = parsed([&coded[..], &[set]].concat()).unwrap();
        let analogue = Training::Clear.set(&channels(&scenario));
        let analogue = parsed(analogue).unwrap();
        assert_eq!(analogue.channel_between(0, 0).unwrap().modulation, None);
        let digital = at(&Training::Digital(Some("0.01".into())), own);
        assert_eq!((digital.transport, digital.power), (Transport::Digital, Power::Sample));
        assert_eq!(digital.snr_db, Some(SnrDb::Fixed(CLEAR)));
        let scenario = words(&Training::Digital(Some("0.01".into())), own).unwrap();
        assert_eq!(scenario.train.beta, 0.01);
        assert!(words(&Training::Digital(None), "kind=\"mac\",snr_db=5").is_err());
    }
}
