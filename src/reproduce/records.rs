//! Records of runs, from which tables and figures can be made again after the runs' folders are gone.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use scenario::Evaluation;

use super::results::Run;
use crate::{
    draw::plot,
    records::origin::Kinship,
    sweep::{Found, Planned, difference},
};

/// A folder of records, one for each run of a scenario at a number of rounds.
pub(super) struct Records {
    pub(super) folder: PathBuf,
}

impl Records {
    /// The record of a run. None if it was not run, or if its whole folder is there.
    ///
    /// # Errors
    /// If a file is malformed, belongs to another run, or has other data or numerics: the error names it.
    pub(super) fn read(&self, planned: &Planned) -> anyhow::Result<Option<(Run, Kinship)>> {
        let path = self.path(&planned.point.name);
        if matches!(planned.found, Found::Finished(_)) || !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let checked = || {
            let run: Run = serde_json::from_slice(&text)?;
            check(&run, planned)?;
            let kinship = planned.origin.kinship(run.origin.as_ref())?;
            anyhow::Ok((run, kinship))
        };
        let known = checked().with_context(|| {
            format!("{}: remove it, or name another folder with --records", path.display())
        })?;
        Ok(Some(known))
    }

    /// Writes the record of a run, atomically.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(super) fn write(&self, run: &Run) -> anyhow::Result<()> {
        let text = serde_json::to_string(run)? + "\n";
        let partial = format!("{}.json.partial", run.name);
        plot::write(&self.folder, &[(&partial, text)])?;
        let path = self.path(&run.name);
        std::fs::rename(self.folder.join(partial), &path).with_context(|| path.display().to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// Checks that it is this run's, and that every row of the selection has all entries.
fn check(run: &Run, planned: &Planned) -> anyhow::Result<()> {
    // Runs that differ only in the rows of the large-sample rate are the same run.
    let mut there = run.scenario.clone();
    there.evaluation = Evaluation { passes: there.evaluation.passes, ..planned.scenario.evaluation.clone() };
    if let Some(difference) = difference(&there, &planned.scenario) {
        anyhow::bail!("the record of another run ({difference})");
    }
    let of_one = planned.scenario.transmitter.iter().map(|transmitter| transmitter.modalities.len());
    let entries = of_one.sum::<usize>() * planned.scenario.receiver.len();
    ensure!(
        run.granted.iter().all(|row| row.len() == entries),
        "a row of \"granted\" has not {entries} entries"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::results::tests::group, *};
    use crate::{
        records::origin::{Origin, Origins},
        sweep::Point,
    };

    fn planned(set: &[&str]) -> Planned {
        let set: Vec<String> = set.iter().map(|&text| text.into()).collect();
        let arguments = coordinator::ScenarioArguments { set: set.clone(), ..Default::default() };
        Planned {
            point: Point { name: "seed=1".into(), values: Vec::new(), set },
            origin: Origins::default().of(&arguments.resolve().unwrap()).unwrap(),
            kinship: None,
            scenario: arguments.resolve().unwrap(),
            arguments,
            folder: PathBuf::new(),
            found: Found::Nothing,
            board: None,
        }
    }

    /// A record whose selection has this many entries, and its folder.
    fn recorded(entries: usize) -> (tempfile::TempDir, Records, Run) {
        let folder = tempfile::tempdir().unwrap();
        let records = Records { folder: folder.path().join("records") };
        let mut run = group("x", &[-0.5]).runs.remove(0);
        run.granted = vec![vec![0.25; entries]; 3];
        records.write(&run).unwrap();
        (folder, records, run)
    }

    #[test]
    fn what_is_written_is_read_again_wherever_the_data_lies_and_however_often_state_is_saved() {
        let (_folder, records, run) = recorded(27);
        for set in [&[][..], &["checkpoint.every=0", "data.path=\"/elsewhere\""]] {
            assert_eq!(records.read(&planned(set)).unwrap(), Some((run.clone(), Kinship::Unknown)));
        }
    }

    #[test]
    fn published_records_are_still_read() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results/records/handwritten-2000");
        let mut count = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let run: Result<Run, _> = serde_json::from_slice(&std::fs::read(&path).unwrap());
            let name = run.unwrap_or_else(|error| panic!("{}: {error}", path.display())).name;
            assert_eq!(path.file_stem().unwrap().to_str(), Some(name.as_str()));
            count += 1;
        }
        assert!(count > 100, "{count}");
    }

    #[test]
    fn a_record_of_other_data_or_numerics_is_refused_and_one_of_another_build_is_known_as_such() {
        let (_folder, records, mut run) = recorded(27);
        let planned = planned(&[]);
        let mut read = |origin: Origin| {
            run.origin = Some(origin);
            records.write(&run).unwrap();
            records.read(&planned).map(|known| known.unwrap().1).map_err(|error| format!("{error:#}"))
        };
        let own = planned.origin.clone();
        assert_eq!(read(own.clone()), Ok(Kinship::Same));
        assert_eq!(read(Origin { build: "x".into(), ..own.clone() }), Ok(Kinship::OtherBuild));
        let data = read(Origin { data: "0".repeat(64), ..own.clone() }).unwrap_err();
        assert!(data.contains("seed=1.json: remove it") && data.contains("made of other data"), "{data}");
        let numerics = read(Origin { numerics: dib::NUMERICS + 1, ..own }).unwrap_err();
        assert!(numerics.contains("made with numerics"), "{numerics}");
    }

    #[test]
    fn records_exist_only_for_runs_that_were_made_and_are_not_read_beside_whole_folders() {
        let (_folder, records, _) = recorded(27);
        let mut planned = planned(&[]);
        planned.found = Found::Finished(Box::new(crate::records::figures::tests::summary(-1.0, 30.0)));
        assert_eq!(records.read(&planned).unwrap(), None);
        planned.found = Found::Nothing;
        planned.point.name = "seed=2".into();
        assert_eq!(records.read(&planned).unwrap(), None);
    }

    #[test]
    fn what_is_no_record_of_the_run_is_named_with_what_to_do() {
        let (_folder, records, _) = recorded(27);
        let message = |records: &Records, set: &[&str]| {
            let message = format!("{:#}", records.read(&planned(set)).unwrap_err());
            assert!(message.contains("seed=1.json: remove it, or name another folder"), "{message}");
            message
        };
        let other = message(&records, &["train.beta=0.5"]);
        assert!(other.contains("another run (train.beta is"), "{other}");
        std::fs::write(records.path("seed=1"), "{}").unwrap();
        assert!(message(&records, &[]).contains("missing field"));
        let (_folder, records, _) = recorded(26);
        assert!(message(&records, &[]).contains("has not 27 entries"));
    }
}
