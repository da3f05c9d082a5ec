//! `pom2dib predict`: the answers of a trained network for single rows.

mod machines;
mod prediction;
mod table;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use coordinator::{CoordinatorError, RunFolder, RunLock, Trained};
use data::{Dataset, Needs, Split, TrainedTask};
use node::NodeError;
use randomness::Seed;
use serde_json::json;

pub(crate) use self::machines::Machines;
use self::prediction::Prediction;
use crate::cli::{complain::complain, slow::Slow};

/// Write the answers of a trained network to every row of a data set.
///
/// The networks of the run's last checkpoint compute as in `evaluate`, with the same bits, in this process: pass p has
/// the draw of u, and the selection, of pass p of an evaluation. Arrays need only the files of one split, without
/// labels.
#[derive(clap::Args)]
#[command(
    after_long_help = "The file's ending says what is written: .csv, .jsonl (a line a row, receiver and pass), .npz (numpy).

Examples:
  pom2dib predict runs/mine --out answers.csv
  pom2dib predict runs/mine --data field-day --out answers.npz --z
  pom2dib predict runs/mine --split train --passes 10 --out answers.jsonl"
)]
pub(crate) struct Arguments {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Take the checkpoint that scored best on validation rows (evaluation.every), instead of the last
    #[arg(long)]
    best: bool,

    /// Folder of the rows: a data set of the same kind; for arrays, also the URL of an object store. By default, the
    /// run's own
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Which rows
    #[arg(long, value_enum, default_value = "test")]
    split: Rows,

    /// The file to write, with suffix .csv, .jsonl or .npz
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Overwrite the file
    #[arg(long)]
    force: bool,

    /// Number of passes, each with one draw of u and one selection: the first passes of an evaluation
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    passes: u64,

    /// Also write the features as they were decoded
    #[arg(long)]
    z: bool,

    /// Device: cpu, cuda:N or auto; overrides the scenario's devices
    #[arg(long, env = "POM2DIB_DEVICE", value_name = "DEVICE")]
    device: Option<scenario::Device>,

    /// Threads for the matrix products; by default one for each core. Results do not depend on it
    #[arg(long, env = "POM2DIB_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Print only one JSON object about the written file on standard output
    #[arg(long)]
    json: bool,
}

/// A split, named as in file names.
#[derive(Clone, Copy, ValueEnum)]
enum Rows {
    /// The test split: for arrays, NAME.test.*
    Test,
    /// The training split, with the augmentation of an epoch that training never reaches
    Train,
}

impl Rows {
    fn split(self) -> Split {
        match self {
            Rows::Test => Split::Test,
            Rows::Train => Split::Train,
        }
    }
}

/// The kinds of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
    Npz,
}

impl Format {
    fn of(file: &Path) -> anyhow::Result<Self> {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Format::Csv),
            Some("jsonl") => Ok(Format::JsonLines),
            Some("npz") => Ok(Format::Npz),
            _ => bail!("--out {}: give a name that ends in .csv, .jsonl or .npz", file.display()),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.predict() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let status = if is_run(&error) { 1 } else { 2 };
            complain(&error, status)
        }
    }
}

/// Whether the computation rather than the user's input is at fault.
fn is_run(error: &anyhow::Error) -> bool {
    let of_store = error.downcast_ref::<CoordinatorError>().is_some_and(|error| !error.is_input());
    let of_node = error.downcast_ref::<NodeError>().is_some_and(|error| !error.is_input());
    of_store || of_node
}

impl Arguments {
    fn predict(&self) -> anyhow::Result<()> {
        let format = Format::of(&self.out)?;
        if self.out.exists() && !self.force {
            bail!("{} is there already: give another --out, or --force", self.out.display());
        }
        // Without a run there is nothing to lock.
        RunFolder::at(&self.run).scenario()?;
        let trained = {
            let _lock = RunLock::take(&self.run)?;
            if self.best { Trained::open_best(&self.run)? } else { Trained::open(&self.run)? }
        };
        let dataset = rows(&trained, self.data.clone(), self.split.split())?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or_else(|| u16::try_from(cores).unwrap_or(u16::MAX));
        let of = trained.scenario.receivers() * dataset.samples(Split::Test) * self.passes as usize;
        let slow = Slow::new(format!("answering the rows by the networks of {}", self.run.display()));
        let answers = node::on_threads(threads, || {
            Machines::new(&trained, dataset.clone(), self.passes, self.device)?
                .answers(self.passes, &|rows| slow.show(rows, of))
        })?;
        drop(slow);
        let predictions: Vec<Prediction> = answers
            .into_iter()
            .enumerate()
            .map(|(t, answers)| Prediction::new(&trained, dataset.as_ref(), t, answers, self.passes, self.z))
            .collect();
        self.write(format, &trained, &predictions)?;
        self.say(&trained, &predictions);
        Ok(())
    }

    /// Writes the file atomically.
    fn write(&self, format: Format, trained: &Trained, predictions: &[Prediction]) -> anyhow::Result<()> {
        let partial = self.out.with_extension("partial");
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(&partial)?);
            match format {
                Format::Csv => table::csv(&mut file, trained, predictions)?,
                Format::JsonLines => table::json_lines(&mut file, trained, predictions)?,
                Format::Npz => data::write_npz(&mut file, &table::arrays(trained, predictions))?,
            }
            file.flush()?;
            std::fs::rename(&partial, &self.out)
        };
        write().with_context(|| self.out.display().to_string())
    }

    fn say(&self, trained: &Trained, predictions: &[Prediction]) {
        let rows = predictions.first().map_or(0, |prediction| prediction.rows);
        if self.json {
            let tasks: Vec<serde_json::Value> = predictions
                .iter()
                .map(|prediction| {
                    json!({
                        "receiver": prediction.receiver,
                        "task": prediction.task,
                        "labelled": prediction.labelled(),
                        "top1": prediction.accuracy(),
                    })
                })
                .collect();
            println!(
                "{}",
                json!({ "out": self.out, "round": trained.version, "rows": rows, "passes": self.passes, "tasks": tasks })
            );
            return;
        }
        println!(
            "{}: {rows} rows, {} passes, by the networks of round {}",
            self.out.display(),
            self.passes,
            trained.version
        );
        for prediction in predictions {
            let labelled = prediction.labelled();
            let right = prediction
                .accuracy()
                .map_or(String::new(), |share| format!(", {:.2} % right", 100.0 * share));
            println!(
                "  receiver {} {}: {labelled} rows with labels{right}",
                prediction.receiver, prediction.task
            );
        }
    }
}

/// The rows of a split, read as for training, in a given folder or where the run's are.
pub(crate) fn rows(
    trained: &Trained,
    data: Option<PathBuf>,
    split: Split,
) -> anyhow::Result<Arc<dyn Dataset>> {
    let scenario = &trained.scenario;
    let modalities: Vec<String> =
        scenario.transmitter.iter().flat_map(|node| node.modalities.iter().cloned()).collect();
    let tasks = scenario.tasks();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = [modalities.as_slice(), &tasks].concat();
    let folder = runtime.block_on(node::data_nearby(scenario, data, &wanted))?;
    let source = node::data_source(scenario, folder)?;
    let needs = Needs { modalities: &modalities, tasks: &tasks };
    let seed = Seed::from_number(scenario.seed);
    let learnt = learnt(trained)?;
    Ok(source.open_rows(seed, &needs, split, &learnt).map_err(NodeError::from)?.into())
}

/// The checkpoint's record of the data.
fn learnt(trained: &Trained) -> anyhow::Result<data::Trained> {
    let mut learnt = data::Trained::default();
    for state in trained.transmitters.iter().chain(&trained.receivers) {
        for kept in node::all_kept(state)? {
            if learnt.kept.iter().all(|known| known.name != kept.name) {
                learnt.kept.push(kept);
            }
        }
    }
    for (t, receiver) in trained.scenario.receiver.iter().enumerate() {
        let classes = trained.classes.iter().find(|classes| classes.receiver == t);
        learnt.tasks.push(TrainedTask {
            name: receiver.task.clone(),
            outputs: outputs(t, &trained.receivers[t], classes.map(|classes| classes.train.len()))?,
            names: classes.map(|classes| classes.names.clone()).unwrap_or_default(),
        });
    }
    Ok(learnt)
}

/// Outputs of receiver t's joint decoder: the bias of its last layer tells them, or of a kind of network that is not
/// built in, the number of classes.
fn outputs(t: usize, state: &[u8], classes: Option<usize>) -> anyhow::Result<usize> {
    let tensors = node::unpack_state(state, &candle_core::Device::Cpu)?;
    let names = ["linear.b", "output.b"].map(|name| format!("receiver{t}/joint/{name}"));
    let bias = names.iter().find_map(|name| tensors.get(name)).map(candle_core::Tensor::elem_count);
    let [paper, layers] = &names;
    bias.or(classes)
        .with_context(|| format!("the checkpoint has neither \"{paper}\" nor \"{layers}\", nor classes"))
}
