//! Replacement for certificates in a program that was built without them.

use std::{convert::Infallible, path::Path};

use anyhow::bail;
use link::Name;

use crate::Found;

/// An authority that cannot exist.
#[derive(Debug)]
pub struct Authority(Infallible);

impl Authority {
    /// Fails.
    ///
    /// # Errors
    /// Always; the error says how to build a program with certificates.
    pub fn create(_folder: &Path, _days: u32) -> anyhow::Result<Self> {
        Err(missing())
    }

    /// Fails.
    ///
    /// # Errors
    /// Always; the error says how to build a program with certificates.
    pub fn open(_folder: &Path) -> anyhow::Result<Self> {
        Err(missing())
    }

    /// Is never called, since there is no authority.
    ///
    /// # Errors
    /// None.
    pub fn issue(&self, _name: Name, _days: u32) -> anyhow::Result<()> {
        match self.0 {}
    }
}

/// Fails.
///
/// # Errors
/// Always; the error says how to build a program with certificates.
pub fn found_in(_folder: &Path) -> anyhow::Result<Vec<Found>> {
    Err(missing())
}

pub(crate) fn check() -> anyhow::Result<()> {
    bail!(
        "this program was built without certificates: cargo build --release --features certs builds one that makes and reads \
         them (a join token, pom2dib certs token, needs no other)"
    )
}

fn missing() -> anyhow::Error {
    check().expect_err("it always fails")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_certificates_names_the_command_that_builds_one_with_them() {
        let folder = Path::new("certs");
        let errors = [
            Authority::create(folder, 1).unwrap_err(),
            Authority::open(folder).unwrap_err(),
            found_in(folder).unwrap_err(),
            check().unwrap_err(),
        ];
        for error in errors.map(|error| error.to_string()) {
            assert!(
                error.contains("cargo build --release --features certs") && !error.contains('\n'),
                "{error}"
            );
        }
    }
}
