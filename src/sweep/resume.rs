//! What a sweep's folder keeps of the command that started it, for `sweep --resume`.

use std::path::Path;

use anyhow::{Context, ensure};

use super::{Arguments, SearchOptions};
use crate::launch::{EngineOptions, whole::replace};

/// The file with the command's arguments.
const FILE: &str = "plan.json";

impl Arguments {
    /// The arguments themselves, or with --resume those of the sweep in that folder, with the changes that are given.
    ///
    /// # Errors
    /// If the folder holds no sweep.
    pub(super) fn resumed(&self) -> anyhow::Result<Self> {
        let Some(folder) = &self.resume else { return Ok(self.clone()) };
        let path = folder.join(FILE);
        let text = std::fs::read(&path).with_context(|| {
            format!(
                "{} holds no sweep (there is no {FILE} in it); name the folder that --out named",
                folder.display()
            )
        })?;
        let kept: Arguments = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        ensure!(kept.scenario.as_ref().is_none_or(|scenario| is_there(scenario)), {
            let scenario = kept.scenario.as_ref().expect("it was just looked at");
            format!("{}: the sweep's scenario is gone; bring it back", scenario.display())
        });
        let engine = match &self.engine.on {
            Some(_) => self.engine.clone(),
            None => EngineOptions { print: self.engine.print, ..kept.engine },
        };
        // A budget is that of one command.
        let search = SearchOptions {
            hours: self.search.hours,
            sample: self.search.sample.or(kept.search.sample),
            ..kept.search
        };
        let mut place = kept.place;
        place.json = self.place.json;
        let data = self.data.clone().or(kept.data);
        let parallel = self.parallel.or(kept.parallel);
        Ok(Arguments { out: Some(folder.clone()), data, parallel, place, engine, search, ..kept })
    }

    /// The arguments of the sweep in a folder.
    ///
    /// # Errors
    /// If it holds none.
    pub(super) fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read(&path).with_context(|| {
            format!(
                "{} holds no sweep (there is no {FILE} in it); name the folder that --out named",
                folder.display()
            )
        })?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Keeps the arguments in the sweep's folder.
    pub(super) fn keep(&self, out: &Path) -> anyhow::Result<()> {
        let mut kept = self.clone();
        // Paths are kept so that they hold from any folder.
        for path in [&mut kept.scenario, &mut kept.data].into_iter().flatten() {
            if path.exists() {
                *path = std::path::absolute(&*path).with_context(|| path.display().to_string())?;
            }
        }
        kept.engine.print = false;
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        let path = out.join(FILE);
        let text = serde_json::to_string_pretty(&kept)? + "\n";
        replace(&path, text.as_bytes()).with_context(|| path.display().to_string())
    }
}

/// Whether a scenario can be found: as a file, or by a name without folders, which may be built in.
fn is_there(scenario: &Path) -> bool {
    scenario.exists() || scenario.components().count() == 1
}
