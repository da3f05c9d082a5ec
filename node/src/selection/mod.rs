//! Selectors and the selection that they draw.

pub(crate) mod fixed;
pub(crate) mod selector;

pub use fixed::FixedSelection;
pub use selector::{Choice, Selector};
