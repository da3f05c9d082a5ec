//! Results beside the paper's statements, point by point.

use super::{paper::Statement, results::Group};
use crate::statistics::Mean;

/// A number in the paper and the one found here.
pub(super) struct Compared {
    pub(super) statement: Statement,
    /// Over the whole test set, in the paper's unit; none if it was not run.
    pub(super) here: Option<Mean>,
    /// The same for the last rounds of training, to which the paper's rates and N-CE refer.
    pub(super) training: Option<Mean>,
    pub(super) standing: Option<Standing>,
}

/// The relation of a number found here to the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The number found here lies in the paper's interval (a number without an interval is its own).
    Within,
    /// It lies outside, but the intervals overlap: no difference can be shown.
    Meets,
    Better,
    Worse,
    /// For quantities that are neither better nor worse.
    More,
    Fewer,
}

impl Standing {
    pub(super) fn words(self) -> &'static str {
        match self {
            Standing::Within => "within its interval",
            Standing::Meets => "the intervals meet",
            Standing::Better => "better",
            Standing::Worse => "worse",
            Standing::More => "more",
            Standing::Fewer => "fewer",
        }
    }
}

pub(super) fn compare(groups: &[Group], statement: Statement) -> Compared {
    let value = &statement.value;
    let of = |metric: &str| {
        let group = groups.iter().find(|group| group.label == value.group)?;
        Some(in_paper_units(metric, group.mean(metric)?))
    };
    let (here, training) = (of(&value.metric), of(&format!("train.{}", value.metric)));
    let standing = here.map(|here| standing(&value.metric, here, value.value, value.interval));
    Compared { here, training, standing, statement }
}

fn standing(metric: &str, here: Mean, paper: f64, interval: Option<f64>) -> Standing {
    let (distance, own) = ((here.mean - paper).abs(), interval.unwrap_or(0.0));
    // Numbers that differ by rounding only are equal.
    if distance <= own + 1e-9 {
        return Standing::Within;
    }
    if distance <= own + here.half_width.unwrap_or(0.0) {
        return Standing::Meets;
    }
    let more = here.mean > paper;
    match metric {
        "n_ce" if more => Standing::Better,
        "n_ce" => Standing::Worse,
        _ if metric.ends_with(".top1") => {
            if more {
                Standing::Better
            } else {
                Standing::Worse
            }
        }
        _ if metric.contains("rate") || metric.ends_with("mpjpe") => {
            if more {
                Standing::Worse
            } else {
                Standing::Better
            }
        }
        _ if more => Standing::More,
        _ => Standing::Fewer,
    }
}

/// Top-1 in %, as in the paper; all else is in the paper's units already.
pub(super) fn in_paper_units(metric: &str, mean: Mean) -> Mean {
    if !metric.ends_with(".top1") {
        return mean;
    }
    Mean { mean: 100.0 * mean.mean, half_width: mean.half_width.map(|half| 100.0 * half), n: mean.n }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            paper::Paper,
            results::tests::group,
            target::{Half, Target},
        },
        *,
    };

    #[test]
    fn the_better_direction_depends_on_the_metric() {
        let mean = |mean: f64, half: f64| Mean { mean, half_width: Some(half), n: 3 };
        for (metric, here, paper, interval, expected) in [
            ("n_ce", mean(-0.1, 0.02), -0.39, Some(0.05), Standing::Better),
            ("n_ce", mean(-0.4, 0.02), -0.39, Some(0.05), Standing::Within),
            ("n_ce", mean(-0.5, 0.02), -0.45, None, Standing::Worse),
            ("sum_rate", mean(96.6, 10.0), 166.78, Some(0.96), Standing::Better),
            ("sum_rate", mean(180.0, 1.0), 166.78, Some(0.96), Standing::Worse),
            ("digit.top1", mean(98.4, 0.1), 96.5, Some(1.59), Standing::Better),
            ("digit.top1", mean(98.0, 0.1), 96.5, Some(1.59), Standing::Within),
            ("digit.top1", mean(98.4, 0.4), 96.5, Some(1.59), Standing::Meets),
            ("n_ce", mean(-0.5, 0.06), -0.45, None, Standing::Meets),
            ("pose.mpjpe", mean(140.0, 1.0), 107.53, Some(3.12), Standing::Worse),
            ("entries", mean(6.0, 0.0), 8.0, None, Standing::Fewer),
        ] {
            assert_eq!(standing(metric, here, paper, interval), expected, "{metric} {here:?}");
        }
    }

    #[test]
    fn statements_are_compared_in_the_papers_units_if_they_were_run() {
        let groups = [group("pom2dib", &[-0.30, -0.30])];
        let statements = Paper::read().statements(Target::Table1, Half::MmFi);
        let compared: Vec<Compared> = statements.into_iter().map(|one| compare(&groups, one)).collect();
        let of = |group: &str, metric: &str| {
            let is =
                |one: &&Compared| one.statement.value.group == group && one.statement.value.metric == metric;
            compared.iter().find(is).unwrap()
        };
        assert_eq!(of("pom2dib", "action.top1").here.unwrap().mean, 90.0);
        assert_eq!(of("pom2dib", "action.top1").standing, Some(Standing::Worse));
        assert_eq!(of("pom2dib", "sum_rate").training.unwrap().mean, 22.9);
        assert_eq!(of("pom2dib", "sum_rate").standing, Some(Standing::Better));
        assert_eq!(of("tadib", "n_ce").standing, None);
    }
}
