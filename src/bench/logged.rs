//! A run's log of its rounds, read back for the benchmarks.

use std::path::Path;

use scenario::Scenario;

use crate::records::run_log::{self, Round, Selection};

/// Rounds at the start of a run that are not counted: caches are cold, and memory is still being allocated.
const WARM_UP: usize = 10;

/// The counted rounds of a run, and the number of its ticks.
pub(crate) struct Logged {
    pub(crate) rounds: Vec<Round>,
    selection: Vec<Selection>,
    receivers: usize,
    entries: usize,
    ticks: usize,
}

/// Selection in a round, all ticks together: means over rounds.
pub(crate) struct Chosen {
    /// Granted entries, by (k, m), all receivers together.
    pub(crate) granted: Vec<f64>,
    /// Ticks at which each (k, m) was granted to any receiver.
    pub(crate) encoded: Vec<f64>,
    /// (tick, receiver) pairs that requested each transmitter.
    pub(crate) requested: Vec<f64>,
}

impl Logged {
    pub(crate) fn read(out: &Path) -> anyhow::Result<Self> {
        let scenario = Scenario::read(&out.join("scenario.toml"), &[])?;
        Ok(Logged {
            rounds: counted(out, run_log::rounds(out)?)?,
            selection: counted(out, run_log::selection(out, &scenario)?)?,
            receivers: scenario.receivers(),
            entries: scenario.entries_per_receiver(),
            ticks: scenario.train.ticks_per_round,
        })
    }

    pub(crate) fn chosen(&self) -> Chosen {
        let grants = |line: &Selection| line.granted.to_rows(self.receivers, self.entries);
        Chosen {
            granted: self.mean(self.selection.iter().flat_map(grants)),
            encoded: self.mean(self.selection.iter().map(|line| &line.encoded)),
            requested: self.mean(self.selection.iter().map(|line| &line.asked)),
        }
    }

    pub(crate) fn entries_per_tick(&self) -> f64 {
        self.chosen().granted.iter().sum::<f64>() / self.ticks as f64
    }

    /// Sums of shares, converted to counts of a round's ticks, mean over rounds.
    fn mean(&self, lines: impl Iterator<Item = impl AsRef<[f64]>>) -> Vec<f64> {
        let mut sums = Vec::new();
        for line in lines {
            let line = line.as_ref();
            sums.resize(line.len(), 0.0);
            for (sum, share) in sums.iter_mut().zip(line) {
                *sum += share * self.ticks as f64 / self.selection.len() as f64;
            }
        }
        sums
    }
}

/// The number of warm-up rounds among `rounds`: the last always counts.
pub(crate) fn warm_up(rounds: usize) -> usize {
    WARM_UP.min(rounds.saturating_sub(1))
}

/// The lines of the counted rounds, at least one.
fn counted<L>(out: &Path, mut lines: Vec<L>) -> anyhow::Result<Vec<L>> {
    anyhow::ensure!(!lines.is_empty(), "{}: it holds no round; give the run at least one", out.display());
    Ok(lines.split_off(warm_up(lines.len())))
}

/// A quantile of some numbers, at least one.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rounds_do_not_count_but_the_last_always_does() {
        assert_eq!([1, 2, 10, 11, 40].map(warm_up), [0, 1, 9, 10, 10]);
    }

    #[test]
    fn a_quantile_is_one_of_the_numbers() {
        let values = vec![3.0, 1.0, 2.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(values.clone(), share)), [1.0, 2.0, 3.0]);
    }
}
