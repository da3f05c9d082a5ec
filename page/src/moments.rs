use std::{
    collections::VecDeque,
    fs::File,
    io::Write,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The file of a run's folder with its moments, a line of JSON for each.
pub const MOMENTS: &str = "events.jsonl";

/// Most moments that a page shows: the last ones.
const MOST: usize = 400;

/// Something that happened to a run: a checkpoint, a lost node, a pause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since 1970.
    pub at: f64,
    /// Its kind, one word.
    pub kind: String,
    /// Rounds done by then.
    pub round: u64,
    /// What happened.
    pub text: String,
}

impl Moment {
    /// A moment that is now.
    pub(crate) fn now(kind: &str, round: u64, text: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = (now.as_secs_f64() * 1e3).round() / 1e3;
        Moment { at, kind: kind.into(), round, text: text.into() }
    }

    pub(crate) fn line(&self) -> String {
        serde_json::to_string(self).expect("it has only texts and numbers")
    }
}

/// The last moments of a run.
#[derive(Debug, Default)]
pub(crate) struct Moments(VecDeque<Moment>);

impl Moments {
    /// Those of the file in a run's folder; lines that are none are left out.
    pub(crate) fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join(MOMENTS)).unwrap_or_default();
        let mut moments = Moments::default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .for_each(|moment| moments.push(moment));
        moments
    }

    pub(crate) fn push(&mut self, moment: Moment) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(moment);
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("it has only texts and numbers")
    }
}

/// Adds a moment to the file in a run's folder.
pub(crate) fn write_down(folder: &Path, moment: &Moment) -> std::io::Result<()> {
    let mut file = File::options().create(true).append(true).open(folder.join(MOMENTS))?;
    file.write_all((moment.line() + "\n").as_bytes())
}
