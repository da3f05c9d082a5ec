//! Selectors and the selection that they draw.

pub(crate) mod cap;
pub(crate) mod fixed;
pub(crate) mod selector;
pub(crate) mod sight;

pub use cap::capped;
pub use fixed::FixedSelection;
pub use selector::{Choice, Selector};
pub use sight::{AirTime, CLEAR_DB, FIRST_STRENGTH_DB, STRENGTH_STEP_DB, STRENGTH_STEPS, strength_step};
