//! The tables of results, and what there is to know of their columns.

use std::fmt::Write;

use super::{
    super::{
        bound::Labels,
        ceiling::{ceiling, is_capped},
        draw::is_entropy,
        results::Group,
    },
    Page,
};
use crate::{
    records::figures::{columns, scores},
    statistics::Interval,
    sweep::written,
};

/// Figures that have no column.
const NOT_SHOWN: [&str; 2] = ["seconds", "joint_ceiling"];

impl Page<'_> {
    /// A row for every group.
    pub(super) fn results(&self, text: &mut String) {
        let all = columns(self.groups.iter().flat_map(|group| &group.runs).map(|run| &run.figures));
        let shown = |name: &&String| {
            !name.starts_with("train.")
                && !name.ends_with(".ce")
                && !name.ends_with(".rate")
                && !NOT_SHOWN.contains(&name.as_str())
        };
        let columns: Vec<&String> = all.iter().filter(shown).collect();
        let heads: Vec<String> = columns.iter().map(|name| self.head(name)).collect();
        let _ = writeln!(
            text,
            "## Here\n\n| | under limits | seeds | {} | rate's estimator, N; joint N |",
            heads.join(" | ")
        );
        let _ = writeln!(text, "|{}", " --- |".repeat(heads.len() + 4));
        for group in self.groups {
            let Some(first) = group.runs.first() else {
                let _ = writeln!(text, "| {} |{}", group.label, " |".repeat(heads.len() + 3));
                continue;
            };
            let cells: Vec<String> = columns.iter().map(|name| self.cell(group, name)).collect();
            let limits = if first.scenario.limited() { "yes" } else { "no" };
            let _ = writeln!(
                text,
                "| {} | {limits} | {} | {} | {}, {}; {} |",
                group.label,
                group.runs.len(),
                cells.join(" | "),
                first.rate_estimator,
                first.rate_samples,
                group.joint_rows()
            );
        }
        let _ = writeln!(
            text,
            "\nWhole test set; means over seeds ± half of a 95 % interval (Student's t), where there are several seeds. \
             The sum-rate is by the estimator that is trained with, as the paper's; for dlsc it is an entropy and no \
             mutual information. \"on noise\" is the share of the grants in the last 100 rounds of training."
        );
        self.over_recordings(text);
        self.about_joint_rates(text);
        if let Some(labels) = self.labels.filter(|_| self.on_plane) {
            bound(text, labels);
            self.by_receiver(text, labels);
        }
        text.push('\n');
    }

    /// The bound by receiver, for runs whose records have each receiver's rate.
    fn by_receiver(&self, text: &mut String, labels: &Labels) {
        let rates = |group: &Group| {
            let rate = |(task, _): &(String, Option<f64>)| Some(group.mean(&format!("{task}.rate"))?.mean);
            labels.tasks.iter().map(rate).collect::<Option<Vec<f64>>>()
        };
        let known: Vec<(&Group, Vec<f64>, f64)> = self
            .groups
            .iter()
            .filter(|group| !is_entropy(group))
            .filter_map(|group| {
                let rates = rates(group)?;
                let bound = labels.bound_of(&rates)?;
                Some((group, rates, bound))
            })
            .collect();
        if known.is_empty() {
            return;
        }
        let heads: Vec<String> = labels.tasks.iter().map(|(task, _)| format!("{task}, nats")).collect();
        let _ = writeln!(
            text,
            "\n| sent to | {} | N-CE at most, were these the true rates |\n|{}",
            heads.join(" | "),
            " --- |".repeat(heads.len() + 2)
        );
        for (group, rates, bound) in known {
            let cells: Vec<String> = rates.iter().map(|rate| format!("{rate:.2}")).collect();
            let _ = writeln!(text, "| {} | {} | {bound:.3} |", group.label, cells.join(" | "));
        }
    }

    /// A group's mean of a figure; for a joint rate also its upper limit.
    fn cell(&self, group: &Group, name: &str) -> String {
        let Some(mean) = group.mean(name) else { return "·".into() };
        let plain = written(name, mean);
        if name != "joint_rate" {
            return plain;
        }
        if is_entropy(group) {
            return "·".into();
        }
        let most = ceiling(group, self.labels).map_or(String::new(), |ceiling| format!(" of {ceiling:.1}"));
        let mark = if is_capped(group, self.labels) { " †" } else { "" };
        plain + &most + mark
    }

    /// N-CE and scores over seeds and recordings together, for groups whose runs all have them by recording.
    fn over_recordings(&self, text: &mut String) {
        let known: Vec<&Group> =
            self.groups.iter().filter(|group| group.interval("n_ce").is_some()).collect();
        if let Some(run) = known.first().and_then(|group| group.runs.first()) {
            let names: Vec<&str> = std::iter::once("n_ce").chain(scores(&run.figures)).collect();
            let heads: Vec<String> = names.iter().map(|name| self.head(name)).collect();
            let _ = writeln!(
                text,
                "\n95 % intervals over seeds and test recordings together (the wider of a bootstrap of both and Student's t):\n\n\
                 | | {} |\n|{}",
                heads.join(" | "),
                " --- |".repeat(heads.len() + 1)
            );
            for group in known {
                let cell =
                    |name: &&str| group.interval(name).map_or_else(|| "·".into(), |own| range(name, own));
                let cells: Vec<String> = names.iter().map(cell).collect();
                let _ = writeln!(text, "| {} | {} |", group.label, cells.join(" | "));
            }
        }
        let lacking =
            self.groups.iter().any(|group| group.runs.len() > 1 && group.interval("n_ce").is_none());
        if lacking {
            let _ = writeln!(
                text,
                "\nIntervals are over seeds alone where records have no losses by test recording: they say how much another seed would \
                 change, not other recordings."
            );
        }
        if let Some(people) = self.people() {
            let _ = writeln!(text, "\n{people}");
        }
    }

    /// Remarks on HandWritten's recordings.
    fn people(&self) -> Option<String> {
        let (_, run) = self.all().next()?;
        (run.scenario.data.source == "handwritten").then(|| {
            "The test set has 300 recordings: five takes of each of the ten digits by 6 speakers. All of these speakers are also in the \
             training set, so the scores do not show how well the network recognises a new speaker."
                .into()
        })
    }

    /// The upper limits of joint rates, and why entropies have none.
    fn about_joint_rates(&self, text: &mut String) {
        let any = |of: &dyn Fn(&Group) -> bool| self.groups.iter().any(of);
        if any(&|group| ceiling(group, self.labels).is_some()) {
            let _ = writeln!(
                text,
                "\nBehind a joint rate stands its ceiling, where it is known of all seeds: of N rows an estimate can show no more than which row it was, ln N an entry, \
                 and of test rows that share a recording no more than which recording."
            );
        }
        if any(&|group| is_capped(group, self.labels)) {
            let _ = writeln!(
                text,
                "\n† within 5 % of it: that says how few rows, or recordings, there were, and not how much was sent. (Where networks are \
                 gone it cannot be estimated again; newer runs of HandWritten do so over training rows, no two of them the same.)"
            );
        }
        if any(&is_entropy) {
            let _ = writeln!(
                text,
                "\nA joint entropy of dlsc is not given: rows that share a recording have the same feature, and copies at distance 0 \
                 have no density."
            );
        }
    }
}

/// The bound that the labels set, where the paper's plane has one.
fn bound(text: &mut String, labels: &Labels) {
    let Some(sum) = labels.bounding() else { return };
    let own: Vec<String> = labels
        .tasks
        .iter()
        .filter_map(|(task, entropy)| Some(format!("{task} {:.3}", (*entropy)?)))
        .collect();
    let _ = writeln!(
        text,
        "\nEvery receiver is served by itself (unicast). The test labels of their tasks have {} nats, {sum:.3} in sum (together, sent \
         once to all, they would have {:.3}). So N-CE is at most the sum over the receivers of min(0, R_t - H(Y_t)) for true rates \
         R_t, and for R nats in all, however they are divided, at most min(0, R - {sum:.3}), which is what is drawn. Estimates are not \
         true rates: per-dimension readings count a label many times over, and joint ones with a large N understate.",
        own.join(", "),
        labels.together
    );
}

/// A text such as "-0.046 to -0.026"; of accuracies in percent.
fn range(name: &str, Interval { low, high }: Interval) -> String {
    match name.ends_with(".top1") {
        true => format!("{:.2} to {:.2}", 100.0 * low, 100.0 * high),
        false => format!("{low:.3} to {high:.3}"),
    }
}
