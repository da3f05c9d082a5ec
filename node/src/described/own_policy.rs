//! Policies of selection that a user's program adds.

use std::sync::{Arc, PoisonError, RwLock};

use dib::{Policy, SelectorNode};
use randomness::Seed;
use scenario::{Scenario, ScenarioError, SelectedBy};
use serde::de::DeserializeOwned;

use super::own_kind::{AskedKeys, check_new_name};
use crate::selection::policy::OwnPolicy;

/// The requested policy.
pub struct WantedPolicy {
    /// The node that it chooses at: a receiver, whom to request; or a transmitter, which modalities to send.
    pub node: SelectorNode,
    /// How many items it chooses from: K at a receiver, m(k) at a transmitter.
    pub items: usize,
    /// How many it may choose at most: E_t at a receiver, min(E_k, m(k)) at a transmitter.
    pub limit: usize,
    /// T: a transmitter chooses for each of so many receivers.
    pub receivers: usize,
    keys: AskedKeys,
}

impl WantedPolicy {
    /// The value of a key in `train.selection_parameters`, if the scenario sets it. Keys that are never asked for are
    /// refused.
    ///
    /// # Errors
    /// If the key's value is of another type.
    pub fn key<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        self.keys.get(key)
    }

    /// All `train.selection_parameters` as an object of JSON, for a policy that checks by itself what they may be.
    pub fn keys(&self) -> String {
        self.keys.all()
    }
}

/// Makes the policy of a node, or returns one line on what is wrong with the request.
pub type BuildPolicy = dyn Fn(&WantedPolicy) -> Result<Box<dyn Policy>, String> + Send + Sync;

/// The added policies, in order.
static ADDED: RwLock<Vec<(&'static str, Arc<BuildPolicy>)>> = RwLock::new(Vec::new());

/// Adds a policy to those that this process knows, under its name in scenarios.
///
/// # Errors
/// If the name is taken, or is not 1 to 64 letters, digits, hyphens and underscores.
pub fn register_policy(name: &'static str, build: Arc<BuildPolicy>) -> Result<(), String> {
    check_new_name("policy", name, &names())?;
    ADDED.write().unwrap_or_else(PoisonError::into_inner).push((name, build));
    Ok(())
}

/// What `train.selection` may be in this process.
fn names() -> Vec<&'static str> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    [SelectedBy::LEARNED].into_iter().chain(added.iter().map(|(name, _)| *name)).collect()
}

/// Checks that this program knows the policy of the scenario, if it has one.
pub(super) fn check_policy_name(scenario: &Scenario) -> Result<(), ScenarioError> {
    match scenario.train.selection.own().filter(|name| !names().contains(name)) {
        Some(name) => Err(ScenarioError::invalid("train.selection", unknown(name))),
        None => Ok(()),
    }
}

/// Makes the policy of every node, if the scenario has a policy which this program has added, and tries it out.
///
/// # Errors
/// In one line, the key at fault, and what is wrong with it.
pub fn try_policies(scenario: &Scenario) -> Result<(), ScenarioError> {
    let seed = Seed::from_number(scenario.seed);
    let transmitters = (0..scenario.transmitters()).map(SelectorNode::Transmitter);
    for node in (0..scenario.receivers()).map(SelectorNode::Receiver).chain(transmitters) {
        let (Some(mut one), Some(mut other)) = (own_policy(scenario, node)?, own_policy(scenario, node)?)
        else {
            return Ok(());
        };
        one.try_out(&mut other, scenario, seed).map_err(|error| unfit(&error.to_string()))?;
    }
    Ok(())
}

/// The policy of a node; none where selectors learn, or nothing is selected.
///
/// # Errors
/// In one line, the key at fault, and what is wrong with it.
pub(crate) fn own_policy(
    scenario: &Scenario,
    node: SelectorNode,
) -> Result<Option<OwnPolicy>, ScenarioError> {
    let Some(name) = scenario.train.selection.own() else { return Ok(None) };
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let build = added.iter().find(|(known, _)| *known == name).map(|(_, build)| build.clone());
    drop(added);
    let Some(build) = build else { return Err(ScenarioError::invalid("train.selection", unknown(name))) };
    let (items, limit) = match node {
        SelectorNode::Receiver(_) => (scenario.transmitters(), scenario.receiver_limit()),
        SelectorNode::Transmitter(k) => {
            (scenario.modalities(k), scenario.transmitter_limit(k).min(scenario.modalities(k)))
        }
    };
    let keys = AskedKeys::new(&scenario.train.selection_parameters);
    let wanted = WantedPolicy { node, items, limit, receivers: scenario.receivers(), keys };
    let refuse = |line: String| ScenarioError::invalid("train.selection_parameters:", line);
    let policy = build(&wanted).map_err(refuse)?;
    if let Some(line) = wanted.keys.not_asked() {
        return Err(refuse(line));
    }
    OwnPolicy::new(name, node, (items, limit), policy).map(Some).map_err(|error| unfit(&error.to_string()))
}

/// The error for a policy that does what none may do.
fn unfit(line: &str) -> ScenarioError {
    ScenarioError::invalid("train.selection:", line)
}

fn unknown(name: &str) -> String {
    let known = names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    format!("is \"{name}\", which is no policy of this program: it has {known}")
}
