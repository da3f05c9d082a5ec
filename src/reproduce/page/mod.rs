//! A page in Markdown: the runs, their results, and the comparison with the paper.

mod against_paper;
mod tables;

use std::{collections::BTreeSet, fmt::Write};

use super::{
    bound::Labels,
    compare::Compared,
    draw::caption,
    judge::Judged,
    recipe::Recipe,
    results::{Group, Run},
};
use crate::records::figures::named;

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
