//! `pom2dib init`: writes a first scenario.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use data::{ArrayReport, DataError};

const DIGITS: &str = include_str!("../../scenarios/digits.toml");
const HANDWRITTEN: &str = include_str!("../../scenarios/handwritten.toml");
const MMFI: &str = include_str!("../../scenarios/mmfi.toml");

/// The line of the shipped scenarios with the path of the data.
const PATH: &str = "#path = ";

/// Write a first scenario file: a shipped one with every key explained, or one for a folder of arrays.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib init                                     # digits made by code, every key explained
  pom2dib init mine.toml --source handwritten --data data-cache/handwritten
  pom2dib init mine.toml --source arrays --data DIR    # a transmitter for every modality, a receiver for every task")]
pub(crate) struct Arguments {
    /// The file to write
    #[arg(default_value = "scenario.toml", value_name = "FILE")]
    file: PathBuf,

    /// The data set
    #[arg(long, default_value = "digits", value_name = "SOURCE")]
    source: Source,

    /// Folder of the data set
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

/// All data sets.
#[derive(Clone, Copy, ValueEnum)]
enum Source {
    /// Digits drawn and spoken by code
    Digits,
    /// MNIST images and FSDD recordings
    #[value(name = "handwritten")]
    HandWritten,
    /// People moving before cameras, lidar, radar and WiFi
    #[value(name = "mmfi")]
    MmFi,
    /// Your own arrays
    Arrays,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.write() {
        Ok(()) => {
            let file = arguments.file.display();
            eprintln!(
                "{file} is written: look through it, then `pom2dib check {file}` and `pom2dib run {file}`"
            );
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::from(2)
        }
    }
}

impl Arguments {
    fn write(&self) -> Result<(), String> {
        let text = self.text()?;
        let said = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => {
                format!("{}: is there already: give another name, or --force", self.file.display())
            }
            _ => format!("{}: {error}", self.file.display()),
        };
        let mut options = File::options();
        options.write(true).create_new(!self.force).create(self.force).truncate(true);
        let mut file = options.open(&self.file).map_err(said)?;
        file.write_all(text.as_bytes()).map_err(said)
    }

    fn text(&self) -> Result<String, String> {
        let shipped = match self.source {
            Source::Digits => DIGITS,
            Source::HandWritten => HANDWRITTEN,
            Source::MmFi => MMFI,
            Source::Arrays => {
                let folder =
                    self.data.as_deref().ok_or("say with --data DIR which folder of arrays it is for")?;
                let report =
                    data::check_arrays(folder, false).map_err(|error: DataError| error.to_string())?;
                return of_arrays(folder, &report);
            }
        };
        let Some(folder) = self.data.as_deref().filter(|_| !matches!(self.source, Source::Digits)) else {
            return Ok(shipped.to_owned());
        };
        let path = format!("path = {}", quoted(folder)?);
        let line = |line: &str| if line.starts_with(PATH) { path.clone() } else { line.to_owned() };
        Ok(shipped.lines().map(line).collect::<Vec<_>>().join("\n") + "\n")
    }
}

/// A scenario for a folder of arrays: arrays that look like classes are tasks, all other numeric ones modalities.
fn of_arrays(folder: &Path, report: &ArrayReport) -> Result<String, String> {
    let tasks: Vec<&str> =
        report.tasks.iter().filter(|task| task.balance.is_some()).map(|task| task.array.as_str()).collect();
    let mut modalities: Vec<&str> = report.files.iter().map(|file| file.array.as_str()).collect();
    modalities.retain(|name| !tasks.contains(name));
    modalities.dedup();
    let lack = match (tasks.is_empty(), modalities.is_empty()) {
        (true, _) => {
            "no array looks like classes: save integers, one a sample, or write the scenario yourself"
        }
        (_, true) => "no array is left as a modality: all look like classes",
        _ => "",
    };
    if !lack.is_empty() {
        return Err(format!("{}: {lack}", folder.display()));
    }
    let mut text = format!(
        "# Written by `pom2dib init`: what looks like classes is a task, and everything else a modality. Take an array that should be\n\
         # learnt as values out of the transmitters, and give it a receiver. `pom2dib init --source digits` explains every key.\n\
         name = \"arrays\"\n\n[data]\nsource = \"arrays\"\npath = {}\n\n\
         [network]\n# How many transmitters a receiver may request at a tick, and how many entries a transmitter may encode.\n\
         receiver_limit = {}\ntransmitter_limit = {}\n\n[train]\nrounds = 300\n",
        quoted(folder)?,
        modalities.len().min(2),
        tasks.len(),
    );
    for name in modalities {
        text += &format!("\n[[transmitter]]\nmodalities = [\"{name}\"]\n");
    }
    for name in tasks {
        text += &format!("\n[[receiver]]\ntask = \"{name}\"\n");
    }
    Ok(text)
}

/// A path as a TOML string.
fn quoted(folder: &Path) -> Result<String, String> {
    let text =
        folder.to_str().ok_or_else(|| format!("{}: the folder's name must be UTF-8", folder.display()))?;
    Ok(toml::Value::String(text.into()).to_string())
}
