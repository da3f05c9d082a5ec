//! Known deviations of runs from the paper, in words.

use scenario::Scenario;

use super::{
    Arguments,
    target::{Half, SHIPPED},
};

/// Known deviations from the paper.
pub(super) fn notes(arguments: &Arguments, half: Half, scenario: &Scenario) -> Vec<String> {
    let (_, text) = SHIPPED.into_iter().find(|(own, _)| *own == half).expect("there is one of each half");
    let shipped = Scenario::parse(text, half.name(), &[]).expect("the tests read it");
    let mut notes = Vec::new();
    if scenario.train.rounds != shipped.train.rounds {
        notes.push(format!("shrunk: {} rounds instead of {}", scenario.train.rounds, shipped.train.rounds));
    }
    if let Some(seeds) = arguments.seeds {
        notes.push(format!(
            "seeds 1 to {seeds}, by --seeds (without it, 1 to 5 for Table I and Figs. 3 and 4, and 1 to 3 for all else)"
        ));
    }
    if let Some(preset) = arguments.preset {
        notes.push(format!("in all runs, by --preset: the keys of \"{}\"", preset.name()));
    }
    for assignment in &arguments.set {
        notes.push(format!("in all runs, by --set: {assignment}"));
    }
    if scenario.name.ends_with("-synthetic") {
        notes.push("synthetic data, made by code: this shows that everything works, and nothing of what MM-Fi would give".into());
    } else if scenario.data.source != shipped.data.source {
        notes.push(format!(
            "the scenario is \"{}\" on other data, not the paper's: its numbers cannot be compared",
            scenario.name
        ));
    }
    let train = &scenario.train;
    if (train.beta, scenario.network.feature_dim) != (shipped.train.beta, shipped.network.feature_dim) {
        let (beta, dim) = (train.beta, scenario.network.feature_dim);
        notes.push(format!(
            "beta is {beta:?} and feature_dim {dim} unless said otherwise, other than in the paper"
        ));
    }
    notes.push(format!(
        "selection learns with baseline {}, entropy bonus {}, gamma {} unless said otherwise (the paper: constants near the \
         label entropies, no bonus, gamma 0)",
        name(&train.baseline),
        train.entropy_bonus,
        train.gamma
    ));
    notes.push(format!(
        "learning rates are {:?} for coding and {:?} for selection unless said otherwise, and fall to 0 over the last {} % of the \
         rounds (the paper: 1e-4 and 5e-5, throughout)",
        train.coding_lr,
        train.selection_lr,
        train.cool_down * 100.0
    ));
    notes
}

/// A choice as scenarios write it.
fn name(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
