//! Parameters that networks begin with, out of files that a scenario names.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::Arc,
};

use candle_core::{DType, Device, Tensor};
use dib::nn::Layout;
use randomness::hex;
use scenario::{Described, Scenario, ScenarioError, Weights};
use sha2::{Digest, Sha256};

use crate::Role;

/// How many names of tensors a line tells.
const TOLD: usize = 8;

/// The files that networks begin with, by the keys of the tables that name them. Without any, networks begin as they
/// are drawn.
#[derive(Clone, Debug, Default)]
pub struct WeightFiles {
    by_key: Arc<BTreeMap<String, Files>>,
}

/// A file, or those of a folder, as they were read.
#[derive(Debug)]
struct Files {
    is_folder: bool,
    /// By name, in order.
    contents: BTreeMap<String, Vec<u8>>,
}

/// Puts absolute paths and digests of the files that networks begin with into a scenario.
///
/// # Errors
/// The key of a file that cannot be read, or is not the one that the scenario says.
pub fn bind_weights(scenario: &mut Scenario) -> Result<(), ScenarioError> {
    for (key, weights) in scenario.weights_mut() {
        weights.path = std::path::absolute(&weights.path).unwrap_or_else(|_| weights.path.clone());
        if weights.path.to_str().is_none() {
            let what =
                format!("is {}, whose name is not UTF-8: rename it or link to it", weights.path.display());
            return Err(ScenarioError::invalid(format!("{key}.weights"), what));
        }
        let files = Files::read_checked(&key, weights)?;
        weights.sha256 = Some(files.sha256());
    }
    Ok(())
}

impl WeightFiles {
    /// Those of all networks.
    ///
    /// # Errors
    /// The key of a file that cannot be read, or is not the one that the scenario says.
    pub fn of_all(scenario: &Scenario) -> Result<Self, ScenarioError> {
        WeightFiles::of(scenario.models())
    }

    /// Those of the networks of one node.
    pub(crate) fn of_node(scenario: &Scenario, role: Role, index: usize) -> Result<Self, ScenarioError> {
        let own = match role {
            Role::Transmitter => {
                let modalities =
                    scenario.transmitter.get(index).into_iter().flat_map(|node| &node.modalities);
                modalities.map(|modality| scenario.encoder(modality)).flat_map(|of| [of.head(), of]).collect()
            }
            Role::Receiver => {
                let tasks = scenario.receiver.get(index).into_iter().map(|node| &node.task);
                tasks.flat_map(|task| [scenario.joint(task), scenario.local(task)]).collect::<Vec<_>>()
            }
        };
        WeightFiles::of(own.into_iter().chain([scenario.selector()]))
    }

    fn of(networks: impl IntoIterator<Item = Described>) -> Result<Self, ScenarioError> {
        let mut by_key = BTreeMap::new();
        for Described { key, model } in networks {
            if let Some(weights) = model.weights.filter(|_| !by_key.contains_key(&key)) {
                let files = Files::read_checked(&key, &weights)?;
                by_key.insert(key, files);
            }
        }
        Ok(WeightFiles { by_key: by_key.into() })
    }

    /// The values with which a network begins, in the order of its parameters; none where it begins as it is drawn.
    ///
    /// # Errors
    /// The file, and the tensor that is missing, one too many, or of another shape or type.
    pub fn values(
        &self,
        Described { key, model }: &Described,
        network: &str,
        layout: &Layout,
    ) -> Result<Option<Vec<Tensor>>, ScenarioError> {
        let (Some(weights), Some(files)) = (&model.weights, self.by_key.get(key)) else { return Ok(None) };
        let (file, content) = files.of_network(network);
        let path = if files.is_folder { weights.path.join(&file) } else { weights.path.clone() };
        let refuse = |what: String| {
            ScenarioError::invalid(format!("{key}.weights"), format!("is {}, which {what}", path.display()))
        };
        let Some(content) = content else {
            return Err(refuse(format!("is not there: {network} begins with it")));
        };
        let tensors = candle_core::safetensors::load_buffer(content, &Device::Cpu);
        let tensors = tensors.map_err(|error| refuse(format!("is no safetensors file: {error}")))?;
        let tensors = renamed(tensors, &weights.names).map_err(&refuse)?;
        fitting(layout, tensors).map(Some).map_err(|what| refuse(format!("does not fit {network}: {what}")))
    }
}

impl Files {
    fn read(path: &Path) -> std::io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Ok(Files {
                is_folder: false,
                contents: BTreeMap::from([(String::new(), fs::read(path)?)]),
            });
        }
        let mut contents = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|name| name.ends_with(".safetensors")) {
                contents.insert(name.to_owned(), fs::read(&path)?);
            }
        }
        Ok(Files { is_folder: true, contents })
    }

    /// Reads what a table names, and holds it against the digest that it says.
    fn read_checked(key: &str, Weights { path, sha256, .. }: &Weights) -> Result<Self, ScenarioError> {
        let place = path.display();
        let refuse = |what| ScenarioError::invalid(format!("{key}.weights"), format!("is {place}, {what}"));
        let files = Files::read(path).map_err(|error| refuse(format!("which cannot be read: {error}")))?;
        if files.contents.is_empty() {
            return Err(refuse(
                "a folder without a safetensors file; `pom2dib export` makes one with".into(),
            ));
        }
        let found = files.sha256();
        match sha256 {
            Some(said) if *said != found => {
                Err(refuse(format!("whose SHA-256 is {found}, and {key}.weights.sha256 says {said}")))
            }
            _ => Ok(files),
        }
    }

    /// Of a file its SHA-256; of a folder that of the lines "SHA-256  name" of its files, in order, as sha256sum prints
    /// them.
    fn sha256(&self) -> String {
        let digest = |bytes: &[u8]| hex(&Sha256::digest(bytes));
        if !self.is_folder {
            return digest(&self.contents[""]);
        }
        let lines = self.contents.iter().map(|(name, content)| format!("{}  {name}\n", digest(content)));
        digest(lines.collect::<String>().as_bytes())
    }

    /// The name and content of a network's file.
    fn of_network(&self, network: &str) -> (String, Option<&Vec<u8>>) {
        let name =
            if self.is_folder { format!("{}.safetensors", network.replace('/', "-")) } else { String::new() };
        let content = self.contents.get(&name);
        (name, content)
    }
}

/// Tensors by the names that they have in the network.
fn renamed(
    mut tensors: HashMap<String, Tensor>,
    names: &BTreeMap<String, String>,
) -> Result<HashMap<String, Tensor>, String> {
    let mut taken = Vec::with_capacity(names.len());
    for (name, own) in names {
        let Some(tensor) = tensors.remove(name) else {
            let has = told(tensors.keys());
            return Err(format!(
                "has no tensor \"{name}\", which weights.names calls \"{own}\"; it has {has}"
            ));
        };
        taken.push((own, tensor));
    }
    for (own, tensor) in taken {
        if tensors.insert(own.clone(), tensor).is_some() {
            return Err(format!("has two tensors for \"{own}\", one of them by weights.names"));
        }
    }
    Ok(tensors)
}

/// One tensor for each parameter, and no other.
fn fitting(layout: &Layout, mut tensors: HashMap<String, Tensor>) -> Result<Vec<Tensor>, String> {
    let mut values = Vec::with_capacity(layout.iter().len());
    for (name, shape) in layout.iter() {
        let Some(tensor) = tensors.remove(name) else {
            return Err(format!("it has no tensor \"{name}\", of shape {}", by(shape)));
        };
        if tensor.dims() != shape {
            return Err(format!("tensor \"{name}\" is {}, and must be {}", by(tensor.dims()), by(shape)));
        }
        if tensor.dtype() != DType::F32 {
            return Err(format!("tensor \"{name}\" is of {}, and must be of f32", tensor.dtype().as_str()));
        }
        let numbers = tensor.flatten_all().and_then(|tensor| tensor.to_vec1::<f32>());
        if !numbers.is_ok_and(|numbers| numbers.iter().all(|number| number.is_finite())) {
            return Err(format!("tensor \"{name}\" holds a number that is not finite"));
        }
        values.push(tensor);
    }
    match tensors.is_empty() {
        true => Ok(values),
        false => {
            let known = layout.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
            let more = told(tensors.keys());
            Err(format!("it has {more} too, which the network has not; that has {}", told(known.iter())))
        }
    }
}

/// A few names, in order.
fn told<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}

fn by(shape: &[usize]) -> String {
    match shape {
        [] => "a scalar".to_owned(),
        axes => axes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(shapes: &[(&str, &[usize])]) -> HashMap<String, Tensor> {
        let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        shapes.iter().map(|(name, shape)| ((*name).to_owned(), tensor(shape))).collect()
    }

    fn layout() -> Layout {
        let mut layout = Layout::default();
        layout.add("layer1.w".into(), &[3, 4]);
        layout.add("layer1.b".into(), &[4]);
        layout
    }

    #[test]
    fn only_what_fits_in_name_shape_and_type_is_taken() {
        let refused = |given: &[(&str, &[usize])]| fitting(&layout(), tensors(given)).unwrap_err();
        assert_eq!(refused(&[("layer1.w", &[3, 4])]), "it has no tensor \"layer1.b\", of shape 4");
        let line = "tensor \"layer1.w\" is 4 x 3, and must be 3 x 4";
        assert_eq!(refused(&[("layer1.w", &[4, 3]), ("layer1.b", &[4])]), line);
        let more = [("layer1.w", &[3, 4][..]), ("layer1.b", &[4][..]), ("layer2.w", &[4, 1][..])];
        let line = "it has \"layer2.w\" too, which the network has not; that has \"layer1.b\", \"layer1.w\"";
        assert_eq!(refused(&more), line);
        let fits = fitting(&layout(), tensors(&more[..2])).unwrap();
        assert_eq!(fits.iter().map(Tensor::dims).collect::<Vec<_>>(), [&[3, 4][..], &[4]]);

        let mut whole = tensors(&more[..1]);
        whole.insert("layer1.b".into(), Tensor::new(&[1u32, 2, 3, 4], &Device::Cpu).unwrap());
        let line = "tensor \"layer1.b\" is of u32, and must be of f32";
        assert_eq!(fitting(&layout(), whole).unwrap_err(), line);
        let mut infinite = tensors(&more[..1]);
        infinite.insert("layer1.b".into(), Tensor::new(&[1.0, 2.0, f32::NAN, 4.0], &Device::Cpu).unwrap());
        let line = "tensor \"layer1.b\" holds a number that is not finite";
        assert_eq!(fitting(&layout(), infinite).unwrap_err(), line);
    }

    #[test]
    fn names_are_exchanged_and_what_is_not_there_is_named() {
        let names = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, own)| ((*name).to_owned(), (*own).to_owned())).collect()
        };
        let given = || tensors(&[("fc.weight", &[3, 4]), ("fc.bias", &[4])]);
        let both = names(&[("fc.weight", "layer1.w"), ("fc.bias", "layer1.b")]);
        fitting(&layout(), renamed(given(), &both).unwrap()).unwrap();
        // Two that change places are no two for one.
        let swapped = names(&[("fc.weight", "fc.bias"), ("fc.bias", "fc.weight")]);
        assert_eq!(renamed(given(), &swapped).unwrap()["fc.bias"].dims(), [3, 4]);
        let line = "has no tensor \"fc\", which weights.names calls \"a\"; it has \"fc.bias\", \"fc.weight\"";
        assert_eq!(renamed(given(), &names(&[("fc", "a")])).unwrap_err(), line);
        let line = "has two tensors for \"fc.bias\", one of them by weights.names";
        assert_eq!(renamed(given(), &names(&[("fc.weight", "fc.bias")])).unwrap_err(), line);
    }
}
