//! Searches: points drawn from ranges, and budgets.

use anyhow::{bail, ensure};

use super::{
    axis::{Axis, label},
    halving::Halving,
    point::{Point, named, product},
    range::Range,
    sobol::{MOST, Sobol},
};

/// How points are drawn, and how far they train.
#[derive(Clone, Debug, Default, clap::Args, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchOptions {
    /// Draw N points from the ranges of --set, for example --set train.beta=1e-5..1e-1:log (Sobol's sequence); each is
    /// run at every combination of the other keys' values. More can be drawn later in the same folder
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sample: Option<u32>,

    /// The seed of the drawn points [default: 0]
    #[arg(long, value_name = "N", requires = "sample")]
    pub(crate) sample_seed: Option<u64>,

    /// Train all points for a few rounds, and only the best further, by their score on validation rows (asynchronous
    /// successive halving)
    #[arg(long)]
    pub(crate) halving: bool,

    /// With --halving: of N points one goes on, for N times as many rounds [default: 3]
    #[arg(long, value_name = "N", requires = "halving")]
    pub(crate) reduce: Option<u16>,

    /// With --halving: the least rounds of the first stage [default: the rounds by the square of --reduce]
    #[arg(long, value_name = "N", requires = "halving")]
    pub(crate) first_rounds: Option<u64>,

    /// Begin no further point after this many hours
    #[arg(long, value_name = "H", value_parser = hours)]
    pub(crate) hours: Option<f64>,
}

/// What the keys of a sweep may be: values, all of which are run, and ranges, from which is drawn.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) axes: Vec<Axis>,
    pub(crate) ranges: Vec<Range>,
}

impl Space {
    /// Adds `KEY=VALUES`. Of whole numbers, a range stands for all of them unless points are drawn; of a seed always.
    ///
    /// # Errors
    /// If it is neither values nor a range.
    pub(crate) fn add(&mut self, assignment: &str, drawn: bool) -> anyhow::Result<()> {
        if let Some((key, values)) = assignment.split_once('=') {
            let key = key.trim();
            let whole = |end: &str| end.trim().parse::<i64>().is_ok();
            let is_list = values.split_once("..").is_some_and(|(low, high)| whole(low) && whole(high))
                && (!drawn || key == "seed");
            if !is_list && let Some(range) = Range::parse(key, values)? {
                ensure!(
                    self.ranges.len() < MOST,
                    "{key} is one range more than the {MOST} that can be drawn; fix some"
                );
                self.ranges.push(range);
                return Ok(());
            }
        }
        self.axes.push(Axis::parse(assignment)?);
        Ok(())
    }

    /// The points: every drawn one at every combination of the values.
    ///
    /// # Errors
    /// If there are ranges and nothing says how many points to draw, or the other way round.
    pub(crate) fn points(&self, options: &SearchOptions) -> anyhow::Result<Vec<Point>> {
        let count = match (options.sample, self.ranges.first()) {
            (Some(count), Some(_)) => count,
            (Some(_), None) => {
                bail!("--sample draws from ranges: give one, for example --set train.beta=1e-5..1e-1:log")
            }
            (None, Some(Range { key, low, high, .. })) => {
                bail!("--set {key}={low}..{high}: say with --sample N how many points to draw")
            }
            (None, None) => return product(&self.axes),
        };
        let grid = product(&self.axes)?;
        ensure!(
            (count as usize).saturating_mul(grid.len()) <= super::axis::MOST_VALUES,
            "the search has more than {} points; draw fewer",
            super::axis::MOST_VALUES
        );
        let drawn: Vec<Vec<String>> = (0..count).map(|index| self.draw(options, index)).collect();
        let points = drawn.iter().flat_map(|values| grid.iter().map(|point| self.at(point, values)));
        Ok(named(points.collect()))
    }

    /// The values of the ranges at an index of the sequence.
    pub(crate) fn draw(&self, options: &SearchOptions, index: u32) -> Vec<String> {
        let sobol = Sobol::new(self.ranges.len(), options.sample_seed.unwrap_or(0));
        let places = sobol.point(index);
        self.ranges.iter().zip(places).map(|(range, place)| range.at(place)).collect()
    }

    /// A point of the grid with values of the ranges.
    pub(crate) fn at(&self, point: &Point, values: &[String]) -> Point {
        let keys = self.ranges.iter().map(|range| range.key.clone());
        let of_ranges: Vec<(String, String)> = keys.zip(values.iter().cloned()).collect();
        let set = of_ranges.iter().map(|(key, value)| format!("{key}={value}"));
        let labels = of_ranges.iter().map(|(key, value)| (key.clone(), label(value)));
        Point {
            name: String::new(),
            values: labels.chain(point.values.iter().cloned()).collect(),
            set: set.chain(point.set.iter().cloned()).collect(),
        }
    }
}

impl SearchOptions {
    /// The halving, if it is asked for.
    ///
    /// # Errors
    /// If so many rounds have no stages.
    pub(crate) fn halving(&self, rounds: u64) -> anyhow::Result<Option<Halving>> {
        let halving = || Halving::new(rounds, self.first_rounds, self.reduce.unwrap_or(3));
        self.halving.then(halving).transpose()
    }
}

fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse::<f64>().ok().filter(|hours| hours.is_finite() && *hours >= 0.0);
    hours.ok_or_else(|| "write a number of hours, for example 1.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(assignments: &[&str]) -> Space {
        let mut space = Space::default();
        assignments.iter().for_each(|assignment| space.add(assignment, true).unwrap());
        space
    }

    fn sample(count: u32) -> SearchOptions {
        SearchOptions { sample: Some(count), ..SearchOptions::default() }
    }

    #[test]
    fn every_drawn_point_is_run_at_every_value_and_more_points_keep_the_first() {
        let space = space(&["train.beta=1e-5..1e-1:log", "train.method=pom2dib", "seed=1..2"]);
        let points = space.points(&sample(4)).unwrap();
        assert_eq!(points.len(), 8);
        assert!(points[0].name.starts_with("train.beta=") && points[0].name.ends_with(",seed=1"));
        assert_eq!(points[0].set.len(), 3);
        assert_eq!(points[1].values[0], points[0].values[0]);
        let more = space.points(&sample(8)).unwrap();
        assert_eq!(more[..8], points);
        // One in each quarter of the scale.
        let beta = |at: usize| points[2 * at].set[0].split_once('=').unwrap().1.parse::<f64>().unwrap();
        let mut quarters: Vec<i32> = (0..4).map(|at| beta(at).log10().floor() as i32).collect();
        quarters.sort_unstable();
        assert_eq!(quarters, [-5, -4, -3, -2]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let ranges = space(&["train.beta=0.1..0.5"]);
        let message = |space: &Space, options: &SearchOptions| space.points(options).unwrap_err().to_string();
        assert!(message(&ranges, &SearchOptions::default()).contains("--sample N"));
        assert!(message(&space(&["seed=1..3"]), &sample(2)).contains("--sample draws from ranges"));
    }
}
