//! Asynchronous successive halving: all points train for a few rounds, and those that score best go on.

use std::path::Path;

use anyhow::{bail, ensure};

use super::{
    job::Job,
    plan::{Found, Planned},
    progress::rounds_done,
};
use crate::records::run_log;

/// The numbers of rounds after which points are compared, and how many of them go on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Halving {
    /// Rising; the last is all rounds.
    rungs: Vec<u64>,
    /// Of this many points, one goes on.
    reduce: usize,
}

/// How far each point is.
#[derive(Debug)]
pub(crate) struct Race {
    halving: Halving,
    points: Vec<Runner>,
}

#[derive(Clone, Debug, Default)]
struct Runner {
    /// The rung to which it trains, or has trained.
    rung: usize,
    /// Scores at the rungs that it has reached.
    scores: Vec<f64>,
    failed: bool,
}

impl Halving {
    /// Rungs from `first` rounds on, each of `reduce` times as many, to `rounds`.
    ///
    /// # Errors
    /// If there are not at least two.
    pub(crate) fn new(rounds: u64, first: Option<u64>, reduce: u16) -> anyhow::Result<Self> {
        ensure!(reduce >= 2, "--reduce {reduce}: of 2 points or more, one goes on");
        let by = u64::from(reduce);
        let first = first.unwrap_or((rounds / by / by).max(1));
        let mut rungs = vec![rounds];
        // From the end, so that the last is exact.
        while let Some(below) = rungs.last().map(|last| last / by).filter(|below| *below >= first.max(1)) {
            rungs.push(below);
        }
        rungs.reverse();
        ensure!(
            rungs.len() > 1,
            "--halving: {rounds} rounds have no stage of {first} rounds or more below them; train for more rounds, or set \
             --first-rounds"
        );
        Ok(Halving { rungs, reduce: reduce.into() })
    }

    /// Whether the points can be compared after the first stage.
    ///
    /// # Errors
    /// If they are not judged on validation rows by then.
    pub(crate) fn check(&self, planned: &Planned) -> anyhow::Result<()> {
        let (every, first) = (planned.scenario.evaluation.every, self.rungs[0]);
        if every == 0 || every > first {
            bail!(
                "--halving compares points by their score on validation rows after {first} rounds: set evaluation.every to \
                 {first} or less, and data.hold_out, for example --set evaluation.every={first} --set data.hold_out=0.2"
            );
        }
        Ok(())
    }
}

impl Race {
    /// The race as it stands in the points' folders.
    pub(crate) fn new(halving: Halving, planned: &[Planned]) -> Self {
        let last = halving.rungs.len() - 1;
        let runner = |planned: &Planned| {
            let trained = rounds_done(&planned.folder);
            // The stage for which it was started last.
            let pause =
                Job::find(&planned.folder).ok().flatten().filter(|_| trained > 0).map(|job| job.pause);
            let rung = match pause {
                Some(Some(pause)) => halving.rungs.iter().position(|rounds| *rounds >= pause).unwrap_or(last),
                Some(None) => last,
                None => 0,
            };
            let is_done = |rounds: u64| match rounds == halving.rungs[last] {
                true => matches!(planned.found, Found::Finished(_)),
                false => trained >= rounds,
            };
            let reached = halving.rungs.iter().take(rung + 1).take_while(|rounds| is_done(**rounds));
            let scores = reached.map_while(|rounds| score(&planned.folder, *rounds)).collect();
            Runner { rung, scores, failed: false }
        };
        let points = planned.iter().map(runner).collect();
        Race { halving, points }
    }

    /// The rounds to which a point trains now.
    pub(crate) fn rounds(&self, point: usize) -> u64 {
        self.halving.rungs[self.points[point].rung]
    }

    /// The rounds after which a point pauses; none in the last stage.
    pub(crate) fn pause(&self, point: usize) -> Option<u64> {
        let is_last = self.points[point].rung + 1 == self.halving.rungs.len();
        (!is_last).then(|| self.rounds(point))
    }

    /// Whether a point has a score at the rung to which it was to train.
    pub(crate) fn has_reached(&self, point: usize) -> bool {
        self.points[point].scores.len() > self.points[point].rung
    }

    /// The rung to which it trains.
    pub(crate) fn rung(&self, point: usize) -> usize {
        self.points[point].rung
    }

    /// A point has trained to its rung.
    ///
    /// # Errors
    /// If it has no score.
    pub(crate) fn reached(&mut self, point: usize, folder: &Path) -> anyhow::Result<()> {
        let rounds = self.rounds(point);
        match score(folder, rounds) {
            Some(score) => self.points[point].scores.push(score),
            None => bail!("{}: no score on validation rows after {rounds} rounds", folder.display()),
        }
        Ok(())
    }

    /// A point has failed: it takes no part any more.
    pub(crate) fn failed(&mut self, point: usize) {
        self.points[point].failed = true;
    }

    /// Points that go on to their next rung, which they are noted to train to. `quiet`: no point is under way.
    pub(crate) fn promote(&mut self, quiet: bool) -> Vec<usize> {
        let mut promoted = Vec::new();
        for rung in (0..self.halving.rungs.len() - 1).rev() {
            let allowed = self.ranked(rung).len() / self.halving.reduce;
            promoted.extend(self.waiting(rung, allowed));
        }
        let last = self.halving.rungs.len() - 1;
        let has_winner = self.points.iter().any(|point| point.scores.len() > last);
        if promoted.is_empty() && quiet && !has_winner {
            // Too few points for a further stage: the best of the furthest goes on.
            let furthest = (0..last).rev().find(|rung| !self.ranked(*rung).is_empty());
            promoted.extend(furthest.into_iter().flat_map(|rung| self.waiting(rung, 1)));
        }
        for &point in &promoted {
            self.points[point].rung += 1;
        }
        promoted
    }

    /// Points with a score at a rung, the best first; of equal ones the earlier.
    fn ranked(&self, rung: usize) -> Vec<usize> {
        let score = |point: usize| self.points[point].scores.get(rung).copied();
        let mut ranked: Vec<usize> = (0..self.points.len())
            .filter(|&point| score(point).is_some() && !self.points[point].failed)
            .collect();
        ranked.sort_by(|&one, &other| {
            let (one, other) = (score(one).unwrap_or(f64::MIN), score(other).unwrap_or(f64::MIN));
            other.total_cmp(&one)
        });
        ranked
    }

    /// Of the best `allowed` of a rung, those that wait there.
    fn waiting(&self, rung: usize, allowed: usize) -> Vec<usize> {
        let best = self.ranked(rung).into_iter().take(allowed);
        best.filter(|&point| self.points[point].rung == rung).collect()
    }
}

/// The last N-CE on validation rows up to a number of rounds; a score that is no number is the lowest.
pub(crate) fn score(folder: &Path, rounds: u64) -> Option<f64> {
    let log = run_log::rounds(folder).ok()?;
    let mut judged =
        log.iter().filter(|round| round.round < rounds).filter_map(|round| round.validation.as_ref());
    judged.next_back().map(|validated| if validated.n_ce.is_nan() { f64::MIN } else { validated.n_ce })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn race(rungs: &[u64], points: usize) -> Race {
        let halving = Halving { rungs: rungs.into(), reduce: 2 };
        Race { halving, points: vec![Runner::default(); points] }
    }

    #[test]
    fn the_last_stage_has_all_rounds_and_each_before_it_a_part_of_them() {
        assert_eq!(Halving::new(270, None, 3).unwrap().rungs, [30, 90, 270]);
        assert_eq!(Halving::new(100, Some(10), 2).unwrap().rungs, [12, 25, 50, 100]);
        assert!(Halving::new(100, Some(60), 2).unwrap_err().to_string().contains("--first-rounds"));
        assert!(Halving::new(100, None, 1).is_err());
    }

    #[test]
    fn the_best_half_so_far_goes_on_without_waiting_for_the_others() {
        let mut race = race(&[1, 2, 4], 4);
        race.points[0].scores.push(-2.0);
        assert!(race.promote(false).is_empty(), "the best of one");
        race.points[1].scores.push(-1.0);
        assert_eq!(race.promote(false), [1]);
        assert_eq!((race.rounds(1), race.rounds(0)), (2, 1));
        assert!(race.promote(false).is_empty(), "it has gone on already");
        race.points[2].scores.push(-3.0);
        race.points[3].scores.push(-0.5);
        assert_eq!(race.promote(false), [3]);
        race.points[1].scores.push(-0.9);
        race.points[3].scores.push(-0.8);
        assert_eq!(race.promote(false), [3]);
        race.points[3].scores.push(-0.7);
        assert!(race.promote(true).is_empty(), "the race is over");
    }

    #[test]
    fn of_too_few_points_the_best_goes_on_once_nobody_is_under_way() {
        let mut race = race(&[1, 2], 1);
        race.points[0].scores.push(f64::MIN);
        assert!(race.promote(false).is_empty());
        assert_eq!(race.promote(true), [0]);
    }
}
