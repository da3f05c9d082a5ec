//! The points of a sweep: every combination of its axes' values.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::axis::{Axis, MOST_VALUES};

/// The longest name of a folder, in bytes; file systems take 255.
const LONGEST_NAME: usize = 200;

/// One combination.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// Its name in tables and folders: `train.beta=0.001,seed=3`.
    pub(crate) name: String,
    /// Keys and labels of the values that vary.
    pub(crate) values: Vec<(String, String)>,
    /// All its assignments, including those that do not vary.
    pub(crate) set: Vec<String>,
}

/// All combinations; the last axis varies fastest.
pub(crate) fn product(axes: &[Axis]) -> anyhow::Result<Vec<Point>> {
    for (at, axis) in axes.iter().enumerate() {
        let twice = axes[..at].iter().any(|earlier| earlier.key == axis.key);
        ensure!(!twice, "{} is given twice; put all its values into one list", axis.key);
    }
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
    ensure!(
        count.is_some_and(|count| count <= MOST_VALUES),
        "the sweep has more than {MOST_VALUES} points; sweep fewer at a time"
    );
    let mut points = vec![Point { name: String::new(), values: Vec::new(), set: Vec::new() }];
    for axis in axes {
        points =
            points.iter().flat_map(|point| axis.values.iter().map(|value| point.and(axis, value))).collect();
    }
    Ok(named(points))
}

impl Point {
    fn and(&self, axis: &Axis, value: &super::axis::Value) -> Point {
        let mut point = self.clone();
        point.set.push(format!("{}={}", axis.key, value.text));
        if axis.varies() {
            point.values.push((axis.key.clone(), value.label.clone()));
        }
        point
    }
}

/// Names every point by its varying values; of two equal names, the later gets a number.
pub(super) fn named(mut points: Vec<Point>) -> Vec<Point> {
    let mut taken = BTreeSet::new();
    for point in &mut points {
        let values: Vec<String> = point.values.iter().map(|(key, label)| format!("{key}={label}")).collect();
        let plain = match values.join(",") {
            name if name.is_empty() => "run".into(),
            // Valid keys and labels are ASCII; other keys are refused before a folder is made.
            name => name.chars().take(LONGEST_NAME).collect::<String>(),
        };
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name));
        point.name = free.expect("some number is free");
        taken.insert(point.name.clone());
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(assignments: &[&str]) -> anyhow::Result<Vec<Point>> {
        let axes: anyhow::Result<Vec<Axis>> = assignments.iter().map(|text| Axis::parse(text)).collect();
        product(&axes?)
    }

    #[test]
    fn every_combination_is_a_point_and_the_last_axis_varies_fastest() {
        let points = points(&["train.beta=0,1e-3", "train.rounds=9", "seed=1..2"]).unwrap();
        let names: Vec<&str> = points.iter().map(|point| point.name.as_str()).collect();
        let expected = [
            "train.beta=0,seed=1",
            "train.beta=0,seed=2",
            "train.beta=0.001,seed=1",
            "train.beta=0.001,seed=2",
        ];
        assert_eq!(names, expected);
        assert_eq!(points[2].set, ["train.beta=1e-3", "train.rounds=9", "seed=1"]);
    }

    #[test]
    fn equal_names_get_numbers() {
        let points = points(&["name=\"a b\",a-b,a.b"]).unwrap();
        let names: Vec<&str> = points.iter().map(|point| point.name.as_str()).collect();
        assert_eq!(names, ["name=a-b", "name=a-b-2", "name=a.b"]);
    }

    #[test]
    fn without_an_axis_there_is_one_point() {
        let points = points(&["seed=3"]).unwrap();
        assert_eq!((points.len(), points[0].name.as_str()), (1, "run"));
    }

    #[test]
    fn a_key_that_is_given_twice_and_too_many_points_are_refused() {
        let message = |assignments: &[&str]| points(assignments).unwrap_err().to_string();
        assert!(message(&["seed=1", "seed=2"]).starts_with("seed is given twice"));
        assert!(message(&["seed=1..1000", "train.rounds=1..1000"]).contains("more than 10000 points"));
    }
}
