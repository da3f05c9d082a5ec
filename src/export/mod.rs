//! `pom2dib export`: writes the networks of a run for other programs.

mod graph;
mod kinds;
mod layers;
mod network;
mod networks;
mod onnx;
mod rows;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use coordinator::{RunFolder, RunLock, Trained};
use data::{DataError, Needs, NewArray, Scaling, Values};
use dib::{EncoderKind, Phase, SelectorNode, entry_embedding};
use randomness::Seed;
use scenario::{CommonRandomness, Scenario};
use serde_json::{Value, json};

use self::networks::{OfRun, Part, networks};
use crate::cli::{complain::complain, slow::Slow};

/// Write every network of a run's last checkpoint as safetensors, and encoders and decoders also as ONNX, with the
/// common randomness and the normalisation that their users need.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib export runs/mine --out networks
  pom2dib export runs/mine --out networks --rows 100    # with 100 test rows, and what the networks make of them")]
pub(crate) struct Arguments {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Take the checkpoint that scored best on validation rows (evaluation.every), instead of the last
    #[arg(long)]
    best: bool,

    /// The folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Write into the folder even if it exists
    #[arg(long)]
    force: bool,

    /// Also write the first N test rows, and the outputs of this program's networks for them
    #[arg(long, default_value_t = 0, value_name = "N")]
    rows: usize,

    /// Folder of the data set, if it has moved: for --rows, for the normalisation of data sets that are no arrays, and
    /// for networks whose shapes are those of the data
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.export() {
        Ok(written) => {
            println!("{written} networks are in {}; export.json says what is what", arguments.out.display());
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 2),
    }
}

impl Arguments {
    /// Returns the number of written networks.
    fn export(&self) -> anyhow::Result<usize> {
        if self.out.exists() && !self.force {
            bail!("{} is there already: give another --out, or --force", self.out.display());
        }
        // Without a run there is nothing to lock.
        RunFolder::at(&self.run).scenario()?;
        let trained = {
            let _lock = RunLock::take(&self.run)?;
            if self.best { Trained::open_best(&self.run)? } else { Trained::open(&self.run)? }
        };
        let networks = networks(&trained, self.data.clone())?;
        let slow = Slow::new(format!("writing networks to {}", self.out.display()));
        let show = |done: usize| slow.show(done, 2 * networks.len());
        // Before anything is written.
        let mut graphs = Vec::with_capacity(networks.len());
        for of in &networks {
            graphs.push(of.graph(&trained, &networks)?);
            show(graphs.len());
        }
        let rows = match self.rows {
            0 => None,
            count => Some(Slow::during("computing what the networks make of rows", || {
                rows::rows(&trained, self.data.clone(), count)
            })?),
        };
        let normalisation =
            Slow::during("looking at the data set", || normalisation(&trained, self.data.clone()))?;
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        for (at, (of, graph)) in networks.iter().zip(&graphs).enumerate() {
            show(networks.len() + at);
            of.network.write(&self.out)?;
            if let Some(graph) = graph {
                write(&self.out, &format!("{}.onnx", of.network.stem()), graph)?;
            }
        }
        self.write_arrays("common.npz", &common_arrays(&trained))?;
        if !normalisation.is_empty() {
            self.write_arrays("normalisation.npz", &normalisation)?;
        }
        if let Some(rows) = rows {
            self.write_arrays("rows.npz", &rows)?;
        }
        let told = serde_json::to_string_pretty(&told(&trained, &networks, &graphs)?)?;
        write(&self.out, "export.json", told.as_bytes())?;
        Ok(networks.len())
    }

    fn write_arrays(&self, name: &str, arrays: &[NewArray]) -> anyhow::Result<()> {
        let path = self.out.join(name);
        let write = || {
            let mut file = BufWriter::new(fs::File::create(&path)?);
            data::write_npz(&mut file, arrays)?;
            file.flush()
        };
        write().with_context(|| path.display().to_string())
    }
}

fn write(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| path.display().to_string())
}

/// The entries of a receiver, (k, m), in the order in which a joint decoder takes them.
fn entries(trained: &Trained) -> Vec<(usize, usize)> {
    let scenario = &trained.scenario;
    (0..scenario.transmitters()).flat_map(|k| (0..scenario.modalities(k)).map(move |m| (k, m))).collect()
}

/// The common draws of all nodes: u of every pass of an evaluation, and the embeddings, which are task inputs. Where
/// every node draws its own u, there is an array of each node's.
fn common_arrays(trained: &Trained) -> Vec<NewArray> {
    let (scenario, d) = (&trained.scenario, trained.scenario.network.feature_dim);
    let seed = Seed::from_number(scenario.seed);
    let kind = node::common_randomness(scenario.train.common_randomness);
    let u = |node: SelectorNode| -> Vec<Vec<f32>> {
        (0..scenario.evaluation.passes).map(|pass| kind.draw(seed, Phase::Evaluate, node, pass, d)).collect()
    };
    let mut arrays: Vec<(String, Vec<Vec<f32>>)> = Vec::new();
    match scenario.train.common_randomness {
        CommonRandomness::Common | CommonRandomness::Fixed => {
            arrays.push(("u".into(), u(SelectorNode::Receiver(0))));
        }
        CommonRandomness::Private => {
            let receivers = (0..scenario.receivers()).map(SelectorNode::Receiver);
            let transmitters = (0..scenario.transmitters()).map(SelectorNode::Transmitter);
            let name = |node| match node {
                SelectorNode::Receiver(t) => format!("u.receiver{t}"),
                SelectorNode::Transmitter(k) => format!("u.transmitter{k}"),
            };
            arrays.extend(receivers.chain(transmitters).map(|node| (name(node), u(node))));
        }
    }
    let mut receivers = node::task_inputs(scenario, seed);
    if scenario.places() > 1 {
        // Of an encoder with a linear layer for each receiver: whose it is.
        let count = receivers.len();
        let one_hot = |t: usize| (0..count).map(move |at| if at == t { 1.0 } else { 0.0 });
        receivers =
            receivers.into_iter().enumerate().map(|(t, row)| one_hot(t).chain(row).collect()).collect();
    }
    let entries: Vec<Vec<f32>> =
        entries(trained).into_iter().map(|(k, m)| entry_embedding(seed, k, m, d)).collect();
    arrays.extend([("receivers".into(), receivers), ("entries".into(), entries)]);
    let array = |(name, rows): (String, Vec<Vec<f32>>)| {
        floats(&name, vec![rows.len(), rows.first().map_or(d, Vec::len)], rows.concat())
    };
    arrays.into_iter().map(array).collect()
}

/// The constants of the normalisation: value x of position i becomes (x - shift[i]) / scale[i]. Arrays keep them in the
/// checkpoint; other data sets compute them from their files. If those are missing, the networks are exported without
/// them.
fn normalisation(trained: &Trained, data: Option<PathBuf>) -> anyhow::Result<Vec<NewArray>> {
    let mut arrays: Vec<NewArray> = Vec::new();
    let mut add = |name: &str, shift: &[f64], scale: &[f64]| {
        for (what, values) in [("shift", shift), ("scale", scale)] {
            let name = format!("{name}.{what}");
            if !arrays.iter().any(|array| array.name == name) {
                // In float64, as they are applied.
                let shape = vec![values.len()];
                arrays.push(NewArray { name, shape, values: Values::Doubles(values.to_vec()) });
            }
        }
    };
    for state in trained.transmitters.iter().chain(&trained.receivers) {
        for kept in node::all_kept(state)? {
            add(&kept.name, kept.shift(), kept.scale());
        }
    }
    let asked = asked(&trained.scenario);
    match scalings(&trained.scenario, data, &asked) {
        Ok(scalings) => scalings.iter().for_each(|(name, Scaling { shift, scale })| add(name, shift, scale)),
        Err(error) => {
            let remedy = if is_missing(&error) { "; say where the data is with --data DIR" } else { "" };
            let line = format!("the constants of {} are left out: {error:#}{remedy}", asked.join(", "));
            eprintln!("note: {}", link::printable(&line));
        }
    }
    Ok(arrays)
}

/// The modalities of whose constants the data set is asked, for which its files have to be looked at.
fn asked(scenario: &Scenario) -> Vec<String> {
    let is_asked = match scenario.data.source.as_str() {
        "arrays" => false,
        "mmfi" => scenario.mmfi.standardise,
        _ => true,
    };
    let all = scenario.transmitter.iter().flat_map(|node| &node.modalities);
    let modalities: BTreeSet<&String> = all.filter(|name| is_asked && !data::is_noise(name)).collect();
    modalities.into_iter().cloned().collect()
}

/// By modality, the constants of those that have any.
fn scalings(
    scenario: &Scenario,
    data: Option<PathBuf>,
    modalities: &[String],
) -> anyhow::Result<Vec<(String, Scaling)>> {
    if modalities.is_empty() {
        return Ok(Vec::new());
    }
    let needs = Needs { modalities, tasks: &[] };
    let dataset = node::data_source(scenario, data)?.open(Seed::from_number(scenario.seed), &needs)?;
    let scaling = |name: &String| dataset.scaling(name).map(|scaling| (name.clone(), scaling));
    Ok(modalities.iter().filter_map(scaling).collect())
}

/// Whether a file or folder is not where it was looked for.
fn is_missing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<DataError>() {
        Some(DataError::Missing { .. }) => true,
        Some(DataError::Io { source, .. }) => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// What says how a data set has prepared its values before they are normalised.
fn prepared(scenario: &Scenario) -> Value {
    let data = &scenario.data;
    match data.source.as_str() {
        "digits" | "handwritten" => {
            json!({ "source": data.source, "image_scale": data.image_scale, "audio_scale": data.audio_scale })
        }
        "mmfi" => json!({ "source": data.source, "standardise": scenario.mmfi.standardise }),
        _ => json!({ "source": data.source }),
    }
}

fn floats(name: &str, shape: Vec<usize>, values: Vec<f32>) -> NewArray {
    NewArray { name: name.into(), shape, values: Values::Floats(values) }
}

/// What `export.json` says.
fn told(trained: &Trained, networks: &[OfRun], graphs: &[Option<Vec<u8>>]) -> anyhow::Result<Value> {
    let scenario = &trained.scenario;
    let kind = node::encoder_kind(scenario)?;
    let names = |names: &[&str]| json!(names);
    let network = |(of, graph): (&OfRun, &Option<Vec<u8>>)| {
        let stem = of.network.stem();
        let mut told = json!({
            "name": of.network.name,
            "kind": of.described.model.kind.name(),
            "inputs": of.inputs(),
            "outputs": of.outputs,
            "safetensors": format!("{stem}.safetensors"),
        });
        let (what, onnx) = match of.part {
            Part::Encoder(k, m) => {
                (told["transmitter"], told["entry"]) = (json!(k), json!(m));
                told["modality"] = json!(scenario.transmitter[k].modalities[m]);
                let (given, given_back) = match kind {
                    EncoderKind::Gaussian => {
                        (names(&["x", "embedding", "noise"]), names(&["z", "mu", "std"]))
                    }
                    _ => (names(&["x", "embedding"]), names(&["z"])),
                };
                ("encoder", Some((given, given_back)))
            }
            Part::Trunk(k, m) => {
                (told["transmitter"], told["entry"]) = (json!(k), json!(m));
                told["shape"] = json!(of.axes[1]);
                ("trunk", None)
            }
            Part::Joint(t) => {
                told["receiver"] = json!(t);
                ("joint", Some((names(&["z"]), names(&["output"]))))
            }
            Part::Local(t) => {
                told["receiver"] = json!(t);
                ("local", Some((names(&["z", "embedding"]), names(&["output"]))))
            }
            Part::TransmitterSelector(k) => {
                told["transmitter"] = json!(k);
                ("selector", None)
            }
            Part::ReceiverSelector(t) => {
                told["receiver"] = json!(t);
                ("selector", None)
            }
        };
        told["part"] = json!(what);
        if let Some((given, given_back)) = onnx.filter(|_| graph.is_some()) {
            told["onnx"] = json!({ "file": format!("{stem}.onnx"), "inputs": given, "outputs": given_back });
        }
        told
    };
    let classes = |t: usize| trained.classes.iter().find(|classes| classes.receiver == t);
    let tasks: Vec<Value> = scenario
        .receiver
        .iter()
        .enumerate()
        .map(|(t, receiver)| {
            let (kind, names) = match classes(t) {
                Some(classes) => ("classification", json!(classes.names)),
                None => ("regression", json!([])),
            };
            json!({ "receiver": t, "task": receiver.task, "kind": kind, "names": names })
        })
        .collect();
    let entries: Vec<Value> = entries(trained)
        .into_iter()
        .map(|(k, m)| json!({ "transmitter": k, "modality": scenario.transmitter[k].modalities[m] }))
        .collect();
    Ok(json!({
        "program": proto::VERSION,
        "scenario": scenario.name,
        "method": scenario.train.method.name(),
        "seed": scenario.seed.to_string(),
        "round": trained.version,
        "feature_dim": scenario.network.feature_dim,
        "data": prepared(scenario),
        "opset": onnx::OPERATORS,
        "tasks": tasks,
        "entries": entries,
        "networks": networks.iter().zip(graphs).map(network).collect::<Vec<Value>>(),
    }))
}
