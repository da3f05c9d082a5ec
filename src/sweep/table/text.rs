//! The table for people: as text, and as a page for a browser.

use super::{
    super::{
        cells::{aligned, written},
        front::{Front, Place},
        pool::End,
    },
    Group, Table, status,
};
use crate::{
    records::figures::columns,
    report::{Dot, Line, sweep_page},
    statistics::Interval,
};

impl Table<'_> {
    /// The columns of tables for people: all figures but losses.
    fn shown(&self) -> Vec<String> {
        columns(&self.figures).into_iter().filter(|name| !name.ends_with(".ce")).collect()
    }

    /// A group's name: that of its point, if it has one alone.
    fn name(&self, group: &Group) -> String {
        let named: Vec<String> = group.values.iter().map(|(key, label)| format!("{key}={label}")).collect();
        match group.points[..] {
            [point] => self.planned[point].point.name.clone(),
            _ => named.join(","),
        }
    }

    /// A group's means, written.
    fn cells(&self, group: &Group, columns: &[String]) -> Vec<String> {
        let cell = |name: &String| self.mean(group, name).map_or("·".into(), |mean| written(name, mean));
        columns.iter().map(cell).collect()
    }

    /// Lines on points that failed, or were cancelled.
    fn failures(&self) -> Vec<String> {
        let failed = self.planned.iter().zip(self.ends).filter_map(|(planned, end)| match end {
            End::Failed(how) | End::Cancelled(how) => {
                Some(format!("{} {}: {how}", planned.point.name, status(end)))
            }
            _ => None,
        });
        failed.collect()
    }

    /// The page for a browser.
    pub(super) fn page(&self) -> String {
        let (columns, fronts) = (self.shown(), self.fronts());
        let groups = self.groups();
        let rows = groups.iter().enumerate().filter(|(_, group)| self.done(group) > 0);
        let lines: Vec<Line> = rows
            .map(|(at, group)| {
                let dot = |front: &Front| {
                    let Place { n_ce, spent } = front.places[at]?;
                    let half_width = self.mean(group, "n_ce")?.half_width;
                    Some(Dot { n_ce, half_width, spent, is_on_front: front.is_on[at] })
                };
                let dots = fronts.iter().map(dot).collect();
                Line { name: self.name(group), cells: self.cells(group, &columns), dots }
            })
            .collect();
        let axes: Vec<&str> = fronts.iter().map(|front| front.of.title).collect();
        let name = self.planned.first().map_or("", |planned| planned.scenario.name.as_str());
        sweep_page(&format!("A sweep of {name}"), &columns, &lines, &axes, &self.failures())
    }

    /// The table as text: means over seeds if there are several, else a row for each point; and the failed points.
    pub(crate) fn text(&self) -> String {
        let columns = self.shown();
        let mut rows = vec![std::iter::once(String::new()).chain(columns.clone()).collect::<Vec<_>>()];
        for group in self.groups().iter().filter(|group| self.done(group) > 0) {
            rows.push(std::iter::once(self.name(group)).chain(self.cells(group, &columns)).collect());
        }
        let mut text = if rows.len() > 1 { aligned(&rows) } else { String::new() };
        if self.groups().iter().any(|group| self.done(group) > 1) {
            text += "means over seeds with 95 % intervals, Student's t\n";
        }
        let over_both = self.groups();
        let over_both =
            over_both.iter().filter_map(|group| Some((self.name(group), self.n_ce_interval(group)?)));
        for (name, Interval { low, high }) in over_both {
            let colon = if name.is_empty() { "" } else { ": " };
            text += &format!(
                "{name}{colon}N-CE from {low:.3} to {high:.3}, 95 % over seeds and test recordings together\n"
            );
        }
        for line in self.failures() {
            text += &line;
            text.push('\n');
        }
        text
    }
}
