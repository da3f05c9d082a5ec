//! Kinds of network that a user's program adds, and what they have in common with those of channels.

use std::{
    cell::RefCell,
    sync::{Arc, PoisonError, RwLock},
};

use dib::Module;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The requested network.
pub struct Wanted<'a> {
    /// The axes of an input row, outermost first: for an encoder those of the modality's sample, else one.
    pub shape: &'a [usize],
    /// The number of values in an output row.
    pub outputs: usize,
    keys: AskedKeys,
}

/// The keys of a kind's own in the scenario, and which of them the kind has asked for.
pub(super) struct AskedKeys {
    keys: Map<String, Value>,
    asked: RefCell<Vec<String>>,
}

/// Makes a network, or returns one line on what is wrong with the request.
pub type Build = dyn Fn(&Wanted<'_>) -> Result<Box<dyn Module>, String> + Send + Sync;

/// The added kinds, in order.
static ADDED: RwLock<Vec<(&'static str, Arc<Build>)>> = RwLock::new(Vec::new());

impl Wanted<'_> {
    /// The number of values in an input row.
    pub fn inputs(&self) -> usize {
        self.shape.iter().product()
    }

    /// The value of a key of the network's table, if the scenario sets it. Keys that are never asked for are refused.
    ///
    /// # Errors
    /// If the key's value is of another type.
    pub fn key<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        self.keys.get(key)
    }

    /// All keys of the network's table as an object of JSON, for a kind that checks by itself what they may be.
    pub fn keys(&self) -> String {
        self.keys.all()
    }
}

impl AskedKeys {
    /// Those of a table.
    pub(super) fn new(table: &impl serde::Serialize) -> Self {
        match serde_json::to_value(table) {
            Ok(Value::Object(keys)) => AskedKeys { keys, asked: RefCell::default() },
            other => unreachable!("a table is an object, not {other:?}"),
        }
    }

    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        self.asked.borrow_mut().push(key.to_owned());
        let Some(value) = self.keys.get(key) else { return Ok(None) };
        serde_json::from_value(value.clone()).map(Some).map_err(|error| format!("{key} is {value}: {error}"))
    }

    /// All of them as an object of JSON.
    pub(super) fn all(&self) -> String {
        self.asked.borrow_mut().extend(self.keys.keys().cloned());
        Value::Object(self.keys.clone()).to_string()
    }

    /// A line on a key that the scenario sets and nobody asked for.
    pub(super) fn not_asked(&self) -> Option<String> {
        let asked = self.asked.borrow();
        let key = self.keys.keys().find(|key| !asked.contains(key))?;
        let known = if asked.is_empty() { "no keys of its own".to_owned() } else { asked.join(", ") };
        Some(format!("{key} is unknown: the kind has {known}"))
    }
}

/// Adds a kind of network to those that this process knows, under its name in scenarios.
///
/// # Errors
/// If the name is taken, or is not 1 to 64 letters, digits, hyphens and underscores.
pub fn register_kind(name: &'static str, build: Arc<Build>) -> Result<(), String> {
    check_new_name("network", name, &kind_names())?;
    ADDED.write().unwrap_or_else(PoisonError::into_inner).push((name, build));
    Ok(())
}

/// Checks the name of a kind that is to be added to those with other names.
pub(super) fn check_new_name(what: &str, name: &str, others: &[&str]) -> Result<(), String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(format!(
            "a kind of {what} is called {name:?}, but its name is 1 to 64 letters, digits, hyphens and underscores"
        ));
    }
    if others.contains(&name) {
        return Err(format!("two kinds of {what} are called \"{name}\": give one another name"));
    }
    Ok(())
}

/// The names of all kinds that this process knows.
pub(crate) fn kind_names() -> Vec<&'static str> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    scenario::Kind::NAMES.into_iter().chain(added.iter().map(|(name, _)| *name)).collect()
}

/// A network of a kind that this program has added; none for other kinds.
pub(crate) fn build_own(
    name: &str,
    keys: &impl serde::Serialize,
    shape: &[usize],
    outputs: usize,
) -> Option<Result<Box<dyn Module>, String>> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let build = added.iter().find(|(known, _)| *known == name).map(|(_, build)| build.clone())?;
    drop(added);
    let wanted = Wanted { shape, outputs, keys: AskedKeys::new(keys) };
    let built = build(&wanted).and_then(|module| {
        let (inputs, outputs) = (module.inputs(), module.outputs());
        match wanted.keys.not_asked() {
            Some(line) => Err(line),
            None if (inputs, outputs) == (wanted.inputs(), wanted.outputs) => Ok(module),
            None => {
                let (given, asked) = (wanted.inputs(), wanted.outputs);
                Err(format!("\"{name}\" maps {inputs} values to {outputs}; it is to map {given} to {asked}"))
            }
        }
    });
    Some(built)
}
