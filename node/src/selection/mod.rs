//! Selectors and the selection that they draw; policies of a user's program in their place.

pub(crate) mod cap;
pub(crate) mod fixed;
pub(crate) mod policy;
pub(crate) mod selector;
pub(crate) mod sight;

pub use cap::capped;
pub use fixed::FixedSelection;
pub use policy::OwnPolicy;
pub use selector::{Choice, Selector};
pub use sight::{AirTime, CLEAR_DB, FIRST_STRENGTH_DB, STRENGTH_STEP_DB, STRENGTH_STEPS, strength_step};
