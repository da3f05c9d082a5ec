//! Names of arrays: their syntax, and the array of a file with a name.

use crate::error::DataError;

/// Checks a name of an array: it is a part of file names.
///
/// # Errors
/// What is wrong with it, on one line.
pub fn check_array_name(name: &str) -> Result<(), String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    match !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        true => Ok(()),
        false => Err(format!(
            "names {name:?}, but the name of an array is 1 to 64 letters, digits, hyphens and underscores"
        )),
    }
}

pub(super) fn check_name(name: &str) -> Result<(), DataError> {
    check_array_name(name).map_err(|_| DataError::UnknownModality {
        name: name.into(),
        known: "1 to 64 letters, digits, hyphens and underscores".into(),
    })
}

/// The member of that name among several.
pub(super) fn member<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    names.iter().find(|known| *known == name)
}

pub(super) fn no_member(what: &str, name: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("holds no {what}");
    }
    let shown: Vec<String> =
        names.iter().take(5).map(|name| format!("{:?}", name.chars().take(64).collect::<String>())).collect();
    format!("holds {} {what}s ({}), but none is called {name:?}", names.len(), shown.join(", "))
}
