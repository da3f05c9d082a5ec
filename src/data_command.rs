//! `pom2dib data fetch|verify|info|synthesise`.

use std::{
    collections::HashMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};
use data::{DataError, FetchEvent, FileState, HandWritten, Info, Mirrors, Source, VerifyReport, mmfi::Plan};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{data_arrays, data_mmfi, data_scenario};

/// Fetch, check, describe or make up a data set.
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
    /// Download a data set from its public mirrors, checking every file; what is there already is kept
    Fetch {
        /// Which data set
        name: Fetched,
        #[command(flatten)]
        folder: Folder,
        /// Another folder of the four MNIST files to try first, as a URL that ends in /
        #[arg(long, value_name = "URL")]
        mnist_mirror: Vec<String>,
        /// Another FSDD v1.0.10 .tar.gz to try first
        #[arg(long, value_name = "URL")]
        fsdd_mirror: Vec<String>,
    },
    /// Compare every file with the published one; of MM-Fi and arrays, read every file and list what is missing, empty or
    /// malformed, or does not fit the others
    Verify {
        /// Which data set
        name: Verified,
        #[command(flatten)]
        folder: Folder,
        /// Verify what this scenario reads, and refuse whatever its run would refuse
        #[arg(long, value_name = "FILE")]
        scenario: Option<PathBuf>,
        /// Of handwritten: read every file as a run does, and compare none with the published ones: for recordings of your own
        #[arg(long)]
        own: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make a tree of files in a data set's formats by code, for tests and trials
    Synthesise {
        /// Which data set
        name: Synthesised,
        /// The folder to be made
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
    /// Say what a data set holds: samples, modalities, tasks
    Info {
        /// Which data set
        name: Described,
        #[command(flatten)]
        folder: Folder,
        /// Of arrays: the scenario that says which of them are tasks; without one, what looks like one is taken for one
        #[arg(long, value_name = "FILE")]
        scenario: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Data sets that can be made up.
#[derive(Clone, Copy, ValueEnum)]
enum Synthesised {
    /// People moving before cameras, lidar, radar and WiFi
    #[value(name = "mmfi")]
    MmFi,
}

/// Data sets that consist of files.
#[derive(Clone, Copy, ValueEnum)]
enum Verified {
    /// MNIST images and FSDD recordings
    #[value(name = "handwritten")]
    HandWritten,
    /// People moving before cameras, lidar, radar and WiFi
    #[value(name = "mmfi")]
    MmFi,
    /// Arrays of your own
    Arrays,
}

/// Data sets that can be downloaded.
#[derive(Clone, Copy, ValueEnum)]
enum Fetched {
    /// MNIST images and FSDD recordings
    #[value(name = "handwritten")]
    HandWritten,
}

/// All data sets.
#[derive(Clone, Copy, ValueEnum)]
enum Described {
    /// MNIST images and FSDD recordings
    #[value(name = "handwritten")]
    HandWritten,
    /// Digits drawn and spoken by code
    Digits,
    /// Arrays of your own
    Arrays,
    /// People moving before cameras, lidar, radar and WiFi
    #[value(name = "mmfi")]
    MmFi,
}

#[derive(clap::Args)]
struct Folder {
    /// The data set's folder; without one, --data
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The same; without either, data-cache/ and the data set's name
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Verified {
    fn name(self) -> &'static str {
        match self {
            Verified::HandWritten => "handwritten",
            Verified::MmFi => "mmfi",
            Verified::Arrays => "arrays",
        }
    }
}

impl Described {
    fn name(self) -> &'static str {
        match self {
            Described::HandWritten => "handwritten",
            Described::Digits => "digits",
            Described::Arrays => "arrays",
            Described::MmFi => "mmfi",
        }
    }
}

impl Folder {
    /// The one that was given, if any was.
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
        Command::Verify { scenario: Some(scenario), name, folder, json, .. } => {
            data_scenario::verify(scenario, folder.given(), name.name(), *json)
        }
        Command::Verify { name: Verified::HandWritten, folder, own, json, .. } => {
            verify(&folder.of("handwritten"), *own, *json)
        }
        Command::Verify { name: Verified::MmFi, folder, json, .. } => {
            data_mmfi::verify(&folder.of("mmfi"), *json)
        }
        Command::Verify { name: Verified::Arrays, folder, json, .. } => {
            data::check_arrays(&folder.of("arrays"), true).map(|report| data_arrays::verify(&report, *json))
        }
        Command::Synthesise { name: Synthesised::MmFi, folder, subjects_per_scene, actions, frames } => {
            let plan = Plan { subjects_per_scene: *subjects_per_scene, actions: *actions, frames: *frames };
            data_mmfi::synthetic_tree(folder, plan)
        }
        Command::Info { scenario: Some(scenario), name, folder, json } => {
            data_scenario::info(scenario, folder.given(), name.name(), *json)
        }
        Command::Info { name: Described::Arrays, folder, json, .. } => {
            data::check_arrays(&folder.of("arrays"), false)
                .map(|report| data_arrays::describe(&report, *json))
        }
        Command::Info { name: Described::MmFi, folder, json, .. } => {
            data_mmfi::info(&folder.of("mmfi"), *json)
        }
        Command::Info { name: Described::HandWritten, folder, json, .. } => {
            info(&Source::HandWritten(HandWritten::new(folder.of("handwritten"))), *json)
        }
        Command::Info { name: Described::Digits, json, .. } => info(&Source::Digits, *json),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
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

/// Progress of downloads: bars on a terminal, a line a file elsewhere.
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

fn verify(folder: &Path, own: bool, json: bool) -> Result<ExitCode, DataError> {
    let report = match own {
        true => data::check_handwritten(&HandWritten::new(folder))?,
        false => data::verify_handwritten(folder)?,
    };
    Ok(print_verified(&report, own, json))
}

/// Says what was found, and gives the exit status for it.
pub(crate) fn print_verified(report: &VerifyReport, own: bool, json: bool) -> ExitCode {
    match json {
        true => println!("{}", serde_json::to_string(report).expect("a report has only strings")),
        false => print_report(report, own),
    }
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn print_report(report: &VerifyReport, own: bool) {
    for fault in report.faults() {
        match &fault.state {
            FileState::Differs(how) => println!("{}: {how}", fault.path.display()),
            FileState::Missing => println!("{}: missing", fault.path.display()),
            FileState::Ok => {}
        }
    }
    let faults = report.faults().count();
    let sound = report.files.len() - faults;
    match (own, faults) {
        (true, _) => println!("{sound} files can be read, {faults} not"),
        (false, 0) => println!("{sound} files as published, 0 not"),
        (false, _) => {
            println!("{sound} files as published, {faults} not (--own asks only whether they can be read)")
        }
    }
}

pub(crate) fn info(source: &Source, json: bool) -> Result<ExitCode, DataError> {
    let info = data::info(source)?;
    if json {
        println!("{}", serde_json::to_string(&info).expect("an info has only strings and numbers"));
    } else {
        print_info(&info);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_info(info: &Info) {
    match &info.folder {
        Some(folder) => println!("{} in {} ({} bytes)", info.source, folder.display(), info.bytes),
        None => println!("{}, made by this program", info.source),
    }
    for split in &info.splits {
        let counts: Vec<String> = split.per_digit.iter().map(usize::to_string).collect();
        let counts = counts.join(" ");
        println!(
            "  {:<5} {} samples, {} recordings; of each digit {counts}",
            split.name, split.samples, split.recordings
        );
    }
    for modality in &info.modalities {
        let sizes: Vec<String> = modality.shape.iter().map(usize::to_string).collect();
        println!("  modality {:<8} {}", modality.name, sizes.join(" x "));
    }
    for (task, balance) in info.tasks.iter().zip(&info.balance) {
        match balance {
            Some(balance) => println!("  task {:<8} {}", task.name, data_arrays::classes(balance)),
            None => println!("  task {:<8} {} values", task.name, task.classes),
        }
    }
    if !info.speakers.is_empty() {
        let speakers = info.speakers.iter().map(|speaker| format!("{} {}", speaker.name, speaker.takes));
        println!("  takes of each digit: {}", speakers.collect::<Vec<_>>().join(", "));
    }
    info.notes.iter().for_each(|note| println!("  note: {note}"));
    println!("  digest {}", info.digest);
}
