//! The table as CSV: by point, by group, and as differences of groups.

use super::{
    super::{cells::optional, compare::Difference, pool::End},
    SEED, Table, status,
};
use crate::{
    records::figures::{columns, csv_line, named},
    statistics::Interval,
};

impl Table<'_> {
    pub(super) fn points_csv(&self) -> String {
        let columns = columns(&self.figures);
        let fixed = ["method", "seed", "rounds", "status"];
        let rate = ["rate_estimator", "rate_samples", "joint_rate_samples", "fingerprint", "error"];
        let head = std::iter::once("point".to_owned())
            .chain(self.keys().into_iter().filter(|key| key != SEED))
            .chain(fixed.map(str::to_owned))
            .chain(columns.clone())
            .chain(rate.map(str::to_owned));
        let mut text = csv_line(head);
        for (at, (planned, end)) in self.planned.iter().zip(self.ends).enumerate() {
            let mut cells = vec![planned.point.name.clone()];
            let values = planned.point.values.iter().filter(|(key, _)| key != SEED);
            cells.extend(values.map(|(_, label)| label.clone()));
            let scenario = &planned.scenario;
            cells.push(scenario.train.method.name().into());
            let rounds = match end {
                // In a search, of its stage.
                End::Done(summary) => summary.rounds,
                End::Paused(rounds) => *rounds,
                _ => scenario.train.rounds,
            };
            cells.extend([scenario.seed, rounds].map(|number| number.to_string()));
            cells.push(status(end).into());
            cells.extend(columns.iter().map(|name| optional(named(&self.figures[at], name))));
            cells.extend(match end {
                End::Done(summary) => [
                    summary.test.rate_estimator.clone(),
                    summary.test.rate_samples.to_string(),
                    summary.test.joint_rate_samples.to_string(),
                    summary.fingerprint.clone(),
                    String::new(),
                ],
                End::Failed(error) | End::Cancelled(error) => ["", "", "", "", error].map(str::to_owned),
                End::Open | End::Paused(_) => [""; 5].map(str::to_owned),
            });
            text += &csv_line(cells);
        }
        text
    }

    pub(super) fn seeds_csv(&self) -> String {
        let columns = columns(&self.figures);
        let with_interval = columns.iter().flat_map(|name| [name.clone(), format!("{name}.half_width")]);
        let keys = self.keys().into_iter().filter(|key| key != SEED);
        let judged: &[&str] = match self.success {
            Some(_) => &["success", "success.runs", "success.low", "success.high"],
            None => &[],
        };
        let fronts = self.fronts();
        let on_front = fronts.iter().map(|front| front.of.column);
        let intervals: &[&str] = match self.groups().iter().any(|group| self.n_ce_interval(group).is_some()) {
            true => &["n_ce.low", "n_ce.high"],
            false => &[],
        };
        let last = intervals.iter().copied().chain(on_front).chain(judged.iter().copied()).map(str::to_owned);
        let mut text = csv_line(keys.chain(["seeds".to_owned()]).chain(with_interval).chain(last));
        for (at, group) in self.groups().into_iter().enumerate() {
            let mut cells: Vec<String> = group.values.iter().map(|(_, label)| label.clone()).collect();
            cells.push(self.done(&group).to_string());
            for name in &columns {
                let mean = self.mean(&group, name);
                cells.push(optional(mean.map(|mean| mean.mean)));
                cells.push(optional(mean.and_then(|mean| mean.half_width)));
            }
            if !intervals.is_empty() {
                let interval = self.n_ce_interval(&group);
                cells.extend([interval.map(|of| of.low), interval.map(|of| of.high)].map(optional));
            }
            cells.extend(fronts.iter().map(|front| front.is_on[at].to_string()));
            if self.success.is_some() {
                cells.extend(self.rate(&group).map_or_else(
                    || vec![String::new(); 4],
                    |rate| {
                        let share = rate.successes as f64 / rate.runs as f64;
                        let Interval { low, high } = rate.interval;
                        [share, rate.runs as f64, low, high].map(|number| number.to_string()).into()
                    },
                ));
            }
            text += &csv_line(cells);
        }
        text
    }

    pub(super) fn pairs_csv(&self) -> String {
        let keys = self.keys().into_iter().filter(|key| key != SEED);
        let fixed = ["figure", "seeds", "difference", "low", "high"].map(str::to_owned);
        let mut text = csv_line(keys.chain(fixed));
        for (group, name, Difference { seeds, mean, interval }) in self.pairs() {
            let values = group.values.into_iter().map(|(_, label)| label);
            let numbers = [mean, interval.low, interval.high].map(|number| number.to_string());
            text += &csv_line(values.chain([name, seeds.to_string()]).chain(numbers));
        }
        text
    }
}
