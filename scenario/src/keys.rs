//! Reading the keys of a table, each of which is removed as it is read.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The remaining keys of a table, and the keys that were looked for.
pub(crate) struct Keys {
    table: Table,
    known: Vec<&'static str>,
}

impl Keys {
    pub(crate) fn new(table: Table) -> Self {
        Keys { table, known: Vec::new() }
    }

    /// The value of a key, if it is set.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<Option<T>, String> {
        self.known.push(key);
        let read = |value: Value| value.try_into().map_err(|error| misread(key, &error));
        self.table.remove(key).map(read).transpose()
    }

    /// A number from `low` to `high`, if the key is set.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        low: usize,
        high: usize,
    ) -> Result<Option<usize>, String> {
        let Some(number) = self.take::<usize>(key)? else { return Ok(None) };
        in_range(key, number, low, high).map(Some)
    }

    /// One number for both directions, or two: height and width.
    pub(crate) fn pair(
        &mut self,
        key: &'static str,
        low: usize,
        high: usize,
    ) -> Result<Option<[usize; 2]>, String> {
        let Some(value) = self.take::<Value>(key)? else { return Ok(None) };
        let sizes: Vec<usize> = match value {
            Value::Array(_) => value.try_into().map_err(|error| misread(key, &error))?,
            one => {
                let one: usize = one.try_into().map_err(|error| misread(key, &error))?;
                vec![one, one]
            }
        };
        let &[height, width] = sizes.as_slice() else {
            return Err(format!("{key} has {} sizes; give one for both directions, or two", sizes.len()));
        };
        Ok(Some([in_range(key, height, low, high)?, in_range(key, width, low, high)?]))
    }

    /// All keys that have not been read.
    pub(crate) fn rest(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    /// Refuses keys that have not been read.
    pub(crate) fn end(self) -> Result<(), String> {
        let Some(unknown) = self.table.keys().next() else { return Ok(()) };
        let known: Vec<String> = self.known.iter().map(|key| format!("`{key}`")).collect();
        Err(format!("unknown field `{unknown}`, expected one of {}", known.join(", ")))
    }
}

/// A required value.
pub(crate) fn given<T>(key: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("{key} is missing"))
}

fn in_range(key: &str, number: usize, low: usize, high: usize) -> Result<usize, String> {
    match (low..=high).contains(&number) {
        true => Ok(number),
        false => Err(format!("{key} is {number}; it must be from {low} to {high}")),
    }
}

fn misread(key: &str, error: &toml::de::Error) -> String {
    let said: Vec<&str> = error.message().lines().collect();
    format!("{key}: {}", said.join("; "))
}
