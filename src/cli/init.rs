//! `pom2dib init`: writes a first scenario.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::builder::PossibleValuesParser;
use coordinator::built_in_scenario;
use data::{ArrayReport, Chosen, DataError, Settings};
use scenario::BUILT_IN_SOURCES;

/// The line of the shipped scenarios with the path of the data.
const PATH: &str = "#path = ";

/// Write a first scenario file: a shipped one with every key explained, or one for a folder of arrays or a data set of
/// this program.
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
    #[arg(long, default_value = "digits", value_name = "SOURCE", value_parser = PossibleValuesParser::new(data::source_names()))]
    source: String,

    /// Folder of the data set
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Overwrite the file
    #[arg(long)]
    force: bool,
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
        let (source, folder) = (self.source.as_str(), self.data.as_deref());
        if source == "arrays" {
            let folder = folder.ok_or("say with --data DIR which folder of arrays it is for")?;
            let report = data::check_arrays(folder, false).map_err(|error: DataError| error.to_string())?;
            return of_arrays(folder, &report);
        }
        // A program may call a data set of its own like a shipped scenario of another one.
        let shipped = BUILT_IN_SOURCES.contains(&source).then(|| built_in_scenario(source)).flatten();
        let Some(shipped) = shipped else {
            let chosen = Chosen::new(Settings::new(source, None)).map_err(|error| error.to_string())?;
            let (modalities, tasks) = chosen.names();
            return of_names(source, folder, &modalities, &tasks);
        };
        let Some(folder) = folder.filter(|_| source != "digits") else {
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
    let note = "# Written by `pom2dib init`: what looks like classes is a task, and everything else a modality. Take an array that should be\n\
                # learnt as values out of the transmitters, and give it a receiver. `pom2dib init --source digits` explains every key.\n";
    Ok(note.to_owned()
        + &head("arrays", Some(folder), modalities.len(), tasks.len())?
        + &nodes(&modalities, &tasks))
}

/// A scenario for a data set of this program: a transmitter for every modality, a receiver for every task.
fn of_names(
    source: &str,
    folder: Option<&Path>,
    modalities: &[String],
    tasks: &[String],
) -> Result<String, String> {
    let note = "# Written by `pom2dib init`: a transmitter for every modality, and a receiver for every task. `pom2dib init\n\
                # --source digits` explains every key.\n";
    Ok(note.to_owned() + &head(source, folder, modalities.len(), tasks.len())? + &nodes(modalities, tasks))
}

/// The sections before those of the nodes.
fn head(source: &str, folder: Option<&Path>, modalities: usize, tasks: usize) -> Result<String, String> {
    let path = match folder {
        Some(folder) => format!("path = {}\n", quoted(folder)?),
        None => String::new(),
    };
    Ok(format!(
        "name = \"{source}\"\n\n[data]\nsource = \"{source}\"\n{path}\n\
         [network]\n# How many transmitters a receiver may request at a tick, and how many entries a transmitter may encode.\n\
         receiver_limit = {}\ntransmitter_limit = {tasks}\n\n[train]\nrounds = 300\n",
        modalities.min(2),
    ))
}

fn nodes(modalities: &[impl std::fmt::Display], tasks: &[impl std::fmt::Display]) -> String {
    let mut text = String::new();
    for name in modalities {
        text += &format!("\n[[transmitter]]\nmodalities = [\"{name}\"]\n");
    }
    for name in tasks {
        text += &format!("\n[[receiver]]\ntask = \"{name}\"\n");
    }
    text
}

/// A path as a TOML string.
fn quoted(folder: &Path) -> Result<String, String> {
    let text =
        folder.to_str().ok_or_else(|| format!("{}: the folder's name must be UTF-8", folder.display()))?;
    Ok(toml::Value::String(text.into()).to_string())
}

#[cfg(test)]
mod tests {
    use scenario::Scenario;

    use super::*;

    #[test]
    fn a_data_set_of_a_program_has_a_transmitter_for_every_modality_and_a_receiver_for_every_task() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let text =
            of_names("rings", Some("a folder".as_ref()), &names(&["x", "y"]), &names(&["ring"])).unwrap();
        let scenario = Scenario::parse(&text, "rings.toml", &[]).unwrap();
        assert_eq!((scenario.data.source.as_str(), scenario.transmitters()), ("rings", 2));
        assert_eq!((scenario.receivers(), scenario.receiver_limit()), (1, 2));
    }
}
