use std::sync::{Arc, PoisonError, RwLock};

use super::Source;
use crate::{arrays::ArrayFiles, digits::Digits, handwritten::HandWrittenFiles, mmfi::MmFiTree};

/// What a program has added to the built-in data sets, in that order.
static ADDED: RwLock<Vec<(&'static str, Arc<dyn Source>)>> = RwLock::new(Vec::new());

/// The data sets that this project brings.
fn built_in() -> [(&'static str, Arc<dyn Source>); 4] {
    [
        ("digits", Arc::new(Digits)),
        ("handwritten", Arc::new(HandWrittenFiles)),
        ("arrays", Arc::new(ArrayFiles)),
        ("mmfi", Arc::new(MmFiTree)),
    ]
}

/// Adds a data set to those that this process knows, under the name that scenarios call it by.
///
/// # Errors
/// A name that is taken, or is not 1 to 64 letters, digits, hyphens and underscores.
pub fn register(name: &'static str, source: Arc<dyn Source>) -> Result<(), String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(format!(
            "a data set is called {name:?}, but its name is 1 to 64 letters, digits, hyphens and underscores"
        ));
    }
    if source_names().contains(&name) {
        return Err(format!("two data sets are called \"{name}\": give one another name"));
    }
    ADDED.write().unwrap_or_else(PoisonError::into_inner).push((name, source));
    Ok(())
}

/// The names of all data sets that this process knows.
pub fn source_names() -> Vec<&'static str> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    built_in().iter().chain(added.iter()).map(|(name, _)| *name).collect()
}

/// The data set of that name, if this process knows it.
pub(crate) fn source(name: &str) -> Option<Arc<dyn Source>> {
    if let Some((_, source)) = built_in().into_iter().find(|(known, _)| *known == name) {
        return Some(source);
    }
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    added.iter().find(|(known, _)| *known == name).map(|(_, source)| source.clone())
}
