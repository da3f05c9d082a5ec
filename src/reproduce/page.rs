//! A page in Markdown: the runs, their results, and the comparison with the paper.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    bound::Labels,
    ceiling::{ceiling, is_capped},
    compare::{Compared, in_paper_units},
    draw::{caption, is_entropy},
    judge::Judged,
    paper::Relation,
    recipe::Recipe,
    results::{Group, Run},
    verdict::{FEWEST, Verdict},
};
use crate::{
    records::figures::{columns, named, scores},
    statistics::{Interval, Mean},
    sweep::written,
};

/// Figures that have no column.
const NOT_SHOWN: [&str; 2] = ["seconds", "joint_ceiling"];

/// All data of a page.
pub(super) struct Page<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) groups: &'a [Group],
    pub(super) compared: &'a [Compared],
    pub(super) judged: &'a [Judged],
    pub(super) contradictions: &'a [String],
    /// Deviations from the paper or the scenario: a line for each.
    pub(super) notes: &'a [String],
    /// The command as given.
    pub(super) command: &'a str,
    /// The file name of picture and table, without suffix.
    pub(super) file: &'a str,
    /// The labels of the test rows, if known.
    pub(super) labels: Option<&'a Labels>,
    /// Whether it shows N-CE over a rate, which the labels bound.
    pub(super) on_plane: bool,
    pub(super) is_heat_map: bool,
}

impl Page<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!("# {}\n\n{}\n\n", self.recipe.title, self.recipe.shows);
        if self.groups.iter().any(|group| !group.runs.is_empty()) {
            let _ = writeln!(text, "![{}]({}.svg)\n", self.recipe.title, self.file);
        }
        let _ = writeln!(
            text,
            "The numbers behind it: [{0}.csv]({0}.csv); as dots: [{0}.png]({0}.png).\n",
            self.file
        );
        self.notes(&mut text);
        self.captions(&mut text);
        self.results(&mut text);
        self.comparison(&mut text);
        self.claims(&mut text);
        self.runs(&mut text);
        text
    }

    /// All runs, each with its group.
    fn all(&self) -> impl Iterator<Item = (&Group, &Run)> {
        self.groups.iter().flat_map(|group| group.runs.iter().map(move |run| (group, run)))
    }

    fn notes(&self, text: &mut String) {
        for note in self.notes {
            let _ = writeln!(text, "- {note}");
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        let lacking: Vec<&String> = self.groups.iter().flat_map(|group| &group.lacking).collect();
        if !lacking.is_empty() {
            let _ = writeln!(text, "**Not everything is there.** These runs are lacking:\n");
            for run in lacking {
                let _ = writeln!(text, "- {run}");
            }
            text.push('\n');
        }
    }

    /// The captions of the heat maps as text, so that they can be searched.
    fn captions(&self, text: &mut String) {
        if !self.is_heat_map {
            return;
        }
        for (group, run) in self.all() {
            let [run, test, training] = caption(&group.label, run);
            let _ = writeln!(text, "- {run}: {test}; {training}");
        }
        text.push('\n');
    }

    /// A row for every group.
    fn results(&self, text: &mut String) {
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
            "The test set's recordings are 300, five takes of each of ten digits by 6 speakers, all of whom are in the training set too: nothing \
             here says how a new speaker would fare."
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

    fn head(&self, name: &str) -> String {
        match name {
            "n_ce" => "N-CE, nats".into(),
            "sum_rate" => "sum-rate, nats".into(),
            "joint_rate" => "joint rate, nats, of at most".into(),
            "train.entries_first" => "entries in the first rounds".into(),
            "noise_share" => "on noise".into(),
            name => name.replace(".top1", ", top-1").replace('.', ", "),
        }
    }

    fn comparison(&self, text: &mut String) {
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

    fn claims(&self, text: &mut String) {
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

    fn runs(&self, text: &mut String) {
        let _ = writeln!(text, "## Runs\n\n```sh\n{}\n```\n", self.command);
        let places: BTreeSet<String> = self.all().map(|(_, run)| place(run)).collect();
        for (at, place) in places.iter().enumerate() {
            let _ = writeln!(text, "- {}: {place}", at + 1);
        }
        let _ = writeln!(
            text,
            "\n| | run | on | rounds | seconds | fingerprint |\n| --- | --- | --- | --- | --- | --- |"
        );
        for (group, run) in self.all() {
            let on = places.iter().position(|known| *known == place(run)).map_or(0, |at| at + 1);
            let _ = writeln!(
                text,
                "| {} | `{}` | {on} | {} | {:.0} | `{}` |",
                group.label,
                run.name,
                run.rounds,
                named(&run.figures, "seconds").unwrap_or(f64::NAN),
                run.fingerprint.get(..16).unwrap_or(&run.fingerprint)
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

/// The program, data and machine of a run.
fn place(run: &Run) -> String {
    format!("{}, {} on {}", run.program, run.device, run.machine)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            compare::compare,
            judge::judge,
            paper::Paper,
            recipe::recipe,
            results::tests::group,
            target::{Half, Target},
        },
        *,
    };

    #[test]
    fn a_page_lists_the_runs_the_comparison_and_missing_runs() {
        let scenario = coordinator::ScenarioArguments::default().resolve().unwrap();
        let recipe = recipe(Target::Table1, Half::MmFi, &scenario, &[]);
        let mut groups = vec![group("pom2dib", &[-0.3, -0.3]), group("tadib", &[-0.2]), group("dlsc", &[])];
        groups[2].lacking.push("train.method=dlsc,seed=1: it fell over".into());
        let paper = Paper::read();
        let compared: Vec<Compared> = paper
            .statements(Target::Table1, Half::MmFi)
            .into_iter()
            .map(|one| compare(&groups, one))
            .collect();
        let judged: Vec<Judged> = paper
            .claims(Target::Table1, Half::MmFi)
            .into_iter()
            .map(|one| judge(&groups, one, &paper.margins, None))
            .collect();
        let text = Page {
            recipe: &recipe,
            groups: &groups,
            compared: &compared,
            judged: &judged,
            contradictions: &paper.contradictions(Target::Table1, Half::MmFi),
            notes: &["shrunk: 6 rounds instead of 2000".into()],
            command: "pom2dib reproduce table1",
            file: "table1-mmfi",
            labels: None,
            on_plane: true,
            is_heat_map: false,
        }
        .text();
        for words in [
            "# Table I(b): five methods by task, MM-Fi",
            "![Table I(b): five methods by task, MM-Fi](table1-mmfi.svg)",
            "- shrunk: 6 rounds instead of 2000",
            "- train.method=dlsc,seed=1: it fell over",
            "| pom2dib | yes | 2 | -0.300 ± 0.000 | 30.0 ± 0.0 | 10.0 ± 0.0 | 2.50 ± 0.00 | 25.00 ± 0.00 % |",
            "| Table I(b) pom2dib, sum-rate, nats | 311.43 ± 2.34 | 30.00 ± 0.00 | 22.90 ± 0.00 | better |",
            "| Table I(b) pom2dib, N-CE, nats | -0.170 ± 0.020 | -0.300 ± 0.000 | -1.000 ± 0.000 | worse |",
            "| Table I(b) dlsc, N-CE, nats | -0.130 ± 0.010 | · | · | not run |",
            "| -0.300 ± 0.000 no less than -0.200? | · | cannot be told: only 1 of 5 seeds |",
            "nothing can from fewer than 5 seeds",
            "Table II(b) 49.31 and -1.88",
            "pom2dib reproduce table1",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
