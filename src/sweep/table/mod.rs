//! Results of a sweep: a row for each point, and a row for all points that differ in the seed alone.

mod csv;
mod json;
mod text;

use std::path::Path;

use super::{
    compare::{Difference, Rate, Success},
    front::{Front, Place, SPENT, Spent},
    plan::Planned,
    pool::End,
};
use crate::{
    draw::plot,
    records::{
        figures::{columns, figures_and_costs, named},
        recordings::{n_ce_by_recording, recordings},
    },
    statistics::{Cluster, Interval, Mean, over_seeds},
};

/// The key over whose values the second table averages.
const SEED: &str = "seed";

/// The varying keys, the runs, and their results.
pub(crate) struct Table<'a> {
    planned: &'a [Planned],
    ends: &'a [End],
    /// Figures of every point; empty for points that are not done.
    figures: Vec<Vec<(String, f64)>>,
    /// N-CE of every point by test recording, where its run kept that.
    recordings: Vec<Option<Vec<Cluster>>>,
    success: Option<Success>,
}

/// Points that differ in the seed alone.
struct Group {
    values: Vec<(String, String)>,
    points: Vec<usize>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(planned: &'a [Planned], ends: &'a [End]) -> Self {
        let figures = ends.iter().map(|end| match end {
            End::Done(summary) => figures_and_costs(summary),
            _ => Vec::new(),
        });
        let of_run = |(planned, end): (&Planned, &End)| match end {
            // A table does without what cannot be read.
            End::Done(_) => {
                recordings(&planned.folder).ok().flatten().map(|losses| n_ce_by_recording(&losses))
            }
            _ => None,
        };
        let recordings = planned.iter().zip(ends).map(of_run).collect();
        Table { planned, ends, figures: figures.collect(), recordings, success: None }
    }

    /// The same with a condition by which runs count as successes.
    pub(crate) fn judged_by(self, success: Option<Success>) -> Self {
        Table { success, ..self }
    }

    /// Writes sweep.csv, sweep-seeds.csv, sweep-pairs.csv, sweep.html and sweep.json.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(&self.json()).expect("tables have only strings and numbers");
        let files = [
            ("sweep.csv", self.points_csv()),
            ("sweep-seeds.csv", self.seeds_csv()),
            ("sweep-pairs.csv", self.pairs_csv()),
            ("sweep.html", self.page()),
            ("sweep.json", json + "\n"),
        ];
        plot::write(folder, &files)
    }

    /// The keys that vary.
    fn keys(&self) -> Vec<String> {
        let values = self.planned.first().map(|planned| &planned.point.values);
        values.into_iter().flatten().map(|(key, _)| key.clone()).collect()
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (at, planned) in self.planned.iter().enumerate() {
            let values: Vec<_> =
                planned.point.values.iter().filter(|(key, _)| key != SEED).cloned().collect();
            match groups.iter_mut().find(|group| group.values == values) {
                Some(group) => group.points.push(at),
                None => groups.push(Group { values, points: vec![at] }),
            }
        }
        groups
    }

    /// A figure's mean over the finished points of a group.
    fn mean(&self, group: &Group, name: &str) -> Option<Mean> {
        let values: Vec<f64> = group.points.iter().filter_map(|&at| named(&self.figures[at], name)).collect();
        Mean::of(&values)
    }

    /// The interval of a group's N-CE over seeds and test recordings together; none unless all its finished runs kept
    /// their losses on the same recordings.
    fn n_ce_interval(&self, group: &Group) -> Option<Interval> {
        let done = || group.points.iter().filter(|&&at| matches!(self.ends[at], End::Done(_)));
        let values: Vec<f64> = done().filter_map(|&at| named(&self.figures[at], "n_ce")).collect();
        let clusters: Option<Vec<Vec<Cluster>>> = done().map(|&at| self.recordings[at].clone()).collect();
        let clusters = clusters.filter(|all| all.iter().all(|own| own.len() == all[0].len()))?;
        over_seeds(&values, Some(&clusters))
    }

    /// The Pareto fronts of the groups' means over seeds: that of the sum-rate, and those of whatever else was spent.
    fn fronts(&self) -> Vec<Front> {
        let groups = self.groups();
        let front = |spent: &'static Spent| {
            let rows = groups.iter().map(|group| {
                let mean = |name| Some(self.mean(group, name)?.mean);
                let place = || Some(Place { n_ce: mean("n_ce")?, spent: mean(spent.figure)? });
                (place(), self.planned[group.points[0]].scenario.channel.as_slice())
            });
            Front::new(spent, &rows.collect::<Vec<_>>())
        };
        let [first, others @ ..] = &SPENT;
        let others = others.iter().map(front).filter(|front| front.places.iter().any(Option::is_some));
        std::iter::once(front(first)).chain(others).collect()
    }

    /// The successes of a group: a run that failed is none, and one that has not ended does not count.
    fn rate(&self, group: &Group) -> Option<Rate> {
        let success = self.success.as_ref()?;
        let outcome = |&at: &usize| match self.ends[at] {
            End::Done(_) => Some(success.value(&self.figures[at]).is_some_and(|value| success.holds(value))),
            End::Failed(_) => Some(false),
            End::Open | End::Paused(_) | End::Cancelled(_) => None,
        };
        Rate::of(&group.points.iter().filter_map(outcome).collect::<Vec<_>>())
    }

    /// A figure of a group's finished points, by seed.
    fn by_seed(&self, group: &Group, name: &str) -> Vec<(u64, f64)> {
        let of_point = |&at: &usize| Some((self.planned[at].scenario.seed, named(&self.figures[at], name)?));
        group.points.iter().filter_map(of_point).collect()
    }

    /// The differences of all groups to the first, by figure: (group, figure, difference).
    fn pairs(&self) -> Vec<(Group, String, Difference)> {
        let mut groups = self.groups().into_iter();
        let Some(first) = groups.next() else { return Vec::new() };
        let mut columns = columns(&self.figures);
        // Those are the machine's.
        columns.retain(|name| name != "seconds");
        let mut pairs = Vec::new();
        for group in groups {
            for name in &columns {
                let difference = Difference::of(&self.by_seed(&first, name), &self.by_seed(&group, name));
                let copy = || Group { values: group.values.clone(), points: group.points.clone() };
                pairs.extend(difference.map(|difference| (copy(), name.clone(), difference)));
            }
        }
        pairs
    }

    fn done(&self, group: &Group) -> usize {
        group.points.iter().filter(|&&at| matches!(self.ends[at], End::Done(_))).count()
    }
}

fn status(end: &End) -> &'static str {
    match end {
        End::Done(_) => "done",
        End::Failed(_) => "failed",
        End::Paused(_) => "paused",
        End::Cancelled(_) => "cancelled",
        End::Open => "open",
    }
}

#[cfg(test)]
mod tests {
    use coordinator::ScenarioArguments;
    use serde_json::json;

    use super::{
        super::{axis::Axis, point::product},
        *,
    };
    use crate::records::{figures::tests::summary, origin::Origins};

    fn planned(folder: &Path) -> Vec<Planned> {
        let axes = ["train.beta=0,0.5", "seed=1..2"].map(|text| Axis::parse(text).unwrap());
        let points = product(&axes).unwrap();
        let base = ScenarioArguments::default();
        let mut origins = Origins::default();
        points
            .into_iter()
            .map(|point| Planned::new(&base, point, folder, &mut origins, false).unwrap())
            .collect()
    }

    #[test]
    fn the_interval_over_recordings_too_is_given_where_all_seeds_kept_them() {
        let folder = tempfile::tempdir().unwrap();
        let planned = planned(folder.path());
        let done = |n_ce: f64| End::Done(Box::new(summary(n_ce, 30.0)));
        let ends = [done(-1.0), done(-1.01), done(-3.0), done(-4.0)];
        // One recording of two has the whole loss of either seed; of the other pair, one seed kept nothing.
        for (at, loss) in [(0, 2.0), (1, 2.02), (2, 6.0)] {
            std::fs::create_dir_all(&planned[at].folder).unwrap();
            let text = format!("{{\"rows\":[5,5],\"losses\":[[{loss},0.0]]}}");
            std::fs::write(planned[at].folder.join("recordings.json"), text).unwrap();
        }
        let table = Table::new(&planned, &ends);
        let groups = table.groups();
        // Student's t of -1 and -1.01 alone has half the width 0.064.
        let interval = table.n_ce_interval(&groups[0]).unwrap();
        assert!(interval.low < -1.9 && interval.high > -0.1, "{interval:?}");
        assert_eq!(table.n_ce_interval(&groups[1]), None);
        let csv = table.seeds_csv();
        let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        let at = rows[0].iter().position(|name| *name == "n_ce.low").unwrap();
        assert_eq!(rows[1][at].parse::<f64>().unwrap(), interval.low);
        assert_eq!((rows[0][at + 1], rows[2][at]), ("n_ce.high", ""));
        assert_eq!(table.json()["over_seeds"][0]["n_ce_interval"]["high"], json!(interval.high));
        assert!(table.text().contains("95 % over seeds and test recordings together"));
    }

    #[test]
    fn a_row_a_point_and_means_over_those_seeds_that_are_done() {
        let folder = tempfile::tempdir().unwrap();
        let planned = planned(folder.path());
        let done = |n_ce: f64| End::Done(Box::new(summary(n_ce, 30.0)));
        let ends = [done(-1.0), done(-2.0), done(-3.0), End::Failed("no, \"never\"".into())];
        let table = Table::new(&planned, &ends);
        table.write(folder.path()).unwrap();

        let points = std::fs::read_to_string(folder.path().join("sweep.csv")).unwrap();
        let lines: Vec<&str> = points.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(
            lines[0].starts_with("point,train.beta,method,seed,rounds,status,n_ce,sum_rate,joint_rate,"),
            "{points}"
        );
        assert!(lines[1].starts_with("\"train.beta=0,seed=1\",0,pom2dib,1,6,done,-1,30,10,"), "{points}");
        assert!(
            lines[4].contains(",2,300,failed,") && lines[4].ends_with("\"no, \"\"never\"\"\""),
            "{points}"
        );

        let seeds = std::fs::read_to_string(folder.path().join("sweep-seeds.csv")).unwrap();
        let lines: Vec<&str> = seeds.lines().collect();
        assert!(lines[0].starts_with("train.beta,seeds,n_ce,n_ce.half_width,"), "{seeds}");
        // s = sqrt(1/2), t of one degree of freedom: 12.706 x 0.7071 / sqrt(2) = 6.353.
        assert!(lines[1].starts_with("0,2,-1.5,6.353"), "{seeds}");
        assert!(lines[2].starts_with("0.5,1,-3,,30,,"), "one seed has no interval: {seeds}");

        // One seed in common has no interval.
        assert_eq!(
            std::fs::read_to_string(folder.path().join("sweep-pairs.csv")).unwrap().lines().count(),
            1
        );
        let page = std::fs::read_to_string(folder.path().join("sweep.html")).unwrap();
        roxmltree::Document::parse(page.split_once('\n').unwrap().1).unwrap();
        assert!(page.contains("\"half_width\":6.353") && page.contains("\"half_width\":null"), "{page}");
        assert!(page.contains("<b>train.beta=0</b>") && page.contains("failed: no, &quot;never"), "{page}");
        let json = table.json();
        assert_eq!(json["over_seeds"][0]["pareto"], true);
        assert_eq!(json["over_seeds"][1]["pareto"], false, "a lower score at the same rate");
        assert_eq!(json["points"][3]["status"], "failed");
        assert_eq!(json["over_seeds"][0]["figures"]["n_ce"]["n"], 2);
        let text = table.text();
        assert!(
            text.contains("-1.500 ± 6.353") && text.contains("train.beta=0.5,seed=2 failed: no"),
            "{text}"
        );
    }
}
