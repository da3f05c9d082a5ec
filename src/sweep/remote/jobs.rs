//! The files of a sweep's jobs: for each a numbered list of points' folders, and what is submitted.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

use super::Planned;
use crate::launch::whole::replace;

/// The subfolder, and the file in it with the sweep's own number.
const FOLDER: &str = "jobs";
const NUMBER: &str = "number";

/// The folder of jobs.
pub(super) struct Jobs {
    folder: PathBuf,
    /// Distinguishes the jobs of this sweep from those of others.
    number: String,
}

impl Jobs {
    /// The jobs of the sweep in a folder.
    pub(super) fn of(out: &Path) -> anyhow::Result<Self> {
        let folder = out.join(FOLDER);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let number = own_number(&folder.join(NUMBER))?;
        Ok(Jobs { folder, number })
    }

    /// A job's name, by which a later process finds it.
    pub(super) fn name(&self, job: usize) -> String {
        format!("pom2dib-{}-{job:04}", self.number)
    }

    /// A job's file.
    pub(super) fn file(&self, job: usize, kind: &str) -> PathBuf {
        self.folder.join(format!("{job:04}.{kind}"))
    }

    /// The log of a job's task.
    pub(super) fn log(&self, job: usize, task: &str) -> PathBuf {
        self.folder.join(format!("{job:04}-{task}.log"))
    }

    /// The numbers of jobs whose file of a kind was written.
    pub(super) fn numbers(&self, kind: &str) -> Vec<usize> {
        (1..).take_while(|&job| self.file(job, kind).exists()).collect()
    }

    /// Writes the list of a new job's points, and returns its number and the list.
    pub(super) fn list<'a>(
        &self,
        kind: &str,
        folders: impl Iterator<Item = &'a Path>,
    ) -> anyhow::Result<(usize, PathBuf)> {
        let job = (1..).find(|&job| !self.file(job, kind).exists()).expect("some number is free");
        let mut text = String::new();
        for folder in folders {
            let folder = folder.to_string_lossy();
            ensure!(!folder.contains('\n'), "{folder:?}: a folder's name has a line's end in it");
            text += &folder;
            text.push('\n');
        }
        let list = self.file(job, "list");
        replace(&list, text.as_bytes()).with_context(|| list.display().to_string())?;
        Ok((job, list))
    }

    /// The points in a job's list; none for points that are not of this sweep any more.
    pub(super) fn points(&self, job: usize, planned: &[Planned]) -> Vec<Option<usize>> {
        let by_folder: BTreeMap<String, usize> = planned
            .iter()
            .enumerate()
            .map(|(at, planned)| (planned.folder.to_string_lossy().into_owned(), at))
            .collect();
        let list = fs::read_to_string(self.file(job, "list")).unwrap_or_default();
        list.lines().map(|folder| by_folder.get(folder).copied()).collect()
    }
}

/// A sweep's own number, which is drawn once.
fn own_number(path: &Path) -> anyhow::Result<String> {
    if let Ok(number) = fs::read_to_string(path) {
        return Ok(number.trim().into());
    }
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    let number = format!("{:08x}", u32::from_be_bytes(bytes));
    replace(path, format!("{number}\n").as_bytes()).with_context(|| path.display().to_string())?;
    Ok(number)
}
