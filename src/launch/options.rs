//! Options of the engines that start jobs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

/// Where jobs run, and what each of them needs.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Other machines (docs/clusters.md)")]
pub(crate) struct EngineOptions {
    /// Where it runs instead of as processes of this command: slurm, kubernetes, or for a sweep any command that starts
    /// {command} somewhere. A command may contain {command}, {folder}, {name}, {log}, {host}, {cores}, {memory} (MiB),
    /// {gpus} and {number}
    #[arg(long, value_name = "ENGINE")]
    pub(crate) on: Option<String>,

    /// Print the script, the manifest, the commands or the points, and start nothing
    #[arg(long)]
    pub(crate) print: bool,

    /// Hosts for {host} of a command, each for one point at a time; a host may be named several times
    #[arg(long, value_name = "HOST,...", value_delimiter = ',', requires = "on")]
    pub(crate) hosts: Vec<String>,

    /// Cores of a job; by default measured by a short probe run on this machine
    #[arg(long, value_name = "N", requires = "on", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) cores: Option<u16>,

    /// Memory of a job, for example 500M or 4G; by default measured by a short probe run on this machine
    #[arg(long, value_name = "SIZE", requires = "on", value_parser = size)]
    pub(crate) memory: Option<u64>,

    /// GPUs of a job; by default as many as --device or the scenario's devices name
    #[arg(long, value_name = "N", requires = "on")]
    pub(crate) gpus: Option<u16>,

    /// Time limit of a job, as the engine writes it; a run that reaches it goes on in another job
    #[arg(long, value_name = "TIME", requires = "on")]
    pub(crate) time: Option<String>,

    /// Seconds before its time limit at which a job is told to save a checkpoint [default: 60]
    #[arg(long, value_name = "SECONDS", requires = "on")]
    pub(crate) notice: Option<u32>,

    /// Slurm's partition
    #[arg(long, value_name = "NAME", requires = "on")]
    pub(crate) partition: Option<String>,

    /// The account to which Slurm charges it
    #[arg(long, value_name = "NAME", requires = "on")]
    pub(crate) account: Option<String>,

    /// Any other option of sbatch, for example --engine-option=--constraint=avx512 (may be repeated)
    #[arg(long, value_name = "OPTION", requires = "on", allow_hyphen_values = true)]
    pub(crate) engine_option: Vec<String>,

    /// The image of Kubernetes' containers [default: pom2dib:VERSION]
    #[arg(long, value_name = "IMAGE", requires = "on")]
    pub(crate) image: Option<String>,

    /// Kubernetes' claim of the volume that has the sweep's folder, and the folder where it is mounted, here as in the
    /// containers: CLAIM:FOLDER
    #[arg(long, value_name = "CLAIM:FOLDER", requires = "on")]
    pub(crate) volume: Option<String>,

    /// Kubernetes' secret with environment variables of the containers, such as the keys of an object store
    /// (checkpoint.store)
    #[arg(long, value_name = "SECRET", requires = "on")]
    pub(crate) env_secret: Option<String>,

    /// How often in a row a point is started again after it ended without a new checkpoint [default: 3]
    #[arg(long, value_name = "N", requires = "on")]
    pub(crate) attempts: Option<u32>,
}

/// Where jobs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Slurm,
    Kubernetes,
    /// This machine.
    Here,
    /// A command's template.
    Command(String),
}

/// What a job asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) cores: u16,
    /// In MiB.
    pub(crate) memory: u64,
    pub(crate) gpus: u16,
}

impl EngineOptions {
    /// The engine, if any.
    ///
    /// # Errors
    /// If `--on` is a word that is none.
    pub(crate) fn engine(&self) -> anyhow::Result<Option<Engine>> {
        let Some(on) = &self.on else { return Ok(None) };
        Ok(Some(match on.trim() {
            "slurm" => Engine::Slurm,
            "kubernetes" => Engine::Kubernetes,
            command if command.contains("{command}") || command.contains("{folder}") => {
                Engine::Command(command.into())
            }
            other => bail!(
                "--on {other}: write slurm, kubernetes, or a command that contains {{command}} or {{folder}}, for \
                 example --on 'ssh {{host}} {{command}}'"
            ),
        }))
    }

    /// The same after a look whether it is there.
    ///
    /// # Errors
    /// Also if it is not.
    pub(crate) fn checked(&self) -> anyhow::Result<Option<Engine>> {
        let engine = self.engine()?;
        if engine == Some(Engine::Slurm) && !self.print {
            super::slurm::check()?;
        }
        Ok(engine)
    }

    /// The claim and the folder of the volume that has a sweep's folder.
    ///
    /// # Errors
    /// If none is given, or the sweep's folder is elsewhere.
    pub(crate) fn volume_of(&self, out: &Path) -> anyhow::Result<(String, PathBuf)> {
        let example = "--on kubernetes needs the volume that has the sweep's folder: --volume CLAIM:FOLDER";
        let volume = self.volume.as_ref().context(example)?;
        let (claim, mount) =
            volume.split_once(':').with_context(|| format!("--volume {volume}: {example}"))?;
        let mount = PathBuf::from(mount);
        ensure!(
            mount.is_absolute() && out.starts_with(&mount),
            "--volume {volume}: the sweep's folder {} is not in it; it must be at the same place here as in the containers",
            out.display()
        );
        Ok((claim.into(), mount))
    }

    pub(crate) fn notice(&self) -> u32 {
        self.notice.unwrap_or(60)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.unwrap_or(3)
    }
}

/// A size in MiB.
fn size(text: &str) -> Result<u64, String> {
    parse(text).map_err(|error| format!("{error:#}"))
}

fn parse(text: &str) -> anyhow::Result<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().trim_end_matches(['B', 'I']) {
        "" | "M" => 1,
        "G" => 1024,
        "T" => 1024 * 1024,
        other => bail!("the unit {other} is not known; write M, G or T, for example 4G"),
    };
    let number: u64 = digits.parse().context("write a whole number and M, G or T, for example 4G")?;
    let size = number.checked_mul(unit).filter(|size| (1..1 << 32).contains(size));
    let size = size.context("that much memory is out of range")?;
    ensure!(size >= 16, "a run needs more than {size} MiB");
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, mib) in [("500M", 500), ("4G", 4096), ("4GiB", 4096), ("1T", 1 << 20), ("300", 300)] {
            assert_eq!(size(text), Ok(mib), "{text}");
        }
        for text in ["", "G", "4X", "-4G", "4.5G", "99999999999999999999G", "1M"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_engine_has_a_name_or_is_a_template() {
        let engine = |on: &str| EngineOptions { on: Some(on.into()), ..Default::default() }.engine();
        assert_eq!(engine("slurm").unwrap(), Some(Engine::Slurm));
        assert_eq!(engine("sh -c {command}").unwrap(), Some(Engine::Command("sh -c {command}".into())));
        assert!(engine("slrum").unwrap_err().to_string().contains("write slurm, kubernetes, or a command"));
    }
}
