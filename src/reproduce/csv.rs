//! The numbers behind a table or figure, as CSV.

use super::{
    draw::{entry_names, is_entropy},
    paper::Statement,
    results::Group,
    target::Target,
};
use crate::records::figures::{columns, csv_line};

/// The data of a picture, a line for each point.
pub(super) fn behind(target: Target, groups: &[Group], statements: &[Statement]) -> String {
    match target {
        Target::Table1 | Target::Table2 | Target::Fig2a | Target::Fig2b => of_groups(groups, statements),
        Target::Fig2c | Target::Fig2d | Target::Fig2e | Target::Fig2f => of_rounds(groups),
        _ => of_selection(groups),
    }
}

/// Means over seeds of every figure, with half the width of their intervals, and the paper's numbers.
fn of_groups(groups: &[Group], statements: &[Statement]) -> String {
    let columns = columns(groups.iter().flat_map(|group| &group.runs).map(|run| &run.figures));
    let with_interval = columns.iter().flat_map(|name| [name.clone(), format!("{name}.half_width")]);
    let mut stated: Vec<String> = Vec::new();
    for statement in statements {
        if !stated.contains(&statement.value.metric) {
            stated.push(statement.value.metric.clone());
        }
    }
    let head = ["group", "under_limits", "seeds", "rate_estimator", "rate_samples", "joint_rate_samples"];
    let paper =
        stated.iter().flat_map(|metric| [format!("paper.{metric}"), format!("paper.{metric}.half_width")]);
    let mut text = csv_line(head.map(str::to_owned).into_iter().chain(with_interval).chain(paper));
    for group in groups {
        let first = group.runs.first();
        let mut cells = vec![
            group.label.clone(),
            first.map_or(String::new(), |run| run.scenario.limited().to_string()),
            group.runs.len().to_string(),
            first.map_or(String::new(), |run| run.rate_estimator.clone()),
            first.map_or(String::new(), |run| run.rate_samples.to_string()),
            first.map_or(String::new(), |run| run.joint_rate_samples.to_string()),
        ];
        for name in &columns {
            // An entropy is no rate, and copies of a row have no density (page.rs).
            let mean = group.mean(name).filter(|_| !(name.starts_with("joint_") && is_entropy(group)));
            cells.extend([mean.map(|mean| mean.mean), mean.and_then(|mean| mean.half_width)].map(optional));
        }
        for metric in &stated {
            let is = |one: &&Statement| one.value.group == group.label && one.value.metric == *metric;
            let value = statements.iter().find(is).map(|one| &one.value);
            cells.extend(
                [value.map(|value| value.value), value.and_then(|value| value.interval)].map(optional),
            );
        }
        text += &csv_line(cells);
    }
    text
}

/// Each group over its rounds, means over consecutive ones and its runs.
fn of_rounds(groups: &[Group]) -> String {
    let mut text = csv_line(["group", "round", "sum_rate", "n_ce", "logl"].map(str::to_owned));
    for group in groups {
        for piece in group.curve() {
            let numbers =
                [piece.round, piece.sum_rate, piece.n_ce, piece.logl].map(|number| number.to_string());
            text += &csv_line(std::iter::once(group.label.clone()).chain(numbers));
        }
    }
    text
}

/// The granted share of every entry in every run, means over the rounds from the named one to the next: a column for
/// each entry.
fn of_selection(groups: &[Group]) -> String {
    let mut text = String::new();
    for (group, run) in groups.iter().flat_map(|group| group.runs.iter().map(move |run| (group, run))) {
        if text.is_empty() {
            let names = entry_names(run);
            let tasks = run.scenario.receiver.iter().map(|receiver| &receiver.task);
            let entries = tasks.flat_map(|task| names.iter().map(move |name| format!("{task}: {name}")));
            text += &csv_line(["group", "seed", "round"].map(str::to_owned).into_iter().chain(entries));
        }
        for (row, shares) in run.granted.iter().enumerate() {
            let numbered = [run.seed, run.first_round(row)].map(|number| number.to_string());
            let cells = std::iter::once(group.label.clone()).chain(numbered);
            text += &csv_line(cells.chain(shares.iter().map(|share| share.to_string())));
        }
    }
    text
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{paper::Paper, results::tests::group, target::Half},
        *,
    };

    #[test]
    fn every_line_has_a_cell_for_every_column() {
        let groups = [group("pom2dib", &[-1.0, -2.0]), group("tadib", &[])];
        let statements = Paper::read().statements(Target::Table1, Half::MmFi);
        for target in [Target::Table1, Target::Fig2c] {
            let text = behind(target, &groups, &statements);
            let widths: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
            assert!(widths.len() > 1 && widths.iter().all(|width| *width == widths[0]), "{text}");
        }
        let text = behind(Target::Table1, &groups, &statements);
        assert!(text.lines().next().unwrap().contains(",n_ce,n_ce.half_width,"), "{text}");
        assert!(text.contains("pom2dib,true,2,per-dimension,20,60,-1.5,6.353"), "{text}");
        assert!(
            text.lines()
                .nth(2)
                .unwrap()
                .ends_with(",447.32,1.91,-0.19,0.02,120.66,5.27,63.6,1.04,100,0,100,0"),
            "{text}"
        );
    }
}
