//! The runs of a table or figure.

use anyhow::Context;
use coordinator::ScenarioArguments;
use scenario::Scenario;

use super::target::{Half, Target};
use crate::sweep::{Point, label};

/// The methods of Table I, in its order; the paper has no row for vddib.
const METHODS: [&str; 5] = ["pom2dib", "rs-dib", "tadib", "vddib", "dlsc"];

/// Table II: learning rate of selection to that of coding.
const RATIOS: [(&str, f64); 7] = [
    ("1:16", 1.0 / 16.0),
    ("1:8", 1.0 / 8.0),
    ("1:4", 1.0 / 4.0),
    ("1:2", 1.0 / 2.0),
    ("1:1", 1.0),
    ("2:1", 2.0),
    ("4:1", 4.0),
];

/// The values of beta in Fig. 2(c) and (d).
const TRAJECTORIES: [f64; 5] = [0.0, 1e-4, 1e-3, 1e-2, 1e-1];

/// A table or figure and its runs.
pub(super) struct Recipe {
    pub(super) target: Target,
    pub(super) title: String,
    /// What it shows, in a sentence.
    pub(super) shows: &'static str,
    /// Runs that differ in the seed alone, by their labels in tables.
    pub(super) kinds: Vec<Kind>,
}

/// Runs of the scenario with these assignments.
pub(super) struct Kind {
    pub(super) label: String,
    pub(super) set: Vec<String>,
}

/// The runs of a target. `betas` are those of Fig. 2(a) and (b).
pub(super) fn recipe(target: Target, half: Half, scenario: &Scenario, betas: &[f64]) -> Recipe {
    let (title, shows) = words(target, half);
    let kind = |label: &str, set: &[&str]| Kind {
        label: label.into(),
        set: set.iter().map(|&text| text.to_owned()).collect(),
    };
    let kinds = match target {
        Target::Table1 => METHODS.iter().map(|method| of_method(method)).collect(),
        Target::Table2 | Target::Fig2e | Target::Fig2f => {
            RATIOS.map(|ratio| of_ratio(scenario, ratio)).into()
        }
        Target::Fig2a | Target::Fig2b => tradeoff(betas),
        Target::Fig2c | Target::Fig2d => TRAJECTORIES.map(|beta| of_beta(None, beta)).into(),
        Target::Fig3 | Target::Fig4 | Target::All => vec![kind("pom2dib", &[])],
        // In the paper gamma is 0 there, so that beta alone decides whether entries are left out. The paper does not
        // cover a beta that has an effect from the first round on.
        Target::Fig5 => vec![
            kind("no limits", &["network.limits=false", "train.gamma=0.0", "train.beta=1e-3"]),
            kind("no limits, beta = 1e-2", &["network.limits=false", "train.gamma=0.0", "train.beta=1e-2"]),
        ],
        Target::Fig6 => {
            vec![kind("no limits, beta -> 0", &["network.limits=false", "train.gamma=0.0", "train.beta=0.0"])]
        }
        // The paper does not cover a gamma above the benefit of a second entry.
        Target::Fig7 | Target::Fig8 => vec![
            kind("gamma = 0.1", &["network.limits=false", "train.gamma=0.1"]),
            kind("gamma = 0.3", &["network.limits=false", "train.gamma=0.3"]),
        ],
    };
    Recipe { target, title, shows, kinds }
}

fn of_method(method: &str) -> Kind {
    Kind { label: method.into(), set: vec![format!("train.method={method}")] }
}

fn of_ratio(scenario: &Scenario, (name, ratio): (&str, f64)) -> Kind {
    let rate = scenario.train.coding_lr * ratio;
    // Under the key's old name, by which existing records name their runs.
    Kind { label: name.into(), set: vec![format!("train.selection_rate={rate:?}")] }
}

fn of_beta(method: Option<&str>, beta: f64) -> Kind {
    let mut set: Vec<String> = method.iter().map(|method| format!("train.method={method}")).collect();
    set.push(format!("train.beta={beta:?}"));
    let beta = label(&format!("{beta:?}"));
    let label = method.map_or(String::new(), |method| format!("{method} ")) + &format!("beta={beta}");
    Kind { label, set }
}

/// Three methods over beta; the two without a rate in the objective are points.
fn tradeoff(betas: &[f64]) -> Vec<Kind> {
    let over_beta = ["pom2dib", "rs-dib", "tadib"];
    let curves = over_beta.iter().flat_map(|method| betas.iter().map(|beta| of_beta(Some(method), *beta)));
    curves.chain(["vddib", "dlsc"].map(of_method)).collect()
}

fn words(target: Target, half: Half) -> (String, &'static str) {
    let data = match half {
        Half::HandWritten => "HandWritten",
        Half::MmFi => "MM-Fi",
    };
    let panel = if half == Half::HandWritten { "(a)" } else { "(b)" };
    let plain = |name: &str, what: &str| format!("{name}: {what}, {data}");
    match target {
        Target::Table1 => (
            plain(&format!("Table I{panel}"), "five methods by task"),
            "N-CE over the sum-rate of each method: dots are from here, with 95 % intervals over seeds, rings the paper's.",
        ),
        Target::Table2 => (
            plain(&format!("Table II{panel}"), "ratios of learning rates, selection to coding"),
            "N-CE and sum-rate of pom2dib over the ratio of the learning rates: dots are from here, with 95 % intervals over seeds, rings the paper's.",
        ),
        Target::Fig2a | Target::Fig2b => (
            plain(&figure(target), "rate and relevance"),
            "N-CE over the rate, a point for each beta, from the largest to 0, with 95 % intervals over seeds. vddib and dlsc have no rate to control.",
        ),
        Target::Fig2c | Target::Fig2d => (
            plain(&figure(target), "training on the information plane"),
            "How N-CE and sum-rate go during training (means over consecutive rounds and the seeds; bars go from the lowest seed to the highest), for each beta.",
        ),
        Target::Fig2e | Target::Fig2f => (
            plain(&figure(target), "log-likelihood (21) over rounds"),
            "The log-likelihood over rounds (means over consecutive rounds and the seeds; bars go from the lowest seed to the highest), for each ratio of learning rates.",
        ),
        Target::Fig3 | Target::Fig4 | Target::All => (
            plain(&figure(target), "the selection under limits"),
            "The share of a round's ticks at which each entry was granted, from white (or black) for never to blue for always.",
        ),
        Target::Fig5 => (
            plain("Fig. 5", "the selection without limits at beta = 1e-3, and at 1e-2"),
            "The share of a round's ticks at which each entry was granted; nothing but beta keeps entries out (gamma is 0).",
        ),
        Target::Fig6 => (
            plain("Fig. 6", "the selection without limits at beta -> 0"),
            "The share of a round's ticks at which each entry was granted, when neither rate nor entries cost anything.",
        ),
        Target::Fig7 | Target::Fig8 => (
            plain(&figure(target), "the selection with the sparse prior, gamma = 0.1 and 0.3"),
            "The share of a round's ticks at which each entry was granted, without limits, when every entry and ask costs gamma.",
        ),
    }
}

/// "Fig. 2(a)".
fn figure(target: Target) -> String {
    let name = target.name();
    match name.strip_prefix("fig2") {
        Some(panel) => format!("Fig. 2({panel})"),
        None => name.replace("fig", "Fig. "),
    }
}

/// The runs of a kind, one for each seed. Settings equal to the scenario's are left out, so that tables and figures
/// share runs.
pub(super) fn points(base: &ScenarioArguments, kind: &Kind, seeds: u64) -> anyhow::Result<Vec<Point>> {
    let mut set = Vec::new();
    for assignment in &kind.set {
        if changes(base, assignment).with_context(|| kind.label.clone())? {
            set.push(assignment.clone());
        }
    }
    let point = |seed: u64| {
        let all: Vec<String> = set.iter().cloned().chain([format!("seed={seed}")]).collect();
        let values: Vec<(String, String)> = all
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(key, value)| (key.into(), label(value)))
            .collect();
        let names: Vec<String> = values.iter().map(|(key, label)| format!("{key}={label}")).collect();
        Point { name: names.join(","), values, set: all }
    };
    Ok((1..=seeds).map(point).collect())
}

fn changes(base: &ScenarioArguments, assignment: &str) -> anyhow::Result<bool> {
    let mut with = base.clone();
    with.set.push(assignment.into());
    Ok(with.resolve()? != base.resolve()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(target: Target) -> Vec<String> {
        let base = ScenarioArguments::default();
        let recipe = recipe(target, Half::HandWritten, &base.resolve().unwrap(), &[0.0, 1e-3, 0.1]);
        let points = recipe.kinds.iter().flat_map(|kind| points(&base, kind, 1).unwrap());
        points.map(|point| point.name).collect()
    }

    #[test]
    fn tables_and_figures_share_the_runs_of_the_scenario_as_it_is() {
        let own = "seed=1".to_owned();
        for target in
            [Target::Table1, Target::Table2, Target::Fig2a, Target::Fig2c, Target::Fig2e, Target::Fig3]
        {
            assert_eq!(names(target).iter().filter(|name| **name == own).count(), 1, "{target:?}");
        }
        assert!(names(Target::Table1).contains(&"train.method=dlsc,seed=1".into()));
        assert!(names(Target::Fig2a).contains(&"train.method=tadib,seed=1".into()), "beta is 1e-3 anyway");
        assert!(names(Target::Fig2a).contains(&"train.method=rs-dib,train.beta=0.1,seed=1".into()));
        let of_gamma = |gamma: &str| format!("network.limits=false,train.gamma={gamma},seed=1");
        assert_eq!(names(Target::Fig7), [of_gamma("0.1"), of_gamma("0.3")]);
        assert_eq!(names(Target::Table2), names(Target::Fig2e));
    }

    #[test]
    fn ratios_are_of_selection_to_coding() {
        let scenario = ScenarioArguments::default().resolve().unwrap();
        let recipe = recipe(Target::Table2, Half::HandWritten, &scenario, &[]);
        let of = |name: &str| recipe.kinds.iter().find(|kind| kind.label == name).unwrap().set[0].clone();
        // The digits use 5e-4 and 2.5e-4.
        assert_eq!(of("4:1"), "train.selection_rate=0.002");
        assert_eq!(of("1:16"), "train.selection_rate=3.125e-5");
        assert_eq!(figure(Target::Fig2a), "Fig. 2(a)");
        assert_eq!(figure(Target::Fig7), "Fig. 7");
    }
}
