//! A page in Markdown that says what was run, what came of it, and how that stands to the paper.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    compare::{Compared, Judged, in_paper_units},
    draw::caption,
    paper::Relation,
    recipe::Recipe,
    results::{Group, Run},
};
use crate::{
    figures::{columns, named},
    student::Mean,
    sweep::written,
};

/// Everything that a page is written from.
pub(super) struct Page<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) groups: &'a [Group],
    pub(super) compared: &'a [Compared],
    pub(super) judged: &'a [Judged],
    pub(super) contradictions: &'a [String],
    /// What was run with less than the paper, or otherwise than the scenario: a line each.
    pub(super) notes: &'a [String],
    /// The command, as it was given.
    pub(super) command: &'a str,
    /// The picture's and the table's file, without what comes after the point.
    pub(super) file: &'a str,
    pub(super) entropy: Option<f64>,
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

    /// What stands under each heat map, so that it can be searched.
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
        let shown =
            |name: &&String| !name.starts_with("train.") && !name.ends_with(".ce") && *name != "seconds";
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
            let cells: Vec<String> = columns
                .iter()
                .map(|name| group.mean(name).map_or("·".into(), |mean| written(name, mean)))
                .collect();
            let limits = if first.scenario.limited() { "yes" } else { "no" };
            let _ = writeln!(
                text,
                "| {} | {limits} | {} | {} | {}, {}; {} |",
                group.label,
                group.runs.len(),
                cells.join(" | "),
                first.rate_estimator,
                first.rate_samples,
                first.joint_rate_samples
            );
        }
        let _ = writeln!(
            text,
            "\nWhole test set; means over seeds ± half of a 95 % interval (Student's t), where there are several seeds. \
             The sum-rate is by the estimator that is trained with, as the paper's; for dlsc it is an entropy and no \
             mutual information. \"on noise\" is the share of the grants in the last 100 rounds of training."
        );
        if let Some(entropy) = self.entropy {
            let _ = writeln!(
                text,
                "\nThe test labels of all tasks have {entropy:.3} nats together: N-CE <= min(0, R - {entropy:.3}) for a true \
                 rate of R nats. Per-dimension readings count a label many times over, and joint ones with a large N \
                 understate."
            );
        }
        text.push('\n');
    }

    fn head(&self, name: &str) -> String {
        match name {
            "n_ce" => "N-CE, nats".into(),
            "sum_rate" => "sum-rate, nats".into(),
            "joint_rate" => "joint rate, nats".into(),
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
            // It depends on the scale of the features, which the paper does not give.
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
                "## What the paper says of it\n\n| claim | where | here | |\n| --- | --- | --- | --- |"
            );
        }
        for one in self.judged {
            let relation = match one.claim.is {
                Relation::Below => "below",
                Relation::Above => "above",
                Relation::AtLeast => "no less than",
                Relation::AtMost => "no more than",
            };
            let here = one.sides.map_or("not run".into(), |[left, right]| {
                format!("{} {relation} {}?", left.written(3), right.written(3))
            });
            let holds = match one.holds {
                None => "",
                Some(true) => "holds",
                Some(false) => "**does not hold**",
            };
            let _ = writeln!(text, "| {} | {} | {here} | {holds} |", one.claim.says, one.claim.source);
        }
        if !self.judged.is_empty() {
            text.push('\n');
        }
        if !self.contradictions.is_empty() {
            let _ = writeln!(text, "To be known of the paper:\n");
            for says in self.contradictions {
                let _ = writeln!(text, "- {says}");
            }
            text.push('\n');
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

/// A mean in the unit of its metric; what is in % is so already.
fn plain(metric: &str, mean: Mean) -> String {
    match metric {
        _ if metric.ends_with(".top1") => mean.written(2) + " %",
        _ if metric.ends_with("mpjpe") => mean.written(2) + " mm",
        "n_ce" => mean.written(3),
        _ => mean.written(2),
    }
}

/// What a run was made with and where.
fn place(run: &Run) -> String {
    format!("{}, {} on {}", run.program, run.device, run.machine)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            compare::{compare, judge},
            paper::Paper,
            recipe::recipe,
            results::tests::group,
            target::{Half, Target},
        },
        *,
    };

    #[test]
    fn a_page_says_what_was_run_and_how_it_stands_and_what_is_lacking() {
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
        let judged: Vec<Judged> =
            paper.claims(Target::Table1, Half::MmFi).into_iter().map(|one| judge(&groups, one)).collect();
        let text = Page {
            recipe: &recipe,
            groups: &groups,
            compared: &compared,
            judged: &judged,
            contradictions: &paper.contradictions(Target::Table1, Half::MmFi),
            notes: &["shrunk: 6 rounds instead of 2000".into()],
            command: "pom2dib reproduce table1",
            file: "table1-mmfi",
            entropy: None,
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
            "| -0.300 ± 0.000 no less than -0.200? | **does not hold** |",
            "Table II(b) 49.31 and -1.88",
            "pom2dib reproduce table1",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
