//! Checks of a scenario's networks.

use std::collections::BTreeSet;

use super::{Described, ENCODER, HEAD, JOINT, Kind, LOCAL, MOST_BLOCKS, Model, Models, Weights};
use crate::{Scenario, ScenarioError, TaskInput, layer::LARGEST_WIDTH, validate::within};

const MOST_AXES: usize = 3;
const LONGEST_AXIS: usize = 1 << 20;

impl Scenario {
    pub(crate) fn validate_models(&self) -> Result<(), ScenarioError> {
        let network = &self.network;
        for Described { key, model } in network.encoder.each(ENCODER) {
            model.validate_encoder(&key, self.train.task_input.divides())?;
            if model.head.is_some() && self.train.task_input.divides() {
                return Err(head_is_made(&key, self.train.task_input));
            }
        }
        for Described { key, model } in self.models() {
            model.validate(&key)?;
            if !key.starts_with(ENCODER) || key.ends_with(&format!(".{HEAD}")) {
                model.is_no_trunk(&key)?;
            }
        }
        let modalities: BTreeSet<&str> =
            self.transmitter.iter().flat_map(|node| &node.modalities).map(String::as_str).collect();
        let tasks: BTreeSet<&str> = self.receiver.iter().map(|node| node.task.as_str()).collect();
        names_are_known(ENCODER, &network.encoder, &modalities, "transmitter observes")?;
        names_are_known(JOINT, &network.joint, &tasks, "receiver has the task")?;
        names_are_known(LOCAL, &network.local, &tasks, "receiver has the task")
    }
}

fn head_is_made(key: &str, task_input: TaskInput) -> ScenarioError {
    let name = task_input.name();
    let what = format!(
        "is set, but train.task_input = \"{name}\" makes the head: remove it, or set \"embedding\" or \"scaled\""
    );
    ScenarioError::invalid(format!("{key}.{HEAD}"), what)
}

fn names_are_known(
    part: &str,
    models: &Models,
    names: &BTreeSet<&str>,
    who: &str,
) -> Result<(), ScenarioError> {
    let unknown = models.named.keys().find(|name| !names.contains(name.as_str()));
    let Some(unknown) = unknown else { return Ok(()) };
    let known: Vec<&str> = names.iter().copied().collect();
    let what = format!("describes a network for what no {who}; there are {}", known.join(", "));
    Err(ScenarioError::invalid(format!("{part}.{unknown}"), what))
}

impl Model {
    fn validate(&self, key: &str) -> Result<(), ScenarioError> {
        if let Some(shape) = &self.shape {
            let key = format!("{key}.shape");
            within(&format!("{key}: the number of its axes"), shape.len(), 1, MOST_AXES)?;
            let mut axes = shape.iter().enumerate();
            axes.try_for_each(|(n, &size)| within(&format!("{key}[{n}]"), size, 1, LONGEST_AXIS))?;
        }
        if let Some(order) = &self.order {
            let mut numbers = order.clone();
            numbers.sort_unstable();
            if !(2..=MOST_AXES).contains(&order.len()) || !numbers.into_iter().eq(0..order.len()) {
                let what = format!(
                    "is {order:?}; it must name each of two or three axes once, by its number from 0"
                );
                return Err(ScenarioError::invalid(format!("{key}.order"), what));
            }
        }
        if let Some(weights) = &self.weights {
            weights.validate(key)?;
        }
        match &self.kind {
            Kind::ResidualMlp { hidden } | Kind::Points { hidden } => {
                widths(&format!("{key}.hidden"), hidden)
            }
            _ => Ok(()),
        }
    }

    /// Checks an encoder of another kind than the paper's: a trunk with a head. One of a user's own kind may be both in
    /// one, unless the task input `divides` encoders.
    fn validate_encoder(&self, key: &str, divides: bool) -> Result<(), ScenarioError> {
        if matches!(self.kind, Kind::ResidualMlp { .. }) {
            return Ok(());
        }
        if matches!(self.kind, Kind::Own { .. }) && self.outputs.is_none() && !divides {
            let what = "is there without outputs: say how many values the head is to get of a sample, or leave out the head";
            let alone = || ScenarioError::invalid(format!("{key}.{HEAD}"), what);
            return self.head.is_none().then_some(()).ok_or_else(alone);
        }
        if self.outputs.is_none() {
            let what =
                "is missing: say how many values its head is to get of a sample, for example outputs = 64";
            return Err(ScenarioError::invalid(format!("{key}.outputs"), what));
        }
        Ok(())
    }

    fn is_no_trunk(&self, key: &str) -> Result<(), ScenarioError> {
        let given = [("outputs", self.outputs.is_some()), (HEAD, self.head.is_some())];
        match given.into_iter().find(|(_, given)| *given) {
            Some((name, _)) => {
                let what = "is for encoders alone: how many values come out of this network is known";
                Err(ScenarioError::invalid(format!("{key}.{name}"), what))
            }
            None => Ok(()),
        }
    }
}

impl Weights {
    fn validate(&self, key: &str) -> Result<(), ScenarioError> {
        if self.path.as_os_str().is_empty() {
            let what = "is empty; name a safetensors file, or a folder of them as `pom2dib export` makes it";
            return Err(ScenarioError::invalid(format!("{key}.weights"), what));
        }
        let is_digest = |digits: &String| {
            digits.len() == 64 && digits.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'))
        };
        match &self.sha256 {
            Some(digits) if !is_digest(digits) => {
                let what = format!("is \"{digits}\"; it must be 64 of the digits 0 to 9 and a to f");
                Err(ScenarioError::invalid(format!("{key}.weights.sha256"), what))
            }
            _ => Ok(()),
        }
    }
}

/// So many layers of these widths.
fn widths(key: &str, widths: &[usize]) -> Result<(), ScenarioError> {
    within(&format!("{key}: the number of its sizes"), widths.len(), 1, MOST_BLOCKS)?;
    let mut each = widths.iter().enumerate();
    each.try_for_each(|(n, &width)| within(&format!("{key}[{n}]"), width, 1, LARGEST_WIDTH))
}
