//! `pom2dib data fetch|verify|info|synthesise`.

use std::{
    collections::HashMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum, builder::PossibleValuesParser};
use coordinator::ScenarioArguments;
use data::{Chosen, DataError, FetchEvent, Mirrors, Report, Settings};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use scenario::Scenario;
use synthetic::Plan;

use crate::{
    cli::{check, slow::Slow},
    run::mmfi,
};

/// Fetch, check, describe or synthesise a data set.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib data fetch handwritten
  pom2dib data info arrays --data DIR
  pom2dib data verify arrays --data DIR --scenario mine.toml
  pom2dib data verify handwritten DIR --own")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Download a data set from its public mirrors and check every file; existing files are kept
    #[command(after_long_help = "Example:
  pom2dib data fetch handwritten data-cache/handwritten")]
    Fetch {
        /// Which data set
        name: Fetched,
        #[command(flatten)]
        folder: Folder,
        /// URL, ending in /, of a folder with the four MNIST files to try first
        #[arg(long, value_name = "URL")]
        mnist_mirror: Vec<String>,
        /// URL of an FSDD v1.0.10 .tar.gz to try first
        #[arg(long, value_name = "URL")]
        fsdd_mirror: Vec<String>,
    },
    /// Compare every file with the published one; for MM-Fi and arrays, read every file and list what is missing,
    /// empty, malformed or inconsistent
    #[command(after_long_help = "Examples:
  pom2dib data verify handwritten --data DIR           # every file beside the published one
  pom2dib data verify handwritten --data DIR --own     # with recordings of your own
  pom2dib data verify arrays --data DIR --scenario mine.toml")]
    Verify {
        /// Which data set
        #[arg(value_parser = PossibleValuesParser::new(data::source_names()))]
        name: String,
        #[command(flatten)]
        folder: Folder,
        /// Verify the files that this scenario reads, and refuse all that its run would refuse
        #[arg(long, value_name = "FILE")]
        scenario: Option<PathBuf>,
        /// For handwritten: read every file as a run does, without comparing it with the published one: for your own
        /// recordings
        #[arg(long)]
        own: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Synthesise a tree of files in a data set's formats, for tests and trials
    #[command(after_long_help = "Example:
  pom2dib data synthesise mmfi data-cache/mmfi --subjects-per-scene 2 --actions 3")]
    Synthesise {
        /// Which data set
        name: Synthesised,
        /// The folder to make
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Subjects in each of the four scenes, 1 to 10
        #[arg(long, default_value_t = Plan::default().subjects_per_scene, value_name = "N")]
        subjects_per_scene: u8,
        /// Actions, 1 to 27
        #[arg(long, default_value_t = Plan::default().actions, value_name = "N")]
        actions: u8,
        /// Frames of every recording, 1 to 999
        #[arg(long, default_value_t = Plan::default().frames, value_name = "N")]
        frames: u16,
    },
    /// Show the content of a data set: samples, modalities, tasks
    #[command(after_long_help = "Examples:
  pom2dib data info digits
  pom2dib data info arrays --data DIR --scenario mine.toml --json")]
    Info {
        /// Which data set
        #[arg(value_parser = PossibleValuesParser::new(data::source_names()))]
        name: String,
        #[command(flatten)]
        folder: Folder,
        /// For arrays: the scenario that says which of them are tasks; by default this is guessed from the arrays
        #[arg(long, value_name = "FILE")]
        scenario: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Data sets that can be synthesised.
#[derive(Clone, Copy, ValueEnum)]
enum Synthesised {
    /// People moving before cameras, lidar, radar and WiFi
    #[value(name = "mmfi")]
    MmFi,
}

/// Data sets that can be downloaded.
#[derive(Clone, Copy, ValueEnum)]
enum Fetched {
    /// MNIST images and FSDD recordings
    #[value(name = "handwritten")]
    HandWritten,
}

#[derive(clap::Args)]
struct Folder {
    /// The data set's folder; by default --data
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The data set's folder; by default data-cache/ and the data set's name
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Folder {
    /// The given folder, if any.
    fn given(&self) -> Option<PathBuf> {
        self.folder.as_ref().or(self.data.as_ref()).cloned()
    }

    fn of(&self, name: &str) -> PathBuf {
        self.given().unwrap_or_else(|| Path::new("data-cache").join(name))
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.command {
        Command::Fetch { name: Fetched::HandWritten, folder, mnist_mirror, fsdd_mirror } => {
            fetch(&folder.of("handwritten"), mnist_mirror, fsdd_mirror)
        }
        Command::Verify { name, folder, scenario, own, json } => {
            let published = !own && scenario.is_none();
            chosen(name, folder, scenario.as_ref())
                .and_then(|(data, scenario)| verify(&data, scenario.as_ref(), published, *json))
        }
        Command::Synthesise { name: Synthesised::MmFi, folder, subjects_per_scene, actions, frames } => {
            let plan = Plan { subjects_per_scene: *subjects_per_scene, actions: *actions, frames: *frames };
            synthesise(folder, plan)
        }
        Command::Info { name, folder, scenario, json } => {
            chosen(name, folder, scenario.as_ref()).and_then(|(data, _)| info(&data, *json))
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

/// Makes a synthetic tree.
fn synthesise(folder: &Path, plan: Plan) -> Result<ExitCode, DataError> {
    mmfi::synthesise(folder, plan)?;
    eprintln!(
        "a synthetic tree ({plan}) is in {}; use it with --data {}",
        folder.display(),
        folder.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn fetch(folder: &Path, mnist: &[String], fsdd: &[String]) -> Result<ExitCode, DataError> {
    let mut mirrors = Mirrors::default();
    mirrors.mnist.splice(..0, mnist.iter().cloned());
    mirrors.fsdd.splice(..0, fsdd.iter().cloned());
    let mut shown = Downloads::default();
    data::fetch_handwritten(folder, &mirrors, &mut |event| shown.show(event))?;
    eprintln!("handwritten is in {}; use it with --data {}", folder.display(), folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Progress of downloads: bars on a terminal, a line for each file elsewhere.
#[derive(Default)]
struct Downloads {
    bars: MultiProgress,
    by_name: HashMap<String, ProgressBar>,
}

impl Downloads {
    fn show(&mut self, event: FetchEvent) {
        match event {
            FetchEvent::Present { name } => self.say(&format!("{name}: there already")),
            FetchEvent::Progress { name, done, total } => self.advance(name, done, total),
            FetchEvent::Failed { name, problem } => self.say(&format!("{name}: {problem}")),
            FetchEvent::Done { name } => {
                if let Some(bar) = self.by_name.remove(&name) {
                    bar.finish_and_clear();
                }
                self.say(&format!("{name}: fetched"));
            }
        }
    }

    fn advance(&mut self, name: String, done: u64, total: Option<u64>) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = self.by_name.entry(name).or_insert_with_key(|name| {
            let template = "{prefix:32} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
            let style = ProgressStyle::with_template(template).expect("the template is well-formed");
            let bar = self.bars.add(ProgressBar::new(total.unwrap_or(0)).with_style(style));
            bar.set_prefix(name.clone());
            bar
        });
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    }

    fn say(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

/// The data set of that name: the part that a scenario reads, or without one everything in the folder. The scenario
/// comes with what errors call it.
fn chosen(
    name: &str,
    folder: &Folder,
    scenario: Option<&PathBuf>,
) -> Result<(Chosen, Option<(String, Scenario)>), DataError> {
    let Some(path) = scenario else {
        return Ok((Chosen::new(Settings::new(name, Some(folder.of(name))))?, None));
    };
    let input = |problem: String| DataError::Scenario { problem };
    let given = ScenarioArguments {
        scenario: Some(path.clone()),
        data: folder.given(),
        ..ScenarioArguments::default()
    };
    let scenario = given.resolve().map_err(|error| input(error.to_string()))?;
    let data = node::data_source(&scenario, None).map_err(|error| input(error.to_string()))?;
    match scenario.data.source.as_str() {
        known if known == name => Ok((data, Some((given.origin(), scenario)))),
        other => Err(input(format!("{} reads {other}, not {name}: name that", path.display()))),
    }
}

fn verify(
    data: &Chosen,
    scenario: Option<&(String, Scenario)>,
    published: bool,
    json: bool,
) -> Result<ExitCode, DataError> {
    let slow = Slow::new(format!("reading every file{}", place(data)));
    let mut report = data.verify(published, &|done, of| slow.show(done, of))?;
    drop(slow);
    if let Some((origin, scenario)) = scenario.filter(|_| report.is_sound && report.refusal.is_none()) {
        // Sound files may still be unusable for the scenario's nodes.
        let reading = format!("reading all that the scenario's nodes read{}", place(data));
        report.refusal = Slow::during(&reading, || check::refusal(origin, scenario, data, true));
    }
    Ok(say(&report, json))
}

fn info(data: &Chosen, json: bool) -> Result<ExitCode, DataError> {
    let slow = Slow::new(format!("indexing{}", place(data)));
    let report = data.describe(&|done, of| slow.show(done, of))?;
    drop(slow);
    Ok(say(&report, json))
}

/// The data set's location, as the end of a message.
fn place(data: &Chosen) -> String {
    data.settings().folder.as_ref().map(|folder| format!(" in {}", folder.display())).unwrap_or_default()
}

/// Prints the results and returns the exit status.
fn say(report: &Report, json: bool) -> ExitCode {
    match json {
        true => println!("{}", report.json),
        false => print!("{}", report.text),
    }
    if let Some(refusal) = &report.refusal {
        eprintln!("error: {refusal}");
    }
    if report.is_sound && report.refusal.is_none() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
