//! What the paper says, number by number and claim by claim, beside what was found here.

use std::fmt::Write;

use super::{
    super::{
        compare::in_paper_units,
        judge::Judged,
        paper::Relation,
        verdict::{FEWEST, Verdict},
    },
    Page,
};
use crate::statistics::Mean;

impl Page<'_> {
    pub(super) fn comparison(&self, text: &mut String) {
        if self.compared.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "## Beside the paper, number by number\n\n| | paper | here, test set | here, end of training | stands |\n\
             | --- | --- | --- | --- | --- |"
        );
        for one in self.compared {
            let value = &one.statement.value;
            // It depends on the scale of the features, which the paper does not state.
            let is_entropy = value.group == "dlsc" && value.metric == "sum_rate";
            let what =
                if is_entropy { "sum-rate (an entropy), nats".into() } else { self.head(&value.metric) };
            let cell = |mean: Option<Mean>| mean.map_or("·".into(), |mean| plain(&value.metric, mean));
            let paper = Mean { mean: value.value, half_width: value.interval, n: 0 };
            let _ = writeln!(
                text,
                "| {} {}, {} | {} | {} | {} | {} |",
                one.statement.source,
                value.group,
                what,
                plain(&value.metric, paper),
                cell(one.here),
                cell(one.training.map(|mean| in_paper_units(&value.metric, mean))),
                one.standing.map_or("not run", |standing| standing.words())
            );
        }
        let several = self.groups.iter().any(|group| group.runs.len() > 1);
        let own = if several { "" } else { " (from one seed there is no interval here)" };
        let _ = writeln!(
            text,
            "\n\"within its interval\": the number from here lies in the paper's; \"the intervals meet\": it does not, but its own \
             interval reaches there, so that the two cannot be told apart{own}; better or worse: they can. Of a rate, less is \
             better.\n"
        );
    }

    pub(super) fn claims(&self, text: &mut String) {
        if !self.judged.is_empty() {
            let _ = writeln!(
                text,
                "## What the paper says of it\n\n| claim | where | here | difference (95 %), margin, seeds | |\n| --- | --- | --- | --- | --- |"
            );
        }
        for one in self.judged {
            let (says, source) = (&one.claim.says, &one.claim.source);
            let verdict = match one.verdict {
                Verdict::DoesNot => "**does not hold**",
                verdict => verdict.words(),
            };
            let why = if one.why.is_empty() { String::new() } else { format!(": {}", one.why) };
            let _ = writeln!(
                text,
                "| {says} | {source} | {} | {} | {verdict}{why} |",
                one.sides.map_or(String::new(), |sides| question(one, sides)),
                difference(one)
            );
        }
        if !self.judged.is_empty() {
            self.rule(text);
        }
        if !self.contradictions.is_empty() {
            let _ = writeln!(text, "To be known of the paper:\n");
            for says in self.contradictions {
                let _ = writeln!(text, "- {says}");
            }
            text.push('\n');
        }
    }

    /// How claims were judged, and the rule's limits.
    fn rule(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\nDifferences are by seed and turned so that positive supports the claim. What is said to be above or below holds if the \
             interval lies above 0, and does not if it lies below the margin; \"no less\" and \"no more\" hold if it lies above minus \
             the margin, and do not if it lies below that; an optimum is no less than every other and better than one (Holm). All \
             else cannot be told, and nothing can from fewer than {FEWEST} seeds. Who is said to be good or comparable must beat \
             guessing (the rule: `src/reproduce/verdict.rs`).\n"
        );
        let judged = || self.judged.iter().filter(|one| one.interval.is_some());
        if judged().any(|one| !one.over_recordings) {
            let _ = writeln!(
                text,
                "Intervals are Student's t over seeds{}: they do not cover that other test recordings, or other people, might have \
                 scored otherwise.\n",
                if judged().any(|one| one.over_recordings) {
                    ", but where losses by test recording are on record (of N-CE): there the wider of that and a bootstrap over seeds \
                     and recordings"
                } else {
                    " alone"
                }
            );
        }
    }
}

/// A text such as "41.8 ± 1.2 below 46.5 ± 1.2?"
fn question(one: &Judged, [left, right]: [Mean; 2]) -> String {
    let relation = match one.claim.is {
        Relation::Below => "below",
        Relation::Above => "above",
        Relation::AtLeast => "no less than",
        Relation::AtMost => "no more than",
        Relation::Optimum => "the optimum, beside",
    };
    format!("{} {relation} {}?", left.written(3), right.written(3))
}

/// A text such as "0.012 to 0.034, 0.020, 5"; for outcomes of two kinds the interval of a share.
fn difference(one: &Judged) -> String {
    let Some(interval) = one.interval else { return "·".into() };
    let over = if one.over_recordings { " (seeds and recordings)" } else { "" };
    match one.claim.of_two_kinds {
        true => format!(
            "of {:.0} to {:.0} % of seeds (Clopper-Pearson), {}",
            100.0 * interval.low,
            100.0 * interval.high,
            one.seeds
        ),
        false => {
            format!("{:.3} to {:.3}{over}, {:.3}, {}", interval.low, interval.high, one.margin, one.seeds)
        }
    }
}

/// A mean in the unit of its metric; percentages are converted already.
fn plain(metric: &str, mean: Mean) -> String {
    match metric {
        _ if metric.ends_with(".top1") => mean.written(2) + " %",
        _ if metric.ends_with("mpjpe") => mean.written(2) + " mm",
        "n_ce" => mean.written(3),
        _ => mean.written(2),
    }
}
