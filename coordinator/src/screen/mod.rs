//! `--tui`: a live table of the run in the terminal.

#[cfg(feature = "tui")]
mod draw;
#[cfg(feature = "tui")]
mod history;
#[cfg(not(feature = "tui"))]
mod left_out;
#[cfg(feature = "tui")]
mod live;

#[cfg(not(feature = "tui"))]
pub(crate) use left_out::Screen;
#[cfg(feature = "tui")]
pub(crate) use live::Screen;

use crate::CoordinatorError;

/// Refuses `--tui` where the program has no live table.
///
/// # Errors
///
/// An input error that says how to get a program with one.
pub(crate) fn check() -> Result<(), CoordinatorError> {
    has_table(cfg!(feature = "tui"))
}

fn has_table(is_built_in: bool) -> Result<(), CoordinatorError> {
    match is_built_in {
        true => Ok(()),
        false => Err(CoordinatorError::Input(
            "--tui: this program was built without a live table: build it with --features tui (cargo build --release \
             --features tui), or use the Python package or the image, which have it"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_the_feature_says_how_to_get_it() {
        let refused = has_table(false).unwrap_err();
        assert!(refused.is_input() && refused.to_string().contains("--features tui"), "{refused}");
        has_table(true).unwrap();
    }
}
