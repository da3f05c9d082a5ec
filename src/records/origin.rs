//! The origin of a run besides its scenario. Runs from other data, or of a program that computes other bits, must not
//! be averaged together.

use std::path::{Path, PathBuf};

use anyhow::Context;
use randomness::hex;
use scenario::Scenario;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{draw::plot, program};

/// The file in the folder of a sweep's point.
const FILE: &str = "origin.json";

/// Letters of a digest that suffice to identify it.
const SHORT: usize = 12;

/// Data, numerics and build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// SHA-256 of all data that the network reads, [`data::Source::contents`].
    pub(crate) data: String,
    /// [`dib::NUMERICS`].
    pub(crate) numerics: u32,
    /// SHA-256 of the program's file.
    pub(crate) build: String,
}

/// The relation of an existing run to one that would be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kinship {
    Same,
    /// From another build: the same numbers are expected, but not guaranteed.
    OtherBuild,
    /// Unknown: the program did not record it.
    Unknown,
}

impl Origin {
    /// The relation of the origin `there` to this one.
    ///
    /// # Errors
    /// If data or numerics differ; the error gives both.
    pub(crate) fn kinship(&self, there: Option<&Origin>) -> anyhow::Result<Kinship> {
        let Some(there) = there else { return Ok(Kinship::Unknown) };
        let short = |digest: &str| digest.get(..SHORT).unwrap_or(digest).to_owned();
        if there.data != self.data {
            anyhow::bail!("made of other data (SHA-256 {}, here {})", short(&there.data), short(&self.data));
        }
        if there.numerics != self.numerics {
            anyhow::bail!(
                "made with numerics {}, which this program, with {}, does not have",
                there.numerics,
                self.numerics
            );
        }
        Ok(if there.build == self.build { Kinship::Same } else { Kinship::OtherBuild })
    }

    /// The origin in a point's folder; none from an older program.
    ///
    /// # Errors
    /// If the file is malformed.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            text => {
                let what = || path.display().to_string();
                Ok(Some(serde_json::from_slice(&text.with_context(what)?).with_context(what)?))
            }
        }
    }

    /// Writes it beside a run.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        plot::write(folder, &[(FILE, serde_json::to_string(self)? + "\n")])
    }
}

/// Finds the origins of runs that would be made now: reads the program once, and every data set once.
#[derive(Default)]
pub(crate) struct Origins {
    build: Option<String>,
    known: Vec<(What, String)>,
}

/// The parts of a data set that are read.
type What = (data::Settings, Vec<String>, Vec<String>);

impl Origins {
    /// The origin of a run of this scenario.
    ///
    /// # Errors
    /// If its data cannot be read.
    pub(crate) fn of(&mut self, scenario: &Scenario) -> anyhow::Result<Origin> {
        let data = self.data(scenario)?;
        let build = match &self.build {
            Some(build) => build.clone(),
            None => self.build.insert(build()?).clone(),
        };
        Ok(Origin { data, numerics: dib::NUMERICS, build })
    }

    fn data(&mut self, scenario: &Scenario) -> anyhow::Result<String> {
        let mut modalities: Vec<String> =
            scenario.transmitter.iter().flat_map(|transmitter| transmitter.modalities.clone()).collect();
        let mut tasks = scenario.tasks();
        for names in [&mut modalities, &mut tasks] {
            names.sort();
            names.dedup();
        }
        let data = node::data_source(scenario, nearby(scenario, &modalities, &tasks)?)?;
        let what = (data.settings().clone(), modalities, tasks);
        if let Some((_, digest)) = self.known.iter().find(|(known, _)| *known == what) {
            return Ok(digest.clone());
        }
        let (_, modalities, tasks) = &what;
        let digest = hex(&data.contents(&data::Needs { modalities, tasks })?);
        self.known.push((what, digest.clone()));
        Ok(digest)
    }
}

/// The folder of the data; for arrays in an object store, that of their copies.
fn nearby(scenario: &Scenario, modalities: &[String], tasks: &[String]) -> anyhow::Result<Option<PathBuf>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(node::data_nearby(scenario, None, &[modalities, tasks].concat()))?)
}

fn build() -> anyhow::Result<String> {
    let program = program::executable()?;
    let content = std::fs::read(&program).with_context(|| program.display().to_string())?;
    Ok(hex(&Sha256::digest(content)))
}

/// Prints one line about runs that are used although they are from another build or an older program.
pub(crate) fn say(what: &str, all: &[Kinship]) {
    let count = |of: &Kinship| all.iter().filter(|kinship| *kinship == of).count();
    let (other, unknown) = (count(&Kinship::OtherBuild), count(&Kinship::Unknown));
    if other > 0 {
        eprintln!("warning: {other} of {} {what} were made by another build of this program", all.len());
    }
    if unknown > 0 {
        eprintln!(
            "note: {unknown} of {} {what} do not say which data they were made of (they are older): they are taken as they are",
            all.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(data: &str, numerics: u32, build: &str) -> Origin {
        Origin { data: data.into(), numerics, build: build.into() }
    }

    #[test]
    fn other_data_and_numerics_are_refused_and_another_build_is_not() {
        let here = origin(&"a".repeat(64), 2, "x");
        assert_eq!(here.kinship(Some(&here)).unwrap(), Kinship::Same);
        assert_eq!(here.kinship(Some(&origin(&"a".repeat(64), 2, "y"))).unwrap(), Kinship::OtherBuild);
        assert_eq!(here.kinship(None).unwrap(), Kinship::Unknown);
        let message = |there: &Origin| here.kinship(Some(there)).unwrap_err().to_string();
        let data = message(&origin(&"b".repeat(64), 2, "x"));
        assert_eq!(data, "made of other data (SHA-256 bbbbbbbbbbbb, here aaaaaaaaaaaa)");
        assert!(message(&origin(&"a".repeat(64), 1, "x")).starts_with("made with numerics 1"));
    }

    #[test]
    fn the_data_counts_and_not_what_is_made_of_it() {
        let mut origins = Origins::default();
        let mut of = |set: &[&str]| {
            let set = set.iter().map(|&text| text.into()).collect();
            let arguments = coordinator::ScenarioArguments { set, ..Default::default() };
            origins.of(&arguments.resolve().unwrap()).unwrap()
        };
        let plain = of(&[]);
        assert_eq!(of(&["train.beta=0.5", "seed=7"]), plain);
        assert_eq!((plain.data.len(), plain.build.len(), plain.numerics), (64, 64, dib::NUMERICS));
    }
}
