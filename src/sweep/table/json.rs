//! The table for programs.

use serde_json::{Map, Value, json};

use super::{super::pool::End, Table, status};
use crate::records::figures::columns;

impl Table<'_> {
    /// The whole table for programs.
    pub(crate) fn json(&self) -> Value {
        let points: Vec<Value> = (0..self.planned.len()).map(|at| self.point_json(at)).collect();
        let columns = columns(&self.figures);
        let groups = self.groups();
        let fronts = self.fronts();
        let over_seeds = groups.iter().enumerate().map(|(at, group)| {
            let means =
                columns.iter().filter_map(|name| Some((name.clone(), json!(self.mean(group, name)?))));
            let mut row = json!({
                "values": values(&group.values),
                "seeds": self.done(group),
                "figures": means.collect::<Map<_, _>>(),
            });
            for front in &fronts {
                row[front.of.column] = json!(front.is_on[at]);
            }
            if let Some(interval) = self.n_ce_interval(group) {
                row["n_ce_interval"] = json!(interval);
            }
            if self.success.is_some() {
                row["success"] = json!(self.rate(group));
            }
            row
        });
        let pairs = self.pairs().into_iter().map(|(group, name, difference)| {
            json!({ "values": values(&group.values), "figure": name, "difference": difference })
        });
        json!({
            "scenario": self.planned.first().map(|planned| planned.scenario.name.clone()),
            "points": points,
            "over_seeds": over_seeds.collect::<Vec<_>>(),
            "less_first": pairs.collect::<Vec<_>>(),
            "intervals": "95 %, Student's t over seeds",
        })
    }

    fn point_json(&self, at: usize) -> Value {
        let planned = &self.planned[at];
        let mut point = json!({
            "point": planned.point.name,
            "values": values(&planned.point.values),
            "set": planned.point.set,
            "folder": planned.folder,
            "method": planned.scenario.train.method.name(),
            "seed": planned.scenario.seed,
            "rounds": planned.scenario.train.rounds,
            "status": status(&self.ends[at]),
        });
        match &self.ends[at] {
            End::Open => {}
            End::Paused(rounds) => point["rounds"] = json!(rounds),
            End::Failed(error) | End::Cancelled(error) => point["error"] = json!(error),
            End::Done(summary) => {
                let figures = self.figures[at].iter().map(|(name, value)| (name.clone(), json!(value)));
                point["figures"] = figures.collect::<Map<_, _>>().into();
                point["rate_estimator"] = json!(summary.test.rate_estimator);
                point["rate_samples"] = json!(summary.test.rate_samples);
                point["joint_rate_samples"] = json!(summary.test.joint_rate_samples);
                point["tasks"] = json!(summary.test.tasks);
                point["fingerprint"] = json!(summary.fingerprint);
                point["rounds"] = json!(summary.rounds);
            }
        }
        point
    }
}

fn values(values: &[(String, String)]) -> Value {
    values.iter().map(|(key, label)| (key.clone(), json!(label))).collect::<Map<_, _>>().into()
}
