//! Data sets that are written in Python: `data.source = "python"`.

use std::collections::BTreeMap;

use pom2dib::{
    data::{About, DataError, Dataset, Needs, Settings, Source, Split, Targets},
    randomness::Seed,
};
use pyo3::{prelude::*, types::PyBytes};

use crate::network::{alone, line, numbers};

/// The keys of `[data]` beside `source`: the class, as in a network's table, and a table that its `__init__` is given.
const KEYS: [&str; 4] = ["class", "file", "sha256", "keys"];

/// The data set whose class a scenario names.
pub(crate) struct PythonSource;

/// An `OpenedDataset` of `pom2dib/_dataset.py`, and all of it but the samples.
struct PythonDataset {
    opened: Py<PyAny>,
    samples: [usize; 2],
    shapes: BTreeMap<String, Vec<usize>>,
    tasks: BTreeMap<String, Task>,
    clusters: Vec<u32>,
    digest: [u8; 32],
}

struct Task {
    names: Vec<String>,
    /// Of both splits.
    targets: [Targets; 2],
}

/// A task as Python gives it: name, classes or 0, their names, width or 0, and the targets of both splits.
type Given<'py> = (String, usize, Vec<String>, usize, Vec<Bound<'py, PyBytes>>);

/// All but the samples.
type Facts<'py> =
    ([usize; 2], Vec<(String, Vec<usize>)>, Vec<Given<'py>>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

impl Source for PythonSource {
    fn modalities(&self) -> Vec<String> {
        Vec::new()
    }

    fn tasks(&self) -> Vec<String> {
        Vec::new()
    }

    fn keys(&self) -> Vec<String> {
        KEYS.map(str::to_owned).to_vec()
    }

    fn check_names(&self, settings: &Settings) -> Result<(), DataError> {
        let (modalities, tasks) = call(|py| open(py, settings)?.call_method0("names")?.extract())?;
        Named(modalities, tasks).check_names(settings)
    }

    fn open(&self, settings: &Settings, _: Seed, _: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        let opened = call(|py| {
            let opened = open(py, settings)?;
            let facts = opened.call_method0("facts")?;
            Ok(PythonDataset::new(opened.clone().unbind(), facts.extract()?))
        })?;
        Ok(Box::new(opened))
    }
}

/// Names alone, for the check that all data sets have in common.
struct Named(Vec<String>, Vec<String>);

impl Source for Named {
    fn modalities(&self) -> Vec<String> {
        self.0.clone()
    }

    fn tasks(&self) -> Vec<String> {
        self.1.clone()
    }

    fn open(&self, settings: &Settings, _: Seed, _: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        Err(settings.invalid("class", "has names alone"))
    }
}

impl PythonDataset {
    fn new(opened: Py<PyAny>, (samples, shapes, tasks, clusters, digest): Facts<'_>) -> Self {
        let mut first = [0; 32];
        first.iter_mut().zip(digest.as_bytes()).for_each(|(own, &byte)| *own = byte);
        PythonDataset {
            opened,
            samples,
            shapes: shapes.into_iter().collect(),
            tasks: tasks.into_iter().map(task).collect(),
            clusters: numbers(clusters.as_bytes()),
            digest: first,
        }
    }
}

fn task((name, classes, names, width, targets): Given<'_>) -> (String, Task) {
    let of = |split: usize| {
        let bytes = targets.get(split).map_or(&[][..], |bytes| bytes.as_bytes());
        match classes {
            0 => Targets::Values { width, values: numbers(bytes) },
            _ => Targets::Classes { labels: numbers(bytes), classes },
        }
    };
    (name, Task { names, targets: [of(0), of(1)] })
}

impl Dataset for PythonDataset {
    fn samples(&self, split: Split) -> usize {
        self.samples[place(split)]
    }

    fn width(&self, modality: &str) -> Option<usize> {
        Some(self.shapes.get(modality)?.iter().product())
    }

    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        self.shapes.get(modality).cloned()
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        let values: Vec<f32> = call(|py| {
            let answer = self.opened.call_method1(py, "read", (modality, place(split), sample, epoch))?;
            Ok(numbers(answer.bind(py).cast::<PyBytes>()?.as_bytes()))
        })?;
        out.copy_from_slice(&values);
        Ok(())
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        Some(self.tasks.get(task)?.targets[place(split)].clone())
    }

    fn about(&self, task: &str) -> About {
        let names = self.tasks.get(task).map(|task| task.names.clone()).unwrap_or_default();
        About { names, notes: Vec::new() }
    }

    fn clusters(&self) -> Vec<u32> {
        self.clusters.clone()
    }

    fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

fn place(split: Split) -> usize {
    usize::from(split == Split::Test)
}

fn open<'py>(py: Python<'py>, settings: &Settings) -> PyResult<Bound<'py, PyAny>> {
    let keys = serde_json::Value::Object(settings.keys.clone()).to_string();
    py.import("pom2dib._dataset")?.call_method1("open_dataset", (keys,))
}

/// Calls Python; what it raises is a line.
fn call<R>(work: impl FnOnce(Python<'_>) -> PyResult<R>) -> Result<R, DataError> {
    let _alone = alone();
    Python::attach(|py| work(py).map_err(|error| DataError::Scenario { problem: line(py, &error) }))
}
